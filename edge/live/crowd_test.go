package live

import (
	"fmt"
	"testing"

	"mirrorscope/flow"
)

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
