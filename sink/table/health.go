package table

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"mirrorscope/edge"
	"mirrorscope/flow"
	"mirrorscope/packet"
)

// maxPointLines bounds the observation points that the summary lists, and
// maxErrorLines the errors, so that it stays on one screen.
const (
	maxPointLines = 10
	maxErrorLines = 5
)

// found is what the lines of a view stand for.
type found struct {
	noun   string // of one of them
	n      int    // how many there are
	more   bool   // there are more
	joined int64  // records that were a further sight of a connection
}

// conversationsOf are those of a view.
func conversationsOf(s *edge.Summary) found {
	return found{"conversation", s.Len(), s.Other.Connections > 0, s.Joined}
}

// health says what came in, what of it was understood, and what a reader must
// know before trusting the figures. What is wrong has a "!" in front.
func (t *Writer) health(b *strings.Builder, s found, c *flow.Capture) {
	paint := palette(t.config.Colour)
	b.WriteString(paint.bold("CAPTURE") + "\n")
	fact := func(name, format string, args ...any) { t.note(b, "  %-13s %s", name, fmt.Sprintf(format, args...)) }
	wrong := 0
	warn := func(name, format string, args ...any) {
		wrong++
		var line strings.Builder
		t.note(&line, "! %-13s %s", name, fmt.Sprintf(format, args...))
		b.WriteString(paint.red(strings.TrimSuffix(line.String(), "\n")) + "\n")
	}

	if len(t.config.Input) > 0 {
		fact("input", "%s", input(t.config.Input))
	}
	if c.Packets > 0 {
		length := float64(c.Last) - float64(c.First) // hostile times are further apart than an int64 can tell
		fact("time", "%s (%s)", period(c.First, c.Last), span(length))
		speed := ""
		if length >= 1e9 {
			speed = fmt.Sprintf(", %s, %s", perSecond(float64(c.Packets)/length*1e9, "packets"), perSecond(float64(c.Bytes)*8/length*1e9, "bit"))
		}
		fact("packets", "%s, %s%s", count(c.Packets), octets(c.Bytes), speed)
	} else {
		fact("packets", "none")
	}
	fact("decoded", "%s (%s)", count(c.Decoded), percent(c.Decoded, c.Packets))
	if skipped := c.Packets - c.Decoded; skipped > 0 && skipped <= c.Packets {
		fact("skipped", "%s: %s", count(skipped), reasons(c))
	}
	more := ""
	if s.more {
		more = "more than "
	}
	fact("connections", "%s in %s%s", count(c.Connections), more, plural(s.n, s.noun))
	if s.joined > 0 {
		fact("", "%s seen at a further observation point, counted once", count(s.joined))
	}

	if c.Packets > 0 && c.Decoded == 0 {
		if c.Skipped[packet.Filtered] > 0 {
			warn("filter", "no packet matches --filter")
		} else {
			warn("decoded", "no packet could be read: see the reasons above")
		}
	}
	if len(c.UnknownLinks) > 0 {
		warn("link types", "not read: %s", links(c.UnknownLinks))
	}
	if c.MirrorDuplicates > 0 {
		warn("copies", "%s (%s of the decoded) came twice from the mirror and are not in the figures", plural(c.MirrorDuplicates, "packet"), percent(c.MirrorDuplicates, c.Decoded))
	}
	missed, recorded := int64(0), int64(0)
	for i := range c.Points {
		missed += c.Points[i].Missed
		recorded += c.Points[i].Recorded
	}
	if missed > 0 {
		warn("missed", "%s (%s) of TCP data was acknowledged and is not in the capture: packets were lost on their way to the sensor",
			octets(missed), percent(uint64(missed), uint64(missed+recorded)))
	}
	if c.Truncated > 0 {
		warn("cut", "%s (%s) captured in part: snap length or mirror MTU; volumes are right, contents are missing", plural(c.Truncated, "packet"), percent(c.Truncated, c.Decoded))
	}
	if n := c.Skipped[packet.FragmentIncomplete]; n > 0 {
		warn("fragments", "%s of IP packets whose rest is not in the capture", plural(n, "fragment"))
	}
	if c.Malformed > 0 {
		warn("malformed", "%s with a transport header that contradicts itself", plural(c.Malformed, "packet"))
	}
	if c.Stray > 0 {
		warn("stray", "%s of a connection that had ended, in no figure", plural(c.Stray, "packet"))
	}
	if c.CopiesForgotten > 0 {
		warn("memory", "%s forgotten before all copies could be told: raise --memory", plural(c.CopiesForgotten, "packet"))
	}
	if c.Unread > 0 {
		warn("memory", "%s of TLS, HTTP, DNS or QUIC not read, because the memory was full: raise --memory", plural(c.Unread, "piece"))
	}
	if c.PayloadShed > 0 {
		warn("overload", "payload of %s not looked at, because more came than could be measured", plural(c.PayloadShed, "packet"))
	}
	for _, l := range c.Losses {
		if l.Frames > 0 {
			warn("lost", "%s at %s", plural(l.Frames, "frame"), clean(l.Place))
		}
	}
	for i := range c.Points {
		if s := &c.Points[i].Sequence; s.Lost > 0 {
			warn("mirror", "%s of %s lost on their way from the mirror, by its own numbering", plural(s.Lost, "packet"), clean(t.names.PointName(c.Points[i].ID)))
		}
	}
	if c.ClockSteps > 0 {
		warn("clock", "went backwards %s; times across them are withheld", plural(c.ClockSteps, "time"))
	}
	if c.Evicted > 0 {
		warn("memory", "%s ended early, because the memory was full: raise --memory", plural(c.Evicted, "connection"))
	}
	if c.Uncompared > 0 {
		warn("counted twice", "up to %s: too many to compare between observation points", plural(c.Uncompared, "connection"))
	}
	for i, err := range c.Errors {
		if i == maxErrorLines {
			warn("", "… and %s more", plural(len(c.Errors)-i, "error"))
			break
		}
		warn("error", "%s", clean(err.Error()))
	}
	if wrong == 0 && c.Packets > 0 {
		fact("health", "nothing missed, cut, doubled or out of time")
	}
	if len(c.Points) > 1 || len(c.Points) == 1 && t.names.Point(c.Points[0].ID).Kind != packet.NoTunnel {
		b.WriteByte('\n')
		t.points(b, c.Points)
	}
}

// points lists the observation points, the busiest first.
func (t *Writer) points(b *strings.Builder, points []flow.PointCapture) {
	order := slices.Clone(points)
	slices.SortStableFunc(order, func(a, b flow.PointCapture) int { return cmp.Compare(b.Packets, a.Packets) })
	g := grid{columns: []column{
		{title: "OBSERVATION POINT", least: 20}, {title: "PACKETS", right: true}, {title: "BYTES", right: true}, {title: "COPIES", right: true}, {title: "SEES", least: 14},
	}}
	for i := range order[:min(len(order), maxPointLines)] {
		p := &order[i]
		sees := "both directions"
		if !p.BothDirections {
			sees = "one direction only"
		}
		g.add(p.DupMirror, clean(t.names.PointName(p.ID)), count(p.Packets), octets(p.Bytes), count(p.MirrorDuplicates), sees)
	}
	g.render(b, t.config.Width, palette(t.config.Colour))
	if more := len(order) - maxPointLines; more > 0 {
		t.note(b, "… %s more: --format json lists all", plural(more, "observation point"))
	}
}

// reasons lists why frames were skipped, the most frequent first.
func reasons(c *flow.Capture) string {
	type reason struct {
		name string
		n    uint64
	}
	var all []reason
	for s := packet.Held + 1; s < packet.NumSkips; s++ {
		if n := c.Skipped[s]; n > 0 {
			all = append(all, reason{s.String(), n})
		}
	}
	slices.SortStableFunc(all, func(a, b reason) int { return cmp.Compare(b.n, a.n) })
	words := make([]string, len(all))
	for i, r := range all {
		words[i] = count(r.n) + " " + r.name
	}
	return strings.Join(words, ", ")
}

func links(links map[string]uint64) string {
	var words []string
	for _, name := range slices.Sorted(maps.Keys(links)) {
		words = append(words, fmt.Sprintf("%s (%s)", clean(name), plural(links[name], "packet")))
	}
	return strings.Join(words, ", ")
}

// input names what was read, on one line.
func input(names []string) string {
	const most = 3
	list := make([]string, min(len(names), most))
	for i := range list {
		list[i] = clean(names[i])
	}
	line := strings.Join(list, ", ")
	if more := len(names) - most; more > 0 {
		line += fmt.Sprintf(" and %s more", count(more))
	}
	return line
}

// period names two moments, and the day of the second one only if it is another.
func period(first, last int64) string {
	from, to := time.Unix(0, first).UTC(), time.Unix(0, last).UTC()
	end := "15:04:05 UTC"
	if from.Format(time.DateOnly) != to.Format(time.DateOnly) {
		end = "2006-01-02 " + end
	}
	return from.Format("2006-01-02 15:04:05") + " to " + to.Format(end)
}
