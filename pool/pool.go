// Package pool keeps values that only some flows need, by number: the flows
// hold a uint32 and no pointer, so that the garbage collector has little to
// look at, and a value that is given back is used again, the latest first, while
// it is still in the caches. Values without pointers lie outside of the heap.
package pool

import (
	"math/bits"
	"unsafe"
)

// Pool hands out values of one type. Numbers start at 1; 0 means none. It is
// owned by one goroutine. The zero value is ready for use.
type Pool[T any] struct {
	chunks []unsafe.Pointer // each to an array of 1<<bits values
	free   []uint32
	n      uint32 // numbers handed out so far: 1 to n
	memory Memory
}

// chunkLen is about how many octets a chunk has: there are many pools, most of
// them small.
const chunkLen = 16 << 10

// minValues is how many values a chunk has at least.
const minValues = 4

// shift is the logarithm of how many values a chunk has. It is known when
// compiling, and small enough to be inlined.
func shift[T any]() int {
	var zero T
	return min(bits.Len(uint(chunkLen/max(unsafe.Sizeof(zero), chunkLen>>8)|minValues)), 9) - 1
}

// At gives the value of a number that Get handed out. It stays where it is
// until it is put back, or the pool is no longer reachable.
func (p *Pool[T]) At(i uint32) *T {
	var zero T
	return (*T)(unsafe.Add(p.chunks[i>>shift[T]()], uintptr(i&(1<<shift[T]()-1))*unsafe.Sizeof(zero)))
}

// Prefetch begins to load so many cache lines of a value, from its first on.
func (p *Pool[T]) Prefetch(i uint32, lines int) { Prefetch(unsafe.Pointer(p.At(i)), lines) }

// PrefetchFree begins to load so many cache lines of the value that Get gives next, if
// there is memory for it.
func (p *Pool[T]) PrefetchFree(lines int) {
	i := p.n + 1
	if n := len(p.free); n > 0 {
		i = p.free[n-1]
	}
	if int(i>>shift[T]()) < len(p.chunks) {
		p.Prefetch(i, lines)
	}
}

// Get hands out a value. It holds what it held when it was put back; a new one
// is zero.
func (p *Pool[T]) Get() uint32 {
	if n := len(p.free); n > 0 {
		i := p.free[n-1]
		p.free = p.free[:n-1]
		return i
	}
	p.n++
	if b := shift[T](); int(p.n>>b) == len(p.chunks) {
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
