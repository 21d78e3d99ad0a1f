package path_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"mirrorscope/flow"
	"mirrorscope/tcp"
)

func TestCross(t *testing.T) {
	var hist [3][7][7]int
	show := 0
	for ri, rate := range []float64{0, 0.01, 0.05} {
		for seed := range uint64(400) {
			r := rand.New(rand.NewPCG(seed, 1))
			c := conn(2*time.Millisecond, 5*time.Millisecond, 9*time.Millisecond)
			c.Fates = randomFates(r, r.IntN(6), 4)
			rec := c.Record()
			misses := missing(r, rate)
			taps := []tap{{name: "a", misses: misses}, {name: "b", clock: time.Duration(r.IntN(600)-300) * time.Millisecond, misses: misses}, {name: "c", misses: misses}}
			x := replay(t, record(taps, rec), 2)
			p := x.one(t)
			by := map[uint64]*flow.Record{}
			for i := range x.records {
				by[x.records[i].ID] = &x.records[i]
			}
			for i := range p.Segments {
				for side := range 2 {
					up, down := by[p.Points[i].Flow], by[p.Points[i+1].Flow]
					if side == 1 {
						up, down = down, up
					}
					u, d := &up.TCP.Sides[side].Retransmits, &down.TCP.Sides[side].Retransmits
					l := p.Segments[i].Loss[side]
					n1, n2 := u.LostAfter-d.LostAfter-l.Lost, d.LostBefore-u.LostBefore-l.Lost
					a, b := max(-3, min(n1, 3)), max(-3, min(n2, 3))
					hist[ri][a+3][b+3]++
					if rate == 0 && n1 != 0 && n2 != 0 && show < 12 {
						show++
						t.Logf("seed %d seg %d side %d: lost %d unl %d up %+v down %+v", seed, i, side, l.Lost, l.Unlocated, *u, *d)
					}
				}
			}
		}
		t.Logf("rate %v: rows n1-lost -3..3, columns n2-lost", rate)
		for _, row := range hist[ri] {
			t.Logf("%v", row)
		}
	}
	_ = tcp.Measured
}
