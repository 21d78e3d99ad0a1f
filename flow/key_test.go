package flow

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"mirrorscope/packet"
)

// The order of the ends is that of their octets, then of their ports; whatever
// the direction, the key is the same.
func TestKeyOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	secret := newSecret()
	addr := func() (a packet.Addr) {
		a[rng.IntN(16)] = byte(rng.Uint32())
		if rng.IntN(2) == 0 {
			a = address(rng.Uint32() >> rng.IntN(32))
		}
		return a
	}
	for range 20_000 {
		p := packet.Packet{
			Src: addr(), Dst: addr(), SrcPort: uint16(rng.IntN(3)) << rng.IntN(16), DstPort: uint16(rng.IntN(3)) << rng.IntN(16), Proto: 6, Kind: 1, Point: 2, Network: 3,
		}
		if rng.IntN(4) == 0 {
			p.Dst = p.Src
		}
		want := Key{A: p.Src, B: p.Dst, PortA: p.SrcPort, PortB: p.DstPort, Proto: 6, Kind: 1, Point: 2, Network: 3}
		wantDir := 0
		if c := bytes.Compare(p.Src[:], p.Dst[:]); c > 0 || c == 0 && p.SrcPort > p.DstPort {
			want.A, want.B, want.PortA, want.PortB, wantDir = p.Dst, p.Src, p.DstPort, p.SrcPort, 1
		}
		k, dir := keyOf(&p)
		if k != want || dir != wantDir {
			t.Fatalf("%+v in direction %d, want %+v, %d", k, dir, want, wantDir)
		}
		var at Key
		if hash, dir := secret.keyOf(&p, &at); at != want || dir != wantDir || hash != secret.hash(&want) {
			t.Fatalf("at once %+v in direction %d, hash %#x, want %+v, %d, %#x", at, dir, hash, want, wantDir, secret.hash(&want))
		}
		k = Key{A: p.Src, B: p.Dst, PortA: p.SrcPort, PortB: p.DstPort, Proto: 6, Kind: 1, Point: 2, Network: 3}
		if dir := k.order(); k != want || dir != wantDir {
			t.Fatalf("ordered %+v, %d, want %+v, %d", k, dir, want, wantDir)
		}
	}
}
