package tcp

// Segment is a packet's payload in its place. Positions are 64-bit and run on
// where sequence numbers wrap.
type Segment struct {
	Time     int64
	Pos, End int64 // of the payload; equal where there is none
	Before   int64 // end of the highest octet of this direction recorded before; 0 nothing was
	Acked    int64 // octets of the other direction that its sender has acknowledged by then
	Inferred bool  // a repeat of what was lost before the observation point, as identifications tell
}

// Fresh tells whether the segment holds an octet beyond all that was recorded
// of its direction.
func (g *Segment) Fresh() bool { return g.End > g.Pos && g.End > g.Before }

// Again tells whether the segment holds an octet that was recorded, or passed
// over, before.
func (g *Segment) Again() bool { return g.End > g.Pos && g.Pos < g.Before && g.Before != 0 }

// Late tells whether something before the segment is missing, or comes again
// with it.
func (g *Segment) Late() bool { return g.Pos != g.Before && g.Before != 0 }

// Exchange follows requests and responses of a protocol that nothing else is
// known of: what the client sends is a request, what the server sends then is
// the response. client is the direction of the client, -1 where it is not known.
func (c *Conn) Exchange(st *Store, g *Segment, dir, client int) {
	switch {
	case g.End == g.Pos || client < 0:
	case dir == client:
		c.Ask(g.End, g.Time, g.Again())
	case g.Fresh():
		c.Answer(st, g, client)
	}
}

// turn follows requests and responses: client payload, then server payload
// that acknowledges it. Without a parser a turn is a request.
type turn struct {
	reqEnd int64  // position behind the last octet of the request
	reqAt  int64  // record time of the packet that carried it
	turns  uint32 // requests with a response
	waits  uint32 // in the Store; 0 none
	second uint32 // of the input's clock, when the latest of waits was added, its lower 32 bits
	doubt  Reasons
	state  turnState
	flags  turnFlags
	again  bool // part of the present request was repeated
}

// waits are the latest times from request to response, from which the base is
// still to be taken.
type waits struct {
	ns     [4]int64
	n      uint8
	client uint8 // direction, when they were added
}

type turnState uint8

const (
	idle turnState = iota
	requesting
	responding
)

type turnFlags uint8

const (
	requestLost turnFlags = 1 << iota // part of a request was repeated
	responseLost
	earlyResponse
	requestMissed
	noBase
)

// Ask takes payload of the client that ends at e and was recorded at the time
// at. again says that part of it was sent before.
func (c *Conn) Ask(e, at int64, again bool) {
	u := &c.turn
	if u.state != requesting {
		if again {
			return // a straggling repeat of a request that was answered
		}
		u.state, u.again = requesting, false
		u.reqEnd = e
	}
	u.reqEnd = max(u.reqEnd, e)
	u.reqAt = at
	u.again = u.again || again
}

// Asked tells whether a request waits for its response.
func (c *Conn) Asked() bool { return c.turn.state == requesting }

// Answer takes fresh payload of the server.
func (c *Conn) Answer(st *Store, g *Segment, client int) {
	u := &c.turn
	if u.state != requesting {
		return
	}
	u.state = responding
	u.turns++
	switch {
	case g.Acked < u.reqEnd:
		u.flags |= earlyResponse
	case g.Acked > u.reqEnd+1:
		u.flags |= requestMissed // its end was not recorded; one more is a FIN
	case g.Late():
		u.flags |= responseLost
	case u.again:
		u.flags |= requestLost // which of its copies the server answers cannot be told
	default:
		c.think(st, g.Time-u.reqAt, client)
	}
}

// Responded takes a request and its response that a reader of the protocol
// above has paired: raw ns lie between the request's last octet and the
// response's first, unless reasons tell why that cannot be known. It gives the
// time to think as far as it is known now, Absent where it was not measured.
func (c *Conn) Responded(st *Store, raw int64, reasons Reasons, client int) int64 {
	u := &c.turn
	u.turns++
	switch {
	case reasons == 0:
		return c.think(st, raw, client)
	case reasons&RequestLost != 0:
		u.flags |= requestLost
	case reasons&ResponseLost != 0:
		u.flags |= responseLost
	}
	return Absent
}

// think adds a response that came raw ns after its request.
func (c *Conn) think(st *Store, raw int64, client int) int64 {
	if raw < 0 {
		return Absent // recorded out of order
	}
	u := &c.turn
	if u.waits != 0 && int(st.waits.At(u.waits).n) == len(waits{}.ns) {
		c.settleTurns(st, client)
	}
	if u.waits == 0 {
		u.waits = st.waits.Get()
		st.waits.At(u.waits).n = 0
	}
	w := st.waits.At(u.waits)
	w.ns[w.n] = raw
	w.n++
	w.client, u.second = uint8(client), uint32(st.now/1e9)
	base, solid := c.Half(1 - client)
	if !solid {
		base = 0
	}
	return max(raw-base, 0)
}

// settleTurns takes the base off the latest waits. It is put off to the end of
// the second of the input's clock, for the base becomes better known with time.
func (c *Conn) settleTurns(st *Store, client int) {
	u := &c.turn
	if u.waits == 0 {
		return
	}
	base, solid := c.Half(1 - client)
	if !solid {
		u.flags |= noBase
		base = 0 // it may hold think time itself: nothing is taken off, and the value is an upper bound
	}
	w := st.waits.At(u.waits)
	for _, raw := range w.ns[:w.n] {
		st.add(&c.samples, thinkTime, max(raw-base, 0))
	}
	st.freeWaits(c)
}

// Unask tells that what was taken for a request is none.
func (c *Conn) Unask() { c.turn.state, c.turn.again = idle, false }

// DoubtTurns tells that what is taken for requests and responses may be something
// else.
func (c *Conn) DoubtTurns(why Reasons) { c.turn.doubt |= why }

// AskedAgain tells that part of the request came again, or of what the server
// needs before it.
func (c *Conn) AskedAgain() { c.turn.again = true }

// Start is the position of the first octet that a direction can carry, where
// its SYN or SYN-ACK was recorded.
func (c *Conn) Start(dir int) (pos int64, ok bool) {
	d := &c.Dirs[dir]
	if d.has&hasISN != 0 {
		return unwrap(d.hi, d.begin) + 1, true
	}
	// The other side's SYN was recorded, so its first ACK was, too, or the first
	// packet of this direction: neither can be behind the beginning.
	if c.Dirs[1-dir].has&hasISN == 0 || d.has&(hasSeq|hasUna) == 0 {
		return 0, false
	}
	if d.has&(hasUna|hasSeq) == hasUna|hasSeq {
		return min(d.lo, unwrap(d.lo, d.begin)), true
	}
	return d.lo, true
}

// Una is how far the other side has acknowledged a direction.
func (c *Conn) Una(dir int) int64 { return c.Dirs[dir].una }

// MSS is the largest segment of a direction, in octets of payload.
func (c *Conn) MSS(dir int) int64 { return c.segmentSize(&c.Dirs[dir]) }

// Half is the round trip in ns between the observation point and the host that
// sends in a direction, without queues, as far as is known by now; 0 unknown.
// solid says that something else than answers, which may hold the time to think
// of them, has shown it.
func (c *Conn) Half(dir int) (ns int64, solid bool) { return c.Dirs[1-dir].rtt.known() }
