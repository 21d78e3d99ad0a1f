package session

import (
	"mirrorscope/dnsmeta"
	"mirrorscope/httpmeta"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
	"mirrorscope/tlsmeta/quic"
)

// Report is what a flow said, over its whole life or since the last interval.
// It owns its memory. What the flow did not speak is nil.
type Report struct {
	TLS    *TLS // DTLS, too
	QUIC   *QUIC
	HTTP   *httpmeta.Info
	DNS    *dnsmeta.Info
	Phases *Phases // of a whole TCP connection
}

// QUIC is what a QUIC connection told.
type QUIC struct {
	quic.Info
	Handshake quic.Handshake
}

// End ends a session at a time of the input's clock: what is open is judged. idle says that it
// has fallen silent; else the input or the memory ended, and it might have gone on.
// It tells whether an interval has more to tell for it.
func (st *Store) End(n uint32, c *Conn, idle bool, at int64) (more bool) {
	if n == 0 {
		return false
	}
	s := st.at(n)
	s.flags |= over
	st.giveUp(s, c, c.Last)
	if s.tls != 0 {
		y := st.tls.At(s.tls)
		var x tlsmeta.Conn
		st.conn(&x, y)
		more = s.flags&tlsTold == 0 || s.flags&(hasTicket|bye0|bye1) != 0
		x.End(idle && c.Both, c.Last)
		st.keep(y, &x)
		if ok, by, _, _ := c.TCP.Reset(); !ok || s.flags&(fin0<<by) == 0 {
			for dir := range 2 {
				if !ok || by != dir {
					st.noBye(s, c, dir, x.Client())
				}
			}
		}
		st.noTicket(s, c, x.Client())
	}
	if s.of == dtlsKind {
		more = s.flags&tlsTold == 0
	}
	if s.of == httpKind {
		st.httpEnd(s, c, c.Last)
		more = more || !st.http.At(s.part).info.Empty()
	}
	if s.of == dnsKind {
		x := &st.dns.At(s.part).conn
		more = more || x.Pending()
		x.OneSided(!c.RecordsBoth)
		x.End(at)
	}
	return more
}

// maxMissed bounds what is told as missed at the end of a stream: an ACK may be
// anything.
const maxMissed = 1 << 30

// giveUp hands on what has waited for octets that will not come any more.
func (st *Store) giveUp(s *Session, c *Conn, at int64) {
	if !s.reads() {
		return
	}
	st.unfold(s)
	r := st.readings.At(s.reading)
	for dir := range r.streams {
		x := &r.streams[dir]
		x.GiveUp(at)
		st.drain(s, r, c, &tcp.Segment{Time: at}, dir)
		if r.acked != 0 {
			x.Start(r.acked) // nothing of the direction was recorded
		}
		if una := c.TCP.Una(dir); x.Started() && una > x.Position()+1 { // one more is a FIN
			x.Miss(min(una, x.Position()+maxMissed), at)
			st.drain(s, r, c, &tcp.Segment{Time: at}, dir)
		}
	}
}

// Room is where Whole and Steady may put what they tell, for who lends it until that was
// read. What was there is overwritten.
type Room struct {
	TLS    TLS
	Phases Phases
}

// Own makes a report that was lent own its memory.
func (r *Report) Own() {
	if r.TLS != nil {
		x := *r.TLS
		r.TLS = &x
	}
	if r.Phases != nil {
		x := *r.Phases
		r.Phases = &x
	}
}

// Move makes r, whose memory another Room may be, its own.
func (m *Room) Move(r *Report) {
	if r.TLS != nil {
		m.TLS = *r.TLS
		r.TLS = &m.TLS
	}
	if r.Phases != nil {
		m.Phases = *r.Phases
		r.Phases = &m.Phases
	}
}

// Whole tells what a session said in its whole life, behind End. frame is that of
// a TCP connection, else nil. n may be 0. Without room, the report owns its memory.
func (st *Store) Whole(n uint32, c *Conn, idle bool, frame *Frame, room *Room) (r Report) {
	var l *line
	if n != 0 {
		s := st.at(n)
		l = &s.line
		r = st.told(s, c, idle, false)
		if s.tls != 0 {
			r.TLS = st.tlsReport(s, c, room)
		}
	}
	if frame != nil {
		r.Phases = st.phasesIn(room)
		*r.Phases = l.phases(frame)
	}
	return r
}

// Silent is Whole for a TCP connection that said nothing. The report is in p.
func Silent(frame *Frame, p *Phases) Report {
	*p = (*line)(nil).phases(frame)
	return Report{Phases: p}
}

// Interval tells what a session said since the last interval, which it ends: of
// TLS, when its handshake has ended.
func (st *Store) Interval(n uint32, c *Conn) (r Report) {
	if n == 0 {
		return r
	}
	s := st.at(n)
	r = st.told(s, c, false, true)
	if s.tls != 0 && s.flags&tlsTold == 0 && st.info(st.tls.At(s.tls)).Outcome != tlsmeta.OutcomeNone &&
		(s.flags&over != 0 || s.kind == tlsKind && st.tls.At(s.tls).Over()) { // not while the server may take it back
		s.flags |= tlsTold
		r.TLS = st.tlsReport(s, c, nil)
	}
	return r
}

// Reports without room are made a few at a time: each is its owner's, and they share an
// allocation.
const (
	tlsAtATime    = 8
	phasesAtATime = 16
)

// tlsIn gives what a report of TLS is put in, which may hold anything.
func (st *Store) tlsIn(room *Room) (r *TLS) {
	if room != nil {
		return &room.TLS
	}
	if len(st.tlsReports) == 0 {
		st.tlsReports = make([]TLS, tlsAtATime)
	}
	r, st.tlsReports = &st.tlsReports[0], st.tlsReports[1:]
	return r
}

// phasesIn is the same for phases.
func (st *Store) phasesIn(room *Room) (p *Phases) {
	if room != nil {
		return &room.Phases
	}
	if len(st.phaseReports) == 0 {
		st.phaseReports = make([]Phases, phasesAtATime)
	}
	p, st.phaseReports = &st.phaseReports[0], st.phaseReports[1:]
	return p
}

func (st *Store) told(s *Session, c *Conn, idle, interval bool) (r Report) {
	if s.of == httpKind {
		r.HTTP = st.httpReport(s, interval)
	}
	if s.of == dnsKind {
		r.DNS = st.dnsReport(s, interval)
	}
	if s.of == quicKind && !interval {
		x := st.quic.At(s.part)
		r.QUIC = &QUIC{Info: x.Report(idle && c.Both), Handshake: x.Handshake()}
	}
	if s.of == dtlsKind && s.kind == dtlsKind && (!interval || s.flags&tlsTold == 0 && (s.flags&over != 0 || st.dtls.At(s.part).conn.Over())) {
		r.TLS = st.dtlsReport(s)
		s.flags |= tlsTold
	}
	return r
}

var unknownHandshake = Handshake{Total: tcp.Absent, Perceived: tcp.Absent, Network: tcp.Absent, Server: tcp.Absent, Client: tcp.Absent}
