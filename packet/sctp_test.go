package packet

import (
	"testing"

	gen "mirrorscope/internal/pcapgen"
)

func TestPortsOnly(t *testing.T) {
	sctp := gen.Build(ip4, gen.SCTP{SrcPort: 5, DstPort: 6, Chunks: []gen.SCTPChunk{gen.SCTPData(1, 2, 3, data)}})
	lite := gen.Build(gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, Protocol: protoUDPLite}, gen.Payload{0, 5, 0, 6, 0, 8, 0, 0}, data)
	for _, tt := range []struct {
		name   string
		packet []byte
		head   int
	}{{"sctp", sctp, 12}, {"udp-lite", lite, 8}} {
		for n := 20; n <= len(tt.packet); n++ {
			var p Packet
			d := NewDecoder(DefaultConfig(), new(Names))
			check(t, tt.name, d.Decode(tt.packet[:n], linkRaw, 0, len(tt.packet), 1, &p), OK)
			check(t, tt.name+": protocol", p.Proto, tt.packet[9])
			check(t, tt.name+": ports", p.SrcPort == 5 && p.DstPort == 6, n >= 24)
			check(t, tt.name+": ports unknown", p.Flags&PortsUnknown != 0, n < 24)
			check(t, tt.name+": header cut", p.Flags&HeaderCut != 0, n < 20+tt.head)
			check(t, tt.name+": payload", int(p.PayloadLen), len(tt.packet)-20-tt.head)
			check(t, tt.name+": captured payload", len(p.Payload), max(0, n-20-tt.head))
		}
	}
	// A packet without room for its header.
	short := decodeRaw(gen.Build(gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, Length: new(uint16(28)), Protocol: ProtoSCTP}, gen.Payload(sctp[20:])))
	check(t, "bad header", short.Flags&BadHeader != 0, true)
	check(t, "destination port", short.DstPort, 6)
}
