package group

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"mirrorscope/edge"
	"mirrorscope/flow"
)

// Window is what all combinations of values did in one stretch of time. It does
// not change once the table has given it out.
type Window struct {
	Start, End int64  // ns: of the interval; where all is one window, of the first and the last packet
	Interval   bool   // it is an interval: what came before and comes behind is in other windows
	Rows       []*Row // in order of their values
	Other      *Row   // the sum of those that found no place; nil: none
	Folded     int64  // rows that went into Other
}

// All gives every row, Other last.
func (w *Window) All() []*Row {
	if w.Other == nil {
		return w.Rows
	}
	return append(slices.Clone(w.Rows), w.Other)
}

// Merge adds all that another window of the same time and keys holds. Rows of the
// other one may be taken over: it must not be used any more.
func (w *Window) Merge(o *Window) {
	if o.Start != 0 || o.End != 0 {
		if w.Start == 0 && w.End == 0 {
			w.Start, w.End = o.Start, o.End
		}
		w.Start, w.End = min(w.Start, o.Start), max(w.End, o.End)
	}
	rows := make(map[string]*Row, len(w.Rows))
	for _, r := range w.Rows {
		rows[r.id] = r
	}
	for _, r := range o.Rows {
		if into := rows[r.id]; into != nil {
			into.Merge(r)
		} else {
			rows[r.id] = r
		}
	}
	w.Rows = inOrder(rows)
	if o.Other != nil {
		if w.Other == nil {
			w.Other = new(Row)
		}
		w.Other.Merge(o.Other)
	}
	w.Folded += o.Folded
}

// Fold puts the rows with the fewest octets into Other until so many are left, of
// equals those whose values come last.
func (w *Window) Fold(keep int) {
	if len(w.Rows) <= keep {
		return
	}
	bySize := slices.Clone(w.Rows)
	slices.SortFunc(bySize, larger)
	if w.Other == nil {
		w.Other = new(Row)
	}
	for _, r := range bySize[keep:] {
		w.Other.Merge(r)
		w.Folded++
	}
	w.Rows = bySize[:keep]
	slices.SortFunc(w.Rows, byValues)
}

// larger orders rows by their octets, the largest first, then by their values.
func larger(a, b *Row) int {
	return cmp.Or(cmp.Compare(b.Bytes(), a.Bytes()), byValues(a, b))
}

func byValues(a, b *Row) int { return slices.Compare(a.Values, b.Values) }

func inOrder(rows map[string]*Row) []*Row {
	return slices.SortedFunc(maps.Values(rows), byValues)
}

// Sorted gives the rows in an order, the first limit of them; 0 is all. What is
// equal is in order of octets, then values.
func (w *Window) Sorted(order edge.Order, limit int) []*Row {
	type ranked struct {
		*Row
		n int64
		x float64
	}
	all := make([]ranked, len(w.Rows))
	for i, r := range w.Rows {
		all[i].Row = r
		if order != edge.ByBytes {
			all[i].n, all[i].x = order.Rank(r.Conversation())
		}
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.n, a.n), cmp.Compare(b.x, a.x), larger(a.Row, b.Row))
	})
	if limit > 0 {
		all = all[:min(limit, len(all))]
	}
	rows := make([]*Row, len(all))
	for i := range all {
		rows[i] = all[i].Row
	}
	return rows
}

// Value gives a row's value of a key, "" where it has none.
func Value(keys []Key, r *Row, k Key) string {
	if at := slices.Index(keys, k); at >= 0 && at < len(r.Values) {
		return r.Values[at]
	}
	return ""
}

// Name is what a side of a row is called: the values of the keys of that side, and
// of the record where side is both, with a space between. "" where there are none.
func Name(keys []Key, r *Row, side flow.Side, sided bool) string {
	var words []string
	for i, k := range keys {
		if k.Sided != sided || sided && k.Side != side || i >= len(r.Values) {
			continue
		}
		if v := r.Values[i]; v != "" {
			words = append(words, v)
		} else {
			words = append(words, "-")
		}
	}
	return strings.Join(words, " ")
}
