package packet

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	gen "mirrorscope/internal/pcapgen"
)

func TestPointIsUnorderedPair(t *testing.T) {
	back := gen.IPv4{Src: outer4.Dst, Dst: outer4.Src}
	v := decodeLayers(ether, outer4, udp, gen.VXLAN{VNI: 7}, ether2, ip4, segment)
	first := v.Point
	check(t, "swapped", v.Packet.Flags&OuterSwapped != 0, false)
	v.again(linkEthernet, gen.Build(ether, back, udp, gen.VXLAN{VNI: 7}, ether2, ip4, segment))
	check(t, "point of the other way", v.Point, first)
	check(t, "swapped", v.Packet.Flags&OuterSwapped != 0, true)
	check(t, "key", v.point, PointKey{Kind: VXLAN, ID: 7, A: AddrFrom(outer4.Src), B: AddrFrom(outer4.Dst)})

	// Stepping over a gateway's GENEVE forgets its direction.
	gateway := join([]gen.Layer{ether, back, udp, gen.Geneve{Options: gen.AWSOptions(1, 2, 3)}}, []gen.Layer{gen.IPv4{Src: gen.IP("10.9.0.1"), Dst: gen.IP("10.9.0.2")}, udp, gen.VXLAN{VNI: 7}, ether2, ip4, segment})
	v.again(linkEthernet, gen.Build(gateway...))
	check(t, "swapped", v.Packet.Flags&OuterSwapped != 0, false)
}

func TestPointKinds(t *testing.T) {
	// Everything but these is path: it never names a point.
	v := decodeLayers(ether, gen.VLAN{ID: 5}, outer4, gen.GRE{Key: new(uint32(9))}, outer6, udp, gen.GTPU{TEID: 1}, ip4, segment)
	check(t, "point", v.names.PointName(v.Point), "0")
	// The interface does.
	first := v.Point
	v.d.Decode(gen.Build(ether, ip4, segment), linkEthernet, 3, 74, 1, &v.Packet)
	v.names.SetInterface(3, "eth1")
	check(t, "point", v.names.PointName(v.Point), "eth1")
	check(t, "another point", v.Point != first, true)
	check(t, "named interface", v.names.InterfaceName(3), "eth1")
	check(t, "interface without a name", v.names.InterfaceName(4), "4")
	check(t, "points", v.names.Points(), 2)
	// Interfaces that share a slot of the cache.
	for range 2 {
		for iface := uint32(3); iface < 1000; iface += 64 {
			v.d.Decode(gen.Build(ether, ip4, segment), linkEthernet, iface, 74, 1, &v.Packet)
			check(t, "interface", v.names.Point(v.Point).Interface, iface)
		}
	}
}

func TestNetworks(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Networks = map[uint32]string{10: "red", 30: "red", 20: "blue"}
	in := func(vni uint32, further ...gen.Layer) []byte {
		return gen.Build(join([]gen.Layer{ether, outer4, udp, gen.VXLAN{VNI: vni}, ether2}, further, []gen.Layer{ip4, segment})...)
	}
	v := decodeWith(cfg, linkEthernet, in(30))
	red := v.Network
	check(t, "name", v.names.NetworkName(red), "red")
	check(t, "key", v.network, NetworkKey{VNI: 10}) // the lowest VNI of the name stands for it
	v.again(linkEthernet, in(10))
	check(t, "network of another VNI with the name", v.Network, red)
	v.again(linkEthernet, in(20))
	check(t, "name", v.names.NetworkName(v.Network), "blue")
	v.again(linkEthernet, in(99))
	check(t, "name", v.names.NetworkName(v.Network), "default")
	v.again(linkEthernet, in(20, outer6, udp, gen.VXLAN{VNI: 10}, ether, outer4, udp, gen.Geneve{VNI: 0}))
	check(t, "name", v.names.NetworkName(v.Network), "blue/10/0")
	v.again(linkEthernet, gen.Build(ether, outer4, gen.ERSPAN2{Session: 10}, ether2, ip4, segment))
	check(t, "name for a session id", v.names.NetworkName(v.Network), "default")
}

func TestVLANInKey(t *testing.T) {
	frame := func(tags ...uint16) []byte {
		layers := []gen.Layer{ether}
		for _, id := range tags {
			layers = append(layers, gen.VLAN{ID: id})
		}
		return gen.Build(join(layers, []gen.Layer{ip4, segment})...)
	}
	for _, inKey := range []bool{false, true} {
		cfg := DefaultConfig()
		cfg.VLANInKey = inKey
		v := decodeWith(cfg, linkEthernet, frame(100, 0))
		if inKey {
			check(t, "name", v.names.NetworkName(v.Network), "default/vlan100/vlan0")
		} else {
			check(t, "name", v.names.NetworkName(v.Network), "default")
		}
		seen := map[NetworkID]bool{v.Network: true}
		for _, tags := range [][]uint16{{100}, {200}, {0, 100}, {}} {
			v.again(linkEthernet, frame(tags...))
			seen[v.Network] = true
		}
		check(t, "networks", len(seen), map[bool]int{false: 1, true: 5}[inKey])
	}
}

func TestMerge(t *testing.T) {
	cfg := DefaultConfig()
	one := PointKey{Kind: VXLAN, ID: 1, A: AddrFrom(outer4.Src), B: AddrFrom(outer4.Dst)}
	cfg.Merge = func(k PointKey) PointKey {
		if k.ID == 2 {
			return one
		}
		return k
	}
	v := decodeWith(cfg, linkEthernet, gen.Build(ether, outer6, udp, gen.VXLAN{VNI: 2}, ether2, ip4, segment))
	check(t, "point", v.point, one)
	id := v.Point
	v.again(linkEthernet, gen.Build(ether, outer4, udp, gen.VXLAN{VNI: 1}, ether2, ip4, segment))
	check(t, "same point", v.Point, id)
	check(t, "points", v.names.Points(), 1)
}

// Position tells places on a path apart: by addresses and tags, not by
// anything that a router leaves alone.
func TestPosition(t *testing.T) {
	position := func(layers ...gen.Layer) uint32 {
		v := decodeLayers(layers...)
		check(t, "skip", v.skip, OK)
		return v.Position
	}
	swapped := gen.Ethernet{Src: ether.Dst, Dst: ether.Src}
	all := map[uint32]string{}
	for name, p := range map[string]uint32{
		"plain":     position(ether, ip4, segment),
		"other way": position(swapped, ip4, segment),
		"next hop":  position(ether2, ip4, segment),
		"tagged":    position(ether, gen.VLAN{ID: 1}, ip4, segment),
		"tagged 2":  position(ether, gen.VLAN{ID: 2}, ip4, segment),
		"tagged 0":  position(ether, gen.VLAN{ID: 0}, ip4, segment),
		"twice":     position(ether, gen.VLAN{ID: 1}, gen.VLAN{ID: 2}, ip4, segment),
		"twice 2":   position(ether, gen.VLAN{ID: 2}, gen.VLAN{ID: 1}, ip4, segment),
	} {
		if other, ok := all[p]; ok || p == 0 {
			t.Errorf("position of %s and %s: %#x", name, other, p)
		}
		all[p] = name
	}
	check(t, "another packet of one place", position(ether, ip6, udp, data), position(ether, ip4, segment))
	// A mirror's own header says nothing about the place.
	check(t, "in vxlan", position(ether2, outer4, udp, gen.VXLAN{}, ether, ip4, segment), position(ether, ip4, segment))
	check(t, "no link header", decodeRaw(gen.Build(ip4, segment)).Position, 0)
}

// Each kind of id is bounded, and what comes later shares id 0.
func TestNamesOverflow(t *testing.T) {
	cfg := DefaultConfig()
	cfg.MaxPoints, cfg.MaxNetworks, cfg.MaxPaths = 3, 2, 2
	frame := func(outer, inner uint32, tag uint16) []byte {
		return gen.Build(ether, outer4, udp, gen.VXLAN{VNI: outer}, ether2, outer6, udp, gen.VXLAN{VNI: inner}, ether, gen.VLAN{ID: tag}, ip4, segment)
	}
	v := decodeWith(cfg, linkEthernet, frame(1, 1, 1))
	for i := uint32(2); i < 10; i++ {
		v.again(linkEthernet, frame(i, i, uint16(i)))
		check(t, "skip", v.skip, OK)
		check(t, "point is known", v.Point != 0, i <= 3)
		check(t, "network is known", v.Network != 0, i <= 2)
		check(t, "path is known", v.Path != 0, i <= 2)
	}
	check(t, "overflow", v.names.Overflow(), Overflow{Points: 6, Networks: 7, Paths: 7})
	check(t, "name of point 0", v.names.PointName(0), "other")
	check(t, "name of network 0", v.names.NetworkName(0), "other")
	check(t, "key of an id never given", v.names.Point(4711), PointKey{})
	v.again(linkEthernet, frame(1, 1, 1)) // those known stay known
	check(t, "ids", fmt.Sprint(v.Point, v.Network, v.Path), "1 1 1")
}

// TestNamesShared lets decoders and readers use one Names at once, for the
// race detector, and checks that ids agree.
func TestNamesShared(t *testing.T) {
	names := new(Names)
	ids := make([][]PointID, 4)
	var wg sync.WaitGroup
	for g := range ids {
		wg.Go(func() {
			d := NewDecoder(DefaultConfig(), names)
			var p Packet
			for i := range 2000 {
				frame := gen.Build(ether, outer4, udp, gen.VXLAN{VNI: uint32(i % 500)}, ether2, ip4, segment)
				if d.Decode(frame, linkEthernet, 0, len(frame), 1, &p) != OK {
					t.Error("not decoded")
				}
				ids[g] = append(ids[g], p.Point)
				if i%100 == 0 {
					names.SetInterface(0, "eth0")
					if name := names.PointName(p.Point); !strings.Contains(name, fmt.Sprint(" vxlan ", i%500, " ")) {
						t.Errorf("name %q of VNI %d", name, i%500)
					}
				}
			}
		})
	}
	wg.Wait()
	for g := range ids {
		for i := range ids[g] {
			check(t, "id", ids[g][i], ids[0][i])
		}
	}
	check(t, "points", names.Points(), 500)
}

func TestNamesOfReasonsAndTunnels(t *testing.T) {
	seen := map[string]bool{}
	for s := range NumSkips {
		if name := s.String(); (name == "") != (s == OK || s == Held) || name != "" && seen[name] {
			t.Errorf("skip %d is called %q", s, name)
		} else {
			seen[name] = true
		}
	}
	for k := NoTunnel + 1; k < numTunnels; k++ {
		if name := k.String(); name == "" || seen[name] {
			t.Errorf("tunnel %d is called %q", k, name)
		} else {
			seen[name] = true
		}
	}
	check(t, "no skip", NumSkips.String(), "unknown")
	check(t, "no tunnel", numTunnels.String(), "unknown")
	check(t, "no cookies", (&Cookies{}).String(), "")
}
