package bpf

import (
	"testing"

	"github.com/cilium/ebpf"

	"mirrorscope/internal/needs"
	gen "mirrorscope/internal/pcapgen"
	"mirrorscope/packet"
)

// TestFanout wants both directions of a connection in one ring, inside every
// encapsulation, the rings used alike, and the fragments of a packet together.
func TestFanout(t *testing.T) {
	needs.Root(t)
	const rings = 5
	f, err := LoadFanout(rings, Ports{})
	check(t, err)
	defer f.Close()
	ring := func(frame []byte) uint32 {
		t.Helper()
		n, err := f.objects.Fanout.Run(&ebpf.RunOptions{Data: frame})
		check(t, err)
		return n
	}
	a, b := packet.AddrFrom(ip4.Src), packet.AddrFrom(ip4.Dst)
	var used [rings]int
	for i, w := range wrappings {
		if w.unread || w.name == "control packet of geneve" || w.name == "keep-alive of gre" {
			continue
		}
		for port := range uint16(50) {
			there := wrapped(i, gen.Build(ip4, gen.TCP{SrcPort: port, DstPort: 443}, data))
			back := wrapped(i, gen.Build(gen.IPv4{Src: ip4.Dst, Dst: ip4.Src}, gen.TCP{SrcPort: 443, DstPort: port}, data))
			want := uint32(packet.SymmetricHash(&a, &b, port, 443, packet.ProtoTCP, 0) % rings)
			if x, y := ring(there), ring(back); x != want || y != want {
				t.Fatalf("%s: rings %d and %d, want %d", w.name, x, y, want)
			}
			used[want]++
		}
	}
	for i, n := range used {
		if n == 0 {
			t.Errorf("ring %d of %v is not used", i, used)
		}
	}
	whole := gen.Build(gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, ID: 9}, gen.UDP{SrcPort: 1, DstPort: 2}, gen.Payload(make([]byte, 4000)))
	whole6 := gen.Build(ip6, gen.UDP{SrcPort: 1, DstPort: 2}, gen.Payload(make([]byte, 4000)))
	parts6 := gen.Fragment6(whole6, 1300, 1)
	parts6[1][40] = 60 // a later fragment may name another header (RFC 8200 section 4.5)
	for _, parts := range [][][]byte{gen.Fragment4(whole, 1000), parts6} {
		first := ring(wrapped(0, parts[0]))
		for _, p := range parts[1:] {
			if n := ring(wrapped(0, p)); n != first {
				t.Errorf("a fragment in ring %d, the first in %d", n, first)
			}
		}
	}
}
