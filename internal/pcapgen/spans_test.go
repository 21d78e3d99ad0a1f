package pcapgen

import (
	"math/rand/v2"
	"testing"
)

// TestSpans compares with a plain set of numbers.
func TestSpans(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 200 {
		var s spans
		var set [64]bool
		for range 1 + r.IntN(10) {
			from := r.Int64N(50)
			x := span{from, from + 1 + r.Int64N(10)}
			s = s.add(x)
			for i := x.from; i < x.to; i++ {
				set[i] = true
			}
		}
		if r.IntN(4) == 0 {
			n := r.Int64N(60)
			s = s.above(n)
			clear(set[:n])
		}
		size, top := int64(0), int64(0)
		for i, in := range set {
			if in {
				size, top = size+1, int64(i)+1
			}
		}
		if s.size() != size || s.top() != top {
			t.Fatalf("%v: size %d top %d, want %d %d", s, s.size(), s.top(), size, top)
		}
		for from := range int64(60) {
			x := span{from, from + 1 + r.Int64N(3)}
			all, any := true, false
			for i := x.from; i < x.to; i++ {
				all, any = all && set[i], any || set[i]
			}
			if s.has(x) != all || s.meets(x) != any {
				t.Fatalf("%v and %v: has %v meets %v, want %v %v", s, x, s.has(x), s.meets(x), all, any)
			}
			var want span
			for i := from; i < 55; i++ {
				if !set[i] {
					want = span{i, i + 1}
					for want.to < 55 && want.to < i+4 && !set[want.to] {
						want.to++
					}
					break
				}
			}
			got, ok := s.gap(from, 4, 55)
			if ok != (want.to > 0) || ok && got != want {
				t.Fatalf("%v: gap from %d is %v %v, want %v", s, from, got, ok, want)
			}
		}
		for i := 1; i < len(s); i++ {
			if s[i-1].to >= s[i].from {
				t.Fatalf("%v: not sorted and apart", s)
			}
		}
	}
}
