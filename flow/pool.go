package flow

// pool holds values that only some flows need. Indices start at 1, so that 0
// means none.
type pool[T any] struct {
	chunks []*[poolChunk]T
	free   []uint32
	n      uint32
}

const poolChunk = 64

func (p *pool[T]) at(i uint32) *T { return &p.chunks[(i-1)/poolChunk][(i-1)%poolChunk] }

// get hands out a cleared value.
func (p *pool[T]) get() uint32 {
	if n := len(p.free); n > 0 {
		i := p.free[n-1]
		p.free = p.free[:n-1]
		clear(p.chunks[(i-1)/poolChunk][(i-1)%poolChunk : (i-1)%poolChunk+1])
		return i
	}
	if int(p.n) == len(p.chunks)*poolChunk {
		p.chunks = append(p.chunks, new([poolChunk]T))
	}
	p.n++
	return p.n
}

func (p *pool[T]) put(i uint32) { p.free = append(p.free, i) }
