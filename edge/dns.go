package edge

import (
	"cmp"
	"slices"

	"mirrorscope/dnsmeta"
)

// DNSErrors is how many queries got no answer, or that the server failed.
func DNSErrors(c *dnsmeta.Counts) int64 { return c.SERVFAIL + c.OtherErr + c.Timeouts }

// DNSRows gives the rows of a table in an order.
func DNSRows(t *dnsmeta.Table, order Order) []*dnsmeta.Row {
	rows := t.Rows() // by queries
	rate := func(r *dnsmeta.Row) float64 { return float64(DNSErrors(&r.Counts)) / float64(max(r.Queries, 1)) }
	slices.SortStableFunc(rows, func(a, b *dnsmeta.Row) int {
		switch order {
		case ByErrors:
			return cmp.Compare(DNSErrors(&b.Counts), DNSErrors(&a.Counts))
		case ByErrorRate:
			return cmp.Compare(rate(b), rate(a))
		case ByResponse:
			return cmp.Compare(p95(&b.Time), p95(&a.Time))
		}
		return 0
	})
	return rows
}
