package edge

import (
	"unsafe"

	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/tcp"
)

// brief is a plain connection of TCP, small and with nothing out of the ordinary: no
// reader heard anything, nothing is missing or came again, nobody reset it, and a few
// samples tell its times. It is made right from the record, and kept as it is, but for
// the samples that it does not have: what stays in memory is as long as packed words.
type brief struct {
	kind       uint8 // isBrief, where packed words have which of them are 0
	_          uint8
	point      uint16
	marks      uint32 // wordMarks
	start      int64  // ns since the Unix epoch
	times      [numBriefTimes]uint32
	turns      uint16
	unmeasured uint16
	recorded   [2]uint16
	sent       [2][3]uint16 // packets, bytes, payload
	tags       uint64       // of the samples
	samples    [tcp.MaxSamples]uint32
	high       [numBriefTimes]uint8 // of times, above their 32 bits, if it isLong
}

const (
	isBrief  = 1 << 7
	isLong   = 1 << 6
	briefLen = unsafe.Offsetof(brief{}.samples)
)

// Times of a brief connection, ns, of at most 40 bits each.
const (
	briefSpan     = iota // from start to end
	briefRTT             // and 1
	briefPhases          // those of wordPhases, with those that nobody knows in place of TLS
	numBriefTimes = briefPhases + 9
)

// of makes it that of a record whose ends have no names, or tells that it is none.
func (b *brief) of(r *flow.Record) bool {
	p, c, s := r.Phases, &r.TCP.Sides[flow.Client], &r.TCP.Sides[flow.Server]
	if !r.HasTCP || r.TLS != nil || r.QUIC != nil || r.HTTP != nil || r.DNS != nil || p == nil || r.Distributions != nil ||
		r.Outcome == flow.Reset || r.Outcome == flow.Unreachable || r.RSTForeign || len(r.Ends[0].Name)+len(r.Ends[1].Name) != 0 {
		return false
	}
	x, y := &r.Sent[flow.Client], &r.Sent[flow.Server]
	if c.Missed|s.Missed|c.ZeroWindow.Time|s.ZeroWindow.Time|c.WindowFull|s.WindowFull|
		c.Retransmits.Packets|s.Retransmits.Packets|c.Retransmits.Bytes|s.Retransmits.Bytes|p.TLS|p.Prelude != 0 {
		return false
	}
	if x.PayloadBytes > 0 && y.PayloadBytes == 0 {
		return false // it may be mute
	}
	rtt := tcp.Absent
	if r.HasHandshake && r.Handshake.State == tcp.Measured {
		rtt = r.Handshake.RTT
	}
	t, span, unmeasured := &r.TCP.Response, r.End-r.Start, r.TCP.Response.Turns-r.TCP.Response.Measured
	longest := uint64(span | (rtt + 1) | p.TCP | p.ClientIdle | p.Unknown | p.Request | p.Server | p.Network | p.Transfer | p.Idle | p.Close) // about
	if uint64(int64(r.Point)|t.Turns|unmeasured|c.Recorded|s.Recorded|x.Packets|x.Bytes|x.PayloadBytes|y.Packets|y.Bytes|y.PayloadBytes)>>16|longest>>40 != 0 {
		return false
	}
	m := uint64(r.Outcome) | markPhases
	if bareBrief(r) {
		m |= markBare
	}
	if p.Overlap {
		m |= markOverlap
	}
	if c.Retransmits.State == tcp.Measured && s.Retransmits.State == tcp.Measured {
		m |= markRepeats | markRepeats<<1
	} else {
		m |= repeatMarks(c.Retransmits.State) | repeatMarks(s.Retransmits.State)<<1
	}
	b.tags = r.Samples.Raw(&b.samples)
	if r.Samples.Len() > 0 {
		m |= markTimes | bit(t.State == tcp.Bounded, markAtMost) | bit(t.State == tcp.Ambiguous, markDoubtful)
	}
	b.kind, b.point, b.marks, b.start = isBrief, uint16(r.Point), uint32(m), r.Start
	a := &b.times
	a[0], a[1], a[2], a[3], a[4], a[5] = uint32(span), uint32(rtt+1), uint32(p.TCP), uint32(p.ClientIdle), uint32(p.Unknown), uint32(p.Request)
	a[6], a[7], a[8], a[9], a[10] = uint32(p.Server), uint32(p.Network), uint32(p.Transfer), uint32(p.Idle), uint32(p.Close)
	if longest>>32 != 0 {
		b.kind = isBrief | isLong
		for i, ns := range [numBriefTimes]int64{span, rtt + 1, p.TCP, p.ClientIdle, p.Unknown, p.Request, p.Server, p.Network, p.Transfer, p.Idle, p.Close} {
			b.high[i] = uint8(ns >> 32)
		}
	}
	b.turns, b.unmeasured, b.recorded[0], b.recorded[1] = uint16(t.Turns), uint16(unmeasured), uint16(c.Recorded), uint16(s.Recorded)
	v, w := &b.sent[0], &b.sent[1]
	v[0], v[1], v[2] = uint16(x.Packets), uint16(x.Bytes), uint16(x.PayloadBytes)
	w[0], w[1], w[2] = uint16(y.Packets), uint16(y.Bytes), uint16(y.PayloadBytes)
	return true
}

// bareBrief is bareOf where nothing was lost.
func bareBrief(r *flow.Record) bool {
	x, y := &r.Sent[flow.Client], &r.Sent[flow.Server]
	return attempt(r.Outcome) || x.PayloadBytes == 0 && x.Packets > 0 && y.Packets > 0 && r.Direction >= flow.DirSYNACK
}

// repeatMarks are those of the client, of whom nothing came again.
func repeatMarks(s tcp.State) uint64 {
	return bit(s != tcp.Unknown, markRepeats) | bit(s == tcp.Bounded, markAtLeast)
}

// packed lends what is kept of it, in two parts.
func (b *brief) packed() (first, more []byte) {
	n := min(b.tags>>tcp.SampleCount, tcp.MaxSamples)
	first = unsafe.Slice((*byte)(unsafe.Pointer(b)), unsafe.Sizeof(*b))[:briefLen+4*uintptr(n)]
	if b.kind&isLong != 0 {
		more = b.high[:]
	}
	return first, more
}

// time is one of its times, ns.
func (b *brief) time(i int) int64 {
	ns := int64(b.times[i])
	if b.kind&isLong != 0 {
		ns |= int64(b.high[i]) << 32
	}
	return ns
}

// traits are those that it gives its conversation.
func (b *brief) traits(s *tcp.Samples) (x traits) {
	outcome := flow.Outcome(b.marks & 0xf)
	if b.turns > 0 || b.marks&markBare != 0 && failed(outcome) {
		x |= tried
	}
	p := func(i int) int64 { return b.time(briefPhases + i) }
	waited := p(0) + p(3) + p(4) + p(5) + p(6)
	if failed(outcome) || waited >= slowWait*max(int64(b.turns), 1) || s.LongestThink() >= slowResponse {
		x |= suspect
	}
	return x
}

// read makes it the one that p begins with, and gives what follows that; there must be mostPacked
// octets behind all of it.
func (b *brief) read(p []byte) []byte {
	copy(unsafe.Slice((*byte)(unsafe.Pointer(b)), unsafe.Sizeof(*b)), p)
	first, more := b.packed()
	p = p[len(first):]
	return p[copy(more, p):]
}

// addBrief is add for a brief connection, of which it knows what there never is.
func (v *Conversation) addBrief(b *brief) {
	marks, outcome := uint64(b.marks), flow.Outcome(b.marks&0xf)
	start, end := b.start, b.start+b.time(briefSpan)
	if v.Connections++; v.Connections == 1 {
		v.First, v.Last = start, end
	} else {
		v.First, v.Last = min(v.First, start), max(v.Last, end)
	}
	v.Outcomes[outcome]++
	if rtt := b.time(briefRTT) - 1; rtt != tcp.Absent {
		v.Handshake.Add(rtt)
	}
	for side := range b.sent {
		n, sent, again := &b.sent[side], &v.Sent[side], &v.Repeats[side]
		sent.Packets += int64(n[0])
		sent.Bytes += int64(n[1])
		sent.PayloadBytes += int64(n[2])
		v.Recorded[side] += int64(b.recorded[side])
		if marks&(markRepeats<<side) != 0 {
			again.Connections++
			again.Payload += int64(n[2])
			again.AtLeast = again.AtLeast || marks&(markAtLeast<<side) != 0
		}
	}
	v.locate(packet.PointID(b.point))
	if n := min(b.tags>>tcp.SampleCount, tcp.MaxSamples); n > 0 {
		if v.Times == nil {
			v.Times = new(Times)
		}
		all, few := v.Times.all(), tcp.Samples{}
		few.SetRaw(&b.samples, b.tags)
		for i := range int(n) {
			what, ns := few.At(i)
			add(all[what], ns)
		}
		v.Times.AtMost = v.Times.AtMost || marks&markAtMost != 0
		v.Times.Doubtful = v.Times.Doubtful || marks&markDoubtful != 0
	}
	asked := int64(b.turns)
	v.Turns += asked
	v.Unmeasured += int64(b.unmeasured)
	if asked == 0 && marks&markBare != 0 && failed(outcome) {
		v.Unasked++
	}
	f := func(i int) int64 { return b.time(briefPhases + i) }
	p := session.Phases{
		TCP: f(0), ClientIdle: f(1), Unknown: f(2), Request: f(3), Server: f(4),
		Network: f(5), Transfer: f(6), Idle: f(7), Close: f(8), Overlap: marks&markOverlap != 0,
	}
	addPhases(&v.Phases, &p)
	if !attempt(outcome) { // as waitingOf has it
		w := Waiting{Connections: 1, Server: p.Server, Network: p.TCP + p.Network, Unknown: p.Unknown, Moving: p.Request + p.Transfer}
		if w.Known() >= slowWait*max(asked, 1) {
			w.Slow = 1
		}
		v.Waiting.add(&w)
	}
}

// addBrief adds a brief connection to its conversation, which has room for it.
func (s *store) addBrief(e *entry, b *brief, samples *tcp.Samples) {
	*s.bytes(int(e.number)) += int64(b.sent[0][1]) + int64(b.sent[1][1])
	e.seen(packet.PointID(b.point))
	e.traits |= b.traits(samples)
	e.packed++
	first, more := b.packed()
	s.write(e, first)
	if len(more) > 0 {
		s.write(e, more)
	}
}
