package pcapfile

import (
	"strings"
	"unicode"
)

// Bounds of what a file can make the Reader remember.
const (
	maxInterfaces = 4096 // distinct names; further ones share the name otherName
	maxNameLen    = 255  // octets; what is longer is cut
)

const (
	unnamed   = "0"
	otherName = "other"
)

// interfaces numbers names in order of first appearance.
type interfaces struct {
	names []string
	index map[string]uint32
}

func (t *interfaces) intern(name string) uint32 {
	if name == "" {
		name = unnamed
	}
	i, ok := t.index[name]
	if ok {
		return i
	}
	if len(t.names) >= maxInterfaces-1 && name != otherName {
		return t.intern(otherName)
	}
	if t.index == nil {
		t.index = make(map[string]uint32)
	}
	i = uint32(len(t.names))
	t.names = append(t.names, name)
	t.index[name] = i
	return i
}

// cleanName makes a name of a file fit to be shown and written: it is cut at
// NUL and at maxNameLen, and what is no printable text becomes '?'.
func cleanName(b []byte) string {
	s, _, _ := strings.Cut(string(b[:min(len(b), maxNameLen)]), "\x00")
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, s)
}
