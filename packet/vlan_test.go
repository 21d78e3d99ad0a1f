package packet

import (
	"slices"
	"testing"

	gen "mirrorscope/internal/pcapgen"
)

func TestManyTags(t *testing.T) {
	layers := []gen.Layer{ether}
	for i := range 18 {
		layers = append(layers, gen.VLAN{ID: uint16(i)})
	}
	v := decodeLayers(join(layers, []gen.Layer{ip4, segment})...)
	check(t, "skip", v.skip, OK)
	if want := []uint16{0, 1, 2, 3}; !slices.Equal(v.vlans(), want) {
		t.Errorf("vlans %v, want %v", v.vlans(), want)
	}
}
