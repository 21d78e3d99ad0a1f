package main

import (
	"fmt"
	"regexp"
	"strings"
)

// command is a page of docs/reference/cli.
type command struct {
	name        string // "sensor run"
	short       string
	usage       string
	description []string // paragraphs
	flags       []flagLine
	examples    string
	commands    []flagLine // those below it
}

// flagLine is a name, what it means, and the default where there is one.
type flagLine struct{ name, meaning, def string }

var (
	tableRow = regexp.MustCompile("^\\| `([^`]+)` \\| (.*) \\| (.*) \\|$")
	listItem = regexp.MustCompile(`^- \[([^\]]+)\]\([^)]+\): (.*)$`)
)

// parseCommand reads a page. It knows what the generator of these pages writes,
// and nothing else: what it does not know is an error, so that no manual page
// silently leaves something out.
func parseCommand(text string) (*command, error) {
	c := &command{}
	sections := strings.Split(text, "\n## ")
	for line := range strings.Lines(sections[0]) {
		line = strings.TrimSpace(line)
		switch {
		case line == "", strings.HasPrefix(line, "<!--"):
		case strings.HasPrefix(line, "# "):
			c.name = line[2:]
		case c.short == "":
			c.short = strings.TrimSuffix(line, ".")
		default:
			return nil, fmt.Errorf("unknown line %q", line)
		}
	}
	for _, section := range sections[1:] {
		title, body, _ := strings.Cut(section, "\n")
		body = strings.Trim(body, "\n")
		if i := strings.LastIndex(body, "\n\nSee also ["); i >= 0 {
			body = body[:i]
		}
		var err error
		switch title {
		case "Usage":
			c.usage, err = fenced(body)
		case "Description":
			c.description = strings.Split(body, "\n\n")
		case "Flags":
			c.flags, err = parseRows(body)
		case "Examples":
			c.examples, err = fenced(body)
		case "Commands":
			c.commands, err = parseList(body)
		default:
			err = fmt.Errorf("unknown section")
		}
		if err != nil {
			return nil, fmt.Errorf("section %s: %w", title, err)
		}
	}
	if c.name == "" || c.short == "" || c.usage == "" {
		return nil, fmt.Errorf("no name, no summary or no usage")
	}
	return c, nil
}

func fenced(body string) (string, error) {
	inner, ok := strings.CutPrefix(body, "```\n")
	inner, closed := strings.CutSuffix(inner, "\n```")
	if !ok || !closed {
		return "", fmt.Errorf("no block of code")
	}
	return inner, nil
}

func parseRows(body string) (rows []flagLine, err error) {
	for i, line := range strings.Split(body, "\n") {
		if i < 2 {
			continue // head of the table
		}
		m := tableRow.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("unknown row %q", line)
		}
		rows = append(rows, flagLine{m[1], m[2], m[3]})
	}
	return rows, nil
}

func parseList(body string) (items []flagLine, err error) {
	for line := range strings.SplitSeq(body, "\n") {
		m := listItem.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("unknown item %q", line)
		}
		items = append(items, flagLine{name: m[1], meaning: m[2]})
	}
	return items, nil
}
