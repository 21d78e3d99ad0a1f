package tcp

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"mirrorscope/histogram"
)

func show(h *histogram.Histogram) string {
	if h == nil || h.Count() == 0 {
		return "none"
	}
	return fmt.Sprint(h.Count(), h.Zero(), h.Sum(), h.Min(), h.Max(), h.Scale(), h.Buckets())
}

// However many samples a connection has, and however its intervals fall, each
// quantity has the distribution that a histogram of its own would give.
func TestSamples(t *testing.T) {
	r := rand.New(rand.NewPCG(15, 16))
	st := NewStore(DefaultConfig())
	for range 3000 {
		var samples uint32
		var before, running [numQuantities]histogram.Histogram
		for range r.IntN(6 * maxFew) {
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
			if r.IntN(3) > 0 {
				continue
			}
			st.sort(samples)
			var sums [numQuantities]summary
			for q := range numQuantities {
				sums[q] = st.summary(samples, q)
			}
			var now [numQuantities]*histogram.Histogram
			if n := samples; n&inDists != 0 {
				now, _ = st.distributions(samples, true)
			} else if n != 0 {
				now = runningOf(t, st.fews.At(n))
			}
			var all [numQuantities]*histogram.Histogram
			if n := samples; n&inDists != 0 {
				all, _ = st.distributions(n, false)
			} else {
				for q := range all {
					all[q] = before[q].Clone()
					all[q].Merge(&running[q])
				}
				if n != 0 {
					checkFew(t, st.fews.At(n), all, sums[thinkTime])
				}
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

// timed are the distributions by what they are of.
func (d *Distributions) timed() [NumTimed]*histogram.Histogram {
	if d == nil {
		return [NumTimed]*histogram.Histogram{}
	}
	return [...]*histogram.Histogram{d.RTT[0], d.Delayed[0], d.RTT[1], d.Delayed[1], d.Think}
}

// runningOf gives the distributions of the running interval by quantity.
func runningOf(t *testing.T, f *few) (all [numQuantities]*histogram.Histogram) {
	t.Helper()
	for client := range 2 {
		var s Samples
		s.Add(TimedThink, 1) // what was there before
		f.running(&s, client)
		for what, h := range new(Spread).Distributions(&s).timed() {
			q := quantity(what)
			if q != thinkTime && client == 0 {
				q ^= 2
			}
			if client == 1 && show(h) != show(all[q]) {
				t.Fatalf("quantity %d of client 1: %s, of client 0: %s", q, show(h), show(all[q]))
			}
			all[q] = h
		}
	}
	return all
}

// checkFew holds Samples of a connection, whose client is either direction, against
// its distributions by quantity.
func checkFew(t *testing.T, f *few, all [numQuantities]*histogram.Histogram, think summary) {
	t.Helper()
	var spread Spread // used again and again
	for client := range 2 {
		for _, swapped := range []bool{false, true} {
			s, role := Samples{few: *f}, client
			if s.tags = f.bySide(client); swapped {
				s.Swap()
				role = 1 - client
			}
			var got [NumTimed]histogram.Histogram
			for i := range s.Len() {
				what, ns := s.At(i)
				got[what].Add(ns)
			}
			var halves [2]bool
			halves[0], halves[1] = s.Halves()
			if a, b := got[TimedRTT].Count()+got[TimedDelayed].Count() > 0, got[TimedRTT+2].Count()+got[TimedDelayed+2].Count() > 0; halves != [2]bool{a, b} || s.LongestThink() != got[TimedThink].Max() {
				t.Fatalf("halves %v, longest time to think %d, of %+v", halves, s.LongestThink(), got)
			}
			want := map[Timed]*histogram.Histogram{TimedThink: all[thinkTime]}
			if swapped {
				want[TimedThink] = nil
			}
			for i, dir := range [2]int{role, 1 - role} {
				q := 2 * quantity(1-dir)
				want[TimedRTT+2*Timed(i)], want[TimedDelayed+2*Timed(i)] = all[q], all[q+delayedRTT]
			}
			for what, h := range spread.Distributions(&s).timed() {
				if show(h) != show(&got[what]) {
					t.Fatalf("distribution of %d: %s, want %s", what, show(h), show(&got[what]))
				}
			}
			for what, want := range want {
				if want == nil {
					want = &histogram.Histogram{}
				}
				if h := &got[what]; h.Count() != want.Count() || h.Sum() != want.Sum() || h.Min() != want.Min() || h.Max() != want.Max() {
					t.Fatalf("client %d, swapped %v: samples %d are %+v, want %+v", client, swapped, what, h, want)
				}
			}
		}
	}
	think.Quantiles = Quantiles{}
	if got := f.thinks(); got != think {
		t.Fatalf("times to think %+v, want %+v", got, think)
	}
}
