package packet

import (
	"testing"

	gen "mirrorscope/internal/pcapgen"
)

func TestChecksumPartial(t *testing.T) {
	tests := []struct {
		name   string
		layers []gen.Layer
		want   bool
	}{
		{"whole", []gen.Layer{ip4, segment, data}, false},
		{"partial", []gen.Layer{ip4, gen.TCP{SrcPort: 1, Partial: true}, data}, true},
		{"partial, IPv6", []gen.Layer{ip6, gen.TCP{SrcPort: 1, Partial: true}, data}, true},
		{"zero", []gen.Layer{ip4, gen.TCP{SrcPort: 1, Checksum: new(uint16(0))}, data}, true},
		{"partial behind extension headers", []gen.Layer{ip6, gen.HopByHop{}, gen.TCP{SrcPort: 1, Partial: true}, data}, true},
		{"udp whole", []gen.Layer{ip4, gen.UDP{SrcPort: 1}, data}, false},
		{"udp partial", []gen.Layer{ip4, gen.UDP{SrcPort: 1, Partial: true}, data}, true},
		{"udp partial, IPv6", []gen.Layer{ip6, gen.UDP{SrcPort: 1, Partial: true}, data}, true},
		{"udp without", []gen.Layer{ip4, gen.UDP{SrcPort: 1, NoChecksum: true}, data}, false},
	}
	for _, tt := range tests {
		v := decodeRaw(gen.Build(tt.layers...))
		check(t, tt.name, v.Packet.Flags&ChecksumPartial != 0, tt.want)
	}
}
