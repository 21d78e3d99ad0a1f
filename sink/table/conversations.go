package table

import (
	"bytes"
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"mirrorscope/edge"
	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/packet"
	"mirrorscope/sink"
)

// Order is by what the conversations are sorted. All orders have the largest
// first, but for ByStart.
type Order uint8

const (
	ByBytes Order = iota
	ByPackets
	ByConnections
	ByHandshake   // 95th percentile of the round-trip time
	ByRetransmits // packets of both sides
	ByRTT         // median round trip
	ByResponse    // 95th percentile of the response time
	ByErrors
	ByStart // the earliest first
	numOrders
)

var orderNames = [numOrders]string{"bytes", "packets", "connections", "handshake", "retransmits", "rtt", "response", "errors", "start"}

func (o Order) String() string { return orderNames[o] }

// Orders lists the words that ParseOrder takes.
func Orders() []string { return orderNames[:] }

// ParseOrder reads one of Orders.
func ParseOrder(s string) (Order, error) {
	i := slices.Index(orderNames[:], s)
	if i < 0 {
		return 0, fmt.Errorf("%q is no order; take one of %s", s, strings.Join(orderNames[:], ", "))
	}
	return Order(i), nil
}

// fewSamples is the number of samples below which a high percentile is shown
// with its count.
const fewSamples = 20

func (t *Writer) conversations(b *strings.Builder, s *edge.Summary) {
	if len(s.Conversations) == 0 {
		b.WriteString("No conversations.\n")
		return
	}
	all := sorted(s.Conversations, t.config.Sort)
	shown := all
	if t.config.Limit > 0 && t.config.Limit < len(all) {
		shown = all[:t.config.Limit]
	}
	networks, points := false, false
	for _, c := range all {
		networks = networks || c.Network != all[0].Network
		points = points || !slices.Equal(c.Points, all[0].Points) || len(c.Points) > 1
	}

	g := grid{columns: []column{{title: "CLIENT → SERVER", least: 24, tail: true}}}
	if networks {
		g.columns = append(g.columns, column{title: "NETWORK", least: 8, drop: 2})
	}
	drop := func(rank int, sortedBy ...Order) int { // what the table is sorted by stays
		if slices.Contains(sortedBy, t.config.Sort) {
			return 0
		}
		return rank
	}
	g.columns = append(g.columns,
		column{title: "CONNS", right: true, drop: 7}, column{title: "BYTES →", right: true, drop: 10}, column{title: "← BYTES", right: true, drop: 11},
		column{title: "RETRANS", right: true, drop: drop(9, ByRetransmits)}, column{title: "RTT P50", right: true, drop: drop(8, ByRTT)},
		column{title: "RESPONSE P50", right: true, drop: drop(6, ByResponse)}, column{title: "P95", right: true, drop: drop(4, ByResponse)},
		column{title: "HANDSHAKE P50", right: true, drop: drop(5, ByHandshake)}, column{title: "P95", right: true, drop: drop(3, ByHandshake)},
	)
	if points {
		g.columns = append(g.columns, column{title: "POINTS", right: true, drop: 1})
	}
	g.columns = append(g.columns, column{title: "OUTCOMES", least: 9})

	few := false
	for _, c := range shown {
		cells := []string{ends(&c.Key)}
		if networks {
			cells = append(cells, clean(t.names.NetworkName(c.Network)))
		}
		cells = append(cells, count(c.Connections), octets(c.Sent[flow.Client].Bytes), octets(c.Sent[flow.Server].Bytes), repeats(c), roundTrip(c))
		atMost := false
		response := &histogram.Histogram{}
		if c.Times != nil {
			response, atMost = &c.Times.Response, c.Times.AtMost
		}
		for _, d := range []struct {
			h      *histogram.Histogram
			atMost bool
		}{{response, atMost}, {&c.Handshake, false}} {
			p50, p95 := percentiles(d.h, d.atMost)
			few = few || d.h.Count() > 0 && d.h.Count() < fewSamples
			cells = append(cells, p50, p95)
		}
		if points {
			cells = append(cells, strconv.Itoa(len(c.Points)))
		}
		g.add(c.Errors() > 0, append(cells, outcomes(c))...)
	}
	g.render(b, t.config.Width, palette(t.config.Colour))

	if hidden := all[len(shown):]; len(hidden) > 0 {
		total := int64(0)
		for _, c := range hidden {
			total += c.Bytes()
		}
		t.note(b, "… %s, %s: --limit 0 shows all", plural(len(hidden), "more conversation"), octets(total))
	}
	if o := &s.Other; o.Connections > 0 {
		t.note(b, "… %s, %s, of the smallest of too many conversations are in no line; a line may lack up to %s",
			plural(o.Connections, "connection"), octets(o.Bytes()), octets(s.Missing))
	}
	if few && slices.ContainsFunc(g.columns, func(c column) bool { return c.title == "P95" }) {
		t.note(b, "(n): only n were measured")
	}
}

// sorted gives the conversations in the order asked for. What is equal is in
// order of the key, so that the same input gives the same table.
func sorted(conversations []edge.Conversation, order Order) []*edge.Conversation {
	all := make([]*edge.Conversation, len(conversations))
	for i := range conversations {
		all[i] = &conversations[i]
	}
	p95 := func(h *histogram.Histogram) float64 {
		ns, ok := h.Quantile(0.95)
		if !ok {
			return -1
		}
		return ns
	}
	rtt := func(c *edge.Conversation) float64 {
		ns, _, ok := c.Times.PathRTT()
		if !ok {
			return -1
		}
		return ns
	}
	response := func(c *edge.Conversation) float64 {
		if c.Times == nil {
			return -1
		}
		return p95(&c.Times.Response)
	}
	retransmits := func(c *edge.Conversation) int64 {
		return c.Repeats[flow.Client].Packets + c.Repeats[flow.Server].Packets
	}
	slices.SortFunc(all, func(a, b *edge.Conversation) int {
		first := 0
		switch order {
		case ByPackets:
			first = cmp.Compare(b.Packets(), a.Packets())
		case ByConnections:
			first = cmp.Compare(b.Connections, a.Connections)
		case ByHandshake:
			first = cmp.Compare(p95(&b.Handshake), p95(&a.Handshake))
		case ByRetransmits:
			first = cmp.Compare(retransmits(b), retransmits(a))
		case ByRTT:
			first = cmp.Compare(rtt(b), rtt(a))
		case ByResponse:
			first = cmp.Compare(response(b), response(a))
		case ByErrors:
			first = cmp.Compare(b.Errors(), a.Errors())
		case ByStart:
			first = cmp.Compare(a.First, b.First)
		}
		return cmp.Or(first, cmp.Compare(b.Bytes(), a.Bytes()), compareKeys(&a.Key, &b.Key))
	})
	return all
}

func compareKeys(a, b *edge.Key) int {
	return cmp.Or(
		cmp.Compare(a.Network, b.Network), bytes.Compare(a.Client[:], b.Client[:]), bytes.Compare(a.Server[:], b.Server[:]),
		cmp.Compare(a.Port, b.Port), cmp.Compare(a.Proto, b.Proto),
	)
}

// ends names the two sides of a conversation and its protocol.
func ends(k *edge.Key) string {
	server := k.Server.IP().String()
	if k.HasPort {
		server = netip.AddrPortFrom(k.Server.IP(), k.Port).String()
	}
	return k.Client.IP().String() + " → " + server + " " + string(sink.AppendProtocol(nil, k.Proto))
}

// percentiles gives the median and the 95th percentile of durations. What was
// not measured is not short.
func percentiles(h *histogram.Histogram, atMost bool) (p50, p95 string) {
	median, ok := h.Quantile(0.5)
	if !ok {
		return "-", "-"
	}
	high, _ := h.Quantile(0.95)
	p50, p95 = bound(span(median), atMost, "≤ "), bound(span(high), atMost, "≤ ")
	if n := h.Count(); n < fewSamples {
		p95 += fmt.Sprintf(" (%d)", n)
	}
	return p50, p95
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

func plural[N int | int64 | uint64](n N, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return count(n) + " " + noun + "s"
}
