package mirror

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable makes a text of the cloud safe for a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// grid is a table: columns as wide as what is in them, the last one not filled up.
type grid struct{ rows [][]string }

func (g *grid) add(cells ...string) {
	for i := range cells {
		cells[i] = printable(orElse(cells[i], "-"))
	}
	g.rows = append(g.rows, cells)
}

func (g *grid) write(w *bufio.Writer) {
	var widths []int
	for _, row := range g.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	for _, row := range g.rows {
		for i, cell := range row {
			if i == len(row)-1 {
				fmt.Fprintln(w, cell)
				continue
			}
			fmt.Fprint(w, cell, strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
	}
}

// heading says of what a table is.
func heading(w *bufio.Writer, state, region, account string) {
	fmt.Fprintf(w, "state %s, %s", state, region)
	if account != "" {
		fmt.Fprintf(w, ", account %s", account)
	}
	fmt.Fprint(w, "\n\n")
}

// change is what a step does, in short.
func (s *Step) change() string {
	switch {
	case len(s.Changes) > 0:
		var parts []string
		for _, c := range s.Changes {
			parts = append(parts, fmt.Sprintf("%s %s → %s", c.Field, c.From, c.To))
		}
		return strings.Join(parts, ", ")
	case s.Session != nil:
		return fmt.Sprintf("to %s, VNI %d, number %d", orElse(s.Session.Target, "the new target"), s.Session.VNI, s.Session.Number)
	case s.Action == NoWay:
		return string(s.Blind)
	}
	return ""
}

// WriteTable prints a plan for people; what stays as it is only with all.
func (p *Plan) WriteTable(out io.Writer, all bool) error {
	w := bufio.NewWriter(out)
	heading(w, p.State, p.Region, p.Account)
	g := &grid{}
	g.add("ACTION", "WHAT", "ID", "ON", "NAME", "CHANGE", "WHY")
	for i := range p.Steps {
		s := &p.Steps[i]
		if s.Action == Keep && !all {
			continue
		}
		g.add(string(s.Action), string(s.What), s.ID, s.On, s.Name, s.change(), s.Reason)
	}
	if len(g.rows) > 1 {
		g.write(w)
		fmt.Fprintln(w)
	}
	p.writeWarnings(w)
	fmt.Fprintln(w, p.Summary())
	return w.Flush()
}

func (p *Plan) writeWarnings(w *bufio.Writer) {
	for _, warning := range p.Warnings {
		fmt.Fprintf(w, "warning: %s: %s\n", printable(warning.About), printable(warning.Text))
	}
	if len(p.Warnings) > 0 {
		fmt.Fprintln(w)
	}
}

// Summary counts the steps in a sentence.
func (p *Plan) Summary() string {
	if p.Differences() == 0 && p.Count(NoWay) == 0 {
		return fmt.Sprintf("As desired: %d kept.", p.Count(Keep))
	}
	words := map[Action]string{Create: "to create", Modify: "to modify", Replace: "to replace", Delete: "to delete", Keep: "kept", NoWay: "blind"}
	var parts []string
	for _, a := range Actions() {
		if n := p.Count(a); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, words[a]))
		}
	}
	text := strings.Join(parts, ", ") + "."
	if p.Differences() == 0 {
		text = "As desired, as far as can be: " + text
	}
	return text
}

// WriteJSON writes a plan for programs.
func (p *Plan) WriteJSON(out io.Writer) error {
	counts := map[Action]int{}
	for _, a := range Actions() {
		counts[a] = p.Count(a)
	}
	return writeJSON(out, struct {
		*Plan
		Differences int            `json:"differences"`
		Counts      map[Action]int `json:"counts"`
	}{p, p.Differences(), counts})
}

func writeJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// Line tells how a step ended, for people.
func (o *Outcome) Line() string {
	s := o.Step
	parts := []string{string(o.Result) + ":", string(s.Action), string(s.What)}
	if id := orElse(o.ID, s.ID); id != "" {
		parts = append(parts, id)
	}
	if s.On != "" {
		parts = append(parts, "on", s.On)
	}
	if s.Name != "" {
		parts = append(parts, "("+s.Name+")")
	}
	line := strings.Join(parts, " ")
	if o.Note != "" {
		line += ": " + o.Note
	}
	return printable(line)
}

// MarshalJSON gives what a program wants to know of an outcome.
func (o Outcome) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Result Result `json:"result"`
		Action Action `json:"action"`
		What   What   `json:"what"`
		ID     string `json:"id,omitempty"`
		On     string `json:"on,omitempty"`
		Name   string `json:"name,omitempty"`
		Note   string `json:"note,omitempty"`
	}{o.Result, o.Step.Action, o.Step.What, orElse(o.ID, o.Step.ID), o.Step.On, o.Step.Name, o.Note})
}

// Results counts the outcomes in a sentence.
func (r *Report) Results() string {
	var parts []string
	for _, result := range []Result{Done, Gone, Stays, Failed, Withheld, NotTried} {
		if n := r.Count(result); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, result))
		}
	}
	if len(parts) == 0 {
		return "Nothing to do."
	}
	return strings.Join(parts, ", ") + "."
}

// WriteJSON writes the outcomes for programs.
func (r *Report) WriteJSON(out io.Writer) error {
	counts := map[Result]int{}
	for _, result := range []Result{Done, Gone, Stays, Failed, Withheld, NotTried} {
		counts[result] = r.Count(result)
	}
	outcomes := r.Outcomes
	if outcomes == nil {
		outcomes = []Outcome{}
	}
	return writeJSON(out, struct {
		Outcomes []Outcome      `json:"outcomes"`
		Counts   map[Result]int `json:"counts"`
		Stopped  bool           `json:"stopped"`
	}{outcomes, counts, r.Stopped})
}

// Show says which interfaces a status lists.
type Show uint8

// What is listed.
const (
	ShowSelected Show = iota
	ShowBlind
	ShowAll
)

func (c *Coverage) shown(show Show) bool {
	switch show {
	case ShowBlind:
		return c.Status == IsBlind
	case ShowSelected:
		return c.Status != NotSelected
	}
	return true
}

// WriteStatus prints for people which interfaces are mirrored and which are not.
func (p *Plan) WriteStatus(out io.Writer, show Show) error {
	w := bufio.NewWriter(out)
	heading(w, p.State, p.Region, p.Account)
	g := &grid{}
	g.add("STATUS", "INTERFACE", "IP", "INSTANCE", "NAME", "SESSION", "TARGET", "VNI", "SKIPPED", "WHY")
	for i := range p.Coverage {
		c := &p.Coverage[i]
		if !c.shown(show) {
			continue
		}
		vni, why := "", ""
		if c.Session != "" {
			vni = strconv.Itoa(c.VNI)
		}
		if why = c.Reason; c.Blind != "" {
			why = string(c.Blind) + ": " + why
		}
		g.add(string(c.Status), c.Interface, c.Address, c.Instance, c.Name, c.Session, c.Target, vni, c.Skipped.text(), why)
	}
	if len(g.rows) > 1 {
		g.write(w)
		fmt.Fprintln(w)
	}
	p.writeWarnings(w)
	n := p.covered()
	fmt.Fprintf(w, "%d mirrored, %d mirrored by others, %d blind; %d not selected.\n", n[Mirrored], n[Elsewhere], n[IsBlind], n[NotSelected])
	if d := p.Differences(); d > 0 {
		fmt.Fprintf(w, "%d differences from the desired state: see 'sensor mirror plan'.\n", d)
	}
	return w.Flush()
}

func (p *Plan) covered() map[Status]int {
	n := map[Status]int{Mirrored: 0, Elsewhere: 0, IsBlind: 0, NotSelected: 0}
	for i := range p.Coverage {
		n[p.Coverage[i].Status]++
	}
	return n
}

// WriteStatusJSON writes the same for programs.
func (p *Plan) WriteStatusJSON(out io.Writer, show Show) error {
	list := []Coverage{}
	for i := range p.Coverage {
		if p.Coverage[i].shown(show) {
			list = append(list, p.Coverage[i])
		}
	}
	return writeJSON(out, struct {
		State       string         `json:"state"`
		Region      string         `json:"region"`
		Account     string         `json:"account,omitempty"`
		Counts      map[Status]int `json:"counts"`
		Differences int            `json:"differences"`
		Interfaces  []Coverage     `json:"interfaces"`
		Warnings    []Warning      `json:"warnings"`
	}{p.State, p.Region, p.Account, p.covered(), p.Differences(), list, p.Warnings})
}
