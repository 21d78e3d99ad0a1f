package pool

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// A list against a slice.
func TestListModel(t *testing.T) {
	type value struct {
		a uint64
		b uint32
		c [3]uint8
	}
	rng := rand.New(rand.NewPCG(1, 9))
	var l List[value]
	var model []value
	for i := range 20_000 {
		switch rng.IntN(2000) {
		case 0:
			l.Empty(rng.IntN(4000))
			model = model[:0]
		case 1:
			n := rng.IntN(len(model) + 1)
			l.Truncate(n)
			model = model[:n]
		default:
			v := value{rng.Uint64(), rng.Uint32(), [3]uint8{1, 2, uint8(i)}}
			l.Add(v)
			model = append(model, v)
		}
		if l.Len() != len(model) || len(model) > 0 && l.Items()[len(model)-1] != model[len(model)-1] {
			t.Fatalf("%d values, want %d", l.Len(), len(model))
		}
		if i%500 == 0 && !slices.Equal(l.Items(), model) {
			t.Fatal("other values")
		}
	}
	l.Empty(0)
	if l.items != nil {
		t.Error("room is kept")
	}
}

// A list that was emptied begins with the room that it needed, once: then with that which it
// needed after.
func TestListBefore(t *testing.T) {
	var l List[uint64]
	before := 0
	for i, n := range []int{5000, 1, 1, 300, 3} {
		for range n {
			l.Add(1)
		}
		if least := max(n, before, firstList/8); cap(l.Items()) < least || cap(l.Items()) >= 2*least {
			t.Errorf("round %d: room for %d, of %d values and %d before", i, cap(l.Items()), n, before)
		}
		l.Empty(0)
		before = n
	}
}
