package flow

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mirrorscope/packet"
)

// What is planned within a second, against a walk through all that is in the wheels:
// flows come, leave, are heard of, change their class, rest and wake, and their numbers
// are used again.
func TestSoonModel(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 8))
		table := newScene(t, nil).table
		flows, w := &table.flows, &table.wheels
		bed := flows.beds.Get(1) // of all that rest: nobody looks into it
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
				*flows.rested(n) = rested{seen: now - rng.Int64N(3e9), class: c, units: 1, at: bed}
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
						*flows.rested(m) = rested{seen: flows.seen(n), class: c, units: 1, at: bed}
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

// A list that is dropped while a plan is made of it, for most that it names have left, is
// asked for nothing more: what it would have told is found when the next one is made.
func TestSoonDropped(t *testing.T) {
	table := newScene(t, nil).table
	flows, w := &table.flows, &table.wheels[halfOpen]
	const second = sceneStart/1e9 + 100
	from := int64(second-1) * 1e9
	enter := func(due int64) uint32 {
		n := flows.get()
		*flows.at(n) = Flow{class: halfOpen, seen: due - w.timeout}
		w.add(n, flows)
		return n
	}
	w.base = second - 50
	var early, late []uint32
	for i := range int64(100) {
		early = append(early, enter(from+200e6+i))
		late = append(late, enter(from+800e6+i))
	}
	table.begin(plan{second: noSecond}, 0)
	table.planSoon(halfOpen, second, from+100e6) // nothing is due yet, but the list is made
	for _, n := range late {
		w.remove(n, flows)
		flows.put(n)
	}
	// Some of the others give their numbers to such as are due later in the same second.
	const again = 3
	for _, n := range early[len(early)-again:] {
		w.remove(n, flows)
		flows.put(n)
	}
	for i := range int64(again) {
		enter(from + 600e6 + i)
	}
	table.planSoon(halfOpen, second, from+300e6)
	if got := table.listed(); len(got) != len(early)-again {
		t.Fatalf("%d are planned, want %d", len(got), len(early)-again)
	}
	table.planSoon(halfOpen, second, from+700e6)
	if got := table.listed(); len(got) != len(early) {
		t.Fatalf("%d are planned, want %d", len(got), len(early))
	}
}

// The same by packets: connections at rest that nobody answers are due within a second,
// most of them are reset then, and those of which ICMP errors speak take over numbers.
func TestSoonDroppedByPackets(t *testing.T) {
	s := newScene(t, nil)
	s.table.bed.awake = 10
	open := func(d time.Duration, port uint16, n int) (hosts []host) {
		for i := range n {
			h := host{"10.1.0.7", port + uint16(i)}
			s.at(d + time.Duration(i)).add(s.tcp(h, srv, "S", 1000, 0, "x"))
			hosts = append(hosts, h)
		}
		return hosts
	}
	early := open(200*time.Millisecond, 1000, 300)
	again := open(600*time.Millisecond, 2000, 3)
	late := open(800*time.Millisecond, 3000, 100)
	noise := func(d time.Duration, n int) {
		for i := range n {
			s.at(d + time.Duration(i)).add(s.udp(host{"10.2.0.1", 7}, host{"10.2.0.2", 9}, "y"))
		}
	}
	noise(20*time.Second, 1000)
	noise(30*time.Second+50*time.Millisecond, 10)
	if s.table.flows.resting.live < 403 {
		t.Fatalf("%d rest", s.table.flows.resting.live)
	}
	s.at(30*time.Second + 100*time.Millisecond).collect()
	d := 30*time.Second + 150*time.Millisecond
	s.at(d)
	for _, h := range again {
		p, q := s.tcp(h, srv, "S", 1000, 0, ""), s.ip(srv, h, packet.ProtoICMP, 36)
		q.Now, q.Time, q.ICMPType, q.ICMPCode = s.table.now, s.now, 3, 1
		s.table.Quote(&q, &packet.Quote{Src: p.Src, Dst: p.Dst, SrcPort: p.SrcPort, DstPort: p.DstPort, Proto: p.Proto, Seq: 1000, HasSeq: true})
	}
	reset := func(list []host) {
		for _, h := range list {
			d++
			s.at(d).add(s.tcp(srv, h, "RA", 0, 1002, ""))
		}
	}
	reset(early[297:])
	for i := range 10 {
		d++
		s.at(d).add(s.udp(host{"10.3.0.1", uint16(7000 + i)}, srv, "z"))
	}
	noise(d, 1000)
	reset(late)
	s.at(30*time.Second + 300*time.Millisecond)
	noise(30*time.Second+300*time.Millisecond, 1)
	s.collect()
	if n := len(s.end()); n != 403+1+10 {
		t.Errorf("%d connections", n)
	}
}

// What may end until a time is no less than what is planned to end by then, and no more than
// that where each part of the second was asked for, but for what may end at any time.
func TestSoonUntil(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 19))
		table := newScene(t, nil).table
		flows := &table.flows
		const second = sceneStart/1e9 + 100
		const from = int64(second-1) * 1e9
		for c := range table.wheels {
			table.wheels[c].base = second - 50
		}
		enter := func(due int64) {
			c, n := class(rng.IntN(int(numClasses))), flows.get()
			*flows.at(n) = Flow{class: c, seen: due - table.wheels[c].timeout}
			table.wheels[c].add(n, flows)
		}
		const many = 2000
		for range many / 2 {
			enter(from + 1 + rng.Int64N(1e9))
		}
		collect := func(now int64) int {
			table.begin(plan{second: noSecond}, 0)
			for c := range numClasses {
				table.planSoon(c, second, now)
			}
			return len(table.listed())
		}
		now := from + 1 + rng.Int64N(1e9-1)
		total := collect(now)
		for range many / 2 { // behind those that are in order
			enter(from + 1 + rng.Int64N(1e9))
		}
		total += collect(now)
		var s Soon
		if table.AddSoon(&s, now); s.unsure != 0 {
			t.Fatalf("%d may end at any time", s.unsure)
		}
		may := 0
		for since := now; now < from+1e9; since = now {
			now = min(now+1+rng.Int64N(100e6), from+1e9)
			got := collect(now)
			n := s.Until(since, now)
			if n < got {
				t.Fatalf("%d ended between %d and %d ns, %d might", got, since-from, now-from, n)
			}
			total, may = total+got, may+n
		}
		if total != many {
			t.Fatalf("%d of %d ended", total, many)
		}
		if all := s.Until(from, from+1e9); all > total || may > total+many/10 {
			t.Errorf("%d ended, %d might, %d in pieces", total, all, may)
		}
	}
}

// What a table has no list of, and its seeds, may end at any time of the second; times outside
// of it count as its ends.
func TestSoonUnsure(t *testing.T) {
	s := newScene(t, nil)
	for i := range 100 {
		s.at(300*time.Millisecond + time.Duration(i)).add(s.tcp(host{"10.1.0.7", uint16(1000 + i)}, srv, "S", 1000, 0, ""))
	}
	table := s.table
	now := int64(sceneStart) + table.wheels[halfOpen].timeout + 1e8
	seeds := table.flows.seeds.live
	n := table.flows.get()
	*table.flows.at(n) = Flow{class: linger, seen: now - table.wheels[linger].timeout + 1e6}
	table.wheels[linger].base = now/1e9 - 10
	table.wheels[linger].add(n, &table.flows)
	var soon Soon
	table.AddSoon(&soon, now)
	for _, at := range [][2]int64{{now, now + 1}, {0, 1}, {1 << 62, 1<<62 + 1}, {-1 << 62, 1 << 62}} {
		if got := soon.Until(at[0], at[1]); got != seeds+1 || seeds == 0 {
			t.Errorf("%d may end from %d until %d, want %d seeds and 1", got, at[0], at[1], seeds)
		}
	}
}
