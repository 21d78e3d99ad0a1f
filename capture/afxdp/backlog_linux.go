package afxdp

import (
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"mirrorscope/capture"
)

// backlog is where frames wait that were taken out of the ring before anybody asked
// for them. A buffer of the ring holds one frame however short it is; here they lie one
// behind the other, first in, first out, in the same memory over and over. It is owned
// by the goroutine that reads the ring, but for fill.
type backlog struct {
	mem []byte // nil: there is none

	// Positions in mem, counted on and on, multiples of entryHeader: up to which frames
	// were added, given out, and taken back from those who got them.
	added, given, back uint64

	held atomic.Int64 // octets between back and added
}

// An entry is a header, the time, the length on the wire and that of what follows, and the
// octets of the frame. It never goes over the end of the memory: what is left there is
// an entry of no frame.
const (
	entryHeader = 16
	noFrame     = 1<<32 - 1 // as a length
)

// mapBacklog maps so many octets for one.
func mapBacklog(octets int) (mem []byte, err error) {
	if octets == 0 {
		return nil, nil
	}
	mem, err = unix.Mmap(-1, 0, octets, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("map %d KiB for frames that wait: %w", octets>>10, err)
	}
	_ = unix.Madvise(mem, unix.MADV_HUGEPAGE) // only a wish
	return mem, nil
}

// entryLen is how much an entry of a frame of n octets takes.
func entryLen(n int) uint64 { return (entryHeader + uint64(n) + entryHeader - 1) &^ (entryHeader - 1) }

// fits tells whether there is room for a frame of n octets.
func (b *backlog) fits(n int) bool {
	size, need := uint64(len(b.mem)), entryLen(n)
	if size == 0 {
		return false
	}
	if left := size - b.added%size; left < need {
		need += left
	}
	return b.added+need-b.back <= size
}

// add takes a copy of a frame for which there is room.
func (b *backlog) add(f *capture.Frame) {
	size, need := uint64(len(b.mem)), entryLen(len(f.Data))
	at := b.added % size
	if left := size - at; left < need {
		binary.NativeEndian.PutUint32(b.mem[at+12:], noFrame)
		b.added += left
		at = 0
	}
	e := b.mem[at:][:need]
	binary.NativeEndian.PutUint64(e, uint64(f.Time))
	binary.NativeEndian.PutUint32(e[8:], uint32(f.WireLen))
	binary.NativeEndian.PutUint32(e[12:], uint32(len(f.Data)))
	copy(e[entryHeader:], f.Data)
	b.added += need
}

// waits tells whether it has frames to give out.
func (b *backlog) waits() bool { return b.given != b.added }

// next overwrites f with the next frame, which there is, and lends its octets until
// reclaim. It gives its length on the wire.
func (b *backlog) next(f *capture.Frame) (wire int) {
	size := uint64(len(b.mem))
	at := b.given % size
	n := binary.NativeEndian.Uint32(b.mem[at+12:])
	if n == noFrame {
		b.given += size - at
		at = 0
		n = binary.NativeEndian.Uint32(b.mem[12:])
	}
	e := b.mem[at:][:entryHeader+uint64(n)]
	f.Data = e[entryHeader:len(e):len(e)]
	f.Time = int64(binary.NativeEndian.Uint64(e))
	f.WireLen = int(binary.NativeEndian.Uint32(e[8:]))
	f.Link = capture.LinkEthernet
	b.given += entryLen(int(n))
	return f.WireLen
}

// reclaim takes back what was lent. Once it is empty it begins anew with the memory that
// is in the caches.
func (b *backlog) reclaim() {
	if b.back == b.given {
		return
	}
	if b.back = b.given; b.back == b.added {
		b.added, b.given, b.back = 0, 0, 0
	}
	b.note()
}

// note has others see how much it holds.
func (b *backlog) note() { b.held.Store(int64(b.added - b.back)) }

// fill is the share of it that is in use. Any goroutine may ask.
func (b *backlog) fill() float64 {
	if len(b.mem) == 0 {
		return 0
	}
	return float64(b.held.Load()) / float64(len(b.mem))
}
