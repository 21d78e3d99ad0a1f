package flow

import (
	"math/rand/v2"
	"strings"
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

// teller plays one connection, packet by packet.
type teller struct {
	*scene
	clock time.Duration
	next  [2]uint32
	ids   [2]uint16
	win   [2]uint16
}

// tell plays what f tells with and without youth, and wants the same records. It gives
// the scene of the young one.
func tell(t *testing.T, name string, change func(*Config), f func(*teller)) *scene {
	t.Helper()
	play := func(grown bool) *scene {
		x := &teller{scene: newScene(t, change), next: [2]uint32{100, 900}, win: [2]uint16{65535, 65535}}
		x.table.fullGrown = grown
		f(x)
		x.end()
		return x.scene
	}
	s := play(false)
	compareScenes(t, name, 0, s, play(true))
	return s
}

// put plays a packet of a side, so much later than the one before.
func (x *teller) put(later time.Duration, side int, flags, say string) {
	x.clock += later
	ends := [2]host{cli, srv}
	p := x.at(x.clock).tcp(ends[side], ends[1-side], flags, x.next[side], x.next[1-side], say)
	if flags[0] == 'S' {
		p.TCP.MSS, p.TCP.Has, p.TCP.HeaderLen = 536, packet.HasMSS, 24
		p.IPLen += 4
		x.next[side]++
	}
	if flags == "S" {
		p.TCP.Ack = 0
	}
	if strings.Contains(flags, "F") {
		x.next[side]++
	}
	x.ids[side]++
	p.IPID = x.ids[side]
	p.TCP.Window = x.win[side]
	x.next[side] += uint32(len(say))
	x.add(p)
}

// What a summary cannot know is left to the whole way, and nothing else.
func TestShortEdges(t *testing.T) {
	const ms = time.Millisecond
	say := string(make([]byte, 700))
	open := func(x *teller, synack time.Duration) {
		x.put(0, 0, "S", "")
		x.put(synack, 1, "SA", "")
		x.put(ms, 0, "A", "")
	}
	// request plays a connection whose request has so many segments, that far apart.
	request := func(x *teller, segments int, apart time.Duration) {
		open(x, 10*ms)
		for range segments {
			x.put(apart, 0, "PA", say)
		}
		x.put(10*ms, 1, "A", "")
		x.put(ms, 1, "PA", say)
		x.put(ms, 0, "A", "")
		x.put(ms, 0, "FA", "")
		x.put(ms, 1, "FA", "")
		x.put(ms, 0, "A", "")
	}
	for _, tc := range []struct {
		name  string
		play  func(*teller)
		brief uint64
	}{
		{"a window that is not full", func(x *teller) { x.win[1] = 1401; request(x, 2, 0) }, 1},
		{"a window that is full", func(x *teller) { x.win[1] = 1400; request(x, 2, 0) }, 0},
		{"a flight of eight", func(x *teller) { request(x, 8, ms) }, 1},
		{"a flight of nine", func(x *teller) { request(x, 9, ms) }, 0},
		{"a handshake of no time", func(x *teller) {
			open(x, 0)
			x.put(ms, 0, "PA", "a request")
			x.put(10*ms, 1, "PA", "a response")
			x.put(ms, 0, "A", "")
		}, 1},
	} {
		tell(t, tc.name+", with intervals", func(c *Config) { c.Interval = time.Second }, func(x *teller) {
			tc.play(x)
			x.put(1500*ms, 0, "PA", "another request")
			x.put(10*ms, 1, "PA", "another response")
			x.put(ms, 0, "A", "")
		})
		s := tell(t, tc.name, nil, tc.play)
		if s.table.briefs != tc.brief || len(s.recs) != 1 {
			t.Errorf("%s: %d of %d summed up, want %d", tc.name, s.table.briefs, len(s.recs), tc.brief)
		}
		if tc.name == "a handshake of no time" && s.recs[0].TCP.Response.State != tcp.Bounded {
			t.Errorf("%s: a response time whose base nobody knows: %+v", tc.name, s.recs[0].TCP.Response)
		}
	}
}

// A handshake that took long is judged by the first samples of both sides that hold no
// delay, some time behind it, or at the end; not by what comes later.
func TestShortSlow(t *testing.T) {
	const ms = time.Millisecond
	say := string(make([]byte, 700))
	for _, window := range []time.Duration{100 * ms, 800 * ms, 5 * time.Second} {
		for _, first := range []time.Duration{300 * ms, 600 * ms, 0} {
			change := func(c *Config) { c.DupWindow = window; c.DupWindowHop = max(c.DupWindowHop, window) }
			s := tell(t, window.String()+", "+first.String(), change, func(x *teller) {
				x.put(0, 0, "S", "")
				x.put(1000*ms, 1, "SA", "")
				x.put(1000*ms, 0, "A", "")
				if first > 0 {
					for side := range 2 {
						x.put(ms, side, "PA", say)
						x.put(0, side, "PA", say)
						x.put(first, 1-side, "A", "")
					}
				}
				x.put(ms, 0, "PA", say)
				x.put(10*ms, 1, "A", "")
				x.put(ms, 1, "PA", say)
				x.put(10*ms, 0, "A", "")
			})
			if s.table.briefs != 1 {
				t.Errorf("%v, %v: not summed up", window, first)
			}
			h := s.recs[0].Handshake
			if decided := first == 600*ms && window < time.Second; decided != (h.State == tcp.Measured) || !decided && h.Reasons&tcp.LostBeforeOP == 0 {
				t.Errorf("%v, %v: %+v", window, first, h)
			}
		}
	}
}
