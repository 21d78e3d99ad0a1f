package session

import (
	"mirrorscope/packet"
	"mirrorscope/stream"
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
	case s.reading == 0:
		k := Conn{TCP: c, Store: ct} // of the others, nothing is asked
		st.afterwards(s, &k, p, g, dir)
		return n | s.past(&k, st), true
	case s.flags&smooth == 0 || p.TCP.Flags&packet.FIN != 0:
		return n, false
	}
	dir &= 1
	y := st.tls.At(s.tls)
	if g.End == g.Pos {
		st.acknowledged(y, g, dir)
		return n, true
	}
	r := st.readings.At(s.reading)
	x, o := &r.streams[dir], &r.streams[1-dir]
	if g.Again() || int64(len(p.Payload)) != g.End-g.Pos || !x.Step(&st.buffers, g.Pos, g.End-g.Pos, g.Time, g.Acked, o.Position()+1) {
		return n, false
	}
	st.acknowledged(y, g, dir)
	if !st.hear(s, y, x, c, ct, p, g, dir) {
		n = s.number(n)
	}
	return n, true
}

// hear hands on what has made a step. It tells whether TLS goes on to be read.
func (st *Store) hear(s *Session, y *tlsTalk, x *stream.Stream, c *tcp.Conn, ct *tcp.Store, p *packet.Packet, g *tcp.Segment, dir int) bool {
	var t tlsmeta.Segment
	t.Pos, t.Data, t.Acked, t.Inferred = g.Pos, p.Payload, g.Acked, g.Inferred
	t.Time, t.Since = x.Made(g.Time)
	st.tlsFeed(s, y, c, ct, &t, dir)
	if !y.Over() && !y.Lost() {
		return true
	}
	k := Conn{TCP: c, Store: ct}
	st.tlsLeft(s, y, &k, dir)
	st.settle(s)
	s.flags &^= smooth
	return false
}

// greets tells whether a packet has a payload that is whole, new, not the last of
// its direction, and begins with a ClientHello.
func greets(p *packet.Packet, g *tcp.Segment) bool {
	return tlsmeta.MatchClientHello(p.Payload) == tlsmeta.MatchYes && int64(len(p.Payload)) == g.End-g.Pos && !g.Again() && p.TCP.Flags&packet.FIN == 0
}

// greet does what read does with the first payload of a connection if that greets
// and comes next. It is false, and nothing has happened, if it does not.
func (st *Store) greet(s *Session, c *Conn, p *packet.Packet, g *tcp.Segment, dir int) bool {
	dir &= 1
	r := st.readings.At(s.reading)
	x, o := &r.streams[dir], &r.streams[1-dir]
	if !o.Ready() || !x.Step(&st.buffers, g.Pos, g.End-g.Pos, g.Time, g.Acked, o.Position()+1) {
		return false
	}
	s.kind = tlsKind
	st.openTLS(s, c, dir, g.Time, "")
	if st.hear(s, st.tls.At(s.tls), x, c.TCP, c.Store, p, g, dir) {
		s.flags |= smooth
	}
	return true
}

// acknowledged tells the reader of TLS that the client has acknowledged more of
// the server.
func (st *Store) acknowledged(y *tlsTalk, g *tcp.Segment, dir int) {
	if dir == y.Client() && g.Acked > y.unacked {
		y.unacked = g.Acked
		x := st.room.Conn(&y.State, nil)
		x.Acked(g.Time)
	}
}
