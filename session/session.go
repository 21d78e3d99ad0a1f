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

	"mirrorscope/packet"
	"mirrorscope/stream"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

// Session is what one flow said so far.
type Session struct {
	kind    kind
	hops    uint8 // preludes passed
	flags   flags
	streams [2]uint32
	sniff   uint32
	tls     uint32
	http    uint32
	dns     uint32
	quic    uint32
	dtls    uint32

	acked   int64          // what the first payload acknowledged of the other direction: it goes on there
	fin     [2]int64       // position behind a direction's FIN; 0 none
	again   span           // octets of the client that came again
	filled  span           // octets of the server that filled a hole
	ticket  tcp.Segment    // a segment of the server that may be a session ticket, and not the response
	bye     [2]tcp.Segment // TLS 1.3: a segment that may be an alert that closes a direction
	burst   int64          // TLS 1.3: record time of the latest segment of a ticket
	early   int64          // record time of a first response that may have been a ticket; 0 none
	unacked int64          // TLS: how far the client has acknowledged the server
	line    line

	client   uint8 // direction, of HTTP and DNS
	dtlsHeld int   // octets taken from the budget
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

type flags uint8

const (
	answered flags = 1 << iota // TLS 1.3: the first response, or what may be a ticket, has come
	certain                    // Session.ticket is one
	tlsTold                    // an interval has told of the handshake
	over                       // the flow has ended
	cut                        // DTLS: a datagram was not recorded whole
)

// grace is how long an ACK may be recorded before what it acknowledges.
const grace = 500e6

// Conn is the connection that a session runs over, with what its caller knows
// of it.
type Conn struct {
	TCP         *tcp.Conn
	Store       *tcp.Store
	Client      int            // direction of the client; -1 not known
	Both        bool           // both directions were recorded
	RecordsBoth bool           // … or would have been; for End
	Last        int64          // record time of the latest packet; for End
	Ends        [2]packet.Addr // by direction, who sends
	Ports       [2]uint16
}

// Segment takes what a packet of a TCP connection carries. It gives the number
// of the session, which is made with the first payload.
func (st *Store) Segment(n uint32, c *Conn, p *packet.Packet, g *tcp.Segment, dir int) uint32 {
	first := n == 0
	if first {
		if g.End == g.Pos || p.TCP.Flags&packet.RST != 0 {
			return 0
		}
		n = st.open(c)
	}
	s := st.sessions.At(n)
	if p.TCP.Flags&packet.FIN != 0 && s.fin[dir] == 0 {
		s.fin[dir] = g.End + 1
	}
	switch {
	case s.kind == plain:
		st.turn(s, c, g, dir)
	case s.kind == blindTLS:
		st.blind(s, c, p, g, dir)
	case s.streams[0] == 0:
		st.behind(s, c, p, g, dir)
	default:
		st.read(s, c, p, g, dir)
	}
	if first {
		s.acked = g.Acked
	}
	return n
}

func (st *Store) open(c *Conn) uint32 {
	n := st.sessions.GetZero()
	s := st.sessions.At(n)
	st.openStreams(s, c)
	s.sniff = st.sniffs.GetZero()
	return n
}

func (st *Store) openStreams(s *Session, c *Conn) {
	for dir := range s.streams {
		s.streams[dir] = st.streams.Get()
		if isn, ok := c.TCP.Start(dir); ok {
			st.streams.At(s.streams[dir]).Start(isn)
		}
	}
}

func (st *Store) closeStreams(s *Session) {
	for dir, n := range s.streams {
		if n != 0 {
			st.streams.At(n).Reset(&st.buffers)
			st.streams.Put(n)
			s.streams[dir] = 0
		}
	}
}

// read puts a segment in order and hands on what that makes available.
func (st *Store) read(s *Session, c *Conn, p *packet.Packet, g *tcp.Segment, dir int) {
	if g.Again() {
		st.repeated(s, c, g, dir)
	}
	if s.kind == tlsKind && dir == st.tls.At(s.tls).Client() && g.Acked > s.unacked {
		s.unacked = g.Acked
		st.tls.At(s.tls).Acked(g.Time)
	}
	for d := range s.streams {
		if y := st.streams.At(s.streams[d]); !y.Started() { // the SYN-ACK may be recorded late
			if pos, ok := c.TCP.Start(d); ok {
				y.Start(pos)
			}
		}
	}
	x := st.streams.At(s.streams[dir])
	if g.End > g.Pos {
		if s.acked != 0 {
			x.Start(min(g.Pos, s.acked)) // where that was not known: by no SYN, nor by octets before
		}
		x.Push(&st.buffers, g.Pos, p.Payload, g.End-g.Pos, g.Time, g.Acked, st.gate(s, 1-dir))
		st.drain(s, c, g, dir)
	}
	// What waits in the other direction may wait for something that was not
	// recorded, but acknowledged by this packet.
	for _, d := range [2]int{dir, 1 - dir} {
		if s.streams[d] == 0 {
			break
		}
		x := st.streams.At(s.streams[d])
		if x.Overdue(&st.buffers, g.Time, c.TCP.Una(d), grace) {
			x.GiveUp(g.Time)
			st.drain(s, c, g, d)
		} else if pos := x.Awaits(&st.buffers, g.Time, st.gate(s, 1-d), grace); pos != 0 {
			st.streams.At(s.streams[1-d]).Miss(pos, g.Time)
			st.drain(s, c, g, 1-d)
		}
	}
	switch s.kind {
	case tlsKind:
		switch x := st.tls.At(s.tls); {
		case x.Lost():
			st.openBlind(s, c, dir)
		case x.Over() && !x.Done():
			st.openBlind(s, c, dir)
			if x.Info.Outcome == tlsmeta.NotTLS {
				s.kind = plain
			}
		}
	case blindTLS:
		st.blind(s, c, p, g, dir)
	default:
		st.turn(s, c, g, dir)
	}
	st.closing(s, dir, g.Time)
	if s.kind == httpKind {
		st.exchanges(s, c, st.http.At(s.http))
	}
	st.settle(s)
}

// drain hands on what a direction has ready, and what of the other direction
// has waited for that.
func (st *Store) drain(s *Session, c *Conn, g *tcp.Segment, dir int) {
	var k stream.Chunk
	from := dir
	for idle := 0; idle < 2; dir = 1 - dir {
		idle++
		for s.streams[dir] != 0 && st.streams.At(s.streams[dir]).Next(&st.buffers, &k, st.gate(s, 1-dir)) {
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
func (st *Store) gate(s *Session, dir int) int64 {
	if s.streams[dir] == 0 || !st.streams.At(s.streams[dir]).Started() {
		return math.MaxInt64
	}
	return st.streams.At(s.streams[dir]).Position() + 1 // a FIN
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
func (st *Store) repeated(s *Session, c *Conn, g *tcp.Segment, dir int) {
	if dir == c.Client {
		s.again.add(g.Pos, g.End)
	}
	if s.kind == tlsKind && c.TCP.Una(dir) < g.End {
		x := st.tls.At(s.tls)
		x.Again(dir, g.Pos, g.End, g.Time)
		st.unsettled(s, c, g, dir, x.Client())
	}
}

// closing tells the reader that a direction has ended, once all that came
// before its FIN was read.
func (st *Store) closing(s *Session, dir int, at int64) {
	if s.fin[dir] == 0 || s.streams[dir] != 0 && st.streams.At(s.streams[dir]).Position() < s.fin[dir]-1 {
		return
	}
	st.ended(s, dir, at)
}

// ended tells the reader that a direction has ended.
func (st *Store) ended(s *Session, dir int, at int64) {
	switch s.kind {
	case tlsKind:
		st.tls.At(s.tls).HalfClosed(dir, at)
	case httpKind:
		st.http.At(s.http).conn.Closed(dir == int(s.client), at)
	}
}

// Reset takes an RST that ended the connection.
func (st *Store) Reset(n uint32, c *Conn, dir int, at int64) {
	if n == 0 {
		return
	}
	st.giveUp(st.sessions.At(n), c, at)
	if s := st.sessions.At(n); s.kind == tlsKind {
		st.tls.At(s.tls).Close(dir, at)
	} else {
		st.ended(s, dir, at)
	}
}

// settle lets go of what is not needed any more.
func (st *Store) settle(s *Session) {
	if s.streams[0] == 0 {
		return
	}
	over := s.kind == plain || s.kind == blindTLS
	if s.kind == tlsKind && st.tls.At(s.tls).Over() {
		over = !st.streams.At(s.streams[0]).Waiting() && !st.streams.At(s.streams[1]).Waiting()
	}
	if over {
		st.closeStreams(s)
		st.closeSniff(s)
	}
}

func (st *Store) closeSniff(s *Session) {
	if s.sniff != 0 {
		st.sniffs.Put(s.sniff)
		s.sniff = 0
	}
}

// Release forgets a session.
func (st *Store) Release(n uint32) {
	if n == 0 {
		return
	}
	s := st.sessions.At(n)
	st.closeStreams(s)
	st.closeSniff(s)
	if s.tls != 0 {
		x := st.tls.At(s.tls)
		x.Release(&st.budget)
		x.Info = tlsmeta.Info{} // its owner is the record now
		st.tls.Put(s.tls)
	}
	if s.http != 0 {
		x := st.http.At(s.http)
		x.conn.Reset(st.httpShared, false)
		st.http.Put(s.http)
	}
	if s.dns != 0 {
		x := st.dns.At(s.dns)
		x.conn.Release()
		x.before = nil
		st.dns.Put(s.dns)
	}
	if s.quic != 0 {
		st.quic.At(s.quic).Reset()
		st.quic.Put(s.quic)
	}
	if s.dtls != 0 {
		st.budget.Give(s.dtlsHeld)
		st.dtls.Put(s.dtls)
	}
	st.sessions.Put(n)
}
