package afxdp

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// positions is the head of a ring that is shared with the kernel. producer and
// consumer run freely over 32 bits, and each has one writer: what lies between
// them is in the ring. Go's atomics are sequentially consistent, which is more
// than the acquire and release that the kernel asks for
// (net/xdp/xsk_queue.h, "The structure of the shared state of the rings").
type positions struct {
	producer, consumer, flags *atomic.Uint32
	mask                      uint32 // slots - 1
}

// rxRing is filled by the kernel: buffers with frames in them.
type rxRing struct {
	positions
	descs []unix.XDPDesc
}

// fillRing is filled by us: buffers for frames to come, by address in the UMEM.
type fillRing struct {
	positions
	addrs []uint64
}

// at reads the head of a ring of n slots from its mapping.
func at(mem []byte, off unix.XDPRingOffset, n int) positions {
	word := func(o uint64) *atomic.Uint32 { return (*atomic.Uint32)(unsafe.Pointer(&mem[o : o+4][0])) }
	return positions{
		producer: word(off.Producer),
		consumer: word(off.Consumer),
		flags:    word(off.Flags),
		mask:     uint32(n - 1),
	}
}

// slots is the array of n entries behind the head of a ring. It panics if the
// mapping is too short for it, which would be a mistake of ours.
func slots[T any](mem []byte, off unix.XDPRingOffset, n int) []T {
	var t T
	b := mem[off.Desc : off.Desc+uint64(n)*uint64(unsafe.Sizeof(t))]
	return unsafe.Slice((*T)(unsafe.Pointer(&b[0])), n)
}

// ringBytes is the length of the mapping of a ring whose n slots have size
// octets each.
func ringBytes(off unix.XDPRingOffset, n int, size uintptr) int {
	return int(off.Desc) + n*int(size)
}
