package histogram

import (
	"math"
	"math/bits"
)

// root[j] is ⌊2^(j/32) · 2^63⌋.
var root = [1 << MaxScale]uint64{
	0x8000000000000000, 0x82cd8698ac2ba1d7, 0x85aac367cc487b14, 0x88980e8092da8527,
	0x8b95c1e3ea8bd6e6, 0x8ea4398b45cd53c0, 0x91c3d373ab11c336, 0x94f4efa8fef70961,
	0x9837f0518db8a96f, 0x9b8d39b9d54e5538, 0x9ef5326091a111ad, 0xa27043030c496818,
	0xa5fed6a9b15138ea, 0xa9a15ab4ea7c0ef8, 0xad583eea42a14ac6, 0xb123f581d2ac258f,
	0xb504f333f9de6484, 0xb8fbaf4762fb9ee9, 0xbd08a39f580c36be, 0xc12c4cca66709456,
	0xc5672a115506dadd, 0xc9b9bd866e2f27a2, 0xce248c151f8480e3, 0xd2a81d91f12ae45a,
	0xd744fccad69d6af4, 0xdbfbb797daf23755, 0xe0ccdeec2a94e111, 0xe5b906e77c8348a8,
	0xeac0c6e7dd24392e, 0xefe4b99bdcdaf5cb, 0xf5257d152486cc2c, 0xfa83b2db722a033a,
}

// index gives the bucket, at MaxScale, of ns ≥ 1000. Logarithms in floating
// point would put values next to a boundary on the wrong side; whole numbers do
// not. ns is shifted until its highest bit is the 64th, as the boundaries of
// rising are: those that it lies beyond are counted.
func index(ns uint64) int32 {
	zeros := bits.LeadingZeros64(ns)
	m := ns << (zeros & 63)
	k := below[m>>(63-belowBits)&(1<<belowBits-1)]
	if m > rising[k&63] {
		k++
	}
	// The first boundary is the (firstRank+1)-th between its power of two and the next.
	return (63-firstOctave-int32(zeros))<<MaxScale - firstRank - 1 + int32(k)
}

const (
	firstOctave = 9  // 2^9 ≤ zeroLimit < 2^10
	firstRank   = 30 // boundaries, taken times powers of two, in [2^9, zeroLimit)
	belowBits   = 7
)

// rising are the 32 boundaries of [2^63, 2^64), in order: those of one octave,
// times powers of two, rounded down. They are exact but for those beyond
// 2^50 µs (36 years), which the 64 bits of root may leave 1 ns short.
var rising = func() (r [64]uint64) {
	for j := range root {
		hi, lo := bits.Mul64(zeroLimit, root[j])
		up := bits.LeadingZeros64(hi)
		r[(j+firstRank)%len(root)] = hi<<up | lo>>(64-up)
	}
	for i := len(root); i < len(r); i++ {
		r[i] = math.MaxUint64
	}
	return r
}()

// below[i] is how many of rising lie below all values that begin with the bits i
// behind their first. No two boundaries begin with the same.
var below = func() (b [1 << belowBits]uint8) {
	for i := range b {
		first := 1<<63 | uint64(i)<<(63-belowBits)
		for rising[b[i]] < first {
			b[i]++
		}
	}
	return b
}()
