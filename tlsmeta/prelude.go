package tlsmeta

import (
	"bytes"
	"math/bits"
)

// Verdict is what a Prelude makes of the octets so far.
type Verdict uint8

const (
	PreludeMore  Verdict = iota // TLS may follow
	PreludeDone                 // TLS follows, or another prelude
	PreludeOther                // this leads to no TLS
)

// maxPrelude bounds how many octets a Prelude looks at, both directions
// together.
const maxPrelude = 64 << 10

// Prelude follows what two ends say before they turn to TLS within another
// protocol: STARTTLS in SMTP and LMTP (RFC 3207), IMAP (RFC 9051 section
// 6.2.1), POP3 (RFC 2595 section 4), FTP (RFC 4217), LDAP (RFC 4511 section
// 4.14) and XMPP (RFC 6120 section 5), the SSLRequest of PostgreSQL and MySQL,
// CONNECT of HTTP/1 (RFC 9110 section 9.3.6), and the header of the PROXY
// protocol, versions 1 and 2.
//
// A refusal decides nothing, for the client may go on in the clear or ask
// again; what it says then does. An octet that begins a TLS handshake (22), which
// no line or message of these protocols begins with, ends the prelude, too: the
// answer may not have been recorded.
//
// The zero value is ready for use. It holds no pointers.
type Prelude struct {
	kind    prelude
	client  uint8 // its direction, once kind is known
	verdict Verdict
	asked   bool  // the client has asked for TLS, and is not refused
	gss     bool  // PostgreSQL: it has asked for GSSAPI encryption
	greeted bool  // the server has spoken
	ready   bool  // TLS follows behind the present message
	inside  bool  // HTTP: within the head of a request
	owed    uint8 // replies that the server owes
	tagLen  uint8
	tag     [32]byte // IMAP: of the STARTTLS command
	seen    int      // octets looked at
	side    [2]preludeSide
}

// preludeSide is where one direction is.
type preludeSide struct {
	head   [64]byte // beginning of the present line, element or message
	n      uint8    // octets of head
	length int      // octets of the present line
	left   int      // octets of the present message to step over
	inTag  bool     // XMPP: between < and >
	quote  byte     // XMPP: within an attribute value in these quotes
	last   byte     // XMPP: octet before the present one
}

type prelude uint8

const (
	preludeUnknown  prelude = iota
	preludeGreeting         // 220: SMTP or FTP
	preludeSMTP
	preludeFTP
	preludeIMAP
	preludePOP3
	preludeConnect
	preludeProxy1
	preludeProxy2
	preludeLDAP
	preludeXMPP
	preludePostgreSQL
	preludeMySQL
)

// Name is the protocol: smtp, imap, pop3, ftp, ldap, xmpp, postgresql, mysql,
// http_connect or proxy, "" until it is known.
func (p *Prelude) Name() string {
	return [...]string{"", "", "smtp", "ftp", "imap", "pop3", "http_connect", "proxy", "proxy", "ldap", "xmpp", "postgresql", "mysql"}[p.kind]
}

// Client is the direction that the client sends in, -1 until it is known.
func (p *Prelude) Client() int {
	if p.kind == preludeUnknown {
		return -1
	}
	return int(p.client)
}

// Feed takes octets that come next of direction dir (0 or 1; which of them is
// the client's shows by what it says). n of them belong to the prelude: all of
// them with PreludeMore, those before TLS or another prelude with PreludeDone,
// none with PreludeOther. A verdict but PreludeMore is final, for both
// directions. Octets that begin a TLS connection are PreludeOther: the caller
// looks for these first.
func (p *Prelude) Feed(dir int, b []byte) (n int, v Verdict) {
	if p.verdict != PreludeMore || len(b) == 0 {
		return 0, p.verdict
	}
	if p.seen += len(b); p.seen > maxPrelude {
		p.verdict = PreludeOther
		return 0, PreludeOther
	}
	if p.kind == preludeUnknown {
		n, v = p.identify(dir, b)
	} else {
		n, v = p.read(dir, b)
	}
	if v == PreludeOther {
		n = 0
	}
	p.verdict = v
	return n, v
}

// identify finds out the protocol by the first octets of either side.
func (p *Prelude) identify(dir int, b []byte) (int, Verdict) {
	s := &p.side[dir]
	old := int(s.n)
	k := copy(s.head[old:], b)
	s.n += uint8(k)
	kind, fromClient, m := identify(s.head[:s.n])
	switch {
	case m == MatchNo || m == MatchMore && k < len(b):
		return 0, PreludeOther
	case m == MatchMore:
		return len(b), PreludeMore
	}
	p.kind = kind
	p.client = uint8(dir)
	if !fromClient {
		p.client = uint8(1 - dir)
	}
	p.owed = 1 // the greeting

	// What was too little to tell is read now, the other side's first.
	for _, d := range [2]int{1 - dir, dir} {
		s := &p.side[d]
		before, n := s.head, int(s.n)
		if d == dir {
			n = old
		}
		s.n = 0
		if n > 0 {
			if _, v := p.read(d, before[:n]); v != PreludeMore {
				return 0, PreludeOther
			}
		}
	}
	return p.read(dir, b)
}

// MatchPrelude tells whether the first octets of a connection, of either side,
// can be those of a prelude.
func MatchPrelude(b []byte) Match {
	_, _, m := identify(b[:min(len(b), len(preludeSide{}.head))])
	return m
}

// identify tells which protocol begins with these octets, and whether its
// client says them.
func identify(b []byte) (kind prelude, fromClient bool, m Match) {
	best, may := MatchNo, uint32(1<<len(openings)-1)
	if len(b) > 0 {
		may = openingsBy[b[0]]
	}
	for ; may != 0; may &= may - 1 {
		o := &openings[bits.TrailingZeros32(may)]
		if m := begins(b, o.text); m == MatchYes {
			return o.kind, o.client, MatchYes
		} else if m == MatchMore {
			best = MatchMore
		}
	}
	imap, ldap, mySQL := matchIMAPCommand(b), matchLDAP(b), matchMySQL(b)
	switch MatchYes {
	case imap:
		return preludeIMAP, true, MatchYes
	case ldap:
		return preludeLDAP, true, MatchYes
	case mySQL:
		return preludeMySQL, false, MatchYes
	}
	return preludeUnknown, false, max(best, imap, ldap, mySQL)
}

// openings are texts that a protocol begins with, in capitals. Those of
// clients whose server speaks first are for recordings that lack the server's.
var openings = [...]struct {
	text   string
	kind   prelude
	client bool
}{
	{"220 ", preludeGreeting, false},
	{"220-", preludeGreeting, false},
	{"* OK", preludeIMAP, false},
	{"+OK", preludePOP3, false},
	{"EHLO ", preludeSMTP, true},
	{"HELO ", preludeSMTP, true},
	{"LHLO ", preludeSMTP, true},
	{"AUTH TLS", preludeFTP, true},
	{"AUTH SSL", preludeFTP, true},
	{"CAPA\r", preludePOP3, true},
	{"STLS\r", preludePOP3, true},
	{"CONNECT ", preludeConnect, true},
	{"PROXY ", preludeProxy1, true},
	{proxySignature, preludeProxy2, true},
	{"<?XML", preludeXMPP, true},
	{"<STREAM:STREAM", preludeXMPP, true},
	{sslRequest, preludePostgreSQL, true},
	{gssRequest, preludePostgreSQL, true},
}

// openingsBy has for each octet the openings that may begin with it, as bits.
var openingsBy = func() (by [256]uint32) {
	for octet := range by {
		for i := range openings {
			if upper(byte(octet)) == openings[i].text[0] {
				by[octet] |= 1 << i
			}
		}
	}
	return by
}()

// begins compares the beginning of b with a text in capitals.
func begins(b []byte, text string) Match {
	for i := range min(len(b), len(text)) {
		if upper(b[i]) != text[i] {
			return MatchNo
		}
	}
	if len(b) < len(text) {
		return MatchMore
	}
	return MatchYes
}

func upper(c byte) byte {
	if 'a' <= c && c <= 'z' {
		return c - 'a' + 'A'
	}
	return c
}

// read takes octets of a protocol that is known.
func (p *Prelude) read(dir int, b []byte) (int, Verdict) {
	switch p.kind {
	case preludeXMPP:
		return p.elements(dir, b)
	case preludeLDAP, preludePostgreSQL, preludeMySQL, preludeProxy2:
		return p.packets(dir, b)
	}
	return p.lines(dir, b)
}

// lines takes octets of a protocol of lines, of which it keeps the beginning.
func (p *Prelude) lines(dir int, b []byte) (int, Verdict) {
	s := &p.side[dir]
	for n := 0; n < len(b); {
		if s.length == 0 && b[n] == typeHandshake {
			return n, PreludeDone
		}
		end := len(b)
		i := bytes.IndexByte(b[n:], '\n')
		if i >= 0 {
			end = n + i + 1
		}
		s.n += uint8(copy(s.head[s.n:], b[n:end]))
		s.length += end - n
		n = end
		if i < 0 {
			break
		}
		line := bytes.TrimRight(s.head[:s.n], "\r\n")
		length := s.length
		s.n, s.length = 0, 0
		if v := p.line(dir, line, length); v != PreludeMore {
			return n, v
		}
	}
	return len(b), PreludeMore
}
