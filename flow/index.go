package flow

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"

	"mirrorscope/packet"
)

// index maps keys to flow numbers: open addressing, linear probing, deletion
// by shifting back. A slot holds the upper half of the hash and the number of
// the flow + 1; 0 is free. The keys themselves are in the flows.
type index struct {
	slots []uint64
	used  int
}

// secret keys the index. Whoever could tell where keys come to lie could make
// them all meet; nothing that is told depends on it.
type secret [8]uint64

func newSecret() (s secret) {
	for i := range s {
		s[i] = rand.Uint64() // of the runtime's ChaCha8, seeded by the system
	}
	return s
}

// hash of a key, by products of 128 bits as in wyhash: two words at a time,
// each with a secret of its own, so that no product can be made to vanish.
func (s *secret) hash(k *Key) uint64 {
	w := func(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }
	rest := uint64(k.PortA) | uint64(k.PortB)<<16 | uint64(k.Proto)<<32 | uint64(k.Kind)<<40
	where := uint64(k.Point) | uint64(k.Network)<<32
	h := fold(w(k.A[:8])^s[0], w(k.A[8:])^s[1])
	h ^= fold(w(k.B[:8])^s[2], w(k.B[8:])^s[3])
	h ^= fold(rest^s[4], where^s[5])
	return fold(h^s[6], s[7]|1)
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

func (x *index) find(h uint64, k *Key, flows *slab) (uint32, bool) {
	if len(x.slots) == 0 {
		return 0, false
	}
	mask := uint64(len(x.slots) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		s := x.slots[i]
		if s == 0 {
			return 0, false
		}
		if s>>32 == h>>32 {
			if n := uint32(s) - 1; flows.at(n).key == *k {
				return n, true
			}
		}
	}
}

func (x *index) insert(h uint64, n uint32, flows *slab) {
	if 4*(x.used+1) > 3*len(x.slots) {
		x.grow(flows)
	}
	x.place(h, n)
	x.used++
}

func (x *index) place(h uint64, n uint32) {
	mask := uint64(len(x.slots) - 1)
	i := h & mask
	for x.slots[i] != 0 {
		i = (i + 1) & mask
	}
	x.slots[i] = h&^(1<<32-1) | uint64(n+1)
}

func (x *index) grow(flows *slab) {
	old := x.slots
	x.slots = make([]uint64, max(256, 2*len(old)))
	for _, s := range old {
		if s != 0 {
			n := uint32(s) - 1
			x.place(flows.at(n).hash, n)
		}
	}
}

func (x *index) remove(h uint64, n uint32, flows *slab) {
	mask := uint64(len(x.slots) - 1)
	i := h & mask
	for uint32(x.slots[i]) != n+1 {
		i = (i + 1) & mask
	}
	x.used--
	for j := i; ; {
		j = (j + 1) & mask
		s := x.slots[j]
		if s == 0 {
			break
		}
		home := flows.at(uint32(s)-1).hash & mask
		// Move s back unless its home lies cyclically in (i, j].
		if (j-home)&mask >= (j-i)&mask {
			x.slots[i] = s
			i = j
		}
	}
	x.slots[i] = 0
}

// quoteKey is the key of the flow that an ICMP error quotes, and the direction
// of the quoted packet.
func quoteKey(p *packet.Packet, q *packet.Quote) (Key, int) {
	k := Key{
		A: q.Src, B: q.Dst, PortA: q.SrcPort, PortB: q.DstPort, Proto: q.Proto, Kind: q.Kind, Point: p.Point, Network: p.Network,
	}
	return k, k.order()
}
