package flow

import (
	"cmp"
	"slices"
	"unsafe"

	"mirrorscope/pool"
)

// soon lists the flows of a slot of a wheel that may be due in its second, one
// behind the other: whoever asks within that second again and again what is due by
// now (Table.PlanCollect) looks at each flow once, when it asks first, and then at
// those of which the time has come. Nothing is taken out when a flow is heard of,
// leaves the wheel, or gives its number to another: an entry is only a reason to
// look.
type soon struct {
	slot    int   // of the wheel, + 1; 0 if there is no list
	from    int64 // the beginning of its second, ns
	second  int64
	entries pool.List[soonDue]
	sorted  int // so many entries are in order
	past    int // of those, so many were given
}

// soonDue is a flow that is due so many ns after the beginning of the second, at the
// soonest.
type soonDue struct{ after, n uint32 }

// leastSoon is how many entries there may be at most beside twice the flows of the slot.
const leastSoon = 64

// collectable gives the flows in the slot of a second that may be due by now (ns),
// in dst. Of each, Table.planSoon has to be asked, in that order.
func (w *wheel) collectable(second, now int64, flows *slab, dst []uint32) []uint32 {
	if w.n == 0 || second < w.base || second >= w.base+wheelSlots {
		return dst
	}
	s := &w.soon
	if s.slot == 0 || s.second != second {
		w.survey(second, flows)
	}
	by := uint32(min(max(now, s.from)-s.from, 1e9))
	entries := s.entries.Items()
	for s.past < s.sorted && entries[s.past].after <= by {
		dst = append(dst, entries[s.past].n)
		s.past++
	}
	kept := entries[:s.sorted]
	for _, e := range entries[s.sorted:] {
		if e.after <= by {
			dst = append(dst, e.n)
		} else {
			kept = append(kept, e)
		}
	}
	s.entries.Truncate(len(kept))
	return dst
}

// survey lists the flows in the slot of a second.
func (w *wheel) survey(second int64, flows *slab) {
	s := &w.soon
	s.slot, s.second, s.from = int(uint64(second)%wheelSlots)+1, second, (second-1)*1e9
	s.entries.Empty(maxKept)
	held := w.slots[s.slot-1]
	for n, left := held.first, held.held; left > 0; n, left = flows.link(n).next, left-1 {
		s.entries.Add(soonDue{n: n})
	}
	list := s.entries.Items()
	kept := list[:0]
	for i, e := range list {
		if i+2*nextEnds < len(list) {
			flows.prefetch(list[i+2*nextEnds].n)
		}
		if i+nextEnds < len(list) {
			flows.prefetchMore(list[i+nextEnds].n)
		}
		if s.sets(&e, w.due(flows.seen(e.n))) {
			kept = append(kept, e)
		}
	}
	slices.SortFunc(kept, func(a, b soonDue) int { return cmp.Compare(a.after, b.after) })
	s.entries.Truncate(len(kept))
	s.past, s.sorted = 0, len(kept)
}

// sets gives an entry its time. It is false if the flow is not due in the second.
func (s *soon) sets(e *soonDue, due int64) bool {
	if due <= s.from {
		e.after = 0
		return true
	}
	after := uint64(due - s.from)
	e.after = uint32(after)
	return after <= 1e9
}

// note lists a flow that was entered into the slot of the list, or is due later in it
// than was thought.
func (w *wheel) note(n uint32, flows *slab) {
	s, e := &w.soon, soonDue{n: n}
	if s.slot == 0 || !s.sets(&e, w.due(flows.seen(n))) { // it was dropped while a plan is made of it
		return
	}
	if s.entries.Len()-s.past >= 2*int(w.slots[s.slot-1].held)+leastSoon { // many that are not there any more
		s.forget()
		return
	}
	s.entries.Add(e)
}

// forget drops the list.
func (s *soon) forget() {
	s.slot, s.sorted, s.past = 0, 0, 0
	s.entries.Empty(maxKept)
}

// planSoon plans the end of the flows of a class in the slot of a second that are due
// by now (ns).
func (t *Table) planSoon(c class, second, now int64) {
	w, flows := &t.wheels[c], &t.flows
	t.due0 = w.collectable(second, now, flows, t.due0[:0])
	slot := w.soon.slot - 1
	for i, n := range t.due0 {
		if i+2*nextEnds < len(t.due0) {
			flows.prefetch(t.due0[i+2*nextEnds])
		}
		if i+nextEnds < len(t.due0) {
			next := t.due0[i+nextEnds]
			flows.prefetchMore(next)
			pool.Prefetch(unsafe.Pointer(flows.link(next)), 1)
		}
		switch {
		case !flows.entered(n) || flows.class(n) != c || flows.slot(n) != slot: // another has its number, or it has
		case w.due(flows.seen(n)) > now:
			w.note(n, flows)
		default:
			t.planEnd(n, t.dueOf(n))
		}
	}
}

// Soon tells when within the second that now is in, flows may end, for as long as no packet
// comes.
type Soon struct {
	from   int64 // when it begins, ns
	parts  [soonParts]int
	unsure int // flows that may end at any time of it
}

// The parts of a second are of 1<<soonShift ns.
const (
	soonShift = 20
	soonParts = 1e9>>soonShift + 1
)

// part is that of a time.
func (s *Soon) part(now int64) int { return int(min(max(now-s.from, 0)>>soonShift, soonParts-1)) }

// Until is how many flows may end until now, where those of a time since were asked for.
func (s *Soon) Until(since, now int64) int {
	n := s.unsure
	for i := s.part(since); i <= s.part(now); i++ {
		n += s.parts[i]
	}
	return n
}

// AddSoon adds to s the flows that may end in the second of now, behind PlanCollect of that
// time.
func (t *Table) AddSoon(s *Soon, now int64) {
	second := now/1e9 + 1
	s.from = (second - 1) * 1e9
	for c := range t.wheels {
		w := &t.wheels[c]
		if w.soon.slot == 0 || w.soon.second != second {
			s.unsure += w.heldIn(second)
			continue
		}
		for _, e := range w.soon.entries.Items()[w.soon.past:] {
			s.parts[min(e.after>>soonShift, soonParts-1)]++
		}
	}
	if t.flows.seeds.first() != noFlow {
		s.unsure += t.flows.seeds.until(t.sown(second * 1e9))
	}
}
