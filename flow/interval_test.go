package flow

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"mirrorscope/histogram"
	"mirrorscope/tcp"
)

// talk plays n requests, each answered after think and each answer
// acknowledged by the next request, 400 ms apart.
func (s *scene) talk(n int, think time.Duration) *scene {
	s.open(0, cli, srv, 1000, 5000)
	seqC, seqS := uint32(1001), uint32(5001)
	answer := strings.Repeat("a", 4000)
	for i := range n {
		at := time.Duration(i)*400*time.Millisecond + 100*time.Millisecond
		s.at(at).add(s.tcp(cli, srv, "PA", seqC, seqS, "request"))
		seqC += 7
		s.at(at + 10*time.Millisecond + think).add(s.tcp(srv, cli, "PA", seqS, seqC, answer))
		seqS += uint32(len(answer))
		s.at(at + 12*time.Millisecond + think).add(s.tcp(cli, srv, "A", seqC, seqS, ""))
	}
	return s
}

// Data that was acknowledged and never recorded is waited for. That it was
// missed is decided at the end, long after the last packet; the intervals have
// it all the same.
func TestMissedIsInTheLastInterval(t *testing.T) {
	s := newScene(t, func(c *Config) { c.Interval = time.Second })
	s.talk(1, time.Millisecond)
	s.at(900 * time.Millisecond).add(s.tcp(cli, srv, "A", 1008, 9001+500, "")) // 500 octets of the answer were not recorded
	whole := s.one()
	if got := whole.TCP.Sides[Server].Missed; got != 500 {
		t.Fatalf("%d octets missed, want 500", got)
	}
	var sum tcp.Side
	for _, r := range s.recs {
		if r.Kind == Interval {
			sum.Missed += r.TCP.Sides[Server].Missed
			sum.Recorded += r.TCP.Sides[Server].Recorded
		}
	}
	if sum.Missed != 500 || sum.Recorded != whole.TCP.Sides[Server].Recorded {
		t.Errorf("intervals sum to %d missed and %d recorded, want 500 and %d", sum.Missed, sum.Recorded, whole.TCP.Sides[Server].Recorded)
	}
}

// The distributions of all intervals merge into that of the whole life, which
// is there when it is asked for.
func TestDistributions(t *testing.T) {
	run := func(interval time.Duration, whole bool) *scene {
		s := newScene(t, func(c *Config) { c.Interval, c.Distributions = interval, whole })
		s.talk(12, 3*time.Millisecond)
		s.end()
		return s
	}
	all := func(d *tcp.Distributions) []*histogram.Histogram {
		return []*histogram.Histogram{d.RTT[Client], d.RTT[Server], d.Delayed[Client], d.Delayed[Server], d.Think}
	}
	var merged [5]histogram.Histogram
	var life *tcp.Distributions
	intervals := 0
	for _, r := range run(time.Second, true).recs {
		if r.Kind == Connection {
			life = r.Distributions
			continue
		}
		d := r.Distributions
		if d == nil {
			continue
		}
		intervals++
		for i, h := range all(d) {
			if h != nil {
				merged[i].Merge(h)
			}
		}
	}
	if life == nil || intervals < 3 {
		t.Fatalf("distributions of the life %v, of %d intervals", life, intervals)
	}
	for i, h := range all(life) {
		if h == nil {
			h = &histogram.Histogram{}
		}
		if h.Count() != merged[i].Count() || h.Sum() != merged[i].Sum() || h.Min() != merged[i].Min() || h.Max() != merged[i].Max() ||
			len(h.Buckets())+len(merged[i].Buckets()) > 0 && !reflect.DeepEqual(h.Buckets(), merged[i].Buckets()) {
			t.Errorf("distribution %d: the life has %+v, the intervals %+v", i, *h, merged[i])
		}
	}
	if n, m := merged[0].Count()+merged[2].Count(), merged[4].Count(); n < 12 || m != 12 {
		t.Errorf("%d round trips to the client and %d response times, of 12 turns", n, m)
	}
	alone := run(0, true).recs[0]
	if !reflect.DeepEqual(alone.Distributions.Think, life.Think) {
		t.Errorf("without intervals %+v, with them %+v", alone.Distributions.Think, life.Think)
	}
	if d := run(0, false).recs[0].Distributions; d != nil {
		t.Errorf("distributions that nobody asked for: %+v", d)
	}
}

// What does not add up over time is not told of an interval.
func TestIntervalsHaveNoQuantiles(t *testing.T) {
	s := newScene(t, func(c *Config) { c.Interval = time.Second })
	s.talk(6, 3*time.Millisecond)
	s.end()
	for _, r := range s.recs {
		if r.Kind != Interval {
			continue
		}
		for i := range r.TCP.Sides {
			if x := &r.TCP.Sides[i].RTT; x.Quantiles != (tcp.Quantiles{}) || x.Min != 0 {
				t.Errorf("an interval tells of its life: %+v", x)
			}
		}
		if x := &r.TCP.Response; x.Quantiles != (tcp.Quantiles{}) || x.Min != tcp.Absent || x.Max != tcp.Absent || (x.Measured > 0) != (x.State != tcp.Unknown) {
			t.Errorf("an interval tells of its life: %+v", x)
		}
	}
}
