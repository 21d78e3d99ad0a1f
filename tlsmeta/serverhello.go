package tlsmeta

import (
	"encoding/binary"

	"golang.org/x/crypto/cryptobyte"
)

// ServerHello is the answer of a TLS server (RFC 8446 section 4.1.3), or its
// HelloRetryRequest. Its slices alias the octets that it was read from.
type ServerHello struct {
	LegacyVersion uint16
	Version       uint16 // negotiated: supported_versions, without it LegacyVersion
	Random        []byte // nil in a HelloRetryRequest of drafts before 22
	SessionID     []byte
	Cipher        uint16
	Compression   uint8
	Extensions    Typed // in order

	Group        uint16 // of key_share; in a HelloRetryRequest the one that is asked for
	ALPN         []byte
	PSKIdentity  uint16 // which of the keys offered was selected, from 0
	ConnectionID []byte // DTLS: what the client is to put into its records
	Certificate  []byte // SSLv2 alone: it stands in the ServerHello

	HelloRetry      bool
	SessionHit      bool // SSLv2 alone: the session was resumed
	PreSharedKey    bool // a key was selected: PSKIdentity tells which
	HasTicket       bool // session_ticket is there: the server will send one
	HasConnectionID bool
}

// helloRetry is the random that makes a ServerHello a HelloRetryRequest (RFC
// 8446 section 4.1.3): the SHA-256 of "HelloRetryRequest".
var helloRetry = [32]byte{
	0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
	0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
}

// ParseServerHello reads one ServerHello or HelloRetryRequest into h. b, n, err
// and the memory are as with ParseClientHello. It knows the forms of the drafts
// of TLS 1.3: before 22 a ServerHello had neither session id nor compression
// method, and HelloRetryRequest was a message type of its own.
func ParseServerHello(b []byte, h *ServerHello) (n int, err error) {
	typ := byte(msgServerHello)
	if len(b) > 0 && b[0] == msgHelloRetryRequest {
		typ = msgHelloRetryRequest
	}
	body, n, err := message(b, typ)
	if err != nil {
		return 0, err
	}
	if typ == msgHelloRetryRequest {
		return n, parseDraftRetry(body, h)
	}
	return n, parseServerHello(body, h)
}

func parseServerHello(body []byte, h *ServerHello) error {
	*h = ServerHello{}
	const fixed = 2 + 32 // version and random
	if len(body) < fixed {
		return ErrMalformed
	}
	v, s := binary.BigEndian.Uint16(body), body[fixed:]
	h.LegacyVersion, h.Version, h.Random = v, v, body[2:fixed:fixed]
	old := isDraft(v) && v < 0x7f16
	if !old {
		var ok bool
		if h.SessionID, s, ok = split8(s); !ok || len(h.SessionID) > 32 {
			return ErrMalformed
		}
	}
	switch {
	case old && len(s) >= 2:
		h.Cipher, s = binary.BigEndian.Uint16(s), s[2:]
	case !old && len(s) >= 3:
		h.Cipher, h.Compression, s = binary.BigEndian.Uint16(s), s[2], s[3:]
	default:
		return ErrMalformed
	}
	h.HelloRetry = body[2] == helloRetry[0] && [32]byte(h.Random) == helloRetry
	return h.extensions(s)
}

// parseDraftRetry reads a HelloRetryRequest of drafts before 22. Since 19 it
// has a cipher suite.
func parseDraftRetry(body []byte, h *ServerHello) error {
	*h = ServerHello{HelloRetry: true}
	s := cryptobyte.String(body)
	if !s.ReadUint16(&h.LegacyVersion) || !isDraft(h.LegacyVersion) || h.LegacyVersion >= 0x7f13 && !s.ReadUint16(&h.Cipher) {
		return ErrMalformed
	}
	h.Version = h.LegacyVersion
	return h.extensions(s)
}

// extensions reads what is left of the message.
func (h *ServerHello) extensions(s []byte) error {
	if len(s) == 0 {
		return nil
	}
	list, s, ok := split16(s)
	if !ok || len(s) != 0 {
		return ErrMalformed
	}
	h.Extensions = Typed(list)
	for l := h.Extensions; len(l) > 0; {
		typ, body, rest, ok := l.next()
		if !ok {
			return ErrMalformed
		}
		l = rest
		switch typ {
		case extSupportedVersions:
			if len(body) == 2 {
				h.Version = binary.BigEndian.Uint16(body)
			}
		case extKeyShare, extKeyShareDraft:
			if len(body) >= 2 {
				h.Group = binary.BigEndian.Uint16(body)
			}
		case extALPN:
			h.ALPN = names16(body).First()
		case extPreSharedKey:
			if len(body) == 2 {
				h.PreSharedKey, h.PSKIdentity = true, binary.BigEndian.Uint16(body)
			}
		case extSessionTicket:
			h.HasTicket = true
		case extConnectionID:
			if l := list8(body); l != nil {
				h.HasConnectionID, h.ConnectionID = true, l
			}
		}
	}
	return nil
}

// isDraft tells whether v is the version of a draft of TLS 1.3.
func isDraft(v uint16) bool { return v>>8 == 0x7f }
