package packet

import (
	"fmt"
	"math"
	"testing"

	gen "mirrorscope/internal/pcapgen"
)

// inventory answers NetworkOf, and notes what it was asked.
type inventory struct {
	of      map[Addr]string // by source, then by destination
	until   int64
	changes uint64
	asked   []string
}

func (v *inventory) config() Config {
	cfg := DefaultConfig()
	cfg.NetworkOf = func(source, destination Addr, at int64) (string, int64) {
		v.asked = append(v.asked, fmt.Sprintf("%v %v %d", source.IP(), destination.IP(), at))
		if name := v.of[source]; name != "" {
			return name, v.until
		}
		return v.of[destination], v.until
	}
	cfg.NetworkChanges = func() uint64 { return v.changes }
	return cfg
}

// The sender of what is mirrored names the network where no VNI does; VNIs inside are
// networks within it.
func TestNetworkOf(t *testing.T) {
	v := &inventory{of: map[Addr]string{AddrFrom(outer4.Src): "vpc-1", AddrFrom(gen.IP("fd00::1")): "vpc-6"}, until: math.MaxInt64}
	cfg := v.config()
	cfg.Networks = map[uint32]string{10: "red", 12: "red"}
	inside := []gen.Layer{ether2, ip4, segment}
	in := func(outer gen.Layer, kind gen.Layer, further ...gen.Layer) []byte {
		return gen.Build(join([]gen.Layer{ether, outer, udp, kind}, further, inside)...)
	}
	from6 := gen.IPv6{Src: gen.IP("fd00::1"), Dst: gen.IP("fd00::2")}
	gateway := join([]gen.Layer{ether, from6, udp, gen.Geneve{Options: gen.AWSOptions(1, 2, 3)}}, []gen.Layer{outer4, udp, gen.VXLAN{VNI: 9}}, inside)
	for _, c := range []struct {
		name, want string
		frame      []byte
	}{
		{"vxlan", "vpc-1", in(outer4, gen.VXLAN{VNI: 7})},
		{"another vni", "vpc-1", in(outer4, gen.VXLAN{VNI: 8})},
		{"a tag, which is no network", "vpc-1", gen.Build(join([]gen.Layer{ether, gen.VLAN{ID: 5}, outer4, udp, gen.VXLAN{VNI: 7}}, inside)...)},
		{"a mapped vni", "red", in(outer4, gen.VXLAN{VNI: 12})},
		{"a vni inside", "vpc-1/8", in(outer4, gen.VXLAN{VNI: 7}, ether2, from6, udp, gen.VXLAN{VNI: 8})},
		{"geneve", "vpc-1", in(outer4, gen.Geneve{})},
		{"from ipv6", "vpc-6", in(from6, gen.VXLAN{VNI: 7})},
		{"a gateway's geneve is stepped over", "vpc-1", gen.Build(gateway...)},
		{"another sender", "default", in(gen.IPv4{Src: gen.IP("192.0.2.9"), Dst: gen.IP("192.0.2.8")}, gen.VXLAN{VNI: 7})},
		{"no tunnel", "default", gen.Build(ether, ip4, segment)},
	} {
		// Straight and around, first and again.
		for _, cfg := range []Config{cfg, func() Config { c := cfg; c.VLANInKey = true; return c }()} {
			d := decodeWith(cfg, linkEthernet, c.frame)
			want := c.want
			if cfg.VLANInKey && c.name == "a tag, which is no network" {
				want += "/vlan5"
			}
			check(t, c.name, d.names.NetworkName(d.Network), want)
			first := d.Network
			d.again(linkEthernet, c.frame)
			check(t, c.name, d.Network, first)
		}
	}
}

// A point is of the network of whoever sent its first packet, also when the answer is
// asked for again; and it is asked once, until something changes.
func TestNetworkOfRenewed(t *testing.T) {
	v := &inventory{of: map[Addr]string{AddrFrom(outer4.Src): "vpc-1", AddrFrom(outer4.Dst): "vpc-2"}, until: math.MaxInt64}
	frame := gen.Build(ether, outer4, udp, gen.VXLAN{VNI: 7}, ether2, ip4, segment)
	back := gen.Build(ether, gen.IPv4{Src: outer4.Dst, Dst: outer4.Src}, udp, gen.VXLAN{VNI: 7}, ether2, ip4, segment)
	around := gen.Build(ether, outer4, udp, gen.VXLAN{VNI: 7}, ether2, gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, Options: []byte{1, 1, 1, 1}}, segment)
	d := NewDecoder(v.config(), new(Names))
	var p Packet
	network := func(frame []byte, at int64) string {
		t.Helper()
		if s := d.Decode(frame, linkEthernet, 0, len(frame), at, &p); s != OK {
			t.Fatal(s)
		}
		return d.names.NetworkName(p.Network)
	}
	check(t, "first", network(frame, 1), "vpc-1")
	check(t, "around", network(around, 2), "vpc-1")
	check(t, "back", network(back, 3), "vpc-1")
	check(t, "asked", fmt.Sprint(v.asked), fmt.Sprintf("[%v %v 1]", outer4.Src, outer4.Dst))
	point, before := p.Point, p.Network

	d.Renew(10)
	check(t, "nothing new", network(back, 11), "vpc-1")
	check(t, "asked", len(v.asked), 1)

	v.changes, v.of[AddrFrom(outer4.Src)] = 1, "vpc-3"
	check(t, "not renewed yet", network(back, 12), "vpc-1")
	d.Renew(13)
	check(t, "renewed", network(back, 14), "vpc-3") // not vpc-2, though it comes from there
	check(t, "around", network(around, 15), "vpc-3")
	check(t, "asked", len(v.asked), 2)
	check(t, "point", p.Point, point)

	// An answer that ends is asked for again after its time, and what is as it was
	// has the number that it had.
	v.changes, v.until, v.of[AddrFrom(outer4.Src)] = 2, 30, "vpc-1"
	d.Renew(20)
	check(t, "until", network(frame, 21), "vpc-1")
	check(t, "number", p.Network, before)
	v.until, v.of[AddrFrom(outer4.Src)] = 50, ""
	d.Renew(29)
	check(t, "still", network(frame, 29), "vpc-1")
	d.Renew(30)
	check(t, "ended", network(frame, 31), "vpc-2") // the destination's
	check(t, "asked", len(v.asked), 4)
}

// Networks that find no number are the default one, and are counted.
func TestNetworkOfBounded(t *testing.T) {
	cfg := DefaultConfig()
	cfg.MaxNetworks = 3
	cfg.NetworkOf = func(source, _ Addr, _ int64) (string, int64) { return source.IP().String(), math.MaxInt64 }
	d := NewDecoder(cfg, new(Names))
	var p Packet
	var got []string
	for i := range 6 {
		frame := gen.Build(ether, gen.IPv4{Src: gen.IP(fmt.Sprintf("192.0.2.%d", i)), Dst: outer4.Dst}, udp, gen.VXLAN{VNI: 7}, ether2, ip4, segment)
		for range 2 {
			d.Decode(frame, linkEthernet, 0, len(frame), 1, &p)
		}
		got = append(got, d.names.NetworkName(p.Network))
	}
	check(t, "networks", fmt.Sprint(got), "[192.0.2.0 192.0.2.1 192.0.2.2 other other other]")
	if n := d.names.Overflow().Networks; n == 0 {
		t.Error("nothing is counted")
	}
}

// Nothing is allocated once a point is known.
func TestNetworkOfAllocs(t *testing.T) {
	v := &inventory{of: map[Addr]string{AddrFrom(outer4.Src): "vpc-1"}, until: math.MaxInt64}
	d := NewDecoder(v.config(), new(Names))
	frame := gen.Build(ether, outer4, udp, gen.VXLAN{VNI: 7}, ether2, ip4, segment)
	var p Packet
	if n := testing.AllocsPerRun(100, func() { d.Decode(frame, linkEthernet, 0, len(frame), 1, &p) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
