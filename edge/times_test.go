package edge

import (
	"math/rand/v2"
	"testing"

	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/packet"
	"mirrorscope/tcp"
)

func dist(values ...int64) *histogram.Histogram {
	var h histogram.Histogram
	for _, v := range values {
		h.Add(v)
	}
	return &h
}

// timed is a connection with n samples of each half and of response times.
func timed(p packet.PointID, port uint16, client, server, think int64, n int) flow.Record {
	r := at(p, record(port, int64(port)*second, int64(port)*second+second))
	r.HasTCP = true
	d := &tcp.Distributions{RTT: [2]*histogram.Histogram{dist(), dist()}, Think: dist()}
	for range n {
		d.RTT[0].Add(client)
		d.RTT[1].Add(server)
		d.Think.Add(think)
	}
	r.Distributions = d
	r.TCP.Response.State = tcp.Measured
	return r
}

func near(got float64, want int64) bool {
	return got > 0.989*float64(want) && got < 1.011*float64(want)
}

// The median of a conversation is that of all samples, not of the medians of
// its connections.
func TestTimesAreMerged(t *testing.T) {
	c := one(t, fold(DefaultConfig(), timed(1, 1, 1e6, 2e6, 10e6, 99), timed(1, 2, 5e6, 9e6, 90e6, 1), timed(1, 3, 5e6, 9e6, 90e6, 1)))
	if ns, atMost, ok := c.Times.PathRTT(); !ok || atMost || !near(ns, 3e6) {
		t.Errorf("round trip %v, at most %v, %v; want 3 ms", ns, atMost, ok)
	}
	if p50, _ := c.Times.Response.Quantile(0.5); !near(p50, 10e6) || c.Times.Response.Count() != 101 || c.Times.AtMost {
		t.Errorf("response %v of %d", p50, c.Times.Response.Count())
	}
}

// One point is near the client, the other near the server. Whatever is seen
// first or more of, halves of unlike points are not added up.
func TestHalvesOfOnePoint(t *testing.T) {
	var records []flow.Record
	for port := range uint16(20) {
		a, b := timed(1, port, 1e4, 5e6, 2e6, 3+int(port)%3), timed(2, port, 5e6, 1e4, 2e6, 4)
		if port%2 == 0 {
			a, b = b, a
		}
		records = append(records, a, b)
	}
	c := one(t, fold(DefaultConfig(), records...))
	if ns, _, ok := c.Times.PathRTT(); !ok || !near(ns, 5.01e6) {
		t.Errorf("round trip %v, %v; want 5.01 ms", ns, ok)
	}
	if p50, _ := c.Times.RTT[flow.Client].Quantile(0.5); !near(p50, 1e4) {
		t.Errorf("client half %v: not all of point 1", p50)
	}
}

// A point that has both halves is better than one that has the first number.
func TestBothHalvesAreBetter(t *testing.T) {
	half, whole := timed(1, 1, 1e6, 1e6, 1e6, 5), timed(2, 1, 3e6, 4e6, 1e6, 5)
	half.Distributions.RTT[1] = nil
	for _, order := range [][]flow.Record{{half, whole}, {whole, half}} {
		if ns, _, ok := one(t, fold(DefaultConfig(), order...)).Times.PathRTT(); !ok || !near(ns, 7e6) {
			t.Errorf("round trip %v, %v; want 7 ms", ns, ok)
		}
	}
	if _, _, ok := one(t, fold(DefaultConfig(), half)).Times.PathRTT(); ok {
		t.Error("half a path has a round trip")
	}
}

func TestDelayedIsAnUpperBound(t *testing.T) {
	r := timed(1, 1, 1e6, 2e6, 3e6, 5)
	r.Distributions.RTT[1], r.Distributions.Delayed[1] = nil, dist(40e6)
	r.TCP.Response.State = tcp.Bounded
	c := one(t, fold(DefaultConfig(), r))
	if ns, atMost, ok := c.Times.PathRTT(); !ok || !atMost || !near(ns, 41e6) {
		t.Errorf("round trip %v, at most %v, %v; want at most 41 ms", ns, atMost, ok)
	}
	if !c.Times.AtMost {
		t.Error("response times without a base are no bounds")
	}
}

// Where the points disagree on the roles, halves and repeats follow the better
// proof, and what the wrong one took for think time is dropped.
func TestRolesOfTimesAndRepeats(t *testing.T) {
	right, wrong := timed(2, 1, 1e6, 4e6, 7e6, 5), timed(1, 1, 4e6, 1e6, 99e6, 5)
	wrong.Ends[0], wrong.Ends[1] = wrong.Ends[1], wrong.Ends[0]
	wrong.Sent[0], wrong.Sent[1] = wrong.Sent[1], wrong.Sent[0]
	wrong.Direction = flow.DirOrder
	for i := range 2 {
		right.TCP.Sides[i].Retransmits = tcp.Retransmits{State: tcp.Measured, Packets: int64(1 + i)}
		wrong.TCP.Sides[i].Retransmits = tcp.Retransmits{State: tcp.Measured, Packets: int64(2 - i)}
	}
	for _, order := range [][]flow.Record{{right, wrong}, {wrong, right}} {
		c := one(t, fold(DefaultConfig(), order...))
		client, _ := c.Times.RTT[flow.Client].Quantile(0.5)
		server, _ := c.Times.RTT[flow.Server].Quantile(0.5)
		if !near(client, 1e6) || !near(server, 4e6) || c.Times.Response.Max() >= 99e6 {
			t.Errorf("halves %v and %v, response up to %d", client, server, c.Times.Response.Max())
		}
		if c.Repeats[flow.Client].Packets != 1 || c.Repeats[flow.Server].Packets != 2 {
			t.Errorf("repeats %+v", c.Repeats)
		}
	}
}

// Repeats are those of the point whose volume counts; unknown is not none.
func TestRepeats(t *testing.T) {
	more, less := record(1, 0, second), at(2, record(1, 0, second))
	more.HasTCP, less.HasTCP = true, true
	more.Sent[flow.Client] = flow.Volume{Packets: 9, Bytes: 900, PayloadBytes: 540}
	more.TCP.Sides[flow.Client].Retransmits = tcp.Retransmits{State: tcp.Measured, Packets: 3, Bytes: 180}
	less.TCP.Sides[flow.Client].Retransmits = tcp.Retransmits{State: tcp.Bounded, Packets: 1, Bytes: 60}
	for _, order := range [][]flow.Record{{more, less}, {less, more}} {
		c := one(t, fold(DefaultConfig(), order...))
		if want := (Repeats{Connections: 1, Packets: 3, Bytes: 180, Payload: 540}); c.Repeats[flow.Client] != want {
			t.Errorf("client repeated %+v, want %+v", c.Repeats[flow.Client], want)
		}
		if c.Repeats[flow.Server] != (Repeats{}) {
			t.Errorf("an unknown number of repeats counts: %+v", c.Repeats[flow.Server])
		}
	}
	second := record(2, 0, 1)
	second.HasTCP = true
	second.TCP.Sides[flow.Client].Retransmits = less.TCP.Sides[flow.Client].Retransmits
	c := one(t, fold(DefaultConfig(), more, second))
	if want := (Repeats{Connections: 2, Packets: 4, Bytes: 240, Payload: 840, AtLeast: true}); c.Repeats[flow.Client] != want {
		t.Errorf("both repeated %+v, want %+v", c.Repeats[flow.Client], want)
	}
}

// What goes into Other keeps its times and repeats.
func TestOtherHasTimes(t *testing.T) {
	var records []flow.Record
	for i := range uint16(40) {
		r := timed(1, i, 1e6, 2e6, 3e6, 2)
		r.Ends[flow.Server].Port = 1000 + i
		r.TCP.Sides[flow.Server].Retransmits = tcp.Retransmits{State: tcp.Measured, Packets: 1}
		records = append(records, r)
	}
	s := fold(Config{Conversations: 4}, records...)
	samples, packets := s.Other.Times.Response.Count(), s.Other.Repeats[flow.Server].Packets
	for _, c := range conversations(s) {
		samples += c.Times.Response.Count()
		packets += c.Repeats[flow.Server].Packets
	}
	if samples != 80 || packets != 40 {
		t.Errorf("%d response times and %d repeats in all, want 80 and 40", samples, packets)
	}
}

// Records that wait for their path hold a bounded amount of distributions.
func TestWaitingDistributionsAreBounded(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	big := dist()
	for range 2000 {
		big.Add(1000 + r.Int64N(1<<r.IntN(40)))
	}
	tab := New(DefaultConfig())
	var all [][]flow.Record
	for i := range 20_000 {
		a := timed(1, uint16(i), 1e6, 1e6, 1e6, 1)
		a.Distributions.RTT = [2]*histogram.Histogram{big, big}
		a.Joined, a.ID = true, uint64(2*i)
		b := at(2, a)
		b.ID++
		tab.Add(&a)
		all = append(all, []flow.Record{a, b})
	}
	if tab.buckets > maxBucketsWaiting || tab.buckets < maxBucketsWaiting/2 {
		t.Errorf("%d buckets wait", tab.buckets)
	}
	for _, pair := range all {
		p := pathOf(pair)
		tab.Add(&pair[1])
		tab.AddPath(&p)
	}
	if tab.buckets != 0 || len(tab.waiting) != 0 {
		t.Errorf("%d records and %d buckets wait for nothing", len(tab.waiting), tab.buckets)
	}
	c := one(t, tab.Summary())
	if n := len(c.Times.RTT[0].Buckets()); n > maxBuckets || c.Connections != 20_000 {
		t.Errorf("%d connections in %d buckets", c.Connections, n)
	}
}
