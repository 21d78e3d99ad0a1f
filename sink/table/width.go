package table

import "github.com/mattn/go-runewidth"

// width counts the cells of a terminal, the same on every machine: characters
// of ambiguous width (→, µ) are one cell.
var width = meter{&runewidth.Condition{EastAsianWidth: false, StrictEmojiNeutral: true}}

// meter measures text. What the table itself is written in needs no look at all that there
// is: the first such look makes runewidth fill a table of 2 MB.
type meter struct{ all *runewidth.Condition }

// StringWidth is how many cells text takes.
func (m meter) StringWidth(s string) int {
	if n, ok := plainWidth(s); ok {
		return n
	}
	return m.all.StringWidth(s)
}

// Truncate cuts text behind so many cells, of which the last ones are tail.
func (m meter) Truncate(s string, cells int, tail string) string {
	if n, ok := plainWidth(s); ok && n <= cells {
		return s
	}
	return m.all.Truncate(s, cells, tail)
}

// TruncateLeft takes so many cells off the front, and puts prefix there.
func (m meter) TruncateLeft(s string, cells int, prefix string) string {
	return m.all.TruncateLeft(s, cells, prefix)
}

// plainWidth is the width of text all of whose characters are plain.
func plainWidth(s string) (cells int, ok bool) {
	for _, r := range s {
		if !plainRune(r) {
			return 0, false
		}
		cells++
	}
	return cells, true
}

// plainRune tells whether a character takes one cell, whatever is beside it: Latin ones,
// dashes, quotes and dots, and the arrows that are no emoji.
func plainRune(r rune) bool {
	return r >= ' ' && r <= '~' || r >= 0xa1 && r < 0x300 && r != 0xad || r >= 0x2010 && r <= 0x2027 || r >= 0x2190 && r <= 0x2193
}
