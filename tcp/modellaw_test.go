package tcp

import (
	"math/rand/v2"
	"testing"
)

// Laws that hold for any capture, whatever is right about it: what is the same
// connection must give the same report.
func TestModelLaws(t *testing.T) {
	n := seeds(t, 30)
	for k := range numKinds {
		for seed := range n {
			p := draw(k, seed)
			r := p.run()
			want := measure(r.records, 0).report

			if got := measure(r.records, 1).report; got != want {
				t.Fatalf("%v, seed %d: directions numbered the other way:\n got %+v\nwant %+v", k, seed, got, want)
			}
			later := append([]record(nil), r.records...)
			for i := range later {
				later[i].Time += 86400e9
				later[i].Now += 86400e9
			}
			if got := measure(later, 0).report; got != want {
				t.Fatalf("%v, seed %d: a day later:\n got %+v\nwant %+v", k, seed, got, want)
			}
			for _, isn := range [][2]uint32{{0, 1 << 31}, {1<<32 - 1, 1<<32 - 3000}} {
				q := p
				q.isn = isn
				if got := measure(q.run().records, 0).report; got != want {
					t.Fatalf("%v, seed %d: with initial sequence numbers %d:\n got %+v\nwant %+v", k, seed, isn, got, want)
				}
			}
			ticks := append([]record(nil), r.records...)
			zero := false // a TSecr of 0 means none, so a clock that shows 0 is not the same capture
			for i := range ticks {
				if ticks[i].TCP.TSval != 0 { // TSecr 0 means none
					base := [2]uint32{-r.hosts[0].tsBase - 50, -r.hosts[1].tsBase - 50}
					from := ticks[i].w.from
					ticks[i].TCP.TSval += base[from]
					if ticks[i].TCP.Flags&ack != 0 {
						ticks[i].TCP.TSecr += base[1-from]
					}
					zero = zero || ticks[i].TCP.TSval == 0 || ticks[i].TCP.TSecr == 0
				}
			}
			if got := measure(ticks, 0).report; got != want && !zero {
				t.Fatalf("%v, seed %d: timestamps that wrap:\n got %+v\nwant %+v", k, seed, got, want)
			}
		}
	}
}

// The intervals hold every sample once and sum to the whole, wherever the cuts
// lie, and cutting changes nothing in the report of the whole.
func TestModelIntervals(t *testing.T) {
	n := seeds(t, 20)
	for k := range numKinds {
		for seed := range n {
			r := draw(k, seed).run()
			rng := rand.New(rand.NewPCG(seed, 5))
			cut := &measured{st: NewStore(DefaultConfig())}
			cut.Init()
			uncut := &measured{st: NewStore(DefaultConfig())}
			uncut.Init()
			var before, sum Report
			var samples [2]int64
			closeInterval := func(now int64, final bool) {
				var few Samples
				x := cut.CloseInterval(cut.st, &few, 0)
				for k := range few.Len() {
					if what, _ := few.At(k); what == TimedRTT || what == TimedRTT+2 {
						samples[what/2]++
					}
				}
				if x != nil {
					for i, h := range x.RTT {
						if h != nil {
							samples[i] += int64(h.Count())
						}
					}
				}
				accumulate(cut, &sum, &before, now, final)
			}
			now := int64(0)
			for i := range r.records {
				p := &r.records[i].Packet
				now = p.Time
				cut.follow(cut.st, p, r.records[i].w.from, 0, &cut.o, false)
				uncut.follow(uncut.st, p, r.records[i].w.from, 0, &uncut.o, false)
				if rng.IntN(50) == 0 {
					closeInterval(now, false)
				}
			}
			closeInterval(now, true)
			var whole Report
			uncut.Report(uncut.st, &whole, 0, true)
			for i := range 2 {
				s, w, last := &sum.Sides[i], &whole.Sides[i], &before.Sides[i]
				if samples[i] != w.RTT.Clean {
					t.Fatalf("%v, seed %d: %d clean samples of side %d in intervals, %d in the whole", k, seed, samples[i], i, w.RTT.Clean)
				}
				if s.Retransmits.Packets != w.Retransmits.Packets || s.Retransmits.ByClass != w.Retransmits.ByClass || s.Retransmits.Bytes != w.Retransmits.Bytes ||
					s.Retransmits.LostBefore != w.Retransmits.LostBefore || s.Retransmits.SpuriousPackets != w.Retransmits.SpuriousPackets ||
					s.Missed != w.Missed || s.Recorded != w.Recorded || s.ZeroWindow.Time != w.ZeroWindow.Time || s.WindowFull != w.WindowFull {
					t.Fatalf("%v, seed %d: sum of intervals of side %d\n got %+v\nwant %+v", k, seed, i, *s, *w)
				}
				a, b := *last, *w
				a.RTT.Quantiles, b.RTT.Quantiles = Quantiles{}, Quantiles{} // as exact as the coarser of two histograms
				if a != b {
					t.Fatalf("%v, seed %d: cut into intervals:\n got %+v\nwant %+v", k, seed, a, b)
				}
			}
		}
	}
}

// accumulate adds to sum what has happened since the report before.
func accumulate(m *measured, sum, before *Report, now int64, final bool) {
	var r Report
	m.Report(m.st, &r, 0, final)
	for i := range r.Sides {
		delta := r.Sides[i]
		delta.Minus(&before.Sides[i])
		var negative Side
		negative.Minus(&delta)
		sum.Sides[i].Minus(&negative)
	}
	*before = r
}
