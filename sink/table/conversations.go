package table

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"mirrorscope/edge"
	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/packet"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

// fewSamples is the number of samples below which a high percentile is shown
// with its count.
const fewSamples = 20

func (t *Writer) conversations(b *strings.Builder, s *edge.Summary, common edge.Common) {
	if s.Len() == 0 {
		b.WriteString("No conversations.\n")
		return
	}
	shown := s.Sorted(t.config.Sort, t.config.Limit)
	g, cells := t.layout(common)
	few, about, unknown := false, false, false
	hidden, total := s.Len()-len(shown), s.Octets()
	for _, i := range shown {
		total -= s.Bytes(i)
		c := s.Conversation(i)
		few = few || fewIn(c)
		_, state := c.Response()
		about = about || state == tcp.Ambiguous
		unknown = unknown || c.UnknownRequests() > 0
		g.add(c.Errors() > 0, cells(c)...)
	}
	g.render(b, t.config.Width, palette(t.config.Colour))

	if hidden > 0 {
		t.note(b, "… %s, %s: --limit 0 shows all", plural(hidden, "more conversation"), octets(total))
	}
	if o := &s.Other; o.Connections > 0 {
		t.note(b, "… %s, %s, of the smallest of too many conversations are in no line; a line may lack up to %s",
			plural(o.Connections, "connection"), octets(o.Bytes()), octets(s.Missing))
	}
	if few && slices.ContainsFunc(g.columns, func(c column) bool { return strings.HasSuffix(c.title, "P95") }) {
		t.note(b, "(n): only n were measured")
	}
	if unknown {
		t.note(b, "(n ?): how n ended is not known, and they are in no share")
	}
	if about {
		t.note(b, "~: some may not be of a request: what TLS hides may be HTTP/2, or the capture begins in the middle")
	}
	t.verdicts(b, s)
}

// layout gives the columns that some conversations need, and what makes the
// cells of one.
func (t *Writer) layout(common edge.Common) (*grid, func(*edge.Conversation) []string) {
	g := new(grid)
	var makers []func(*edge.Conversation) []string
	put := func(is bool, cells func(*edge.Conversation) []string, columns ...column) {
		if !is {
			return
		}
		for _, c := range columns {
			if slices.Contains(c.stays, t.config.Sort) {
				c.drop = 0 // what the table is sorted by
			}
			g.columns = append(g.columns, c)
		}
		makers = append(makers, cells)
	}
	one := func(cell func(*edge.Conversation) string) func(*edge.Conversation) []string {
		return func(c *edge.Conversation) []string { return []string{cell(c)} }
	}
	put(true, one(func(c *edge.Conversation) string { return t.ends(c) }), column{title: "CLIENT → SERVER", least: max(27, t.config.Width/3), tail: true})
	put(common.Names, one(serverName), column{title: "NAME", least: 16, drop: 18})
	put(t.networks, one(func(c *edge.Conversation) string { return clean(t.names.NetworkName(c.Network)) }), column{title: "NETWORK", least: 8, drop: 2})
	put(true, one(func(c *edge.Conversation) string { return count(c.Connections) }), column{title: "CONNS", right: true, drop: 10, stays: []edge.Order{edge.ByConnections}})
	put(true, func(c *edge.Conversation) []string {
		return []string{octets(c.Sent[flow.Client].Bytes), octets(c.Sent[flow.Server].Bytes)}
	}, column{title: "BYTES →", right: true, drop: 8}, column{title: "← BYTES", right: true, drop: 12})
	put(true, one(repeats), column{title: "RETRANS", right: true, drop: 14, stays: []edge.Order{edge.ByRetransmits}})
	put(true, one(roundTrip), column{title: "RTT P50", right: true, drop: 11, stays: []edge.Order{edge.ByRTT}})
	put(true, func(c *edge.Conversation) []string { return quantiles(&c.Handshake, tcp.Measured) },
		column{title: "HANDSHAKE P50", right: true, drop: 4, alone: "HANDSHAKE P95", stays: []edge.Order{edge.ByHandshake}},
		column{title: "P95", right: true, drop: 6, stays: []edge.Order{edge.ByHandshake}})
	put(common.TLS, one(version), column{title: "TLS", least: 4, drop: 7})
	put(common.TLS, func(c *edge.Conversation) []string {
		if c.TLS == nil {
			return []string{"-", "-"}
		}
		return quantiles(&c.TLS.Total, tcp.Measured)
	}, column{title: "TLS P50", right: true, drop: 3, alone: "TLS P95", stays: []edge.Order{edge.ByTLS}}, column{title: "P95", right: true, drop: 9, stays: []edge.Order{edge.ByTLS}})
	put(common.Tried, func(c *edge.Conversation) []string { return []string{requestCount(c), errorRate(c)} },
		column{title: "REQUESTS", right: true, drop: 13, stays: []edge.Order{edge.ByRequests}},
		column{title: "ERRORS", right: true, drop: 17, stays: []edge.Order{edge.ByErrorRate}})
	put(true, func(c *edge.Conversation) []string { return quantiles(c.Response()) },
		column{title: "RESPONSE P50", right: true, drop: 5, alone: "RESPONSE P95", stays: []edge.Order{edge.ByResponse}},
		column{title: "P95", right: true, drop: 16, stays: []edge.Order{edge.ByResponse}})
	put(common.Points, one(func(c *edge.Conversation) string { return strconv.Itoa(len(c.Points)) }), column{title: "POINTS", right: true, drop: 1})
	put(true, one(outcomes), column{title: "OUTCOMES", least: 9, drop: 15})
	put(true, one(func(c *edge.Conversation) string { v := c.Verdict(); return short(&v) }), column{title: "VERDICT", least: 16})
	return g, func(c *edge.Conversation) (cells []string) {
		for _, m := range makers {
			cells = append(cells, m(c)...)
		}
		return cells
	}
}

// verdicts tells in a sentence each what is wrong with the worst conversations,
// shown or not.
func (t *Writer) verdicts(b *strings.Builder, s *edge.Summary) {
	worst, more := s.Worst(maxVerdictLines)
	if len(worst) == 0 {
		return
	}
	t.heading(b, "WHAT STANDS OUT")
	for i := range worst {
		w := &worst[i]
		t.note(b, "  %s%s", t.ends(w.Conversation), named(w.Conversation))
		t.sentence(b, &w.Verdict)
		for k := range w.Verdict.Also {
			t.sentence(b, &w.Verdict.Also[k])
		}
	}
	if more > 0 {
		t.note(b, "  … and in %s: --view conversations --format json has all", plural(more, "more conversation"))
	}
}

// sentence adds a verdict, broken into lines that fit the terminal.
func (t *Writer) sentence(b *strings.Builder, v *edge.Verdict) {
	for i, line := range wrap(clean(v.Sentence()), t.config.Width-6) {
		t.note(b, "    %s%s", strings.Repeat("  ", min(i, 1)), line)
	}
}

// maxVerdictLines bounds the verdicts below the table.
const maxVerdictLines = 6

// limited cuts rows to the first n, 0 for all.
func limited[T any](rows []T, n int) []T {
	if n > 0 && n < len(rows) {
		return rows[:n]
	}
	return rows
}

func fewIn(c *edge.Conversation) bool {
	response, _ := c.Response()
	tls := &histogram.Histogram{}
	if c.TLS != nil {
		tls = &c.TLS.Total
	}
	for _, h := range []*histogram.Histogram{response, &c.Handshake, tls} {
		if n := h.Count(); n > 0 && n < fewSamples {
			return true
		}
	}
	return false
}

// serverName is what the server is called, and how many more names it has.
func serverName(c *edge.Conversation) string {
	name := c.Name()
	if name == "" {
		return "-"
	}
	more := int64(0)
	if c.TLS != nil {
		for _, n := range c.TLS.Names.Counts {
			if n.Value != "" && n.Value != name {
				more++
			}
		}
		if c.TLS.Names.Other > 0 {
			more++
		}
	}
	if more > 0 {
		return fmt.Sprintf("%s +%d", clean(name), more)
	}
	return clean(name)
}

func named(c *edge.Conversation) string {
	if n := serverName(c); n != "-" {
		return " (" + n + ")"
	}
	return ""
}

// version names the versions of TLS, the most frequent first.
func version(c *edge.Conversation) string {
	if c.TLS == nil {
		return "-"
	}
	return versions(c.TLS)
}

func versions(t *edge.TLS) string {
	var words []string
	for _, v := range t.Versions.Top() {
		words = append(words, tlsmeta.VersionName(v.Value))
	}
	if t.QUIC > 0 {
		words = append(words, "quic")
	}
	if words == nil {
		return "?"
	}
	return strings.Join(words, " ")
}

func requestCount(c *edge.Conversation) string {
	if !c.Tried() {
		return "-"
	}
	return count(c.Requests())
}

func errorRate(c *edge.Conversation) string {
	cell := "-"
	if rate, ok := c.ErrorRate(); ok {
		cell = percentOf(rate)
	}
	return cell + notKnown(c.UnknownRequests())
}

// notKnown marks how many were left out because their fate is not known.
func notKnown(n int64) string {
	if n == 0 {
		return ""
	}
	return " (" + count(n) + " ?)"
}

func short(v *edge.Verdict) string {
	if v.Who == edge.Nobody {
		return v.Short
	}
	return v.Who.String() + ": " + v.Short
}

// quantiles gives the median and the 95th percentile of durations. What was not
// measured is not short.
func quantiles(h *histogram.Histogram, state tcp.State) []string {
	median, ok := h.Quantile(0.5)
	if !ok {
		return []string{"-", "-"}
	}
	high, _ := h.Quantile(0.95)
	sign := ""
	switch state {
	case tcp.Bounded:
		sign = "≤ "
	case tcp.Ambiguous:
		sign = "~ "
	}
	p50, p95 := sign+span(median), sign+span(high)
	if n := h.Count(); n < fewSamples {
		p95 += fmt.Sprintf(" (%d)", n)
	}
	return []string{p50, p95}
}

func bound(s string, is bool, sign string) string {
	if is {
		return sign + s
	}
	return s
}

// roundTrip gives the median round trip between client and server.
func roundTrip(c *edge.Conversation) string {
	ns, atMost, ok := c.Times.PathRTT()
	if !ok {
		return "-"
	}
	return bound(span(ns), atMost, "≤ ")
}

// repeats gives the packets that both sides sent again, and what share of
// their payload was sent again, where it is worth a look.
func repeats(c *edge.Conversation) string {
	sum := c.Repeats[flow.Client]
	other := &c.Repeats[flow.Server]
	if sum.Connections+other.Connections == 0 {
		return "-"
	}
	sum.Packets, sum.Bytes, sum.Payload = sum.Packets+other.Packets, sum.Bytes+other.Bytes, sum.Payload+other.Payload
	cell := bound(count(sum.Packets), sum.AtLeast || other.AtLeast, "≥ ")
	if sum.Bytes > 0 && sum.Bytes*1000 > sum.Payload {
		cell += " (" + percent(uint64(sum.Bytes), uint64(sum.Payload)) + ")"
	}
	return cell
}

// outcomeWords are what outcomes are called here, failures first, so that a
// narrow terminal cuts the rest.
var outcomeWords = []struct {
	outcome flow.Outcome
	word    string
}{
	{flow.Refused, "refused"}, {flow.Unreachable, "unreachable"}, {flow.Timeout, "timeout"}, {flow.HalfOpenTimeout, "half-open"},
	{flow.Reset, "reset"}, {flow.AbortedTimeout, "aborted"}, {flow.Established, "open"}, {flow.Closed, "closed"},
}

func outcomes(c *edge.Conversation) string {
	var words []string
	for _, o := range outcomeWords {
		if n := c.Outcomes[o.outcome]; n > 0 {
			words = append(words, count(n)+" "+o.word)
		}
	}
	if n := c.Outcomes[flow.OutcomeNone]; n > 0 && c.Proto == packet.ProtoTCP {
		words = append(words, count(n)+" unknown")
	}
	if words == nil {
		return "-"
	}
	return strings.Join(words, ", ")
}

// note adds a line that is cut to the terminal.
func (t *Writer) note(b *strings.Builder, format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if t.config.Width > 0 {
		line = width.Truncate(line, t.config.Width, "…")
	}
	b.WriteString(line + "\n")
}

// heading begins a part below a table.
func (t *Writer) heading(b *strings.Builder, title string) {
	if t.config.Width > 0 {
		title = width.Truncate(title, t.config.Width, "…")
	}
	b.WriteString("\n" + palette(t.config.Colour).bold(title) + "\n")
}

func plural[N int | int64 | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return count(n) + " " + noun + "s"
}
