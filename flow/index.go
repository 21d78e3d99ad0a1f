package flow

import (
	"math/bits"
	"math/rand/v2"
	"unsafe"

	"mirrorscope/packet"
	"mirrorscope/pool"
)

// index maps keys to flow numbers: open addressing, linear probing, deletion
// by shifting back. A slot holds bits of the hash and the number of the flow + 1;
// 0 is free. The keys themselves are in the flows.
type index struct {
	slots  []uint64
	used   int
	gone   bool // nobody will ask any more
	memory pool.Memory
}

// secret keys hashes. Whoever could tell where keys come to lie could make them
// all meet; nothing that is told depends on it.
type secret [8]uint64

// The secrets of this process: of the indexes of all tables, and of fingerprints.
var keys, prints = newSecret(), newSecret()

func newSecret() (s secret) {
	for i := range s {
		s[i] = rand.Uint64() // of the runtime's ChaCha8, seeded by the system
	}
	return s
}

// hash of a key, by products of 128 bits as in wyhash: two words at a time,
// each with a secret of its own, so that no product can be made to vanish. What
// IPv4 addresses tell fits in one word.
func (s *secret) hash(k *Key) uint64 {
	a0, a1, b0, b1 := word(k.A[:8]), word(k.A[8:]), word(k.B[:8]), word(k.B[8:])
	ends := uint64(k.PortA) | uint64(k.PortB)<<16 | uint64(k.Proto)<<32 | uint64(k.Kind)<<40
	where := uint64(k.Point) | uint64(k.Network)<<32
	if a0|b0|uint64((uint32(a1)^mapped)|(uint32(b1)^mapped)) == 0 {
		return s.hash4(a1>>32|b1&^(1<<32-1), ends, where)
	}
	h := fold(a0^s[0], a1^s[1]) ^ fold(b0^s[2], b1^s[3]) ^ fold(ends^s[4], where^s[5])
	return fold(h^s[6], s[7]|1)
}

// hash4 is that of a key4.
func (s *secret) hash4(hosts, ends, where uint64) uint64 {
	h := where ^ fold(hosts^s[0], ends^s[1])
	return fold(h^s[6], s[7]|1)
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// A slot's upper bits are those of the hash, its lower ones the number of the
// flow + 1.
const (
	numberBits = 24
	numberMask = 1<<numberBits - 1
	maxNumbers = isResting - 1 // flows of a table, embryos, and flows at rest, each
)

// searched is how far behind its home, octets, what a slot of the index is searched for lies
// as a rule at most; that may be in the next line.
const searched = 3 * 8

// home is where a hash, or a slot, would like to lie. The bits that tell it are
// within those that a slot keeps, so that slots move without their flows.
func (x *index) home(h uint64) uint64 { return h >> numberBits & uint64(len(x.slots)-1) }

// find gives the flow of a key. It looks at no flow whose hash differs in the
// 40 bits that slots keep.
func (x *index) find(h uint64, k *Key, flows *slab) (uint32, bool) {
	mask := uint64(len(x.slots) - 1)
	for i := x.home(h); i < uint64(len(x.slots)); i = (i + 1) & mask {
		s := x.slots[i]
		if s == 0 {
			return 0, false
		}
		if (s^h)>>numberBits == 0 {
			n := uint32(s&numberMask) - 1
			if !asleep(n) && flows.at(n).key.equal(k) || asleep(n) && flows.has(n, k) {
				return n, true
			}
		}
	}
	return 0, false
}

// probable gives the flow that find is likely to find, without looking at it, or
// noFlow.
func (x *index) probable(h uint64) uint32 {
	n, _ := x.seek(h)
	return n
}

// seek is probable, with the slot that it was found in; if there is none, with that where
// the hash would come to lie, or as much as the index is long.
func (x *index) seek(h uint64) (n uint32, slot uint64) {
	mask := uint64(len(x.slots) - 1)
	if mask+1 == 0 {
		return noFlow, 0
	}
	slots := unsafe.Pointer(unsafe.SliceData(x.slots))
	h >>= numberBits
	for i := h & mask; ; i = (i + 1) & mask {
		s := *(*uint64)(unsafe.Add(slots, i*8))
		if s>>numberBits == h || s == 0 {
			return uint32(s&numberMask) - 1, i // noFlow, if it is free
		}
	}
}

// still gives the flow that is now in a slot where seek found one of a hash; noFlow if it
// has become of another hash, or free.
func (x *index) still(h uint64, slot uint32) uint32 {
	if uint64(slot) < uint64(len(x.slots)) {
		if s := x.slots[slot]; (s^h)>>numberBits == 0 {
			return uint32(s&numberMask) - 1
		}
	}
	return noFlow
}

// prefetch begins to load where a hash is found, and what remove looks at behind it: all up to
// the next slot that is free.
func (x *index) prefetch(h uint64) { pool.Prefetch(x.at(h), 2) }

// at is where a hash is found; nil in an empty index.
func (x *index) at(h uint64) unsafe.Pointer {
	if i := x.home(h); i < uint64(len(x.slots)) {
		return unsafe.Pointer(&x.slots[i])
	}
	return nil
}

// address is where a hash is found; any in an empty index.
func (x *index) address(h uint64) uintptr {
	return uintptr(unsafe.Pointer(unsafe.SliceData(x.slots))) + uintptr(x.home(h))*unsafe.Sizeof(x.slots[0])
}

func (x *index) insert(h uint64, n uint32) {
	if x.full() {
		x.grow()
	}
	x.place(h&^numberMask | uint64(n+1))
	x.used++
}

// full tells that it must grow before one more.
func (x *index) full() bool { return 4*(x.used+1) > 3*len(x.slots) }

func (x *index) place(slot uint64) { x.slots[x.free(slot)] = slot }

// free is where a hash, or a slot, comes to lie that is not there yet.
func (x *index) free(h uint64) uint64 {
	mask := uint64(len(x.slots) - 1)
	i := x.home(h)
	for x.slots[i] != 0 {
		i = (i + 1) & mask
	}
	return i
}

// drop forgets all, while all that it has ends and nothing is looked for any more.
func (x *index) drop() {
	pool.FreeSlice(&x.memory, x.slots)
	x.slots, x.used, x.gone = nil, 0, true
}

// grow doubles the slots. What lies at i goes to i or to as far behind the old
// end, so that both tables are walked in order.
func (x *index) grow() {
	old := x.slots
	x.slots = pool.MakeSlice[uint64](&x.memory, max(256, 2*len(old)))
	slots, mask := x.slots, uint64(len(x.slots)-1)
	for _, s := range old {
		if s == 0 {
			continue
		}
		i := s >> numberBits & mask // its home
		for i < uint64(len(slots)) && slots[i] != 0 {
			i = (i + 1) & mask
		}
		if i < uint64(len(slots)) { // as always
			slots[i] = s
		}
	}
	pool.FreeSlice(&x.memory, old)
}

// lies gives where the slot of a number is.
func (x *index) lies(h uint64, n uint32) uint64 {
	mask := uint64(len(x.slots) - 1)
	i := x.home(h)
	for want := h&^numberMask | uint64(n+1); x.slots[i] != want; {
		i = (i + 1) & mask
	}
	return i
}

// replace gives a key another number.
func (x *index) replace(h uint64, old, n uint32) {
	if x.gone {
		return
	}
	x.slots[x.lies(h, old)] = h&^numberMask | uint64(n+1)
}

func (x *index) remove(h uint64, n uint32) {
	if x.gone {
		return
	}
	mask := uint64(len(x.slots) - 1)
	i := x.lies(h, n)
	x.used--
	for j := i; ; {
		j = (j + 1) & mask
		s := x.slots[j]
		if s == 0 {
			break
		}
		// Move s back unless its home lies cyclically in (i, j].
		if (j-x.home(s))&mask >= (j-i)&mask {
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
