package httpmeta

import (
	"bytes"
	"strings"
)

// Bounds of a path template.
const (
	maxPath     = 128 // octets, with the mark
	maxSegments = 12
	maxSegment  = 80 // octets of a segment that is kept as it is
	more        = "…"
)

// appendTemplate appends the template of a path, so that requests for the same
// thing with another id have the same. Segment by segment:
//
//	{id}     digits, with or without punctuation: 42, 2024-01, 51.5,13.7 (1.2 and 1.2.3 are versions, and stay)
//	{uuid}   RFC 9562 text form
//	{hex}    8 or more hexadecimal digits, one of them 0 to 9; 0x in front is allowed
//	{date}   a date, with or without time: 2024-01-31, 2024-01-31T10:00:00Z
//	{ip}     an IPv4 address, or an IPv6 address with two or more colons
//	{email}  something@host.domain
//	{userinfo}  user:password@host, or user@host where a URL has its authority
//	{token}  16 or more letters and digits that mix as in no words, or whose letters follow each other as in none; a JWT
//	{long}   any other segment of more than 80 octets
//
// A suffix that is a UUID, 8 or more hexadecimal digits, or 5 or more digits is
// replaced behind - or _: order-{id}. So is the stem of a file name, and
// hexadecimal parts between its dots: {id}.jpg, app.{hex}.js.
//
// A ? # & or = ends the path: what follows are values, which may hold a slash.
// Path parameters (from ; to the end of the segment) are dropped: they carry
// session ids. Percent-encoded characters, however often they are encoded, are
// the same as plain ones; those that no path needs stay encoded. What does not
// fit into maxPath octets or maxSegments segments is "…", cut between segments.
func appendTemplate(dst, path []byte) []byte {
	if bytes.IndexByte(path, '%') >= 0 {
		return appendEncoded(dst, path)
	}
	return appendSegments(dst, path, false)
}

// appendEncoded appends the template of a path that is percent-encoded.
func appendEncoded(dst, path []byte) []byte {
	var buf [maxDecoded]byte
	plain, cut := decode(buf[:0], path)
	return appendSegments(dst, plain, cut)
}

// appendSegments appends the template of a path. cut says that its last
// segment is not all there.
func appendSegments(dst, path []byte, cut bool) []byte {
	start := len(dst)
	var last []byte
	for n := 0; ; n++ {
		segment, rest, another := bytes.Cut(path, []byte("/"))
		before := len(dst)
		if n > 0 {
			dst = append(dst, '/')
		}
		if n > maxSegments || cut && !another {
			return append(dst, more...)
		}
		// A URL in a path has its authority behind "//", or "x:/" where that was
		// made one slash; a target that is no path may be one.
		authority := n == 0 || n > 1 && len(last) == 0 || len(last) > 0 && last[len(last)-1] == ':'
		last = segment
		segment, ends := cutValues(segment)
		another = another && !ends
		dst = appendSegment(dst, segment, authority)
		room := maxPath
		if another {
			room -= len("/" + more)
		}
		if len(dst)-start > room {
			dst = dst[:before]
			if n > 0 {
				dst = append(dst, '/')
			}
			return append(dst, more...)
		}
		if !another {
			return dst
		}
		path = rest
	}
}

func appendSegment(dst, s []byte, authority bool) []byte {
	if len(s) == 0 {
		return dst
	}
	if i := bytes.LastIndexByte(s, '@'); i > 0 && (authority || bytes.IndexByte(s[:i], ':') >= 0) && !isEmail(s) {
		return append(dst, "{userinfo}"...)
	}
	if p := placeholder(s); p != "" {
		return append(dst, p...)
	}
	if len(s) > 4*maxSegment {
		return append(dst, "{long}"...)
	}
	start := len(dst)
	if dot := bytes.IndexByte(s, '.'); dot > 0 {
		dst = appendDotted(dst, s, dot)
	} else {
		dst = appendSuffixed(dst, s)
	}
	if len(dst)-start > maxSegment {
		return append(dst[:start], "{long}"...)
	}
	return dst
}

// appendDotted appends a name with dots, the first of them at dot.
func appendDotted(dst, s []byte, dot int) []byte {
	stem, rest := s[:dot], s[dot+1:]
	if extension(rest) {
		if p := placeholder(stem); p != "" {
			dst = append(dst, p...)
		} else {
			dst = appendSuffixed(dst, stem)
		}
		return append(append(dst, '.'), rest...)
	}
	for another := true; another; {
		var part []byte
		part, s, another = bytes.Cut(s, []byte("."))
		switch p := placeholder(part); p {
		case "{hex}", "{uuid}", "{token}":
			dst = append(dst, p...)
		default:
			dst = appendPrintable(dst, part)
		}
		dst = append(dst, '.')
	}
	return dst[:len(dst)-1]
}

// extension tells whether b is the end of a file name: a letter, then up to
// four letters or digits.
func extension(b []byte) bool {
	if len(b) == 0 || len(b) > 5 || !isLetter(b[0]) {
		return false
	}
	for _, c := range b {
		if !isLetter(c) && !isDigit(c) {
			return false
		}
	}
	return true
}

// appendSuffixed appends a name of which the part behind the last - or _ may
// be an id.
func appendSuffixed(dst, s []byte) []byte {
	const uuid = 36
	if i := len(s) - uuid - 1; i > 0 && isSeparator(s[i]) && isUUID(s[i+1:]) {
		return append(appendPrintable(dst, s[:i+1]), "{uuid}"...)
	}
	i := bytes.LastIndexAny(s, "-_") + 1
	if i > 1 && i < len(s) {
		switch p := placeholder(s[i:]); {
		case p == "{hex}", p == "{id}" && len(s)-i >= 5:
			return append(appendPrintable(dst, s[:i]), p...)
		}
	}
	return appendPrintable(dst, s)
}

// traits of a segment.
type traits struct {
	digits, lower, upper int
	hex                  int // letters a to f
	dots, colons         int
	at                   int
	separators           int // - _ = + ~
	other                int
	changes              int // from letter to digit, lower to upper case and back; not across separators
}

func look(s []byte) (t traits) {
	const (
		none = iota
		digit
		lower
		upper
	)
	last := none
	for _, c := range s {
		class := none
		switch {
		case isDigit(c):
			t.digits++
			class = digit
		case c >= 'a' && c <= 'z':
			t.lower++
			class = lower
		case c >= 'A' && c <= 'Z':
			t.upper++
			class = upper
		case c == '.':
			t.dots++
		case c == ':':
			t.colons++
		case c == '@':
			t.at++
		case isSeparator(c), c == '=', c == '+', c == '~':
			t.separators++
		case c == ',', c == '(', c == ')', c == '*':
			// punctuation of numbers: counted by what is left
		default:
			t.other++
		}
		if c |= 0x20; c >= 'a' && c <= 'f' {
			t.hex++
		}
		if class != none && last != none && class != last {
			t.changes++
		}
		last = class
	}
	return t
}

// placeholder gives what stands for a segment that is an id, "" for others.
func placeholder(s []byte) string {
	t := look(s)
	letters := t.lower + t.upper
	switch {
	case len(s) == 36 && isUUID(s):
		return "{uuid}"
	case t.at > 0 && isEmail(s):
		return "{email}"
	case len(s) >= 32 && s[0] == 'e' && s[1] == 'y' && s[2] == 'J' && letters+t.digits+t.separators+t.dots == len(s):
		return "{token}"
	case t.at+t.other > 0, t.digits == 0:
		return token(s)
	case letters == 0 && isDate(s):
		return "{date}"
	case letters == 0:
		switch {
		case t.dots == 3 && t.digits+t.dots == len(s):
			return "{ip}"
		case isVersion(s):
			return ""
		}
		return "{id}"
	case isDate(s):
		return "{date}"
	case t.colons >= 2 && t.digits+t.hex+t.colons == len(s):
		return "{ip}"
	case len(s) >= 8 && t.digits+t.hex == len(s), len(s) >= 10 && s[0] == '0' && s[1]|0x20 == 'x' && t.digits+t.hex+1 == len(s):
		return "{hex}"
	case len(s) < minToken || letters+t.digits+t.separators != len(s):
	case t.digits >= 2 && t.lower > 0 && t.upper > 0 && (2*t.changes >= len(s) || len(s) >= 20 && 4*t.changes >= len(s)),
		len(s) >= 20 && t.digits >= 3 && t.separators == 0 && t.changes >= 5:
		return "{token}"
	}
	return token(s)
}

func isUUID(s []byte) bool {
	for i, c := range s {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return false
			}
		} else if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return true
}

// isDate tells whether s begins with YYYY-MM-DD and goes on, if at all, with
// what a time of day is written in.
func isDate(s []byte) bool {
	const form = "dddd-dd-dd"
	if len(s) < len(form) {
		return false
	}
	for i := range len(form) {
		if form[i] == 'd' != isDigit(s[i]) || form[i] == '-' && s[i] != '-' {
			return false
		}
	}
	if len(s) == len(form) {
		return true
	}
	if c := s[len(form)]; isDigit(c) {
		return false
	}
	for _, c := range s[len(form):] {
		if !isDigit(c) && strings.IndexByte("TtZz:.+-_", c) < 0 {
			return false
		}
	}
	return true
}

// isVersion tells whether s is two or three numbers of up to three digits,
// joined by dots.
func isVersion(s []byte) bool {
	groups := 0
	for another := true; another; {
		var part []byte
		part, s, another = bytes.Cut(s, []byte("."))
		if len(part) == 0 || len(part) > 3 {
			return false
		}
		for _, c := range part {
			if !isDigit(c) {
				return false
			}
		}
		groups++
	}
	return groups == 2 || groups == 3
}

// isEmail tells whether s is one @ with a name before and a host with a dot
// behind it.
func isEmail(s []byte) bool {
	name, host, _ := bytes.Cut(s, []byte("@"))
	dot := bytes.LastIndexByte(host, '.')
	return len(name) > 0 && dot > 0 && dot < len(host)-1 && bytes.IndexByte(host, '@') < 0
}

func isLetter(c byte) bool    { return c|0x20 >= 'a' && c|0x20 <= 'z' }
func isSeparator(c byte) bool { return c == '-' || c == '_' }
