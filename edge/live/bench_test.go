package live

import (
	"fmt"
	"testing"

	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/tcp"
)

// records are those of one step: conversations with connections each.
func records(step, conversations, each int) []*flow.Record {
	var all []*flow.Record
	for i := range conversations {
		for k := range each {
			r := interval(step, uint64(i*each+k+1), fmt.Sprintf("10.0.0.7:%d", 10_000+k), fmt.Sprintf("10.%d.%d.9:443", i/250, i%250), volumes(1000, 20_000))
			r.Start = at(1)
			h := new(histogram.Histogram)
			for n := range 10 {
				h.Add(int64(1e6 + n*n*200_000))
			}
			r.Distributions = &tcp.Distributions{RTT: [2]*histogram.Histogram{h, h}, Think: h}
			all = append(all, r)
		}
	}
	return all
}

func BenchmarkAdd(b *testing.B) {
	t := New(DefaultConfig(), fakeNames{}, protocol)
	b.ReportAllocs()
	step := 0
	for b.Loop() {
		b.StopTimer()
		all := records(step, 2000, 20)
		step++
		b.StartTimer()
		for _, r := range all {
			t.Add(r)
		}
		t.settle()
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(step*len(all)), "ns/record")
	}
}

func BenchmarkTop(b *testing.B) {
	t := New(DefaultConfig(), fakeNames{}, protocol)
	for step := range 6 {
		for _, r := range records(step, 5000, 2) {
			t.Add(r)
		}
	}
	t.settle()
	b.ReportAllocs()
	for b.Loop() {
		if top := t.Top(100); top.Conversations != 5000 {
			b.Fatal(top.Conversations)
		}
	}
}

// BenchmarkCrowd adds short connections of far more pairs of hosts than are told apart, each with its
// interval and its end.
func BenchmarkCrowd(b *testing.B) {
	t := New(DefaultConfig(), fakeNames{}, protocol)
	b.ReportAllocs()
	n, step := 0, 0
	for b.Loop() {
		b.StopTimer()
		var all []*flow.Record
		for i := range 20_000 {
			r := interval(step, uint64(step*20_000+i+1), fmt.Sprintf("10.%d.%d.7:%d", i/250, i%250, 10_000+step), "10.0.0.9:443", volumes(1000, 20_000))
			r.Start = at(float64(step*10 + 1))
			all = append(all, r)
		}
		step++
		b.StartTimer()
		for _, r := range all {
			t.Add(r)
		}
		t.settle()
		n += len(all)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/record")
}

// shorts makes the records of many short connections, as a sensor gives them: whole ones in each second,
// and those of the interval behind its end. It lends a few records again and again.
type shorts struct {
	whole, interval [512]flow.Record
	some            []*flow.Record // filled and not given
}

const (
	shortsEach  = 8192  // connections a second
	shortsPairs = 65536 // of hosts
)

func newShorts() *shorts {
	s := &shorts{some: make([]*flow.Record, 0, 256)}
	for i := range s.whole {
		s.interval[i] = *interval(0, 0, cli, srv, volumes(500, 900))
		for _, what := range []tcp.Timed{tcp.TimedRTT, tcp.TimedRTT + 2, tcp.TimedThink} {
			s.interval[i].Samples.Add(what, 150_000)
		}
		s.interval[i].TCP.Response.Turns, s.interval[i].TCP.Response.Measured = 1, 1
		s.interval[i].HasHandshake, s.interval[i].Handshake = true, tcp.Handshake{State: tcp.Measured, RTT: 300_000}
		s.whole[i] = *over(0, 0, cli, srv, flow.Closed)
	}
	return s
}

// fill makes one of the records that of the connection number n, which began at a time.
func (s *shorts) fill(of *[512]flow.Record, n int, start int64) *flow.Record {
	r := &of[n%len(of)]
	s.some = append(s.some, r)
	client, server := &r.Ends[flow.Client], &r.Ends[flow.Server]
	pair := n % shortsPairs
	client.Addr[13], client.Addr[14], client.Addr[15], client.Port = byte(pair>>16)+16, byte(pair>>8), byte(pair), uint16(10_000+n/shortsPairs)
	server.Addr[15] = byte(n%16) + 1
	r.ID, r.Start, r.End = uint64(n+1), start, start+1e9
	return r
}

// step gives the records of an interval of ten seconds to a table.
func (s *shorts) step(t *Table, step int) (records int) {
	begin := at(float64(10 * step))
	first := step * 10 * shortsEach
	for n := range 10 * shortsEach {
		if n -= 2 * shortsEach; first+n < 0 { // they rest for two seconds
			continue
		}
		r := s.fill(&s.whole, first+n, begin+int64(n)*1e9/shortsEach)
		r.Release = r.End + 2e9
		records += s.give(t)
	}
	for n := range 10 * shortsEach {
		r := s.fill(&s.interval, first+n, begin+int64(n)*1e9/shortsEach)
		r.IntervalStart, r.IntervalEnd, r.Release = begin, begin+10e9, begin+10e9
		records += s.give(t)
	}
	t.Health(begin+10e9, &flow.Capture{})
	return records
}

// give gives what was filled, a few at a time.
func (s *shorts) give(t *Table) int {
	if len(s.some) < cap(s.some) {
		return 0
	}
	t.AddAll(s.some)
	s.some = s.some[:0]
	return cap(s.some)
}

// BenchmarkShort adds short connections of more pairs of hosts than are told apart, far more than are followed.
func BenchmarkShort(b *testing.B) {
	t, s := New(DefaultConfig(), fakeNames{}, protocol), newShorts()
	step, n := 0, 0
	for ; step < 7; step++ { // as it goes on
		s.step(t, step)
	}
	b.ReportAllocs()
	for b.Loop() {
		n += s.step(t, step)
		step++
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/record")
}
