package edge

import (
	"cmp"
	"slices"
)

// heavy is a bounded set of rows that keeps those that weigh most. When it is
// full, the lighter half leaves, of equals the older: a row that becomes heavy
// late finds its place even where many light ones came first. One that left and
// comes again begins anew. What it keeps depends on nothing but the rows and
// their order.
type heavy[K comparable, R any] struct {
	limit  int
	rows   map[K]*kept[R]
	serial int64
	lack   int64 // the most that a row may lack, because it had left before

	weigh func(*R) (n, errors int64) // how often it came, and how often with an error
	leave func(*R)
}

type kept[R any] struct {
	serial int64
	row    R
}

// errorWeight is how many requests an error weighs.
const errorWeight = 10

func newHeavy[K comparable, R any](limit int, weigh func(*R) (n, errors int64), leave func(*R)) heavy[K, R] {
	return heavy[K, R]{limit: limit, rows: map[K]*kept[R]{}, weigh: weigh, leave: leave}
}

// get gives the row of a key, valid until the next get. isNew tells that it is
// empty.
func (h *heavy[K, R]) get(key K) (row *R, isNew bool) {
	if k := h.rows[key]; k != nil {
		return &k.row, false
	}
	if len(h.rows) >= h.limit {
		h.halve()
	}
	h.serial++
	k := &kept[R]{serial: h.serial}
	h.rows[key] = k
	return &k.row, true
}

func (h *heavy[K, R]) halve() {
	type item struct {
		key            K
		weight, serial int64
	}
	items := make([]item, 0, len(h.rows))
	for key, k := range h.rows {
		n, errors := h.weigh(&k.row)
		items = append(items, item{key, n + errorWeight*errors, k.serial})
	}
	slices.SortFunc(items, func(a, b item) int { return cmp.Or(cmp.Compare(a.weight, b.weight), cmp.Compare(a.serial, b.serial)) })
	most := int64(0)
	for _, i := range items[:len(items)-h.limit/2] {
		row := &h.rows[i.key].row
		n, _ := h.weigh(row)
		most = max(most, n)
		h.leave(row)
		delete(h.rows, i.key)
	}
	h.lack += most
}

// list lends the rows, in no order.
func (h *heavy[K, R]) list() []*R {
	all := make([]*R, 0, len(h.rows))
	for _, k := range h.rows {
		all = append(all, &k.row)
	}
	return all
}
