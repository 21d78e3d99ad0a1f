package packet

import (
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"

	gen "mirrorscope/internal/pcapgen"
)

// What a mirror's numbers tell, against a slow account of the same.
func TestSequence(t *testing.T) {
	for _, tc := range []struct {
		name         string
		numbers      []uint32
		lost, resets uint64
	}{
		{"in order", []uint32{5, 6, 7, 8}, 0, 0},
		{"a gap", []uint32{5, 6, 10}, 3, 0},
		{"late", []uint32{5, 6, 10, 8, 7}, 1, 0},
		{"twice", []uint32{5, 6, 10, 10, 6, 9, 9}, 2, 0},
		{"before the first", []uint32{5, 4, 3, 6}, 0, 0},
		{"later than the window", []uint32{1, 200, 100}, 198, 0},
		{"wraps", []uint32{math.MaxUint32 - 1, math.MaxUint32, 0, 2}, 1, 0},
		{"begins anew", []uint32{5_000_000, 5_000_001, 1, 2, 4}, 1, 1},
		{"always 0", []uint32{0, 0, 0, 0}, 0, 0},
		{"always the same", []uint32{9, 9, 9}, 0, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var s sequence
			for _, n := range tc.numbers {
				s.add(n)
			}
			if got := s.Lost + uint64(bits.OnesCount64(^s.seen)); got != tc.lost || s.Resets != tc.resets || s.Frames != uint64(len(tc.numbers)) {
				t.Errorf("lost %d, resets %d of %d frames; want %d and %d", got, s.Resets, s.Frames, tc.lost, tc.resets)
			}
		})
	}
}

// In any order within the window, what is lost is what never came.
func TestSequenceShuffled(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		start := rng.Uint32()
		var sent []uint32
		lost := uint64(0)
		for i := range uint32(500) {
			if i > 0 && i < 499 && rng.IntN(10) == 0 {
				lost++
				continue
			}
			sent = append(sent, start+i)
		}
		for i := 1; i+20 < len(sent); i += 20 { // the first stays: before it nothing is missed
			j := i + rng.IntN(20)
			sent[i], sent[j] = sent[j], sent[i]
		}
		var s sequence
		s.add(start)
		before := s.Lost
		for _, n := range sent {
			if n != start {
				s.add(n)
			}
			if s.Lost < before {
				t.Fatal("a loss was taken back")
			}
			before = s.Lost
		}
		if got := s.Lost + uint64(bits.OnesCount64(^s.seen)); got != lost {
			t.Fatalf("lost %d, want %d", got, lost)
		}
	}
}

// The numbers are taken from ERSPAN's GRE header, for each observation point,
// from frames without a packet as well.
func TestMirrorSequences(t *testing.T) {
	names := new(Names)
	d := NewDecoder(DefaultConfig(), names)
	var p Packet
	erspan := func(n uint32, session uint16, inner ...gen.Layer) {
		layers := []gen.Layer{ether, outer4, gen.ERSPAN2{Seq: n, Session: session}, ether2}
		d.Decode(gen.Build(append(layers, inner...)...), linkEthernet, 0, 0, 1e18, &p)
	}
	arp := gen.ARP{Sender: ip4.Src, Target: ip4.Dst}
	erspan(1, 7, ip4, segment)
	first := p.Point
	erspan(2, 7, arp)
	erspan(3, 7, ip4, segment)
	erspan(90, 8, ip4, segment)
	second := p.Point
	erspan(6, 7, ip4, segment)
	erspan(92, 8, ip4, segment)
	d.Decode(gen.Build(ether, outer4, gen.GRE{Protocol: 0x0800, Seq: new(uint32(1))}, ip4, segment), linkEthernet, 0, 0, 1e18, &p)
	got := d.MirrorSequences()
	want := map[PointID]MirrorSequence{first: {Frames: 4, Late: 2}, second: {Frames: 2, Late: 1}}
	if len(got) != 2 || got[first] != want[first] || got[second] != want[second] {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestSampled(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	const hashes = 100_000
	kept := map[uint32]int{}
	for range hashes {
		h := rng.Uint64()
		for _, n := range []uint32{0, 1, 2, 3, 10, 64} {
			if Sampled(h, n) {
				kept[n]++
				if n > 2 && !Sampled(h, n-1) {
					t.Fatalf("%x is in the sample of one in %d, and not in that of %d", h, n, n-1)
				}
			}
		}
	}
	for n, got := range kept {
		want := hashes / float64(max(n, 1))
		if math.Abs(float64(got)-want) > 5*math.Sqrt(want) {
			t.Errorf("one in %d keeps %d of %d", n, got, hashes)
		}
	}
}
