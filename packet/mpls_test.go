package packet

import (
	"testing"

	gen "mirrorscope/internal/pcapgen"
)

// The bits of an address can look like an IP version: the rest decides.
func TestMPLSGuess(t *testing.T) {
	mac := func(first byte) gen.Ethernet {
		return gen.Ethernet{Dst: gen.MAC{first, 1, 0, 0, 0, 1}, Src: gen.MAC{2, 0, 0, 0, 0, 1}}
	}
	tests := []struct {
		name   string
		layers []gen.Layer
		ok     bool
	}{
		{"pseudowire to 40:…", []gen.Layer{gen.MPLS{Labels: []uint32{16}}, mac(0x40), ip4, segment}, true},
		{"pseudowire to 6a:…", []gen.Layer{gen.MPLS{Labels: []uint32{16}}, mac(0x6a), ip4, segment}, false}, // IPv6 by all that can be told
		{"pseudowire to 0a:…", []gen.Layer{gen.MPLS{Labels: []uint32{16}}, mac(0x0a), ip4, segment}, true},
		{"control word and 0a:…", []gen.Layer{gen.MPLS{Labels: []uint32{16}, ControlWord: true}, mac(0x0a), ip6, segment}, true},
		{"explicit null, IPv4", []gen.Layer{gen.MPLS{Labels: []uint32{16, 0}}, ip4, segment}, true},
		{"explicit null, IPv6", []gen.Layer{gen.MPLS{Labels: []uint32{2}}, ip6, segment}, true},
		{"two stacks", []gen.Layer{gen.MPLS{Labels: []uint32{16}}, gen.MPLS{Labels: []uint32{17}}, ip6, segment}, true},
	}
	for _, tt := range tests {
		v := decodeLayers(join([]gen.Layer{ether}, tt.layers)...)
		check(t, tt.name, v.skip == OK && v.SrcPort == segment.SrcPort, tt.ok)
	}
}
