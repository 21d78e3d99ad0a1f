package tlsmeta

import (
	"encoding/binary"
	"errors"
)

var (
	ErrShort     = errors.New("message is not complete")            // more octets may complete it
	ErrMalformed = errors.New("message contradicts its own length") // or is not of the type asked for
)

// Handshake messages beside those that Conn knows.
const (
	msgHelloVerifyRequest = 3 // DTLS, RFC 6347 section 4.2.1
	msgHelloRetryRequest  = 6 // drafts of TLS 1.3 before 22
	msgFinished           = 20
)

// Extension types (IANA registry "TLS ExtensionType Values").
const (
	extServerName          = 0      // RFC 6066 section 3
	extSupportedGroups     = 10     // RFC 8422 section 5.1.1, RFC 8446 section 4.2.7
	extPointFormats        = 11     // RFC 8422 section 5.1.2
	extSignatureAlgorithms = 13     // RFC 8446 section 4.2.3
	extALPN                = 16     // RFC 7301
	extSessionTicket       = 35     // RFC 5077 section 3.2
	extKeyShareDraft       = 40     // drafts of TLS 1.3 before 23
	extPreSharedKey        = 41     // RFC 8446 section 4.2.11
	extEarlyData           = 42     // RFC 8446 section 4.2.10
	extSupportedVersions   = 43     // RFC 8446 section 4.2.1
	extKeyShare            = 51     // RFC 8446 section 4.2.8
	extConnectionID        = 54     // RFC 9146 section 3
	extECH                 = 0xfe0d // RFC 9849, and draft-ietf-tls-esni since 13
	extECHDraftFirst       = 0xfe08 // drafts 8 to 12
	extESNI                = 0xffce // drafts 1 to 5: encrypted_server_name
)

// ClientHello is the first message of a TLS client (RFC 8446 section 4.1.2).
// Its slices alias the octets that it was read from. A known extension whose
// content contradicts itself counts as absent but for Extensions; of one that
// is there twice the first counts.
type ClientHello struct {
	Version     uint16 // legacy_version; what is offered may be in Versions
	Random      []byte // 32 octets; the challenge of an SSLv2 hello has 16 to 32
	SessionID   []byte
	Cookie      []byte  // DTLS alone
	Ciphers     Numbers // empty in an SSLv2 hello
	CipherKinds []byte  // SSLv2 hello alone: three octets each, TLS suites begin with 0
	Compression []byte
	Extensions  Typed // in order

	ServerName          []byte // host_name of server_name
	ALPN                Names
	Versions            Numbers // supported_versions
	Groups              Numbers // supported_groups
	KeyShares           Typed   // by group
	SignatureAlgorithms Numbers
	PointFormats        []byte
	Ticket              []byte // session_ticket; empty asks for one
	ConnectionID        []byte // DTLS: what the server is to put into its records

	SSLv2           bool // came in the form of SSLv2
	HasServerName   bool // the extension is there, readable or not
	HasTicket       bool // session_ticket is there, empty or not
	HasConnectionID bool
	PreSharedKey    bool
	EarlyData       bool
	ECH             bool // encrypted_client_hello: ServerName is the outer one
	ESNI            bool // encrypted_server_name: there is most often no ServerName
}

// ParseClientHello reads one ClientHello message into h.
//
// b starts at the handshake header: 1 octet type, 3 octets length. h is
// overwritten and its slices alias b. n is the octets of b used, 4 plus the
// length field. The error is ErrShort if b ends inside the message and
// ErrMalformed if it is another message or a length contradicts the field
// around it; h is of no use then.
func ParseClientHello(b []byte, h *ClientHello) (n int, err error) {
	body, n, err := message(b, msgClientHello)
	if err != nil {
		return 0, err
	}
	return n, parseClientHello(body, h, false)
}

// message splits off the body of one handshake message.
func message(b []byte, typ byte) (body []byte, n int, err error) {
	if len(b) > 0 && b[0] != typ {
		return nil, 0, ErrMalformed
	}
	if len(b) < 4 {
		return nil, 0, ErrShort
	}
	n = 4 + int(binary.BigEndian.Uint32(b)&0xffffff)
	if n > len(b) {
		return nil, 0, ErrShort
	}
	return b[4:n], n, nil
}

// parseClientHello reads the body of a ClientHello. That of DTLS has a cookie
// (RFC 6347 section 4.2.1).
func parseClientHello(body []byte, h *ClientHello, dtls bool) error {
	*h = ClientHello{}
	const fixed = 2 + 32 // version and random
	if len(body) < fixed {
		return ErrMalformed
	}
	h.Version, h.Random = binary.BigEndian.Uint16(body), body[2:fixed:fixed]
	session, s, ok := split8(body[fixed:])
	if !ok || len(session) > 32 {
		return ErrMalformed
	}
	h.SessionID = session
	if dtls {
		if h.Cookie, s, ok = split8(s); !ok {
			return ErrMalformed
		}
	}
	ciphers, s, ok := split16(s)
	if !ok || len(ciphers)%2 != 0 {
		return ErrMalformed
	}
	h.Ciphers = Numbers(ciphers)
	if h.Compression, s, ok = split8(s); !ok {
		return ErrMalformed
	}
	if len(s) == 0 {
		return nil // no extensions, as before RFC 3546
	}
	extensions, s, ok := split16(s)
	if !ok || len(s) != 0 {
		return ErrMalformed
	}
	h.Extensions = Typed(extensions)
	for l := h.Extensions; len(l) > 0; {
		typ, body, rest, ok := l.next()
		if !ok {
			return ErrMalformed
		}
		h.extension(typ, body)
		l = rest
	}
	return nil
}

// split8 splits off octets behind their length, which is one octet.
func split8(b []byte) (v, rest []byte, ok bool) {
	if len(b) < 1 || len(b) < 1+int(b[0]) {
		return nil, nil, false
	}
	n := 1 + int(b[0])
	return b[1:n:n], b[n:], true
}

// split16 splits off octets behind their length, which is two octets.
func split16(b []byte) (v, rest []byte, ok bool) {
	if len(b) < 2 || len(b) < 2+int(binary.BigEndian.Uint16(b)) {
		return nil, nil, false
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	return b[2:n:n], b[n:], true
}

// extension takes what is wanted out of one extension.
func (h *ClientHello) extension(typ uint16, body []byte) {
	switch typ {
	case extServerName:
		if !h.HasServerName {
			h.HasServerName, h.ServerName = true, hostName(body)
		}
	case extSupportedGroups:
		if h.Groups == nil {
			h.Groups = numbers16(body)
		}
	case extPointFormats:
		if h.PointFormats == nil {
			h.PointFormats = list8(body)
		}
	case extSignatureAlgorithms:
		if h.SignatureAlgorithms == nil {
			h.SignatureAlgorithms = numbers16(body)
		}
	case extALPN:
		if h.ALPN == nil {
			h.ALPN = names16(body)
		}
	case extSessionTicket:
		if !h.HasTicket {
			h.HasTicket, h.Ticket = true, body
		}
	case extPreSharedKey:
		h.PreSharedKey = true
	case extEarlyData:
		h.EarlyData = true
	case extSupportedVersions:
		if l := list8(body); h.Versions == nil && len(l)%2 == 0 {
			h.Versions = l
		}
	case extKeyShare, extKeyShareDraft:
		if l := Typed(list16(body)); h.KeyShares == nil && l.whole() {
			h.KeyShares = l
		}
	case extConnectionID:
		if l := list8(body); !h.HasConnectionID && l != nil {
			h.HasConnectionID, h.ConnectionID = true, l
		}
	case extECH, extECHDraftFirst, extECHDraftFirst + 1, extECHDraftFirst + 2, extECHDraftFirst + 3, extECHDraftFirst + 4:
		h.ECH = true
	case extESNI:
		h.ESNI = true
	}
}

// hostName gives the first host_name of a server_name extension (RFC 6066
// section 3), nil if there is none.
func hostName(body []byte) []byte {
	list := list16(body)
	for len(list) >= 3 {
		end := 3 + int(binary.BigEndian.Uint16(list[1:]))
		if end > len(list) {
			return nil
		}
		if list[0] == 0 {
			return list[3:end]
		}
		list = list[end:]
	}
	return nil
}

// list16 gives what stands behind a 16-bit length that fills b exactly, nil
// if the length is another.
func list16(b []byte) []byte {
	if len(b) < 2 || int(binary.BigEndian.Uint16(b)) != len(b)-2 {
		return nil
	}
	return b[2:]
}

// list8 is list16 with a length of one octet.
func list8(b []byte) []byte {
	if len(b) < 1 || int(b[0]) != len(b)-1 {
		return nil
	}
	return b[1:]
}

// numbers16 gives a list of numbers behind its 16-bit length, nil if it is none.
func numbers16(b []byte) Numbers {
	l := list16(b)
	if len(l)%2 != 0 {
		return nil
	}
	return l
}

// names16 gives a list of names behind its 16-bit length, nil if it is none.
func names16(b []byte) Names {
	list := Names(list16(b))
	for l := list; len(l) > 0; l = l[1+int(l[0]):] {
		if 1+int(l[0]) > len(l) {
			return nil
		}
	}
	return list
}
