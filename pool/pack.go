package pool

import (
	"encoding/binary"
	mathbits "math/bits"
	"unsafe"
)

// Pack writes state that nobody looks at for a while in few octets, whatever
// it is: many words of it are 0, and most are small. Words are written without
// their leading zeros, and the lengths of eight, 3 bits each, before these;
// where all eight are 0 nothing is written but that, one bit.
//
// It gives the octets written to dst, which has PackedMax of the words. There
// are a multiple of eight, 64 at most.
func Pack(dst []byte, words []uint64) int {
	if len(dst) < PackedMax(len(words)) || len(words) > 8*group {
		panic("pool: no room to pack")
	}
	out := unsafe.Pointer(unsafe.SliceData(dst))
	n, mask := uintptr(1), byte(0)
	for g := 0; len(words) >= group; words, g = words[group:], g+1 {
		w := (*[group]uint64)(words)
		if w[0]|w[1]|w[2]|w[3]|w[4]|w[5]|w[6]|w[7] == 0 {
			continue
		}
		mask |= 1 << (g & 7)
		at := unsafe.Add(out, n)
		to, lens := unsafe.Add(at, 3), uint64(0)
		to, lens = pack(to, lens, w[7]) // the last first: their lengths are in the upper bits
		to, lens = pack(to, lens, w[6])
		to, lens = pack(to, lens, w[5])
		to, lens = pack(to, lens, w[4])
		to, lens = pack(to, lens, w[3])
		to, lens = pack(to, lens, w[2])
		to, lens = pack(to, lens, w[1])
		to, lens = pack(to, lens, w[0])
		put16(at, uint16(lens))
		*(*uint8)(unsafe.Add(at, 2)) = uint8(lens >> 16)
		n = uintptr(to) - uintptr(out)
	}
	dst[0] = mask
	return int(n)
}

// Unpack gives back what Pack has written, to as many words, or fewer, and how
// many octets of src these took. Whatever src holds, it looks at no more than
// PackedMax of the words, which there must be.
func Unpack(src []byte, words []uint64) int {
	if len(src) < PackedMax(len(words)) || len(words) > 8*group {
		panic("pool: too little to unpack")
	}
	in := unsafe.Pointer(unsafe.SliceData(src))
	n := uintptr(1)
	for mask := src[0]; len(words) >= group; words, mask = words[group:], mask>>1 {
		w := (*[group]uint64)(words)
		if mask&1 == 0 {
			*w = [group]uint64{}
			continue
		}
		at := unsafe.Add(in, n)
		from, lens := unsafe.Add(at, 3), uint64(get16(at))|uint64(*(*uint8)(unsafe.Add(at, 2)))<<16
		w[7], from = unpack(from, lens>>21)
		w[6], from = unpack(from, lens>>18)
		w[5], from = unpack(from, lens>>15)
		w[4], from = unpack(from, lens>>12)
		w[3], from = unpack(from, lens>>9)
		w[2], from = unpack(from, lens>>6)
		w[1], from = unpack(from, lens>>3)
		w[0], from = unpack(from, lens)
		n = uintptr(from) - uintptr(in)
	}
	return int(n)
}

// pack writes a word, and gives where the next one goes, and its code behind those
// of others.
func pack(to unsafe.Pointer, lens, v uint64) (next unsafe.Pointer, more uint64) {
	put64(to, v)
	c := uint64(codes[mathbits.Len64(v)])
	return unsafe.Add(to, c&15), lens<<3 | c>>4
}

// unpack reads a word, of which code has the code in its lower bits, and gives where
// the next one is.
func unpack(from unsafe.Pointer, code uint64) (v uint64, next unsafe.Pointer) {
	w := &widths[code&7]
	return get64(from) & w.mask, unsafe.Add(from, w.octets)
}

func put64(p unsafe.Pointer, x uint64) { binary.LittleEndian.PutUint64((*[8]byte)(p)[:], x) }
func put16(p unsafe.Pointer, x uint16) { binary.LittleEndian.PutUint16((*[2]byte)(p)[:], x) }
func get64(p unsafe.Pointer) uint64    { return binary.LittleEndian.Uint64((*[8]byte)(p)[:]) }
func get16(p unsafe.Pointer) uint16    { return binary.LittleEndian.Uint16((*[2]byte)(p)[:]) }

// group is how many words have their lengths together.
const group = 8

// PackedMax is the most octets that so many words take, and 8 that are written,
// and read, behind them.
func PackedMax(words int) int { return 1 + words/group*(3+8*group) + 8 }

// lengths of words by their codes: there are no 7 octets.
var lengths = [8]uint8{0, 1, 2, 3, 4, 5, 6, 8}

// codes by how many bits a word has: the length, and above 4 bits the code.
var codes = func() (c [65]uint8) {
	for n := range 65 {
		code := min((n+7)/8, 7)
		c[n] = uint8(code)<<4 | lengths[code]
	}
	return c
}()

// widths of words by their codes.
var widths = func() (w [8]struct{ mask, octets uint64 }) {
	for c, n := range lengths {
		w[c].mask, w[c].octets = 1<<(8*n)-1, uint64(n)
	}
	return w
}()

// Below gives how far x lies below a base, + 1, so that it becomes small where
// the two are near; 0 stays 0. Of what it has given it gives x back: nothing is
// lost, however far apart they are.
func Below(x, base uint64) uint64 {
	switch {
	case x == 0:
		return 0
	case x == base+1: // 0 would have given that
		return x
	}
	return base - x + 1
}

// Below32 is Below of 32 bits.
func Below32(x, base uint32) uint32 {
	switch {
	case x == 0:
		return 0
	case x == base+1:
		return x
	}
	return base - x + 1
}

// Mix makes two halves of a word that are both small one small half; and back.
func Mix(a, b *uint32) {
	x, y := *a, *b
	*a, *b = x&0xffff|y<<16, y&^0xffff|x>>16
}
