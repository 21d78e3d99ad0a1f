package live

import (
	"bytes"
	"cmp"
	"slices"

	"mirrorscope/edge"
	"mirrorscope/flow"
)

// Top is what all conversations did in the window. It is immutable once it was
// given out.
type Top struct {
	Type     string `json:"type"`        // "top"
	Start    Moment `json:"start"`       // of the window, as far as the sensor has been running
	End      Moment `json:"end"`         // …
	Interval Micros `json:"interval_us"` // until the next one
	Sampled  uint16 `json:"sampled"`     // one of so many connections was measured; what is left out is in no row

	Conversations int   `json:"conversations"` // in the window, those in Other left out
	Rows          []Row `json:"rows"`
	Other         *Row  `json:"other,omitempty"` // all conversations that found no place, without ends

	Volume    Volume  `json:"sent"`                 // of all, both sides
	Missed    int64   `json:"missed_bytes"`         // of all
	LossRatio *Ratio  `json:"loss_ratio,omitempty"` // share of TCP's data that the capture missed
	Capture   Capture `json:"capture"`
}

// extra is what an edge.Conversation has no place for.
type extra struct {
	opened    int64
	closedFor [2]int64
}

// total sums the steps of the window. The result is a scratch.
func (t *Table) total(v *conversation) (*edge.Conversation, *extra) {
	c, x := new(edge.Conversation), new(extra)
	for _, b := range v.steps {
		if b == nil || b.step > t.now || t.left(b.step) {
			continue
		}
		for i := range b.sent {
			c.Sent[i] = flow.Volume{
				Packets: c.Sent[i].Packets + b.sent[i].Packets, Bytes: c.Sent[i].Bytes + b.sent[i].Bytes, PayloadBytes: c.Sent[i].PayloadBytes + b.sent[i].PayloadBytes,
			}
			c.Recorded[i] += b.recorded[i]
			c.Missed[i] += b.missed[i]
			x.closedFor[i] += b.closedFor[i]
			addRepeats(&c.Repeats[i], &b.repeats[i])
		}
		c.Connections += b.connections
		x.opened += b.opened
		for i, n := range b.outcomes {
			c.Outcomes[i] += n
		}
		if b.start != 0 && (c.First == 0 || b.start < c.First) {
			c.First = b.start
		}
		c.Last = max(c.Last, b.last)
		c.Turns += b.turns
		c.Unmeasured += b.unmeasured
		c.Unasked += b.unasked
		b.spoken(c)
	}
	for i := range c.Sent {
		c.Recorded[i], c.Missed[i] = max(c.Recorded[i], 0), max(c.Missed[i], 0)
		x.closedFor[i] = max(x.closedFor[i], 0)
	}
	if c.First == 0 {
		c.First = c.Last
	}
	return c, x
}

// spoken adds what was said and sampled in a step.
func (b *bucket) spoken(c *edge.Conversation) {
	if b.handshake != nil {
		c.Handshake.Merge(b.handshake)
	}
	if o := b.times; o != nil {
		if c.Times == nil {
			c.Times = new(edge.Times)
		}
		for i := range o.RTT {
			c.Times.RTT[i].Merge(&o.RTT[i])
			c.Times.Delayed[i].Merge(&o.Delayed[i])
		}
		c.Times.Response.Merge(&o.Response)
		c.Times.AtMost = c.Times.AtMost || o.AtMost
		c.Times.Doubtful = c.Times.Doubtful || o.Doubtful
	}
	if o := b.tls; o != nil {
		if c.TLS == nil {
			c.TLS = new(edge.TLS)
		}
		c.TLS.Connections += o.Connections
		c.TLS.QUIC += o.QUIC
		c.TLS.Resumed += o.Resumed
		c.TLS.Unmeasured += o.Unmeasured
		for i, n := range o.Outcomes {
			c.TLS.Outcomes[i] += n
		}
		c.TLS.Total.Merge(&o.Total)
		c.TLS.Perceived.Merge(&o.Perceived)
	}
	if b.http != nil {
		if c.HTTP == nil {
			c.HTTP = new(edge.HTTP)
		}
		addHTTP(c.HTTP, b.http)
	}
	if b.dns != nil {
		if c.DNS == nil {
			c.DNS = new(edge.DNS)
		}
		addDNS(c.DNS, b.dns)
		c.DNS.Time.Merge(&b.dns.Time)
	}
}

// Top sums the window up. rows bounds the conversations in it, 0 is all: then it
// has those that are among the first rows by any order.
func (t *Table) Top(rows int) *Top {
	t.settle()
	top := &Top{Type: "top", Interval: Micros(t.length), Sampled: max(t.weight, 1), Capture: t.health.capture(), Rows: []Row{}}
	if t.now == noStep {
		top.Capture.judge(top)
		return top
	}
	first := max(t.first, t.now-t.steps+1)
	covered := max(t.now-first+1, 0) * t.length
	top.Start, top.End = Moment(first*t.length), Moment((t.now+1)*t.length)
	all := make([]*conversation, 0, t.conversations.n)
	for _, v := range t.conversations.all[1:] {
		if v.known {
			all = append(all, v)
		}
	}
	slices.SortFunc(all, func(a, b *conversation) int { return compareKeys(&a.key, &b.key) })
	recorded := int64(0)
	sum := func(r *Row) {
		for _, v := range [...]*Volume{&r.ClientSent, &r.ServerSent} {
			top.Volume.Packets += v.Packets
			top.Volume.Bytes += v.Bytes
			top.Volume.Payload += v.Payload
		}
	}
	for _, v := range all {
		if r := t.row(&v.key, v, covered); r != nil {
			top.Rows = append(top.Rows, *r)
			sum(r)
		}
		for _, b := range v.steps {
			if b != nil && b.step <= t.now && !t.left(b.step) {
				top.Missed += b.missed[0] + b.missed[1]
				recorded += b.recorded[0] + b.recorded[1]
			}
		}
	}
	top.Conversations = len(top.Rows)
	if r := t.row(&edge.Key{}, &t.other, covered); r != nil {
		r.Type, r.Network, r.Protocol, r.Client, r.Server = "other", "", "", End{}, End{}
		top.Other = r
		sum(r)
	}
	top.Missed = max(top.Missed, 0)
	if all := top.Missed + max(recorded, 0); all > 0 {
		top.LossRatio = new(Ratio(float64(top.Missed) / float64(all)))
	}
	top.Capture.judge(top)
	if rows > 0 {
		top.Rows = selected(top.Rows, rows)
	}
	return top
}

// compareKeys orders what is equal else; no two keys are.
func compareKeys(a, b *edge.Key) int {
	return cmp.Or(
		cmp.Compare(a.Network, b.Network), bytes.Compare(a.Client[:], b.Client[:]), bytes.Compare(a.Server[:], b.Server[:]),
		cmp.Compare(a.Port, b.Port), cmp.Compare(a.Proto, b.Proto), compareBools(a.HasPort, b.HasPort),
	)
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
