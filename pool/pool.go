// Package pool keeps values that only some flows need, by number: the flows
// hold a uint32 and no pointer, so that the garbage collector has little to
// look at, and a value that is given back is used again.
package pool

// Pool hands out values of one type. Numbers start at 1; 0 means none. It is
// owned by one goroutine. The zero value is ready for use.
type Pool[T any] struct {
	chunks []*[chunk]T
	free   []uint32
	n      uint32
}

const chunk = 64

// At gives the value of a number that Get handed out. It stays where it is
// until it is put back.
func (p *Pool[T]) At(i uint32) *T { return &p.chunks[(i-1)/chunk][(i-1)%chunk] }

// Get hands out a value. It holds what it held when it was put back; a new one
// is zero.
func (p *Pool[T]) Get() uint32 {
	if n := len(p.free); n > 0 {
		i := p.free[n-1]
		p.free = p.free[:n-1]
		return i
	}
	if int(p.n) == len(p.chunks)*chunk {
		p.chunks = append(p.chunks, new([chunk]T))
	}
	p.n++
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
