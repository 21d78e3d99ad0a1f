package pipeline

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"mirrorscope/flow"
)

// merger puts the records of many lists in order. One number tells nearly all of
// them apart: their release, or, where that is the same for all, their start. They
// are sorted by the digits of that number, which takes no comparison that nobody
// can guess, and what is equal in it by the rest of their place.
type merger struct {
	lists []flow.Records
	items []item
	spare []item // the other half of sorting
	given int    // items given out
}

// item is a record.
type item struct {
	key  uint64
	list uint32 // number of its list, and isLone
	at   uint32 // in its list
}

// isLone marks items that are a list's flow.Lone.
const isLone = 1 << 31

// rank is what tells most records apart.
type rank struct {
	release, start int64
	kind           flow.Kind
}

func (m *merger) rank(i *item) rank {
	if i.list&isLone != 0 {
		l := m.lists[i.list&^isLone].Lone(int(i.at))
		return rank{l.Release(), l.Start(), flow.Connection}
	}
	r := m.lists[i.list].At(int(i.at))
	return rank{r.Release, r.Start, r.Kind}
}

func (m *merger) place(i *item) flow.Place {
	if i.list&isLone != 0 {
		return m.lists[i.list&^isLone].Lone(int(i.at)).Place()
	}
	return m.lists[i.list].At(int(i.at)).Place()
}

// compare orders items as flow.Compare orders their records, and what that cannot
// tell apart by list.
func (m *merger) compare(a, b item) int {
	r, s := m.rank(&a), m.rank(&b)
	switch {
	case r.release != s.release:
		return cmp.Compare(r.release, s.release)
	case r.kind != s.kind:
		return cmp.Compare(r.kind, s.kind)
	case r.start != s.start:
		return cmp.Compare(r.start, s.start)
	}
	p, q := m.place(&a), m.place(&b)
	return cmp.Or(p.Compare(&q), cmp.Compare(a.list&^isLone, b.list&^isLone))
}

// rising gives a time as a number in the same order.
func rising(ns int64) uint64 { return uint64(ns) ^ 1<<63 }

// begin takes lists, which must stay until all was given out.
func (m *merger) begin(lists []flow.Records) {
	m.lists, m.items, m.given = lists, m.items[:0], 0
	first, same := rank{}, true // release and kind of all
	for i := range lists {
		l := &lists[i]
		m.items = slices.Grow(m.items, l.Len()+l.Lones())
		for k := range l.Len() {
			r := l.At(k)
			if len(m.items) == 0 {
				first = rank{release: r.Release, kind: r.Kind}
			}
			same = same && r.Release == first.release && r.Kind == first.kind
			m.items = append(m.items, item{rising(r.Release), uint32(i), uint32(k)})
		}
		for k := range l.Lones() {
			r := l.Lone(k)
			if len(m.items) == 0 {
				first = rank{release: r.Release()}
			}
			same = same && r.Release() == first.release && first.kind == flow.Connection
			m.items = append(m.items, item{rising(r.Release()), uint32(i) | isLone, uint32(k)})
		}
	}
	if same {
		for i := range m.items {
			x := &m.items[i]
			x.key = rising(m.rank(x).start)
		}
	}
	m.sort()
}

// A digit has so many bits: the numbers of a thousand records in a row need two
// digits or three.
const (
	digitBits = 11
	digits    = 1 << digitBits
	fewItems  = 24 // are sorted by comparing
)

// sort puts the items in order.
func (m *merger) sort() {
	least, most := uint64(math.MaxUint64), uint64(0)
	for i := range m.items {
		least, most = min(least, m.items[i].key), max(most, m.items[i].key)
	}
	if len(m.items) <= fewItems {
		slices.SortStableFunc(m.items, m.compare)
		return
	}
	items, spare := m.items, slices.Grow(m.spare[:0], len(m.items))[:len(m.items)]
	for shift := 0; shift < bits.Len64(most-least); shift += digitBits {
		var from [digits]uint32 // where those with a digit go
		for i := range items {
			from[(items[i].key-least)>>(shift&63)%digits]++
		}
		sum := uint32(0)
		for d := range from {
			from[d], sum = sum, sum+from[d]
		}
		for i := range items {
			to := &from[(items[i].key-least)>>(shift&63)%digits]
			spare[*to] = items[i]
			*to++
		}
		items, spare = spare, items
	}
	m.items, m.spare = items, spare
	for i := 1; i < len(items); i++ {
		if items[i].key == items[i-1].key {
			i = m.even(i-1) - 1
		}
	}
}

// even puts those items in order that have the key of number i, and gives the
// number of the first one behind them.
func (m *merger) even(i int) (end int) {
	for end = i + 1; end < len(m.items) && m.items[end].key == m.items[i].key; {
		end++
	}
	slices.SortStableFunc(m.items[i:end], m.compare)
	return end
}

// next gives the record that comes next, whole or small; neither at the end.
func (m *merger) next() (whole *flow.Record, small *flow.Lone) {
	if m.given == len(m.items) {
		return nil, nil
	}
	x := &m.items[m.given]
	m.given++
	if x.list&isLone != 0 {
		return nil, m.lists[x.list&^isLone].Lone(int(x.at))
	}
	return m.lists[x.list].At(int(x.at)), nil
}
