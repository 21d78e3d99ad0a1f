package flow

import (
	"reflect"
	"strconv"
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
// is there when it is asked for, or its few samples are.
func TestDistributions(t *testing.T) {
	for _, turns := range []int{3, 12} {
		t.Run(strconv.Itoa(turns), func(t *testing.T) { testDistributions(t, turns) })
	}
}

func testDistributions(t *testing.T, turns int) {
	run := func(interval time.Duration, sums bool) *scene {
		s := newScene(t, func(c *Config) { c.Interval, c.Sums = interval, sums })
		s.talk(turns, 3*time.Millisecond)
		s.end()
		return s
	}
	timesOf := func(r *Record) *tcp.Distributions {
		if r.Distributions != nil {
			if n := r.Samples.Len(); n > 0 {
				t.Fatalf("distributions and %d samples", n)
			}
			return r.Distributions
		}
		d := &tcp.Distributions{}
		all := [tcp.NumTimed]**histogram.Histogram{&d.RTT[0], &d.Delayed[0], &d.RTT[1], &d.Delayed[1], &d.Think}
		for i := range r.Samples.Len() {
			what, ns := r.Samples.At(i)
			if *all[what] == nil {
				*all[what] = &histogram.Histogram{}
			}
			(*all[what]).Add(ns)
		}
		return d
	}
	lifeOf := func(r *Record) *tcp.Distributions {
		if n := r.Samples.Len(); (r.Distributions == nil) != (n > 0) || (n > 0) != (turns == 3) {
			t.Fatalf("%d samples, distributions %v, of %d turns", n, r.Distributions, turns)
		}
		return timesOf(r)
	}
	all := func(d *tcp.Distributions) []*histogram.Histogram {
		return []*histogram.Histogram{d.RTT[Client], d.RTT[Server], d.Delayed[Client], d.Delayed[Server], d.Think}
	}
	var merged [5]histogram.Histogram
	var life *tcp.Distributions
	intervals := 0
	for _, r := range run(time.Second, true).recs {
		if r.Kind == Connection {
			life = lifeOf(&r)
			continue
		}
		if r.Distributions != nil || r.Samples.Len() > 0 {
			intervals++
		}
		for i, h := range all(timesOf(&r)) {
			if h != nil {
				merged[i].Merge(h)
			}
		}
	}
	if life == nil || intervals < turns/4 || intervals == 0 {
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
	if n, m := merged[0].Count()+merged[2].Count(), merged[4].Count(); n < uint64(turns) || m != uint64(turns) {
		t.Errorf("%d round trips to the client and %d response times, of %d turns", n, m, turns)
	}
	sums, whole := run(0, true).recs[0], run(0, false).recs[0]
	if alone := lifeOf(&sums); !reflect.DeepEqual(alone.Think, life.Think) {
		t.Errorf("without intervals %+v, with them %+v", alone.Think, life.Think)
	}
	if d := whole.Distributions; d != nil || whole.Samples.Len() > 0 {
		t.Errorf("distributions that nobody asked for: %+v", d)
	}
	// But for quantiles, they say the same.
	got, want := sums.TCP, whole.TCP
	if got.Response.Quantiles != (tcp.Quantiles{}) && turns == 3 || want.Response.Quantiles == (tcp.Quantiles{}) {
		t.Errorf("quantiles %+v, %+v", got.Response.Quantiles, want.Response.Quantiles)
	}
	for _, r := range []*tcp.Report{&got, &want} {
		r.Response.Quantiles, r.Sides[0].RTT.Quantiles, r.Sides[1].RTT.Quantiles = tcp.Quantiles{}, tcp.Quantiles{}, tcp.Quantiles{}
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
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
