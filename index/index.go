// Package index finds what is numbered by a hash of its key: open addressing, in one
// slice of words without pointers.
package index

import (
	"math/bits"
	"math/rand/v2"
	"unsafe"

	"mirrorscope/pool"
)

// Index is half full at most. Whoever keeps what it finds compares keys: hashes may be
// alike. One goroutine owns it.
type Index struct {
	// Slots are as many as a power of two, or none. A slot has the hash in its upper half,
	// and in its lower one the number; 0 is free. A number is at or behind the place of its
	// hash, with no free slot before it.
	Slots []uint64
	// Seed keys the hashes: nobody who sends packets knows where their keys go.
	Seed [4]uint64
}

// New is an empty one, without slots.
func New() Index {
	return Index{Seed: [4]uint64{rand.Uint64() | 1, rand.Uint64() | 1, rand.Uint64() | 1, rand.Uint64() | 1}}
}

// Mask is for places.
func (x *Index) Mask() uint64 { return uint64(len(x.Slots) - 1) }

// Place is where the search for a hash begins.
func (x *Index) Place(hash uint32) uint64 { return uint64(hash) & x.Mask() }

// Hash is that of a key as five words: two of one address, two of another, and the rest.
func (x *Index) Hash(a0, a1, b0, b1, rest uint64) uint32 {
	a, b := Mix(a0^x.Seed[0], a1^x.Seed[1]), Mix(b0^x.Seed[2], b1^x.Seed[3])
	return uint32(Mix(Mix(a^x.Seed[3], b^x.Seed[0]), rest^x.Seed[1]))
}

// Mix folds the product of two numbers.
func Mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// Prefetch begins to load the place of a hash.
func (x *Index) Prefetch(hash uint32) {
	if i := x.Place(hash); i < uint64(len(x.Slots)) {
		pool.Prefetch(unsafe.Pointer(&x.Slots[i]), 1)
	}
}

// Free gives the place of what has a hash and is not in the index; there is room.
func (x *Index) Free(hash uint32) uint64 {
	i := x.Place(hash)
	for slots := x.Slots; i < uint64(len(slots)) && slots[i] != 0; {
		i = (i + 1) & x.Mask()
	}
	return i
}

// Insert adds a number, which is not 0 and not in the index; there is room.
func (x *Index) Insert(hash, number uint32) {
	x.Slots[x.Free(hash)] = uint64(hash)<<32 | uint64(number)
}

// Find gives the number that is of a hash and for which is is true, or 0.
func (x *Index) Find(hash uint32, is func(number uint32) bool) uint32 {
	for i := x.Place(hash); i < uint64(len(x.Slots)) && x.Slots[i] != 0; i = (i + 1) & x.Mask() {
		if slot := x.Slots[i]; uint32(slot>>32) == hash && is(uint32(slot)) {
			return uint32(slot)
		}
	}
	return 0
}

// Remove takes a number out that is in the index. What stands behind it and would not be
// found any more moves up.
func (x *Index) Remove(hash, number uint32) {
	i := x.Place(hash)
	for x.Slots[i] != uint64(hash)<<32|uint64(number) {
		i = (i + 1) & x.Mask()
	}
	for k := i; ; {
		k = (k + 1) & x.Mask()
		slot := x.Slots[k]
		if slot == 0 {
			break
		}
		if home := x.Place(uint32(slot >> 32)); (k-home)&x.Mask() >= (k-i)&x.Mask() {
			x.Slots[i], i = slot, k
		}
	}
	x.Slots[i] = 0
}
