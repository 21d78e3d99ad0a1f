package live

import (
	"cmp"
	"slices"

	"mirrorscope/edge"
)

// Orders lists by what rows can be sorted, the usual one first.
func Orders() []edge.Order {
	return []edge.Order{
		edge.ByBytes, edge.ByPackets, edge.ByConnections, edge.ByRequests, edge.ByErrors, edge.ByErrorRate,
		edge.ByRetransmits, edge.ByRTT, edge.ByResponse, edge.ByHandshake, edge.ByTLS,
	}
}

// Sorted gives the rows in an order, the largest first; what is not known comes
// last, and what is equal by bytes, then as it stands.
func (t *Top) Sorted(o edge.Order, limit int) []*Row {
	rows := make([]*Row, len(t.Rows))
	for i := range t.Rows {
		rows[i] = &t.Rows[i]
	}
	value := valueOf(o)
	slices.SortStableFunc(rows, func(a, b *Row) int {
		return cmp.Or(cmp.Compare(value(b), value(a)), cmp.Compare(b.Bytes(), a.Bytes()))
	})
	if limit > 0 && limit < len(rows) {
		rows = rows[:limit]
	}
	return rows
}

// notKnown is less than any value.
const notKnown = -1

// valueOf gives by what an order sorts.
func valueOf(o edge.Order) func(*Row) float64 {
	switch o {
	case edge.ByPackets:
		return func(r *Row) float64 { return float64(r.ClientSent.Packets + r.ServerSent.Packets) }
	case edge.ByConnections:
		return func(r *Row) float64 { return float64(r.Connections) }
	case edge.ByRequests:
		return func(r *Row) float64 {
			if r.Requests == nil {
				return notKnown
			}
			return float64(r.Requests.Requests)
		}
	case edge.ByErrors:
		return func(r *Row) float64 { return float64(r.Failures()) }
	case edge.ByErrorRate:
		return func(r *Row) float64 {
			if r.Requests == nil || r.Requests.ErrorRatio == nil {
				return notKnown
			}
			return float64(*r.Requests.ErrorRatio)
		}
	case edge.ByRetransmits:
		return func(r *Row) float64 {
			n, ok := r.Repeated()
			if !ok {
				return notKnown
			}
			return float64(n)
		}
	case edge.ByRTT:
		return func(r *Row) float64 {
			if r.RTT == nil || r.RTT.P50 == nil {
				return notKnown
			}
			return float64(*r.RTT.P50)
		}
	case edge.ByResponse:
		return func(r *Row) float64 { return r.Response.p95() }
	case edge.ByHandshake:
		return func(r *Row) float64 { return r.Handshake.p95() }
	case edge.ByTLS:
		return func(r *Row) float64 { return r.AsClient().p95() }
	}
	return func(r *Row) float64 { return float64(r.Bytes()) }
}

func (t *Times) p95() float64 {
	if t == nil {
		return notKnown
	}
	return float64(t.P95)
}

// Bytes is what both sides sent.
func (r *Row) Bytes() int64 { return r.ClientSent.Bytes + r.ServerSent.Bytes }

// Failures is the number of connections that ended in the window otherwise than
// by a close.
func (r *Row) Failures() (n int64) {
	for outcome, k := range r.Outcomes {
		if outcome != "closed" && outcome != "established" {
			n += k
		}
	}
	return n
}

// Repeated is how many packets both sides sent again. ok is false where it is
// not known of any.
func (r *Row) Repeated() (n int64, ok bool) {
	if r.Retransmits == nil {
		return 0, false
	}
	for _, x := range [...]*Repeats{r.Retransmits.Client, r.Retransmits.Server} {
		if x != nil {
			n, ok = n+x.Packets, true
		}
	}
	return n, ok
}

// AsClient is how long TLS handshakes took as the clients had them, where that is
// known of all; else at the observation point.
func (r *Row) AsClient() *Times {
	switch {
	case r.TLS == nil:
		return nil
	case r.TLS.Perceived != nil && r.TLS.Handshake != nil && r.TLS.Perceived.Samples == r.TLS.Handshake.Samples:
		return r.TLS.Perceived
	}
	return r.TLS.Handshake
}

// selected keeps the rows that are among the first n by any order, in their place.
func selected(rows []Row, n int) []Row {
	if len(rows) <= n {
		return rows
	}
	keep := make([]bool, len(rows))
	order := make([]int, len(rows))
	values := make([]float64, len(rows))
	for _, o := range Orders() {
		value := valueOf(o)
		for i := range rows {
			order[i], values[i] = i, value(&rows[i])
		}
		slices.SortStableFunc(order, func(a, b int) int {
			return cmp.Or(cmp.Compare(values[b], values[a]), cmp.Compare(rows[b].Bytes(), rows[a].Bytes()))
		})
		for _, i := range order[:n] {
			if values[i] > 0 { // nobody looks for the first of those that have none
				keep[i] = true
			}
		}
	}
	var kept []Row
	for i := range rows {
		if keep[i] {
			kept = append(kept, rows[i])
		}
	}
	return kept
}
