package flow

import (
	"cmp"
	"math"
	"math/bits"
	"slices"

	"mirrorscope/pool"
)

// fewDue of a plan are compared with each other right away. Of more than that, a
// pass puts those together of which the time is about the same: a few, as a rule, of a
// list that lies in about the right order already.
const fewDue = 512

// sort puts the plan in order.
func (t *Table) sort() {
	list := t.plan.list
	if len(list) < fewDue {
		slices.SortFunc(list, t.order)
		return
	}
	var s spread
	s.begin(list)
	heads, ends := pool.MakeSlice[uint32](&t.plans, s.groups()), pool.MakeSlice[uint32](&t.plans, s.groups())
	for i := range list {
		ends[s.group(list[i])]++
	}
	sum := uint32(0)
	for g, n := range ends {
		heads[g] = sum
		sum += n
		ends[g] = sum
	}
	for g := range heads {
		for i := heads[g]; i < ends[g]; i = heads[g] {
			to := s.group(list[i])
			list[i], list[heads[to]] = list[heads[to]], list[i]
			heads[to]++
		}
	}
	first := uint32(0)
	for _, end := range ends {
		if end > first+1 {
			slices.SortFunc(list[first:end], t.order)
		}
		first = end
	}
	pool.FreeSlice(&t.plans, heads)
	pool.FreeSlice(&t.plans, ends)
}

// spread divides a list into groups by time, in the order in which order has them: what
// is told apart by its start comes last, and all that comes before it then is in the
// first group.
type spread struct {
	byStart bool
	from    int64 // of the second group on
	shift   int   // lower bits of the time since then that do not matter
	last    int   // group
}

func (s *spread) begin(list []due) {
	for i := range list {
		s.byStart = s.byStart || list[i].byStart()
	}
	low, high := int64(math.MaxInt64), int64(math.MinInt64)
	for i := range list {
		if d := &list[i]; d.byStart() == s.byStart {
			low, high = min(low, d.at()), max(high, d.at())
		}
	}
	length := uint64(high - low)
	s.from, s.shift = low, max(bits.Len64(length)-bits.Len(uint(len(list)))+1, 0)
	s.last = int(length>>s.shift) + 1
}

func (s *spread) groups() int { return s.last + 1 }

func (s *spread) group(d due) int {
	if d.byStart() != s.byStart {
		return 0
	}
	return int(uint64(d.at()-s.from)>>s.shift) + 1
}

// order compares what is due, in the order of the output.
func (t *Table) order(a, b due) int {
	switch {
	case a.byStart() != b.byStart():
		return cmp.Compare(t.release(a), t.release(b))
	case a.at() != b.at():
		return cmp.Compare(a.at(), b.at())
	case !a.byStart():
		if c := cmp.Compare(t.start(a), t.start(b)); c != 0 {
			return c
		}
	}
	var ka, kb Key
	if c := t.keyOf(a, &ka).compare(t.keyOf(b, &kb)); c != 0 {
		return c
	}
	// Generations of a 5-tuple: those that have ended come first, in that order.
	if a.made() != b.made() {
		if a.made() {
			return -1
		}
		return 1
	}
	return cmp.Compare(a.n(), b.n())
}
