package flow

import (
	"math"
	"math/bits"
)

// wheel keeps the flows of one timeout class by the second in which they will
// be released. A flow is entered once and stays while packets postpone its
// release; only when the wheel comes to its slot is it moved on. So a packet
// costs the wheel nothing, and the order of release stays exact to the second.
//
// It covers wheelSlots seconds from the one that was turned to last; what is
// due later waits in the farthest slot.
type wheel struct {
	slots [wheelSlots]wheelSlot
	used  [wheelSlots / 64]uint64 // slots that hold any
	base  int64                   // every flow is due at or after this second
	n     int

	timeout int64 // of the class, ns: a flow is due when it was silent for so long
	soon    soon
}

// wheelSlot is a ring of flows, through their links, in the order in which they
// were entered.
type wheelSlot struct{ first, held uint32 }

// due is the packet time at which a flow of this wheel that was seen last at a
// time is released unless a
// packet comes before: it follows from the packets alone.
func (w *wheel) due(seen int64) int64 { return seen + w.timeout }

// dueSecond is the first whole second at which a flow is due.
func (w *wheel) dueSecond(seen int64) int64 { return (w.due(seen) + 1e9 - 1) / 1e9 }

const wheelSlots = 1 << slotBits

func (w *wheel) slot(second int64) int {
	second = min(max(second, w.base), w.base+wheelSlots-1)
	return int(uint64(second) % wheelSlots)
}

// add enters flow n.
func (w *wheel) add(n uint32, flows *slab) { flows.setSlot(n, w.enter(n, flows.seen(n), flows)) }

// enter enters flow n, which was seen last at a time, and gives its slot.
func (w *wheel) enter(n uint32, seen int64, flows *slab) int {
	l, due := flows.link(n), w.dueSecond(seen)
	if w.n == 0 { // one that was seen before this one may come to be due before it
		w.base = max(w.base, due-min(w.timeout/1e9+1, wheelSlots-1))
	}
	i := w.slot(due)
	w.n++
	s := &w.slots[i]
	if s.held++; s.held == 1 {
		*l = link{n, n}
		s.first = n
		w.used[i/64] |= 1 << (i % 64)
	} else {
		first := flows.link(s.first)
		*l = link{s.first, first.prev}
		flows.link(first.prev).next, first.prev = n, n
	}
	if i+1 == w.soon.slot {
		w.note(n, flows)
	}
	return i
}

// remove takes flow n out.
func (w *wheel) remove(n uint32, flows *slab) { w.leave(n, flows.slot(n), flows) }

// leave takes flow n out of its slot.
func (w *wheel) leave(n uint32, i int, flows *slab) {
	w.n--
	s := &w.slots[i%wheelSlots]
	l := flows.link(n)
	if s.held--; s.held == 0 {
		w.used[i/64] &^= 1 << (i % 64)
		l.prev = noFlow
		return
	}
	flows.link(l.prev).next, flows.link(l.next).prev = l.next, l.prev
	if s.first == n {
		s.first = l.next
	}
	l.prev = noFlow
}

// empty forgets all flows, which are taken for out of it already.
func (w *wheel) empty() {
	clear(w.slots[:])
	clear(w.used[:])
	w.n = 0
	w.soon.forget()
}

// replace gives the place of flow old to flow n.
func (w *wheel) replace(old, n uint32, flows *slab) {
	i := flows.slot(old)
	flows.setSlot(n, i)
	s, l := &w.slots[i], *flows.link(old)
	flows.link(old).prev = noFlow
	if s.first == old {
		s.first = n
	}
	if s.held == 1 {
		l = link{n, n}
	}
	*flows.link(n) = l
	flows.link(l.prev).next, flows.link(l.next).prev = n, n
	if i+1 == w.soon.slot {
		w.note(n, flows)
	}
}

// earliest gives the flow that is due first, to the second, moving flows that
// were postponed on the way. It is noFlow when there is none due by limit (a
// second).
func (w *wheel) earliest(limit int64, flows *slab) uint32 {
	for w.n > 0 {
		ahead := w.nextUsed()
		second := w.base + int64(ahead)
		if second > limit {
			w.base = max(w.base, limit)
			return noFlow
		}
		w.base = second
		i := int(uint64(second) % wheelSlots)
		n := w.slots[i].first
		if w.dueSecond(flows.seen(n)) <= second {
			return n
		}
		w.remove(n, flows)
		w.add(n, flows)
	}
	if limit != anySecond {
		w.base = max(w.base, limit)
	}
	return noFlow
}

// anySecond as a limit: the earliest, whenever it is due.
const anySecond = math.MaxInt64

// untold adds embryos to dst that intervals have not told all of.
func (w *wheel) untold(flows *slab, dst []uint32) []uint32 {
	if w.n == 0 {
		return dst
	}
	for i := range w.slots {
		s := &w.slots[i]
		for n, left := s.first, s.held; left > 0; n, left = flows.link(n).next, left-1 {
			if n&isEmbryo != 0 && flows.embryo(n).flags&isQuiet == 0 {
				dst = append(dst, n)
			}
		}
	}
	return dst
}

// heldIn is how many flows are in the slot of a second: no more can be due in
// it.
func (w *wheel) heldIn(second int64) int {
	if w.n == 0 || second < w.base || second >= w.base+wheelSlots {
		return 0
	}
	return int(w.slots[uint64(second)%wheelSlots].held)
}

// nextUsed is the distance in slots from base to the next slot in use.
func (w *wheel) nextUsed() int {
	start := int(uint64(w.base) % wheelSlots)
	word, bit := start/64, start%64
	if u := w.used[word] >> bit; u != 0 {
		return bits.TrailingZeros64(u)
	}
	for k := 1; k <= len(w.used); k++ {
		i := (word + k) % len(w.used)
		if u := w.used[i]; u != 0 {
			at := i*64 + bits.TrailingZeros64(u)
			return (at - start + wheelSlots) % wheelSlots
		}
	}
	return 0
}
