package tcp

import "mirrorscope/packet"

// turn follows requests and responses: client payload, then server payload
// that acknowledges it. Without a parser a turn is a request.
type turn struct {
	state    turnState
	flags    turnFlags
	again    bool // part of the present request was repeated
	turns    uint32
	measured uint32
	reqEnd   int64 // position behind the last octet of the request
	reqAt    int64 // record time of the packet that carried it
	min, max int64 // of think time, ns
	think    dist
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
	noBase
)

// ask takes payload of the client that ends at e. again says that part of it
// was sent before.
func (u *turn) ask(e, at int64, again bool) {
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

// answer takes fresh payload of the server, in a packet that acknowledges the
// client's data up to ack. late says that something before it is missing.
func (c *Conn) answer(st *Store, p *packet.Packet, ack int64, late bool, server *half) {
	u := &c.turn
	if u.state != requesting {
		return
	}
	u.state = responding
	u.turns++
	switch {
	case ack < u.reqEnd:
		u.flags |= earlyResponse
		return
	case late:
		u.flags |= responseLost
		return
	case u.again:
		u.flags |= requestLost // which of its copies the server answers cannot be told
		return
	}
	raw := p.Time - u.reqAt
	if raw < 0 {
		return // recorded out of order
	}
	base, solid := server.known()
	if !solid {
		u.flags |= noBase
		base = 0 // it may hold think time itself: nothing is taken off, and the value is an upper bound
	}
	think := max(raw-base, 0)
	if u.measured == 0 {
		u.min, u.max = think, think
	}
	u.min, u.max = min(u.min, think), max(u.max, think)
	u.measured++
	st.add(&u.think, think)
}
