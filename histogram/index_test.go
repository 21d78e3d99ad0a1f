package histogram

import (
	"math"
	"math/big"
	"math/bits"
	"testing"
)

// precise gives 2^(k/32) with 300 bits.
func precise(k int32) *big.Float {
	step := big.NewFloat(2).SetPrec(300)
	for range MaxScale {
		step.Sqrt(step)
	}
	x := big.NewFloat(1).SetPrec(300)
	for range k % 32 {
		x.Mul(x, step)
	}
	return x.SetMantExp(x, int(k/32))
}

func TestRoot(t *testing.T) {
	for j := range int32(32) {
		p := precise(j)
		want, _ := p.SetMantExp(p, 63).Uint64()
		if root[j] != want {
			t.Errorf("root[%d] = %#x, want %#x", j, root[j], want)
		}
	}
}

// Every boundary, on both sides of it.
func TestIndexAtBoundaries(t *testing.T) {
	thousand := big.NewFloat(1000).SetPrec(300)
	for k := int32(0); ; k++ {
		p := precise(k)
		p.Mul(p, thousand)
		limit, _ := p.Int(nil) // ⌊1000·2^(k/32)⌋
		if !limit.IsInt64() || limit.Int64() == math.MaxInt64 {
			if k < 53*32 {
				t.Fatalf("stopped at boundary %d", k)
			}
			break
		}
		at := limit.Uint64()
		if k >= 50*32 { // beyond 36 years: 1 ns short at most
			if b := boundary(k); b != at && b != at-1 {
				t.Errorf("boundary(%d) = %d, want %d", k, b, at)
			}
			continue
		}
		if got := index(at); got != k-1 {
			t.Errorf("index(%d) = %d, want %d: at boundary 2^(%d/32) µs", at, got, k-1, k)
		}
		if got := index(at + 1); got != k {
			t.Errorf("index(%d) = %d, want %d: beyond boundary 2^(%d/32) µs", at+1, got, k, k)
		}
	}
	if got, want := index(math.MaxInt64), int32(53*32); got < want || got >= want+32 {
		t.Errorf("index of the largest duration = %d", got)
	}
}

// boundary is ⌊1000 · 2^(k/32)⌋: the largest value in ns that is not beyond the
// boundary at 2^(k/32) µs. It is exact below 2^50 µs (36 years); from there on the
// 64 bits of root may leave it 1 ns short. k is in [0, 54·32).
func boundary(k int32) uint64 {
	hi, lo := bits.Mul64(zeroLimit, root[k&(1<<MaxScale-1)])
	octave := k >> MaxScale
	return hi<<(octave+1) | lo>>(63-octave)
}

// index counts boundaries, wherever they are.
func TestIndexIsBoundaries(t *testing.T) {
	for k := int32(1); k < 53*32; k++ {
		for _, x := range []struct {
			ns   uint64
			want int32
		}{{boundary(k), k - 1}, {boundary(k) + 1, k}, {boundary(k-1) + 1, k - 1}, {(boundary(k-1) + boundary(k)) / 2, k - 1}} {
			if got := index(x.ns); got != x.want {
				t.Fatalf("index(%d) = %d, want %d", x.ns, got, x.want)
			}
		}
	}
}

func TestIndexOfPowersOfTwo(t *testing.T) {
	for e := range int32(53) {
		if got, want := index(1000<<e), e*32-1; got != want {
			t.Errorf("index(2^%d µs) = %d, want %d: a power of two is the upper boundary of its bucket", e, got, want)
		}
	}
}

// The middles are computed for one octave and scaled; that is the same, to the
// last bit, as computing each from its boundaries.
func TestMiddles(t *testing.T) {
	for scale := range MaxScale + 1 {
		for i := int32(-1); i < 54<<scale; i++ {
			lower := zeroLimit * math.Exp2(math.Ldexp(float64(i), -scale))
			upper := zeroLimit * math.Exp2(math.Ldexp(float64(i)+1, -scale))
			if got, want := middle(i, scale), 2*lower*upper/(lower+upper); got != want {
				t.Fatalf("scale %d, bucket %d: %v, want %v", scale, i, got, want)
			}
		}
	}
}

func BenchmarkIndex(b *testing.B) {
	n := uint64(1000)
	for b.Loop() {
		index(n)
		n += n>>3 + 1
		if n > 1e12 {
			n = 1000
		}
	}
}
