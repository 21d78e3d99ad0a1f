package packet

import (
	"math/rand/v2"
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

// The check without folding is the one with it.
func TestIsPseudoSum4(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 200_000 {
		ends, n := r.Uint64(), r.IntN(1<<16)
		switch i & 3 {
		case 0:
			ends = 0
		case 1:
			ends = 1<<64 - 1 - uint64(r.IntN(1<<17))
		}
		sum := fold(ProtoTCP + uint64(n) + ends>>32 + ends&0xffffffff)
		for _, c := range []uint16{0, 1, sum - 1, sum, sum + 1, 0xffff, uint16(r.Uint32())} {
			if got, want := isPseudoSum4(c, ends, ProtoTCP, n), c == 0 || c == sum; got != want {
				t.Fatalf("checksum %#x of %#x, %d octets: %v, want %v", c, ends, n, got, want)
			}
		}
	}
}
