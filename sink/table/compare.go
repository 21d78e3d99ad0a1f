package table

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"mirrorscope/edge/group"
	"mirrorscope/histogram"
	"mirrorscope/sink"
	"mirrorscope/tcp"
)

// pair is a row after a cut and the same before it; either may be missing.
type pair struct{ now, before *sink.Grouped }

func (p *pair) row() *sink.Grouped {
	if p.now != nil {
		return p.now
	}
	return p.before
}

// What of a pair is a change worth a sentence.
const (
	moreErrors = 0.01 // share of the requests
	slower     = 1.25 // ratio of the 95th percentiles of response times
	slowerByNs = 1e6  // ns
)

// compare shows what was before a cut and what is now side by side.
func (g *Groups) compare(t *Writer, b *strings.Builder) {
	pairs, hidden := g.pairs()
	if len(pairs) == 0 {
		b.WriteString("No conversations.\n")
		return
	}
	l := &groupGrid{order: g.config.Sort}
	l.who(g)
	for _, c := range [...]column{
		{title: "PER MIN", right: true}, {title: "WAS", right: true, drop: 7}, {title: "ERRORS", right: true}, {title: "WAS", right: true, drop: 8},
		{title: "RESPONSE P50", right: true, drop: 5}, {title: "WAS", right: true, drop: 4}, {title: "RESPONSE P95", right: true}, {title: "WAS", right: true, drop: 9},
		{title: "CHANGE", right: true}, {title: "RTT P50", right: true, drop: 3}, {title: "WAS", right: true, drop: 2}, {title: "RESENT", right: true, drop: 6}, {title: "WAS", right: true, drop: 1},
		{title: "VERDICT", least: 16},
	} {
		l.columns = append(l.columns, c)
	}
	few := false
	for i := range pairs {
		p := &pairs[i]
		verdict := "gone"
		if p.now != nil {
			verdict = short(&p.now.Verdict)
		}
		now50, now95 := responses(p.now)
		was50, was95 := responses(p.before)
		few = few || strings.HasSuffix(now95, ")") || strings.HasSuffix(was95, ")")
		cells := append(l.cells(p.row()), cell(p.now, perMinute), cell(p.before, perMinute), cell(p.now, errors), cell(p.before, errors),
			now50, was50, now95, was95, p.change(), cell(p.now, tripOf), cell(p.before, tripOf), cell(p.now, resent), cell(p.before, resent), verdict)
		l.add(p.now != nil && p.now.Errors() > 0, cells...)
	}
	l.render(b, g.config.Width, palette(g.config.Colour))
	if hidden > 0 {
		t.note(b, "… %s: --limit 0 shows all", plural(hidden, "more row"))
	}
	if few {
		t.note(b, "(n): only n were measured")
	}
	first, last := g.windows[0], g.windows[len(g.windows)-1]
	switch {
	case first != last:
		t.note(b, "now: %s to %s; was: %s to %s", moment(last.Start), moment(last.End), moment(first.Start), moment(first.End))
		g.changes(t, b, pairs)
	case first.Start < g.cut:
		t.note(b, "nothing to compare: the capture ends at %s, before %s", moment(first.End), moment(g.cut))
	default:
		t.note(b, "nothing to compare: the capture begins at %s, and --since is %s", moment(first.Start), moment(g.cut))
	}
}

func moment(ns int64) string { return time.Unix(0, ns).UTC().Format("2006-01-02 15:04:05") }

// pairs gives the rows in the order of what is now, and then those that are gone.
func (g *Groups) pairs() (pairs []pair, hidden int) {
	before := map[string]*group.Row{}
	var was, now *group.Window
	for _, w := range g.windows {
		if w.Start < g.cut {
			was = w
			for _, r := range w.Rows {
				before[strings.Join(r.Values, "\x00")] = r
			}
		} else {
			now = w
		}
	}
	if now != nil {
		for _, r := range now.Sorted(g.config.Sort, 0) {
			p := pair{now: sink.GroupedOf(now, r)}
			key := strings.Join(r.Values, "\x00")
			if o := before[key]; o != nil {
				p.before = sink.GroupedOf(was, o)
				delete(before, key)
			}
			pairs = append(pairs, p)
		}
	}
	if was != nil {
		for _, r := range was.Sorted(g.config.Sort, 0) {
			if before[strings.Join(r.Values, "\x00")] != nil {
				pairs = append(pairs, pair{before: sink.GroupedOf(was, r)})
			}
		}
	}
	if g.config.Limit > 0 && len(pairs) > g.config.Limit {
		hidden = len(pairs) - g.config.Limit
		pairs = pairs[:g.config.Limit]
	}
	for _, w := range [...]*group.Window{now, was} {
		if w != nil && w.Other != nil && hidden == 0 {
			hidden = 1
		}
	}
	return pairs, hidden
}

func cell(x *sink.Grouped, of func(*sink.Grouped) string) string {
	if x == nil {
		return "-"
	}
	return of(x)
}

func errors(x *sink.Grouped) string { return errorRate(x.Conversation) }
func tripOf(x *sink.Grouped) string { return roundTrip(x.Conversation) }

func responses(x *sink.Grouped) (p50, p95 string) {
	if x == nil {
		return "-", "-"
	}
	cells := quantiles(x.Response())
	return cells[0], cells[1]
}

// resent is the share of the payload that was sent again.
func resent(x *sink.Grouped) string {
	ratio, ok := resentRatio(x)
	if !ok {
		return "-"
	}
	return percentOf(ratio)
}

func resentRatio(x *sink.Grouped) (ratio float64, ok bool) {
	bytes, of := int64(0), int64(0)
	for side := range x.Conversation.Repeats {
		r := &x.Conversation.Repeats[side]
		bytes, of = bytes+r.Bytes, of+r.Payload
	}
	if of <= 0 {
		return 0, false
	}
	return float64(max(bytes, 0)) / float64(of), true
}

// change tells how the 95th percentile of the response times has changed.
func (p *pair) change() string {
	now, before, ok := p.slow()
	switch {
	case p.before == nil:
		return "new"
	case p.now == nil:
		return "gone"
	case !ok:
		return "-"
	}
	return changed(now, before)
}

// slow gives the 95th percentiles of the response times, ns.
func (p *pair) slow() (now, before float64, ok bool) {
	if p.now == nil || p.before == nil {
		return 0, 0, false
	}
	a, _ := p.now.Response()
	b, _ := p.before.Response()
	now, ok = a.Quantile(0.95)
	before, was := b.Quantile(0.95)
	return now, before, ok && was && before > 0
}

// changed gives a ratio: +12 %, or ×3.4.
func changed(now, before float64) string {
	ratio := now / before
	switch {
	case ratio >= 1.995:
		return "×" + three(ratio)
	case ratio > 0 && ratio <= 1/1.995:
		return "÷" + three(1/ratio)
	}
	percent := math.Round(100 * (ratio - 1))
	switch {
	case percent > 0:
		return fmt.Sprintf("+%.0f %%", percent)
	case percent < 0:
		return fmt.Sprintf("−%.0f %%", -percent)
	}
	return "same"
}

// changes tells in a sentence each what has become worse.
func (g *Groups) changes(t *Writer, b *strings.Builder, pairs []pair) {
	type worse struct {
		*pair
		weight float64 // of the requests, how many feel it
	}
	var all []worse
	for i := range pairs {
		if w := pairs[i].worse(); w > 0 {
			all = append(all, worse{&pairs[i], w})
		}
	}
	if len(all) == 0 {
		t.heading(b, "NOTHING BECAME WORSE")
		t.note(b, "  response times, errors and requests are about what they were, or too few to tell")
		return
	}
	slices.SortStableFunc(all, func(a, b worse) int { return cmp.Compare(b.weight, a.weight) })
	t.heading(b, "WHAT BECAME WORSE")
	for _, w := range all[:min(len(all), maxVerdictLines)] {
		t.note(b, "  %s", g.who(w.row().Row))
		for i, line := range wrap(w.sentence(), t.config.Width-6) {
			t.note(b, "    %s%s", strings.Repeat("  ", min(i, 1)), line)
		}
		if w.now != nil {
			t.sentence(b, &w.now.Verdict)
			for k := range w.now.Verdict.Also {
				t.sentence(b, &w.now.Verdict.Also[k])
			}
		}
	}
	if more := len(all) - maxVerdictLines; more > 0 {
		t.note(b, "  … and %s", plural(more, "more row"))
	}
}

// worse weighs what has become worse; 0: nothing, or too little to tell.
func (p *pair) worse() (weight float64) {
	if p.now == nil || p.before == nil {
		return 0
	}
	requests := float64(p.now.Requests())
	now, okNow := p.now.ErrorRate()
	before, okBefore := p.before.ErrorRate()
	if okNow && okBefore && now-before >= moreErrors && p.now.RequestErrors() >= 3 {
		weight += requests * (now - before)
	}
	if a, b, ok := p.slow(); ok && p.timed() && a >= slower*b && a-b >= slowerByNs {
		weight += requests * 0.05 * math.Log2(a/b)
	}
	return weight
}

// timed tells whether there are enough response times for a percentile.
func (p *pair) timed() bool {
	enough := func(h *histogram.Histogram, _ tcp.State) bool { return h.Count() >= fewSamples }
	return enough(p.now.Response()) && enough(p.before.Response())
}

// sentence tells what has changed, with figures.
func (p *pair) sentence() string {
	var words []string
	if now, before, ok := p.slow(); ok {
		words = append(words, fmt.Sprintf("response p95 %s → %s (%s)", span(before), span(now), changed(now, before)))
	}
	if now, ok := p.now.ErrorRate(); ok {
		if before, ok := p.before.ErrorRate(); ok && max(now, before) > 0 {
			words = append(words, fmt.Sprintf("errors %s → %s", percentOf(before), percentOf(now)))
		}
	}
	if now, ok := rateOf(p.now); ok {
		if before, ok := rateOf(p.before); ok {
			words = append(words, fmt.Sprintf("%s → %s requests a minute", minutely(before), minutely(now)))
		}
	}
	if now, atMost, ok := p.now.Conversation.Times.PathRTT(); ok && !atMost {
		if before, atMost, ok := p.before.Conversation.Times.PathRTT(); ok && !atMost {
			words = append(words, fmt.Sprintf("round trip %s → %s", span(before), span(now)))
		}
	}
	if now, ok := resentRatio(p.now); ok {
		if before, ok := resentRatio(p.before); ok && max(now, before) > 0.001 {
			words = append(words, fmt.Sprintf("sent again %s → %s", percentOf(before), percentOf(now)))
		}
	}
	return strings.Join(words, ", ")
}
