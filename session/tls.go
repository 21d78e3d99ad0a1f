package session

import (
	"slices"

	"mirrorscope/packet"
	"mirrorscope/stream"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

// tlsTalk is a connection that speaks TLS, in two cache lines. It holds no pointers.
type tlsTalk struct {
	unacked int64  // how far the client has acknowledged the server
	info    uint32 // what it tells, in Store.toldTLS; 0 nothing
	aside   uint32 // of segments that may be something else than they look like
	tlsmeta.State
}

// tlsAside are segments of which what follows tells what they are.
type tlsAside struct {
	ticket tcp.Segment    // with hasTicket: a segment of the server that may be a session ticket, and not the response
	bye    [2]tcp.Segment // with bye0 or bye1: TLS 1.3, a segment that may be an alert that closes a direction
	burst  int64          // TLS 1.3: record time of the latest segment of a ticket
	early  int64          // with hasEarly: record time of a first response that may have been a ticket
}

// asideOf gives them, to be set.
func (st *Store) asideOf(y *tlsTalk) *tlsAside {
	if y.aside == 0 {
		y.aside = st.asides.Get()
	}
	return st.asides.At(y.aside)
}

func (st *Store) dropAside(y *tlsTalk) {
	if y.aside != 0 {
		st.asides.Put(y.aside)
		y.aside = 0
	}
}

// conn makes x the connection, for a moment. If that may change what it tells,
// keep must follow.
func (st *Store) conn(x *tlsmeta.Conn, y *tlsTalk) { st.room.Share(x, &y.State, st.info(y)) }

// info is what it tells, which others share.
func (st *Store) info(y *tlsTalk) *tlsmeta.Info {
	if y.info == 0 {
		return &untold
	}
	return &st.toldTLS.all.At(y.info).info
}

// untold is what a handshake tells before its first message. It does not change.
var untold tlsmeta.Info

// keep keeps what x, of conn, tells if that has changed.
func (st *Store) keep(y *tlsTalk, x *tlsmeta.Conn) {
	if x.Changed() {
		y.info = st.toldTLS.become(y.info, x.Info)
	}
}

// releaseTLS forgets what it tells.
func (st *Store) releaseTLS(y *tlsTalk) {
	st.release(y)
	st.toldTLS.drop(y.info)
}

// release gives back what is needed only while it is read.
func (st *Store) release(y *tlsTalk) {
	if y.Work() != 0 {
		x := st.room.Conn(&y.State, nil)
		x.Release(&st.room)
	}
}

// startTLS gives the state of a connection that begins TLS. TLS inside a tunnel
// that HTTP or TLS has opened takes the place of what was there: the first is told.
func (st *Store) startTLS(s *Session, client int, starttls string) *tlsTalk {
	if s.tls == 0 {
		s.tls = st.tls.Get()
		*st.tls.At(s.tls) = tlsTalk{}
	} else {
		y := st.tls.At(s.tls)
		st.releaseTLS(y)
		*y = tlsTalk{unacked: y.unacked, aside: y.aside}
	}
	y := st.tls.At(s.tls)
	y.State.Init(client)
	if starttls != "" {
		y.info = st.toldTLS.add(&tlsmeta.Info{STARTTLS: starttls})
	}
	return y
}

func (st *Store) openTLS(s *Session, c *Conn, client int, at int64, starttls string) {
	st.startTLS(s, client, starttls)
	s.line.tls(at, starttls != "")
	c.TCP.Unask() // part of the ClientHello may have looked like a request
}

// openHeadless begins TLS with the server's hello.
func (st *Store) openHeadless(s *Session, client int, at int64, starttls string) {
	y := st.startTLS(s, client, starttls)
	y.Headless()
	s.line.enter(inUnknown, at)
}

// tlsChunk takes what comes next of a direction of TLS.
func (st *Store) tlsChunk(s *Session, c *Conn, g *tcp.Segment, k *stream.Chunk, dir int) {
	y := st.tls.At(s.tls)
	var x tlsmeta.Conn
	st.conn(&x, y)
	st.tlsFeed(s, y, &x, c.TCP, c.Store, &tlsmeta.Segment{
		Pos: k.Pos, Data: k.Data, Missing: k.Missing, Time: k.Time, Acked: k.Acked, Filled: k.Filled, Since: k.Since, Inferred: g.Inferred,
	}, dir)
}

// tlsFeed is tlsChunk, of a segment that is lent, and to which it adds what TCP
// knows.
func (st *Store) tlsFeed(s *Session, y *tlsTalk, x *tlsmeta.Conn, c *tcp.Conn, ct *tcp.Store, k *tlsmeta.Segment, dir int) {
	half := int64(0)
	if k.Una = c.Una(dir); x.Asks(dir) {
		half, _ = c.Half(x.Client())
		k.RTT, _ = c.Half(dir)
		k.MSS = c.MSS(dir)
	}
	done := x.Done()
	server := st.position(s, x, 1-x.Client()) // afterwards, it may not be there to be asked
	x.Feed(&st.room, dir, k, half)
	if !done && x.Done() {
		s.line.tlsEnds(x.Timing.End)
		if interleaves(x.Info) {
			c.DoubtTurns(tcp.Encrypted)
		}
		if x.Missing {
			c.DoubtTurns(tcp.CaptureLoss)
		}
		early, quiet := x.Early(), server <= x.Data[1-x.Client()] // it has sent no application data yet
		if early.End != 0 && x.Info.EarlyData == tlsmeta.EarlyAccepted && x.Data[1-x.Client()] != 0 && quiet {
			c.Ask(early.End, early.At, false)
			s.line.early(early.End)
		}
	}
	st.keep(y, x)
	if s.of == undecided {
		s.part = y.Work()
	}
	from, end := x.Data[dir], k.Pos+int64(len(k.Data))
	if k.Missing > 0 {
		return
	}
	if from == 0 || end <= from {
		s.line.payload(k.Time)
		return
	}
	t := tcp.Segment{Time: k.Time, Pos: max(k.Pos, from), End: end, Acked: k.Acked}
	t.Before = t.Pos
	st.tlsTurn(s, &Conn{TCP: c, Store: ct}, k.Data[t.Pos-k.Pos:], &t, dir)
}

// tlsLeft goes on without TLS, where its reader has left it.
func (st *Store) tlsLeft(s *Session, y *tlsTalk, c *Conn, dir int) {
	switch {
	case y.Lost():
		st.openBlind(s, c, dir)
	case y.Over() && !y.Done():
		st.openBlind(s, c, dir)
		if st.info(y).Outcome == tlsmeta.NotTLS {
			s.kind = plain
		}
	}
}

// position is how far a direction was read.
func (st *Store) position(s *Session, x *tlsmeta.Conn, dir int) int64 {
	if s.reading == 0 {
		return x.Next(dir)
	}
	return st.readings.At(s.reading).streams[dir].Position()
}

// behind takes a segment of TLS once the handshake is over.
func (st *Store) behind(s *Session, c *Conn, p *packet.Packet, g *tcp.Segment, dir int) {
	if g.End == g.Pos {
		return
	}
	x := st.tls.At(s.tls)
	from := x.Data[dir]
	if from == 0 || g.End <= from {
		st.unsettled(s, c, g, dir, x.Client())
		s.line.payload(g.Time)
		return
	}
	t, data := *g, p.Payload
	if t.Pos < from {
		data = data[min(from-t.Pos, int64(len(data))):]
		if t.Before == t.Pos {
			t.Before = from
		}
		t.Pos = from
	}
	st.tlsTurn(s, c, data, &t, dir)
}

// interleaves tells whether what TLS carries may be HTTP/2, whose requests and
// responses overlap, and whose ends talk of settings before. TLS 1.3 hides which
// of the protocols offered was taken.
func interleaves(i *tlsmeta.Info) bool {
	return i.ALPN == "h2" || i.ALPN == "" && i.Version >= 0x0304 && slices.Contains(i.ALPNOffered, "h2")
}

// openBlind goes on without the handshake: there is TLS, but which of it is
// application data has to be guessed by the types of records.
func (st *Store) openBlind(s *Session, c *Conn, dir int) {
	s.kind = blindTLS
	if s.tls == 0 {
		st.startTLS(s, max(c.Client, 0), "")
	}
	y := st.tls.At(s.tls)
	var x tlsmeta.Conn
	st.conn(&x, y)
	x.End(false, 0)
	st.keep(y, &x)
	s.line.blind()
	c.TCP.DoubtTurns(tcp.Encrypted)
}

// blind takes a segment of TLS whose handshake was not recorded.
func (st *Store) blind(s *Session, c *Conn, p *packet.Packet, g *tcp.Segment, dir int) {
	if g.End == g.Pos {
		return
	}
	if b := p.Payload; looksLikeTLS(b) && (b[0] != recordData || len(b) == alertRecord) { // a handshake, or an alert
		s.line.payload(g.Time)
		return
	}
	st.exchange(s, c, g, dir, c.Client)
}

// unsettled takes note of octets of the client that came again although the
// server had not acknowledged them: which copy it has answered cannot be told.
func (st *Store) unsettled(s *Session, c *Conn, g *tcp.Segment, dir, client int) {
	if g.Again() && dir == client && c.TCP.Una(dir) < g.End && c.TCP.Asked() {
		c.TCP.AskedAgain()
		s.line.broken = true
	}
}

// tlsTurn takes application data under TLS: the segment g, of which data was
// captured.
func (st *Store) tlsTurn(s *Session, c *Conn, data []byte, g *tcp.Segment, dir int) {
	x := st.tls.At(s.tls)
	client := x.Client()
	if dir != client && !x.Done() {
		s.line.payload(g.Time)
		return // behind the server's Finished and before the client's: it answers nothing
	}
	if looksLikeTLS(data) && data[0] != recordData && data[0] != recordAlert { // renegotiation, up to TLS 1.2
		s.line.payload(g.Time)
		return
	}
	if s.flags&(bye0|bye1) != 0 {
		st.noBye(s, c, 1-dir, client)
		st.noBye(s, c, dir, client)
	}
	if x.IsAlert(data) {
		s.line.payload(g.Time)
		if data[0] == recordData && g.Fresh() { // by its length: what follows decides
			st.asideOf(x).bye[dir] = *g
			s.flags |= bye0 << dir
		}
		return
	}
	st.tlsData(s, c, data, g, dir, client)
}

// noBye: what is as long as an alert was none, for the other side has spoken, or
// the same has, before it closed its direction.
func (st *Store) noBye(s *Session, c *Conn, dir, client int) {
	if s.flags&(bye0<<dir) == 0 {
		return
	}
	s.flags &^= bye0 << dir
	g := st.asideOf(st.tls.At(s.tls)).bye[dir]
	if s.flags&(fin0<<dir) == 0 {
		st.tlsData(s, c, nil, &g, dir, client)
	}
}

// turn takes payload that no reader claims for itself.
func (st *Store) turn(s *Session, c *Conn, g *tcp.Segment, dir int) {
	st.exchange(s, c, g, dir, c.Client)
}

// exchange follows requests and responses.
func (st *Store) exchange(s *Session, c *Conn, g *tcp.Segment, dir, client int) {
	s.exchange(c.TCP, c.Store, g, dir, client)
}

func (s *Session) exchange(c *tcp.Conn, st *tcp.Store, g *tcp.Segment, dir, client int) {
	if g.End == g.Pos || client < 0 {
		return
	}
	if dir == client {
		s.line.request(g)
	} else {
		half, _ := c.Half(1 - client)
		s.line.response(g, half)
	}
	if s.kind != httpKind {
		c.Exchange(st, g, dir, client)
	}
}

// TLS is what a connection's handshake told, and how long it took.
type TLS struct {
	tlsmeta.Info
	Handshake Handshake
}

// Handshake of TLS or QUIC. Durations are ns, tcp.Absent where not known.
type Handshake struct {
	State   tcp.State
	Reasons tcp.Reasons
	Total   int64 // first octet of the ClientHello to the end, at the observation point
	// Perceived is the same as the client has it: where the server sends the last
	// message, it arrives half a round trip later than at the observation point,
	// and the ClientHello left as much earlier.
	Perceived int64
	Network   int64 // Network + Server + Client = Total
	Server    int64
	Client    int64
}

// tlsReport tells of the handshake, in room if that is not nil. perceived: see
// measurement, TLS.
func (st *Store) tlsReport(s *Session, c *Conn, room *Room) *TLS {
	y := st.tls.At(s.tls)
	var x tlsmeta.Conn
	st.conn(&x, y)
	r := st.tlsIn(room)
	r.Info, r.Handshake = *x.Info, unknownHandshake
	r.Settle()
	if r.Outcome == tlsmeta.Abandoned && !c.Both {
		r.Outcome = tlsmeta.Incomplete // the other side may have answered
	}
	h := &r.Handshake
	t := &x.Timing
	switch {
	case !c.Both:
		h.Reasons |= tcp.OneSided
	case x.Missing:
		h.Reasons |= tcp.CaptureLoss
	}
	if t.End == 0 || t.Start == 0 || t.End < t.Start {
		return r
	}
	h.Total = t.End - t.Start
	h.State = tcp.Measured
	atClient, knowC := c.TCP.Half(x.Client())
	atServer, knowS := c.TCP.Half(1 - x.Client())
	switch {
	case t.StartInferred || t.EndInferred:
		h.State = tcp.Bounded
		h.Reasons |= tcp.LostBeforeOP
	case t.Ambiguous:
		h.State = tcp.Ambiguous
		h.Reasons |= tcp.Encrypted
	case x.Missing:
		h.State = tcp.Ambiguous
	}
	if h.Perceived = h.Total; t.EndByServer {
		h.Perceived = tcp.Absent
		if knowC && atClient > 0 {
			h.Perceived = t.EndAgain - t.Start + atClient
		}
	}
	switch {
	case t.Hidden:
		h.Reasons |= tcp.LostBeforeOP
	case knowC && knowS && atClient > 0 && atServer > 0 && !x.Missing:
		h.Network, h.Client, h.Server = t.Shares(atClient, atServer)
	case h.State == tcp.Measured:
		h.Reasons |= tcp.Midstream
	}
	return r
}
