package flow

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// What is planned within a second, against a walk through all that is in the wheels:
// flows come, leave, are heard of, change their class, rest and wake, and their numbers
// are used again.
func TestSoonModel(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 8))
		table := newScene(t, nil).table
		flows, w := &table.flows, &table.wheels
		for c := range w {
			w[c].timeout = []int64{1e9, 2e9, 700e6, 5e9, 1, 3e9, 1200e9}[c]
		}
		var live []uint32
		planned, asked := 0, 0
		now := int64(sceneStart)
		add := func() {
			c, n := class(rng.IntN(int(numClasses))), uint32(0)
			if rng.IntN(3) > 0 {
				n = flows.get()
				*flows.at(n) = Flow{seen: now - rng.Int64N(3e9), class: c}
			} else {
				n = flows.resting.get() | isResting
				*flows.rested(n) = rested{seen: now - rng.Int64N(3e9), class: c}
			}
			w[c].add(n, flows)
			live = append(live, n)
		}
		gone := func(i int) {
			flows.put(live[i])
			live = slices.Delete(live, i, i+1)
		}
		for range 20_000 {
			now += rng.Int64N(2e6)
			if rng.IntN(2000) == 0 {
				now += rng.Int64N(20e9)
			}
			if len(live) == 0 || rng.IntN(3) == 0 && len(live) < 300 {
				add()
				continue
			}
			i := rng.IntN(len(live))
			n := live[i]
			c := flows.class(n)
			switch rng.IntN(10) {
			case 0:
				w[c].remove(n, flows)
				gone(i)
			case 1, 2, 3: // heard of
				if asleep(n) {
					flows.rested(n).seen = now
				} else {
					flows.at(n).seen = now
				}
			case 4:
				if asleep(n) {
					continue
				}
				w[c].remove(n, flows)
				f := flows.at(n)
				f.class, f.seen = class(rng.IntN(int(numClasses))), now
				w[f.class].add(n, flows)
			case 5, 6: // rests, or wakes; now and then again and again
				times := 1
				if rng.IntN(100) == 0 {
					times = 1000
				}
				for range times {
					n, m := live[i], uint32(0)
					if asleep(n) {
						m = flows.get()
						*flows.at(m) = Flow{seen: flows.seen(n), class: c}
					} else {
						m = flows.resting.get() | isResting
						*flows.rested(m) = rested{seen: flows.seen(n), class: c}
					}
					w[c].replace(n, m, flows)
					flows.put(n)
					live[i] = m
				}
			case 7:
				last := now - 1
				table.begin(plan{second: noSecond}, 0)
				table.planDue(last / 1e9)
				want := table.listed()
				for c := range w {
					want = w[c].plainly(last/1e9+1, last, flows, want)
				}
				for c := range numClasses {
					table.planSoon(c, last/1e9+1, last)
				}
				got := table.listed()
				asked++
				slices.Sort(want)
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Fatalf("%d are planned, want %d", len(got), len(want))
				}
				planned += len(got)
				for _, n := range got {
					gone(slices.Index(live, n))
				}
			}
			for c := range w {
				if s := &w[c].soon; s.entries.Len()-s.past > 2*300+leastSoon {
					t.Fatalf("%d entries for 300 flows", s.entries.Len())
				}
			}
		}
		if asked < 1000 || planned < 1000 {
			t.Fatalf("%d flows at %d times prove nothing", planned, asked)
		}
	}
}

// listed are the flows of the plan.
func (t *Table) listed() (numbers []uint32) {
	for i := range t.plan.list {
		numbers = append(numbers, t.plan.list[i].n())
	}
	return numbers
}

// plainly adds to dst the flows in the slot of a second that are due by now (ns).
func (w *wheel) plainly(second, now int64, flows *slab, dst []uint32) []uint32 {
	if w.n == 0 || second < w.base || second >= w.base+wheelSlots {
		return dst
	}
	s := &w.slots[uint64(second)%wheelSlots]
	for n, left := s.first, s.held; left > 0; n, left = flows.link(n).next, left-1 {
		if w.due(flows.seen(n)) <= now {
			dst = append(dst, n)
		}
	}
	return dst
}
