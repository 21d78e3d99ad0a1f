package flow

import (
	"math/rand/v2"
	"testing"
)

// playCalm plays connections of which most go well.
func playCalm(t testing.TB, source rand.Source, n int, change func(*Config), set func(*Table)) *scene {
	b := &beginnings{scene: newScene(t, change), rng: rand.New(source), calm: true}
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
			play := func(set func(*Table)) *scene { return playCalm(t, rand.NewPCG(seed, 11), 3000, change, set) }
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
			return playCalm(t, &octets{left: data}, min(len(data)/3, 400), change, set)
		}
		compareScenes(t, "fuzz", 0, play(func(*Table) {}), play(func(t *Table) { t.fullGrown = true }))
	})
}
