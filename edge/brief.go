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
	span       uint32 // ns from start to end
	rtt        uint32 // ns, and 1
	phases     [numBriefPhases]uint32
	turns      uint16
	unmeasured uint16
	recorded   [2]uint16
	sent       [2][3]uint16 // packets, bytes, payload
	tags       uint64       // of the samples
	samples    [tcp.MaxSamples]uint32
}

const (
	isBrief        = 1 << 7
	briefLen       = unsafe.Offsetof(brief{}.samples)
	numBriefPhases = 9 // those of wordPhases, with those that nobody knows in place of TLS
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
	if uint64(int64(r.Point)|t.Turns|unmeasured|c.Recorded|s.Recorded|x.Packets|x.Bytes|x.PayloadBytes|y.Packets|y.Bytes|y.PayloadBytes)>>16 != 0 ||
		uint64(span|(rtt+1)|p.TCP|p.ClientIdle|p.Unknown|p.Request|p.Server|p.Network|p.Transfer|p.Idle|p.Close)>>32 != 0 {
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
		m |= markPaceRepeats | repeatMarks(c.Retransmits.State) | repeatMarks(s.Retransmits.State)<<1
	}
	b.samples, b.tags = r.Samples.Raw()
	if r.Samples.Len() > 0 {
		m |= markTimes | bit(t.State == tcp.Bounded, markAtMost) | bit(t.State == tcp.Ambiguous, markDoubtful)
	}
	b.kind, b.point, b.marks, b.start, b.span, b.rtt = isBrief, uint16(r.Point), uint32(m), r.Start, uint32(span), uint32(rtt+1)
	b.phases = [numBriefPhases]uint32{
		uint32(p.TCP), uint32(p.ClientIdle), uint32(p.Unknown), uint32(p.Request), uint32(p.Server),
		uint32(p.Network), uint32(p.Transfer), uint32(p.Idle), uint32(p.Close),
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

// packed lends what is kept of it.
func (b *brief) packed() []byte {
	n := min(b.tags>>tcp.SampleCount, tcp.MaxSamples)
	return unsafe.Slice((*byte)(unsafe.Pointer(b)), unsafe.Sizeof(*b))[:briefLen+4*uintptr(n)]
}

// traits are those that it gives its conversation.
func (b *brief) traits(s *tcp.Samples) (x traits) {
	outcome, p := flow.Outcome(b.marks&0xf), &b.phases
	if b.turns > 0 || b.marks&markBare != 0 && failed(outcome) {
		x |= tried
	}
	waited := int64(p[0]) + int64(p[3]) + int64(p[4]) + int64(p[5]) + int64(p[6])
	if failed(outcome) || waited >= slowWait*max(int64(b.turns), 1) || s.LongestThink() >= slowResponse {
		x |= suspect
	}
	return x
}

// brief makes x.short the brief connection that p begins with, and gives what follows
// that; there must be mostPacked octets behind all of it.
func (x *replay) brief(p []byte) []byte {
	var b brief
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&b)), unsafe.Sizeof(b)), p)
	c, marks := &x.short, uint64(b.marks)
	c.start, c.end, c.outcome, c.rtt = b.start, b.start+int64(b.span), flow.Outcome(marks&0xf), int64(b.rtt)-1
	x.points[0] = packet.PointID(b.point)
	c.points = x.points[:1]
	for side := range c.sent {
		n := &b.sent[side]
		c.sent[side] = flow.Volume{Packets: int64(n[0]), Bytes: int64(n[1]), PayloadBytes: int64(n[2])}
		c.recorded[side] = int64(b.recorded[side])
		c.repeats[side] = Repeats{}
		if marks&(markRepeats<<side) != 0 {
			c.repeats[side] = Repeats{Connections: 1, Payload: int64(n[2]), AtLeast: marks&(markAtLeast<<side) != 0}
		}
	}
	t, f := &c.talk, &b.phases
	t.bare, t.turns, t.measured = marks&markBare != 0, int64(b.turns), int64(b.turns)-int64(b.unmeasured)
	t.pace.volume, t.pace.repeats = c.sent[flow.Server].PayloadBytes, marks&markPaceRepeats != 0
	t.Phases = &x.phases
	x.phases = session.Phases{
		TCP: int64(f[0]), ClientIdle: int64(f[1]), Unknown: int64(f[2]), Request: int64(f[3]), Server: int64(f[4]),
		Network: int64(f[5]), Transfer: int64(f[6]), Idle: int64(f[7]), Close: int64(f[8]), Overlap: marks&markOverlap != 0,
	}
	c.times.few.SetRaw(&b.samples, b.tags)
	c.times.atMost, c.times.doubtful = marks&markAtMost != 0, marks&markDoubtful != 0
	return p[len(b.packed()):]
}

// addBrief adds a brief connection to its conversation, which has room for it.
func (s *store) addBrief(e *entry, b *brief, samples *tcp.Samples) {
	e.bytes += int64(b.sent[0][1]) + int64(b.sent[1][1])
	e.seen(packet.PointID(b.point))
	e.traits |= b.traits(samples)
	e.packed++
	s.write(e, b.packed())
}
