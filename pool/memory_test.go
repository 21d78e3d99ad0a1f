package pool

import (
	"math/rand/v2"
	"runtime"
	"testing"
	"time"
	"unsafe"
)

// Blocks against a model: they are zero, aligned to a line, and no two overlap.
func TestMemory(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var m Memory
	type block struct {
		words []uint64
		mark  uint64
	}
	var held []block
	for i := range 3000 {
		if len(held) > 0 && rng.IntN(5) < 2 {
			k := rng.IntN(len(held))
			for j, w := range held[k].words {
				if w != held[k].mark {
					t.Fatalf("word %d of a block is %d, want %d", j, w, held[k].mark)
				}
			}
			FreeSlice(&m, held[k].words)
			held[k] = held[len(held)-1]
			held = held[:len(held)-1]
			continue
		}
		n := 1 << rng.IntN(12)
		if rng.IntN(100) == 0 {
			n = bigBlock / 8 << rng.IntN(3)
		}
		s := MakeSlice[uint64](&m, n)
		if uintptr(unsafe.Pointer(&s[0]))%line != 0 {
			t.Fatalf("a block of %d words is not aligned", n)
		}
		for j := range s {
			if s[j] != 0 {
				t.Fatalf("word %d of %d is not zero", j, n)
			}
			s[j] = uint64(i + 1)
		}
		held = append(held, block{s, uint64(i + 1)})
	}
}

// What nobody holds any more is used again.
func TestMemoryComesBack(t *testing.T) {
	if !offHeap {
		t.Skip("blocks are on the heap")
	}
	use := func() {
		var p Pool[[100]uint64]
		for range 50_000 {
			p.GetZero()
		}
		runtime.KeepAlive(p.memory.anchor)
	}
	use()
	before := Mapped()
	for range 20 {
		runtime.GC()
		time.Sleep(time.Millisecond) // cleanups run on a goroutine of their own
		use()
	}
	if after := Mapped(); after > 3*before {
		t.Errorf("%d octets are mapped, were %d after the first use", after, before)
	}
}

func TestPointers(t *testing.T) {
	var m Memory
	New[struct {
		A [2]struct{ B uint8 }
		C float64
	}](&m)
	if m.anchor == nil {
		t.Error("values without pointers are on the heap")
	}
	m = Memory{}
	New[struct{ p *int }](&m)
	New[struct{ s string }](&m)
	MakeSlice[[]byte](&m, 3)
	New[[2]any](&m)
	if m.anchor != nil {
		t.Error("values with pointers are outside of the heap")
	}
}

// Any address can be prefetched.
func TestPrefetch(t *testing.T) {
	Prefetch(nil, 3)
	x := new([100]uint64)
	Prefetch(unsafe.Pointer(x), 13)
	x[0], x[99] = 1, 2
	PrefetchWrite(nil, 3)
	PrefetchWrite(unsafe.Pointer(x), 13)
	for _, list := range [][]uint16{nil, {0}, {7, 0, 1<<16 - 1}} {
		PrefetchItems(unsafe.Pointer(x), 256, list, 3)
		PrefetchItemsSoon(unsafe.Pointer(x), 256, list, 3)
	}
	if *x != [100]uint64{0: 1, 99: 2} {
		t.Error("what lies there has changed")
	}
}

// Lines takes any number of any addresses, and is empty behind Fetch.
func TestLines(t *testing.T) {
	x := new([100]uint64)
	var l Lines
	for _, n := range []int{0, 1, MostLines - 1, MostLines, 3 * MostLines} {
		for i := range n {
			l.Add(nil)
			l.Add(unsafe.Pointer(&x[i%100]))
		}
		l.Fetch(1 + n%3)
		if l.n != 0 {
			t.Fatalf("%d addresses behind Fetch", l.n)
		}
	}
}

func BenchmarkPrefetch(b *testing.B) {
	x := new([4096]uint64)
	i := 0
	for b.Loop() {
		Prefetch(unsafe.Pointer(&x[i&4095]), 1)
		i += 8
	}
}

func BenchmarkAt(b *testing.B) {
	var p Pool[[12]uint64]
	for range 1000 {
		p.Get()
	}
	var sum uint64
	i := uint32(1)
	for b.Loop() {
		sum += p.At(i)[0]
		i = i%1000 + 1
	}
	_ = sum
}
