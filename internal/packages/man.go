package main

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"time"
)

// footer is what stands below each page.
type footer struct {
	version string
	date    time.Time
}

// page writes the man macros (groff_man(7)).
type page struct{ bytes.Buffer }

func newPage(name, section, short string, foot footer) *page {
	p := &page{}
	p.line(`.\" Made by internal/packages.`)
	p.line(`.TH "%s" "%s" "%s" "Mirrorscope %s" "Mirrorscope Manual"`, escape(strings.ToUpper(name)), section, foot.date.Format(time.DateOnly), escape(foot.version))
	p.line(".nh\n.ad l")
	p.section("Name")
	p.line(`%s \- %s`, escape(name), escape(short))
	return p
}

func (p *page) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

func (p *page) section(title string) { p.line(".SH %s", strings.ToUpper(title)) }

// text writes lines that may begin with anything.
func (p *page) text(s string) {
	for line := range strings.SplitSeq(s, "\n") {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			line = `\&` + line
		}
		p.line("%s", line)
	}
}

// code writes lines as they are.
func (p *page) code(lines string) {
	p.line(".RS 4\n.nf")
	p.text(escape(unindent(lines)))
	p.line(".fi\n.RE")
}

// unindent takes away the blanks with which every line begins.
func unindent(lines string) string {
	all := strings.Split(lines, "\n")
	least := -1
	for _, l := range all {
		if n := len(l) - len(strings.TrimLeft(l, " ")); strings.TrimSpace(l) != "" && (least < 0 || n < least) {
			least = n
		}
	}
	for i, l := range all {
		all[i] = strings.TrimRight(l[min(len(l), max(least, 0)):], " ")
	}
	return strings.Join(all, "\n")
}

// item writes a term and what it means.
func (p *page) item(term, meaning string) {
	p.line(".TP")
	p.text(term)
	if meaning == "" {
		meaning = `\&`
	}
	p.text(meaning)
}

// escape keeps text from being taken for requests. A hyphen stays a hyphen-minus,
// so that options can be copied.
func escape(s string) string { return strings.NewReplacer(`\`, `\e`, `-`, `\-`).Replace(s) }

func bold(s string) string   { return `\fB` + escape(s) + `\fR` }
func italic(s string) string { return `\fI` + escape(s) + `\fR` }

// quoted are commands in running text.
var quoted = regexp.MustCompile(`'(sensor[^'\n]*)'`)

// prose escapes running text, with commands in bold.
func prose(s string) string {
	var b strings.Builder
	last := 0
	for _, m := range quoted.FindAllStringSubmatchIndex(s, -1) {
		b.WriteString(escape(s[last:m[0]]) + bold(s[m[2]:m[3]]))
		last = m[1]
	}
	return b.String() + escape(s[last:])
}

// seeAlso writes references to other pages, given as name and section.
func (p *page) seeAlso(refs [][2]string) {
	p.section("See also")
	for i, r := range refs {
		comma := ","
		if i == len(refs)-1 {
			comma = ""
		}
		p.line(".BR %s (%s)%s", escape(r[0]), r[1], comma)
	}
}
