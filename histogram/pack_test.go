package histogram

import (
	"math/rand/v2"
	"testing"
)

func TestPacked(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for name, shape := range shapes {
		for n := range 40 {
			var h Histogram
			h.Downscale(r.IntN(MaxScale + 1))
			for range n {
				h.Add(shape(r) - r.Int64N(1000))
			}
			var want, got Histogram
			for range r.IntN(5) {
				v := shape(r)
				want.Add(v)
				got.Add(v)
			}
			want.Merge(&h)
			packed := append(h.AppendPacked([]byte{7}), "rest"...)
			if rest := got.MergePacked(packed[1:]); string(rest) != "rest" || packed[0] != 7 {
				t.Fatalf("%s: %q is left", name, rest)
			}
			requireEqual(t, name, &got, &want)
		}
	}
}

func FuzzPacked(f *testing.F) {
	f.Add(uint64(1), int64(0), int64(999), int64(1<<62))
	f.Fuzz(func(t *testing.T, shift uint64, a, b, c int64) {
		var h, got Histogram
		h.Downscale(int(shift % (MaxScale + 1)))
		for _, v := range []int64{a, b, c, b} {
			h.Add(v)
		}
		if rest := got.MergePacked(h.AppendPacked(nil)); len(rest) != 0 {
			t.Fatalf("%d octets left", len(rest))
		}
		if h.Count() == 0 {
			h.Reset() // nothing is merged, not even the scale
		}
		requireEqual(t, "packed", &got, &h)
	})
}
