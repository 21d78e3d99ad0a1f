package path_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"
	"time"

	"mirrorscope/internal/pcapgen"
)

// With capture loss: what is called lost, was it?
func TestDrops(t *testing.T) {
	for _, rate := range []float64{0, 0.01, 0.05} {
		var trueLost, saidLost, trueMissed, saidMissed, unloc, wrongLost, n, njoined int64
		for seed := range uint64(400) {
			r := rand.New(rand.NewPCG(seed, 1))
			c := conn(2*time.Millisecond, 5*time.Millisecond, 9*time.Millisecond)
			c.Fates = randomFates(r, r.IntN(6), 4)
			rec := c.Record()
			all := journal(&rec)
			type k struct {
				tap  int
				from pcapgen.Side
				id   uint16
			}
			dropped := map[k]bool{}
			misses := func(p *pcapgen.Recorded) bool {
				if r.Float64() < rate {
					dropped[k{p.Tap, p.From, binary.BigEndian.Uint16(p.Data[4:])}] = true
					return true
				}
				return false
			}
			taps := []tap{{name: "a", misses: misses}, {name: "b", clock: time.Duration(r.IntN(600)-300) * time.Millisecond, misses: misses}, {name: "c", misses: misses}}
			x := replay(t, record(taps, rec), 2)
			n++
			if len(x.paths) != 1 || len(x.paths[0].Points) != 3 {
				t.Errorf("rate %v seed %d: %d paths", rate, seed, len(x.paths))
				continue
			}
			njoined++
			p := &x.paths[0]
			// expected by masks and truth
			var expLost [2][2]int64
			var expMissed [3][2]int64
			for _, s := range all {
				rec := [3]bool{}
				farthest := -1
				for n := range 3 {
					i := n
					if s.from == pcapgen.Server {
						i = 2 - n
					}
					rec[i] = s.taps[i] && !dropped[k{i, s.from, s.id}]
					if rec[i] {
						farthest = n
					}
				}
				if farthest < 0 {
					continue
				}
				for n := range 3 {
					i := n
					if s.from == pcapgen.Server {
						i = 2 - n
					}
					if n < farthest && !rec[i] {
						expMissed[i][s.from]++
					}
					if n > farthest && s.space {
						if s.taps[i] {
							expMissed[i][s.from]++
							continue
						}
						seg := i - 1
						if s.from == pcapgen.Server {
							seg = i
						}
						expLost[seg][s.from]++
						break
					}
				}
			}
			for i := range 2 {
				for side := range 2 {
					got := p.Segments[i].Loss[side]
					trueLost += expLost[i][side]
					saidLost += got.Lost
					unloc += got.Unlocated
					if got.Lost > expLost[i][side] {
						wrongLost += got.Lost - expLost[i][side]
					}
					if got.Lost != expLost[i][side] && rate == 0 {
						t.Logf("rate %v seed %d seg %d side %d: %+v, want %d; missed %+v fates %+v", rate, seed, i, side, got, expLost[i][side], p.Points, c.Fates)
					}
				}
			}
			for i := range 3 {
				for side := range 2 {
					trueMissed += expMissed[i][side]
					saidMissed += p.Points[i].Missed[side]
				}
			}
		}
		t.Logf("rate %v: %d/%d joined; lost true %d said %d wrong %d; missed true %d said %d; unlocated %d", rate, njoined, n, trueLost, saidLost, wrongLost, trueMissed, saidMissed, unloc)
	}
}
