package flow

// slab holds flows in chunks that never move, so that a table grows without
// copying and the garbage collector finds no pointers in it.
type slab struct {
	chunks []*[chunkLen]Flow
	free   uint32 // head of the list of free flows, linked by Flow.next; none if noFlow
	n      uint32 // flows ever handed out from chunks
	live   int
}

const (
	chunkLen = 128
	noFlow   = ^uint32(0)
)

func (s *slab) at(n uint32) *Flow { return &s.chunks[n/chunkLen][n%chunkLen] }

// get hands out a flow, not cleared.
func (s *slab) get() uint32 {
	s.live++
	if s.free != noFlow {
		n := s.free
		s.free = s.at(n).next
		return n
	}
	if int(s.n) == len(s.chunks)*chunkLen {
		s.chunks = append(s.chunks, new([chunkLen]Flow))
	}
	s.n++
	return s.n - 1
}

func (s *slab) put(n uint32) {
	s.live--
	s.at(n).next = s.free
	s.free = n
}
