package edge

import (
	"slices"

	"mirrorscope/histogram"
	"mirrorscope/pool"
	"mirrorscope/tcp"
)

// fewWords are a few samples: each above what it is of and 1, as far as there are
// any. They are packed as words are.
type fewWords [(tcp.MaxSamples + 7) / 8 * 8]uint64

const fewShift = 3

// mostFew is the most octets that they take, and what is written and read behind
// them.
var mostFew = pool.PackedMax(len(fewWords{}))

func packFew(dst []byte, s *tcp.Samples) []byte {
	var w fewWords
	for i := range min(s.Len(), tcp.MaxSamples) {
		what, ns := s.At(i)
		w[i] = uint64(ns)<<fewShift | uint64(what+1)
	}
	n := len(dst)
	dst = slices.Grow(dst, mostFew)[:n+mostFew]
	return dst[:n+pool.Pack(dst[n:], w[:])]
}

// addFew adds the samples that b begins with, and gives what follows them. There
// must be mostFew octets behind all of it.
func addFew(to *[tcp.NumTimed]*histogram.Histogram, b []byte) []byte {
	var w fewWords
	n := pool.Unpack(b, w[:])
	for _, x := range w {
		if x == 0 {
			break
		}
		add(to[(x&(1<<fewShift-1)-1)%uint64(tcp.NumTimed)], int64(x>>fewShift))
	}
	return b[n:]
}
