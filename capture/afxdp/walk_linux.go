package afxdp

import (
	"encoding/binary"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"mirrorscope/bpf"
	"mirrorscope/capture"
)

// batch is how many descriptors are taken before the kernel is told. Each
// telling moves two cache lines between the cores of reader and driver; a
// driver's own batch is 64.
const batch = 64

// maxFrame is the longest frame, octets, that is put together from several
// buffers: an IP packet of 65535 octets with room for tunnel headers.
const maxFrame = 72 << 10

// walker takes frames out of a ring and gives their buffers back. It works on
// memory alone, makes no system call, and trusts neither address nor length.
type walker struct {
	rx   rxRing
	fill fillRing
	umem []byte
	size uint64 // octets of a buffer, a power of two

	prod, cons uint32 // of rx: as last seen, as taken by us
	told       uint32 // consumer of rx that the kernel knows
	filled     uint32 // producer of fill, ahead of what the kernel knows
	emptied    uint32 // consumer of fill, as last seen
	owed       bool   // filled is ahead

	lent []uint64 // addresses of the buffers that the caller looks at

	// A frame over several buffers, while it is put together.
	joined []byte // capacity maxFrame
	other  []byte // likewise: the one that is lent, or was last
	first  stamp
	state  joining

	backlog backlog // what was taken out of rx before anybody asked

	clock  *atomic.Int64 // CLOCK_REALTIME - CLOCK_MONOTONIC, ns
	offset int64         // the same, for the frames that look found

	gather  time.Duration // how long frames may gather now
	longest time.Duration // and at most
	touched byte          // keeps touch from being left out

	kick          func() // wakes a driver that waits for free buffers
	frames, bytes uint64 // given out
	counts        counts
}

// counts are read by other goroutines. Frames and bytes are as of the last
// tell, and so exact while nothing is to be read.
type counts struct {
	frames, bytes    atomic.Uint64
	invalid, tooLong atomic.Uint64 // frames that were not given out
	stray            atomic.Uint64 // buffers that could not be given back
}

// joining is where in a frame of several buffers the walker is.
type joining uint8

const (
	outside joining = iota
	inFrame         // joined holds its beginning
	inLong          // it is longer than maxFrame: left out up to its end
	inBad           // one of its descriptors was wrong: left out up to its end
)

// stamp is what the XDP program puts ahead of a frame (bpf.MetaLen octets):
// struct meta { __u64 mono_ns; __u32 wire_len; __u32 weight; }.
type stamp struct {
	mono int64 // CLOCK_MONOTONIC at arrival, ns
	wire int   // octets of the frame before it was trimmed
}

// Next implements capture.Ring.
func (w *walker) Next(f *capture.Frame) bool {
	w.reclaim()
	if w.backlog.waits() {
		w.Spill(capture.Crowded)
		w.count(w.backlog.next(f))
		return true
	}
	joined, ok := w.take(f)
	if joined {
		w.lendJoined()
	}
	if ok {
		w.count(f.WireLen)
	}
	return ok
}

// NextBatch implements capture.Ring. A batch ends with a frame that was put
// together: there is room for one. What waits elsewhere comes first, by itself; until
// all of that is given out, what comes meanwhile goes there.
func (w *walker) NextBatch(fs []capture.Frame) (n int) {
	w.reclaim()
	if w.backlog.waits() {
		w.Spill(capture.Crowded)
		for n < len(fs) && w.backlog.waits() {
			w.count(w.backlog.next(&fs[n]))
			n++
		}
		return n
	}
	if w.cons == w.prod {
		w.look()
	}
	w.touch(min(uint32(len(fs)), w.prod-w.cons))
	for n < len(fs) {
		joined, ok := w.take(&fs[n])
		if !ok {
			break
		}
		w.count(fs[n].WireLen)
		n++
		if joined {
			w.lendJoined()
			break
		}
	}
	return n
}

// Spills implements capture.Spiller.
func (w *walker) Spills() bool { return w.backlog.mem != nil }

// Spill implements capture.Spiller.
func (w *walker) Spill(share float64) {
	b := &w.backlog
	if b.mem == nil || float64(w.rx.producer.Load()-w.cons) <= share*float64(len(w.rx.descs)) {
		return
	}
	for w.cons != w.prod || w.look() {
		d, longest := w.rx.descs[w.cons&w.rx.mask], maxFrame
		if d.Options&unix.XDP_PKT_CONTD == 0 && w.state == outside {
			longest = int(min(d.Len, maxFrame))
		}
		if !b.fits(longest) {
			break
		}
		var f capture.Frame
		lent := len(w.lent)
		if _, ok := w.step(&f); ok {
			b.add(&f)
		}
		for _, addr := range w.lent[lent:] {
			w.give(addr)
		}
		w.lent = w.lent[:lent]
		if w.cons-w.told >= batch {
			w.tell()
		}
	}
	w.tell()
	b.note()
}

// lendJoined has the next frame of several buffers be put together elsewhere.
func (w *walker) lendJoined() { w.joined, w.other = w.other, w.joined }

// reclaim gives the buffers that were lent back, and tells the kernel of it once
// there are some.
func (w *walker) reclaim() {
	for _, addr := range w.lent {
		w.give(addr)
	}
	w.lent = w.lent[:0]
	w.backlog.reclaim()
	if w.cons-w.told >= batch {
		w.tell()
	}
}

// touch reads the beginnings of the next n frames. Each lies in a buffer of its
// own, which the driver has just written on another core: all of them are on
// their way at once then, and not one after the other as they are looked at.
func (w *walker) touch(n uint32) {
	const headers = 64 // octets behind the beginning: with the cache line that is there
	for i := range n {
		if addr := w.rx.descs[(w.cons+i)&w.rx.mask].Addr; addr+headers < uint64(len(w.umem)) && addr < addr+headers {
			w.touched += w.umem[addr] + w.umem[addr+headers]
		}
	}
}

// take overwrites f with the next frame, and tells whether it was put together
// in joined.
func (w *walker) take(f *capture.Frame) (joined, ok bool) {
	for w.cons != w.prod || w.look() {
		if joined, ok = w.step(f); ok {
			return joined, true
		}
	}
	return false, false
}

// step takes a descriptor, which there is. With the last one of a frame it overwrites
// f, and tells whether that was put together in joined.
func (w *walker) step(f *capture.Frame) (joined, ok bool) {
	d := w.rx.descs[w.cons&w.rx.mask]
	w.cons++
	if d.Options&unix.XDP_PKT_CONTD == 0 && w.state == outside {
		if !w.valid(d, bpf.MetaLen) {
			w.counts.invalid.Add(1)
			w.give(d.Addr)
			return false, false
		}
		s := w.stamp(d.Addr)
		w.lent = append(w.lent, d.Addr)
		end := d.Addr + uint64(d.Len)
		w.out(f, w.umem[d.Addr+bpf.MetaLen:end:end], s)
		return false, true
	}
	if w.join(d) {
		w.out(f, w.joined, w.first)
		return true, true
	}
	return false, false
}

// count counts a frame that is given out.
func (w *walker) count(octets int) {
	w.frames++
	w.bytes += uint64(octets)
}

// out fills f.
func (w *walker) out(f *capture.Frame, data []byte, s stamp) {
	f.Data = data
	f.Time = s.mono + w.offset
	f.WireLen = max(s.wire, len(data))
	f.Link = capture.LinkEthernet
}

// valid tells whether the octets of d, at least least of them, lie in one
// buffer of the UMEM.
func (w *walker) valid(d unix.XDPDesc, least uint32) bool {
	return d.Addr < uint64(len(w.umem)) && d.Len >= least && d.Addr&(w.size-1)+uint64(d.Len) <= w.size
}

// stamp reads what lies at addr.
func (w *walker) stamp(addr uint64) stamp {
	m := w.umem[addr:][:bpf.MetaLen]
	return stamp{
		mono: int64(binary.NativeEndian.Uint64(m)),
		wire: int(binary.NativeEndian.Uint32(m[8:])),
	}
}

// join takes a descriptor of a frame that has several. It is true when joined
// holds the whole frame. The buffer is given back at once.
func (w *walker) join(d unix.XDPDesc) bool {
	var ahead uint32 // octets of the stamp
	if w.state == outside {
		ahead = bpf.MetaLen
		w.joined, w.state = w.joined[:0], inFrame
	}
	if w.state == inFrame && !w.valid(d, ahead) {
		w.state = inBad
	}
	if w.state == inFrame {
		if ahead > 0 {
			w.first = w.stamp(d.Addr)
		}
		b := w.umem[d.Addr+uint64(ahead) : d.Addr+uint64(d.Len)]
		if len(w.joined)+len(b) <= cap(w.joined) {
			w.joined = append(w.joined, b...)
		} else {
			w.state = inLong
		}
	}
	w.give(d.Addr)
	if d.Options&unix.XDP_PKT_CONTD != 0 {
		return false
	}
	whole := w.state == inFrame
	switch w.state {
	case inLong:
		w.counts.tooLong.Add(1)
	case inBad:
		w.counts.invalid.Add(1)
	}
	w.state = outside
	return whole
}

// give puts the buffer that addr lies in into the fill ring, which has a slot
// for each buffer. The kernel hears of it later.
func (w *walker) give(addr uint64) {
	if w.filled-w.emptied > w.fill.mask {
		w.emptied = w.fill.consumer.Load()
	}
	if addr >= uint64(len(w.umem)) || w.filled-w.emptied > w.fill.mask {
		w.counts.stray.Add(1)
		return
	}
	w.fill.addrs[w.filled&w.fill.mask] = addr &^ (w.size - 1)
	w.filled++
	w.owed = true
}

// look asks the kernel for new frames. Without any it tells what was taken, so
// that nothing is held back while the ring is idle.
func (w *walker) look() bool {
	w.prod = w.rx.producer.Load()
	w.offset = w.clock.Load()
	if found := w.prod - w.cons; found > 0 {
		w.pace(found)
		return true
	}
	w.tell()
	return false
}

// pace shortens the time in which frames gather where many have come in it, and
// makes it longer again where few have: the ring must not become full.
func (w *walker) pace(found uint32) {
	switch slots := w.rx.mask + 1; {
	case found > slots/8:
		w.gather /= 2
	case found < slots/64:
		w.gather = min(w.gather+w.longest/16, w.longest)
	}
}

// Gather implements capture.Ring. A socket wakes its reader at each batch of the
// driver, of a few frames mostly, which costs more than the frames do.
func (w *walker) Gather() time.Duration { return w.gather }

// tell lets the kernel have the slots that were read and the buffers that were
// given back.
func (w *walker) tell() {
	w.counts.frames.Store(w.frames)
	w.counts.bytes.Store(w.bytes)
	if w.told == w.cons && !w.owed {
		return
	}
	w.told, w.owed = w.cons, false
	w.rx.consumer.Store(w.cons)
	w.fill.producer.Store(w.filled)
	if w.fill.flags.Load()&unix.XDP_RING_NEED_WAKEUP != 0 {
		w.kick()
	}
}

// empty tells whether no frame, and no part of one, waits to be read.
func (w *walker) empty() bool {
	return w.state == outside && !w.backlog.waits() && w.rx.producer.Load() == w.cons
}
