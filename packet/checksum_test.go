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
