package tlsmeta

import (
	"crypto/md5" // JA3 is defined with it, as an identifier
	"encoding/hex"
	"strconv"
)

// JA3 is the fingerprint of a ClientHello (Salesforce's JA3): the MD5, in hex,
// of legacy version, cipher suites, extensions, groups and point formats in the
// order of the message, GREASE left out. For an SSLv2 hello, which has no more,
// these are its version and cipher kinds, as Zeek gives them.
func (h *ClientHello) JA3() string {
	var room [512]byte
	return md5hex(h.appendJA3(room[:0]))
}

// appendJA3 writes what JA3 hashes.
func (h *ClientHello) appendJA3(b []byte) []byte {
	b = append(strconv.AppendUint(b, uint64(h.Version), 10), ',')
	if h.SSLv2 {
		for i, kinds := 0, h.CipherKinds; len(kinds) >= 3; i, kinds = i+1, kinds[3:] {
			if i > 0 {
				b = append(b, '-')
			}
			b = strconv.AppendUint(b, uint64(kinds[0])<<16|uint64(kinds[1])<<8|uint64(kinds[2]), 10)
		}
	} else {
		b = appendDecimals(b, h.Ciphers)
	}
	b = append(b, ',')
	b = append(appendTypes(b, h.Extensions), ',')
	b = append(appendDecimals(b, h.Groups), ',')
	for i, f := range h.PointFormats {
		if i > 0 {
			b = append(b, '-')
		}
		b = strconv.AppendUint(b, uint64(f), 10)
	}
	return b
}

// JA3S is the fingerprint of a ServerHello: the MD5, in hex, of legacy version,
// cipher suite and extensions.
func (h *ServerHello) JA3S() string {
	var room [128]byte
	return md5hex(h.appendJA3S(room[:0]))
}

// appendJA3S writes what JA3S hashes.
func (h *ServerHello) appendJA3S(b []byte) []byte {
	b = append(strconv.AppendUint(b, uint64(h.LegacyVersion), 10), ',')
	b = append(strconv.AppendUint(b, uint64(h.Cipher), 10), ',')
	return appendTypes(b, h.Extensions)
}

// appendDecimals joins numbers with hyphens, GREASE left out.
func appendDecimals(b []byte, numbers Numbers) []byte {
	start := len(b)
	for i := range numbers.Len() {
		b = appendDecimal(b, start, numbers.At(i))
	}
	return b
}

// appendTypes does so with the types of a list.
func appendTypes(b []byte, list Typed) []byte {
	start := len(b)
	for typ, _, rest, ok := list.next(); ok; typ, _, rest, ok = rest.next() {
		b = appendDecimal(b, start, typ)
	}
	return b
}

// appendDecimal adds to the list that begins at start.
func appendDecimal(b []byte, start int, n uint16) []byte {
	if IsGREASE(n) {
		return b
	}
	if len(b) > start {
		b = append(b, '-')
	}
	return strconv.AppendUint(b, uint64(n), 10)
}

func md5hex(b []byte) string {
	sum := md5.Sum(b)
	var text [2 * len(sum)]byte
	return string(hex.AppendEncode(text[:0], sum[:]))
}
