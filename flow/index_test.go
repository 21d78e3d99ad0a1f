package flow

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"mirrorscope/packet"
)

// Addresses that an unkeyed hash cannot tell apart lie in different slots, and
// in others in the next process.
func TestIndexSecret(t *testing.T) {
	one, two := newSecret(), newSecret()
	seen := map[uint64]bool{}
	same := 0
	for i := range uint64(10_000) {
		var k Key
		binary.LittleEndian.PutUint64(k.A[:8], 0xa0761d6478bd642f) // makes the first product of packet.SymmetricHash vanish
		binary.LittleEndian.PutUint64(k.A[8:], i)
		k.PortA, k.PortB, k.Proto = 40000, 443, packet.ProtoTCP
		h := one.hash(&k)
		seen[h&0xffff] = true
		if h == two.hash(&k) {
			same++
		}
	}
	if len(seen) < 9000 || same > 1 {
		t.Errorf("10000 keys lie in %d of 65536 places; %d are the same with another secret", len(seen), same)
	}
}

// Every part of a key counts.
func TestIndexHashFields(t *testing.T) {
	s := newSecret()
	base := s.hash(&Key{})
	v4 := Key{A: address(1 << 24), B: address(2 << 24), PortA: 1, PortB: 2, Proto: 6}
	for name, change := range map[string]func(*Key){
		"IPv4 A": func(k *Key) { k.A[15]++ }, "IPv4 A begin": func(k *Key) { k.A[12]++ }, "IPv4 B": func(k *Key) { k.B[15]++ }, "IPv4 B begin": func(k *Key) { k.B[12]++ },
		"IPv4 ports": func(k *Key) { k.PortA++ }, "IPv4 port B": func(k *Key) { k.PortB++ }, "IPv4 protocol": func(k *Key) { k.Proto++ }, "IPv4 kind": func(k *Key) { k.Kind++ },
		"IPv4 point": func(k *Key) { k.Point++ }, "IPv4 network": func(k *Key) { k.Network++ }, "not IPv4": func(k *Key) { k.A[0]++ }, "not IPv4 either": func(k *Key) { k.B[11]++ },
	} {
		k := v4
		change(&k)
		if s.hash(&k) == s.hash(&v4) {
			t.Errorf("%s does not count", name)
		}
	}
	// Addresses that are alike where those of IPv4 differ.
	for i := range 12 {
		for _, bits := range []byte{1, 0x80, 0xff} {
			for _, change := range []func(*Key){func(k *Key) { k.A[i] ^= bits }, func(k *Key) { k.B[i] ^= bits }, func(k *Key) { k.A[i] ^= bits; k.B[i] ^= bits }} {
				one, two := v4, v4
				change(&one)
				if s.hash(&one) == s.hash(&two) {
					t.Errorf("octet %d of addresses does not count", i)
				}
				two = one
				two.A[(i+1)%12] ^= 2
				if s.hash(&one) == s.hash(&two) {
					t.Errorf("octet %d of addresses does not count", (i+1)%12)
				}
			}
		}
	}
	for name, k := range map[string]Key{
		"A": {A: packet.Addr{1}}, "A end": {A: packet.Addr{15: 1}}, "B": {B: packet.Addr{1}}, "B end": {B: packet.Addr{15: 1}}, "port A": {PortA: 1}, "port B": {PortB: 1},
		"protocol": {Proto: 1}, "kind": {Kind: 1}, "point": {Point: 1}, "network": {Network: 1},
	} {
		if s.hash(&k) == base {
			t.Errorf("%s does not count", name)
		}
	}
}

func BenchmarkIndexHash(b *testing.B) {
	s := newSecret()
	k := Key{A: packet.Addr{1, 2, 3}, B: packet.Addr{4, 5, 6}, PortA: 1, PortB: 2, Proto: 6}
	var sum uint64
	for b.Loop() {
		sum += s.hash(&k)
	}
	_ = sum
}

// What seek finds is what lies there; what it found before is still there, or is not found by
// its slot, whatever came and went, and wherever the index has grown to.
func TestIndexStill(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 1))
	var x index
	if n, slot := x.seek(1 << 60); n != noFlow || slot != 0 || x.still(1<<60, 0) != noFlow {
		t.Errorf("an empty index has %d in slot %d", n, slot)
	}
	type entry struct {
		hash uint64
		slot uint32
	}
	var there, gone []entry
	numbers := map[uint64]uint32{}
	for i := range uint32(20_000) {
		h := rng.Uint64()
		if _, free := x.seek(h); len(x.slots) > 0 && x.slots[free] != 0 {
			t.Fatalf("slot %d is not free", free)
		}
		x.insert(h, i)
		n, slot := x.seek(h)
		if numbers[h] = i; n != i {
			t.Fatalf("flow %d, want %d", n, i)
		}
		there = append(there, entry{h, uint32(slot)})
		for len(there) > 300+int(i/16) {
			k := rng.IntN(len(there))
			e := there[k]
			there[k] = there[len(there)-1]
			there = there[:len(there)-1]
			x.remove(e.hash, numbers[e.hash])
			gone = append(gone, e)
		}
		e := there[rng.IntN(len(there))]
		if n := x.still(e.hash, e.slot); n != noFlow && n != numbers[e.hash] {
			t.Fatalf("flow %d, want %d", n, numbers[e.hash])
		}
		if n, slot := x.seek(e.hash); n != numbers[e.hash] || x.still(e.hash, uint32(slot)) != n {
			t.Fatalf("flow %d in slot %d, want %d", n, slot, numbers[e.hash])
		}
		if len(gone) > 0 {
			e := gone[rng.IntN(len(gone))]
			if n := x.still(e.hash, e.slot); n != noFlow {
				t.Fatalf("flow %d has gone", n)
			}
		}
	}
}
