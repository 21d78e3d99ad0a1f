package dnsmeta

import "mirrorscope/pool"

// half is one direction of a TCP connection: messages with two octets of
// length in front (RFC 7766 section 8).
type half struct {
	next  int64  // position of the octet that comes next
	buf   []byte // of a message that came in part
	need  int    // octets of the message at hand; 0 while its length is not known
	skip  int    // octets of a message that are passed over
	first uint8  // octet of the length
	part  bool   // first was read
	begun bool   // next is known
	lost  bool   // where a message begins is not known
}

// Feed takes octets of a TCP connection in order: b begins at position pos of
// what one side sent. at is when its last octet was recorded, ns. Messages may
// span calls. What lies before a position seen already is left out, and what is
// missing between is a gap.
func (c *Conn) Feed(client bool, pos int64, b []byte, at int64) {
	c.st.answers = c.st.answers[:0]
	if c.ended || len(b) == 0 {
		return
	}
	c.grow()
	h := c.half(client)
	if !h.begun {
		h.begun, h.next = true, pos
	}
	if pos > h.next {
		c.miss(client, pos-h.next)
	}
	if old := h.next - pos; old > 0 {
		if old >= int64(len(b)) {
			return
		}
		b = b[old:]
	}
	h.next += int64(len(b))
	c.Advance(at)
	c.split(client, b, at)
}

// Gap tells that n octets of one side are missing where Feed left off.
func (c *Conn) Gap(client bool, n int64, at int64) {
	c.st.answers = c.st.answers[:0]
	if c.ended || n <= 0 {
		return
	}
	c.grow()
	c.Advance(at)
	c.miss(client, n)
}

func (c *Conn) half(client bool) *half {
	if client {
		return &c.large.halves[1]
	}
	return &c.large.halves[0]
}

// split finds the messages in octets that come in order.
func (c *Conn) split(client bool, b []byte, at int64) {
	h := c.half(client)
	if h.lost {
		// Servers and clients write a message, or several, at once (RFC 7766
		// section 8): one may begin where a packet does.
		if !c.begins(b) {
			c.doubt(!client, -1)
			return
		}
		h.lost = false
	}
	for len(b) > 0 {
		switch {
		case h.skip > 0:
			n := min(h.skip, len(b))
			h.skip -= n
			b = b[n:]
		case h.need == 0:
			if !h.part {
				h.first, h.part = b[0], true
			} else {
				h.need, h.part = int(h.first)<<8|int(b[0]), false
				if h.need < headerLen || len(b) > headerLen && !plausible(b[1:]) {
					c.lose(client)
					return
				}
			}
			b = b[1:]
		case len(h.buf) == 0 && len(b) >= h.need:
			n := h.need
			h.need = 0
			if !c.message(client, b[:n], false, at) {
				h.lost = true
				c.doubt(!client, -1)
				return
			}
			b = b[n:]
		default:
			n := min(h.need-len(h.buf), len(b))
			if !h.keep(b[:n], c.st.budget) {
				c.tell(&event{kind: cut})
				c.doubt(!client, -1)
				h.skip = h.need - len(h.buf)
				h.drop(c.st.budget)
				continue
			}
			b = b[n:]
			if len(h.buf) < h.need {
				continue
			}
			ok := c.message(client, h.buf, false, at)
			h.drop(c.st.budget)
			if !ok {
				h.lost = true
				c.doubt(!client, -1)
				return
			}
		}
	}
}

// begins tells whether b looks like the beginning of a message: a length, a
// header and one question that can be read.
func (c *Conn) begins(b []byte) bool {
	if len(b) < 2+headerLen {
		return false
	}
	n := min(int(be.Uint16(b)), len(b)-2)
	m := &c.st.msg
	return m.start(b[2:2+n]) == whole && m.counts[0] == 1
}

// lose gives a direction up until something looks like a message again.
func (c *Conn) lose(client bool) {
	c.tell(&event{kind: malformed})
	c.doubt(!client, -1)
	h := c.half(client)
	h.need, h.lost = 0, true
}

// miss passes over n octets. The messages go on behind them if all of them
// belong to one whose length is known.
func (c *Conn) miss(client bool, n int64) {
	h := c.half(client)
	c.doubt(!client, -1)
	h.next += n
	rest := h.skip
	if h.need > 0 {
		c.tell(&event{kind: cut})
		rest = h.need - len(h.buf)
		h.drop(c.st.budget)
	}
	h.skip, h.part = 0, false
	if !h.lost && n <= int64(rest) {
		h.skip = rest - int(n)
	} else {
		h.lost = true
	}
}

// keep appends octets of a message that is not complete. It is false where the
// budget has no room. Memory follows what came, not what the length promises.
func (h *half) keep(b []byte, budget *pool.Budget) bool {
	if need := len(h.buf) + len(b); need > cap(h.buf) {
		size := min(max(2*cap(h.buf), need, 512), 0xffff)
		if !budget.Take(size - cap(h.buf)) {
			return false
		}
		h.buf = append(make([]byte, 0, size), h.buf...)
	}
	h.buf = append(h.buf, b...)
	return true
}

// inside tells whether a message has begun and not ended.
func (h *half) inside() bool { return h.need > 0 || h.part }

// drop forgets the message at hand. It tells whether there was one.
func (h *half) drop(budget *pool.Budget) bool {
	was := h.inside()
	budget.Give(cap(h.buf))
	h.buf, h.need, h.part = nil, 0, false
	return was
}
