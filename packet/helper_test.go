package packet

import (
	"bytes"
	"testing"

	gen "mirrorscope/internal/pcapgen"
)

// Layers that most tests use. The inner addresses are 10.1.0.7 and 10.1.0.9,
// those of the tunnels around 172.16.0.5 and 172.16.9.9.
var (
	ether    = gen.Ethernet{Src: gen.MAC{2, 0, 0, 0, 0, 1}, Dst: gen.MAC{2, 0, 0, 0, 0, 2}}
	ether2   = gen.Ethernet{Src: gen.MAC{2, 0, 0, 0, 0, 3}, Dst: gen.MAC{2, 0, 0, 0, 0, 4}}
	ip4      = gen.IPv4{Src: gen.IP("10.1.0.7"), Dst: gen.IP("10.1.0.9"), ID: 4711, DF: true, TTL: 63, TOS: 0xb9}
	ip6      = gen.IPv6{Src: gen.IP("fd00::7"), Dst: gen.IP("fd00::9"), HopLimit: 62, TrafficClass: 0xb9}
	outer4   = gen.IPv4{Src: gen.IP("172.16.0.5"), Dst: gen.IP("172.16.9.9"), ID: 1, TTL: 8}
	outer6   = gen.IPv6{Src: gen.IP("fd16::5"), Dst: gen.IP("fd16::9"), HopLimit: 9}
	udp      = gen.UDP{SrcPort: 40000}
	segment  = gen.TCP{SrcPort: 51234, DstPort: 443, Seq: 0xfffffff0, Ack: 7, Flags: ACK | PSH, Window: 501, Options: tsOption}
	tsOption = gen.TCPOptions{Timestamps: &gen.Timestamps{Val: 3, Ecr: 4}}
	data     = gen.Payload("some octets of payload")
)

// verdict is a decoded frame with its names resolved.
type verdict struct {
	Packet
	skip    Skip
	point   PointKey
	network NetworkKey
	path    Path
	names   *Names
	d       *Decoder
}

// decodeWith decodes one frame with a fresh Decoder.
func decodeWith(cfg Config, link uint16, frame []byte) *verdict {
	v := &verdict{names: new(Names)}
	v.d = NewDecoder(cfg, v.names)
	v.again(link, frame)
	return v
}

// again decodes a further frame with the same Decoder.
func (v *verdict) again(link uint16, frame []byte) {
	v.skip = v.d.Decode(frame, link, 0, len(frame), 1, &v.Packet)
	v.point, v.network, v.path = v.names.Point(v.Point), v.names.Network(v.Network), v.names.Path(v.Path)
}

func decodeRaw(frame []byte) *verdict { return decodeWith(DefaultConfig(), linkRaw, frame) }

// decodeLayers builds an Ethernet frame and decodes it.
func decodeLayers(layers ...gen.Layer) *verdict {
	return decodeWith(DefaultConfig(), linkEthernet, gen.Build(layers...))
}

// tunnels lists the tunnels of the path.
func (v *verdict) tunnels() []Tunnel { return v.path.Tunnels[:v.path.NTunnels] }

// vlans lists the VLAN ids of the path.
func (v *verdict) vlans() []uint16 { return v.path.VLANs[:v.path.NVLANs] }

// join concatenates layers into a new slice.
func join(parts ...[]gen.Layer) (all []gen.Layer) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

// bare is the packet without what tells where it was observed.
func bare(p Packet) Packet {
	p.Point, p.Network, p.Path, p.Position = 0, 0, 0, 0
	p.Flags &^= HasMAC | OuterSwapped
	p.Payload = nil
	return p
}

// samePacket fails unless a and b are the same packet, wherever observed.
func samePacket(t *testing.T, got, want *verdict) {
	t.Helper()
	if got.skip != want.skip {
		t.Fatalf("skip %q, want %q", got.skip, want.skip)
	}
	if g, w := bare(got.Packet), bare(want.Packet); !equalPackets(&g, &w) {
		t.Errorf("packet\n%+v\nwant\n%+v", g, w)
	}
	if !bytes.Equal(got.Payload, want.Payload) {
		t.Errorf("payload %q, want %q", got.Payload, want.Payload)
	}
}

// equalPackets compares two packets without their payload.
func equalPackets(a, b *Packet) bool {
	return a.Time == b.Time && a.Hash == b.Hash && a.Src == b.Src && a.Dst == b.Dst && a.SrcPort == b.SrcPort &&
		a.DstPort == b.DstPort && a.Proto == b.Proto && a.Version == b.Version && a.TTL == b.TTL && a.TOS == b.TOS &&
		a.Point == b.Point && a.Network == b.Network && a.Path == b.Path && a.Position == b.Position &&
		a.IPLen == b.IPLen && a.PayloadLen == b.PayloadLen && a.IPID == b.IPID && a.Flags == b.Flags && a.DF == b.DF &&
		a.Kind == b.Kind && a.ICMPType == b.ICMPType && a.ICMPCode == b.ICMPCode && a.Checksum == b.Checksum && a.TCP == b.TCP
}

// check fails unless a value is as wanted.
func check[T comparable](t *testing.T, name string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s %v, want %v", name, got, want)
	}
}
