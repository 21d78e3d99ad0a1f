package pipeline

import (
	"math/rand/v2"
	"slices"
	"testing"

	"mirrorscope/flow"
)

// What is merged is what a stable sort gives.
func TestMerge(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var m merger
	for range 300 {
		lists := make([]flow.Records, 1+r.IntN(flow.Partitions))
		var want []*flow.Record
		n := r.IntN(200)
		times, last := []int64{1, 5, 1000}[r.IntN(3)], r.IntN(3) == 0 // all at once, few moments, many; some at the end of the input
		for i := range lists {
			var all []flow.Record
			for range r.IntN(1 + n/len(lists)) {
				all = append(all, flow.Record{Release: r.Int64N(times), Start: r.Int64N(5), Kind: flow.Kind(r.IntN(2)), ID: r.Uint64()})
			}
			if last {
				for k := range all {
					if r.IntN(3) > 0 {
						all[k].Release = flow.EndOfInput
					}
				}
			}
			if r.IntN(2) == 0 {
				slices.SortStableFunc(all, func(a, b flow.Record) int { return flow.Compare(&a, &b) })
			}
			for _, x := range all {
				*lists[i].Add() = x
				want = append(want, lists[i].At(lists[i].Len()-1))
			}
		}
		slices.SortStableFunc(want, flow.Compare)
		m.begin(lists)
		for i := range want {
			if got, _ := m.next(); got != want[i] {
				t.Fatalf("place %d: %v, want %v", i, got, want[i])
			}
		}
		if got, _ := m.next(); got != nil {
			t.Fatalf("%v after all", got)
		}
	}
}

func BenchmarkMerge(b *testing.B) {
	lists := make([]flow.Records, flow.Partitions)
	const each = 32
	for i := range lists {
		for k := range each {
			*lists[i].Add() = flow.Record{Release: int64(k*1000 + i*37%1000), Start: int64(k * i)}
		}
	}
	var m merger
	b.ReportAllocs()
	sum := int64(0)
	for b.Loop() {
		m.begin(lists)
		for r, _ := m.next(); r != nil; r, _ = m.next() {
			sum += r.Start
		}
	}
	if sum == 0 {
		b.Fatal("nothing was merged")
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/(each*flow.Partitions), "ns/record")
}
