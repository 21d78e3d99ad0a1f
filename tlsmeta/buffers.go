package tlsmeta

import (
	"math/bits"

	"mirrorscope/pool"
)

// buffers hold messages in parts, by number; 0 is an empty one. Memory goes from
// one message to the next: few connections have a part of a message at a time, and
// all of them had one. Its lengths are powers of two.
type buffers struct {
	all  pool.Pool[[]byte]
	free [numBufferSizes][][]byte
	kept int // octets in free
}

const (
	leastBuffer    = 1 << 11 // octets
	mostBuffer     = 1 << 14 // longer ones are not kept
	numBufferSizes = 4
	keptBuffers    = 128 << 10 // octets that are kept at most
)

// bufferSize is the number of the shortest length that holds n octets.
func bufferSize(n int) int { return bits.Len(uint(max(n, leastBuffer)-1)) - bits.Len(leastBuffer-1) }

// at lends the octets of a buffer.
func (f *buffers) at(n uint32) []byte {
	if n == 0 {
		return nil
	}
	return *f.all.At(n)
}

// extend puts more octets behind those of a buffer, and gives its number.
func (f *buffers) extend(n uint32, more []byte) uint32 {
	if n == 0 {
		n = f.all.GetZero()
	}
	b := f.all.At(n)
	if len(*b)+len(more) > cap(*b) {
		was := *b
		*b = append(f.take(len(was)+len(more)), was...)
		f.keep(was)
	}
	*b = append(*b, more...)
	return n
}

// put takes back a buffer.
func (f *buffers) put(n uint32) {
	if n == 0 {
		return
	}
	b := f.all.At(n)
	f.keep(*b)
	*b = nil
	f.all.Put(n)
}

// take gives memory for n octets.
func (f *buffers) take(n int) []byte {
	size := bufferSize(n)
	if size >= numBufferSizes || len(f.free[size]) == 0 {
		return make([]byte, 0, leastBuffer<<size)
	}
	list := f.free[size]
	b := list[len(list)-1]
	f.free[size] = list[:len(list)-1]
	f.kept -= cap(b)
	return b
}

// keep takes it back.
func (f *buffers) keep(b []byte) {
	if cap(b) < leastBuffer || cap(b) > mostBuffer || f.kept+cap(b) > keptBuffers {
		return
	}
	size := bufferSize(cap(b))
	f.free[size] = append(f.free[size], b[:0])
	f.kept += cap(b)
}
