package main

import (
	"regexp"
	"strings"
)

// exitStatus is the paragraph of a description about the exit status, and its
// parts.
var (
	exitStatus = regexp.MustCompile(`(?s)^Exit status: (.*)$`)
	exitPart   = regexp.MustCompile(`(?s)(?:^|[;,]\s+)(\d+)\s+`)
)

// installedFiles are those of a package.
var installedFiles = []flagLine{
	{name: "/etc/mirrorscope/sensor.toml", meaning: "The configuration."},
	{name: recordsDirectory, meaning: "Records, unless the configuration says otherwise."},
	{name: "/run/mirrorscope/top.sock", meaning: "The socket of 'sensor top'."},
}

// commandManual writes the page of a command.
func commandManual(c *command, all []*command, foot footer) []byte {
	name := strings.ReplaceAll(c.name, " ", "-")
	p := newPage(name, "1", lowerFirst(c.short), foot)
	p.section("Synopsis")
	words := strings.Fields(strings.TrimPrefix(c.usage, c.name))
	p.text(strings.TrimSpace(bold(c.name) + " " + italic(strings.Join(words, " "))))

	p.section("Description")
	var status string
	first := true
	for _, paragraph := range c.description {
		if m := exitStatus.FindStringSubmatch(paragraph); m != nil {
			status = m[1]
			continue
		}
		p.paragraph(paragraph, &first)
	}
	if first {
		p.text(prose(c.short) + ".")
	}
	if len(c.commands) > 0 {
		p.section("Commands")
		for _, sub := range c.commands {
			p.item(manRef(strings.ReplaceAll(sub.name, " ", "-"), "1"), prose(sub.meaning)+".")
		}
	}
	if len(c.flags) > 0 {
		p.section("Options")
		for _, f := range c.flags {
			flag, arg, _ := strings.Cut(f.name, " ")
			term := bold(flag)
			if arg != "" {
				term += " " + italic(arg)
			}
			meaning := f.meaning
			if f.def != "" {
				meaning += " (default " + f.def + ")"
			}
			p.item(term, prose(meaning))
		}
	}
	if status != "" {
		p.section("Exit status")
		p.statuses(status)
	}
	if c.name == "sensor run" {
		p.section("Files")
		for _, f := range installedFiles {
			p.item(italic(f.name), prose(f.meaning))
		}
	}
	if c.examples != "" {
		p.section("Examples")
		p.code(c.examples)
	}
	var refs [][2]string
	for _, other := range all {
		if other != c {
			refs = append(refs, [2]string{strings.ReplaceAll(other.name, " ", "-"), "1"})
		}
	}
	p.seeAlso(append(refs, [2]string{"sensor.toml", "5"}))
	return p.Bytes()
}

// paragraph writes a paragraph, or lines as they are if they are indented.
func (p *page) paragraph(text string, first *bool) {
	if strings.HasPrefix(text, "  ") {
		p.code(text)
		return
	}
	if !*first {
		p.line(".PP")
	}
	*first = false
	p.text(prose(text))
}

// statuses writes "0 done; 1 failed: why; 2 usage." as a list.
func (p *page) statuses(text string) {
	at := exitPart.FindAllStringSubmatchIndex(text, -1)
	for i, m := range at {
		end := len(text)
		if i+1 < len(at) {
			end = at[i+1][0]
		}
		p.item(bold(text[m[2]:m[3]]), prose(strings.TrimRight(text[m[1]:end], ".; \n")))
	}
}

func manRef(name, section string) string { return bold(name) + "(" + section + ")" }

func lowerFirst(s string) string { return strings.ToLower(s[:1]) + s[1:] }

// configManual writes sensor.toml(5).
func configManual(tables []table, foot footer) []byte {
	p := newPage("sensor.toml", "5", "configuration of the sensor", foot)
	p.section("Synopsis")
	p.text(italic("/etc/mirrorscope/sensor.toml"))
	p.section("Description")
	p.text(prose("A TOML file that 'sensor run' reads. It is strict: a key that is not here is an error. What a\nfile leaves out is as below; 'sensor config' prints a file with all of it."))
	p.line(".PP")
	p.text(prose("Each key stands here with its default. A change takes a restart, but for the table\n[filter] and the files of secrets, which are read again at a reload\n(systemctl reload mirrorscope)."))
	for _, t := range tables {
		p.line(`.SH "[%s]"`, escape(t.name)) // a name, as it is written
		p.comment(t.comment)
		for _, k := range t.keys {
			p.line(".TP")
			p.text(bold(k.name) + " = " + escape(k.def))
			p.comment(k.comment)
		}
	}
	p.seeAlso([][2]string{{"sensor", "1"}, {"sensor-run", "1"}, {"sensor-config", "1"}})
	return p.Bytes()
}

// comment writes the lines of a comment. A line that ends a sentence ends the
// line; indented lines stay as they are.
func (p *page) comment(lines []string) {
	var code []string
	flush := func() {
		if len(code) > 0 {
			p.code(strings.Trim(strings.Join(code, "\n"), "\n"))
		}
		code = nil
	}
	for i, l := range lines {
		if strings.HasPrefix(l, "  ") || l == "" {
			code = append(code, l)
			continue
		}
		flush()
		p.text(prose(l))
		if i < len(lines)-1 && strings.HasSuffix(l, ".") && !strings.HasPrefix(lines[i+1], "  ") && lines[i+1] != "" {
			p.line(".br")
		}
	}
	flush()
	if len(lines) == 0 {
		p.line(`\&`)
	}
}
