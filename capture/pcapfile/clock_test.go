package pcapfile

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

func TestClock(t *testing.T) {
	for _, test := range []struct {
		name   string
		resol  byte
		offset int64
		stamp  uint64
		want   int64
	}{
		{"µs", 6, 0, 1_700_000_000_123_456, 1_700_000_000_123_456_000},
		{"ns", 9, 0, 1_700_000_000_123_456_789, 1_700_000_000_123_456_789},
		{"ms", 3, 0, 1_700_000_000_123, 1_700_000_000_123_000_000},
		{"s", 0, 0, 1_700_000_000, 1_700_000_000_000_000_000},
		{"ps", 12, 0, 1_700_000_123_456_789_999, 1_700_000_123_456_789}, // truncated
		{"10^-19 s", 19, 0, 15_000_000_000_000_000_000, 1_500_000_000},
		{"10^-20 s", 20, 0, math.MaxUint64, 184_467_440},
		{"10^-28 s", 28, 0, math.MaxUint64, 1},
		{"10^-127 s", 127, 0, math.MaxUint64, 0},
		{"2^0 s", 0x80, 0, 1_700_000_000, 1_700_000_000_000_000_000},
		{"2^-1 s", 0x81, 0, 3, 1_500_000_000},
		{"2^-20 s", 0x80 | 20, 0, 1_700_000_000<<20 | 1<<19, 1_700_000_000_500_000_000},
		{"2^-32 s", 0x80 | 32, 0, 1_700_000_000<<32 | 1<<31, 1_700_000_000_500_000_000}, // NTP
		{"2^-63 s", 0x80 | 63, 0, 1<<63 | 1<<62, 1_500_000_000},
		{"2^-64 s", 0x80 | 64, 0, 1 << 63, 500_000_000},
		{"2^-65 s", 0x80 | 65, 0, 1 << 63, 250_000_000},
		{"2^-127 s", 0x80 | 127, 0, math.MaxUint64, 0},
		{"offset", 9, 1_700_000_000, 5, 1_700_000_000_000_000_005},
		{"offset back", 6, -100, 1_700_000_100_000_007, 1_700_000_000_000_007_000},
		{"before 1970", 6, -100, 1, 0},
		{"after the bound", 6, 0, math.MaxUint64, maxTime},
		{"seconds after the bound", 0, 0, math.MaxUint64, maxTime},
		{"offset after the bound", 9, math.MaxInt64, math.MaxUint64, maxTime},
		{"offset far before", 9, math.MinInt64, math.MaxUint64, 0},
		{"seconds and offset after the bound", 0x80, math.MaxInt64, math.MaxUint64, maxTime},
	} {
		c := newClock(test.resol, test.offset)
		if got := c.time(test.stamp); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}

// TestClockAgainstBig compares with arithmetic that has no bounds.
func TestClockAgainstBig(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for resol := range 256 {
		for range 200 {
			stamp := rnd.Uint64() >> rnd.UintN(64)
			offset := rnd.Int64() >> rnd.UintN(64) * (1 - 2*rnd.Int64N(2))
			base := int64(10)
			if resol&0x80 != 0 {
				base = 2
			}
			units := new(big.Int).Exp(big.NewInt(base), big.NewInt(int64(resol&0x7f)), nil)
			want := new(big.Int).SetUint64(stamp)
			want.Mul(want, big.NewInt(1e9)).Div(want, units)
			want.Add(want, new(big.Int).Mul(big.NewInt(offset), big.NewInt(1e9)))
			c := newClock(byte(resol), offset)
			got := c.time(stamp)
			if want.Sign() < 0 {
				want.SetInt64(0)
			} else if want.Cmp(big.NewInt(maxTime/1_000_000_000*1_000_000_000)) >= 0 {
				want.SetInt64(maxTime)
			}
			if !want.IsInt64() || got != want.Int64() {
				t.Fatalf("resolution %#x, offset %d, stamp %d: %d, want %v", resol, offset, stamp, got, want)
			}
		}
	}
}
