package pool

import (
	"bytes"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// Blocks of an arena hold what was written into them, whatever comes and goes.
func TestArenaModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	var a Arena
	type block struct {
		i    uint32
		n    int
		fill byte
	}
	var live []block
	octets := int64(0)
	bytesOf := func(b block) []byte { return unsafe.Slice((*byte)(a.At(b.i)), b.n*Unit) }
	for step := range 100_000 {
		runs := 200
		if step/20_000%2 == 0 {
			runs = 4
		}
		if len(live) > 0 && (rng.IntN(2) == 0 || len(live) > 2000) {
			k := rng.IntN(len(live))
			b := live[k]
			if got := bytesOf(b); got[0] != b.fill || bytes.Count(got, []byte{b.fill}) != len(got) {
				t.Fatalf("step %d: block %d of %d units has changed", step, b.i, b.n)
			}
			live[k] = live[len(live)-1]
			live = live[:len(live)-1]
			if b.n == RunUnits {
				a.PutRun(b.i)
				continue
			}
			a.Put(b.i, b.n)
			octets -= int64(b.n) * Unit
		} else {
			b := block{n: 1 + rng.IntN(MostUnits), fill: byte(rng.Uint32())}
			run := rng.IntN(runs) == 0
			if run {
				b.n, b.i = RunUnits, a.GetRun()
			} else {
				b.i = a.Get(b.n)
			}
			if b.i == 0 {
				t.Fatal("number 0")
			}
			for i := range bytesOf(b) {
				bytesOf(b)[i] = b.fill
			}
			if live = append(live, b); !run {
				octets += int64(b.n) * Unit
			}
		}
		if a.Octets() != octets {
			t.Fatalf("%d octets, want %d", a.Octets(), octets)
		}
	}
	if most := 2001 * RunUnits * Unit; len(a.chunks)*Unit<<arenaBits > most {
		t.Errorf("%d chunks", len(a.chunks))
	}
}
