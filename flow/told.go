package flow

import (
	"math"
	"math/bits"
	"unsafe"
)

// With intervals, connections are young, too. What an interval tells of one is the
// difference to what those before it have told, and a youth has a log of all packets.
// So when an interval closes
//   - an embryo stays what it is, and is quiet until its next packet. A youth has a mark
//     put into its log, for which room is left: up to there it was told. Whoever takes the
//     packets from the log closes the interval there once more;
//   - a seed stays what it is: it is its SYN, and that was told if it came before the
//     interval began;
//   - what ends young waits as what it is, which is an eighth of a record.

// told tells whether an interval has told of a seed that came at a time, ns.
func (t *Table) told(time int64) bool { return time < t.toldBefore }

// toldOf tells whether intervals have told of all that came of what is young as n.
func (t *Table) toldOf(n uint32) bool {
	if seedling(n) {
		return t.told(t.flows.seeds.seen(n))
	}
	return t.flows.embryo(n).flags&isQuiet != 0
}

// toTell tells whether the running interval has something to tell.
func (t *Table) toTell() bool {
	s := &t.flows
	return len(t.active)+t.intervals.Len()+len(t.gone)+s.embryos.live-s.quiet > 0 || s.seeds.live > 0 && s.seeds.latest >= t.toldBefore
}

// retell closes an interval for a flow as was done when it told of what the flow has taken
// so far.
func (t *Table) retell(f *Flow) {
	serial := t.serial
	t.retold = Record{}
	t.closeInterval(f, &t.retold, false, nil)
	t.retold.Forget()
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
		if k := bits.TrailingZeros64(m); r.time(k) >= time {
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
		t.flows.seeds.embryo(n, t.flows.embryo(m))
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

// planYoung plans what the interval tells of the young: seeds, which are in due0, embryos, and
// those that have ended.
func (t *Table) planYoung() {
	s := &t.flows
	if s.embryos.live > s.quiet {
		for c := range t.wheels {
			t.due0 = t.wheels[c].untold(s, t.due0)
		}
	}
	for _, list := range [...][]uint32{t.due0, t.gone} {
		for _, n := range list {
			t.plan.add(t, dueByStartAt(s.start(n), n))
		}
	}
}

// tellYoung makes the interval record of a seed, of an embryo, or of one that has ended.
func (t *Table) tellYoung(n uint32, r *Record) {
	if seedling(n) {
		if t.tellLone(n, r); t.plan.release == EndOfInput {
			t.flows.put(n)
		}
		return
	}
	i := t.flows.link(n).next
	if uint64(i) >= uint64(len(t.gone)) || t.gone[i] != n { // it lives
		if !t.tellLone(n, r) && !t.tellShort(n, r, false) {
			f := t.ending(n)
			t.closeInterval(f, r, false, nil)
			t.giveBack(f)
		}
		t.flows.hush(n)
		return
	}
	names := t.goneNames[i]
	t.flows.embryos.live++
	if !t.tellShort(n, r, true) {
		f := t.ending(n)
		t.decide(f)
		t.closeInterval(f, r, true, nil)
		t.giveBack(f)
	}
	r.Ends[Client].Name, r.Ends[Server].Name = names[Client], names[Server]
	t.flows.put(n)
}

// tellLone makes the interval record of what is nothing but a SYN, which none has told of: it
// is that of the flow that relive makes. It is false of a youth.
func (t *Table) tellLone(n uint32, r *Record) bool {
	var l Lone
	if seedling(n) {
		s := &t.flows.seeds
		s.lone(s.at(n), s.seen(n), &l)
	} else {
		e := t.flows.embryo(n)
		if e.grown() {
			return false
		}
		e.lone(&l)
	}
	t.serial++
	l.serial = t.serial
	l.record(r, &t.ids)
	r.Kind = Interval
	r.Handshake = noHandshake
	r.Handshake.SYNs, r.Handshake.Reasons = 1, 0
	t.nameEnds(r)
	return true
}

// hush has an embryo remember that all of it was told.
func (s *slab) hush(n uint32) {
	e := s.embryo(n)
	if e.grown() {
		s.youth(e.behind).mark()
	} else {
		e.flags |= toldSYN
	}
	e.flags |= isQuiet
	s.quiet++
}

// stir tells that a packet of an embryo came.
func (s *slab) stir(e *embryo) {
	if e.flags&isQuiet != 0 {
		e.flags &^= isQuiet
		s.quiet--
	}
}

// noTelling is Table.toldBefore where no interval has told anything.
const noTelling = math.MinInt64
