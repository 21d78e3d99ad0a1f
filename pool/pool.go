// Package pool keeps values that only some flows need, by number: the flows
// hold a uint32 and no pointer, so that the garbage collector has little to
// look at, and a value that is given back is used again, the latest first, while
// it is still in the caches. Values without pointers lie outside of the heap.
package pool

import "unsafe"

// Pool hands out values of one type. Numbers start at 1; 0 means none. It is
// owned by one goroutine. The zero value is ready for use.
type Pool[T any] struct {
	chunks []unsafe.Pointer // each to an array of 1<<bits values
	free   []uint32
	n      uint32 // numbers handed out so far: 1 to n
	mask   uint32 // values of a chunk, less 1
	shift  uint8  // bits; kept here so that At is small enough to be inlined
	memory Memory
}

// chunkLen is about how many octets a chunk has: there are many pools, most of
// them small.
const chunkLen = 16 << 10

// bits is the logarithm of how many values a chunk has. It is known when
// compiling.
func bits[T any]() uint {
	var zero T
	switch n := unsafe.Sizeof(zero); {
	case n <= chunkLen>>8:
		return 8
	case n <= chunkLen>>7:
		return 7
	case n <= chunkLen>>6:
		return 6
	case n <= chunkLen>>5:
		return 5
	case n <= chunkLen>>4:
		return 4
	case n <= chunkLen>>3:
		return 3
	}
	return 2
}

// At gives the value of a number that Get handed out. It stays where it is
// until it is put back, or the pool is no longer reachable.
func (p *Pool[T]) At(i uint32) *T {
	var zero T
	return (*T)(unsafe.Add(p.chunks[i>>(p.shift&31)], uintptr(i&p.mask)*unsafe.Sizeof(zero)))
}

// Prefetch begins to load so many cache lines of a value, from its first on.
func (p *Pool[T]) Prefetch(i uint32, lines int) { Prefetch(unsafe.Pointer(p.At(i)), lines) }

// Get hands out a value. It holds what it held when it was put back; a new one
// is zero.
func (p *Pool[T]) Get() uint32 {
	if n := len(p.free); n > 0 {
		i := p.free[n-1]
		p.free = p.free[:n-1]
		return i
	}
	p.n++
	if b := bits[T](); int(p.n>>b) == len(p.chunks) {
		p.shift, p.mask = uint8(b), 1<<b-1
		p.chunks = append(p.chunks, unsafe.Pointer(unsafe.SliceData(MakeSlice[T](&p.memory, 1<<b))))
	}
	return p.n
}

// GetZero is Get with the value cleared.
func (p *Pool[T]) GetZero() uint32 {
	i := p.Get()
	var zero T
	*p.At(i) = zero
	return i
}

// Put takes a value back.
func (p *Pool[T]) Put(i uint32) { p.free = append(p.free, i) }

// InUse is how many values are handed out.
func (p *Pool[T]) InUse() int { return int(p.n) - len(p.free) }
