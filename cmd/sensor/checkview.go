package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"mirrorscope/nic"
)

// levelColours are those of a terminal, by nic.Level.
var levelColours = [...]string{nic.OK: "32", nic.Note: "36", nic.Warning: "33", nic.Error: "31"}

// writeCheck prints findings for people: a line for each, and below it why it
// matters and what mends it. all has those that are OK as well. Text is wrapped
// at width cells, if that is not 0.
func writeCheck(w io.Writer, r *checkReport, all bool, width int, colours bool) error {
	b := bufio.NewWriter(w)
	v := checkView{w: b, width: width, colours: colours}
	for _, p := range r.parts() {
		for _, f := range p.Findings {
			v.about = max(v.about, len(f.About))
		}
	}
	counts := [nic.Error + 1]int{}
	for i, p := range r.parts() {
		if i > 0 {
			fmt.Fprintln(b)
		}
		hidden := 0
		fmt.Fprintln(b, printable(p.Name))
		for _, f := range p.Findings {
			counts[f.Level]++
			if f.Level == nic.OK && !all {
				hidden++
				continue
			}
			v.finding(f)
		}
		if hidden > 0 {
			v.line("ok", nic.OK, "", fmt.Sprintf("%d more (--all lists them)", hidden))
		}
	}
	fmt.Fprintf(b, "\n%s\n", conclusion(r.Level, counts))
	return b.Flush()
}

// conclusion sums up.
func conclusion(worst nic.Level, counts [nic.Error + 1]int) string {
	parts := []string{}
	for l := nic.Error; l >= nic.Note; l-- {
		if n := counts[l]; n > 0 {
			word := l.String()
			if n != 1 {
				word += "s"
			}
			parts = append(parts, fmt.Sprintf("%d %s", n, word))
		}
	}
	verdict := "Capture works."
	switch worst {
	case nic.Warning:
		verdict = "Capture works, and could work better."
	case nic.Error:
		verdict = "Capture does not work like this."
	}
	if len(parts) == 0 {
		return verdict
	}
	return verdict + " " + strings.Join(parts, ", ") + "."
}

// checkView lays findings out.
type checkView struct {
	w       *bufio.Writer
	about   int // cells of the widest About
	width   int
	colours bool
}

// levelWidth is that of "warning".
const levelWidth = 7

func (v *checkView) finding(f nic.Finding) {
	v.line(f.Level.String(), f.Level, f.About, f.Found)
	if f.Why != "" {
		v.more("why", f.Why)
	}
	if f.Mend != "" {
		v.more("mend", f.Mend)
	}
}

func (v *checkView) line(word string, l nic.Level, about, text string) {
	padded := fmt.Sprintf("%-*s", levelWidth, word)
	if v.colours {
		padded = "\x1b[" + levelColours[l] + "m" + padded + "\x1b[0m"
	}
	fmt.Fprintf(v.w, "  %s  %-*s  ", padded, v.about, about)
	v.wrap(text, 2+levelWidth+2+v.about+2)
}

// more stands below the text of its finding.
func (v *checkView) more(word, text string) {
	indent := 2 + levelWidth + 2 + v.about + 2
	fmt.Fprintf(v.w, "%*s%-6s", indent, "", word+":")
	v.wrap(text, indent+6)
}

// wrap writes text from the column indent on, with that indent on each line
// that follows. A word that is longer than a line is not cut: it may be part of
// a command.
func (v *checkView) wrap(text string, indent int) {
	for i, paragraph := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
		if i > 0 {
			fmt.Fprintf(v.w, "%*s", indent, "")
		}
		paragraph = printable(paragraph)
		if v.width == 0 {
			fmt.Fprintln(v.w, paragraph)
			continue
		}
		room, used := max(v.width-indent, 20), 0
		for j, word := range strings.Split(paragraph, " ") {
			n := len([]rune(word))
			switch {
			case j > 0 && used+1+n > room:
				fmt.Fprintf(v.w, "\n%*s", indent, "")
				used = 0
			case j > 0:
				fmt.Fprint(v.w, " ")
				used++
			}
			fmt.Fprint(v.w, word)
			used += n
		}
		fmt.Fprintln(v.w)
	}
}
