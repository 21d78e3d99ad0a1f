package pool

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// packed packs and unpacks, and gives the octets.
func packed(t *testing.T, words []uint64) int {
	t.Helper()
	buf := make([]byte, PackedMax(len(words)))
	n := Pack(buf, words)
	for i := range buf[n:] {
		buf[n+i] = 0xa5
	}
	for some := 0; some <= len(words); some += group {
		got := slices.Repeat([]uint64{7}, some)
		if m := Unpack(buf, got); !slices.Equal(got, words[:some]) || some == len(words) && m != n {
			t.Fatalf("%x came back as %x, %d octets of %d", words, got, m, n)
		}
	}
	return n
}

func TestPack(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		words := make([]uint64, group*rng.IntN(9))
		zero := rng.IntN(10)
		for i := range words {
			if rng.IntN(10) >= zero {
				words[i] = rng.Uint64() >> rng.IntN(64) &^ (rng.Uint64() >> rng.IntN(64))
			}
		}
		packed(t, words)
	}
	if n := packed(t, make([]uint64, 8*group)); n != 1 {
		t.Errorf("nothing takes %d octets", n)
	}
	if n := packed(t, slices.Repeat([]uint64{1<<64 - 1}, 8*group)); n > PackedMax(8*group) {
		t.Errorf("%d octets, more than %d", n, PackedMax(8*group))
	}
}

// What was not written by Pack gives something, and nothing else is touched.
func FuzzUnpack(f *testing.F) {
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		words := make([]uint64, 8*group)
		src := append(b, make([]byte, PackedMax(len(words)))...)
		if n := Unpack(src, words); n > PackedMax(len(words)) {
			t.Errorf("%d octets", n)
		}
	})
}

func FuzzPack(f *testing.F) {
	f.Add([]byte("0123456789abcdef\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = b[:min(len(b), 8*8*group)]
		words := make([]uint64, (len(b)/8+group-1)/group*group)
		for i := range len(b) / 8 {
			words[i] = binary.LittleEndian.Uint64(b[8*i:])
		}
		packed(t, words)
	})
}

func FuzzBelow(f *testing.F) {
	for _, x := range []uint64{0, 1, 2, 1<<32 - 1, 1 << 32, 1<<64 - 1} {
		f.Add(x, uint64(1))
		f.Add(x, x)
		f.Add(x, x-1)
		f.Add(x, x+1)
		f.Add(x, uint64(1<<64-1))
	}
	f.Fuzz(func(t *testing.T, x, base uint64) {
		if got := Below(Below(x, base), base); got != x {
			t.Errorf("%x below %x came back as %x", x, base, got)
		}
		if got := Below32(Below32(uint32(x), uint32(base)), uint32(base)); got != uint32(x) {
			t.Errorf("%x below %x came back as %x, of 32 bits", x, base, got)
		}
	})
}

func BenchmarkPack(b *testing.B) {
	rng := rand.New(rand.NewPCG(1, 2))
	words := make([]uint64, 64)
	for range 32 {
		words[rng.IntN(len(words))] = rng.Uint64() >> rng.IntN(64)
	}
	buf := make([]byte, PackedMax(len(words)))
	b.Run("pack", func(b *testing.B) {
		for range b.N {
			Pack(buf, words)
		}
	})
	b.Run("unpack", func(b *testing.B) {
		for range b.N {
			Unpack(buf, words)
		}
	})
}
