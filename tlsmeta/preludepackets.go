package tlsmeta

import "encoding/binary"

const (
	// proxySignature begins a header of the PROXY protocol, version 2 (section 2.2).
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"

	// sslRequest and gssRequest are messages of PostgreSQL ("Message Formats").
	sslRequest = "\x00\x00\x00\x08\x04\xd2\x16\x2f"
	gssRequest = "\x00\x00\x00\x08\x04\xd2\x16\x30"

	startTLS = "1.3.6.1.4.1.1466.20037" // RFC 4511 section 4.14.1
)

// packets takes octets of a protocol of messages, of which it keeps the
// beginning.
func (p *Prelude) packets(dir int, b []byte) (int, Verdict) {
	s := &p.side[dir]
	for n := 0; n < len(b); {
		if s.left > 0 {
			k := min(s.left, len(b)-n)
			s.left -= k
			n += k
		} else {
			// The length of a MySQL packet may begin with that octet.
			if s.n == 0 && b[n] == typeHandshake && p.kind != preludeMySQL {
				return n, PreludeDone
			}
			if int(s.n) == len(s.head) {
				return n, PreludeOther
			}
			s.head[s.n] = b[n]
			s.n++
			n++
			if v := p.packet(dir, s); v != PreludeMore {
				return n, v
			}
		}
		if p.ready && s.left == 0 && s.n == 0 {
			return n, PreludeDone
		}
	}
	return len(b), PreludeMore
}

// packet looks at the beginning of a message, which has grown by an octet.
func (p *Prelude) packet(dir int, s *preludeSide) Verdict {
	fromClient := dir == int(p.client)
	switch p.kind {
	case preludePostgreSQL:
		return p.postgreSQL(fromClient, s)
	case preludeMySQL:
		return p.mySQL(fromClient, s)
	case preludeLDAP:
		return p.ldap(fromClient, s)
	}
	return p.proxy2(fromClient, s)
}

// skip steps over what is left of a message of n octets.
func (s *preludeSide) skip(n int) { s.left, s.n = n-int(s.n), 0 }

func (p *Prelude) postgreSQL(fromClient bool, s *preludeSide) Verdict {
	if fromClient {
		if s.n < 8 {
			return PreludeMore
		}
		p.asked = string(s.head[:8]) == sslRequest
		p.gss = string(s.head[:8]) == gssRequest
		s.n = 0
		if !p.asked && !p.gss {
			return PreludeOther // it goes on in the clear
		}
		return PreludeMore
	}
	answer := s.head[0]
	s.n = 0
	switch {
	case answer == 'S' && p.asked:
		return PreludeDone
	case answer == 'N' && (p.asked || p.gss):
		p.asked, p.gss = false, false
		return PreludeMore
	}
	return PreludeOther // an error, or GSSAPI encryption
}

// clientSSL is CLIENT_SSL, a capability flag of MySQL.
const clientSSL = 0x0800

// mySQL reads packets: 3 octets length, 1 sequence number, little endian.
func (p *Prelude) mySQL(fromClient bool, s *preludeSide) Verdict {
	if s.n < 4 {
		return PreludeMore
	}
	n := 4 + mySQLLength(s.head[:])
	if !fromClient {
		if p.greeted {
			return PreludeOther // an answer to a login in the clear
		}
		p.greeted = true
		s.skip(n)
		return PreludeMore
	}
	if n != 4+32 && n != 4+5 { // SSLRequest, and that of before 4.1
		return PreludeOther
	}
	if s.n < 6 {
		return PreludeMore
	}
	if s.head[3] != 1 || binary.LittleEndian.Uint16(s.head[4:])&clientSSL == 0 {
		return PreludeOther
	}
	p.ready = true
	s.skip(n)
	return PreludeMore
}

func mySQLLength(b []byte) int { return int(b[0]) | int(b[1])<<8 | int(b[2])<<16 }

// matchMySQL recognises the first packet of a server: protocol version 10 and a
// server version that begins with a digit.
func matchMySQL(b []byte) Match {
	if len(b) > 2 && (mySQLLength(b) < 16 || mySQLLength(b) > 512) || len(b) > 3 && b[3] != 0 || len(b) > 4 && b[4] != 10 {
		return MatchNo
	}
	switch {
	case len(b) < 6:
		return MatchMore
	case b[5] < '1' || b[5] > '9':
		return MatchNo
	}
	return MatchYes
}

// Operations of LDAP (RFC 4511 section 4.2 and after), as BER tags.
const (
	ldapSearch        = 0x63
	ldapSearchEntry   = 0x64
	ldapSearchDone    = 0x65
	ldapSearchRef     = 0x73
	ldapExtended      = 0x77
	ldapExtendedReply = 0x78
)

func (p *Prelude) ldap(fromClient bool, s *preludeSide) Verdict {
	at, total, m := ldapHead(s.head[:s.n])
	switch {
	case m == MatchNo || total > maxPrelude:
		return PreludeOther
	case m == MatchMore:
		return PreludeMore
	}
	switch op := s.head[at]; {
	case fromClient && op == ldapSearch, !fromClient && (op == ldapSearchEntry || op == ldapSearchDone || op == ldapSearchRef):
	case fromClient && op == ldapExtended:
		if total > len(s.head) {
			return PreludeOther
		}
		if int(s.n) < total {
			return PreludeMore
		}
		if !isStartTLS(s.head[at:total]) {
			return PreludeOther
		}
		p.asked = true
	case !fromClient && op == ldapExtendedReply:
		if int(s.n) < min(total, len(s.head)) {
			return PreludeMore
		}
		p.ready = p.asked && ldapSuccess(s.head[at:s.n])
		p.asked = false
	default:
		return PreludeOther // a bind, say
	}
	s.skip(total)
	return PreludeMore
}

// matchLDAP recognises a first message that is a search or an extended request.
func matchLDAP(b []byte) Match {
	at, _, m := ldapHead(b)
	if m == MatchYes && b[at] != ldapSearch && b[at] != ldapExtended {
		return MatchNo
	}
	return m
}

// ldapHead finds the operation in an LDAPMessage (RFC 4511 section 4.1.1) and
// the length of the message.
func ldapHead(b []byte) (at, total int, m Match) {
	if len(b) > 0 && b[0] != 0x30 {
		return 0, 0, MatchNo
	}
	n, at, m := berLength(b, 1)
	if m != MatchYes {
		return 0, 0, m
	}
	total = at + n
	if len(b) > at && b[at] != 0x02 || len(b) > at+1 && (b[at+1] == 0 || b[at+1] > 4) {
		return 0, 0, MatchNo
	}
	if len(b) < at+2 {
		return 0, total, MatchMore
	}
	at += 2 + int(b[at+1])
	if at >= total {
		return 0, 0, MatchNo
	}
	if len(b) <= at {
		return 0, total, MatchMore
	}
	return at, total, MatchYes
}

// berLength reads the length that stands at i, and gives where its content
// begins (X.690 section 8.1.3).
func berLength(b []byte, i int) (n, at int, m Match) {
	if len(b) <= i {
		return 0, 0, MatchMore
	}
	n, at = int(b[i]), i+1
	if n < 0x80 {
		return n, at, MatchYes
	}
	octets := n - 0x80
	if octets == 0 || octets > 4 {
		return 0, 0, MatchNo
	}
	if len(b) < at+octets {
		return 0, 0, MatchMore
	}
	n = 0
	for _, c := range b[at : at+octets] {
		n = n<<8 | int(c)
	}
	return n, at + octets, MatchYes
}

// isStartTLS tells whether an ExtendedRequest names StartTLS.
func isStartTLS(b []byte) bool {
	_, at, m := berLength(b, 1)
	if m != MatchYes || len(b) < at+2 || b[at] != 0x80 || int(b[at+1]) != len(startTLS) {
		return false
	}
	b = b[at+2:]
	return len(b) >= len(startTLS) && string(b[:len(startTLS)]) == startTLS
}

// ldapSuccess tells whether an ExtendedResponse has the result code success.
func ldapSuccess(b []byte) bool {
	_, at, m := berLength(b, 1)
	return m == MatchYes && len(b) >= at+3 && b[at] == 0x0a && b[at+1] == 1 && b[at+2] == 0
}

// proxy2 reads the header of the PROXY protocol, version 2: signature, version
// and command, family, 16-bit length.
func (p *Prelude) proxy2(fromClient bool, s *preludeSide) Verdict {
	switch {
	case !fromClient:
		return PreludeOther
	case s.n < 16:
		return PreludeMore
	case string(s.head[:12]) != proxySignature || s.head[12]>>4 != 2 || s.head[12]&15 > 1:
		return PreludeOther
	}
	p.ready = true
	s.skip(16 + int(binary.BigEndian.Uint16(s.head[14:])))
	return PreludeMore
}
