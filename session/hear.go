package session

import (
	"mirrorscope/packet"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

// Hear does what Segment does with nearly all packets of TLS: while it is read,
// those that are whole and come next, and ACKs; behind that, all. n is the
// number of a session, and the packet has neither SYN nor RST. It is false, and
// nothing has happened, where Segment is to be asked.
func (st *Store) Hear(n uint32, c *tcp.Conn, ct *tcp.Store, p *packet.Packet, g *tcp.Segment, dir int) (m uint32, ok bool) {
	if n&numberMask == 0 {
		return n, false
	}
	s := st.at(n)
	switch {
	case s.kind != tlsKind:
		return n, false
	case !s.reads():
		k := Conn{TCP: c, Store: ct} // of the others, nothing is asked
		return st.late(n, s, &k, p, g, dir), true
	case s.flags&smooth == 0 || p.TCP.Flags&packet.FIN != 0:
		return n, false
	}
	dir &= 1
	y := st.tls.At(s.tls)
	if g.End == g.Pos {
		st.acknowledged(y, g, dir)
		return n, true
	}
	var x tlsmeta.Conn
	st.conn(&x, y)
	var t tlsmeta.Segment
	t.Time = max(g.Time, 0)
	if g.Again() || int64(len(p.Payload)) != g.End-g.Pos {
		return n, false
	}
	if s.reading == 0 {
		if !x.Step(dir, g.Pos, g.End-g.Pos, g.Acked) {
			return n, false
		}
	} else {
		r := st.readings.At(s.reading)
		if !r.streams[dir].Step(&st.buffers, g.Pos, g.End-g.Pos, g.Time, g.Acked, r.streams[1-dir].Position()+1) {
			return n, false
		}
		t.Time, t.Since = r.streams[dir].Made(g.Time)
	}
	st.acknowledged(y, g, dir)
	if !st.hear(s, y, &x, c, ct, p, g, &t, dir) {
		n = s.number(n)
	}
	return n, true
}

// hear hands on what comes next, with its time in t. It tells whether TLS goes on
// to be read.
func (st *Store) hear(s *Session, y *tlsTalk, x *tlsmeta.Conn, c *tcp.Conn, ct *tcp.Store, p *packet.Packet, g *tcp.Segment, t *tlsmeta.Segment, dir int) bool {
	t.Pos, t.Data, t.Acked, t.Inferred = g.Pos, p.Payload, g.Acked, g.Inferred
	st.tlsFeed(s, y, x, c, ct, t, dir)
	if !y.Over() && !y.Lost() {
		return true
	}
	k := Conn{TCP: c, Store: ct}
	st.tlsLeft(s, y, &k, dir)
	st.settle(s)
	s.flags &^= smooth // and no reading is left
	return false
}

// greets tells whether a packet has a payload that is whole, new, not the last of
// its direction, and begins with a ClientHello.
func greets(p *packet.Packet, g *tcp.Segment) bool {
	return Greets(p.Payload) && int64(len(p.Payload)) == g.End-g.Pos && !g.Again() && p.TCP.Flags&packet.FIN == 0
}

// greet does what read does with the first payload of a connection if that greets
// and comes next. It is false, and nothing has happened, if it does not.
func (st *Store) greet(s *Session, c *Conn, p *packet.Packet, g *tcp.Segment, dir int) bool {
	var next [2]int64
	for d := range next {
		pos, ok := c.TCP.Start(d)
		if !ok {
			return false
		}
		next[d] = pos
	}
	dir &= 1
	if g.Pos != next[dir] || g.Acked > next[1-dir]+1 {
		return false
	}
	next[dir] = g.End
	s.kind = tlsKind
	st.openTLS(s, c, dir, g.Time, "")
	y := st.tls.At(s.tls)
	var x tlsmeta.Conn
	st.conn(&x, y)
	x.Lend(&st.room, next)
	s.flags |= smooth
	st.hear(s, y, &x, c.TCP, c.Store, p, g, &tlsmeta.Segment{Time: max(g.Time, 0)}, dir)
	return true
}

// acknowledged tells the reader of TLS that the client has acknowledged more of
// the server.
func (st *Store) acknowledged(y *tlsTalk, g *tcp.Segment, dir int) {
	if dir == y.Client() && g.Acked > y.unacked {
		y.unacked = g.Acked
		st.room.Acked(&y.State, g.Time)
	}
}
