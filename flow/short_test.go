package flow

import (
	"math/rand/v2"
	"testing"
	"time"

	"mirrorscope/packet"
	"mirrorscope/tcp"
)

// playCalm plays connections of which most go well; or two at a time that are slow.
func playCalm(t testing.TB, source rand.Source, n int, slow bool, change func(*Config), set func(*Table)) *scene {
	b := &beginnings{scene: newScene(t, change), rng: rand.New(source), calm: true, slow: slow}
	set(b.table)
	for range n {
		b.play()
	}
	b.end()
	return b.scene
}

// what outputs ask of records
var asked = map[string]func(*Config){
	"quantiles": nil,
	"sums":      func(c *Config) { c.Sums = true },
	"both":      func(c *Config) { c.Sums, c.Quantiles = true, true },
}

// Records are the same whether connections that end young are relived, were never
// young, or are summed up; and most that go well are.
func TestShortAlike(t *testing.T) {
	briefs, total := uint64(0), 0
	for seed := range uint64(15) {
		for what, change := range asked {
			play := func(set func(*Table)) *scene {
				return playCalm(t, rand.NewPCG(seed, 11), 3000, seed%3 == 2, change, set)
			}
			s, old := play(func(*Table) {}), play(func(t *Table) { t.fullGrown = true })
			compareScenes(t, what, seed, s, old)
			compareScenes(t, what+", relived", seed, play(func(t *Table) { t.reliving = true }), old)
			briefs += s.table.briefs
			total += len(s.recs)
		}
	}
	t.Logf("%d of %d connections were summed up", briefs, total)
	if briefs < uint64(total)/6 {
		t.Errorf("%d of %d connections were summed up", briefs, total)
	}
}

func FuzzShort(f *testing.F) {
	f.Add([]byte{}, false)
	f.Add([]byte("\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09abcdefghijklmnopqrstuvwxyz"), true)
	f.Fuzz(func(t *testing.T, data []byte, sums bool) {
		change := func(c *Config) { c.Sums = sums }
		play := func(set func(*Table)) *scene {
			return playCalm(t, &octets{left: data}, min(len(data)/3, 400), len(data)%2 == 0, change, set)
		}
		compareScenes(t, "fuzz", 0, play(func(*Table) {}), play(func(t *Table) { t.fullGrown = true }))
	})
}

// A handshake that took long is judged by the first samples of both sides that hold no
// delay, some time behind it, or at the end; not by what comes later.
func TestShortSlow(t *testing.T) {
	const ms = time.Millisecond
	say := string(make([]byte, 700))
	for _, window := range []time.Duration{100 * ms, 5 * time.Second} {
		for _, first := range []time.Duration{300 * ms, 600 * ms, 0} {
			play := func(grown bool) *scene {
				s := newScene(t, func(c *Config) { c.DupWindow = window; c.DupWindowHop = max(c.DupWindowHop, window) })
				s.table.fullGrown = grown
				clock, ids := time.Duration(0), [2]uint16{}
				next := [2]uint32{100, 900}
				put := func(later time.Duration, side int, flags, say string) {
					clock += later
					ends := [2]host{cli, srv}
					p := s.at(clock).tcp(ends[side], ends[1-side], flags, next[side], next[1-side], say)
					if flags[0] == 'S' {
						p.TCP.MSS, p.TCP.Has, p.TCP.HeaderLen = 536, packet.HasMSS, 24
						p.IPLen += 4
						next[side]++
					}
					if flags == "S" {
						p.TCP.Ack = 0
					}
					ids[side]++
					p.IPID = ids[side]
					next[side] += uint32(len(say))
					s.add(p)
				}
				put(0, 0, "S", "")
				put(1000*ms, 1, "SA", "")
				put(1000*ms, 0, "A", "")
				if first > 0 {
					for side := range 2 {
						put(ms, side, "PA", say)
						put(0, side, "PA", say)
						put(first, 1-side, "A", "")
					}
				}
				put(ms, 0, "PA", say)
				put(10*ms, 1, "A", "")
				put(ms, 1, "PA", say)
				put(10*ms, 0, "A", "")
				s.end()
				return s
			}
			s := play(false)
			compareScenes(t, window.String()+", "+first.String(), 0, s, play(true))
			if s.table.briefs != 1 {
				t.Errorf("%v, %v: not summed up", window, first)
			}
			h := s.recs[0].Handshake
			if decided := first == 600*ms && window == 100*ms; decided != (h.State == tcp.Measured) || !decided && h.Reasons&tcp.LostBeforeOP == 0 {
				t.Errorf("%v, %v: %+v", window, first, h)
			}
		}
	}
}
