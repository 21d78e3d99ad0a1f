package flow

import (
	"cmp"

	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/tcp"
)

// room is where the latest of the records that leave next may put its report; nil where
// the output may hold on to that.
func (t *Table) room() *session.Room {
	if !t.cfg.Lends {
		return nil
	}
	return t.out.room()
}

// record fills r with the whole life of a flow, but for what its ends said.
func (t *Table) record(f *Flow, r *Record, release int64, reason EndReason) {
	t.identify(f, r)
	r.Release = release
	x := t.rareIf(f)
	r.Sent = [2]Volume{f.volume(Client, x), f.volume(Server, x)}
	r.MirrorDuplicates = int64(x.mirrorDups)
	r.TruncatedPackets = int64(f.tcp.Cut)
	r.FragmentsIncomplete = int64(x.incomplete)
	r.Malformed = int64(x.malformed)
	r.StrayPackets = int64(x.stray)
	for _, side := range [...]Side{Client, Server} {
		d := f.dir(side)
		r.Resets[side] = int64(f.rsts[d]) + int64(x.rsts[d])
		r.FINs[side] = int64(f.fins[d]) + int64(x.fins[d])
		r.CE[side] = int64(x.ce[d])
		if f.key.Proto == packet.ProtoTCP {
			r.Options[side] = f.tcp.Options(d)
		}
	}
	r.EndReason = reason
	if u := &x.unreachable; u.ok {
		r.Unreachable.OK = true
		r.Unreachable.Type, r.Unreachable.Code, r.Unreachable.By = u.typ, u.code, u.by
	}
	if f.key.Proto == packet.ProtoTCP {
		r.Handshake, r.HasHandshake = f.handshake, true
		if f.flags&decided == 0 {
			r.Handshake = noHandshake
		}
		r.ECN.Known, r.ECN.Negotiated = f.tcp.ECN()
		r.HasTCP = true
		f.tcp.Report(t.tcp, &r.TCP, int(f.role.client), reason != EndNone)
		if t.cfg.Sums && reason != EndNone {
			if client := int(f.role.client); f.tcp.Samples(t.tcp, &r.Samples, client) {
				r.Distributions = f.tcp.Distributions(t.tcp, client)
			}
		}
		t.outcome(f, r)
	}
	t.nameEnds(r)
	if r.EndReason == EndIdleTimeout || r.EndReason == EndForced {
		if f.key.Proto == packet.ProtoTCP && f.tcp.Ended() {
			r.EndReason = EndOfFlow
		}
	}
	if f.key.Proto == packet.ProtoTCP && reason != EndNone && f.oneSided() {
		t.report.lessons.add(&lesson{pair: f.key.pair(), says: seenOneSided})
	}
}

// noHandshake is that of a flow without SYN and SYN-ACK.
var noHandshake = tcp.Handshake{
	Reasons: tcp.Midstream, RTT: tcp.Absent, Client: tcp.Absent, Server: tcp.Absent, Setup: tcp.Absent, Connect: tcp.Absent,
}

// oneSided: one direction alone was recorded of a connection that had two.
func (f *Flow) oneSided() bool {
	return !f.bothDirections() && (f.tcp.Established() || f.tcp.Acknowledges())
}

// identify fills in what all records of a flow share.
func (t *Table) identify(f *Flow, r *Record) {
	r.ID = t.ids.of(&f.key, f.start)
	r.Start, r.End = f.start, f.last
	x := t.rareIf(f)
	r.Weight = x.weight
	r.Point, r.Network, r.Path = f.key.Point, f.key.Network, f.path
	r.OuterSwapped = f.flags&outerSwapped != 0
	r.Proto, r.Version = f.key.Proto, f.version
	r.ICMP.Type, r.ICMP.Code = x.icmpType, x.icmpCode
	r.key = f.key
	t.serial++
	r.serial = t.serial
	for _, side := range [...]Side{Client, Server} {
		e := f.endpoint(f.dir(side))
		r.Ends[side] = Endpoint{Addr: e.addr, Port: e.port, HasPort: f.flags&portsKnown != 0 && f.key.Kind == 0}
	}
	r.Direction = f.role.source
	r.DirectionState = tcp.Measured
	if f.role.ambiguous || f.tcp.SimultaneousOpen() {
		r.DirectionState = tcp.Ambiguous
	}
}

// dir is the direction that a side sends in.
func (f *Flow) dir(s Side) int { return int(f.role.client) ^ int(s) }

func (f *Flow) volume(s Side, x *rare) Volume {
	v, w := &f.sent[f.dir(s)], &x.sent[f.dir(s)]
	return Volume{Packets: int64(uint64(v.packets) + w.packets), Bytes: int64(uint64(v.bytes) + w.bytes), PayloadBytes: int64(uint64(v.payload) + w.payload)}
}

// outcome tells how a TCP connection went, and why it ended.
func (t *Table) outcome(f *Flow, r *Record) {
	c := &f.tcp
	ok, by, afterFIN, unacked := c.Reset()
	elapsed := r.EndReason == EndIdleTimeout || r.EndReason == EndLackOfResources
	switch {
	case c.Closed():
		r.Outcome = Closed
	case ok:
		r.Outcome = Reset
		r.ResetBy, r.ResetAfterFIN, r.ResetUnacked = f.side(by), afterFIN, unacked
	case c.Refused():
		r.Outcome = Refused
	case t.rareIf(f).unreachable.ok && !c.Established():
		r.Outcome = Unreachable
	case c.Established() && r.EndReason == EndIdleTimeout && c.TimerRun() >= t.cfg.AbortRTO:
		r.Outcome = AbortedTimeout
	case c.Established() && (c.SYNs() > 0 || c.SYNACKs() > 0):
		r.Outcome = Established
	case c.SYNACKs() > 1 && elapsed && !c.Established():
		r.Outcome = HalfOpenTimeout
	case c.SYNs() > 0 && c.SYNACKs() == 0 && elapsed && !f.bothDirections() && t.learned.recordsBoth(f.key.pair()):
		r.Outcome = Timeout
	case c.SYNs() > 0 && c.SYNACKs() == 0 && elapsed && !f.bothDirections():
		r.Handshake.Reasons |= tcp.OneSided
	}
	r.RSTForeign = c.RSTForeign()
}

// side is the side that sends in a direction.
func (f *Flow) side(dir int) Side { return Side(dir ^ int(f.role.client)) }

// Compare orders records for the output: by release, start and key; the
// intervals of a moment follow its connections. What is equal in all of these
// are generations of one 5-tuple: they keep their order.
func Compare(a, b *Record) int {
	switch {
	case a.Release != b.Release:
		return cmp.Compare(a.Release, b.Release)
	case a.Kind != b.Kind:
		return cmp.Compare(a.Kind, b.Kind)
	case a.Start != b.Start:
		return cmp.Compare(a.Start, b.Start)
	}
	return cmp.Or(a.key.compare(&b.key), cmp.Compare(a.serial, b.serial))
}
