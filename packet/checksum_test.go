package packet

import (
	"testing"

	gen "mirrorscope/internal/pcapgen"
)

func TestPartialChecksum(t *testing.T) {
	tests := []struct {
		name   string
		layers []gen.Layer
		want   bool
	}{
		{"whole", []gen.Layer{ip4, segment, data}, false},
		{"partial", []gen.Layer{ip4, gen.TCP{SrcPort: 1, Partial: true}, data}, true},
		{"partial, IPv6", []gen.Layer{ip6, gen.TCP{SrcPort: 1, Partial: true}, data}, true},
		{"partial behind extension headers", []gen.Layer{ip6, gen.HopByHop{}, gen.TCP{SrcPort: 1, Partial: true}, data}, true},
	}
	for _, tt := range tests {
		v := decodeRaw(gen.Build(tt.layers...))
		p := &v.Packet
		sum, ok := p.PartialChecksum()
		if !ok {
			t.Errorf("%s: no partial checksum", tt.name)
		}
		check(t, tt.name, p.TCP.Checksum == sum, tt.want)
	}
}

// Without a whole header there is none, nor for what has no such checksum.
func TestNoPartialChecksum(t *testing.T) {
	for _, p := range []Packet{
		{Proto: ProtoTCP, Version: 4, Flags: HeaderCut}, {Proto: ProtoTCP, Version: 4, Flags: BadHeader}, {Proto: ProtoUDP, Version: 4}, {Proto: ProtoICMP, Version: 4}, {Proto: ProtoSCTP, Version: 6},
	} {
		if sum, ok := p.PartialChecksum(); ok {
			t.Errorf("protocol %d, flags %b: %#x", p.Proto, p.Flags, sum)
		}
	}
}

// What a network card makes of a UDP checksum that was left to it.
func TestCompleted(t *testing.T) {
	for n := range 10 {
		for _, ip := range []gen.Layer{ip4, ip6} {
			payload := gen.Payload("\xfe\xdc\xba\x98\x76\x54\x32\x10\xff"[:n])
			whole := decodeRaw(gen.Build(ip, gen.UDP{SrcPort: 1000, DstPort: 2000}, payload))
			partial := decodeRaw(gen.Build(ip, gen.UDP{SrcPort: 1000, DstPort: 2000, Partial: true}, payload))
			if whole.Packet.Checksum == partial.Packet.Checksum {
				t.Fatal("the checksum is whole")
			}
			check(t, "whole", whole.Packet.Completed(), whole.Packet.Checksum)
			check(t, "partial", partial.Packet.Completed(), whole.Packet.Checksum)
			if n == 0 {
				continue
			}
			cut := partial.Packet
			cut.Payload = cut.Payload[:n-1]
			check(t, "cut", cut.Completed(), partial.Packet.Checksum)
		}
	}
	none := Packet{Proto: ProtoUDP, Version: 4, Src: Addr{15: 0xff, 14: 0xff}}
	check(t, "none", none.Completed(), 0)
}

// A checksum that comes to 0 is sent as its complement (RFC 768).
func TestCompletedZero(t *testing.T) {
	for v := range 1 << 16 {
		whole := Packet{Proto: ProtoUDP, Version: 4, PayloadLen: 2, Payload: []byte{byte(v >> 8), byte(v)}, SrcPort: 7}
		if whole.Checksum = pseudoSum(&whole, udpHeader+2); whole.Completed() == 0 {
			t.Fatalf("payload %#x: no checksum", v)
		}
	}
}
