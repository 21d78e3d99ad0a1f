package edge

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"mirrorscope/histogram"
	"mirrorscope/tcp"
)

// A few samples are packed as they are: how many there are, and for each an octet
// with what it is of and how many octets it takes, and those.
const (
	fewLenShift = 3 // above what it is of
	mostFew     = 1 + tcp.MaxSamples*5 + 8
)

func packFew(dst []byte, s *tcp.Samples) []byte {
	n := len(dst)
	if cap(dst)-n < mostFew {
		dst = slices.Grow(dst, mostFew)
	}
	b := dst[:cap(dst)]
	b[n] = byte(s.Len())
	n++
	for i := range s.Len() {
		what, ns := s.At(i)
		octets := (bits.Len64(uint64(ns)) + 7) / 8
		binary.LittleEndian.PutUint64(b[n:], uint64(ns)<<8|uint64(octets)<<fewLenShift|uint64(what))
		n += 1 + octets
	}
	return b[:n]
}

// addFew adds the samples that b begins with, and gives what follows them. There
// must be 8 octets more behind all of it.
func addFew(to *[tcp.NumTimed]*histogram.Histogram, b []byte) []byte {
	n := int(b[0])
	b = b[1:]
	for range n {
		x := binary.LittleEndian.Uint64(b)
		octets := x >> fewLenShift & 7
		add(to[tcp.Timed(x&(1<<fewLenShift-1))%tcp.NumTimed], int64(x>>8&(1<<(8*octets)-1)))
		b = b[1+octets:]
	}
	return b
}
