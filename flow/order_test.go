package flow

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// A plan in order, and in short, against one that was compared right away: of times
// that are all alike, spread evenly, in clusters, and at the ends of time.
func TestOrderModel(t *testing.T) {
	condensed := 0
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 9))
		table := newScene(t, nil).table
		times := []func() int64{
			func() int64 { return 5 },
			func() int64 { return sceneStart + rng.Int64N(1e10) },
			func() int64 { return sceneStart + rng.Int64N(3)*1e12 + rng.Int64N(40) },
			func() int64 { return int64(rng.Uint64()) },
		}
		at := times[rng.IntN(len(times))]
		table.begin(plan{second: noSecond}, 0)
		for range fewDue/2 + rng.IntN(5000) {
			n := table.flows.get()
			*table.flows.at(n) = Flow{start: at(), key: Key{PortA: uint16(rng.Uint32())}}
			if rng.IntN(3) == 0 && seed%3 == 0 || seed%3 == 1 {
				table.plan.add(table, dueAt(at()&math.MaxInt64, n)) // before the end of the input
			} else {
				table.plan.add(table, dueByStartAt(table.flows.start(n), n))
			}
		}
		want := slices.Clone(table.plan.list)
		slices.SortFunc(want, table.order)
		if table.sort(); !slices.Equal(table.plan.list, want) {
			t.Fatalf("seed %d: not in order", seed)
		}
		table.condense()
		if n := table.plan.len(); n != len(want) || len(table.plan.list) < n && len(table.plan.open) <= maxKept {
			t.Fatalf("seed %d: %d in short, %d of %d left", seed, len(table.plan.open), n, len(want))
		}
		condensed += len(table.plan.open)
		for i := range want {
			if d := table.planned(i); d != want[i] || table.plan.number(i) != d.n() {
				t.Fatalf("seed %d: in short, record %d is %v, want %v", seed, i, d, want[i])
			}
		}
		table.begin(plan{second: noSecond}, 0)
		if table.plan.len() != 0 {
			t.Fatalf("seed %d: %d are left", seed, table.plan.len())
		}
	}
	if condensed == 0 {
		t.Error("none in short")
	}
}
