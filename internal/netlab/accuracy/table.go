package accuracy

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"mirrorscope/internal/netlab"
)

// Table collects how the tools do. Add may be called from several goroutines.
type Table struct {
	Tools  []Tool
	mu     sync.Mutex
	scores [][]Score // by row and tool
}

// NewTable makes an empty table.
func NewTable(tools ...Tool) *Table {
	t := &Table{Tools: tools, scores: make([][]Score, len(Rows))}
	for i := range t.scores {
		t.scores[i] = make([]Score, len(tools))
	}
	return t
}

// Score gives the score of a tool in a row, both by index.
func (t *Table) Score(row, tool int) *Score { return &t.scores[row][tool] }

// Add measures the captures of one run with every tool and compares.
func (t *Table) Add(s netlab.Scenario, r *netlab.Result) error {
	for tool := range t.Tools {
		if s.Speaks != (netlab.Speaks{}) && !t.Tools[tool].Application() {
			continue
		}
		all, err := measureAll(t.Tools[tool], r)
		if err != nil {
			return err
		}
		t.compare(s, r, tool, all)
	}
	return nil
}

// compare adds what one tool said of the captures of one run.
func (t *Table) compare(s netlab.Scenario, r *netlab.Result, tool int, all map[string][]Connection) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, capture := range r.Truth.Captures {
		for _, v := range views(s, r, capture, all) {
			for row := range Rows {
				if row < len(transportRows) && s.Speaks != (netlab.Speaks{}) {
					continue
				}
				Rows[row].add(&v, &t.scores[row][tool])
			}
		}
	}
}

// measureAll runs a tool over the captures of one run, two at a time.
func measureAll(tool Tool, r *netlab.Result) (map[string][]Connection, error) {
	var (
		mu    sync.Mutex
		wg    sync.WaitGroup
		all   = map[string][]Connection{}
		errs  error
		limit = make(chan struct{}, 2)
	)
	for name, path := range r.Taps {
		limit <- struct{}{}
		wg.Go(func() {
			defer func() { <-limit }()
			got, err := tool.Measure(path)
			mu.Lock()
			defer mu.Unlock()
			all[name] = got
			errs = errors.Join(errs, err)
		})
	}
	wg.Wait()
	return all, errs
}

// views puts truth and measurement of a capture side by side, by connection.
func views(s netlab.Scenario, r *netlab.Result, capture netlab.CaptureTruth, all map[string][]Connection) []view {
	var out []view
	order := r.Connections()
	for _, truth := range capture.Connections {
		v := view{
			scenario: s, capture: capture, truth: truth, counters: r.Truth.Counters, alone: len(order) == 1, turns: s.Want.Turns,
		}
		i := 0
		for i < len(order) && order[i] != truth.Client {
			i++
		}
		if i < len(r.Truth.Connections) {
			v.kernel = &r.Truth.Connections[i]
		}
		v.tls, v.speaksTLS = s.Want.TLSOf(i)
		if n := len(s.Want.Outcomes); n > 0 {
			v.outcome = s.Want.Outcomes[min(i, n-1)]
		}
		v.got, v.roles, v.found = find(all[capture.Name], truth.VNI, truth.Client, truth.Server)
		tap, _, _ := strings.Cut(capture.Name, "-")
		if b, _, ok := find(all[tap], 0, truth.Client, truth.Server); ok {
			v.base = &b
		}
		out = append(out, v)
	}
	return out
}

// Markdown writes the rows, as one table for each heading. A tool's cell has the number
// of exact, withheld and wrong results, and the worst error of a claim where there was
// one. Tools that claim nothing under a heading are left out there, but for the first.
func (t *Table) Markdown(w io.Writer) error {
	var b strings.Builder
	first := 0
	for i, p := range parts {
		if i > 0 {
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "## %s\n\n", p.heading)
		t.part(&b, first, first+len(p.rows))
		first += len(p.rows)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// part writes some rows as a table.
func (t *Table) part(b *strings.Builder, first, last int) {
	var tools []int
	for tool := range t.Tools {
		claims := 0
		for i := first; i < last; i++ {
			claims += t.scores[i][tool].Exact + t.scores[i][tool].Wrong
		}
		if tool == 0 || claims > 0 {
			tools = append(tools, tool)
		}
	}
	b.WriteString("| quantity | target | n |")
	rule := "|---|---|--:|"
	for _, tool := range tools {
		fmt.Fprintf(b, " %s |", t.Tools[tool].Name())
		rule += "--:|"
	}
	b.WriteString("\n" + rule + "\n")
	for i, row := range Rows[first:last] {
		scores := t.scores[first+i]
		n := 0
		for _, tool := range tools {
			n = max(n, scores[tool].N)
		}
		target := row.Target
		if target == "" {
			target = "–"
		}
		fmt.Fprintf(b, "| %s | %s | %d %s |", row.Name, target, n, row.Unit)
		for _, tool := range tools {
			s := &scores[tool]
			fmt.Fprintf(b, " %d / %d / %d", s.Exact, s.Withheld, s.Wrong)
			if s.Worst > 0 {
				fmt.Fprintf(b, ", %s", short(s.Worst))
				if row.Unit == times {
					b.WriteString(" µs")
				}
			}
			b.WriteString(" |")
		}
		b.WriteString("\n")
	}
}

// short writes an error with three digits.
func short(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// Misses writes everything that a tool got wrong or withheld, by row.
func (t *Table) Misses(w io.Writer, tool int) {
	for i, row := range Rows {
		for _, m := range t.scores[i][tool].Misses {
			fmt.Fprintf(w, "%s: %s\n", row.Name, m)
		}
	}
}
