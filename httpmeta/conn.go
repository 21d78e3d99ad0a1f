package httpmeta

import "unsafe"

// Conn follows one connection. Reset makes it ready for use; it is owned by one
// goroutine. What it learns is handed out by Next.
type Conn struct {
	shared *Shared
	half   [2]half // of the client and of the server
	losses Losses

	// Exchanges of HTTP/1 have ordinals: the client's requests and the server's
	// responses are numbered in order, and equal numbers belong together. queue
	// holds those from base on that were not handed out yet.
	queue             []entry
	first             int // in queue, of base
	base              int64
	nextReq, nextResp int64 // of the next request's head; of the response that is under way or comes next
	doubt             int64 // requests below it, from nextResp on, may have been answered unseen
	charged           int   // octets taken for queue

	whole     bool // both directions are known from their first octet
	pipelined bool // a request was sent before the one before it was answered
	suspected bool // that may have been so
	replied   bool // the server sent something since the last request's head
	closed    bool
	lone      [6]uint8 // responses by class that nothing bore out while joined
	joined    bool     // on its way, and nothing is certain yet: see join.go
	swapped   bool     // the sides are the other way around than fed, and Swapped was not asked yet
	speaker   side     // who sent the last octets

	h2       *http2
	finished []Exchange // of HTTP/2, from handed on
	handed   int

	upgraded    string
	upgradedPos [2]int64 // -1: not known
}

// side is a direction.
type side uint8

const (
	client side = iota
	server
	nobody
)

// entry is an exchange under way. Of HTTP/1 it lies in Conn.queue, of HTTP/2
// in its stream.
type entry struct {
	Exchange
	requestDone  bool // nothing more of the request will come
	answered     bool // the final response's head came
	responseDone bool
	gone         bool // not handed out

	expect    bool   // the client may wait for 100 (Continue) before it sends the body
	continued bool   // and got it
	isGRPC    bool   // the request's content type
	upgrade   bool   // the request asks for h2c
	stream    uint32 // its identifier in HTTP/2
	headAt    int64  // last octet of the request's head
	headLast  int64  // position behind it
}

func (e *entry) done() bool { return e.requestDone && e.responseDone }

// maxPending bounds the requests of HTTP/1 that wait for a response.
const maxPending = 256

// Reset makes c ready for another connection and keeps its memory. whole says
// that both directions will be fed from their first octet; then a response
// that was recorded shortly before its request, as mirrors deliver it, finds it.
// A connection that is not whole was joined on its way, and gives nothing until
// both sides agree that it is HTTP, unless SidesKnown is called.
func (c *Conn) Reset(s *Shared, whole bool) {
	c.release()
	queue, finished := c.queue[:0], c.finished[:0]
	if cap(queue) > freeEntries {
		queue = nil
	}
	if cap(finished) > freeEntries {
		finished = nil
	}
	*c = Conn{shared: s, queue: queue, finished: finished, whole: whole, joined: !whole, speaker: nobody}
	c.half[server].side = server
}

// release gives back what is out of the budget.
func (c *Conn) release() {
	for i := range c.half {
		c.dropBuffer(&c.half[i])
	}
	if c.h2 != nil {
		c.h2.release(c.shared)
	}
	if c.charged > 0 {
		c.shared.give(c.charged)
		c.charged = 0
	}
}

// Feed takes octets of one direction that follow, at position pos, those
// before. at is the record time of the packet that completed them. Octets that
// were fed before are passed over; where pos is ahead, those between count as
// missed. Nothing of b is kept but the octets of a head that is incomplete.
func (c *Conn) Feed(fromClient bool, pos int64, b []byte, at int64) {
	h := c.of(fromClient)
	if c.closed {
		return
	}
	if !h.started {
		h.started, h.pos = true, pos
	}
	switch ahead := pos - h.pos; {
	case ahead > 0:
		c.Gap(fromClient, ahead, at)
	case -ahead >= int64(len(b)):
		return
	case ahead < 0:
		b = b[-ahead:]
	}
	if len(b) == 0 {
		return
	}
	if c.speaker != h.side {
		h.turned = c.speaker != nobody
		c.speaker = h.side
		c.turn(h)
	}
	h.at = at
	c.consume(h, b)
}

// consume goes through octets until all are used.
func (c *Conn) consume(h *half, b []byte) {
	for len(b) > 0 {
		pos, swapped := h.pos, c.swapped
		n := c.step(h, b)
		if c.swapped != swapped {
			h = &c.half[c.speaker]
		}
		h.pos = pos + int64(n)
		b = b[n:]
	}
}

// Gap says that n octets of one direction were not recorded, and by 0 or less
// that it is not known how many. A gap in the octets of a known length is
// stepped over. Otherwise the direction is lost.
func (c *Conn) Gap(fromClient bool, n, at int64) {
	h := c.of(fromClient)
	if c.closed {
		return
	}
	c.speaker = h.side
	h.turned = false
	c.replied = c.replied || h.side == server
	h.at = 0 // what ends inside has no time
	if n > 0 && c.stepOver(h, n) {
		return
	}
	h.started = h.started && n > 0
	h.pos += n
	if h.state != stateLost && !h.trying && h.state != stateDead && h.state != stateTunnel {
		c.losses.Lost++
	}
	c.lose(h)
	if h.side == server && h.state == stateLost && !c.joined {
		h.state, h.trying, h.resumed = stateStart, true, true // a response may begin right behind
	}
}

// Closed says that a side sends no more (FIN): a response that ends with the
// connection ends here.
func (c *Conn) Closed(fromClient bool, at int64) {
	if h := c.of(fromClient); !c.closed && h.side == server && h.state == stateUntilClose {
		c.responseEnd(h)
		h.state = stateLost
	}
}

// Close ends the connection: what is open is handed out as it is.
func (c *Conn) Close(at int64) {
	if c.closed {
		return
	}
	c.Closed(false, at)
	for i := range c.half {
		c.flush(&c.half[i])
	}
	if c.h2 != nil {
		c.closeStreams()
	}
	c.release()
	for i := c.first; i < len(c.queue); i++ {
		e := &c.queue[i]
		if e.answered && !e.requestDone {
			c.neverSent(e)
		}
		if !e.answered && c.mayHaveAnswered() {
			e.Broken = true // its response may be in what was missed
		}
		if c.joined {
			c.drop(e)
		}
		e.requestDone, e.responseDone = true, true
	}
	c.closed = true
}

// Next hands out an exchange that is finished, those of HTTP/1 in their order,
// those of HTTP/2 as they end. It is false where there is none. After every
// Feed, Gap, Closed and Close it should be called until then.
func (c *Conn) Next(e *Exchange) bool {
	for c.first < len(c.queue) {
		next := &c.queue[c.first]
		if !next.done() {
			return c.nextStream(e)
		}
		c.first++
		c.base++
		if c.swapped {
			c.drop(next)
		}
		if !next.gone {
			*e = next.Exchange
			return true
		}
	}
	c.queue, c.first = c.queue[:0], 0
	return c.nextStream(e)
}

// nextStream hands out an exchange of HTTP/2.
func (c *Conn) nextStream(e *Exchange) bool {
	if len(c.finished) == 0 {
		return false
	}
	*e = c.finished[c.handed]
	if c.handed++; c.handed == len(c.finished) {
		c.finished, c.handed = c.finished[:0], 0
	}
	return true
}

// Losses gives what could not be followed since it was called last.
func (c *Conn) Losses() Losses {
	l := c.losses
	c.losses = Losses{}
	return l
}

// Upgraded tells whether, to what and where the connection left HTTP: the
// positions are those of the first octets that are no longer HTTP's; -1 is not
// known. What is fed from then on is passed over. h2c is not told here: it
// goes on as HTTP/2.
func (c *Conn) Upgraded() (protocol string, clientPos, serverPos int64, ok bool) {
	return c.upgraded, c.upgradedPos[client], c.upgradedPos[server], c.upgraded != ""
}

// of gives a direction.
func (c *Conn) of(fromClient bool) *half {
	if fromClient != c.swapped {
		return &c.half[client]
	}
	return &c.half[server]
}

// freeEntries is how many entries of Conn.queue do not count against the
// budget: those that every connection has.
const freeEntries = 4

const entrySize = int(unsafe.Sizeof(entry{}))

// room makes sure that there is, or can be, an entry with an ordinal. Where the
// budget has no room, the direction is lost.
func (c *Conn) room(h *half, ordinal int64) bool {
	if len(c.queue) < cap(c.queue) || c.first+int(ordinal-c.base) < len(c.queue) {
		return true
	}
	if c.first > 0 {
		n := copy(c.queue, c.queue[c.first:])
		c.queue, c.first = c.queue[:n], 0
		return true
	}
	size := max(freeEntries, 2*cap(c.queue))
	charge := (size - freeEntries) * entrySize
	if charge > c.charged {
		if !c.shared.take(charge - c.charged) {
			c.losses.NoMemory++
			c.lose(h)
			return false
		}
		c.charged = charge
	}
	c.queue = append(make([]entry, 0, size), c.queue...)
	return true
}

// slot gives the entry with an ordinal, which is at most the one behind the
// last.
func (c *Conn) slot(ordinal int64) *entry {
	i := c.first + int(ordinal-c.base)
	if i == len(c.queue) {
		c.queue = append(c.queue, entry{Exchange: Exchange{GRPC: -1}})
	}
	return &c.queue[i]
}

// turn is called when a side begins to send after the other.
func (c *Conn) turn(h *half) {
	c.replied = c.replied || h.side == server
	switch {
	case h.state == stateLost && c.mayResume(h):
		h.state, h.trying, h.resumed = stateStart, true, true
	case h.side == client && h.bodyBegins() && c.nextReq > c.base:
		// A client that waited for 100 (Continue) and got a final response may
		// go on with another request instead of the body.
		if e := c.slot(c.nextReq - 1); e.expect && !e.continued && e.answered {
			c.peek(h)
		}
	}
}

// mayHaveAnswered tells whether octets of the server were missed, or not
// understood, in which a response may be.
func (c *Conn) mayHaveAnswered() bool {
	s := &c.half[server]
	return s.resumed || s.state == stateLost || s.state == stateDead
}

// mayResume tells whether a direction that was lost may be followed again, if
// it begins with a head now. The server answers, so its octets may be a
// response. The client's may be a request if no response is under way: it has
// all that it waits for.
func (c *Conn) mayResume(h *half) bool {
	if h.side == server || c.joined {
		return true
	}
	s := &c.half[server]
	return s.state == stateLost || s.trying || s.state == stateStart && c.nextResp == c.nextReq
}

// intern sets the names of a request. port is what its scheme leaves out.
func (c *Conn) intern(e *Exchange, method string, host, path []byte, port string) {
	s := c.shared
	e.Method = method
	s.scratch = appendHost(s.scratch[:0], host, port)
	e.Host = s.name(s.scratch)
	s.scratch = appendTemplate(s.scratch[:0], path)
	e.Path = s.name(s.scratch)
}
