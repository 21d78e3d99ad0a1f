package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/mattn/go-runewidth"

	"mirrorscope/edge"
	"mirrorscope/edge/live"
)

// topView draws what conversations do.
type topView struct {
	order edge.Order
	text  string // that a conversation must have in it
	width int    // cells of the terminal; 0: not a terminal, nothing is cut
	paint painter
}

// rows gives those that the filter leaves, in order.
func (v *topView) rows(t *live.Top) []*live.Row {
	rows := t.Sorted(v.order, 0)
	if v.text == "" {
		return rows
	}
	text := strings.ToLower(v.text)
	return slices.DeleteFunc(rows, func(r *live.Row) bool {
		all := strings.Join([]string{r.Client.IP, r.Client.Name, address(&r.Server), r.Server.Name, r.Protocol, r.Network}, " ")
		return !strings.Contains(strings.ToLower(all), text)
	})
}

// head tells of the input as a whole.
func (v *topView) head(t *live.Top) []string {
	c := &t.Capture
	state := strings.ToUpper(c.State)
	switch c.State {
	case live.StateOK:
	case live.StateReduced:
		state = v.paint.warn(state)
	default:
		state = v.paint.bad(state)
	}
	first := fmt.Sprintf("%s  %s  last %s  %s by %s", state, clockOf(t), window(t), plural(t.Conversations, "conversation"), v.order)
	if t.Other != nil {
		first += "  " + v.paint.warn("more than can be told apart: "+perSecond(float64(t.Other.Bytes())*8/seconds(t))+" in no row")
	}
	if t.Sampled > 1 {
		first += "  " + v.paint.warn(fmt.Sprintf("one of %d connections is measured", t.Sampled))
	}
	if v.text != "" {
		first += fmt.Sprintf("  filter %q", printable(v.text))
	}
	packets, octets := unknown, unknown
	if c.PacketsPerSec != nil {
		packets = number(*c.PacketsPerSec) + "/s"
	}
	if c.BytesPerSec != nil {
		octets = perSecond(*c.BytesPerSec * 8)
	}
	second := "lost " + v.losses(c) + "  " + v.missed(t) + fmt.Sprintf("  packets %s  traffic %s", packets, octets)
	if c.Shed > 0 {
		second += "  " + v.paint.warn(number(float64(c.Shed))+" packets without their payload")
	}
	return []string{v.cut(first), v.cut(second)}
}

// missed is the share of TCP's data that was not captured.
func (v *topView) missed(t *live.Top) string {
	switch {
	case t.LossRatio == nil:
		return "missed " + unknown
	case t.Missed > 0:
		return v.paint.bad("missed " + share(max(float64(*t.LossRatio), 1e-9)))
	}
	return "missed 0"
}

// losses tells of each place that lost packets how many, and of those how many in
// the window.
func (v *topView) losses(c *live.Capture) string {
	var words []string
	for _, place := range slices.Sorted(maps.Keys(c.Losses)) {
		n := c.Losses[place]
		if n == 0 {
			continue
		}
		word := printable(place) + " " + number(float64(n))
		if recent := c.Recent[place]; recent > 0 {
			word = v.paint.bad(word + " (+" + number(float64(recent)) + ")")
		}
		words = append(words, word)
	}
	if words == nil {
		if len(c.Losses) == 0 {
			return unknown
		}
		return "0"
	}
	return strings.Join(words, ", ")
}

// column is one of the table.
type column struct {
	title string
	left  bool         // else aligned to the right
	cells int          // at least
	more  int          // at most, with what others leave
	drop  int          // on a terminal that is too narrow, columns leave by rising drop; 0: never
	order []edge.Order // it stays when the rows are sorted by one of these
	cell  func(*live.Top, *live.Row) (text string, tone tone)
}

// tone is how a cell is shown.
type tone uint8

const (
	plainly tone = iota
	warned
	alarmed
)

// unknown stands for what is not known: that is never 0.
const unknown = "-"

// table gives the titles and the rows.
func (v *topView) table(t *live.Top, rows []*live.Row) []string {
	columns, widths := v.layout(t, rows)
	lines := make([]string, 0, len(rows)+1)
	var b strings.Builder
	for i, c := range columns {
		title := c.title
		if slices.Contains(c.order, v.order) {
			title += "▾"
		}
		b.WriteString(space(i) + fit(title, widths[i], c.left))
	}
	lines = append(lines, v.cut(v.paint.bold(strings.TrimRight(b.String(), " "))))
	for _, r := range rows {
		b.Reset()
		for i, c := range columns {
			text, tone := c.cell(t, r)
			b.WriteString(space(i) + v.paint.tone(fit(text, widths[i], c.left), text, tone))
		}
		lines = append(lines, v.cut(strings.TrimRight(b.String(), " ")))
	}
	return lines
}

func space(i int) string {
	if i == 0 {
		return ""
	}
	return "  "
}

// layout leaves the columns that fit, and gives their widths.
func (v *topView) layout(t *live.Top, rows []*live.Row) ([]column, []int) {
	columns := slices.Clone(topColumns)
	for {
		widths, total := make([]int, len(columns)), 2*(len(columns)-1)
		leave := -1
		for i, c := range columns {
			widths[i] = c.cells
			if v.width == 0 { // no terminal: as wide as it must be
				widths[i] = runewidth.StringWidth(c.title) + 1
				for _, r := range rows {
					text, _ := c.cell(t, r)
					widths[i] = max(widths[i], runewidth.StringWidth(text))
				}
			}
			total += widths[i]
			if c.drop > 0 && !slices.Contains(c.order, v.order) && (leave < 0 || c.drop < columns[leave].drop) {
				leave = i
			}
		}
		if v.width > 0 && total > v.width && leave >= 0 {
			columns = slices.Delete(columns, leave, leave+1)
			continue
		}
		for i := range columns { // what is left over goes to those that want it
			if free := v.width - total; v.width > 0 && free > 0 && columns[i].more > widths[i] {
				more := min(free, columns[i].more-widths[i])
				widths[i] += more
				total += more
			}
		}
		return columns, widths
	}
}

// fit cuts text to so many cells, or fills it up.
func fit(text string, cells int, left bool) string {
	text = runewidth.Truncate(text, cells, "…")
	fill := strings.Repeat(" ", max(cells-runewidth.StringWidth(text), 0))
	if left {
		return text + fill
	}
	return fill + text
}

// cut cuts a line that may have colours in it to the width of the terminal.
func (v *topView) cut(line string) string {
	if v.width <= 0 {
		return line
	}
	var b strings.Builder
	used, escape := 0, false
	for _, r := range line {
		switch {
		case r == '\x1b':
			escape = true
		case escape:
			escape = r != 'm'
		default:
			w := runewidth.RuneWidth(r)
			if used+w > v.width {
				continue // the colours behind still end
			}
			used += w
		}
		b.WriteRune(r)
	}
	return b.String()
}

// painter colours what a terminal shows in colour.
type painter bool

func (p painter) bold(s string) string { return p.wrap("1", s) }
func (p painter) dim(s string) string  { return p.wrap("2", s) }
func (p painter) bad(s string) string  { return p.wrap("31", s) }
func (p painter) warn(s string) string { return p.wrap("33", s) }

// tone colours a cell by what it says; what is not known is dim.
func (p painter) tone(cell, text string, t tone) string {
	switch {
	case text == unknown:
		return p.dim(cell)
	case t == alarmed:
		return p.bad(cell)
	case t == warned:
		return p.warn(cell)
	}
	return cell
}

func (p painter) wrap(code, s string) string {
	if !p {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// printable makes text safe for a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// address is an address with its port.
func address(e *live.End) string {
	switch {
	case e.Port == nil:
		return e.IP
	case strings.Contains(e.IP, ":"):
		return "[" + e.IP + "]:" + strconv.Itoa(int(*e.Port))
	}
	return e.IP + ":" + strconv.Itoa(int(*e.Port))
}

func clockOf(t *live.Top) string { return time.Unix(0, int64(t.End)).UTC().Format("15:04:05 UTC") }

func window(t *live.Top) string {
	return fmt.Sprintf("%d s", int64(t.End-t.Start)/1e9)
}

// seconds is the length of the window.
func seconds(t *live.Top) float64 { return max(float64(t.End-t.Start)/1e9, 1) }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return number(float64(n)) + " " + noun + "s"
}
