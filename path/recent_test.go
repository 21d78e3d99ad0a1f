package path

import (
	"math/rand/v2"
	"testing"
)

// The ring and its index do what a plain list does.
func TestRecentAgainstList(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var x recent
	x.init(1 << 20)
	type kept struct {
		print, counter uint64
		indexed        bool
	}
	var list []kept
	for range 200_000 {
		print := r.Uint64N(200) << 32 * (1 + r.Uint64N(2)) // many of one tag
		switch {
		case r.IntN(3) == 0 && len(list) > 0:
			x.drop()
			list = list[1:]
		case r.IntN(3) > 0 && len(list) < 3000:
			e := entry{print: print, flags: entryFlags(r.IntN(2)) * indexed}
			counter := x.add(&e)
			list = append(list, kept{print, counter, e.flags != 0})
		default:
			want := map[uint64]bool{}
			for _, k := range list {
				if k.print == print && k.indexed {
					want[k.counter] = true
				}
			}
			found := 0
			for w := x.search(print); ; found++ {
				e, counter := x.next(&w)
				if e == nil {
					break
				}
				if !want[counter] || e != x.at(counter) {
					t.Fatalf("print %x: entry %d is not in the list", print, counter)
				}
			}
			if found != len(want) {
				t.Fatalf("print %x: %d entries found, want %d", print, found, len(want))
			}
		}
	}
	x.clear()
	for i, slot := range x.index {
		if slot != 0 {
			t.Fatalf("slot %d of an empty index is in use", i)
		}
	}
}
