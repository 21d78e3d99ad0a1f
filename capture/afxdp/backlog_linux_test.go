package afxdp

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"golang.org/x/sys/unix"

	"mirrorscope/capture"
)

// A backlog gives what it was given, in order, and says before when it has no room:
// whatever the lengths, and however adding, giving out and taking back alternate.
func FuzzBacklog(f *testing.F) {
	f.Add(uint16(4096), []byte{3, 0, 10, 2, 255, 4, 90, 1, 1})
	f.Add(uint16(64), bytes.Repeat([]byte{1, 200, 2, 3}, 50))
	for seed := range uint64(100) {
		r := rand.New(rand.NewPCG(seed, 3))
		plan := make([]byte, 600)
		for i := range plan {
			plan[i] = byte(r.Uint32())
		}
		f.Add(uint16(1024<<r.IntN(4)+16*r.IntN(4)), plan)
	}
	f.Fuzz(func(t *testing.T, size uint16, plan []byte) {
		const slack = 4096 // what lies behind its memory is nobody's
		mem := make([]byte, int(size)&^(entryHeader-1)+slack)
		b := backlog{mem: mem[: len(mem)-slack : len(mem)-slack]}
		if len(b.mem) == 0 {
			b.mem = nil
		}
		var held, lent []capture.Frame
		made := 0
		check := func(got, want *capture.Frame) {
			t.Helper()
			if !bytes.Equal(got.Data, want.Data) || cap(got.Data) != len(got.Data) || got.Time != want.Time || got.WireLen != want.WireLen || got.Link != capture.LinkEthernet || got.Interface != 5 {
				t.Fatalf("got %d octets at %d, want %d at %d", len(got.Data), got.Time, len(want.Data), want.Time)
			}
		}
		lending := map[int]capture.Frame{} // by place in lent: the frame as it was lent
		for i := 0; i+1 < len(plan); i += 2 {
			switch plan[i] % 4 {
			case 0, 1: // add
				n := int(plan[i+1]) * int(plan[i]/4+1) % (1 << 14)
				if !b.fits(n) {
					if len(held)+len(lent) == 0 && entryLen(n) <= uint64(len(b.mem)) {
						t.Fatalf("%d octets do not fit into %d that are free", n, len(b.mem))
					}
					continue
				}
				made++
				g := capture.Frame{Data: bytes.Repeat([]byte{byte(made) | 1}, n), Time: int64(made) << 33, WireLen: n + made}
				b.add(&g)
				held = append(held, g)
			case 2: // give out
				if b.waits() != (len(held) > 0) {
					t.Fatalf("waits is %v with %d frames", b.waits(), len(held))
				}
				if len(held) > 0 {
					g := capture.Frame{Interface: 5}
					b.next(&g)
					check(&g, &held[0])
					lending[len(lent)] = g
					lent, held = append(lent, held[0]), held[1:]
				}
			case 3: // take back
				for i := range lent {
					g := lending[i]
					check(&g, &lent[i]) // what was lent is as it was
				}
				lent = lent[:0]
				clear(lending)
				b.reclaim()
				if len(held) == 0 && b.held.Load() != 0 {
					t.Fatalf("%d octets held of no frame", b.held.Load())
				}
			}
		}
		for _, x := range mem[len(mem)-slack:] {
			if x != 0 {
				t.Fatal("it wrote behind its end")
			}
		}
	})
}

// What waits is moved, its buffers are the kernel's again, and what was lent stays: then
// all comes in order, frames of several buffers among it.
func TestSpill(t *testing.T) {
	for _, room := range []int{0, 256 << 10, 1 << 20} {
		r := rand.New(rand.NewPCG(1, uint64(room)))
		const frames = 64
		w := newMemory(frames, 2048)
		mem, err := mapBacklog(room)
		if err != nil {
			t.Fatal(err)
		}
		if mem != nil {
			defer unix.Munmap(mem)
		}
		w.backlog.mem = mem
		free := make([]int, frames) // buffers of the kernel
		for i := range free {
			free[i] = i
		}
		type sent struct {
			data []byte
			mono uint64
		}
		var way, lent []sent // on their way; lent
		held := make([]capture.Frame, 16)
		made, got, spilled := 0, 0, 0
		for range 20_000 {
			for _, addr := range w.back() {
				free = append(free, int(addr/2048))
			}
			switch r.IntN(4) {
			case 0, 1: // a frame comes, over up to three buffers
				pieces := 1
				if r.IntN(8) == 0 {
					pieces = 2 + r.IntN(2)
				}
				if len(free) < pieces {
					continue
				}
				made++
				data := frame(100+r.IntN(1000), made)
				part := len(data) / pieces
				var descs []unix.XDPDesc
				for i := range pieces {
					b := data[i*part : (i+1)*part]
					if i == pieces-1 {
						b = data[i*part:]
					}
					d := w.more(free[0], b)
					if i == 0 {
						d = w.store(free[0], uint64(made), uint32(len(data)), b)
					}
					if i < pieces-1 {
						d = contd(d)
					}
					free = free[1:]
					descs = append(descs, d)
				}
				w.receive(descs...)
				way = append(way, sent{data, uint64(made)})
			case 2:
				w.Spill(0)
				if room == 1<<20 && w.rx.producer.Load() != w.cons {
					t.Fatal("frames stay in the ring, and there is room")
				}
				spilled = max(spilled, int(w.backlog.held.Load()))
			case 3:
				for i, s := range lent {
					if !bytes.Equal(held[i].Data, s.data) || held[i].Time != int64(s.mono) {
						t.Fatalf("what was lent changed: frame %d", s.mono)
					}
				}
				n := w.NextBatch(held[:1+r.IntN(len(held))])
				if n == 0 && len(way) > 0 {
					t.Fatalf("none of %d frames came", len(way))
				}
				lent, way = way[:n:n], way[n:]
				got += n
			}
		}
		if got+len(way) != made || got < 1000 {
			t.Errorf("%d of %d frames, %d on their way", got, made, len(way))
		}
		if (spilled > 0) != (room > 0) {
			t.Errorf("%d octets waited beside the ring, of %d", spilled, room)
		}
		if n := w.counts.stray.Load() + w.counts.invalid.Load() + w.counts.tooLong.Load(); n != 0 {
			t.Errorf("%d buffers or frames went astray", n)
		}
	}
}

// A ring of frames that are short takes many more than it has buffers, and is told to be
// as full as what they are moved to.
func TestSpillRoom(t *testing.T) {
	w := newMemory(64, 2048)
	w.backlog.mem = make([]byte, 256<<10)
	n := 0
	data := make([]byte, 128)
	for range 100 {
		for i := range 64 {
			binary.BigEndian.PutUint64(data, uint64(n))
			w.receive(w.store(i, uint64(n), 128, data))
			n++
		}
		w.Spill(0)
		if w.cons != w.prod { // the first that did not fit
			break
		}
		w.back()
	}
	waits := int(w.prod - w.cons)
	w.cons = w.prod
	if w.empty() {
		t.Error("empty, with all that was moved")
	}
	w.cons -= uint32(waits)
	if want := (256 << 10) / (128 + entryHeader); n-waits != want || w.backlog.fill() < 0.999 {
		t.Errorf("%d frames of 128 octets wait in 256 KiB, want %d; %.3f full", n-waits, want, w.backlog.fill())
	}
	var f capture.Frame
	for i := range n {
		if !w.Next(&f) || binary.BigEndian.Uint64(f.Data) != uint64(i) {
			t.Fatalf("frame %d did not come", i)
		}
	}
	if w.Next(&f) || w.backlog.fill() != 0 {
		t.Errorf("more than %d frames, or %v full with none", n, w.backlog.fill())
	}
}

// While what waited is read, what comes meanwhile finds room as well, and is counted as given
// out when it is: a reader that is faster than the traffic loses nothing.
func TestSpillWhileItIsRead(t *testing.T) {
	const slots = 64
	w := newMemory(slots, 2048)
	w.backlog.mem = make([]byte, 1<<20)
	free := make([]int, slots)
	for i := range free {
		free[i] = i
	}
	data, n := make([]byte, 128), 0
	come := func(k int) {
		for range k {
			for _, a := range w.back() {
				free = append(free, int(a/2048))
			}
			if len(free) == 0 {
				t.Fatalf("frame %d finds no buffer", n)
			}
			binary.BigEndian.PutUint64(data, uint64(n))
			w.receive(w.store(free[0], uint64(n), 128, data))
			free = free[1:]
			n++
		}
	}
	for range 100 { // the reader is busy
		come(20)
		w.Spill(0.25)
	}
	if w.counts.frames.Load() != 0 {
		t.Errorf("%d frames are counted as given out, of none", w.counts.frames.Load())
	}
	fs := make([]capture.Frame, 16)
	got := 0
	for range 1000 {
		come(8)
		for _, f := range fs[:w.NextBatch(fs)] {
			if binary.BigEndian.Uint64(f.Data) != uint64(got) || f.Time != int64(got) {
				t.Fatalf("frame %d at %d instead of %d", binary.BigEndian.Uint64(f.Data), f.Time, got)
			}
			got++
		}
	}
	for k := w.NextBatch(fs); k > 0; k = w.NextBatch(fs) {
		got += k
	}
	if got != n || w.counts.frames.Load() != uint64(n) || w.counts.bytes.Load() != uint64(128*n) {
		t.Errorf("%d frames came, %d were read, %d of %d octets counted", n, got, w.counts.frames.Load(), w.counts.bytes.Load())
	}
}
