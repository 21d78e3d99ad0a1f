package session

import "mirrorscope/tcp"

// Runs tells whether all that payload can be, to the session with a number, is
// part of a request or response: Run may take it. It looks at no memory.
func Runs(n uint32) bool { return n&(endless|past) != 0 }

// Run does what Segment does, for a number that Runs and a packet without SYN,
// FIN or RST, or nothing and is false. client is the direction of the client.
func (st *Store) Run(n uint32, c *tcp.Conn, ct *tcp.Store, data []byte, g *tcp.Segment, dir, client int) bool {
	s := st.at(n)
	if n&past != 0 {
		if g.Before == 0 || g.Pos < g.Before || s.flags&(bye0|bye1|hasTicket|hasEarly) != 0 || mayBeRecord(data) {
			return false
		}
		client = s.client()
	}
	if dir != client && s.line.phase == inTransfer && g.Fresh() && !c.Asked() { // more of a response
		s.line.last = max(s.line.last, g.Time)
		return true
	}
	s.exchange(c, ct, g, dir, client)
	return true
}

// mayBeRecord tells whether what is said behind a handshake may be a record of
// another kind than data: their header is in front, or all is as short as an alert
// is.
func mayBeRecord(b []byte) bool {
	return len(b) > 0 && (len(b) <= alertRecord || b[0] != recordData && b[0]-recordCCS <= recordData-recordCCS)
}

// past is the mark of a session's number once TLS is past all that comes with a
// handshake in both directions: what follows is data, in new octets, unless its
// first ones tell otherwise.
func (s *Session) past(c *Conn, st *Store) uint32 {
	if s.kind != tlsKind || s.of != undecided || s.flags&(bye0|bye1|hasTicket|hasEarly) != 0 {
		return 0
	}
	x := st.tls.At(s.tls)
	if !x.Done() || x.Version() >= 0x0304 && s.flags&answered == 0 {
		return 0
	}
	for dir, from := range x.Data {
		if from == 0 || c.TCP.Una(dir) < from {
			return 0
		}
	}
	s.setClient(x.Client())
	st.dropAside(x)
	return past
}
