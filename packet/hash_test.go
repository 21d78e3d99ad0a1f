package packet

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"testing"
)

func hash4(src, dst uint32, sport, dport uint16, proto uint8) uint64 {
	var a, b Addr
	mappedAddr(&a, binary.BigEndian.AppendUint32(nil, src))
	mappedAddr(&b, binary.BigEndian.AppendUint32(nil, dst))
	return SymmetricHash(&a, &b, sport, dport, proto, 0)
}

func TestSymmetricHashIsSymmetric(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		var a, b Addr
		for i := range a {
			a[i], b[i] = byte(r.Uint32()), byte(r.Uint32())
		}
		ap, bp, proto, kind := uint16(r.Uint32()), uint16(r.Uint32()), uint8(r.Uint32()), uint8(r.Uint32N(3))
		if x, y := SymmetricHash(&a, &b, ap, bp, proto, kind), SymmetricHash(&b, &a, bp, ap, proto, kind); x != y {
			t.Fatalf("%v %d, %v %d: %x one way, %x the other", a.IP(), ap, b.IP(), bp, x, y)
		}
	}
	// Ports belong to their address: swapping them alone is another flow.
	if hash4(1, 2, 10, 20, 6) == hash4(1, 2, 20, 10, 6) {
		t.Error("swapped ports give the same hash")
	}
	if hash4(1, 2, 10, 20, 6) == hash4(1, 2, 10, 20, 17) {
		t.Error("another protocol gives the same hash")
	}
}

// The hash must not change between versions or machines: records name flows
// by it, and partitions follow from it.
func TestSymmetricHashIsPinned(t *testing.T) {
	for _, tt := range []struct{ got, want uint64 }{
		{hash4(0x0a010007, 0x0a010009, 51234, 443, 6), 0x87983769e5535af2},
		{hash4(0x0a010007, 0x0a010007, 53, 53, 17), 0x517babf5f325c672},
	} {
		if tt.got != tt.want {
			t.Errorf("hash %#x, want %#x", tt.got, tt.want)
		}
	}
}

// TestSymmetricHashAvalanche flips each input bit: each output bit must change
// about half of the time.
func TestSymmetricHashAvalanche(t *testing.T) {
	const rounds = 2000
	r := rand.New(rand.NewPCG(3, 4))
	for bit := range 32 + 16 + 8 {
		var flips [64]int
		for range rounds {
			src, dst, sport, dport, proto := r.Uint32(), r.Uint32(), uint16(r.Uint32()), uint16(r.Uint32()), uint8(r.Uint32())
			before := hash4(src, dst, sport, dport, proto)
			switch {
			case bit < 32:
				src ^= 1 << bit
			case bit < 48:
				sport ^= 1 << (bit - 32)
			default:
				proto ^= 1 << (bit - 48)
			}
			for d := before ^ hash4(src, dst, sport, dport, proto); d != 0; d &= d - 1 {
				flips[bits.TrailingZeros64(d)]++
			}
		}
		for out, n := range flips {
			if n < rounds*43/100 || n > rounds*57/100 {
				t.Errorf("input bit %d changes output bit %d in %d of %d", bit, out, n, rounds)
			}
		}
	}
}

// TestSymmetricHashSpreads counts flows per partition for sets of addresses
// and ports as they occur, by the lowest and by the highest bits.
func TestSymmetricHashSpreads(t *testing.T) {
	const partitions = 64
	sets := map[string]func(i uint32) uint64{
		"one client, ports in turn": func(i uint32) uint64 {
			return hash4(0x0a000007, 0x0a000009, uint16(32768+i%28000), 443+uint16(i/28000), 6)
		},
		"even ports only": func(i uint32) uint64 {
			return hash4(0x0a000007, 0x0a000009, uint16(32768+2*(i%14000)), 443+uint16(i/14000), 6)
		},
		"clients in turn":              func(i uint32) uint64 { return hash4(0x0a000000+i, 0xc0a80001, 50000, 443, 6) },
		"subnets in turn":              func(i uint32) uint64 { return hash4(0x0a000000+i<<8, 0xc0a80001, 50000, 443, 6) },
		"hosts of one subnet in pairs": func(i uint32) uint64 { return hash4(0x0a000000+i%256, 0x0a000000+i/256, 0, 0, 47) },
		"equal ends":                   func(i uint32) uint64 { return hash4(0x0a000000+i, 0x0a000000+i, 53, 53, 17) },
		"address and port together": func(i uint32) uint64 {
			return hash4(0x0a000000+i%1000, 0xc0a80001, uint16(40000+i%1000+i/1000), 443, 6)
		},
	}
	const flows = 64000
	for name, flow := range sets {
		var low, high [partitions]int
		for i := range uint32(flows) {
			h := flow(i)
			low[h%partitions]++
			high[h>>58]++
		}
		// Of 1000 expected, the standard deviation is 31 when spread at random.
		for i := range partitions {
			if low[i] < 830 || low[i] > 1170 || high[i] < 830 || high[i] > 1170 {
				t.Errorf("%s: partition %d has %d flows by the lowest bits, %d by the highest, want about 1000", name, i, low[i], high[i])
			}
		}
	}
}

func BenchmarkSymmetricHash(b *testing.B) {
	x, y := Addr{15: 1}, Addr{15: 2}
	var sink uint64
	for b.Loop() {
		sink += SymmetricHash(&x, &y, 443, 51234, 6, 0)
	}
	_ = sink
}
