package flow

import "mirrorscope/tcp"

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
	active                bool // in Table.active
}

// activate lists a flow for the running interval.
func (t *Table) activate(n uint32, f *Flow) {
	if s := t.snapshots.At(f.snapshot); !s.active {
		s.active = true
		t.active = append(t.active, n)
	}
}

// closeInterval adds the record of the running interval if the flow changed
// in it. final says that it is the last of the flow.
func (t *Table) closeInterval(f *Flow, final bool) {
	if f.snapshot == 0 {
		return
	}
	s := t.snapshots.At(f.snapshot)
	if !s.active {
		return
	}
	s.active = false
	if o := t.opening(f); o != nil && o.Decided(&f.tcp) {
		t.decide(f)
	}
	r := t.intervals.Add()
	t.record(f, r, 0, EndNone)
	r.Kind = Interval
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
			f.tcp.Report(t.tcp, &r.TCP, int(f.role.client), t.now, true)
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
		r.Distributions = f.tcp.CloseInterval(t.tcp, int(f.role.client))
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

// closeIntervals ends the running interval if now lies beyond it.
func (t *Table) closeIntervals(now int64) {
	length := int64(t.cfg.Interval)
	if length == 0 || t.second == noSecond {
		return
	}
	start := t.second - t.second%length
	if now < start+length {
		return
	}
	for _, n := range t.active {
		if f := t.flows.at(n); f.snapshot != 0 {
			t.closeInterval(f, false)
		}
	}
	t.active = t.active[:0]
	for i := range t.intervals.Len() {
		r := t.intervals.At(i)
		r.IntervalStart, r.IntervalEnd = start, start+length
		r.Release = start + length
		if now == endOfInput {
			r.Release = endOfInput
		}
	}
	for i := range t.intervals.Len() {
		*t.out.Add() = *t.intervals.At(i)
	}
	t.intervals.Reset()
}
