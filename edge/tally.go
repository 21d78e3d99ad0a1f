package edge

import (
	"cmp"
	"slices"
)

// maxTally bounds the values that a Tally tells apart.
const maxTally = 8

// Tally counts how often values came. The first few are told apart.
type Tally[T cmp.Ordered] struct {
	Counts []Count[T] // in order of first appearance
	Other  int64      // of values that found no place
}

// Count is how often one value came.
type Count[T cmp.Ordered] struct {
	Value T
	N     int64
}

func (t *Tally[T]) add(value T, n int64) {
	for i := range t.Counts {
		if t.Counts[i].Value == value {
			t.Counts[i].N += n
			return
		}
	}
	if len(t.Counts) >= maxTally {
		t.Other += n
		return
	}
	t.Counts = append(t.Counts, Count[T]{value, n})
}

// reset empties it. Its memory is used again.
func (t *Tally[T]) reset() { t.Counts, t.Other = t.Counts[:0], 0 }

func (t *Tally[T]) merge(o *Tally[T]) {
	for _, c := range o.Counts {
		t.add(c.Value, c.N)
	}
	t.Other += o.Other
}

// Top gives the values, the most frequent first.
func (t *Tally[T]) Top() []Count[T] {
	top := slices.Clone(t.Counts)
	slices.SortFunc(top, func(a, b Count[T]) int {
		return cmp.Or(cmp.Compare(b.N, a.N), cmp.Compare(a.Value, b.Value))
	})
	return top
}
