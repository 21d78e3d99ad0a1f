package live

import (
	"mirrorscope/index"
)

// numbered are things that an index finds, each with a number for as long as it is known. It
// is looked up for each record, of which most bring a key that is not there yet and is gone
// soon.
type numbered[T any] struct {
	index index.Index
	n     int      // that are known
	all   []*T     // by number, from 1 on: those that are known, and what waits to be used again
	free  []uint32 // numbers of the latter
}

// leastSlots are there at the beginning.
const leastSlots = 1 << 6

func newNumbered[T any]() numbered[T] {
	s := numbered[T]{index: index.New(), all: make([]*T, 1)}
	s.index.Slots = make([]uint64, leastSlots)
	return s
}

// find gives the one of a hash for which is is true; nil if there is none.
func (s *numbered[T]) find(hash uint32, is func(*T) bool) *T {
	return s.all[s.index.Find(hash, func(number uint32) bool { return is(s.all[number]) })]
}

// begin gives one that will have a hash: the memory of the latest that has gone, or new one.
func (s *numbered[T]) begin(hash uint32) (x *T, number uint32) {
	if n := len(s.free); n > 0 {
		number, s.free = s.free[n-1], s.free[:n-1]
	} else {
		number = uint32(len(s.all))
		s.all = append(s.all, new(T))
	}
	if 2*(s.n+1) > len(s.index.Slots) {
		s.grow()
	}
	s.index.Insert(hash, number)
	s.n++
	return s.all[number], number
}

// grow makes the index twice as long.
func (s *numbered[T]) grow() {
	old := s.index.Slots
	s.index.Slots = make([]uint64, 2*len(old))
	for _, slot := range old {
		if slot != 0 {
			s.index.Insert(uint32(slot>>32), uint32(slot))
		}
	}
}

// end lets one go.
func (s *numbered[T]) end(hash, number uint32) {
	s.index.Remove(hash, number)
	s.n--
	s.free = append(s.free, number)
}
