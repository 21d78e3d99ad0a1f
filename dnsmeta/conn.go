package dnsmeta

import (
	"math"

	"mirrorscope/packet"
)

// Timeout is how long, in ns, a query may stay without a response.
const Timeout = 5e9

// lateFor is how long, in ns, a query that timed out is remembered, so that its
// late response is known as such.
const lateFor = 30e9

// Bounds of a Conn. It starts with room for the two queries of a resolver that
// asks for A and AAAA, and for what becomes of them.
const (
	maxWaiting = 256 // queries
	inline     = 2
	maxEvents  = 4
)

// Conn follows one flow. Most flows are one or two queries and their
// responses: they need no more memory than the Conn. It is owned by one
// goroutine, and must not be copied.
type Conn struct {
	st      *Store
	large   *large      // nil until needed
	client  packet.Addr // zero where the flow has no single client
	due     int64       // no query has to be looked at before, ns
	queries [inline]waiting
	events  [maxEvents]event

	numQueries, numEvents uint8
	proto                 Protocol
	decided               bool // proto is
	multicast             bool
	oneSided              bool
	ended                 bool
}

// large is what a Conn needs when it is more than a few messages.
type large struct {
	info    Info
	queries []waiting // instead of Conn.queries
	halves  [2]half   // of TCP: from the server, from the client
	names   int       // Names paid for
	room    int       // waiting paid for
}

// waiting is a query and what became of it.
type waiting struct {
	name    string
	sent    int64 // ns, the first time
	id, typ uint16
	opcode  uint8
	state   state
	sends   uint8 // at most 255
	answers uint8
}

type state uint8

const (
	fromClient state = 1 << iota // the direction of the query
	timedOut                     // Timeout has passed
	again                        // the same id and question as a query before: which of them is answered is not known
	doubtful                     // octets were missed in which the response may have been
)

// ProtocolOf tells by its ports what a flow of two endpoints speaks: 53 is DNS,
// 5353 mDNS (RFC 6762), 5355 LLMNR (RFC 4795).
func ProtocolOf(a, b uint16) (Protocol, bool) {
	for _, p := range [...]struct {
		port  uint16
		proto Protocol
	}{{53, DNS}, {5353, MDNS}, {5355, LLMNR}} {
		if a == p.port || b == p.port {
			return p.proto, true
		}
	}
	return 0, false
}

// Init starts a flow between two hosts. A flow on the port of mDNS that is not
// of a group, and whose first message has an id or desires recursion, is plain
// DNS on another port.
func (c *Conn) Init(st *Store, p Protocol, client, server packet.Addr) {
	*c = Conn{st: st, proto: p, due: math.MaxInt64}
	c.multicast = isMulticast(client) || isMulticast(server)
	c.decided = p != MDNS || c.multicast
	if !c.multicast {
		c.client = client
	}
}

func isMulticast(a packet.Addr) bool { return a.IP().IsMulticast() }

// Protocol is what the flow speaks.
func (c *Conn) Protocol() Protocol { return c.proto }

// Info lends what was told since the last Reset of it. It takes the memory of
// an Info if the Conn has done without so far: TakeInfo does not.
func (c *Conn) Info() *Info {
	c.grow()
	c.large.info.Protocol = c.proto
	return &c.large.info
}

// TakeInfo adds what was told since the last call (or the last Reset of the
// lent Info) to i, and forgets it.
func (c *Conn) TakeInfo(i *Info) {
	if i.Protocol == DNS {
		i.Protocol = c.proto
	}
	if c.large != nil {
		i.Merge(&c.large.info)
		c.large.info.Reset()
		return
	}
	for k := range c.events[:c.numEvents] {
		i.add(&c.events[k], true)
	}
	c.numEvents = 0
}

// Answers lends what the last call of Datagram, Feed or Gap has learned, of this
// Conn or another of its Store. It is valid until the next, and the
// second call in a row gives nothing.
func (c *Conn) Answers() []Answer {
	a := c.st.answers
	c.st.answers = a[:0]
	return a
}

// Advance tells the queries that waited longer than Timeout at now, ns.
func (c *Conn) Advance(now int64) {
	if now < c.due {
		return
	}
	c.due = math.MaxInt64
	q := c.waitingToTell()
	kept := q[:0]
	for k := range q {
		w := &q[k]
		if w.open() && now-w.sent > Timeout {
			w.state |= timedOut
			c.tell(&event{kind: c.unanswered(w, timeout), name: w.name, typ: w.typ})
		}
		if until := w.until(); now-w.sent <= until {
			c.due = min(c.due, w.sent+until+1)
			kept = append(kept, *w)
		}
	}
	clear(q[len(kept):])
	c.setWaiting(len(kept))
}

// open tells whether a query waits, and nothing was told of it.
func (w *waiting) open() bool { return w.state&timedOut == 0 && w.answers == 0 }

// until is how long, in ns, a query stays in its present state.
func (w *waiting) until() int64 {
	if w.state&timedOut != 0 {
		return lateFor
	}
	return Timeout
}

// unanswered says what it means that a query has no response, if nothing
// excuses the server.
func (c *Conn) unanswered(w *waiting, otherwise kind) kind {
	switch {
	case c.multicast || c.proto == MDNS:
		return unpaired
	case c.oneSided || w.state&doubtful != 0:
		return lost
	}
	return otherwise
}

// Pending tells whether End has something to tell.
func (c *Conn) Pending() bool {
	if c.ended {
		return false
	}
	for _, w := range c.waiting() {
		if w.open() {
			return true
		}
	}
	return c.large != nil && (c.large.halves[0].inside() || c.large.halves[1].inside())
}

// OneSided tells that the direction of the responses is not recorded, or is: if
// not, a query without one is Lost and proves no timeout.
func (c *Conn) OneSided(is bool) { c.oneSided = is }

// End ends the flow at now, ns: what waits stays without a response.
func (c *Conn) End(now int64) {
	if c.ended {
		return
	}
	c.Advance(now)
	c.ended = true
	if c.large != nil {
		for d := range c.large.halves {
			if h := &c.large.halves[d]; h.drop(c.st.budget) {
				c.tell(&event{kind: cut})
			}
		}
	}
	for _, w := range c.waitingToTell() {
		if w.open() {
			c.tell(&event{kind: c.unanswered(&w, unanswerable)})
		}
	}
	clear(c.waiting())
	c.setWaiting(0)
}

// Release gives back what the Conn took beyond its own size. Init starts it
// anew.
func (c *Conn) Release() {
	if c.large != nil {
		c.st.freeLarge(c.large)
	}
	*c = Conn{}
}

// tell keeps an event.
func (c *Conn) tell(e *event) {
	if c.large == nil {
		if int(c.numEvents) < len(c.events) {
			c.events[c.numEvents] = *e
			c.numEvents++
			return
		}
		c.grow()
	}
	l := c.large
	room := len(l.info.Names) < l.names
	if !room && e.name != "" && len(l.info.Names) < MaxNames && l.info.find(e.name, e.typ) == nil {
		if room = c.st.budget.Take(nameSize); room {
			l.names++
		}
	}
	l.info.add(e, room)
}

// grow gives the Conn its large part.
func (c *Conn) grow() {
	if c.large != nil {
		return
	}
	c.large = c.st.newLarge()
	c.large.queries = append(c.large.queries, c.queries[:c.numQueries]...)
	n := c.numEvents
	c.numQueries, c.numEvents = 0, 0
	for k := range c.events[:n] {
		c.tell(&c.events[k])
	}
	c.queries, c.events = [inline]waiting{}, [maxEvents]event{}
}

// waitingToTell is waiting, and sees to it that the queries stay where they
// are while an event of each is told.
func (c *Conn) waitingToTell() []waiting {
	if c.large == nil && c.numEvents+c.numQueries > maxEvents {
		c.grow()
	}
	return c.waiting()
}

// waiting lends the queries, in the order in which they came.
func (c *Conn) waiting() []waiting {
	if c.large != nil {
		return c.large.queries
	}
	return c.queries[:c.numQueries]
}

// setWaiting keeps the first n queries.
func (c *Conn) setWaiting(n int) {
	if c.large != nil {
		c.large.queries = c.large.queries[:n]
	} else {
		c.numQueries = uint8(n)
	}
}

// remove takes a query out.
func (c *Conn) remove(k int) {
	q := c.waiting()
	copy(q[k:], q[k+1:])
	q[len(q)-1] = waiting{}
	c.setWaiting(len(q) - 1)
}

// push adds a query. Where there is no room, the oldest that needs none any
// more leaves, or else the oldest.
func (c *Conn) push(w waiting) {
	c.due = min(c.due, w.sent+Timeout+1)
	q := c.waiting()
	if len(q) == maxWaiting || c.large == nil && len(q) == inline || c.large != nil && len(q) == cap(q) {
		c.makeRoom()
	}
	if c.large != nil {
		c.large.queries = append(c.large.queries, w)
		return
	}
	c.queries[c.numQueries] = w
	c.numQueries++
}

func (c *Conn) makeRoom() {
	if c.large == nil {
		c.grow() // has room for more
		return
	}
	l, q := c.large, c.large.queries
	if n := len(q); n < maxWaiting && c.st.budget.Take(n*waitingSize) {
		l.room += n
		l.queries = append(make([]waiting, 0, 2*n), q...)
		return
	}
	for k := range q {
		if !q[k].open() {
			c.remove(k)
			return
		}
	}
	c.tell(&event{kind: dropped})
	c.remove(0)
}
