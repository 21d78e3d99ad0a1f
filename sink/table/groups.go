package table

import (
	"cmp"
	"io"
	"slices"
	"strings"
	"time"

	"mirrorscope/edge"
	"mirrorscope/edge/group"
	"mirrorscope/flow"
	"mirrorscope/path"
	"mirrorscope/sink"
	"mirrorscope/tcp"
)

// Groups shows connections summed by tags: the rows of all of the capture, of each
// interval, or of the time before and after a cut side by side. It is owned by one
// goroutine.
type Groups struct {
	config  Config
	w       io.Writer
	names   sink.Names
	table   *group.Table
	windows []*group.Window
	cut     int64
}

// NewGroups gives one to w. build makes the table, which gives its windows to emit.
// cut, ns, divides what was before from what is now; 0: nothing does.
func NewGroups(w io.Writer, names sink.Names, c Config, cut int64, build func(emit func(*group.Window)) *group.Table) *Groups {
	g := &Groups{config: c, w: w, names: names, cut: cut}
	g.table = build(func(w *group.Window) { g.windows = append(g.windows, w) })
	return g
}

// Write takes the records. Nothing is shown yet.
func (g *Groups) Write(records []*flow.Record) error {
	for _, r := range records {
		g.table.Add(r)
	}
	return nil
}

// WritePath takes the path of a connection whose last record was just written.
func (g *Groups) WritePath(c *path.Connection) error {
	g.table.AddPath(c)
	return nil
}

// Close shows the rows and the health of the capture. It does not close the writer
// below.
func (g *Groups) Close(c *flow.Capture) error {
	g.table.Close()
	t := &Writer{config: g.config, names: g.names}
	var b strings.Builder
	switch {
	case len(g.windows) == 0:
		b.WriteString("No conversations.\n")
	case g.cut != 0:
		g.compare(t, &b)
	default:
		g.plain(t, &b)
	}
	b.WriteByte('\n')
	rows, folded := map[string]bool{}, false
	for _, w := range g.windows {
		for _, r := range w.Rows {
			rows[strings.Join(r.Values, "\x00")] = true
		}
		folded = folded || w.Folded > 0
	}
	t.health(&b, found{"row", len(rows), folded, int64(g.table.Counts().Joined)}, c)
	_, err := io.WriteString(g.w, b.String())
	return err
}

// plain shows one window, or a few lines of each.
func (g *Groups) plain(t *Writer, b *strings.Builder) {
	var shown []*sink.Grouped
	hidden, folded := 0, int64(0)
	var left int64
	for _, w := range g.windows {
		rows := w.Sorted(g.config.Sort, g.config.Limit)
		for _, r := range rows {
			shown = append(shown, sink.GroupedOf(w, r))
			left -= r.Bytes()
		}
		for _, r := range w.Rows {
			left += r.Bytes()
		}
		hidden += len(w.Rows) - len(rows)
		folded += w.Folded
		if w.Other != nil {
			shown = append(shown, sink.GroupedOf(w, w.Other))
		}
	}
	if len(shown) == 0 {
		b.WriteString("No conversations.\n")
		return
	}
	l := g.layout(shown)
	few, about, unknown := false, false, false
	for _, x := range shown {
		l.add(x.Errors() > 0, l.cells(x)...)
		few = few || fewIn(x.Conversation)
		_, state := x.Response()
		about = about || state == tcp.Ambiguous
		unknown = unknown || x.UnknownRequests() > 0
	}
	l.render(b, g.config.Width, palette(g.config.Colour))
	if hidden > 0 {
		t.note(b, "… %s, %s: --limit 0 shows all", plural(hidden, "more row"), octets(max(left, 0)))
	}
	if folded > 0 {
		t.note(b, "… %s of too many are in the lines of other", plural(folded, "row"))
	}
	if few && slices.ContainsFunc(l.columns, func(c column) bool { return strings.HasSuffix(c.title, "P95") }) {
		t.note(b, "(n): only n were measured")
	}
	if unknown {
		t.note(b, "(n ?): how n ended is not known, and they are in no share")
	}
	if about {
		t.note(b, "~: some may not be of a request: what TLS hides may be HTTP/2, or the capture begins in the middle")
	}
	if len(g.windows) == 1 {
		g.verdicts(t, b, shown)
	}
}

// verdicts tells in a sentence each what is wrong with the worst rows.
func (g *Groups) verdicts(t *Writer, b *strings.Builder, rows []*sink.Grouped) {
	var worst []*sink.Grouped
	for _, x := range rows {
		if v := &x.Verdict; v.Who != edge.Nobody || v.Weight > 0 || len(v.Also) > 0 {
			worst = append(worst, x)
		}
	}
	if len(worst) == 0 {
		return
	}
	slices.SortStableFunc(worst, func(a, b *sink.Grouped) int {
		lossy := func(x *sink.Grouped) int {
			if x.Verdict.Who == edge.Capture {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(lossy(a), lossy(b)), cmp.Compare(b.Verdict.Weight, a.Verdict.Weight))
	})
	t.heading(b, "WHAT STANDS OUT")
	for _, x := range worst[:min(len(worst), maxVerdictLines)] {
		t.note(b, "  %s", g.who(x.Row))
		t.sentence(b, &x.Verdict)
		for k := range x.Verdict.Also {
			t.sentence(b, &x.Verdict.Also[k])
		}
	}
	if more := len(worst) - maxVerdictLines; more > 0 {
		t.note(b, "  … and in %s: --format json has all", plural(more, "more row"))
	}
}

// who names a row: "client → server", and what else it is grouped by.
func (g *Groups) who(r *group.Row) string {
	if r.Values == nil {
		return "other"
	}
	keys := g.table.Keys()
	client, server := group.Name(keys, r, flow.Client, true), group.Name(keys, r, flow.Server, true)
	s := client
	switch {
	case client != "" && server != "":
		s = client + " → " + server
	case server != "":
		s = "→ " + server
	}
	if of := group.Name(keys, r, 0, false); of != "" {
		if s != "" {
			s += " "
		}
		s += "[" + of + "]"
	}
	return clean(s)
}

// groupGrid is a grid with what makes the cells of a row.
type groupGrid struct {
	grid
	order  edge.Order
	makers []func(*sink.Grouped) []string
}

func (l *groupGrid) put(is bool, cells func(*sink.Grouped) []string, columns ...column) {
	if !is {
		return
	}
	for _, c := range columns {
		if slices.Contains(c.stays, l.order) {
			c.drop = 0 // what the table is sorted by
		}
		l.columns = append(l.columns, c)
	}
	l.makers = append(l.makers, cells)
}

func (l *groupGrid) cells(x *sink.Grouped) (all []string) {
	for _, m := range l.makers {
		all = append(all, m(x)...)
	}
	return all
}

func one(cell func(*sink.Grouped) string) func(*sink.Grouped) []string {
	return func(x *sink.Grouped) []string { return []string{cell(x)} }
}

// layout gives the columns that some rows need.
func (g *Groups) layout(rows []*sink.Grouped) *groupGrid {
	l := &groupGrid{order: g.config.Sort}
	tls, tried := false, false
	for _, x := range rows {
		tls = tls || x.Row.TLS() != nil
		tried = tried || x.Tried()
	}
	l.put(len(g.windows) > 1 || g.windows[0].Interval, one(func(x *sink.Grouped) string {
		return time.Unix(0, x.Window.Start).UTC().Format("2006-01-02 15:04:05")
	}), column{title: "INTERVAL"})
	l.who(g)
	l.put(true, one(func(x *sink.Grouped) string { return signed(x.Row.Connections) }),
		column{title: "CONNS", right: true, drop: 10, stays: []edge.Order{edge.ByConnections}})
	l.put(true, one(throughput), column{title: "THROUGHPUT", right: true, drop: 9, stays: []edge.Order{edge.ByBytes}})
	l.put(true, one(func(x *sink.Grouped) string { return repeats(x.Conversation) }),
		column{title: "RETRANS", right: true, drop: 14, stays: []edge.Order{edge.ByRetransmits}})
	l.put(true, one(func(x *sink.Grouped) string { return roundTrip(x.Conversation) }),
		column{title: "RTT P50", right: true, drop: 11, stays: []edge.Order{edge.ByRTT}})
	l.put(true, func(x *sink.Grouped) []string { return quantiles(&x.Handshake, tcp.Measured) },
		column{title: "HANDSHAKE P50", right: true, drop: 4, alone: "HANDSHAKE P95", stays: []edge.Order{edge.ByHandshake}},
		column{title: "P95", right: true, drop: 6, stays: []edge.Order{edge.ByHandshake}})
	l.put(tls, func(x *sink.Grouped) []string {
		if x.Conversation.TLS == nil {
			return []string{"-", "-"}
		}
		return quantiles(&x.Conversation.TLS.Total, tcp.Measured)
	}, column{title: "TLS P50", right: true, drop: 3, alone: "TLS P95", stays: []edge.Order{edge.ByTLS}}, column{title: "P95", right: true, drop: 7, stays: []edge.Order{edge.ByTLS}})
	l.put(tried, func(x *sink.Grouped) []string {
		return []string{requestCount(x.Conversation), perMinute(x), errorRate(x.Conversation)}
	}, column{title: "REQUESTS", right: true, drop: 8, stays: []edge.Order{edge.ByRequests}},
		column{title: "PER MIN", right: true, drop: 13, stays: []edge.Order{edge.ByRequests}},
		column{title: "ERRORS", right: true, drop: 17, stays: []edge.Order{edge.ByErrorRate}})
	l.put(true, func(x *sink.Grouped) []string { return quantiles(x.Response()) },
		column{title: "RESPONSE P50", right: true, drop: 5, alone: "RESPONSE P95", stays: []edge.Order{edge.ByResponse}},
		column{title: "P95", right: true, drop: 16, stays: []edge.Order{edge.ByResponse}})
	l.put(true, one(func(x *sink.Grouped) string { return outcomes(x.Conversation) }), column{title: "OUTCOMES", least: 9, drop: 12})
	l.put(true, one(func(x *sink.Grouped) string { return short(&x.Verdict) }), column{title: "VERDICT", least: 16})
	return l
}

// who puts the columns that name a row.
func (l *groupGrid) who(g *Groups) {
	keys := g.table.Keys()
	sided := func(side flow.Side) bool {
		return slices.ContainsFunc(keys, func(k group.Key) bool { return k.Sided && k.Side == side })
	}
	title := ""
	switch {
	case sided(flow.Client) && sided(flow.Server):
		title = "CLIENT → SERVER"
	case sided(flow.Client):
		title = "CLIENT"
	case sided(flow.Server):
		title = "SERVER"
	}
	l.put(title != "", one(func(x *sink.Grouped) string {
		if x.Values == nil {
			return "(other)"
		}
		client, server := group.Name(keys, x.Row, flow.Client, true), group.Name(keys, x.Row, flow.Server, true)
		if client != "" && server != "" {
			return clean(client + " → " + server)
		}
		return clean(client + server)
	}), column{title: title, least: max(27, g.config.Width/3), tail: true})
	for i, k := range keys {
		if k.Sided {
			continue
		}
		l.put(true, one(func(x *sink.Grouped) string {
			switch {
			case x.Values == nil && title == "":
				return "(other)"
			case x.Values == nil || x.Values[i] == "":
				return "-"
			}
			return clean(x.Values[i])
		}), column{title: strings.ToUpper(k.Tag), least: 8})
	}
}

// signed is count for what may be a correction.
func signed(n int64) string {
	if n < 0 {
		return "-" + count(-n)
	}
	return count(n)
}

func throughput(x *sink.Grouped) string {
	s, ok := x.Seconds()
	n := x.Row.Bytes()
	if !ok || n < 0 {
		return "-"
	}
	return perSecond(float64(n)*8/s, "bit")
}

func perMinute(x *sink.Grouped) string {
	rate, ok := rateOf(x)
	if !ok {
		return "-"
	}
	return minutely(rate)
}

// rateOf is how many requests there were in a minute.
func rateOf(x *sink.Grouped) (rate float64, ok bool) {
	s, ok := x.Seconds()
	if !ok || !x.Tried() {
		return 0, false
	}
	return float64(max(x.Requests(), 0)) / s * 60, true
}

func minutely(rate float64) string {
	if rate >= 999.5 {
		return count(int64(rate + 0.5))
	}
	return three(rate)
}
