package tlsmeta

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"slices"
	"strings"
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
	extensions := slices.Collect(without(h.Extensions.Types(), func(uint16) bool { return false }))
	hashed := slices.Collect(without(slices.Values(extensions), func(e uint16) bool { return e == extServerName || e == extALPN }))
	slices.Sort(hashed)

	tail := hexList(slices.Values(hashed))
	if signatures := hexList(without(h.SignatureAlgorithms.All(), func(uint16) bool { return false })); tail != nil && signatures != nil {
		tail = []string{strings.Join(tail, ",") + "_" + strings.Join(signatures, ",")}
	}
	ciphers := h.ja4Ciphers()
	name := 'i'
	if h.HasServerName {
		name = 'd'
	}
	return fmt.Sprintf("%c%s%c%02d%02d%s_%s_%s", transport, ja4Version(h, transport), name,
		min(len(ciphers), 99), min(len(extensions), 99), ja4ALPN(h.ALPN.First()), ja4Hash(ciphers), ja4Hash(tail))
}

// ja4Ciphers gives the cipher suites in hex, sorted.
func (h *ClientHello) ja4Ciphers() []string {
	list := hexList(without(h.Ciphers.All(), func(uint16) bool { return false }))
	for kinds := h.CipherKinds; len(kinds) >= 3; kinds = kinds[3:] {
		if kinds[0] == 0 {
			list = append(list, hex.EncodeToString(kinds[1:3]))
		} else {
			list = append(list, hex.EncodeToString(kinds[:3]))
		}
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
		const digits = "0123456789abcdef"
		first, last = digits[first>>4], digits[last&15]
	}
	return string([]byte{first, last})
}

func alphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// ja4Hash is the beginning of the SHA-256 of a list, zeros for an empty one.
func ja4Hash(list []string) string {
	if len(list) == 0 {
		return "000000000000"
	}
	sum := sha256.Sum256([]byte(strings.Join(list, ",")))
	return hex.EncodeToString(sum[:6])
}

// without leaves out GREASE, and what drop says.
func without(numbers iter.Seq[uint16], drop func(uint16) bool) iter.Seq[uint16] {
	return func(yield func(uint16) bool) {
		for n := range numbers {
			if !IsGREASE(n) && !drop(n) && !yield(n) {
				return
			}
		}
	}
}

// hexList gives numbers as four hex digits each, nil if there are none.
func hexList(numbers iter.Seq[uint16]) []string {
	var list []string
	for n := range numbers {
		list = append(list, fmt.Sprintf("%04x", n))
	}
	return list
}
