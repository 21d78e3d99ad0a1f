package session

import (
	"mirrorscope/dnsmeta"
	"mirrorscope/httpmeta"
	"mirrorscope/stream"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

// sniff is what is kept of the first octets until they tell the protocol.
type sniff struct {
	head    [2][headLen]byte
	n       [2]uint8
	first   [2]stream.Chunk // of head: its position and times
	prelude tlsmeta.Prelude
	missed  uint8
	names   string // of the preludes that have passed
}

// headLen is how many octets tell every protocol that is known.
const headLen = 32

// maxMisses bounds how often octets may be missing before the protocol is told.
const maxMisses = 4

// maxHops bounds how many preludes may follow each other, as PROXY, CONNECT and
// STARTTLS can.
const maxHops = 4

// sniffing gives the sniff of a connection.
func (st *Store) sniffing(r *reading) *sniff {
	if r.sniff == 0 {
		r.sniff = st.sniffs.GetZero()
	}
	return st.sniffs.At(r.sniff)
}

// sniffed looks at what comes next of a direction whose protocol is not known.
func (st *Store) sniffed(s *Session, c *Conn, g *tcp.Segment, k *stream.Chunk, dir int) {
	r := st.readings.At(s.reading)
	if k.Missing > 0 {
		x := st.sniffing(r)
		if x.missed++; k.Cut || s.kind == prelude || x.missed > maxMisses {
			s.kind = plain
		}
		x.n[dir] = 0 // the other direction may tell it yet, or what comes next
		why := tcp.CaptureLoss
		if k.Cut {
			why = tcp.Truncated
		}
		c.TCP.DoubtTurns(why) // it may have been a handshake
		if x.names != "" && s.kind == plain {
			st.openBlind(s, c, dir)
		}
		return
	}
	data := k.Data
	if r.sniff != 0 {
		if x := st.sniffs.At(r.sniff); x.n[dir] > 0 {
			n := copy(x.head[dir][x.n[dir]:], data)
			x.n[dir] += uint8(n)
			data = x.head[dir][:x.n[dir]]
		}
	}
	switch verdict, kind := st.match(s, r, c, data); {
	case verdict == tlsmeta.MatchYes:
		st.begin(s, c, g, k, dir, kind)
	case verdict == tlsmeta.MatchMore && len(data) < headLen:
		if x := st.sniffing(r); x.n[dir] == 0 {
			x.first[dir] = *k
			x.n[dir] = uint8(copy(x.head[dir][:], data))
		}
	case s.kind == undecided && looksLikeTLS(data) && len(data) > 5 && data[0] == recordHandshake && data[5] == 2:
		st.begin(s, c, g, k, dir, headless)
	case s.kind == undecided && looksLikeTLS(data):
		st.openBlind(s, c, dir)
	default:
		st.preludeChunk(s, c, g, k, dir)
	}
}

// Content types of TLS records (RFC 8446 section 5.1).
const (
	recordCCS       = 20
	recordAlert     = 21
	recordHandshake = 22
	recordData      = 23
)

// alertRecord is how long a record is in which TLS 1.3 hides an alert: header,
// level and description, their type, and the tag of all cipher suites but CCM_8.
const alertRecord = 5 + 2 + 1 + 16

// looksLikeTLS tells whether octets may be a record in the middle of a
// connection (RFC 8446 section 5.1).
func looksLikeTLS(b []byte) bool {
	return len(b) >= 5 && b[0] >= recordCCS && b[0] <= recordData && b[1] == 3 && b[2] <= 4 && (b[3] < 64 || b[3] <= 72 && b[0] == recordData)
}

// match compares the first octets of a direction with what is known.
func (st *Store) match(s *Session, r *reading, c *Conn, b []byte) (tlsmeta.Match, kind) {
	if s.kind == prelude {
		return tlsmeta.MatchNo, plain
	}
	hello := max(tlsmeta.MatchClientHello(b), tlsmeta.MatchSSLv2Hello(b))
	if hello == tlsmeta.MatchYes {
		return hello, tlsKind
	}
	if p, ok := dnsmeta.ProtocolOf(c.Ports[0], c.Ports[1]); ok && p == dnsmeta.DNS && r.hops == 0 {
		return tlsmeta.MatchYes, dnsKind
	}
	switch v := st.probe(c, b); {
	case v == httpmeta.ClientHTTP1 || v == httpmeta.ClientHTTP2 || v == httpmeta.ServerHTTP1:
		return tlsmeta.MatchYes, httpKind
	case v == httpmeta.NeedMore:
		return tlsmeta.MatchMore, plain
	}
	return hello, plain
}

// probe looks for HTTP: with more suspicion where the connection was joined on its
// way, and what comes first may be the middle of a body.
func (st *Store) probe(c *Conn, b []byte) httpmeta.Verdict {
	for dir := range 2 {
		if _, ok := c.TCP.Start(dir); ok {
			return httpmeta.Probe(b)
		}
	}
	v := httpmeta.ProbeJoined(b)
	if v == httpmeta.NeedMore && len(b) >= headLen {
		return httpmeta.Probe(b) // the head goes on in another packet
	}
	return v
}

// begin hands the first octets on to the reader of a protocol.
func (st *Store) begin(s *Session, c *Conn, g *tcp.Segment, k *stream.Chunk, dir int, kind kind) {
	var x *sniff // of what came before, which most connections begin without
	names := ""
	if r := st.readings.At(s.reading); r.sniff != 0 {
		before := *st.sniffs.At(r.sniff)
		x, names = &before, before.names
		st.closeSniff(r)
	}
	s.kind = kind
	switch kind {
	case tlsKind:
		first := k.Time
		if x != nil && x.n[dir] > 0 {
			first = x.first[dir].Time
		}
		st.openTLS(s, c, dir, first, names)
	case headless:
		s.kind = tlsKind
		st.openHeadless(s, 1-dir, k.Time, names)
	case httpKind:
		st.openHTTP(s, c, k, dir, names)
	case dnsKind:
		client := dir
		if c.Client >= 0 {
			client = c.Client
		}
		st.openDNS(s, c, client)
	}
	if x != nil {
		st.beginBefore(s, c, g, k, dir, x)
	}
	st.chunk(s, c, g, k, dir)
}

// beginBefore hands on the octets that waited for more.
func (st *Store) beginBefore(s *Session, c *Conn, g *tcp.Segment, k *stream.Chunk, dir int, x *sniff) {
	for d := range x.n {
		if x.n[d] == 0 {
			continue
		}
		// What waited comes first. Its last octets may be the beginning of k.
		before, n := x.first[d], int64(x.n[d])
		if d == dir {
			n = k.Pos - before.Pos
		}
		before.Data = x.head[d][:n]
		st.chunk(s, c, g, &before, d)
	}
}

// preludeChunk hands octets to the reader of preludes, and looks anew at what
// follows them.
func (st *Store) preludeChunk(s *Session, c *Conn, g *tcp.Segment, k *stream.Chunk, dir int) {
	r := st.readings.At(s.reading)
	if r.sniff == 0 && tlsmeta.MatchPrelude(k.Data) == tlsmeta.MatchNo {
		s.kind = plain
		return
	}
	x := st.sniffing(r)
	for d := range x.n {
		if n := int(x.n[d]); n > 0 {
			if d == dir {
				n = int(k.Pos - x.first[d].Pos)
			}
			x.n[d] = 0
			if _, v := x.prelude.Feed(d, x.head[d][:n]); v != tlsmeta.PreludeMore {
				s.kind = plain
				return
			}
		}
	}
	n, v := x.prelude.Feed(dir, k.Data)
	switch {
	case v == tlsmeta.PreludeMore:
		s.kind = prelude
	case v == tlsmeta.PreludeDone && r.hops < maxHops:
		x.names = joinNames(x.names, x.prelude.Name())
		x.prelude = tlsmeta.Prelude{}
		r.hops++
		s.kind = undecided
		if rest := *k; n < len(k.Data) {
			rest.Pos += int64(n)
			rest.Data = k.Data[n:]
			st.sniffed(s, c, g, &rest, dir)
		}
	default:
		s.kind = plain
	}
}

func joinNames(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "+" + b
}
