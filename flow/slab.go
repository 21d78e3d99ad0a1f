package flow

import (
	"unsafe"

	"mirrorscope/pool"
)

// slab holds flows in chunks that never move, outside of the heap, so that a
// table grows without copying and the garbage collector has nothing to look
// into. A flow that is given back is used first, while it is in the caches.
type slab struct {
	chunks []*chunk
	memory pool.Memory
	free   uint32 // head of the list of free flows, linked by link.next; none if noFlow
	n      uint32 // flows ever handed out from chunks
	live   int
}

// chunk holds flows, and beside them, close together, where they are in their
// wheels: a wheel touches the links of flows that have nothing to do with the
// packet at hand.
type chunk struct {
	flows [chunkLen]Flow
	links [chunkLen]link
}

// link places a flow between others: in the ring of a wheel's slot, or in the
// list of those that are free.
type link struct{ next, prev uint32 }

const (
	chunkLen = 64
	noFlow   = ^uint32(0)
)

func (s *slab) at(n uint32) *Flow { return &s.chunks[n/chunkLen].flows[n%chunkLen] }

func (s *slab) link(n uint32) *link { return &s.chunks[n/chunkLen].links[n%chunkLen] }

// prefetch begins to load the lines of a flow that every packet touches.
func (s *slab) prefetch(n uint32) { pool.Prefetch(unsafe.Pointer(s.at(n)), flowLines) }

// flowLines is how many cache lines of a flow most packets touch.
const flowLines = int(unsafe.Offsetof(Flow{}.handshake)+63) / 64

// get hands out a flow, not cleared.
func (s *slab) get() uint32 {
	s.live++
	if s.free != noFlow {
		n := s.free
		s.free = s.link(n).next
		return n
	}
	if int(s.n) == len(s.chunks)*chunkLen {
		s.chunks = append(s.chunks, pool.New[chunk](&s.memory))
	}
	s.n++
	return s.n - 1
}

func (s *slab) put(n uint32) {
	s.live--
	s.link(n).next = s.free
	s.free = n
}
