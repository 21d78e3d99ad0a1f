package flow

import (
	"math/rand/v2"
	"testing"
)

// narrow has few different hashes.
type narrow uint32

func (n narrow) hash(*secret) uint64 { return uint64(n) % 101 << 20 * 0x1_0000_0100 }

// What is known against a map.
func TestKnownModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	var x known[narrow, int64]
	var y known[pair, int64]
	model := map[narrow]int64{}
	pairOf := func(n narrow) (p pair) {
		p.a[15], p.b[0], p.point, p.network = byte(n), byte(n>>4), 1, 2
		p.b[9] = byte(n >> 8)
		return p
	}
	for i := range 60_000 {
		n := narrow(rng.IntN(3000))
		want, ok := model[n]
		for _, v := range []*int64{x.of(n), y.of(pairOf(n))} {
			if (v != nil) != ok || ok && *v != want {
				t.Fatalf("step %d: %d has %v, want %d, %v", i, n, v, want, ok)
			}
			if ok {
				*v = int64(i)
			}
		}
		if ok && y.likely(pairOf(n).hash(&y.secret)) == nil {
			t.Fatalf("step %d: %d is known, and nothing is likely", i, n)
		}
		if !ok {
			x.add(n, int64(i))
			y.add(pairOf(n), int64(i))
		}
		model[n] = int64(i)
		if rng.IntN(4000) == 0 {
			old := int64(i - rng.IntN(8000))
			keep := func(at int64) bool { return at >= old }
			x.sweep(keep)
			y.sweep(keep)
			for n, at := range model {
				if !keep(at) {
					delete(model, n)
				}
			}
		}
		if x.entries.Len() != len(model) || y.entries.Len() != len(model) || len(x.index) < 2*len(model) {
			t.Fatalf("step %d: %d and %d known, index of %d, want %d", i, x.entries.Len(), y.entries.Len(), len(x.index), len(model))
		}
	}
}

// All that may be learned has a number.
func TestKnownRoom(t *testing.T) {
	if n := maxLearned(1 << 50); n > maxKnown {
		t.Errorf("room for %d, of %d", maxKnown, n)
	}
}

// What is known of a pair of hosts ends with its age, and not with the sweep, which comes by
// the seconds that have packets.
func TestPairsAge(t *testing.T) {
	cfg := DefaultConfig()
	for _, swept := range []int64{1, 30, 59} { // s before the question
		l := NewLearned(cfg)
		p := pair{point: 3}
		const seen = 1_700_000_000e9
		l.Merge(nil, 0, seen)
		addPair(l, &l.pairs.any, p, false, seen)
		over := int64(seen) + int64(cfg.ListenerMemory)
		for at := int64(seen); at < over-swept*1e9; at += 20e9 {
			l.Merge(nil, 0, at)
		}
		l.Merge(nil, 0, over-swept*1e9)
		if l.Merge(nil, 0, over); !l.recordsBoth(p) {
			t.Errorf("swept %d s before: forgotten although it is not too old", swept)
		}
		if l.Merge(nil, 0, over+1e9); l.recordsBoth(p) {
			t.Errorf("swept %d s before: still known although it is too old", swept)
		}
	}
}
