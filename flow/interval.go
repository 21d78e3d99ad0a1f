package flow

import (
	"slices"
	"unsafe"

	"mirrorscope/packet"
	"mirrorscope/pool"
	"mirrorscope/session"
	"mirrorscope/tcp"
)

// snapshot is what a flow's interval records have told so far. A delta is the
// difference to it, by roles: if the roles change, the next delta corrects
// what was told before, so that the sum of all deltas is the whole.
type snapshot struct {
	sent                  [2]Volume
	resets, fins, ce      [2]int64
	syns, synacks         uint32
	mirrorDups, truncated int64
	incomplete, malformed int64
	stray                 int64
	tcp                   [2]tcp.Side
	turns, measured       int64
	handshake             bool // told
}

// unlisted marks Flow.snapshot while no packet of the running interval was the flow's:
// it is not in Table.active.
const unlisted = 1 << 31

func (t *Table) snapshot(f *Flow) *snapshot { return t.snapshots.At(f.snapshot &^ unlisted) }

// activate lists a flow for the running interval, if there are intervals and it is not listed.
func (t *Table) activate(n uint32, f *Flow) {
	if f.snapshot&unlisted == 0 {
		return
	}
	f.snapshot &^= unlisted
	if len(t.active) == cap(t.active) {
		t.tidy()
	}
	t.active = append(t.active, n)
}

// tidy leaves each flow in Table.active that is active, and once: numbers are
// used again, and in an interval any number of flows may end.
func (t *Table) tidy() {
	slices.Sort(t.active)
	t.active = slices.DeleteFunc(slices.Compact(t.active), func(n uint32) bool { return !t.flows.at(n).isActive() })
}

func (f *Flow) isActive() bool { return f.snapshot != 0 && f.snapshot&unlisted == 0 }

// heard is what an interval tells that cannot be told any more once the whole
// life was.
type heard struct {
	session.Report
	tcp.Samples
	*tcp.Distributions
}

// lastInterval closes the running interval for a flow that ends. It tells
// whether that is left to the close of the interval, which is about to come.
func (t *Table) lastInterval(n uint32, f *Flow, release int64) (open bool) {
	if !f.isActive() {
		return false
	}
	if t.plan.closing && !asleep(n) {
		c := t.conn(f)
		h := heard{Report: t.sessions.Interval(f.session, &c)}
		if f.key.Proto == packet.ProtoTCP {
			h.Distributions = f.tcp.CloseInterval(t.tcp, &h.Samples, int(f.role.client))
		}
		if h != (heard{}) {
			t.heard[n] = h
		}
		return true
	}
	if t.intervals.Len() < t.maxIntervals {
		t.closeInterval(f, t.intervals.Add(), true, nil)
		return false
	}
	// There is no room to keep it until the interval ends: it leaves right behind
	// its connection.
	r := t.out.Add()
	t.closeInterval(f, r, true, nil)
	r.Release = release
	r.IntervalStart = t.second - t.second%int64(t.cfg.Interval)
	r.IntervalEnd = r.IntervalStart + int64(t.cfg.Interval)
	return false
}

// closeInterval fills r with the running interval of an active flow. final says
// that it is the last of the flow. h is what it told, if it was asked before.
func (t *Table) closeInterval(f *Flow, r *Record, final bool, h *heard) {
	s := t.snapshot(f)
	f.snapshot |= unlisted
	if o := t.opening(f); o != nil && o.Decided(&f.tcp) {
		t.decide(f)
	}
	t.record(f, r, 0, EndNone)
	if h != nil {
		r.Report = h.Report
	} else {
		t.said(f, r, EndNone)
	}
	r.Kind = Interval
	r.Established = r.Outcome == Established
	r.Outcome = OutcomeNone
	for i := range r.Sent {
		r.Sent[i], s.sent[i] = r.Sent[i].minus(s.sent[i]), r.Sent[i]
		r.Resets[i], s.resets[i] = r.Resets[i]-s.resets[i], r.Resets[i]
		r.FINs[i], s.fins[i] = r.FINs[i]-s.fins[i], r.FINs[i]
		r.CE[i], s.ce[i] = r.CE[i]-s.ce[i], r.CE[i]
	}
	r.MirrorDuplicates, s.mirrorDups = r.MirrorDuplicates-s.mirrorDups, r.MirrorDuplicates
	r.TruncatedPackets, s.truncated = r.TruncatedPackets-s.truncated, r.TruncatedPackets
	r.FragmentsIncomplete, s.incomplete = r.FragmentsIncomplete-s.incomplete, r.FragmentsIncomplete
	r.Malformed, s.malformed = r.Malformed-s.malformed, r.Malformed
	r.StrayPackets, s.stray = r.StrayPackets-s.stray, r.StrayPackets
	if r.HasTCP {
		if final {
			f.tcp.Report(t.tcp, &r.TCP, int(f.role.client), true)
		}
		for i := range r.TCP.Sides {
			whole := r.TCP.Sides[i]
			r.TCP.Sides[i].Minus(&s.tcp[i])
			s.tcp[i] = whole
		}
		x := &r.TCP.Response
		told := tcp.Response{Turns: s.turns, Measured: s.measured}
		s.turns, s.measured = x.Turns, x.Measured
		x.Minus(&told)
		if h != nil {
			r.Samples, r.Distributions = h.Samples, h.Distributions
		} else {
			r.Distributions = f.tcp.CloseInterval(t.tcp, &r.Samples, int(f.role.client))
		}
	}
	if r.HasHandshake {
		syns, synacks := f.tcp.SYNs(), f.tcp.SYNACKs()
		if s.handshake || f.flags&decided == 0 {
			r.Handshake = noHandshake
			r.Handshake.Reasons = 0
			r.HasHandshake = syns > s.syns || synacks > s.synacks
		} else {
			s.handshake = true
		}
		r.Handshake.SYNs, s.syns = syns-s.syns, syns
		r.Handshake.SYNACKs, s.synacks = synacks-s.synacks, synacks
	}
}

func (v Volume) minus(w Volume) Volume {
	return Volume{v.Packets - w.Packets, v.Bytes - w.Bytes, v.PayloadBytes - w.PayloadBytes}
}

// Closes tells whether an interval ends by now: a whole second, or EndOfInput.
func (t *Table) Closes(now int64) bool {
	length := int64(t.cfg.Interval)
	if length == 0 || t.second == noSecond {
		return false
	}
	second := max(t.second, now-1e9)
	return now == EndOfInput || now >= second-second%length+length
}

// PlanIntervals plans the records of the interval that ends by now, or with the
// input. It follows the end of the connections that are due by then.
func (t *Table) PlanIntervals(now int64) {
	length := int64(t.cfg.Interval)
	start := t.second - t.second%length
	p := plan{kind: Interval, start: start, end: start + length, release: start + length, second: now, told: now}
	if now == EndOfInput {
		p.release, p.second = EndOfInput, noSecond
	}
	t.due0 = t.flows.seeds.since(t.toldBefore, t.due0[:0])
	t.begin(p, t.intervals.Len()+len(t.active)+len(t.gone)+t.flows.embryos.live-t.flows.quiet+len(t.due0))
	for i := range t.intervals.Len() {
		t.plan.add(t, dueByStartAt(t.intervals.At(i).Start, uint32(i)|dueMade))
	}
	t.tidy()
	for _, n := range t.active {
		t.plan.add(t, dueByStartAt(t.flows.at(n).start, n))
	}
	t.active = t.active[:0]
	t.planYoung()
	t.sort()
}

// nextMade is how far ahead of a record of an interval one that was made before is loaded.
const nextMade = 2

// expectTold is expect for the records of an interval.
func (t *Table) expectTold() {
	p := &t.plan
	if i := p.done + 2*nextEnds; i < len(p.list) && !p.list[i].made() {
		t.flows.prefetch(p.list[i].n())
	}
	if i := p.done + nextEnds; i < len(p.list) && !p.list[i].made() {
		if n := p.list[i].n(); asleep(n) {
			t.flows.prefetchMore(n)
		} else {
			t.prefetchReport(t.flows.at(n))
		}
	}
	if i := p.done + nextMade; i < len(p.list) && p.list[i].made() {
		pool.Prefetch(unsafe.Pointer(t.intervals.At(int(p.list[i].n()))), recordLines)
	}
}

// prefetchReport begins to load what a flow holds that its record asks for.
func (t *Table) prefetchReport(f *Flow) {
	if n := f.snapshot &^ unlisted; n != 0 {
		t.snapshots.Prefetch(n, (int(unsafe.Sizeof(snapshot{}))+63)/64)
	}
	t.tcp.PrefetchReport(&f.tcp)
	t.sessions.PrefetchReport(f.session)
}

// tell makes the interval record of a flow, or of one that has gone.
func (t *Table) tell(d due) {
	r := t.out.Add()
	switch {
	case d.made():
		*r = *t.intervals.At(int(d.n()))
	case asleep(d.n()):
		t.tellYoung(d.n(), r)
	default:
		f := t.flows.at(d.n())
		if final := f.class == ended; final {
			h := t.heard[d.n()]
			delete(t.heard, d.n())
			t.closeInterval(f, r, true, &h)
			t.forget(d.n(), f)
		} else {
			t.closeInterval(f, r, false, nil)
		}
	}
	r.IntervalStart, r.IntervalEnd, r.Release = t.plan.start, t.plan.end, t.plan.release
}
