package edge

import (
	"bytes"
	"cmp"
	"slices"

	"mirrorscope/dnsmeta"
	"mirrorscope/packet"
)

// Names sums DNS queries by server, name and type.
type Names struct {
	Other dnsmeta.Counts // of queries that found no row, or without a question

	heavy[nameKey, NameRow]
}

type nameKey struct {
	network packet.NetworkID
	server  packet.Addr
	proto   dnsmeta.Protocol
	name    string
	typ     uint16
}

// NameRow is one name and type at one server.
type NameRow struct {
	Network  packet.NetworkID
	Server   packet.Addr
	Protocol dnsmeta.Protocol
	dnsmeta.Name
}

func newNames(limit int) *Names {
	t := &Names{}
	t.heavy = newHeavy[nameKey](limit,
		func(r *NameRow) (n, errors int64) { return r.Queries, DNSErrors(&r.Counts) },
		func(r *NameRow) { addCounts(&t.Other, &r.Counts) })
	return t
}

func (t *Names) add(c *connection) {
	i := c.talk.DNS
	if i == nil {
		return
	}
	for k := range i.Names {
		n := &i.Names[k]
		r, isNew := t.get(nameKey{c.key.Network, c.key.Server, i.Protocol, n.Name, n.Type})
		if isNew {
			*r = NameRow{Network: c.key.Network, Server: c.key.Server, Protocol: i.Protocol, Name: dnsmeta.Name{Name: n.Name, Type: n.Type}}
		}
		addCounts(&r.Counts, &n.Counts)
		merge(&r.Time, &n.Time)
	}
	addCounts(&t.Other, &i.Other)
}

// Lack is the most queries that a row may lack, because it had no room before.
func (t *Names) Lack() int64 { return t.lack }

func addCounts(c, o *dnsmeta.Counts) {
	c.Queries += o.Queries
	c.Repeats += o.Repeats
	c.Responses += o.Responses
	c.NXDOMAIN += o.NXDOMAIN
	c.SERVFAIL += o.SERVFAIL
	c.OtherErr += o.OtherErr
	c.Truncated += o.Truncated
	c.Timeouts += o.Timeouts
}

// DNSErrors is how many queries got no answer, or that the server failed.
func DNSErrors(c *dnsmeta.Counts) int64 { return c.SERVFAIL + c.OtherErr + c.Timeouts }

// Rows lends the rows in an order.
func (t *Names) Rows(order Order) []*NameRow {
	rows := t.list()
	rate := func(r *NameRow) float64 {
		known := min(r.Responses+r.Timeouts, r.Queries)
		if known <= 0 {
			return notKnown
		}
		return float64(DNSErrors(&r.Counts)) / float64(known)
	}
	slices.SortFunc(rows, func(a, b *NameRow) int {
		first := 0
		switch order {
		case ByErrors:
			first = cmp.Compare(DNSErrors(&b.Counts), DNSErrors(&a.Counts))
		case ByErrorRate:
			first = cmp.Compare(rate(b), rate(a))
		case ByResponse:
			first = cmp.Compare(p95(&b.Time), p95(&a.Time))
		}
		return cmp.Or(
			first, cmp.Compare(b.Queries, a.Queries), bytes.Compare(a.Server[:], b.Server[:]), cmp.Compare(a.Network, b.Network),
			cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.Name.Name, b.Name.Name), cmp.Compare(a.Type, b.Type),
		)
	})
	return rows
}
