package index

import (
	"math/rand/v2"
	"testing"
)

// An index finds what a map has, whatever comes and goes, also where hashes are alike or
// their places are neighbours, around the end of the slots.
func TestModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, hashes := range []uint32{4, 40, 1 << 31} {
		x := New()
		x.Slots = make([]uint64, 64)
		has := map[uint32]uint32{} // number → hash
		for range 20_000 {
			hash, number := rng.Uint32N(hashes)-2, rng.Uint32N(200)+1
			if was, ok := has[number]; ok {
				x.Remove(was, number)
				delete(has, number)
			} else if 2*(len(has)+1) <= len(x.Slots) {
				x.Insert(hash, number)
				has[number] = hash
			}
			used := 0
			for _, slot := range x.Slots {
				if slot != 0 {
					used++
				}
			}
			if used != len(has) {
				t.Fatalf("%d slots in use, want %d", used, len(has))
			}
			for n, h := range has {
				if got := x.Find(h, func(m uint32) bool { return m == n }); got != n {
					t.Fatalf("number %d of hash %#x: found %d", n, h, got)
				}
			}
			if got := x.Find(hash, func(uint32) bool { return false }); got != 0 {
				t.Fatalf("found %d, want none", got)
			}
		}
	}
	empty := New()
	if got := empty.Find(7, func(uint32) bool { return true }); got != 0 {
		t.Errorf("found %d in an empty index", got)
	}
}

// What hashes are of depends on each word of the key and on the seed.
func TestHash(t *testing.T) {
	x, y := New(), New()
	seen := map[uint32]bool{x.Hash(1, 2, 3, 4, 5): true}
	for _, h := range []uint32{
		x.Hash(0, 2, 3, 4, 5), x.Hash(1, 0, 3, 4, 5), x.Hash(1, 2, 0, 4, 5), x.Hash(1, 2, 3, 0, 5), x.Hash(1, 2, 3, 4, 0), x.Hash(3, 4, 1, 2, 5), y.Hash(1, 2, 3, 4, 5),
	} {
		if seen[h] {
			t.Errorf("hash %#x twice", h)
		}
		seen[h] = true
	}
}
