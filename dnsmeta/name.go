package dnsmeta

// reading says how far something could be read.
type reading uint8

const (
	whole reading = iota
	short         // the octets end inside it
	bad           // it contradicts itself
)

// maxName bounds a name on the wire (RFC 1035 section 2.3.4). As text each of
// its octets takes up to four.
const maxName = 255

// maxPointers bounds the pointers that are followed in a name: encoders chain
// a few.
const maxPointers = 32

// labels walks over the labels of a name.
type labels struct {
	off  int // of the next length octet
	low  int // pointers must lie below: so they end (RFC 1035 section 4.1.4 asks for a prior occurrence)
	end  int // behind the name where it stands; 0 until known
	size int // octets of the labels so far
	hops int // pointers followed
}

func labelsAt(off int) labels { return labels{off: off, low: off} }

// next gives a label, empty at the end of the name.
func (l *labels) next(b []byte) ([]byte, reading) {
	for {
		if l.off >= len(b) {
			return nil, short
		}
		n := int(b[l.off])
		switch n >> 6 {
		case 0:
			if l.size += n + 1; l.size > maxName {
				return nil, bad
			}
			from := l.off + 1
			if from+n > len(b) {
				return nil, short
			}
			l.off = from + n
			if n == 0 && l.end == 0 {
				l.end = l.off
			}
			return b[from:l.off], whole
		case 3:
			if l.off+1 >= len(b) {
				return nil, short
			}
			to := n&63<<8 | int(b[l.off+1])
			if l.hops++; to >= l.low || l.hops > maxPointers {
				return nil, bad
			}
			if l.end == 0 {
				l.end = l.off + 2
			}
			l.off, l.low = to, to
		default:
			return nil, bad // RFC 6891 section 5: obsolete
		}
	}
}

// appendName appends the text of the name at off to dst. next is the offset
// behind it.
func appendName(dst, b []byte, off int) (text []byte, next int, r reading) {
	start := len(dst)
	for l := labelsAt(off); ; {
		label, r := l.next(b)
		if r != whole {
			return dst[:start], off, r
		}
		if len(label) == 0 {
			if len(dst) == start {
				dst = append(dst, '.')
			}
			return dst, l.end, whole
		}
		if len(dst) > start {
			dst = append(dst, '.')
		}
		dst = appendLabel(dst, label)
	}
}

// appendLabel writes a label in lower case (RFC 4343) and escaped (RFC 1035
// section 5.1).
func appendLabel(dst, label []byte) []byte {
	for _, c := range label {
		switch {
		case c >= 'A' && c <= 'Z':
			dst = append(dst, c+'a'-'A')
		case c == '.' || c == '\\':
			dst = append(dst, '\\', c)
		case c <= ' ' || c > '~':
			dst = append(dst, '\\', '0'+c/100, '0'+c/10%10, '0'+c%10)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// skipName gives the offset behind the name at off. It does not follow
// pointers.
func skipName(b []byte, off int) (int, reading) {
	for size := 0; ; {
		if off >= len(b) {
			return off, short
		}
		n := int(b[off])
		switch n >> 6 {
		case 0:
			if size += n + 1; size > maxName {
				return off, bad
			}
			if off += 1 + n; n == 0 {
				return off, whole
			}
		case 3:
			if off+2 > len(b) {
				return off, short
			}
			return off + 2, whole
		default:
			return off, bad
		}
	}
}

// sameName tells whether the names at x and y are equal, letter case aside. It
// takes the labels that it looks at off effort, and finds nothing equal below 0.
func sameName(b []byte, x, y int, effort *int) bool {
	p, q := labelsAt(x), labelsAt(y)
	for {
		if *effort--; *effort < 0 {
			return false
		}
		s, r := p.next(b)
		t, u := q.next(b)
		if r != whole || u != whole || len(s) != len(t) {
			return false
		}
		if p.off == q.off || len(s) == 0 { // the same octets from here on
			return equalFold(s, t)
		}
		if !equalFold(s, t) {
			return false
		}
	}
}

func equalFold(s, t []byte) bool {
	for i, c := range s {
		if d := t[i]; c != d && (c|0x20 != d|0x20 || c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}
