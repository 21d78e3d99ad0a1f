package tcp

import "math"

// Brief measures a short connection that goes as the books say, and that is known
// from its SYN to its last packet: each packet is the next of its side and
// acknowledges what was recorded, nothing is lost, repeated, doubted or stopped,
// and what is said is requests and responses. Of a Conn that has taken such
// packets a report tells little, and Brief keeps just that. What it finds is what
// a Conn finds, to the last digit; where it cannot know that, Answered, Packet or End
// is false, and a Conn has to look.
//
// Its sides are 0, the client, and 1, the server. A position counts the octets of
// a side behind its SYN, a FIN being one more.
type Brief struct {
	samples     Samples // by side
	sides       [2]brief
	course      Course
	syn, synack int64     // record times
	size        int64     // octets of a full segment, by the options; 0 not known
	shift       [2]uint8  // window scale of each
	known       bool      // all options are
	sack        bool      // both permit SACK
	waiting     bool      // a request waits for its response
	noBase      bool      // turnFlags
	waits       uint8     // in raw
	second      uint32    // waits.second
	raw         [4]int64  // like waits.ns
	asked       int64     // latest payload of the request
	since       int64     // first payload of the request, or of the response
	end         uint32    // position behind the request
	turns       uint32    // requests with a response
	slow        bool      // the handshake is not decided yet: the halves may tell that part of it is missing
	window      int64     // so long after it, ns, it is not decided yet
	ack         int64     // record time of what ended it
	rtt         Handshake // as Result gives it
}

// brief is what a side sent, and what the other said about it.
type brief struct {
	sent, una uint32 // positions: behind what was sent, and what was acknowledged
	fin       uint32 // behind its FIN; 0 none
	window    int64  // octets that it offers; 0 not known
	rtt       half   // from its data to the ACK
	clean     uint32
	maybe     uint32
	longest   uint32 // Dir.maxLen
	first, n  uint32 // of flight, a ring
	flight    [briefFlight]struct {
		at  int64
		end uint32
	}
}

const briefFlight = 8 // segments; a power of two

// Course is how the time of a connection went by from its first payload to its
// last, in ns; what is left is not known.
type Course struct {
	First, Last     int64 // record times of payload; 0 none
	Banner          bool  // the server spoke first
	Request         int64 // first to last octet of requests
	Server, Network int64 // between request and response: its own share, and that of the way to the server
	Transfer        int64 // first to last octet of responses
	Idle            int64 // between a response and the next request
}

// Begin takes a SYN and a SYN-ACK without data: their options and times. So many ns
// after the handshake, and longer, it is asked whether it is Decided.
func (b *Brief) Begin(options *[2]Options, syn, synack, window int64) {
	o, p := &options[0], &options[1]
	b.known = o.Known && p.Known
	b.sack = o.SACK && p.SACK
	if b.shift = [2]uint8{}; o.HasWScale && p.HasWScale {
		b.shift = [2]uint8{o.WScale, p.WScale}
	}
	if b.size = 0; o.HasMSS && p.HasMSS {
		if b.size = int64(min(o.MSS, p.MSS)); o.Timestamps && p.Timestamps {
			b.size -= 12
		}
		b.size = max(b.size, 1)
	}
	b.syn, b.synack, b.window = syn, synack, window
}

// Offers takes the window of a side, which goes with its packets from now on.
func (b *Brief) Offers(side uint8, window uint16) {
	b.sides[side&1].window = int64(window) << (b.shift[side&1] & 31)
}

// Answered takes the ACK of the SYN-ACK, without data.
func (b *Brief) Answered(ack int64) bool {
	syn, synack := b.syn, b.synack
	if !b.known || syn <= 0 || synack < syn || ack < synack {
		return false
	}
	for s := range b.sides {
		d := &b.sides[s]
		d.sent, d.una, d.fin, d.clean, d.maybe, d.longest, d.first, d.n = 0, 0, 0, 0, 0, 0, 0, 0
	}
	x, y := &b.sides[0].rtt, &b.sides[1].rtt
	x.min, x.handshake, x.solid = 0, synack-syn, 0
	y.min, y.handshake, y.solid = 0, ack-synack, 0
	b.samples.tags = 0
	b.course, b.waiting, b.noBase, b.waits, b.turns = Course{}, false, false, 0, 0
	h := &b.rtt
	h.State, h.Reasons, h.RTT, h.Client, h.Server, h.Setup, h.Connect, h.SYNs, h.SYNACKs = Measured, 0, ack-syn, ack-synack, synack-syn, ack-syn, ack-syn, 1, 1
	b.slow, b.ack = ack-syn >= initialRTO, ack
	return true
}

// decide is Opening.Result where the handshake took long.
func (b *Brief) decide() {
	h := &b.rtt
	b.slow = false
	if b.sides[1].rtt.hides(h.Client) {
		h.Client, h.Connect = Absent, Absent
	}
	if b.sides[0].rtt.hides(h.Server) {
		h.Server = Absent
	}
	if h.Client == Absent || h.Server == Absent {
		h.State, h.RTT, h.Reasons = Unknown, Absent, LostBeforeOP
	}
}

// Packet takes a packet behind the handshake, not before the latest one: which
// side sent it and when, its octets of payload, 1 if it has a FIN, and how much of
// what the other side sent it does not acknowledge.
func (b *Brief) Packet(side uint8, at int64, n, fin, unacked uint32) bool {
	if !b.packet(side, at, n, fin, unacked) {
		return false
	}
	if b.slow && at-b.ack > b.window && b.sides[0].rtt.solid != 0 && b.sides[1].rtt.solid != 0 {
		b.decide()
	}
	return true
}

func (b *Brief) packet(side uint8, at int64, n, fin, unacked uint32) bool {
	d, r := &b.sides[side&1], &b.sides[side&1^1]
	if b.waits != 0 && uint32(at/1e9) != b.second {
		if !b.settle() {
			return false
		}
	}
	ack, end := r.sent-unacked, d.sent+n+fin
	if end != d.sent {
		if int64(end-d.una) >= r.window && r.window > 0 {
			return false // it is full
		}
	} else if ack == r.una && unacked != 0 && !b.sack {
		return false // it may be a duplicate ACK
	}
	if ack != r.una && !b.acked(side, r, ack, at, n) {
		return false
	}
	if end == d.sent {
		return true
	}
	if d.n == briefFlight {
		return false
	}
	if n <= maxPlainSegment {
		d.longest = max(d.longest, n)
	}
	g := &d.flight[(d.first+d.n)%briefFlight]
	g.at, g.end = at, end
	d.n++
	d.sent = end
	if fin != 0 {
		d.fin = end
	}
	return n == 0 || b.said(side, at, end-fin, ack)
}

// acked takes the ACK of what r sent up to a position, in a packet of a side with
// n octets of payload: sample and exact.
func (b *Brief) acked(side uint8, r *brief, ack uint32, at int64, n uint32) bool {
	moved, first, end := int64(ack-r.una), r.first, uint32(0)
	for ; r.n > 0 && r.flight[first%briefFlight].end <= ack; r.n-- {
		end = r.flight[first%briefFlight].end
		first++
	}
	r.first, r.una = first, ack
	if end != ack {
		return true
	}
	ns := at - r.flight[(first-1)%briefFlight].at
	if ns <= 0 {
		return true
	}
	clean := false
	if n > 0 {
		base, solid := r.rtt.known()
		clean = solid && ns <= base*5/4
	} else if clean = moved >= 2*b.segment(r) || r.fin != 0 && ack == r.fin; clean && (r.rtt.solid == 0 || ns < r.rtt.solid) {
		r.rtt.solid = ns
	}
	if r.rtt.min == 0 || ns < r.rtt.min {
		r.rtt.min = ns
	}
	q := TimedRTT
	if clean {
		r.clean++
	} else {
		r.maybe++
		q = TimedDelayed
	}
	if side != 0 {
		q += 2
	}
	return b.sample(q, ns)
}

// segment is segmentSize.
func (b *Brief) segment(r *brief) int64 {
	switch {
	case b.size != 0:
		return b.size
	case r.longest != 0:
		return int64(r.longest)
	}
	return 1460
}

func (b *Brief) sample(q Timed, ns int64) bool {
	if b.samples.n() == maxFew || ns > math.MaxUint32 {
		return false
	}
	b.samples.Add(q, ns)
	return true
}

// said takes payload up to a position, in a packet that acknowledges so much of
// the other side: Exchange, and its place in the course.
func (b *Brief) said(side uint8, at int64, end, ack uint32) bool {
	c := &b.course
	last := c.Last
	if c.Last = at; last == 0 {
		c.First = at
		b.since, c.Banner = at, side != 0
	}
	switch {
	case side == 0 && b.waiting: // more of the request
	case side == 0:
		if last != 0 {
			c.Transfer += last - b.since
			c.Idle += at - last
		}
		b.since, b.waiting = at, true
	case b.waiting:
		b.waiting = false
		b.turns++
		c.Request += b.asked - b.since
		b.since = at
		if ack < b.end {
			return true // an early response
		}
		wait := at - b.asked
		if way := b.sides[0].rtt.base(); way > 0 {
			c.Network += min(wait, way)
			c.Server += wait - min(wait, way)
		}
		return b.think(wait, at)
	default: // more of the response
		return true
	}
	b.asked, b.end = at, end
	return true
}

// think is Conn.think.
func (b *Brief) think(raw, at int64) bool {
	if int(b.waits) == len(b.raw) && !b.settle() {
		return false
	}
	b.raw[b.waits] = raw
	b.waits++
	b.second = uint32(at / 1e9)
	return true
}

// settle is settleTurns.
func (b *Brief) settle() bool {
	base, solid := b.sides[0].rtt.known()
	if !solid {
		b.noBase = true
		base = 0
	}
	for _, raw := range b.raw[:b.waits] {
		if !b.sample(TimedThink, max(raw-base, 0)) {
			return false
		}
	}
	b.waits = 0
	return true
}

// End takes note that nothing more comes.
func (b *Brief) End() bool {
	if b.waits != 0 && !b.settle() {
		return false
	}
	if b.slow {
		b.decide()
	}
	switch c := &b.course; {
	case c.Last == 0:
	case b.waiting:
		c.Request += b.asked - b.since
	default:
		c.Transfer += c.Last - b.since
	}
	return true
}

// Sent is how many octets of payload a side sent.
func (b *Brief) Sent(side int) uint32 {
	d := &b.sides[side&1]
	if d.fin != 0 {
		return d.sent - 1
	}
	return d.sent
}

// Ended tells whether a side sent a FIN.
func (b *Brief) Ended(side int) bool { return b.sides[side&1].fin != 0 }

// Closed tells whether both sides sent a FIN.
func (b *Brief) Closed() bool { return b.sides[0].fin != 0 && b.sides[1].fin != 0 }

// Handshake is what Opening.Result gives.
func (b *Brief) Handshake() *Handshake { return &b.rtt }

// Course is how the time went by.
func (b *Brief) Course() *Course { return &b.course }

// ToServer is the round trip between the observation point and the server, ns, as
// Conn.Half gives it.
func (b *Brief) ToServer() int64 { return b.sides[0].rtt.base() }

// Samples are those of Conn.Samples.
func (b *Brief) Samples() *Samples { return &b.samples }
