package bpf

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"mirrorscope/internal/needs"
	gen "mirrorscope/internal/pcapgen"
	"mirrorscope/packet"
)

// TestHeadsTag finds two directions whose hashes agree in the upper half, where
// the tag of the table of heads once ended, and wants them told apart in one
// place of it.
func TestHeadsTag(t *testing.T) {
	needs.Root(t)
	cfg := DefaultConfig()
	cfg.Trim, cfg.TrimHead = 32, 4000
	p, err := LoadPlaces(cfg, 1)
	check(t, err)
	defer p.Close()
	server := gen.IP("10.1.0.9")
	segment := func(client netip.Addr) []byte {
		return gen.Build(ether, gen.IPv4{Src: client, Dst: server}, gen.TCP{SrcPort: 1, DstPort: 2, Flags: packet.ACK}, gen.Payload(make([]byte, 1000)))
	}
	isWhole := func(frame []byte) bool {
		_, out := deliver(t, p, frame)
		return len(out) == len(frame)
	}
	seen := map[uint32]netip.Addr{} // by half of the hash
	for i := range uint32(1 << 20) {
		client := netip.AddrFrom4([4]byte(binary.BigEndian.AppendUint32(nil, 11<<24|i)))
		a, b := packet.AddrFrom(client), packet.AddrFrom(server)
		half := uint32(packet.SymmetricHash(&a, &b, 1, 2, 6, 0) * 2 >> 32)
		other, taken := seen[half]
		if !taken {
			seen[half] = client
			continue
		}
		for range 4 {
			if !isWhole(segment(other)) {
				t.Fatal("cut inside of its head")
			}
		}
		if isWhole(segment(other)) {
			t.Fatal("whole behind its head: the test proves nothing")
		}
		if !isWhole(segment(client)) {
			t.Errorf("%v goes on with what was counted for %v", client, other)
		}
		return
	}
	t.Fatal("no two hashes agree")
}
