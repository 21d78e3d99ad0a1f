package tlsmeta

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// Messages that grow side by side keep what was written to them, whatever memory
// they get, and what is kept is bounded.
func TestBuffers(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 3))
	var f buffers
	var got [100]uint32
	var want [100][]byte
	for range 20_000 {
		i := r.IntN(len(got))
		if r.IntN(4) == 0 {
			f.put(got[i])
			got[i], want[i] = 0, nil
		} else {
			more := make([]byte, r.IntN(1<<r.IntN(14)))
			for k := range more {
				more[k] = byte(r.Uint32())
			}
			got[i], want[i] = f.extend(got[i], more), append(want[i], more...)
		}
		if !bytes.Equal(f.at(got[i]), want[i]) {
			t.Fatalf("%d octets are not as they were", len(want[i]))
		}
		kept := 0
		for size, list := range f.free {
			for _, b := range list {
				if cap(b) != leastBuffer<<size || len(b) != 0 {
					t.Fatalf("%d octets among those of size %d", cap(b), size)
				}
				kept += cap(b)
			}
		}
		if kept != f.kept || kept > keptBuffers {
			t.Fatalf("%d octets are kept, %d were counted", kept, f.kept)
		}
	}
	for i := range got {
		if !bytes.Equal(f.at(got[i]), want[i]) {
			t.Fatalf("%d octets are not as they were", len(want[i]))
		}
	}
	part := make([]byte, 1400)
	if n := testing.AllocsPerRun(100, func() {
		b := f.extend(0, part[:4])
		for range 4 {
			b = f.extend(b, part)
		}
		f.put(b)
	}); n != 0 {
		t.Errorf("%v allocations for a message", n)
	}
}
