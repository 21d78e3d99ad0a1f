package packet

import (
	"testing"

	gen "mirrorscope/internal/pcapgen"
)

func TestICMPKeys(t *testing.T) {
	tests := []struct {
		name   string
		layers []gen.Layer
		kind   uint8
		port   uint16
	}{
		{"echo request", []gen.Layer{ip4, gen.ICMP{Type: 8, ID: 77, Seq: 1}}, ICMPEcho, 77},
		{"echo reply", []gen.Layer{ip4, gen.ICMP{Type: 0, ID: 77, Seq: 1}}, ICMPEcho, 77},
		{"timestamp", []gen.Layer{ip4, gen.ICMP{Type: 13, ID: 78}, data[:12]}, ICMPEcho, 78},
		{"address mask reply", []gen.Layer{ip4, gen.ICMP{Type: 18, ID: 79}, data[:4]}, ICMPEcho, 79},
		{"unreachable", []gen.Layer{ip4, gen.ICMP{Type: 3, Code: 4, ID: 9}}, ICMPOther, 3<<8 | 4},
		{"router advertisement", []gen.Layer{ip4, gen.ICMP{Type: 9}}, ICMPOther, 9 << 8},
		{"echo request 6", []gen.Layer{ip6, gen.ICMPv6{Type: 128, ID: 80}}, ICMPEcho, 80},
		{"neighbour solicitation", []gen.Layer{ip6, gen.ICMPv6{Type: 135}, data[:16]}, ICMPOther, 135 << 8},
		{"type 8 of ICMPv6", []gen.Layer{ip6, gen.ICMPv6{Type: 8, ID: 80}}, ICMPOther, 8 << 8},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := decodeRaw(gen.Build(tt.layers...))
			check(t, "skip", v.skip, OK)
			check(t, "kind", v.Kind, tt.kind)
			check(t, "source port", v.SrcPort, tt.port)
			check(t, "destination port", v.DstPort, tt.port)
			check(t, "flags", v.Packet.Flags, 0)
			check(t, "payload", int(v.PayloadLen), len(v.Payload))
		})
	}
	// An identifier is never taken for a type: 3<<8 | 4.
	a, b := decodeRaw(gen.Build(ip4, gen.ICMP{Type: 8, ID: 3<<8 | 4})), decodeRaw(gen.Build(ip4, gen.ICMP{Type: 3, Code: 4}))
	check(t, "same ports", a.SrcPort, b.SrcPort)
	check(t, "same hash", a.Hash == b.Hash, false)
	// Request and reply are one flow.
	reply := decodeRaw(gen.Build(gen.IPv4{Src: ip4.Dst, Dst: ip4.Src}, gen.ICMP{Type: 0, ID: 3<<8 | 4}))
	check(t, "hash of the reply", reply.Hash, a.Hash)
	// ICMP over IPv6, and the other way round, is no ICMP.
	v := decodeRaw(gen.Build(gen.IPv6{Src: ip6.Src, Dst: ip6.Dst, Next: new(uint8(ProtoICMP))}, gen.ICMP{Type: 8}))
	check(t, "ports unknown", v.Packet.Flags&PortsUnknown != 0, true)
}

func TestICMPCut(t *testing.T) {
	echo := gen.Build(ip4, gen.ICMP{Type: 8, ID: 77}, data)
	for n := range 9 {
		v := &verdict{names: new(Names)}
		v.d = NewDecoder(DefaultConfig(), v.names)
		check(t, "skip", v.d.Decode(echo[:20+n], linkRaw, 0, len(echo), 1, &v.Packet), OK)
		check(t, "ports unknown", v.Packet.Flags&PortsUnknown != 0, n < 6)
		check(t, "header cut", v.Packet.Flags&HeaderCut != 0, n < 8)
		check(t, "type", v.ICMPType, map[bool]uint8{true: 8}[n >= 2])
		check(t, "payload", v.PayloadLen, uint32(len(data)))
	}
	short := decodeRaw(gen.Build(gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, Length: new(uint16(24))}, gen.ICMP{Type: 3, Code: 1}))
	check(t, "bad header", short.Packet.Flags&BadHeader != 0, true)
	check(t, "type", short.ICMPType, 3)
}
