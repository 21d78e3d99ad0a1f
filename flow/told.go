package flow

import (
	"math"
	"math/bits"
	"unsafe"
)

// With intervals, connections are young, too. What an interval tells of one is the
// difference to what those before it have told, and a youth knows only the whole.
// So when an interval closes
//   - a youth becomes a flow, whose snapshot says what was told;
//   - a seed stays what it is: it is its SYN, and that was told if it came before the
//     interval began;
//   - what ends young waits as what it is, which is an eighth of a record.

// told tells whether an interval has told of a seed.
func (t *Table) told(e *seed) bool { return e.time < t.toldBefore }

// toldOf tells whether an interval has told of what is asleep as n.
func (t *Table) toldOf(n uint32) bool { return seedling(n) && t.told(t.flows.seeds.at(n)) }

// toTell tells whether the running interval has something to tell.
func (t *Table) toTell() bool {
	s := &t.flows
	return len(t.active)+t.intervals.Len()+len(t.gone)+s.embryos.live > 0 || s.seeds.live > 0 && s.seeds.latest >= t.toldBefore
}

// retell makes the snapshot of a flow, which has taken the packet of a seed, what it was
// when an interval told of that.
func (t *Table) retell(f *Flow) {
	serial := t.serial
	t.closeInterval(f, new(Record), false, nil)
	t.serial = serial
}

// since appends the numbers of the seeds that came at or after a time, ns.
func (s *seeds) since(time int64, dst []uint32) []uint32 {
	if s.live == 0 || s.latest < time {
		return dst
	}
	for i := s.tail; i != s.head; i++ {
		dst = s.ofRow(i, time, dst)
	}
	return dst
}

// ofRow is since for one row.
func (s *seeds) ofRow(i uint32, time int64, dst []uint32) []uint32 {
	r := s.row(i)
	for m := r.alive; m != 0; m &= m - 1 {
		if k := bits.TrailingZeros64(m); r.seeds[k%rowLen].time >= time {
			dst = append(dst, s.number(i, k))
		}
	}
	return dst
}

// planSeedsOne plans the end of each seed by itself, where the input ends and an interval
// with it: those that it has not told of stay until it has.
func (t *Table) planSeedsOne(now int64) {
	s := &t.flows.seeds
	for i := s.tail; i != s.head; i++ {
		t.planOuts(s.ofRow(i, math.MinInt64, t.due0[:0]), now)
	}
}

// mayWait is how many more that end young may wait for the close of the interval. At the
// end of the input all may: they were there before.
func (t *Table) mayWait() int { return t.maxIntervals*goneForOne - len(t.gone) }

// goneForOne is how many youths that wait take no more than a record.
const goneForOne = int(unsafe.Sizeof(Record{}) / (unsafe.Sizeof(embryo{}) + unsafe.Sizeof(link{}) + mostYouth))

// leave forgets what is young as n, of which the record was made; or it waits for the
// close of the interval, in no wheel: its link holds where it stands in Table.gone. named
// is that record, where it may have names.
func (t *Table) leave(n uint32, named *Record) {
	if t.cfg.Interval == 0 || t.toldOf(n) {
		t.flows.put(n)
		return
	}
	if seedling(n) && t.index.gone {
		return // the input has ended, and nothing takes its place
	}
	if seedling(n) { // those that wait need not go in order
		m := t.flows.embryos.get() | isEmbryo
		t.flows.seeds.embryo(t.flows.seeds.at(n), t.flows.embryo(m))
		t.flows.put(n)
		n = m
	}
	i := uint32(len(t.gone))
	t.gone = append(t.gone, n)
	if named != nil {
		if names := [2]string{named.Ends[Client].Name, named.Ends[Server].Name}; names != [2]string{} {
			t.goneNames[i] = names
		}
	}
	t.flows.link(n).next = i
	t.flows.embryos.live-- // nobody can end it once more
}

// growUp makes flows of the youths that no interval has told of. They are listed then.
func (t *Table) growUp() {
	s := &t.flows
	young := make([]uint32, 0, s.embryos.live)
	for c := range t.wheels {
		young = t.wheels[c].embryos(s, young)
	}
	for _, n := range young {
		e := s.embryo(n)
		key := e.key()
		// Others may have had to go to make room for those before.
		if m, ok := t.index.find(e.hash(t.secret), &key, s); ok && m == n {
			t.hatch(n, true)
		}
	}
}

// planYoung plans what the interval tells of the young: seeds, and youths that have ended.
func (t *Table) planYoung() {
	t.due0 = t.flows.seeds.since(t.toldBefore, t.due0[:0])
	for _, n := range t.due0 {
		t.plan.add(t, dueByStartAt(t.flows.start(n), n))
	}
	for _, n := range t.gone {
		t.plan.add(t, dueByStartAt(t.flows.start(n), n))
	}
}

// tellYoung makes the interval record of a seed, or of a youth that has ended.
func (t *Table) tellYoung(n uint32, r *Record) {
	if seedling(n) {
		f, ended := t.ending(n), t.plan.release == EndOfInput
		t.closeInterval(f, r, ended, nil)
		if t.giveBack(f); ended {
			t.flows.put(n)
		}
		return
	}
	names := t.goneNames[t.flows.link(n).next]
	t.flows.embryos.live++
	f := t.ending(n)
	t.decide(f)
	t.closeInterval(f, r, true, nil)
	r.Ends[Client].Name, r.Ends[Server].Name = names[Client], names[Server]
	t.forget(n, f)
}

// noTelling is Table.toldBefore where no interval has told anything.
const noTelling = math.MinInt64
