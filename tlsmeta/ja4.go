package tlsmeta

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
)

// Transports as JA4 writes them.
const (
	TransportTCP  = 't'
	TransportQUIC = 'q'
	TransportDTLS = 'd'
)

// JA4 is the fingerprint of a ClientHello (FoxIO's JA4, the client's alone): a
// readable part, the hash of the sorted cipher suites, and that of the sorted
// extensions with the signature algorithms as they come, as in
// t13d1516h2_8daaf6152771_b186095e22b6. GREASE is left out everywhere.
//
// Where the text of the specification and the output that its authors publish
// differ, this follows the text: an ALPN name whose first or last octet is not
// an ASCII letter or digit is written as the first and last digit of its hex
// form ("bd" for 0xbaad, where their tools print "99"). Versions without a code
// of their own, as those of drafts, are "00". The text says nothing on SSLv2
// hellos: their cipher kinds are counted and hashed as suites are, with six hex
// digits where they are no TLS suite.
func (h *ClientHello) JA4(transport byte) string {
	var ciphersRoom, extensionsRoom [64]uint32
	var hexRoom [512]byte
	ciphers := h.ja4Ciphers(ciphersRoom[:0])
	count := 0
	extensions := extensionsRoom[:0]
	for e, _, rest, ok := h.Extensions.next(); ok; e, _, rest, ok = rest.next() {
		if IsGREASE(e) {
			continue
		}
		count++
		if e != extServerName && e != extALPN {
			extensions = append(extensions, uint32(e))
		}
	}
	slices.Sort(extensions)
	name := byte('i')
	if h.HasServerName {
		name = 'd'
	}
	var room [40]byte
	id := append(append(room[:0], transport), ja4Version(h, transport)...)
	id = append(append2(append2(append(id, name), len(ciphers)), count), ja4ALPN(h.ALPN.First())...)
	id = appendJA4Hash(append(id, '_'), appendHex(hexRoom[:0], ciphers))
	tail := appendHex(hexRoom[:0], extensions)
	separator := byte('_')
	for i := range h.SignatureAlgorithms.Len() {
		if s := h.SignatureAlgorithms.At(i); !IsGREASE(s) && len(tail) > 0 {
			tail = appendHex1(append(tail, separator), uint32(s))
			separator = ','
		}
	}
	return string(appendJA4Hash(append(id, '_'), tail))
}

// append2 writes a count with two digits, 99 for more.
func append2(b []byte, n int) []byte {
	n = min(n, 99)
	return append(b, '0'+byte(n/10), '0'+byte(n%10))
}

// ja4Ciphers gives the cipher suites, sorted, in an empty list.
func (h *ClientHello) ja4Ciphers(list []uint32) []uint32 {
	for i := range h.Ciphers.Len() {
		if c := h.Ciphers.At(i); !IsGREASE(c) {
			list = append(list, uint32(c))
		}
	}
	for kinds := h.CipherKinds; len(kinds) >= 3; kinds = kinds[3:] {
		list = append(list, uint32(kinds[0])<<16|uint32(kinds[1])<<8|uint32(kinds[2]))
	}
	slices.Sort(list)
	return list
}

// ja4Version gives the code of the highest version offered: the greatest
// number, but with DTLS, which counts down, the least.
func ja4Version(h *ClientHello, transport byte) string {
	best := h.Version
	found := false
	for v := range h.Versions.All() {
		if IsGREASE(v) {
			continue
		}
		if !found || (v > best) != (transport == TransportDTLS) {
			best = v
		}
		found = true
	}
	switch best {
	case 0x0304:
		return "13"
	case 0x0303:
		return "12"
	case 0x0302:
		return "11"
	case 0x0301:
		return "10"
	case 0x0300:
		return "s3"
	case versionSSLv2:
		return "s2"
	case 0xfeff:
		return "d1"
	case 0xfefd:
		return "d2"
	case 0xfefc:
		return "d3"
	}
	return "00"
}

// ja4ALPN gives two characters for the first ALPN name.
func ja4ALPN(name []byte) string {
	if len(name) == 0 {
		return "00"
	}
	first, last := name[0], name[len(name)-1]
	if !alphanumeric(first) || !alphanumeric(last) {
		first, last = hexDigits[first>>4], hexDigits[last&15]
	}
	return string([]byte{first, last})
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// appendJA4Hash writes the beginning of the SHA-256 of a list, zeros for an
// empty one.
func appendJA4Hash(b, list []byte) []byte {
	if len(list) == 0 {
		return append(b, "000000000000"...)
	}
	sum := sha256.Sum256(list)
	return hex.AppendEncode(b, sum[:6])
}

// appendHex joins numbers with commas.
func appendHex(b []byte, list []uint32) []byte {
	for i, n := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendHex1(b, n)
	}
	return b
}

// appendHex1 writes a number in hex of four digits; one beyond 16 bits has six.
func appendHex1(b []byte, n uint32) []byte {
	if n > 0xffff {
		b = append(b, hexDigits[n>>20&15], hexDigits[n>>16&15])
	}
	return append(b, hexDigits[n>>12&15], hexDigits[n>>8&15], hexDigits[n>>4&15], hexDigits[n&15])
}

const hexDigits = "0123456789abcdef"
