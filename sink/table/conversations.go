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
	ByHandshake // 95th percentile of the round-trip time
	ByErrors
	ByStart // the earliest first
	numOrders
)

var orderNames = [numOrders]string{"bytes", "packets", "connections", "handshake", "errors", "start"}

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

// fewSamples is the number of handshakes below which a percentile is shown with
// its count.
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
	g.columns = append(g.columns,
		column{title: "CONNS", right: true}, column{title: "BYTES →", right: true}, column{title: "← BYTES", right: true},
		column{title: "HANDSHAKE P50", right: true}, column{title: "P95", right: true, drop: 3},
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
		p50, p95 := handshake(c)
		few = few || c.Handshake.Count() > 0 && c.Handshake.Count() < fewSamples
		cells = append(cells, count(c.Connections), octets(c.Sent[flow.Client].Bytes), octets(c.Sent[flow.Server].Bytes), p50, p95)
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
	if few {
		t.note(b, "(n): only n handshakes were measured")
	}
}

// sorted gives the conversations in the order asked for. What is equal is in
// order of the key, so that the same input gives the same table.
func sorted(conversations []edge.Conversation, order Order) []*edge.Conversation {
	all := make([]*edge.Conversation, len(conversations))
	for i := range conversations {
		all[i] = &conversations[i]
	}
	p95 := func(c *edge.Conversation) float64 {
		ns, ok := c.Handshake.Quantile(0.95)
		if !ok {
			return -1
		}
		return ns
	}
	slices.SortFunc(all, func(a, b *edge.Conversation) int {
		first := 0
		switch order {
		case ByPackets:
			first = cmp.Compare(b.Packets(), a.Packets())
		case ByConnections:
			first = cmp.Compare(b.Connections, a.Connections)
		case ByHandshake:
			first = cmp.Compare(p95(b), p95(a))
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

// handshake gives the median and the 95th percentile of the handshake's
// round-trip time. One that was not measured is not a short one.
func handshake(c *edge.Conversation) (p50, p95 string) {
	median, ok := c.Handshake.Quantile(0.5)
	if !ok {
		return "-", "-"
	}
	high, _ := c.Handshake.Quantile(0.95)
	p50, p95 = span(median), span(high)
	if n := c.Handshake.Count(); n < fewSamples {
		p95 += fmt.Sprintf(" (%d)", n)
	}
	return p50, p95
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
