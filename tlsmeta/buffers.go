package tlsmeta

import "math/bits"

// buffers keeps memory for messages in parts between one message and the next:
// few connections have a part of a message at a time, and all of them had one.
// Lengths are powers of two.
type buffers struct {
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

// extend gives b with more behind it, in other memory where it has no room.
func (f *buffers) extend(b, more []byte) []byte {
	n := len(b) + len(more)
	if n <= cap(b) {
		return append(b, more...)
	}
	size := bufferSize(n)
	var to []byte
	switch {
	case size < numBufferSizes && len(f.free[size]) > 0:
		list := f.free[size]
		to = list[len(list)-1]
		f.free[size] = list[:len(list)-1]
		f.kept -= cap(to)
	default:
		to = make([]byte, 0, leastBuffer<<size)
	}
	to = append(append(to, b...), more...)
	f.put(b)
	return to
}

// put takes back what extend gave.
func (f *buffers) put(b []byte) {
	if cap(b) < leastBuffer || cap(b) > mostBuffer || f.kept+cap(b) > keptBuffers {
		return
	}
	size := bufferSize(cap(b))
	f.free[size] = append(f.free[size], b[:0])
	f.kept += cap(b)
}
