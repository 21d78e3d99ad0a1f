package flow

import (
	"cmp"
	"math"
	"math/bits"
	"sort"

	"mirrorscope/pool"
)

// At a barrier a table may have far more records to give than there is memory
// for: a record is larger than the flow that it tells of. So it first plans
// what it will tell, in the order of the output, and then makes the records a
// piece at a time. All tables cut their plans at the same places of that order,
// which gives the records of all partitions in order without their ever being
// there all at once.

// Mark is a place in the order of records (Compare).
type Mark struct {
	release int64
	kind    Kind
	start   int64
	key     Key
}

// Last is the place behind all records.
func Last() Mark { return Mark{release: math.MaxInt64, kind: numKinds} }

func (m *Mark) compare(o *Mark) int {
	if m.release != o.release || m.kind != o.kind || m.start != o.start {
		return m.compareTo(o.release, o.kind, o.start)
	}
	return m.key.compare(&o.key)
}

// compareTo compares with a place whose key does not matter, or is that of m.
func (m *Mark) compareTo(release int64, kind Kind, start int64) int {
	switch {
	case m.release != release:
		return cmp.Compare(m.release, release)
	case m.kind != kind:
		return cmp.Compare(m.kind, kind)
	}
	return cmp.Compare(m.start, start)
}

// before tells whether the record lies behind the mark.
func (m *Mark) before(r *Record) bool {
	c := m.compareTo(r.Release, r.Kind, r.Start)
	return c < 0 || c == 0 && m.key.compare(&r.key) < 0
}

// plan is what a table has to tell at a barrier: connections that end, or the
// interval that closes.
type plan struct {
	kind Kind
	list []due    // in order; outside of the heap, in Table.plans
	open []uint32 // behind list: flows that are open when the input ends, likewise
	done int      // of both

	seeds int   // so many of the first ones end as well
	ripe  int64 // those that came by then are due; the others are open when the input ends

	closing    bool  // the interval closes when these connections have ended
	start, end int64 // of that interval; kind Interval
	release    int64 // of all intervals
	told       int64 // Table.toldBefore when all is done; kind Interval
	second     int64 // Table.second when all is done; noSecond: as it is
	tie        int64 // Table.tie likewise
}

// due is a record to be made. At the end of the input there is one for each flow,
// so it is small: one time tells most of them apart. In plan.open, the number is left. It is
// passed in registers: eight octets that were written as two times four are slow to be read.
type due struct {
	low, high uint32 // of at
	what      uint32 // n, and above it byStart and made
}

// Bits of due.what above the number.
const (
	dueByStart = 1 << 31
	dueMade    = 1 << 30
)

// dueAt makes one with a release, of flow n.
func dueAt(release int64, n uint32) due { return due{uint32(release), uint32(release >> 32), n} }

// dueByStartAt makes one with a start: the release is that of the plan, or the end of
// the input.
func dueByStartAt(start int64, n uint32) due { return dueAt(start, n|dueByStart) }

// at is the release; where many have the same, the start.
func (d due) at() int64 { return int64(d.high)<<32 | int64(d.low) }

// n is the number of the flow.
func (d due) n() uint32 { return d.what &^ (dueByStart | dueMade) }

// byStart: at is the start.
func (d due) byStart() bool { return d.what&dueByStart != 0 }

// made: n is the number of a record in Table.intervals instead.
func (d due) made() bool { return d.what&dueMade != 0 }

func (t *Table) release(d due) int64 {
	switch {
	case !d.byStart():
		return d.at()
	case t.plan.kind == Interval:
		return t.plan.release
	}
	return EndOfInput
}

func (t *Table) start(d due) int64 {
	if d.byStart() {
		return d.at()
	}
	return t.flows.start(d.n())
}

// leastPlan is how long a list is made at first, and maxKept how long it may be
// to be kept for the next plan.
const leastPlan, maxKept = 64, 4096

// fewLengths is the length from which pool.Memory maps a list for itself.
const fewLengths = 1 << 16

// begin starts an empty plan, and makes room for so many.
func (t *Table) begin(p plan, room int) {
	pool.FreeSlice(&t.plans, t.plan.open)
	p.list = t.plan.list[:0]
	if cap(p.list) > maxKept {
		pool.FreeSlice(&t.plans, p.list)
		p.list = nil
	}
	if t.plan = p; room > cap(p.list) {
		t.extend(room)
	}
}

// extend gives the list of the plan room for n, at least for what is in it.
func (t *Table) extend(n int) {
	was := t.plan.list
	list := pool.MakeSlice[due](&t.plans, roomOf(n))
	t.plan.list = list[:copy(list, was)]
	pool.FreeSlice(&t.plans, was)
}

// roomOf is how long a list for n is made. Short ones have few lengths, so that their
// memory is used again.
func roomOf(n int) int {
	if n < fewLengths {
		n = 1 << bits.Len(uint(max(n, 1)-1))
	}
	return n
}

// condense keeps of what is open at the end of the input, which is in order, and last,
// no more than the numbers: all tables have such a plan at once.
func (t *Table) condense() {
	p := &t.plan
	first := sort.Search(len(p.list), func(i int) bool { return p.list[i].byStart() })
	open := p.list[first:]
	if len(open) <= maxKept {
		return
	}
	p.open = pool.MakeSlice[uint32](&t.plans, roomOf(len(open)))[:len(open)]
	for i := range open {
		p.open[i] = open[i].n()
	}
	p.list = p.list[:first]
	t.extend(first)
}

// len is of how many records, beside those of seeds, the plan is.
func (p *plan) len() int { return len(p.list) + len(p.open) }

// number is the number of the i-th flow.
func (p *plan) number(i int) uint32 {
	if i < len(p.list) {
		return p.list[i].n()
	}
	return p.open[i-len(p.list)]
}

// planned is the i-th record of the plan, which is not made yet.
func (t *Table) planned(i int) due {
	p := &t.plan
	if i < len(p.list) {
		return p.list[i]
	}
	n := p.open[i-len(p.list)]
	return dueByStartAt(t.flows.start(n), n)
}

// add adds a record to the plan.
func (p *plan) add(t *Table, d due) {
	if len(p.list) == cap(p.list) {
		t.extend(max(2*cap(p.list), leastPlan))
	}
	p.list = append(p.list, d)
}

// planEnd plans the end of a flow and takes it out of its wheel.
func (t *Table) planEnd(n uint32, release int64) {
	t.wheels[t.flows.class(n)].remove(n, &t.flows)
	t.planOut(n, release)
}

// planAll plans the end of all that is in the wheels, in the order in which it lies in
// memory, and empties those. What is not due by now is open.
func (t *Table) planAll(now int64) {
	s := &t.flows
	for i := range s.store.chunks {
		t.planOuts(s.store.takeOut(i, 0, t.due0[:0]), now)
	}
	for i := range s.embryos.chunks {
		t.planOuts(s.embryos.takeOut(i, isEmbryo, t.due0[:0]), now)
	}
	for i := range s.resting.chunks {
		t.planOuts(s.resting.takeOut(i, isResting, t.due0[:0]), now)
	}
	for c := range t.wheels {
		t.wheels[c].empty()
	}
}

// planOuts plans the end of flows of a chunk, which are in no wheel any more.
func (t *Table) planOuts(numbers []uint32, now int64) {
	t.due0 = numbers
	for _, n := range numbers {
		if n&isEmbryo != 0 {
			t.flows.prefetchMore(n)
		}
	}
	for _, n := range numbers {
		release := t.dueOf(n)
		if release > now {
			release = EndOfInput
		}
		t.planOut(n, release)
	}
}

// planOut plans the end of a flow that is in no wheel any more.
func (t *Table) planOut(n uint32, release int64) {
	if !asleep(n) {
		t.flows.at(n).class = leaving
	}
	if release == EndOfInput {
		t.plan.add(t, dueByStartAt(t.flows.start(n), n))
		return
	}
	t.plan.add(t, dueAt(release, n))
}

// keyOf gives the key of what is due, which may be in scratch.
func (t *Table) keyOf(d due, scratch *Key) *Key {
	if d.made() {
		return &t.intervals.At(int(d.n())).key
	}
	return t.flows.key(d.n(), scratch)
}

func (t *Table) mark(d due) Mark {
	var scratch Key
	return Mark{release: t.release(d), kind: t.plan.kind, start: t.start(d), key: *t.keyOf(d, &scratch)}
}

// behind tells whether a record to be made lies behind a mark.
func (t *Table) behind(d due, m *Mark) bool {
	release := t.release(d)
	if release != m.release {
		return release > m.release
	}
	if c := m.compareTo(release, t.plan.kind, t.start(d)); c != 0 {
		return c < 0
	}
	var scratch Key
	return m.key.compare(t.keyOf(d, &scratch)) < 0
}

// lonesForOne is how many Lones count as one Record in a piece. They are a
// twenty-first of it; but what adds them up shall find its memory in the caches, too.
const lonesForOne = 8

// left is how many records of the plan are not made yet: of its lists, and of its seeds,
// of which so many count as one.
func (t *Table) left() (listed, seeds, each int) {
	each = 1
	if t.small() {
		each = lonesForOne
	}
	return t.plan.len() - t.plan.done, t.plan.seeds, each
}

// Cut gives the place up to which all tables together make about n records of
// their plans, and never many more. Of small ones, lonesForOne count as one. more tells
// that something is left behind it.
func Cut(tables []*Table, n int) (cut Mark, more bool) {
	total := 0
	for _, t := range tables {
		listed, seeds, each := t.left()
		total += listed + (seeds+each-1)/each
	}
	cut = Last()
	if total <= n {
		return cut, false
	}
	of := max(n/len(tables), 1) // each table
	for _, t := range tables {
		listed, seeds, each := t.left()
		if listed+(seeds+each-1)/each <= of {
			continue
		}
		k := of
		if listed > 0 && seeds > 0 {
			k = (of + 1) / 2 // of each
		}
		if listed >= k {
			d := t.planned(t.plan.done + k - 1)
			if m := t.mark(d); m.compare(&cut) < 0 {
				cut = m
			}
		}
		if k *= each; seeds >= k {
			if m := t.seedMark(k - 1); m.compare(&cut) < 0 {
				cut = m
			}
		}
	}
	return cut, true
}

// nextEnds is how many flows that end next are on their way from memory: with
// their places in the index, and as many further ones without.
const nextEnds = 8

// expected is a flow that ends soon, with the hash of its key and, of an embryo that is
// unpaired, that of its 5-tuple; either is 0 where it is not known yet.
type expected struct {
	hash, tuple uint64
	n           uint32
}

// expect begins to load what the ends of the flows that come next will need.
func (t *Table) expect() {
	p := &t.plan
	if p.len()-p.done > 2*nextEnds {
		t.flows.prefetch(p.number(p.done + 2*nextEnds))
	}
	if p.len()-p.done > nextEnds {
		t.await(p.done + nextEnds)
	}
}

// expectFirst is expect for those that end first.
func (t *Table) expectFirst() {
	p := &t.plan
	for i := range min(p.len(), nextEnds) {
		t.await(i)
	}
	for i := nextEnds; i < min(p.len(), 2*nextEnds); i++ {
		t.flows.prefetch(p.number(i))
	}
}

// await is expect for the flow of one record of the plan.
func (t *Table) await(i int) {
	n := t.plan.number(i)
	t.flows.prefetchMore(n)
	if n&isEmbryo == 0 && n&isResting != 0 || t.index.gone {
		return
	}
	x := expected{n: n}
	if n&isEmbryo != 0 {
		e := t.flows.embryo(n)
		if x.hash = e.hash(t.secret); e.unpaired() {
			x.tuple = t.tupleHash(e.tuple())
			t.unpaired.prefetch(x.tuple)
		}
	} else {
		f := t.flows.at(n)
		t.prefetchReport(f)
		x.hash = t.secret.hash(&f.key)
	}
	t.expected[i%len(t.expected)] = x
	t.index.prefetch(x.hash)
}

// unlist takes a flow that ends, f, or an embryo, out of the index.
func (t *Table) unlist(n uint32, f *Flow) {
	if !t.index.gone {
		t.index.remove(t.hashOf(n, f), n)
	}
}

// hashOf gives the hash of the key of a flow that ends, f, or of an embryo.
func (t *Table) hashOf(n uint32, f *Flow) uint64 {
	switch x := &t.expected[t.plan.done%len(t.expected)]; {
	case x.n == n && x.hash != 0:
		return x.hash
	case f != nil:
		return t.secret.hash(&f.key)
	}
	return t.flows.embryo(n).hash(t.secret)
}

// hash is that of its key, which is not made for it.
func (e *embryo) hash(s *secret) uint64 {
	k := e.four()
	return s.hash4(k.hosts, k.ends, k.where)
}

// Step makes the records of the plan up to the mark, for Take. With Last the
// plan is done.
func (t *Table) Step(cut Mark) {
	p := &t.plan
	t.cut, t.looseWhole, t.looseLone = cut, min(t.looseWhole, t.out.Len()), min(t.looseLone, t.out.Lones())
	t.reap(&cut)
	for ; p.done < p.len(); p.done++ {
		d := t.planned(p.done)
		if t.behind(d, &cut) {
			return
		}
		if p.kind == Connection {
			t.expect()
		} else {
			t.expectTold()
		}
		switch {
		case p.kind == Interval:
			t.tell(d)
		case d.byStart():
			t.finish(d.n(), EndOfInput, EndForced)
		default:
			t.finish(d.n(), d.at(), EndIdleTimeout)
		}
	}
	t.expected = [2 * nextEnds]expected{}
	if cut != Last() {
		return
	}
	if p.kind == Interval {
		t.intervals.Reset()
		t.gone = t.gone[:0]
		clear(t.goneNames)
		t.toldBefore = max(t.toldBefore, p.told)
	}
	if p.second != noSecond {
		t.second = p.second
	}
	t.tie = p.tie
	t.index.gone, t.unpaired.gone = false, false
	t.begin(plan{second: noSecond}, 0)
}
