package tlsmeta

import (
	"bytes"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

const namedCurve = 3 // ECCurveType, RFC 8422 section 5.4

// ffdhePrime is how the primes of RFC 7919 appendix A begin, whatever their
// length.
var ffdhePrime = []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xad, 0xf8, 0x54, 0x58, 0xa2, 0xbb, 0x4a, 0x9a}

// ParseServerKeyExchange gives the group of a ServerKeyExchange (RFC 8422
// section 5.4, RFC 5246 section 7.4.3, with a key shared in advance RFC 4279 and
// 5489). b starts at the handshake header. What the message holds depends on the
// cipher suite. ok is false where there is no group with a number: another kind
// of key exchange, Diffie-Hellman over a prime of the server's own, or a message
// that contradicts itself.
func ParseServerKeyExchange(b []byte, cipher uint16) (group uint16, ok bool) {
	body, _, err := message(b, msgServerKeyExchange)
	if err != nil {
		return 0, false
	}
	return parseServerKeyExchange(body, cipher)
}

// parseServerKeyExchange is ParseServerKeyExchange behind the handshake header.
func parseServerKeyExchange(s cryptobyte.String, cipher uint16) (group uint16, ok bool) {
	kind := keyExchange(cipher)
	var hint, prime cryptobyte.String
	if strings.Contains(kind, "_PSK") && !s.ReadUint16LengthPrefixed(&hint) {
		return 0, false
	}
	switch {
	case strings.Contains(kind, "_ECDHE_"), strings.Contains(kind, "_ECDH_anon"):
		var curve uint8
		if !s.ReadUint8(&curve) || curve != namedCurve || !s.ReadUint16(&group) {
			return 0, false
		}
		return group, true
	case strings.Contains(kind, "_DHE"), strings.Contains(kind, "_DH_anon"):
		if !s.ReadUint16LengthPrefixed(&prime) || !bytes.HasPrefix(prime, ffdhePrime) {
			return 0, false
		}
		switch len(prime) * 8 {
		case 2048:
			return 256, true
		case 3072:
			return 257, true
		case 4096:
			return 258, true
		case 6144:
			return 259, true
		case 8192:
			return 260, true
		}
	}
	return 0, false
}

// keyExchange is the part of a cipher suite's name before WITH, as
// "TLS_ECDHE_RSA".
func keyExchange(cipher uint16) string {
	name, _ := lookup(cipherNames[:], cipher)
	kind, _, ok := strings.Cut(name, "_WITH_")
	if !ok {
		return ""
	}
	return kind
}
