package live

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"unsafe"

	"mirrorscope/edge"
	"mirrorscope/packet"
	"mirrorscope/pool"
)

// index finds what has a key by a hash of it, as number in a list. It is looked up for
// each record, of which most bring a key that is not there yet and is gone soon.
type index struct {
	slots []uint64  // hash and number plus 1, from the place of the hash on; 0: free
	n     int       // in use
	seed  [4]uint64 // nobody who sends packets knows where their keys go
}

// leastSlots are there at the beginning.
const leastSlots = 1 << 6

func newIndex() index {
	return index{
		slots: make([]uint64, leastSlots),
		seed:  [4]uint64{rand.Uint64() | 1, rand.Uint64() | 1, rand.Uint64() | 1, rand.Uint64() | 1},
	}
}

// hash of two addresses and what else a key has.
func (x *index) hash(a, b *packet.Addr, rest, more uint64) uint32 {
	le := binary.LittleEndian
	h := mix(le.Uint64(a[:8])^x.seed[0], le.Uint64(a[8:])^x.seed[1])
	k := mix(le.Uint64(b[:8])^x.seed[2], le.Uint64(b[8:])^x.seed[3])
	return uint32(mix(mix(h^x.seed[3], k^x.seed[0]), mix(rest^x.seed[1], more^x.seed[2])))
}

func (x *index) ofKey(k *edge.Key) uint32 {
	rest := uint64(k.Network)<<32 | uint64(k.Port)<<16 | uint64(k.Proto)
	if k.HasPort {
		rest |= 1 << 8
	}
	return x.hash(&k.Client, &k.Server, rest, 0)
}

func (x *index) ofTuple(k *edge.Tuple) uint32 {
	return x.hash(&k.A, &k.B, uint64(k.PortA)<<32|uint64(k.PortB)<<16|uint64(k.Proto), uint64(k.Network))
}

// mix folds the product of two numbers.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

func (x *index) mask() uint32 { return uint32(len(x.slots) - 1) }

// prefetch begins to load the place of a hash.
func (x *index) prefetch(hash uint32) { pool.Prefetch(unsafe.Pointer(&x.slots[hash&x.mask()]), 1) }

// insert adds a number that is not in it.
func (x *index) insert(hash, number uint32) {
	if 2*(x.n+1) > len(x.slots) {
		x.grow()
	}
	i := hash & x.mask()
	for x.slots[i] != 0 {
		i = (i + 1) & x.mask()
	}
	x.slots[i] = uint64(hash)<<32 | uint64(number+1)
	x.n++
}

func (x *index) grow() {
	old := x.slots
	x.slots, x.n = make([]uint64, 2*len(old)), 0
	for _, slot := range old {
		if slot != 0 {
			x.insert(uint32(slot>>32), uint32(slot)-1)
		}
	}
}

// remove takes a number out that is in it. What stands behind it and would not be
// found any more moves up.
func (x *index) remove(hash, number uint32) {
	i := hash & x.mask()
	for x.slots[i] != uint64(hash)<<32|uint64(number+1) {
		i = (i + 1) & x.mask()
	}
	for k := i; ; {
		k = (k + 1) & x.mask()
		slot := x.slots[k]
		if slot == 0 {
			break
		}
		if home := uint32(slot>>32) & x.mask(); (k-home)&x.mask() >= (k-i)&x.mask() {
			x.slots[i], i = slot, k
		}
	}
	x.slots[i] = 0
	x.n--
}

// numbered are things that an index finds, each with a number for as long as it is known.
type numbered[T any] struct {
	index
	all  []*T     // by number: those that are known, and what waits to be used again
	free []uint32 // numbers of the latter
}

func newNumbered[T any]() numbered[T] { return numbered[T]{index: newIndex()} }

// begin gives one that will have a hash: the memory of the latest that has gone, or new one.
func (s *numbered[T]) begin(hash uint32) (x *T, number uint32) {
	if n := len(s.free); n > 0 {
		number, s.free = s.free[n-1], s.free[:n-1]
	} else {
		number = uint32(len(s.all))
		s.all = append(s.all, new(T))
	}
	s.insert(hash, number)
	return s.all[number], number
}

// end lets one go.
func (s *numbered[T]) end(hash, number uint32) {
	s.remove(hash, number)
	s.free = append(s.free, number)
}
