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
