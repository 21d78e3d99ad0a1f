package path_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"mirrorscope/internal/pcapgen"
	"mirrorscope/tcp"
)

func TestExplore(t *testing.T) {
	exact, bad := 0, 0
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 1))
		c := conn(2*time.Millisecond, 5*time.Millisecond, 9*time.Millisecond)
		c.Fates = randomFates(r, r.IntN(6), 4)
		rec := c.Record()
		all := journal(&rec)
		taps := []tap{{name: "a"}, {name: "b", clock: time.Duration(r.IntN(600)-300) * time.Millisecond}, {name: "c"}}
		x := replay(t, record(taps, rec), 2)
		if len(x.paths) != 1 || len(x.paths[0].Points) != 3 {
			t.Errorf("seed %d: %d paths", seed, len(x.paths))
			continue
		}
		p := &x.paths[0]
		if p.Order.State != tcp.Measured || x.points(p)[0] != "a" || x.points(p)[2] != "c" {
			t.Errorf("seed %d: order %v %v", seed, x.points(p), p.Order)
		}
		for i := range p.Segments {
			for side := range 2 {
				want := lossBetween(all, i, pcapgen.Side(side))
				if got := p.Segments[i].Loss[side]; got.Lost != want {
					bad++
					t.Logf("seed %d segment %d side %d: %+v want %d missed %+v fates %+v out %v", seed, i, side, got, want, p.Points, c.Fates, p.Outcome)
				} else {
					exact++
				}
			}
		}
		for i, want := range []time.Duration{6 * time.Millisecond, 8 * time.Millisecond} {
			if got := p.Segments[i].RTT; got.Min != int64(want) || got.State != tcp.Measured {
				t.Errorf("seed %d segment %d: %+v", seed, i, got)
			}
		}
	}
	t.Logf("%d exact, %d not", exact, bad)
}
