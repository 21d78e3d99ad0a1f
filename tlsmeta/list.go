package tlsmeta

import (
	"encoding/binary"
	"iter"
)

// Numbers is a list of 16-bit numbers as it stands in a message. It aliases
// that message.
type Numbers []byte

// Len is how many numbers there are.
func (l Numbers) Len() int { return len(l) / 2 }

// At gives number i, which is below Len.
func (l Numbers) At(i int) uint16 { return binary.BigEndian.Uint16(l[2*i:]) }

// All goes through the numbers in order.
func (l Numbers) All() iter.Seq[uint16] {
	return func(yield func(uint16) bool) {
		for ; len(l) >= 2; l = l[2:] {
			if !yield(binary.BigEndian.Uint16(l)) {
				return
			}
		}
	}
}

// Has tells whether n is among the numbers.
func (l Numbers) Has(n uint16) bool {
	for ; len(l) >= 2; l = l[2:] {
		if binary.BigEndian.Uint16(l) == n {
			return true
		}
	}
	return false
}

// Names is a list of byte strings, each behind one octet with its length, as
// the ProtocolNameList of RFC 7301 section 3.1. It aliases its message.
type Names []byte

// All goes through the names in order, and ends where a length contradicts the
// list.
func (l Names) All() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(l) > 0 && 1+int(l[0]) <= len(l) {
			if !yield(l[1 : 1+int(l[0])]) {
				return
			}
			l = l[1+int(l[0]):]
		}
	}
}

// First gives the first name, nil if there is none.
func (l Names) First() []byte {
	if len(l) == 0 || 1+int(l[0]) > len(l) {
		return nil
	}
	return l[1 : 1+int(l[0])]
}

// Typed is a list of byte strings, each behind a 16-bit type and a 16-bit
// length: extensions (RFC 8446 section 4.2), or key shares, whose type is the
// group (section 4.2.8). It aliases its message.
type Typed []byte

// All goes through the entries in order, and ends where a length contradicts
// the list.
func (l Typed) All() iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for typ, body, rest, ok := l.next(); ok; typ, body, rest, ok = rest.next() {
			if !yield(typ, body) {
				return
			}
		}
	}
}

// Types goes through the types alone.
func (l Typed) Types() iter.Seq[uint16] {
	return func(yield func(uint16) bool) {
		for typ, _, rest, ok := l.next(); ok; typ, _, rest, ok = rest.next() {
			if !yield(typ) {
				return
			}
		}
	}
}

// next splits off the first entry. It is false at the end and where the length
// of the entry goes beyond it.
func (l Typed) next() (typ uint16, body []byte, rest Typed, ok bool) {
	if len(l) < 4 {
		return 0, nil, nil, false
	}
	end := 4 + int(binary.BigEndian.Uint16(l[2:]))
	if end > len(l) {
		return 0, nil, nil, false
	}
	return binary.BigEndian.Uint16(l), l[4:end], l[end:], true
}

// whole tells whether the entries fill the list exactly.
func (l Typed) whole() bool {
	for len(l) > 0 {
		var ok bool
		if _, _, l, ok = l.next(); !ok {
			return false
		}
	}
	return true
}

// IsGREASE tells whether n is one of the numbers that RFC 8701 reserves for
// cipher suites, extensions, groups, signature algorithms and versions: 0x0a0a,
// 0x1a1a … 0xfafa.
func IsGREASE(n uint16) bool { return n&0x0f0f == 0x0a0a && n>>8 == n&0xff }
