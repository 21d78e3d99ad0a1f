package httpmeta

import "bytes"

// What of a path may be a secret, and is not kept.

const (
	minToken   = 16  // octets of a segment that may be a token
	maxDecoded = 512 // octets of a percent-encoded path that are looked at: more than a template holds
)

// cutValues cuts a segment before the first character behind which values come
// in place of names. ends says that they may go on behind the segment. The
// parameters behind a ; belong to their segment (RFC 3986 section 3.3).
func cutValues(s []byte) (name []byte, ends bool) {
	for i, c := range s {
		switch c {
		case '?', '#', '&', '=':
			return s[:i], true
		case ';':
			return s[:i], bytes.ContainsAny(s[i+1:], "?#&")
		}
	}
	return s, false
}

// decode appends a path to dst, up to its capacity, with percent-encoded
// characters in plain, also where their encoding is encoded. cut says that
// there was no room for all.
func decode(dst, path []byte) (plain []byte, cut bool) {
	for _, c := range path {
		if len(dst) == cap(dst) {
			return dst, true
		}
		dst = append(dst, c)
		for n := len(dst); n >= 3 && dst[n-3] == '%'; n = len(dst) {
			high, low := unhex(dst[n-2]), unhex(dst[n-1])
			if high < 0 || low < 0 || !isPlain(byte(high<<4|low)) {
				break
			}
			dst = append(dst[:n-3], byte(high<<4|low))
		}
	}
	return dst, false
}

// isPlain tells whether c may stand in a URL (RFC 3986 section 2), so that it
// means the same percent-encoded, or nearly.
func isPlain(c byte) bool {
	return c > ' ' && c < 0x7f && bytes.IndexByte([]byte("\"<>\\^`{|}"), c) < 0
}

// token gives {token} for a segment whose letters and digits are in no order
// that words have, as a whole or between other characters.
func token(s []byte) string {
	if len(s) < minToken {
		return ""
	}
	var all, run tally
	last := byte(0)
	for _, c := range s {
		switch letter := isLetter(c); {
		case !letter && !isDigit(c):
			if run.random() {
				return "{token}"
			}
			all.add(&run)
			run = tally{}
			c = 0
		case letter:
			run.letters++
			if c >= 'a' {
				run.lower++
			}
			c |= 0x20
			if last >= 'a' {
				run.pairs++
				if followers[last-'a']>>(c-'a')&1 != 0 {
					run.common++
				}
			}
		default:
			run.digits++
		}
		last = c
	}
	all.add(&run)
	if run.random() || all.letters+all.digits >= 20 && all.odd(55) {
		return "{token}"
	}
	return ""
}

// tally counts the letters and digits of a word, and the pairs of letters.
type tally struct{ letters, lower, digits, pairs, common int }

func (t *tally) add(o *tally) {
	t.letters += o.letters
	t.lower += o.lower
	t.digits += o.digits
	t.pairs += o.pairs
	t.common += o.common
}

// random tells whether a run of letters and digits is no word: long, and of
// capitals and digits alone (base32) or of odd letters.
func (t *tally) random() bool {
	return t.letters+t.digits >= minToken && (t.lower == 0 && t.letters > 0 || t.odd(65))
}

// odd tells whether less than a share, in percent, of the pairs are common.
func (t *tally) odd(share int) bool { return t.pairs >= 12 && 100*t.common < share*t.pairs }

// followers tells for each letter which come behind it often: 283 pairs that
// make up 97 % of those in English technical text, and 42 % of those of random
// letters.
var followers = [26]uint32{
	0x13ebd6e, // a: bcdfgiklmnprstuvy
	0x1164911, // b: aeilorsuy
	0x01e4d95, // c: acehiklorstu
	0x1164919, // d: adeilorsuy
	0x1ffb97f, // e: abcdefgilmnpqrstuvwxy
	0x01e4931, // f: aefilorstu
	0x0166991, // g: aehilnorsu
	0x00a4111, // h: aeiort
	0x2aef87f, // i: abcdefglmnoprstvxz
	0x0104011, // j: aeou
	0x1046911, // k: aeilnosy
	0x11c4919, // l: adeilostuy
	0x014d113, // m: abeimopsu
	0x13c6d7d, // n: acdefgiklnostuvy
	0x07efd7f, // o: abcdefgiklmnoprstuvw
	0x01ec991, // p: aehiloprstu
	0x0100000, // q: u
	0x13efd7d, // r: acdefgiklmnoprstuvy
	0x15cdd95, // s: acehiklmopstuwy
	0x15ec995, // t: acehiloprstuwy
	0x00eb97f, // u: abcdefgilmnprst
	0x1104111, // v: aeiouy
	0x0026191, // w: aehinor
	0x0088110, // x: eipt
	0x00cb100, // y: imnpst
	0x2004111, // z: aeioz
}
