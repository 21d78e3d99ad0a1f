package dnsmeta

import (
	"math"

	"mirrorscope/packet"
)

// Datagram takes the payload of a UDP datagram: one message. client tells who
// sent it, as far as the flow knows; whether it is a query the message says.
// cut tells that b is only its beginning. at is its record time, ns.
func (c *Conn) Datagram(client bool, b []byte, cut bool, at int64) {
	c.st.answers = c.st.answers[:0]
	if c.ended || len(b) == 0 && !cut {
		return
	}
	c.message(client, b, cut, at)
}

// message takes one message. It tells whether it was one.
func (c *Conn) message(client bool, b []byte, isCut bool, at int64) bool {
	c.Advance(at)
	m := &c.st.msg
	r := m.start(b)
	if r != whole {
		if c.broken(r, isCut) == cut && len(b) >= headerLen && m.response() {
			c.doubt(!client, int(m.id))
		}
		return false
	}
	if !c.decided {
		c.decided = true
		if m.id != 0 || m.flags&flagRD != 0 {
			c.proto = DNS
		}
	}
	if c.proto == MDNS {
		m.id = 0 // RFC 6762 section 18.1: to be ignored
	}
	if !m.response() {
		c.queried(client, isCut, at)
		return true
	}
	if r = m.rest(c.proto == MDNS); r != whole {
		if c.broken(r, isCut) == malformed {
			m.records = m.records[:0] // nothing of it is believed
		}
	}
	if c.proto == MDNS {
		c.announcement(client, at)
	} else {
		c.answered(client, at)
	}
	return true
}

// broken tells that a message could not be read to its end.
func (c *Conn) broken(r reading, isCut bool) kind {
	k := malformed
	if r == short && isCut {
		k = cut
	}
	c.tell(&event{kind: k})
	return k
}

// name gives the text of the question as a name that lasts.
func (c *Conn) name() string {
	if len(c.st.msg.text) == 0 {
		return ""
	}
	return c.st.names.of(c.st.msg.text)
}

// direction is the state of a query that one side sent.
func direction(client bool) state {
	if client {
		return fromClient
	}
	return 0
}

// maxQuestions bounds the questions of mDNS that are read.
const maxQuestions = 64

// queried takes a query: in mDNS one for each question (RFC 6762 section 5.3),
// else that of the first (RFC 9619).
func (c *Conn) queried(client, isCut bool, at int64) {
	m := &c.st.msg
	if c.proto != MDNS {
		c.ask(client, at)
		return
	}
	for n := int(m.counts[0]); n > 0; n-- {
		if int(m.counts[0])-n == maxQuestions {
			c.broken(bad, isCut)
			return
		}
		if !c.multicast {
			c.ask(client, at)
		} else {
			c.tell(&event{kind: unheard, name: c.name(), typ: m.typ})
		}
		if n > 1 {
			if r := m.question(); r != whole {
				c.broken(r, isCut)
				return
			}
		}
	}
}

// ask takes one question.
func (c *Conn) ask(client bool, at int64) {
	m := &c.st.msg
	name := c.name()
	k := c.match(direction(client))
	if k < 0 {
		c.tell(&event{kind: query, name: name, typ: m.typ})
		c.push(waiting{name: name, sent: at, id: m.id, typ: m.typ, opcode: m.opcode(), state: direction(client), sends: 1})
		return
	}
	w := &c.waiting()[k]
	if w.answers == 0 {
		w.sends = min(w.sends, math.MaxUint8-1) + 1
		c.tell(&event{kind: repeat, name: name, typ: m.typ})
		return
	}
	// Answered, but not as often as it was sent: the next response may be of
	// any of them.
	w.sent, w.sends, w.answers = at, 1, 0
	w.state = direction(client) | again
	c.due = min(c.due, at+Timeout+1)
	c.tell(&event{kind: query, name: name, typ: m.typ})
}

// match gives the query that one side sent with the message's id, name and
// type, -1 where there is none.
func (c *Conn) match(dir state) int {
	m := &c.st.msg
	q := c.waiting()
	for k := range q {
		if w := &q[k]; w.id == m.id && w.typ == m.typ && w.state&fromClient == dir && w.opcode == m.opcode() && w.name == string(m.text) {
			return k
		}
	}
	return -1
}

// matchID gives the oldest open query with the message's id: a response
// without a question says no more.
func (c *Conn) matchID(dir state) int {
	m := &c.st.msg
	q := c.waiting()
	for k := range q {
		if w := &q[k]; w.id == m.id && w.answers == 0 && w.state&fromClient == dir && w.opcode == m.opcode() {
			return k
		}
	}
	return -1
}

// answered takes a response of DNS or LLMNR.
func (c *Conn) answered(client bool, at int64) {
	m := &c.st.msg
	dir := direction(!client)
	var k int
	if m.counts[0] == 0 {
		k = c.matchID(dir)
	} else {
		k = c.match(dir)
	}
	switch {
	case k >= 0:
		name, typ := c.waiting()[k].name, c.waiting()[k].typ
		if c.close(k, at) && m.counts[0] > 0 {
			c.st.learn(name, typ, c.asker(client), at)
		}
	case c.proto == LLMNR:
		c.tell(&event{kind: announced, rcode: m.rcode})
		if m.counts[0] > 0 {
			c.st.learn(c.name(), m.typ, c.asker(client), at)
		}
	default:
		c.tell(&event{kind: unsolicited, rcode: m.rcode})
	}
}

// close gives query k the response at hand. It tells whether that is the first.
func (c *Conn) close(k int, at int64) bool {
	m, w := &c.st.msg, &c.waiting()[k]
	e := event{kind: duplicate, rcode: m.rcode}
	first := w.answers == 0
	if first {
		e = event{kind: response, name: w.name, typ: w.typ, rcode: m.rcode, took: at - w.sent}
		if w.sends == 1 && w.state&again == 0 && e.took >= 0 {
			e.marks |= timed
		}
		if w.state&timedOut != 0 {
			e.marks |= late
		}
		if m.flags&flagTC != 0 {
			e.marks |= truncated
		}
	}
	w.answers++
	if w.answers >= w.sends {
		c.remove(k)
	}
	c.tell(&e)
	return first
}

// announcement takes a response of mDNS: it answers the queries for the names
// and types of its records, if this flow holds any.
func (c *Conn) announcement(client bool, at int64) {
	st, m := c.st, &c.st.msg
	asker := c.asker(client)
	paired := false
	if len(c.waiting()) > 0 {
		paired = c.answeredBy(direction(!client), at)
	}
	if !paired {
		c.tell(&event{kind: announced, rcode: m.rcode})
	}
	st.learnLocal(asker, at)
}

// answeredBy closes the queries that the records of the answer section answer.
func (c *Conn) answeredBy(dir state, at int64) (any bool) {
	m := &c.st.msg
	off := m.answers
	for range min(int(m.counts[1]), maxRecords) {
		var r reading
		c.st.text, off, r = appendName(c.st.text[:0], m.b, off)
		if r != whole || off+10 > len(m.b) {
			break
		}
		typ := be.Uint16(m.b[off:])
		off += 10 + int(be.Uint16(m.b[off+8:]))
		q := c.waiting()
		for k := range q {
			if w := &q[k]; w.answers == 0 && w.state&fromClient == dir && (w.typ == typ || w.typ == typeANY || typ == typeCNAME) && w.name == string(c.st.text) {
				c.close(k, at)
				any = true
				break
			}
		}
	}
	return any
}

// asker is who gets the message that one side sent.
func (c *Conn) asker(client bool) packet.Addr {
	if client {
		return packet.Addr{}
	}
	return c.client
}

// doubt excuses the queries of one side that wait: octets were missed in which
// their responses may have been. id is that of the response; below 0 it is not
// known.
func (c *Conn) doubt(client bool, id int) {
	q := c.waiting()
	for k := range q {
		if w := &q[k]; w.state&fromClient == direction(client) && (id < 0 || int(w.id) == id) {
			w.state |= doubtful
		}
	}
}
