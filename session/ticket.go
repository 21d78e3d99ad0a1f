package session

import "mirrorscope/tcp"

// Session tickets of TLS 1.3 (RFC 8446 section 4.6.1) look like application data.
// They are sent when the client's Finished has arrived and is verified, before a
// request is looked at; most are small, those that hold a client's certificate
// are not. What follows tells them from a response.
const (
	maxTicket       = 1200 // octets of a segment with a ticket
	ticketSlack     = 2e6  // ns to make it
	lateTicket      = 20e6 // ns that it may take, rarely
	certificateTime = 10e6 // ns to verify a client's certificate before
	ticketBurst     = 1e6  // ns between the segments of a large one
)

// tlsData takes application data of a direction.
func (st *Store) tlsData(s *Session, c *Conn, data []byte, g *tcp.Segment, dir, client int) {
	y := st.tls.At(s.tls)
	switch {
	case dir == client:
		st.noTicket(s, c, client)
		s.flags &^= hasEarly
	case y.Version() < 0x0304 || !g.Fresh():
	case s.flags&answered == 0 && c.TCP.Asked():
		if st.mayBeTicket(s, c, y, data, g, dir) {
			s.line.payload(g.Time)
			return
		}
		if s.flags&(hasTicket|certain) == hasTicket && g.Time-st.asideOf(y).burst > ticketSlack {
			c.TCP.DoubtTurns(tcp.Encrypted) // or it was the beginning of the response
		}
		s.flags &^= hasTicket
		s.flags |= answered
		if st.took(c, y, g, dir) <= lateTicket && g.End-g.Pos <= maxTicket {
			st.asideOf(y).early = g.Time
			s.flags |= hasEarly
		}
	case s.flags&hasEarly != 0 && g.Time-st.asideOf(y).early > ticketSlack:
		s.flags &^= hasEarly
		c.TCP.DoubtTurns(tcp.Encrypted) // what was taken for the response may have been a ticket that came late
	}
	st.exchange(s, c, g, dir, client)
}

// took is how long after the client's Finished the server sent a segment, ns.
func (st *Store) took(c *Conn, x *tlsTalk, g *tcp.Segment, dir int) int64 {
	server, _ := c.TCP.Half(dir)
	return g.Time - x.Timing.End - server - server/20
}

// mayBeTicket tells whether a segment of the server may be a session ticket
// instead of the first response: it does not acknowledge the request, or it left
// when the Finished had arrived; or it is as long as the ticket before it.
func (st *Store) mayBeTicket(s *Session, c *Conn, y *tlsTalk, data []byte, g *tcp.Segment, dir int) bool {
	n := g.End - g.Pos
	if s.line.phase == inRequest && g.Acked < s.line.reqEnd {
		return true
	}
	large := st.info(y).ClientCertificate
	if n > maxTicket && !large {
		return false
	}
	if s.flags&hasTicket == 0 {
		took := st.took(c, y, g, dir)
		if took > ticketSlack && !(large && took <= certificateTime) {
			return false
		}
		s.flags |= hasTicket
		if twins(data) {
			s.flags |= certain
		}
		aside := st.asideOf(y)
		aside.ticket, aside.burst = *g, g.Time
		return true
	}
	aside := st.asideOf(y)
	switch t := &aside.ticket; {
	case n == t.End-t.Pos && g.Time-t.Time <= ticketSlack:
		s.flags |= certain
	case !large || g.Time-aside.burst > ticketBurst:
		return false
	}
	aside.burst = g.Time
	return true
}

// twins tells whether octets are two or more records of equal length and nothing
// else, as tickets are that are sent together.
func twins(b []byte) bool {
	n := 0
	for ; len(b) >= 5 && looksLikeTLS(b); n++ {
		size := 5 + int(b[3])<<8 + int(b[4])
		if len(b)%size != 0 {
			return false
		}
		b = b[size:]
	}
	return n >= 2 && len(b) == 0
}

// noTicket: nothing has followed what might have been a ticket, so it was the
// response.
func (st *Store) noTicket(s *Session, c *Conn, client int) {
	if s.flags&hasTicket != 0 {
		g := st.asideOf(st.tls.At(s.tls)).ticket
		s.flags &^= hasTicket
		s.flags |= answered
		st.exchange(s, c, &g, 1-client, client)
	}
}
