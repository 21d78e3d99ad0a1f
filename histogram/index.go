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
// not. Floating point serves for a first guess, at most one bucket off, and
// boundaries decide.
func index(ns uint64) int32 {
	const mantissa = 52
	x := math.Float64bits(float64(ns) * (1.0 / zeroLimit))
	octave := int32(x>>mantissa) - 1023
	k := max(octave<<MaxScale+int32(guess[x>>(mantissa-guessBits)&(1<<guessBits-1)]), 0)
	// The smallest k with ns ≤ boundary(k) is the upper boundary of the bucket.
	for ns > boundary(k) {
		k++
	}
	for k > 0 && ns <= boundary(k-1) {
		k--
	}
	return k - 1
}

// guess[i] is the upper boundary of the bucket that the values begin in whose
// ratio to a power of two begins with the bits i behind the point. Such a range
// is narrower than a bucket.
var guess = func() (g [1 << guessBits]uint8) {
	for i := range g {
		g[i] = uint8(math.Ceil(math.Log2(1+(float64(i)+0.5)/(1<<guessBits)) * (1 << MaxScale)))
	}
	return g
}()

const guessBits = 7

// boundary is ⌊1000 · 2^(k/32)⌋: the largest value in ns that is not beyond the
// boundary at 2^(k/32) µs. It is exact below 2^50 µs (36 years); from there on the
// 64 bits of root may leave it 1 ns short. k is in [0, 54·32).
func boundary(k int32) uint64 {
	hi, lo := bits.Mul64(zeroLimit, root[k&(1<<MaxScale-1)])
	octave := k >> MaxScale
	return hi<<(octave+1) | lo>>(63-octave)
}
