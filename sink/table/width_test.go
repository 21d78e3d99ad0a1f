package table

import (
	"testing"
	"unicode"

	"github.com/mattn/go-runewidth"
)

// Text of plain characters takes as many cells as runewidth says, alone and beside each
// other; and others are not taken for plain.
func TestPlainWidth(t *testing.T) {
	var all []rune
	for r := range rune(unicode.MaxRune + 1) {
		if !plainRune(r) {
			continue
		}
		all = append(all, r)
		if got := width.all.RuneWidth(r); got != 1 {
			t.Errorf("%U takes %d cells", r, got)
		}
	}
	text := string(all)
	n, ok := plainWidth(text)
	if want := width.all.StringWidth(text); !ok || n != want || n < 0x290 {
		t.Errorf("%d cells, %v; runewidth says %d", n, ok, want)
	}
	for _, s := range []string{"e\u0301", "界", "\u2194\ufe0f", "\x1b[1m", "\xff", "a\u200bb", "\u00ad"} {
		if n, ok := plainWidth(s); ok {
			t.Errorf("%q is plain, of %d cells", s, n)
		}
		if got, want := width.StringWidth(s), width.all.StringWidth(s); got != want {
			t.Errorf("%q: %d cells, want %d", s, got, want)
		}
	}
	for _, s := range []string{"", "client → server", "µs", "a longer name, cut"} {
		for cells := range 20 {
			if got, want := width.Truncate(s, cells, "…"), width.all.Truncate(s, cells, "…"); got != want {
				t.Errorf("%q in %d cells: %q, want %q", s, cells, got, want)
			}
		}
	}
	if runewidth.RuneWidth('界') != 2 {
		t.Error("runewidth does not know wide characters")
	}
}
