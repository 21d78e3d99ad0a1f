package afxdp

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mirrorscope/bpf"
	"mirrorscope/capture"
)

// newMemory is a walker over ordinary memory: frames buffers of size octets,
// all with the kernel, which is played by the test. Both rings start short of
// where their positions wrap around.
func newMemory(frames, size int) *walker {
	const start = 1<<32 - 40
	ring := func() positions {
		p := positions{new(atomic.Uint32), new(atomic.Uint32), new(atomic.Uint32), uint32(frames - 1)}
		p.producer.Store(start)
		p.consumer.Store(start)
		return p
	}
	return &walker{
		rx:     rxRing{ring(), make([]unix.XDPDesc, frames)},
		fill:   fillRing{ring(), make([]uint64, frames)},
		umem:   make([]byte, frames*size),
		size:   uint64(size),
		prod:   start,
		cons:   start,
		told:   start,
		filled: start, emptied: start,
		joined: make([]byte, 0, maxFrame), other: make([]byte, 0, maxFrame),
		clock: new(atomic.Int64),
		kick:  func() {},
	}
}

// receive puts descriptors into the ring, as the kernel does.
func (w *walker) receive(descs ...unix.XDPDesc) {
	p := w.rx.producer.Load()
	for _, d := range descs {
		w.rx.descs[p&w.rx.mask] = d
		p++
	}
	w.rx.producer.Store(p)
}

// store writes a stamp and a frame into buffer i, from headroom on, and gives
// its descriptor.
func (w *walker) store(i int, mono uint64, wire uint32, data []byte) unix.XDPDesc {
	addr := uint64(i)*w.size + headroom
	binary.NativeEndian.PutUint64(w.umem[addr:], mono)
	binary.NativeEndian.PutUint32(w.umem[addr+8:], wire)
	copy(w.umem[addr+bpf.MetaLen:], data)
	return unix.XDPDesc{Addr: addr, Len: uint32(bpf.MetaLen + len(data))}
}

// more stores a further piece of a frame.
func (w *walker) more(i int, data []byte) unix.XDPDesc {
	addr := uint64(i)*w.size + headroom
	copy(w.umem[addr:], data)
	return unix.XDPDesc{Addr: addr, Len: uint32(len(data))}
}

func contd(d unix.XDPDesc) unix.XDPDesc {
	d.Options |= unix.XDP_PKT_CONTD
	return d
}

// back takes the buffers that were given back out of the fill ring.
func (w *walker) back() []uint64 {
	var addrs []uint64
	for c := w.fill.consumer.Load(); c != w.fill.producer.Load(); c++ {
		addrs = append(addrs, w.fill.addrs[c&w.fill.mask])
		w.fill.consumer.Store(c + 1)
	}
	return addrs
}

// A frame has its octets, its time and its length on the wire, and its buffer
// is the kernel's again with the next call, not before.
func TestNext(t *testing.T) {
	w := newMemory(256, 2048)
	w.clock.Store(1_000_000)
	var f capture.Frame
	f.Interface = 7
	for i := range 1000 { // around the rings, and around their positions
		data := frame(60+i%1000, i)
		w.receive(w.store(i%256, uint64(i), uint32(60+i), data))
		if !w.Next(&f) {
			t.Fatalf("frame %d did not come", i)
		}
		if !bytes.Equal(f.Data, data) || cap(f.Data) != len(data) || f.Time != 1_000_000+int64(i) || f.WireLen != 60+i || f.Link != capture.LinkEthernet || f.Interface != 7 {
			t.Fatalf("frame %d: %d octets, time %d, %d on the wire, link %v, interface %d", i, len(f.Data), f.Time, f.WireLen, f.Link, f.Interface)
		}
		if addrs := w.back(); len(addrs) != 0 {
			t.Fatalf("frame %d was given back while it is lent: %v", i, addrs)
		}
		if w.Next(&f) {
			t.Fatalf("a frame after %d came from nowhere", i)
		}
		if addrs := w.back(); len(addrs) != 1 || addrs[0] != uint64(i%256)*2048 {
			t.Fatalf("after frame %d the buffers %v came back", i, addrs)
		}
		if n := w.counts.frames.Load(); n != uint64(i+1) {
			t.Fatalf("%d frames counted after %d", n, i+1)
		}
	}
}

// While there is more to read, the kernel gets buffers back in batches.
func TestTell(t *testing.T) {
	w := newMemory(256, 2048)
	for i := range 256 {
		w.receive(w.store(i, 0, 0, nil))
	}
	var f capture.Frame
	var changes int
	seen := w.fill.producer.Load()
	for more := true; more; {
		more = w.Next(&f)
		if p := w.fill.producer.Load(); p != seen {
			changes++
			seen = p
		}
	}
	if addrs := w.back(); len(addrs) != 256 || changes != 256/batch {
		t.Errorf("%d buffers came back, in %d batches while reading", len(addrs), changes)
	}
}

// All frames of a batch are there until the next one, and none of their buffers
// is the kernel's before.
func TestNextBatch(t *testing.T) {
	w := newMemory(256, 2048)
	fs := make([]capture.Frame, 64)
	for round := range 50 {
		n := 1 + round*7%100
		for i := range n {
			w.receive(w.store(i, uint64(i), 0, frame(60+i, i)))
		}
		for got := 0; got < n; {
			k := w.NextBatch(fs)
			if k != min(len(fs), n-got) {
				t.Fatalf("round %d: %d frames at once, %d of %d are there", round, k, n-got, n)
			}
			for i := range k {
				if f := &fs[i]; !bytes.Equal(f.Data, frame(60+got+i, got+i)) || f.Time != int64(got+i) {
					t.Fatalf("round %d, frame %d of %d: %d octets, time %d", round, got+i, n, len(f.Data), f.Time)
				}
			}
			got += k
			if back := len(w.back()); back > got-k {
				t.Fatalf("round %d: %d buffers are back, and %d are not lent", round, back, got-k)
			}
		}
		if k := w.NextBatch(fs); k != 0 {
			t.Fatalf("round %d: %d frames too many", round, k)
		}
		w.back()
	}
}

// A batch has one frame that was put together: its last one.
func TestNextBatchJoined(t *testing.T) {
	w := newMemory(64, 2048)
	whole := frame(3000, 1)
	w.receive(
		w.store(0, 1, 0, frame(60, 0)),
		contd(w.store(1, 2, 0, whole[:1700])), w.more(2, whole[1700:]),
		contd(w.store(3, 3, 0, frame(1700, 2))), w.more(4, frame(50, 3)),
		w.store(5, 4, 0, frame(61, 4)),
	)
	fs := make([]capture.Frame, 8)
	var times [][]int64
	for n := w.NextBatch(fs); n > 0; n = w.NextBatch(fs) {
		var ts []int64
		for _, f := range fs[:n] {
			ts = append(ts, f.Time)
			if f.Time == 2 && !bytes.Equal(f.Data, whole) {
				t.Error("the first frame of two buffers is not what it was")
			}
		}
		times = append(times, ts)
	}
	if fmt.Sprint(times) != "[[1 2] [3] [4]]" {
		t.Errorf("batches of frames with the times %v", times)
	}
	if n := len(w.back()); n != 6 {
		t.Errorf("%d of 6 buffers came back", n)
	}
}

// Frames gather as long as few come, and not for long where many do.
func TestGather(t *testing.T) {
	w := newMemory(1024, 2048)
	w.gather, w.longest = 2*time.Millisecond, 2*time.Millisecond
	fs := make([]capture.Frame, 1024)
	come := func(n int) time.Duration {
		for i := range n {
			w.receive(w.store(i, 0, 0, nil))
		}
		w.NextBatch(fs)
		w.NextBatch(fs)
		w.back()
		return w.Gather()
	}
	if g := come(10); g != w.longest {
		t.Errorf("%v with few frames", g)
	}
	for range 30 {
		come(900)
	}
	if g := w.Gather(); g > time.Microsecond {
		t.Errorf("%v with many", g)
	}
	for range 20 {
		come(1)
	}
	if g := w.Gather(); g != w.longest {
		t.Errorf("%v with few again", g)
	}
}

// A driver that sleeps for want of buffers is woken as soon as it has some.
func TestKick(t *testing.T) {
	w := newMemory(256, 2048)
	kicks := 0
	w.kick = func() {
		if kicks++; w.fill.producer.Load() == w.fill.consumer.Load() {
			t.Error("woken before it has buffers")
		}
	}
	var f capture.Frame
	w.receive(w.store(0, 0, 0, nil))
	for w.Next(&f) {
	}
	if kicks != 0 {
		t.Errorf("%d kicks of a driver that is awake", kicks)
	}
	w.back()
	w.fill.flags.Store(unix.XDP_RING_NEED_WAKEUP)
	w.receive(w.store(0, 0, 0, nil))
	for w.Next(&f) {
	}
	if kicks != 1 {
		t.Errorf("%d kicks, want 1", kicks)
	}
}

// A frame over several buffers is put together, also where the ring shows only
// its beginning at first.
func TestJoin(t *testing.T) {
	w := newMemory(64, 2048)
	whole := frame(5000, 1)
	pieces := []unix.XDPDesc{
		contd(w.store(3, 17, 6000, whole[:1700])),
		contd(w.more(9, whole[1700:3400])),
		w.more(4, whole[3400:]),
	}
	var f capture.Frame
	for split := range pieces {
		w.receive(pieces[:split]...)
		if w.Next(&f) {
			t.Fatalf("a frame of %d pieces", split)
		}
		if w.empty() != (split == 0) {
			t.Errorf("with %d pieces read, empty is %v", split, w.empty())
		}
		w.receive(pieces[split:]...)
		if !w.Next(&f) || !bytes.Equal(f.Data, whole) || f.Time != 17 || f.WireLen != 6000 {
			t.Fatalf("split at %d: %d octets, time %d, %d on the wire", split, len(f.Data), f.Time, f.WireLen)
		}
		w.receive(w.store(5, 1, 60, frame(60, 2)))
		if !w.Next(&f) || !bytes.Equal(f.Data, frame(60, 2)) || w.Next(&f) {
			t.Fatalf("the frame behind it: %d octets", len(f.Data))
		}
		if addrs := w.back(); len(addrs) != 4 {
			t.Errorf("%d buffers came back of 4", len(addrs))
		}
	}
}

// Descriptors that no kernel should give are counted and left out, whatever
// they say, and what follows them is read.
func TestHostile(t *testing.T) {
	const frames, size = 64, 2048
	const end = frames * size
	good := func(w *walker) unix.XDPDesc { return w.store(1, 5, 60, frame(60, 1)) }
	desc := func(addr uint64, n uint32) unix.XDPDesc { return unix.XDPDesc{Addr: addr, Len: n} }
	long := func(w *walker) []unix.XDPDesc {
		ds := []unix.XDPDesc{contd(w.store(0, 0, 0, make([]byte, 1700)))}
		for n := 1700; n <= maxFrame; n += 1700 {
			ds = append(ds, contd(w.more(2, make([]byte, 1700))))
		}
		return append(ds, w.more(3, nil))
	}
	for _, tc := range []struct {
		name                   string
		descs                  func(*walker) []unix.XDPDesc
		invalid, tooLong, lost uint64
	}{
		{"address behind the memory", func(*walker) []unix.XDPDesc { return []unix.XDPDesc{desc(end, 60)} }, 1, 0, 1},
		{"address far behind", func(*walker) []unix.XDPDesc { return []unix.XDPDesc{desc(1<<64-1, 60)} }, 1, 0, 1},
		{"address and length overflow", func(*walker) []unix.XDPDesc { return []unix.XDPDesc{desc(1<<64-30, 60)} }, 1, 0, 1},
		{"offset in the upper bits", func(*walker) []unix.XDPDesc { return []unix.XDPDesc{desc(256<<48, 60)} }, 1, 0, 1},
		{"length beyond the buffer", func(*walker) []unix.XDPDesc { return []unix.XDPDesc{desc(2048+256, 1793)} }, 1, 0, 0},
		{"length beyond the memory", func(*walker) []unix.XDPDesc { return []unix.XDPDesc{desc(end-60, 61)} }, 1, 0, 0},
		{"the greatest length", func(*walker) []unix.XDPDesc { return []unix.XDPDesc{desc(256, 1<<32-1)} }, 1, 0, 0},
		{"no room for a stamp", func(*walker) []unix.XDPDesc { return []unix.XDPDesc{desc(256, 15)} }, 1, 0, 0},
		{"nothing", func(*walker) []unix.XDPDesc { return []unix.XDPDesc{desc(0, 0)} }, 1, 0, 0},
		{"first piece", func(w *walker) []unix.XDPDesc {
			return []unix.XDPDesc{contd(desc(end, 1)), contd(w.more(2, nil)), w.more(3, nil)}
		}, 1, 0, 1},
		{"middle piece", func(w *walker) []unix.XDPDesc {
			return []unix.XDPDesc{contd(good(w)), contd(desc(4000, 2000)), w.more(3, nil)}
		}, 1, 0, 0},
		{"last piece", func(w *walker) []unix.XDPDesc { return []unix.XDPDesc{contd(good(w)), desc(end+5, 1)} }, 1, 0, 1},
		{"too long", long, 0, 1, 0},
		{"two in a row", func(w *walker) []unix.XDPDesc { return []unix.XDPDesc{desc(0, 0), desc(end, 0)} }, 2, 0, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newMemory(frames, size)
			descs := tc.descs(w)
			w.receive(append(descs, w.store(7, 9, 70, frame(70, 2)))...)
			var f capture.Frame
			if !w.Next(&f) || !bytes.Equal(f.Data, frame(70, 2)) || f.Time != 9 {
				t.Fatalf("the frame behind it: %d octets, time %d", len(f.Data), f.Time)
			}
			if w.Next(&f) {
				t.Fatalf("a frame came of it: %d octets", len(f.Data))
			}
			if in, long, stray := w.counts.invalid.Load(), w.counts.tooLong.Load(), w.counts.stray.Load(); in != tc.invalid || long != tc.tooLong || stray != tc.lost {
				t.Errorf("%d invalid, %d too long, %d stray buffers; want %d, %d, %d", in, long, stray, tc.invalid, tc.tooLong, tc.lost)
			}
			if n := w.counts.frames.Load(); n != 1 {
				t.Errorf("%d frames given out", n)
			}
			if addrs := w.back(); uint64(len(addrs)) != uint64(len(descs))+1-tc.lost {
				t.Errorf("%d buffers came back for %d descriptors", len(addrs), len(descs)+1)
			}
		})
	}
}

// A kernel that takes no buffers does not have those that wait overwritten.
func TestFillFull(t *testing.T) {
	w := newMemory(64, 2048)
	var f capture.Frame
	for i := range 70 {
		w.receive(w.store(i%64, 0, 0, nil))
		for w.Next(&f) {
		}
	}
	if stray := w.counts.stray.Load(); stray != 6 {
		t.Errorf("%d stray buffers of 70 in a ring of 64", stray)
	}
	for i, addr := range w.back() {
		if addr != uint64(i)*2048 {
			t.Fatalf("buffer %d is at %d", i, addr)
		}
	}
}

func TestNextAllocs(t *testing.T) {
	w := newMemory(256, 2048)
	var f capture.Frame
	small, first, last := w.store(1, 1, 60, frame(60, 1)), contd(w.store(2, 2, 3000, frame(1700, 2))), w.more(3, make([]byte, 1300))
	if n := testing.AllocsPerRun(1000, func() {
		w.receive(small, first, last)
		for range 3 {
			w.Next(&f)
		}
		w.fill.consumer.Store(w.fill.producer.Load())
	}); n != 0 {
		t.Errorf("Next: %v allocations, want 0", n)
	}
	if w.frames != 2002 {
		t.Errorf("%d frames of 2002", w.frames)
	}
}

// BenchmarkNext is the reader's share of a frame: the kernel's is not in it.
func BenchmarkNext(b *testing.B) {
	for _, tc := range []struct {
		name string
		n    int
	}{{"64", 64}, {"1514", 1514}} {
		b.Run(tc.name, func(b *testing.B) {
			const frames = 8192
			w := newMemory(frames, 4096)
			descs := make([]unix.XDPDesc, frames)
			for i := range descs {
				descs[i] = w.store(i, 1, uint32(tc.n), frame(tc.n, i))
			}
			fs := make([]capture.Frame, 64)
			var sum uint64
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += frames {
				w.receive(descs...)
				for n := w.NextBatch(fs); n > 0; n = w.NextBatch(fs) {
					for _, f := range fs[:n] {
						sum += uint64(f.Data[30])
					}
				}
				w.fill.consumer.Store(w.fill.producer.Load())
			}
		})
	}
}

// FuzzNext puts arbitrary descriptors into the ring, and compares what comes
// out with a plain model.
func FuzzNext(f *testing.F) {
	desc := func(addr uint64, n uint32, options byte) []byte {
		b := binary.LittleEndian.AppendUint64(nil, addr)
		return append(binary.LittleEndian.AppendUint32(b, n), options)
	}
	f.Add(desc(256, 76, 0))
	f.Add(append(desc(256, 1700, 1), desc(2304, 500, 0)...))
	f.Add(append(desc(256, 1700, 1), desc(1<<40, 500, 0)...))
	f.Add(append(desc(256, 3, 1), desc(2304, 500, 1)...))
	f.Add(desc(1<<64-1, 1<<32-1, 0))
	f.Add(append(append(desc(4096-16, 16, 0), desc(4096-16, 17, 0)...), desc(0, 2048, 0)...))
	var long []byte
	for range 40 {
		long = append(long, desc(0, 2048, 1)...)
	}
	f.Add(append(long, desc(0, 2048, 0)...))
	f.Fuzz(func(t *testing.T, b []byte) {
		const frames, size, one = 8, 2048, 13
		w := newMemory(frames, size)
		for i := range w.umem {
			w.umem[i] = byte(i * 7)
		}
		var descs []unix.XDPDesc
		for ; len(b) >= one; b = b[one:] {
			descs = append(descs, unix.XDPDesc{Addr: binary.LittleEndian.Uint64(b), Len: binary.LittleEndian.Uint32(b[8:]), Options: uint32(b[12])})
		}
		want, invalid, tooLong := model(w.umem, size, descs)
		var fs [4]capture.Frame
		for len(descs) > 0 { // as the ring has room
			n := min(frames, len(descs))
			w.receive(descs[:n]...)
			descs = descs[n:]
			for k := 1; k > 0; {
				if k = len(want) % 4; k == 0 { // one after the other, and several at once
					k = 1
					if !w.Next(&fs[0]) {
						break
					}
				} else {
					k = w.NextBatch(fs[:k])
				}
				for _, fr := range fs[:k] {
					if len(want) == 0 || !bytes.Equal(fr.Data, want[0]) || fr.WireLen < len(fr.Data) {
						t.Fatalf("%d octets that were not expected (%d frames to come)", len(fr.Data), len(want))
					}
					want = want[1:]
				}
			}
			w.back()
			if w.rx.consumer.Load() != w.rx.producer.Load() {
				t.Fatal("descriptors left in the ring")
			}
		}
		if len(want) != 0 || w.counts.invalid.Load() != invalid || w.counts.tooLong.Load() != tooLong {
			t.Fatalf("%d frames did not come; %d invalid and %d too long, want %d and %d", len(want), w.counts.invalid.Load(), w.counts.tooLong.Load(), invalid, tooLong)
		}
	})
}

// model is what Next should make of descriptors, written for clearness.
func model(umem []byte, size uint64, descs []unix.XDPDesc) (frames [][]byte, invalid, tooLong uint64) {
	var pieces []unix.XDPDesc
	for _, d := range descs {
		pieces = append(pieces, d)
		if d.Options&1 != 0 {
			continue
		}
		var data []byte
		bad, long := false, false
		for i, p := range pieces {
			buffer := p.Addr / size
			if buffer >= uint64(len(umem))/size || p.Addr%size+uint64(p.Len) > size || i == 0 && p.Len < bpf.MetaLen {
				bad = true
				break
			}
			data = append(data, umem[p.Addr:p.Addr+uint64(p.Len)]...)
			if len(data) > bpf.MetaLen+maxFrame {
				long = true
				break
			}
		}
		switch {
		case bad:
			invalid++
		case long:
			tooLong++
		default:
			frames = append(frames, data[bpf.MetaLen:])
		}
		pieces = nil
	}
	return frames, invalid, tooLong
}
