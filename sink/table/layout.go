package table

import (
	"slices"
	"strings"

	"mirrorscope/edge"
)

// column is the head of a column and how it takes part in the layout.
type column struct {
	title string
	right bool // aligned to the right
	least int  // cells to which it may be cut; 0: never
	tail  bool // what is cut is the middle: the end tells most
	drop  int  // on a terminal that is too narrow for all, columns leave by rising drop; 0: never

	stays []edge.Order // the column stays when the table is sorted by one of these
	alone string       // title of the next column when this one has left
}

// grid is lines of cells under columns.
type grid struct {
	columns []column
	rows    [][]string
	alert   []bool // rows that are shown in the colour of failure
}

func (g *grid) add(alert bool, cells ...string) {
	g.rows = append(g.rows, cells)
	g.alert = append(g.alert, alert)
}

const gap = 2 // cells between columns

// render adds the grid to b. limit is the width of the terminal, 0 none: then
// nothing is cut.
func (g *grid) render(b *strings.Builder, limit int, paint palette) {
	widths := g.widths(limit)
	for g.tooWide(widths, limit) && g.dropOne() {
		widths = g.widths(limit)
	}
	titles := make([]string, len(g.columns))
	for i := range g.columns {
		titles[i] = g.columns[i].title
	}
	b.WriteString(paint.bold(g.line(titles, widths, limit)))
	b.WriteByte('\n')
	for i, cells := range g.rows {
		line := g.line(cells, widths, limit)
		if g.alert[i] {
			line = paint.red(line)
		}
		b.WriteString(line)
		b.WriteByte('\n')
	}
}

// widths fits the columns into limit: those that may be cut give way, the last
// one first.
func (g *grid) widths(limit int) []int {
	widths := make([]int, len(g.columns))
	total := gap * (len(g.columns) - 1)
	for i := range g.columns {
		widths[i] = width.StringWidth(g.columns[i].title)
		for _, cells := range g.rows {
			widths[i] = max(widths[i], width.StringWidth(cells[i]))
		}
		total += widths[i]
	}
	if limit <= 0 {
		return widths
	}
	for i := len(widths) - 1; i >= 0 && total > limit; i-- {
		if least := g.columns[i].least; least > 0 && widths[i] > least {
			cut := min(widths[i]-least, total-limit)
			widths[i] -= cut
			total -= cut
		}
	}
	return widths
}

func (g *grid) tooWide(widths []int, limit int) bool {
	total := gap * (len(widths) - 1)
	for _, w := range widths {
		total += w
	}
	return limit > 0 && total > limit
}

// dropOne takes the least needed column away, if any may go.
func (g *grid) dropOne() bool {
	at := -1
	for i, c := range g.columns {
		if c.drop > 0 && (at < 0 || c.drop < g.columns[at].drop) {
			at = i
		}
	}
	if at < 0 {
		return false
	}
	if alone := g.columns[at].alone; alone != "" {
		g.columns[at+1].title = alone
	}
	g.columns = slices.Delete(g.columns, at, at+1)
	for i := range g.rows {
		g.rows[i] = slices.Delete(g.rows[i], at, at+1)
	}
	return true
}

func (g *grid) line(cells []string, widths []int, limit int) string {
	var b strings.Builder
	for i, cell := range cells {
		if i > 0 {
			b.WriteString(strings.Repeat(" ", gap))
		}
		if g.columns[i].tail {
			cell = cutMiddle(cell, widths[i])
		} else {
			cell = width.Truncate(cell, widths[i], "…")
		}
		fill := strings.Repeat(" ", max(0, widths[i]-width.StringWidth(cell)))
		if g.columns[i].right {
			b.WriteString(fill + cell)
		} else {
			b.WriteString(cell + fill)
		}
	}
	line := strings.TrimRight(b.String(), " ")
	if limit > 0 {
		line = width.Truncate(line, limit, "…")
	}
	return line
}

// wrap breaks text at spaces into lines of at most so many cells. A word that is
// longer has a line of its own. Without a limit there is one line.
func wrap(text string, cells int) []string {
	if cells <= 0 {
		return []string{text}
	}
	var lines []string
	line := ""
	for word := range strings.SplitSeq(text, " ") {
		switch {
		case line == "":
			line = word
		case width.StringWidth(line)+1+width.StringWidth(word) <= cells:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

// cutMiddle leaves a third of the cells to the beginning, the rest to the end.
func cutMiddle(s string, cells int) string {
	total := width.StringWidth(s)
	if total <= cells {
		return s
	}
	head := width.Truncate(s, cells/3, "")
	return head + width.TruncateLeft(s, total-cells+width.StringWidth(head)+1, "…")
}

// palette paints where a terminal shows it.
type palette bool

func (p palette) bold(s string) string { return p.wrap("1", s) }
func (p palette) red(s string) string  { return p.wrap("31", s) }

func (p palette) wrap(code, s string) string {
	if !p {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}
