package pcapgen

import "time"

const (
	initialWindow = 10 // segments (RFC 6928)
	maxWindow     = 64 // segments: what slow start grows to
	dupThresh     = 3  // duplicate ACKs (RFC 5681)
	synTimeout    = time.Second
	minRTO        = 200 * time.Millisecond
	delayedACK    = 40 * time.Millisecond
	maxBackoff    = 6 // RTOs in a row until an end gives up
	acceptTime    = 50 * time.Microsecond
)

// endpoint is one end's TCP. Positions count from its SYN (see segment).
type endpoint struct {
	s     *sim
	side  Side
	stack Stack
	ipid  uint16

	established bool
	dead        bool
	failure     string // why, where it gave up

	out      []byte // all data written
	fin      bool   // no more follows
	una, nxt int64  // RFC 9293 section 3.3.1
	max      int64  // highest position ever sent
	cwnd     int64  // segments
	dup      int    // duplicate ACKs in a row
	sacked   spans
	recover  int64 // end of the recovery episode, 0 for none
	rtx      int64 // where the next repeat of the episode starts
	timedOut bool  // the episode began with an RTO: all that is not SACKed counts as lost
	timer    int   // generation of the timer; an older one does nothing
	backoff  int

	rcv       int64 // next position expected
	early     spans // received beyond a hole
	lastEarly span
	unacked   int // segments since the last ACK
	delayed   int // generation of the delayed ACK
	ackSent   int64
	tsRecent  uint32
	finTaken  bool
}

func newEndpoint(s *sim, side Side, stack Stack) *endpoint {
	if stack.MSS == 0 {
		stack.MSS = 1460
		if s.conn.Client.Addr().Is6() {
			stack.MSS = 1440
		}
	}
	stack.WScale = or(stack.WScale, 7)
	return &endpoint{s: s, side: side, stack: stack, ipid: stack.IPID, cwnd: initialWindow}
}

// timestamps and sack tell what both ends agreed on.
func (e *endpoint) timestamps() bool {
	return !e.stack.NoTimestamps && !e.s.ends[e.side.peer()].stack.NoTimestamps
}

func (e *endpoint) sack() bool { return !e.stack.NoSACK && !e.s.ends[e.side.peer()].stack.NoSACK }

// segmentSize is the payload of a full segment.
func (e *endpoint) segmentSize() int64 {
	n := int64(min(e.stack.MSS, e.s.ends[e.side.peer()].stack.MSS))
	if e.timestamps() {
		n -= 12
	}
	return n
}

func (e *endpoint) rto() time.Duration {
	return (minRTO + 2*e.s.conn.Path.Delay) << e.backoff
}

// send transmits a segment with the fields that every one has.
func (e *endpoint) send(g segment) {
	syn := g.flags&SYN != 0
	if g.ack = e.rcv; g.flags&ACK != 0 {
		e.unacked, e.ackSent = 0, e.rcv
		e.delayed++
	}
	if g.window = 502; syn {
		g.window = 64240
		g.options.MSS = e.stack.MSS
		g.options.SACKPermitted = e.sack() || g.flags&ACK == 0 && !e.stack.NoSACK
		g.options.WScale = &e.stack.WScale
	}
	if e.timestamps() || syn && g.flags&ACK == 0 && !e.stack.NoTimestamps {
		// One tick a millisecond, from a random-looking origin.
		g.options.Timestamps = &Timestamps{e.stack.ISN>>1 + uint32(e.s.now/1e6), e.tsRecent}
	}
	x := g.occupied()
	g.repeat = x.from < x.to && x.to <= e.max
	e.max = max(e.max, x.to)
	e.s.transmit(e.side, g)
}

// open sends the SYN, again until it is answered.
func (e *endpoint) open() {
	limit := or(e.s.conn.SYNs, 4)
	wait := synTimeout
	var try func()
	try = func() {
		switch {
		case e.established || e.dead:
		case limit == 0:
			e.fail("timeout")
		default:
			limit--
			e.send(segment{flags: SYN})
			e.s.after(wait, try)
			wait *= 2
		}
	}
	try()
}

// answer sends the SYN-ACK, again until it is acknowledged.
func (e *endpoint) answer() {
	e.timer++
	e.send(segment{flags: SYN | ACK})
	gen, wait := e.timer, synTimeout<<e.backoff
	e.s.after(wait, func() {
		if gen != e.timer || e.established || e.dead {
			return
		}
		if e.backoff++; e.backoff < maxBackoff {
			e.answer()
		}
	})
}

// fail gives up.
func (e *endpoint) fail(why string) {
	if !e.dead {
		e.dead, e.failure = true, why
	}
}

func (e *endpoint) reset() {
	e.send(segment{flags: RST | ACK, seq: e.nxt})
	e.dead = true
}

// receive takes a segment from the path.
func (e *endpoint) receive(g segment) {
	if e.dead {
		return
	}
	if e.side == Server && e.s.conn.Service != Listening {
		e.refuse(g)
		return
	}
	if ts := g.options.Timestamps; ts != nil && g.seq <= e.ackSent {
		e.tsRecent = ts.Val // RFC 7323 section 4.3
	}
	switch {
	case g.flags&RST != 0 && !e.established:
		e.fail("refused")
	case g.flags&RST != 0:
		e.dead = true
	case g.flags&SYN != 0:
		e.receiveSYN(g)
	default:
		e.receiveACK(g)
		e.receiveData(g)
	}
}

// refuse is a host without the service.
func (e *endpoint) refuse(g segment) {
	switch e.s.conn.Service {
	case Refusing:
		e.rcv = 1
		e.stack.ISN, e.stack.NoTimestamps = 0, true
		e.s.transmit(Server, segment{flags: RST | ACK, ack: 1})
	case NoRouteBack:
		e.s.unreachable(e.s.packet(Client, len(e.s.taps)-1, e.s.ends[Client].ipid-1, g))
	}
}

func (e *endpoint) receiveSYN(g segment) {
	if e.established {
		e.send(segment{flags: ACK, seq: e.nxt}) // the last ACK was lost
		return
	}
	e.rcv = 1
	if e.side == Server {
		e.answer()
		e.nxt = 1
		return
	}
	e.established, e.una, e.nxt = true, 1, 1
	e.send(segment{flags: ACK, seq: 1})
	e.s.clientTurn()
}

// receiveACK moves the window and finds losses.
func (e *endpoint) receiveACK(g segment) {
	if !e.established {
		if g.ack < 1 {
			return
		}
		e.established, e.una, e.nxt, e.backoff = true, 1, 1, 0
		e.timer++
		e.s.serverTurn()
	}
	for _, b := range g.options.SACK {
		from := int64(b.Left - e.stack.ISN)
		x := span{from, from + int64(b.Right-b.Left)}
		if x.from > g.ack { // not a DSACK
			e.sacked = e.sacked.add(x)
		}
	}
	switch {
	case g.ack > e.una:
		acked := (g.ack - e.una + e.segmentSize() - 1) / e.segmentSize()
		e.una, e.dup, e.backoff = g.ack, 0, 0
		e.nxt = max(e.nxt, e.una)
		e.sacked = e.sacked.above(e.una)
		if e.recover == 0 || e.timedOut {
			e.cwnd = min(e.cwnd+acked, maxWindow)
		}
		if e.una >= e.recover {
			e.recover, e.timedOut = 0, false
		}
		e.arm()
	case g.ack == e.una && e.una < e.max && len(g.data) == 0 && g.flags&FIN == 0:
		e.dup++
	}
	if e.recover == 0 && e.una < e.max && (e.dup >= dupThresh || e.sacked.size() > dupThresh*e.segmentSize()) {
		e.recover, e.rtx, e.cwnd = e.max, e.una, max(e.cwnd/2, 2)
		e.repeat()
	} else if e.recover > 0 {
		e.repeat()
		if e.timedOut {
			e.repeat() // slow start: two for one
		}
	}
	e.push()
}

// repeat sends the next lost segment of the episode again.
func (e *endpoint) repeat() {
	e.rtx = max(e.rtx, e.una)
	limit := e.recover
	if !e.timedOut {
		if limit = e.sacked.top(); !e.sack() {
			limit = min(e.una+e.segmentSize(), e.recover) // nothing else is known to be lost
		}
	}
	if x, ok := e.sacked.gap(e.rtx, e.segmentSize(), limit); ok {
		e.rtx = x.to
		e.sendSpan(x)
	}
}

// sendSpan sends data, or the FIN where x is its position.
func (e *endpoint) sendSpan(x span) {
	end := int64(len(e.out)) + 1
	if x.from == end {
		e.send(segment{flags: FIN | ACK, seq: end})
		return
	}
	x.to = min(x.to, end)
	flags := ACK
	if x.to == end {
		flags |= PSH
	}
	e.send(segment{flags: flags, seq: x.from, data: e.out[x.from-1 : x.to-1]})
}

// push sends what the window allows.
func (e *endpoint) push() {
	if !e.established || e.dead {
		return
	}
	end := int64(len(e.out)) + 1
	if e.fin {
		end++
	}
	for e.nxt < end && e.nxt-e.una-e.sacked.size() < e.cwnd*e.segmentSize() {
		x := span{e.nxt, min(e.nxt+e.segmentSize(), int64(len(e.out))+1)}
		if x.from == x.to {
			x.to++ // FIN
		}
		idle := e.una == e.nxt
		e.nxt = x.to
		e.sendSpan(x)
		if idle {
			e.arm()
		}
	}
}

// arm starts the retransmission timer anew (RFC 6298 section 5).
func (e *endpoint) arm() {
	e.timer++
	if e.una >= e.max {
		return
	}
	gen := e.timer
	e.s.after(e.rto(), func() {
		if gen != e.timer || e.dead || e.una >= e.max {
			return
		}
		if e.backoff++; e.backoff > maxBackoff {
			e.fail("aborted_timeout")
			return
		}
		e.recover, e.rtx, e.timedOut, e.cwnd, e.dup = e.max, e.una, true, 1, 0
		e.repeat()
		e.arm()
	})
}

// receiveData takes the segment's data and acknowledges it.
func (e *endpoint) receiveData(g segment) {
	x := g.occupied()
	if x.from == x.to || e.dead {
		return
	}
	if g.flags&FIN != 0 {
		e.finTaken = true
	}
	switch {
	case x.to <= e.rcv: // all of it is there already
		e.ack(&x)
	case x.from > e.rcv:
		e.early, e.lastEarly = e.early.add(x), x
		e.ack(nil)
	default:
		hole := len(e.early) > 0
		e.rcv = x.to
		if hole && e.early[0].from <= e.rcv {
			e.rcv = max(e.rcv, e.early[0].to)
		}
		e.early = e.early.above(e.rcv)
		e.unacked++
		if e.unacked >= 2 || hole || g.flags&FIN != 0 {
			e.ack(nil)
		} else {
			e.delayed++
			gen := e.delayed
			e.s.after(delayedACK, func() {
				if gen == e.delayed && !e.dead {
					e.ack(nil)
				}
			})
		}
		e.s.delivered(e.side)
	}
}

// ack sends an ACK at once, with SACK blocks; dup is octets received twice,
// which go first (RFC 2883).
func (e *endpoint) ack(dup *span) {
	g := segment{flags: ACK, seq: e.nxt}
	if e.sack() {
		isn := e.s.ends[e.side.peer()].stack.ISN
		add := func(x span) {
			if len(g.options.SACK) < 3 {
				g.options.SACK = append(g.options.SACK, SACK{isn + uint32(x.from), isn + uint32(x.to)})
			}
		}
		if dup != nil {
			add(*dup)
		}
		// The block with the latest segment comes first (RFC 2018 section 4).
		for _, x := range e.early {
			if x.from <= e.lastEarly.from && e.lastEarly.to <= x.to {
				add(x)
			}
		}
		for _, x := range e.early {
			if e.lastEarly.from < x.from || e.lastEarly.to > x.to {
				add(x)
			}
		}
	}
	e.send(g)
}

// has tells whether the endpoint received all of x.
func (e *endpoint) has(x span) bool { return x.to <= e.rcv || e.early.has(x) }

// write adds data to the stream.
func (e *endpoint) write(b []byte) {
	e.out = append(e.out, b...)
	e.push()
}

// close ends the stream.
func (e *endpoint) close() {
	e.fin = true
	e.push()
}
