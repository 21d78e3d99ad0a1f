// Package session follows what the two ends of a flow say to each other: which
// protocol they speak, their TLS handshake, requests and responses, and how the
// time of the connection divides among them.
//
// A protocol is told by what it looks like, on any port. What looks like none
// that is known is followed by turns: what the client sends is a request, what
// the server sends then is its response. Only what is needed for that is put in
// order, and only while it is needed: the octets of a handshake, and of HTTP.
//
// A Session belongs to the goroutine of its flow and holds no pointers; what it
// needs is in a Store. Outside of handshakes and of names met for the first
// time, a packet allocates nothing. Times are record times in ns.
package session

import (
	"math"

	"mirrorscope/dnsmeta"
	"mirrorscope/httpmeta"
	"mirrorscope/packet"
	"mirrorscope/stream"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

// Session is what one flow said so far, in two cache lines. What only some need,
// or need for a while, has a number in the Store; 0 is none.
type Session struct {
	kind    kind
	of      kind // of part
	flags   flags
	reading uint32 // while octets are put in order
	tls     uint32
	part    uint32 // of HTTP, DNS, QUIC or DTLS: an httpTalk, dnsTalk, …; of TLS while it is read: its Work, to load it ahead
	line    line
}

// reads tells whether octets are read in order: from streams, or, while it is
// smooth, perhaps without.
func (s *Session) reads() bool { return s.reading != 0 || s.flags&smooth != 0 }

// client is the direction of the client, of HTTP and DNS.
func (s *Session) client() int { return int(s.flags / asksFor1 & 1) }

func (s *Session) setClient(dir int) { s.flags = s.flags&^asksFor1 | flags(dir)*asksFor1 }

// partOf is the number of what is kept for a protocol.
func (s *Session) partOf(k kind) uint32 {
	if s.of != k {
		return 0
	}
	return s.part
}

// reading is what is needed while a connection is read, octet by octet.
type reading struct {
	streams [2]stream.Stream
	acked   int64    // what the first payload acknowledged of the other direction: it goes on there
	fin     [2]int64 // position behind a direction's FIN; 0 none
	again   span     // octets of the client that came again, until HTTP keeps that
	sniff   uint32
	hops    uint8    // preludes passed
	_       [16]byte // so that each stream is a cache line
}

type span struct{ lo, hi int64 }

func (s span) overlaps(lo, hi int64) bool { return lo < s.hi && hi > s.lo }

// add makes s hold [lo, hi), too, and what lies between: an exchange is told at
// its end, behind several packets.
func (s *span) add(lo, hi int64) {
	if s.lo < s.hi {
		lo, hi = min(lo, s.lo), max(hi, s.hi)
	}
	*s = span{lo, hi}
}

// from forgets what lies before a position.
func (s *span) from(lo int64) { s.lo = max(s.lo, lo) }

type kind uint8

const (
	undecided kind = iota
	prelude        // what comes before TLS inside another protocol
	tlsKind
	httpKind
	dnsKind
	plain    // nothing that is read
	blindTLS // TLS whose handshake was not recorded, or not enough of it
	headless // TLS of which the server's hello comes first; for begin only
	quicKind
	dtlsKind
)

type flags uint16

const (
	answered flags = 1 << iota // TLS 1.3: the first response, or what may be a ticket, has come
	certain                    // tlsAside.ticket is one
	tlsTold                    // an interval has told of the handshake
	over                       // the flow has ended
	cut                        // DTLS: a datagram was not recorded whole
	fin0                       // direction 0 has sent its FIN
	fin1
	bye0 // tlsAside.bye of direction 0 is there
	bye1
	asksFor1  // direction 1 is the client's, of HTTP and DNS, and of TLS that is past its handshake
	hasTicket // tlsAside.ticket is there
	hasEarly  // tlsTalk.early is there
	smooth    // TLS is read, what comes next of both directions is known, neither has ended, and nothing waits: see Hear. There is no reading yet, as a rule
)

// grace is how long an ACK may be recorded before what it acknowledges.
const grace = 500e6

// Conn is the connection that a session runs over, with what its caller knows
// of it.
type Conn struct {
	TCP         *tcp.Conn
	Store       *tcp.Store
	Client      int             // direction of the client; -1 not known
	Both        bool            // both directions were recorded
	RecordsBoth bool            // … or would have been; for End
	Last        int64           // record time of the latest packet; for End
	Ends        [2]*packet.Addr // by direction, who sends
	Ports       [2]uint16
}

// Numbers of sessions carry what their packets still need: those of a session
// that listens to payload alone, those of one to which even an end says
// nothing, and those of TLS that is past all that comes with a handshake.
const (
	payloadOnly = 1 << 31
	endless     = 1 << 30
	past        = 1 << 29
	numberMask  = past - 1
)

// Ignores tells whether a segment without payload, with the given flags, says
// nothing to the session with a number. It looks at no memory.
func Ignores(n uint32, flags uint16) bool {
	return n == 0 || n&endless != 0 || n&payloadOnly != 0 && flags&(packet.FIN|packet.RST) == 0
}

func (st *Store) at(n uint32) *Session { return st.sessions.At(n & numberMask) }

// number adds to the number of a session what its packets still need.
func (s *Session) number(n uint32) uint32 {
	n &= numberMask
	if !s.reads() {
		n |= payloadOnly
		if s.kind == plain && s.tls == 0 {
			n |= endless
		}
	}
	return n
}

// Segment takes what a packet of a TCP connection carries. It gives the number
// of the session, which is made with the first payload.
func (st *Store) Segment(n uint32, c *Conn, p *packet.Packet, g *tcp.Segment, dir int) uint32 {
	if n == 0 {
		return st.first(c, p, g, dir)
	}
	s := st.at(n)
	if !s.reads() {
		return st.late(n, s, c, p, g, dir)
	}
	st.unfold(s)
	st.read(s, c, p, g, dir)
	return s.number(n)
}

// late takes a segment of a session that puts nothing in order any more, and gives its
// number anew.
func (st *Store) late(n uint32, s *Session, c *Conn, p *packet.Packet, g *tcp.Segment, dir int) uint32 {
	st.afterwards(s, c, p, g, dir)
	if n&past != 0 && g.End == g.Pos {
		return n // what TLS keeps was not looked at
	}
	return n | s.past(c, st)
}

// afterwards takes the segment of late.
func (st *Store) afterwards(s *Session, c *Conn, p *packet.Packet, g *tcp.Segment, dir int) {
	if p.TCP.Flags&packet.FIN != 0 {
		s.flags |= fin0 << dir
	}
	switch s.kind {
	case plain:
		st.turn(s, c, g, dir)
	case blindTLS:
		st.blind(s, c, p, g, dir)
	default:
		st.behind(s, c, p, g, dir)
	}
}

// first makes a session with the first payload.
func (st *Store) first(c *Conn, p *packet.Packet, g *tcp.Segment, dir int) uint32 {
	if g.End == g.Pos || p.TCP.Flags&packet.RST != 0 {
		return 0
	}
	hello := greets(p, g) && !st.unhurried
	if !hello && st.foreign(c, p, g, dir) {
		return st.Plain(c, g, dir)
	}
	n := st.sessions.GetZero()
	s := st.at(n)
	if !hello || !st.greet(s, c, p, g, dir) {
		st.open(s, c)
		st.read(s, c, p, g, dir)
	}
	if s.reading != 0 {
		st.readings.At(s.reading).acked = g.Acked
	}
	return s.number(n)
}

// Plain makes a session of a protocol that is Foreign, with its first payload.
func (st *Store) Plain(c *Conn, g *tcp.Segment, dir int) uint32 {
	n := st.sessions.GetZero()
	s := st.at(n)
	s.kind = plain
	st.turn(s, c, g, dir)
	return s.number(n)
}

// foreign tells at once, of the first payload of a connection, whether its
// protocol is none that is read. It is false, too, where that takes more than a
// look: unless the payload is whole, comes next, and answers nothing that was
// not recorded.
func (st *Store) foreign(c *Conn, p *packet.Packet, g *tcp.Segment, dir int) bool {
	if g.Again() || int64(len(p.Payload)) < g.End-g.Pos {
		return false
	}
	if start, ok := c.TCP.Start(dir); !ok || start != g.Pos {
		return false
	}
	if start, ok := c.TCP.Start(1 - dir); !ok || g.Acked > start+1 {
		return false
	}
	return Foreign(c.Ports, p.Payload)
}

// Foreign tells, of the first payload of a connection, which is whole and begins
// where that begins, whether its protocol is none that is read. ports are those
// of both ends.
func Foreign(ports [2]uint16, b []byte) bool {
	if _, ok := dnsmeta.ProtocolOf(ports[0], ports[1]); ok || looksLikeTLS(b) {
		return false
	}
	return tlsmeta.MatchClientHello(b) == tlsmeta.MatchNo && tlsmeta.MatchSSLv2Hello(b) == tlsmeta.MatchNo &&
		tlsmeta.MatchPrelude(b) == tlsmeta.MatchNo && httpmeta.Probe(b) == httpmeta.NotHTTP
}

func (st *Store) open(s *Session, c *Conn) {
	s.reading = st.readings.GetZero()
	r := st.readings.At(s.reading)
	for dir := range r.streams {
		if isn, ok := c.TCP.Start(dir); ok {
			r.streams[dir].Start(isn)
		}
	}
}

// unfold gives a session that is smooth what others read with: all went in order,
// so of both directions there is nothing but where they are.
func (st *Store) unfold(s *Session) {
	if s.reading != 0 {
		return
	}
	s.reading = st.readings.GetZero()
	r := st.readings.At(s.reading)
	x := st.room.Conn(&st.tls.At(s.tls).State, nil)
	for dir := range r.streams {
		r.streams[dir].Start(x.Next(dir))
	}
}

func (st *Store) closeReading(s *Session) {
	if !s.reads() {
		return
	}
	s.flags &^= smooth
	if s.reading != 0 {
		r := st.readings.At(s.reading)
		for dir := range r.streams {
			r.streams[dir].Reset(&st.buffers)
		}
		st.closeSniff(r)
		st.readings.Put(s.reading)
		s.reading = 0
	}
	if s.tls != 0 {
		st.release(st.tls.At(s.tls))
		if s.of == undecided {
			s.part = 0
		}
	}
}

// read puts a segment in order and hands on what that makes available.
func (st *Store) read(s *Session, c *Conn, p *packet.Packet, g *tcp.Segment, dir int) {
	r := st.readings.At(s.reading)
	if p.TCP.Flags&packet.FIN != 0 && r.fin[dir] == 0 {
		r.fin[dir] = g.End + 1
		s.flags |= fin0 << dir
	}
	if g.Again() {
		st.repeated(s, r, c, g, dir)
	}
	if s.kind == tlsKind {
		st.acknowledged(st.tls.At(s.tls), g, dir)
	}
	for d := range r.streams {
		if y := &r.streams[d]; !y.Started() { // the SYN-ACK may be recorded late
			if pos, ok := c.TCP.Start(d); ok {
				y.Start(pos)
			}
		}
	}
	x := &r.streams[dir]
	if g.End > g.Pos {
		if r.acked != 0 {
			x.Start(min(g.Pos, r.acked)) // where that was not known: by no SYN, nor by octets before
		}
		var k stream.Chunk
		switch gate := r.gate(1 - dir); {
		case !r.streams[1-dir].Waiting() && !g.Again() && x.Pass(&st.buffers, &k, g.Pos, p.Payload, g.End-g.Pos, g.Time, g.Acked, gate):
			st.chunk(s, c, g, &k, dir)
		default:
			x.Push(&st.buffers, g.Pos, p.Payload, g.End-g.Pos, g.Time, g.Acked, gate)
			st.drain(s, r, c, g, dir)
		}
	}
	if r.streams[0].Waiting() || r.streams[1].Waiting() {
		st.overdue(s, r, c, g, dir)
	}
	switch s.kind {
	case tlsKind:
		st.tlsLeft(s, st.tls.At(s.tls), c, dir)
	case blindTLS:
		st.blind(s, c, p, g, dir)
	default:
		st.turn(s, c, g, dir)
	}
	st.closing(s, r, dir, g.Time)
	if s.kind == httpKind {
		st.exchanges(s, c, st.http.At(s.part))
	}
	st.settle(s)
	s.flags &^= smooth
	if s.kind == tlsKind && s.reading != 0 && r.fin == [2]int64{} && r.streams[0].Ready() && r.streams[1].Ready() {
		if y := st.tls.At(s.tls); !y.Over() && !y.Lost() {
			s.flags |= smooth
		}
	}
}

// overdue gives up what has waited for too long: what waits in one direction may
// wait for something that was not recorded, but acknowledged by this packet.
func (st *Store) overdue(s *Session, r *reading, c *Conn, g *tcp.Segment, dir int) {
	for _, d := range [2]int{dir, 1 - dir} {
		x := &r.streams[d]
		if !x.Waiting() {
			continue
		}
		if x.Overdue(&st.buffers, g.Time, c.TCP.Una(d), grace) {
			x.GiveUp(g.Time)
			st.drain(s, r, c, g, d)
		} else if pos := x.Awaits(&st.buffers, g.Time, r.gate(1-d), grace); pos != 0 {
			r.streams[1-d].Miss(pos, g.Time)
			st.drain(s, r, c, g, 1-d)
		}
	}
}

// drain hands on what a direction has ready, and what of the other direction
// has waited for that.
func (st *Store) drain(s *Session, r *reading, c *Conn, g *tcp.Segment, dir int) {
	var k stream.Chunk
	from := dir
	for idle := 0; idle < 2; dir = 1 - dir {
		idle++
		for r.streams[dir].Next(&st.buffers, &k, r.gate(1-dir)) {
			if !k.Filled && dir == from && k.Pos >= g.Pos && k.Pos < g.End && g.Again() {
				k.Filled, k.Since = true, k.Time // only a FIN, or an ACK, showed the hole: since when is not known
			}
			st.chunk(s, c, g, &k, dir)
			idle = 0
		}
	}
}

// gate is where a direction has got to, as far as is known: what acknowledges
// more was recorded too early.
func (r *reading) gate(dir int) int64 {
	if !r.streams[dir].Started() {
		return math.MaxInt64
	}
	return r.streams[dir].Position() + 1 // a FIN
}

// chunk hands on what comes next of a direction.
func (st *Store) chunk(s *Session, c *Conn, g *tcp.Segment, k *stream.Chunk, dir int) {
	switch s.kind {
	case undecided, prelude:
		st.sniffed(s, c, g, k, dir)
	case tlsKind:
		st.tlsChunk(s, c, g, k, dir)
	case httpKind:
		st.httpChunk(s, c, g, k, dir)
	case dnsKind:
		st.dnsChunk(s, c, k, dir)
	}
}

// repeated takes note of octets that came again.
func (st *Store) repeated(s *Session, r *reading, c *Conn, g *tcp.Segment, dir int) {
	if dir == c.Client {
		again := &r.again
		if n := s.partOf(httpKind); n != 0 {
			again = &st.http.At(n).again
		}
		again.add(g.Pos, g.End)
	}
	if s.kind == tlsKind && c.TCP.Una(dir) < g.End {
		x := st.room.Conn(&st.tls.At(s.tls).State, nil)
		x.Again(dir, g.Pos, g.End, g.Time)
		st.unsettled(s, c, g, dir, x.Client())
	}
}

// closing tells the reader that a direction has ended, once all that came
// before its FIN was read.
func (st *Store) closing(s *Session, r *reading, dir int, at int64) {
	if r.fin[dir] == 0 || r.streams[dir].Position() < r.fin[dir]-1 {
		return
	}
	st.ended(s, dir, at)
}

// ended tells the reader that a direction has ended.
func (st *Store) ended(s *Session, dir int, at int64) {
	switch s.kind {
	case tlsKind:
		y := st.tls.At(s.tls)
		var x tlsmeta.Conn
		st.conn(&x, y)
		x.HalfClosed(dir, at)
		st.keep(y, &x)
	case httpKind:
		st.http.At(s.part).conn.Closed(dir == s.client(), at)
	}
}

// Reset takes an RST that ended the connection.
func (st *Store) Reset(n uint32, c *Conn, dir int, at int64) {
	if n == 0 {
		return
	}
	s := st.at(n)
	st.giveUp(s, c, at)
	s.flags &^= smooth
	if s.kind == tlsKind {
		y := st.tls.At(s.tls)
		var x tlsmeta.Conn
		st.conn(&x, y)
		x.Close(dir, at)
		st.keep(y, &x)
	} else {
		st.ended(s, dir, at)
	}
}

// settle lets go of what is not needed any more.
func (st *Store) settle(s *Session) {
	over := s.kind == plain || s.kind == blindTLS
	if s.kind == tlsKind && st.tls.At(s.tls).Over() {
		over = true
		if s.reading != 0 {
			r := st.readings.At(s.reading)
			over = !r.streams[0].Waiting() && !r.streams[1].Waiting()
		}
	}
	if over {
		st.closeReading(s)
	}
}

func (st *Store) closeSniff(r *reading) {
	if r.sniff != 0 {
		st.sniffs.Put(r.sniff)
		r.sniff = 0
	}
}

// Release forgets a session.
func (st *Store) Release(n uint32) {
	if n == 0 {
		return
	}
	s := st.at(n)
	st.closeReading(s)
	if s.tls != 0 {
		y := st.tls.At(s.tls)
		st.releaseTLS(y)
		st.dropAside(y)
		st.tls.Put(s.tls)
	}
	switch s.of {
	case httpKind:
		x := st.http.At(s.part)
		x.conn.Reset(st.httpShared, false)
		st.http.Put(s.part)
	case dnsKind:
		x := st.dns.At(s.part)
		x.conn.Release()
		x.before = nil
		st.dns.Put(s.part)
	case quicKind:
		st.quic.At(s.part).Reset()
		st.quic.Put(s.part)
	case dtlsKind:
		st.budget.Give(st.dtls.At(s.part).held)
		st.dtls.Put(s.part)
	}
	st.sessions.Put(n & numberMask)
}
