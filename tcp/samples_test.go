package tcp

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"mirrorscope/histogram"
)

// However many samples a connection has, and however its intervals fall, each
// quantity has the distribution that a histogram of its own would give.
func TestSamples(t *testing.T) {
	show := func(h *histogram.Histogram) string {
		if h == nil || h.Count() == 0 {
			return "none"
		}
		return fmt.Sprint(h.Count(), h.Zero(), h.Sum(), h.Min(), h.Max(), h.Scale(), h.Buckets())
	}
	r := rand.New(rand.NewPCG(15, 16))
	st := NewStore(DefaultConfig())
	for range 3000 {
		var samples uint32
		var before, running [numQuantities]histogram.Histogram
		for range r.IntN(3 * maxFew) {
			switch q := quantity(r.IntN(int(numQuantities))); r.IntN(12) {
			case 0:
				st.closeInterval(samples)
				for i := range before {
					before[i].Merge(&running[i])
					running[i].Reset()
				}
			case 1:
				ns := r.Int64N(1 << 40) // may be longer than a few can hold
				st.add(&samples, q, ns)
				addBounded(&running[q], ns)
			default:
				ns := r.Int64N(1 << (1 + r.IntN(31)))
				st.add(&samples, q, ns)
				addBounded(&running[q], ns)
			}
			st.sort(samples)
			var sums [numQuantities]summary
			for q := range numQuantities {
				sums[q] = st.summary(samples, q)
			}
			now, some := st.distributions(samples, ofRunning)
			all, any := st.distributions(samples, ofAll)
			if some != (now != [numQuantities]*histogram.Histogram{}) || any != (all != [numQuantities]*histogram.Histogram{}) {
				t.Fatalf("%v of %v, %v of %v", some, now, any, all)
			}
			for q := range numQuantities {
				if got, want := show(now[q]), show(&running[q]); got != want {
					t.Fatalf("running %d: %s, want %s", q, got, want)
				}
				whole := before[q].Clone()
				whole.Merge(&running[q])
				if got, want := show(all[q]), show(whole); got != want {
					t.Fatalf("whole %d: %s, want %s", q, got, want)
				}
				if got, want := sums[q], (summary{whole.Count(), whole.Min(), whole.Max(), quantiles(whole)}); got != want {
					t.Fatalf("summary %d: %+v, want %+v", q, got, want)
				}
			}
		}
		st.freeSamples(&samples)
		if samples != 0 || st.inUse() != 0 {
			t.Fatalf("%d values in use", st.inUse())
		}
	}
}
