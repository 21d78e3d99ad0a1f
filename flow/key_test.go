package flow

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"mirrorscope/packet"
)

// lookAt looks at one packet.
func lookAt(t *Table, p *packet.Packet) Ahead {
	var b Batch
	var tables [Partitions]*Table
	tables[Partition(p.Hash)] = t
	p.SetWords()
	b.Hold([]*packet.Packet{p})
	b.look(&tables)
	return b.ahead[0]
}

// The order of the ends is that of their octets, then of their ports; whatever
// the direction, the key is the same.
func TestKeyOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	table := newScene(t, nil).table
	four := func(a *packet.Addr) bool { return *a == address(binary.LittleEndian.Uint32(a[12:])) }
	addr := func() (a packet.Addr) {
		a[rng.IntN(16)] = byte(rng.Uint32())
		if rng.IntN(2) == 0 {
			a = address(rng.Uint32() >> rng.IntN(32))
		}
		return a
	}
	for range 20_000 {
		kind := uint8(rng.IntN(2)) // packets of TCP have none
		p := packet.Packet{
			Src: addr(), Dst: addr(), SrcPort: uint16(rng.IntN(3)) << rng.IntN(16), DstPort: uint16(rng.IntN(3)) << rng.IntN(16), Proto: 6, Kind: kind, Point: 2, Network: 3,
		}
		if rng.IntN(4) == 0 {
			p.Dst = p.Src
		}
		want := Key{A: p.Src, B: p.Dst, PortA: p.SrcPort, PortB: p.DstPort, Proto: 6, Kind: kind, Point: 2, Network: 3}
		wantDir := 0
		if c := bytes.Compare(p.Src[:], p.Dst[:]); c > 0 || c == 0 && p.SrcPort > p.DstPort {
			want.A, want.B, want.PortA, want.PortB, wantDir = p.Dst, p.Src, p.DstPort, p.SrcPort, 1
		}
		k, dir := keyOf(&p)
		if k != want || dir != wantDir {
			t.Fatalf("%+v in direction %d, want %+v, %d", k, dir, want, wantDir)
		}
		if four(&p.Src) && four(&p.Dst) {
			p.Version = 4
		}
		a := lookAt(table, &p)
		if got := *a.full(); got != want || int(a.dir()) != wantDir || a.hash != keys.hash(&want) {
			t.Fatalf("looked at %+v in direction %d, hash %#x, want %+v, %d, %#x", got, a.dir(), a.hash, want, wantDir, keys.hash(&want))
		}
		if p.Version == 4 && kind == 0 && (a.marks&(tcp4|notPlain) != tcp4 || a.four != key4{
			uint64(binary.LittleEndian.Uint32(want.A[12:])) | uint64(binary.LittleEndian.Uint32(want.B[12:]))<<32,
			uint64(want.PortA) | uint64(want.PortB)<<16 | uint64(want.Proto)<<32 | uint64(want.Kind)<<40, uint64(want.Point) | uint64(want.Network)<<32,
		}) {
			t.Fatalf("looked at %+v, want %+v", a.four, want)
		}
		k = Key{A: p.Src, B: p.Dst, PortA: p.SrcPort, PortB: p.DstPort, Proto: 6, Kind: kind, Point: 2, Network: 3}
		if dir := k.order(); k != want || dir != wantDir {
			t.Fatalf("ordered %+v, %d, want %+v, %d", k, dir, want, wantDir)
		}
	}
}
