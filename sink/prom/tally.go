package prom

import (
	"sync"

	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/tcp"
)

// Totals sum what all connections did since the sensor was started. As in the
// capture record, a connection that several observation points record counts at
// each of them. Durations are those that were measured, and none that are only
// bounded or doubtful.
type Totals struct {
	Opened uint64                   // connections whose first packet was recorded
	Ended  [flow.NumOutcomes]uint64 // connections that ended, by how they went

	Handshake histogram.Histogram    // round trip of the TCP handshake
	RTT       [2]histogram.Histogram // samples between the observation point and client, server
	TLS       histogram.Histogram    // TLS, DTLS and QUIC, at the observation point
	Response  histogram.Histogram    // time to think of the servers
}

// Tally makes Totals from records. One goroutine adds, any may ask.
type Tally struct {
	mu     sync.Mutex
	totals Totals
	spread tcp.Spread
}

// Add takes the records of a sensor, intervals and whole connections, as they
// come. It keeps nothing of them.
func (t *Tally) Add(records []*flow.Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range records {
		t.totals.add(records[i], &t.spread)
	}
}

// Totals gives a copy.
func (t *Tally) Totals() *Totals {
	t.mu.Lock()
	defer t.mu.Unlock()
	x := Totals{Opened: t.totals.Opened, Ended: t.totals.Ended}
	for i, from := range t.totals.all() {
		*x.all()[i] = *from.Clone()
	}
	return &x
}

func (x *Totals) all() [5]*histogram.Histogram {
	return [...]*histogram.Histogram{&x.Handshake, &x.RTT[flow.Client], &x.RTT[flow.Server], &x.TLS, &x.Response}
}

func (x *Totals) add(r *flow.Record, spread *tcp.Spread) {
	if r.Kind == flow.Connection {
		x.Ended[r.Outcome]++
		if q := r.QUIC; q != nil && !q.Handshake.Bounded && !q.Handshake.Ambiguous && q.Handshake.Total != tcp.Absent {
			x.TLS.Add(q.Handshake.Total) // which no interval tells
		}
		return
	}
	if r.Start >= r.IntervalStart && r.Start < r.IntervalEnd {
		x.Opened++
	}
	if r.HasHandshake && r.Handshake.State == tcp.Measured && r.Handshake.RTT != tcp.Absent {
		x.Handshake.Add(r.Handshake.RTT)
	}
	if d := r.Times(spread); d != nil {
		for side := range d.RTT {
			merge(&x.RTT[side], d.RTT[side])
		}
		if r.TCP.Response.State == tcp.Measured {
			merge(&x.Response, d.Think)
		}
	}
	if r.TLS != nil && r.TLS.Handshake.State == tcp.Measured && r.TLS.Handshake.Total != tcp.Absent {
		x.TLS.Add(r.TLS.Handshake.Total)
	}
}

func merge(into, h *histogram.Histogram) {
	if h != nil {
		into.Merge(h)
	}
}
