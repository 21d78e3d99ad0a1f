package tlsmeta

// In TLS 1.3 all behind the ServerHello is encrypted. Where the handshake ends
// follows from the lengths of records alone: without padding a Finished has one
// length for each hash (RFC 8446 sections 4.4.4 and 5.2).

// Lengths of encrypted messages, without the authentication tag.
const (
	innerType        = 1 // the type of the record inside
	alertOctets      = 2
	endOfEarlyOctets = 4
	emptyCertificate = 8 // a Certificate message without any: 4 + context length + list length
)

// leastCertificate is the least that a server's flight holds that has a
// certificate in it, octets: without one there is no Finished in it that does
// not follow at once.
const leastCertificate = 400

// server13 is what the server sent behind its ServerHello.
type server13 struct {
	hello    moment // the ServerHello's end
	finished moment // end of what must be the server's Finished; at 0: not known
	records  uint32 // encrypted ones
	fin      int16  // length of a record with a Finished and nothing else
	goesOn   bool   // the latest was as long as can be: the next goes on with its message
	answered bool   // the client's second flight has begun
}

// client13 is the client's second flight.
type client13 struct {
	goesOn  bool // as with the server
	alert   bool // it began with what is as long as an alert
	records uint32
	larger  uint32 // of them, before a Finished: not an EndOfEarlyData, and no empty Certificate
	last    moment
	ccs     stamp // beginning …
	ccsEnd  int64 // … and end of a ChangeCipherSpec
}

// IsAlert tells whether octets behind the handshake are a record with an alert,
// as which a connection is closed, and nothing else. In TLS 1.3 its length alone
// tells it.
func (c *State) IsAlert(b []byte) bool {
	if len(b) < 5 || len(b) != 5+int(b[3])<<8+int(b[4]) {
		return false
	}
	return b[0] == typeAlert || b[0] == typeData && is13(c.version) && len(b)-5 == c.encrypted(alertOctets)
}

// encrypted is how long a record of TLS 1.3 is that hides so many octets.
func (c *State) encrypted(inner int) int { return inner + innerType + int(c.tag) }

// server13 takes a record of the server between its hello and the client's
// Finished.
func (c *Conn) server13(r *record) {
	s := &c.w.srv
	if r.typ != typeData {
		return
	}
	if s.answered && c.w.cf.records > 0 && r.first.acked > c.w.flights[c.client].lo {
		// It answers the client's second flight, in which no Finished was told.
		if c.guessFinished() {
			c.behind(false, r)
			return
		}
	}
	c.w.recent[s.records%uint32(len(c.w.recent))] = r.end
	s.records++
	if r.n == c.encrypted(alertOctets) && s.finished.at == 0 {
		c.encAlert = true
	}
	goesOn := s.goesOn
	s.goesOn = r.n == c.encrypted(maxPlaintext)
	if s.finished.at == 0 && s.records > 1 && r.n == int(s.fin) && !goesOn && (c.Info.Resumed || r.first.pos-s.hello.pos >= leastCertificate) {
		s.finished = r.end
		c.Data[1-c.client] = r.end.pos
	}
}

// flightEnd is the end of the server's flight as the client had it when it
// acknowledged so much.
func (w *work) flightEnd(acked int64) moment {
	s := &w.srv
	if s.finished.at != 0 && acked >= s.finished.pos {
		return s.finished
	}
	end := s.hello
	for i := range min(s.records, uint32(len(w.recent))) {
		if e := w.recent[i]; e.pos <= acked && e.pos > end.pos {
			end = e
		}
	}
	return end
}

// client13 takes a record of the client between the server's hello and its own
// Finished.
func (c *Conn) client13(r *record) {
	f := &c.w.cf
	switch r.typ {
	case typeCCS:
		f.ccs, f.ccsEnd = r.first, r.end.pos
		return
	case typeData:
	default:
		return
	}
	if !c.w.srv.answered && !c.secondFlight(r) {
		return
	}
	s := &c.w.srv
	if f.records > 0 && f.last.at != 0 && r.first.at-f.last.at > maxBurst && c.guessFinished() {
		c.behind(true, r) // it came so much later that it is no part of the flight
		return
	}
	f.records++
	goesOn := f.goesOn
	f.goesOn = r.n == c.encrypted(maxPlaintext)
	switch {
	case r.n == int(s.fin) && !goesOn:
		c.edit().ClientCertificate, c.edit().ClientCertificateKnown = f.larger > 0, true
		c.clientFinished(r.end, false)
	case r.n == c.encrypted(endOfEarlyOctets) && f.records == 1 && c.Info.EarlyData == EarlyOffered:
		c.edit().EarlyData = EarlyAccepted
	default:
		if r.n == c.encrypted(alertOctets) && f.larger == 0 {
			f.alert, c.encAlert = true, true
		}
		if r.n != c.encrypted(emptyCertificate) {
			f.larger++
		}
		f.last = r.end
		if f.records >= maxSecondFlight {
			c.guessFinished()
		}
	}
}

// maxBurst is how far apart, ns, records of the client's second flight may come.
const maxBurst = 5e6

// maxSecondFlight is how many records of the client's second flight are looked
// at for a Finished.
const maxSecondFlight = 6

// secondFlight tells whether a record begins the client's second flight, and
// ends the server's then: the client has the server's Finished, as far as that
// can be told. What comes before is early data.
func (c *Conn) secondFlight(r *record) bool {
	s, f := &c.w.srv, &c.w.cf
	offered := c.Info.EarlyData == EarlyOffered
	before := r.first.acked < s.finished.pos
	if s.finished.at == 0 {
		before = r.first.acked <= s.hello.pos && !(s.records == 0 && r.first.acked == s.hello.pos) || r.first.at < s.hello.at+c.half*9/10
	}
	switch {
	case c.Info.EarlyData == EarlyNone: // a client that refuses the certificate does not wait for the Finished
	case before, offered && r.n != int(s.fin) && r.n != c.encrypted(endOfEarlyOctets): // an acknowledgment may run ahead of what the client has read
		c.earlyData(r)
		return false
	}
	if offered && r.n != c.encrypted(endOfEarlyOctets) {
		c.edit().EarlyData = EarlyRejected
	}
	first := r.first
	if f.ccsEnd == first.pos && f.ccs.acked >= first.acked {
		first = f.ccs
	}
	server := 1 - int(c.client)
	end := c.w.flightEnd(r.first.acked)
	c.endFlight(server, end)
	if c.Data[server] == 0 {
		c.Data[server] = end.pos
	}
	c.beginFlight(int(c.client), first.moment)
	c.Timing.Hidden = c.Timing.Hidden || c.w.inferred
	c.w.srv.answered = true
	return true
}

// earlyData takes a record of early data (RFC 8446 section 4.2.10).
func (c *Conn) earlyData(r *record) {
	if c.Info.EarlyData == EarlyNone {
		return
	}
	e := &c.w.early
	if e.From == 0 {
		e.From = r.first.pos
	}
	e.End, e.At = r.end.pos, r.end.at
}

// clientFinished ends the handshake with the client's Finished.
func (c *Conn) clientFinished(end moment, ambiguous bool) {
	c.Data[c.client] = end.pos
	c.endFlight(int(c.client), end)
	c.Timing.Ambiguous = ambiguous
	c.encAlert = false
	c.completed(end, false)
}

// guessFinished ends the handshake with the last record of the first burst of
// the client's second flight, in which no record has the length of a Finished.
func (c *Conn) guessFinished() bool {
	f := &c.w.cf
	if !c.w.srv.answered || f.last.at == 0 || f.alert && f.records == 1 {
		return false
	}
	c.clientFinished(f.last, true)
	return true
}
