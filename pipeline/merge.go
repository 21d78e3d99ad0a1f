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
// are dealt out to as many heaps as there are records, by that number, so that a
// heap has one as a rule, and each heap is put in order by itself.
type merger struct {
	lists []flow.Records
	items []item
	dealt []item   // the other half of sorting
	heaps []uint32 // scratch: where each of them begins, or ends
	given int      // items given out
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
	m.lists, m.given = lists, 0
	if !m.byStart() {
		m.byRelease()
	}
	m.sort()
}

// byStart makes the items of all records, to be told apart by start, unless they
// differ in what goes before it.
func (m *merger) byStart() bool {
	m.items = m.items[:0]
	release, kind := int64(0), flow.Connection // of all
	for i := range m.lists {
		l := &m.lists[i]
		for k := range l.Len() {
			r := l.At(k)
			if len(m.items) == 0 {
				release, kind = r.Release, r.Kind
			}
			if r.Release != release || r.Kind != kind {
				return false
			}
			m.items = append(m.items, item{rising(r.Start), uint32(i), uint32(k)})
		}
		k := uint32(0)
		for page := range l.LonePages() {
			some := l.LonePage(page)
			if len(m.items) == 0 {
				release = some[0].Release()
			}
			for n := range some {
				x := &some[n]
				if x.Release() != release || kind != flow.Connection {
					return false
				}
				m.items = append(m.items, item{rising(x.Start()), uint32(i) | isLone, k})
				k++
			}
		}
	}
	return true
}

// byRelease makes the items of all records, to be told apart by release.
func (m *merger) byRelease() {
	m.items = m.items[:0]
	for i := range m.lists {
		l := &m.lists[i]
		for k := range l.Len() {
			m.items = append(m.items, item{rising(l.At(k).Release), uint32(i), uint32(k)})
		}
		for k := range l.Lones() {
			m.items = append(m.items, item{rising(l.Lone(k).Release()), uint32(i) | isLone, uint32(k)})
		}
	}
}

const (
	fewItems = 24 // are sorted by comparing
	lowHeap  = 8  // likewise, one by one
)

// sort puts the items in order.
func (m *merger) sort() {
	n := len(m.items)
	if n <= fewItems {
		slices.SortStableFunc(m.items, m.compare)
		return
	}
	least, most := uint64(math.MaxUint64), uint64(0)
	for i := range m.items {
		key := m.items[i].key
		least, most = min(least, key), max(most, key)
	}
	shift := max(bits.Len64(most-least)-bits.Len(uint(n)), 0) & 63
	m.heaps = slices.Grow(m.heaps[:0], int((most-least)>>shift)+1)[:int((most-least)>>shift)+1]
	heaps := m.heaps
	clear(heaps)
	for i := range m.items {
		heaps[(m.items[i].key-least)>>shift]++
	}
	sum := uint32(0)
	for h := range heaps {
		heaps[h], sum = sum, sum+heaps[h]
	}
	m.dealt = slices.Grow(m.dealt[:0], n)[:n]
	for i := range m.items {
		to := &heaps[(m.items[i].key-least)>>shift]
		m.dealt[*to] = m.items[i]
		*to++
	}
	m.items, m.dealt = m.dealt, m.items
	from := uint32(0)
	for _, end := range heaps { // where it began, the next one begins now
		if end-from > 1 {
			m.heap(m.items[from:end])
		}
		from = end
	}
}

// heap puts those of a heap in order. They are in order of their lists, and those of
// each list as they are there.
func (m *merger) heap(items []item) {
	if len(items) > lowHeap {
		slices.SortStableFunc(items, func(a, b item) int {
			if a.key != b.key {
				return cmp.Compare(a.key, b.key)
			}
			return m.compare(a, b)
		})
		return
	}
	for i := 1; i < len(items); i++ {
		x, k := items[i], i
		for ; k > 0 && (x.key < items[k-1].key || x.key == items[k-1].key && m.compare(x, items[k-1]) < 0); k-- {
			items[k] = items[k-1]
		}
		items[k] = x
	}
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

// nextLones adds the small ones that come next to a list, as many as it has room for
// and no other lies between.
func (m *merger) nextLones(to []*flow.Lone) []*flow.Lone {
	items := m.items[m.given:]
	items = items[:min(len(items), cap(to)-len(to))]
	for i := range items {
		x := &items[i]
		if x.list&isLone == 0 {
			break
		}
		to = append(to, m.lists[x.list&^isLone].Lone(int(x.at)))
		m.given++
	}
	return to
}

// nextRecords is nextLones for whole ones. Where there is an Expander, that makes such
// of the small ones, in the place of those that it made before.
func (m *merger) nextRecords(to []*flow.Record, whole *flow.Expander) []*flow.Record {
	items := m.items[m.given:]
	items = items[:min(len(items), cap(to)-len(to))]
	if whole != nil {
		whole.Reset()
	}
	for i := range items {
		x := &items[i]
		if x.list&isLone == 0 {
			to = append(to, m.lists[x.list].At(int(x.at)))
		} else {
			if whole == nil || whole.Full() {
				break
			}
			to = append(to, whole.Expand(m.lists[x.list&^isLone].Lone(int(x.at))))
		}
		m.given++
	}
	return to
}
