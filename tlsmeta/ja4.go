package tlsmeta

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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
	ciphers := h.ja4Ciphers()
	count := 0
	extensions := make([]uint32, 0, 32)
	for e := range h.Extensions.Types() {
		if IsGREASE(e) {
			continue
		}
		count++
		if e != extServerName && e != extALPN {
			extensions = append(extensions, uint32(e))
		}
	}
	slices.Sort(extensions)
	tail := appendHex(make([]byte, 0, 256), extensions)
	separator := byte('_')
	for s := range h.SignatureAlgorithms.All() {
		if !IsGREASE(s) && len(tail) > 0 {
			tail = appendHex(append(tail, separator), []uint32{uint32(s)})
			separator = ','
		}
	}
	name := 'i'
	if h.HasServerName {
		name = 'd'
	}
	return fmt.Sprintf("%c%s%c%02d%02d%s_%s_%s", transport, ja4Version(h, transport), name, min(len(ciphers), 99), min(count, 99),
		ja4ALPN(h.ALPN.First()), ja4Hash(appendHex(make([]byte, 0, 256), ciphers)), ja4Hash(tail))
}

// ja4Ciphers gives the cipher suites, sorted.
func (h *ClientHello) ja4Ciphers() []uint32 {
	list := make([]uint32, 0, 64)
	for c := range h.Ciphers.All() {
		if !IsGREASE(c) {
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

// ja4Hash is the beginning of the SHA-256 of a list, zeros for an empty one.
func ja4Hash(list []byte) string {
	if len(list) == 0 {
		return "000000000000"
	}
	sum := sha256.Sum256(list)
	return hex.EncodeToString(sum[:6])
}

// appendHex joins numbers with commas, in hex of at least four digits; those
// beyond 16 bits have six.
func appendHex(b []byte, list []uint32) []byte {
	for i, n := range list {
		if i > 0 {
			b = append(b, ',')
		}
		if n > 0xffff {
			b = append(b, hexDigits[n>>20&15], hexDigits[n>>16&15])
		}
		b = append(b, hexDigits[n>>12&15], hexDigits[n>>8&15], hexDigits[n>>4&15], hexDigits[n&15])
	}
	return b
}

const hexDigits = "0123456789abcdef"
