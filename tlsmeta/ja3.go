package tlsmeta

import (
	"crypto/md5" // JA3 is defined with it, as an identifier
	"encoding/hex"
	"iter"
	"strconv"
)

// JA3 is the fingerprint of a ClientHello (Salesforce's JA3): the MD5, in hex,
// of legacy version, cipher suites, extensions, groups and point formats in the
// order of the message, GREASE left out. For an SSLv2 hello, which has no more,
// these are its version and cipher kinds, as Zeek gives them.
func (h *ClientHello) JA3() string { return md5hex(h.appendJA3(make([]byte, 0, 512))) }

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
		b = appendDecimals(b, h.Ciphers.All())
	}
	b = append(b, ',')
	b = append(appendDecimals(b, h.Extensions.Types()), ',')
	b = append(appendDecimals(b, h.Groups.All()), ',')
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
func (h *ServerHello) JA3S() string { return md5hex(h.appendJA3S(make([]byte, 0, 128))) }

// appendJA3S writes what JA3S hashes.
func (h *ServerHello) appendJA3S(b []byte) []byte {
	b = append(strconv.AppendUint(b, uint64(h.LegacyVersion), 10), ',')
	b = append(strconv.AppendUint(b, uint64(h.Cipher), 10), ',')
	return appendDecimals(b, h.Extensions.Types())
}

// appendDecimals joins numbers with hyphens, GREASE left out.
func appendDecimals(b []byte, numbers iter.Seq[uint16]) []byte {
	first := true
	for n := range numbers {
		if IsGREASE(n) {
			continue
		}
		if !first {
			b = append(b, '-')
		}
		first = false
		b = strconv.AppendUint(b, uint64(n), 10)
	}
	return b
}

func md5hex(b []byte) string {
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}
