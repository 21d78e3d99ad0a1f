package tlsmeta

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of what Info keeps of a hello.
const (
	maxName = 255 // octets of a server or protocol name, before it is escaped
	maxALPN = 16  // protocol names
)

// offer is what a ClientHello offers that its answer is compared with.
type offer struct {
	sessionID [32]byte
	idLen     uint8
	tls13     bool // offers TLS 1.3 or a draft of it: the session id may mean nothing (RFC 8446 appendix D.4)
	ticket    bool // a session ticket that is not empty
	key       bool // pre_shared_key
	echoed    bool // TLS ≤ 1.2: the answer has the session id, and there is one
}

// ClientHello takes what i keeps of a ClientHello; transport is TransportTCP,
// TransportQUIC or TransportDTLS. Name, versions, protocols and fingerprints are
// those of the first: the second, behind a HelloRetryRequest, only tells which
// keys it still offers, and that early data is over (RFC 8446 section 4.2.10).
func (i *Info) ClientHello(h *ClientHello, transport byte) {
	i.offer.take(h)
	if i.JA4 != "" {
		if i.EarlyData == EarlyOffered {
			i.EarlyData = EarlyRejected
		}
		return
	}
	i.SSLv2Hello = h.SSLv2
	f := h.facts(transport)
	i.Offered, i.ALPNOffered, i.JA3, i.JA4 = f.offered, f.alpn, f.ja3, f.ja4
	i.SNI = sharedText(h.ServerName)
	i.ECH, i.ESNI = h.ECH, h.ESNI
	if h.EarlyData {
		i.EarlyData = EarlyOffered
	}
}

// ServerHello takes what i keeps of a ServerHello or HelloRetryRequest.
//
// In TLS 1.3 it tells whether a session is resumed. Up to 1.2 only what comes
// behind it does (see Abbreviated and Full); SessionEchoed is a hint.
func (i *Info) ServerHello(h *ServerHello) {
	if h.HelloRetry {
		i.HelloRetry = true
		i.rejectEarly()
		if i.Group == 0 {
			i.Group = h.Group
		}
		if i.Version == 0 {
			i.Version, i.Cipher = h.Version, h.Cipher
		}
		return
	}
	i.Version = h.Version
	i.Cipher = h.Cipher
	i.Group = h.Group
	i.ALPN = sharedText(h.ALPN)
	i.JA3S = h.ja3s()
	if !hasKeySchedule13(h.Version) {
		i.rejectEarly()
		i.offer.echoed = i.offer.idLen > 0 && bytes.Equal(h.SessionID, i.offer.sessionID[:i.offer.idLen])
		if h.Version == versionSSLv2 {
			i.Resumed = h.SessionHit
			i.Refused = !h.SessionHit && i.offer.idLen > 0
		}
		return
	}
	i.Resumed = h.PreSharedKey
	i.Refused = !h.PreSharedKey && i.offer.key
	if !h.PreSharedKey || h.PSKIdentity != 0 {
		i.rejectEarly() // early data is under the first key (RFC 8446 section 4.2.10)
	}
}

func (i *Info) rejectEarly() {
	if i.EarlyData == EarlyOffered {
		i.EarlyData = EarlyRejected
	}
}

// SessionEchoed tells, up to TLS 1.2, that the server answered with the session
// id that it was offered, which means that it resumes that session or takes the
// ticket (RFC 5246 section 7.4.1.3, RFC 5077 section 3.4).
func (i *Info) SessionEchoed() bool { return i.offer.echoed }

// Abbreviated takes note that a handshake up to TLS 1.2 is abbreviated: the
// server's ChangeCipherSpec came right behind its ServerHello.
func (i *Info) Abbreviated() { i.Resumed, i.Refused = true, false }

// Full takes note that a handshake up to TLS 1.2 is full: the server sent a
// Certificate, ServerKeyExchange or ServerHelloDone. What was offered for
// resumption is refused then. The session id alone is no offer where the client
// could also do TLS 1.3, for it is made up there (RFC 8446 appendix D.4).
func (i *Info) Full() {
	o := &i.offer
	i.Resumed = false
	i.Refused = o.ticket || o.key || o.idLen > 0 && !o.tls13
}

func (o *offer) take(h *ClientHello) {
	*o = offer{ticket: len(h.Ticket) > 0, key: h.PreSharedKey, tls13: hasKeySchedule13(h.highest())}
	o.idLen = uint8(copy(o.sessionID[:], h.SessionID))
}

// hasKeySchedule13 tells whether a version is TLS 1.3, DTLS 1.3 or a draft of
// TLS 1.3.
func hasKeySchedule13(v uint16) bool { return v == 0x0304 || v == 0xfefc || isDraft(v) }

// highest is the highest version that the hello offers, of those that have a
// name: DTLS counts down, and drafts of TLS 1.3 come before it.
func (h *ClientHello) highest() uint16 {
	best, rank := h.Version, 0
	for v := range h.Versions.All() {
		if r := versionRank(v); r > rank {
			best, rank = v, r
		}
	}
	return best
}

func versionRank(v uint16) int {
	switch {
	case v == 0x0304:
		return 0x200
	case isDraft(v):
		return 0x100 + int(v&0xff)
	case v >= 0xfefc && v <= 0xfeff:
		return 1 + 0xfeff - int(v)
	case v == versionSSLv2 || v >= 0x0300 && v <= 0x0303:
		return 1 + int(v&0xff)
	}
	return 0
}

// text makes a string of octets that anyone may have written: at most maxName
// octets of them, valid UTF-8, all of it printable. What is not is escaped as Go
// and most other languages do: "\xba" is an octet that is no UTF-8, "\u0007" a
// control character.
func text(b []byte) string { return printable(b[:min(len(b), maxName)]) }

// printable is text without the bound.
func printable(b []byte) string {
	plain := true
	for _, c := range b {
		plain = plain && c >= 0x20 && c < 0x7f
	}
	if plain {
		return string(b)
	}
	var s strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == utf8.RuneError && n <= 1:
			fmt.Fprintf(&s, `\x%02x`, b[0])
		case unicode.IsPrint(r):
			s.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&s, `\U%08x`, r)
		default:
			fmt.Fprintf(&s, `\u%04x`, r)
		}
		b = b[n:]
	}
	return s.String()
}
