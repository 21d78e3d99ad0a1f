package histogram

import (
	"encoding/binary"
	"slices"
)

// AppendPacked adds all that h holds, but for its limit, as a few octets: a
// handful of values takes a tenth of a Histogram. MergePacked reads it.
func (h *Histogram) AppendPacked(dst []byte) []byte {
	switch h.count {
	case 0:
		return append(dst, nothing)
	case 1:
		if len(dst)+1+binary.MaxVarintLen64 > cap(dst) {
			dst = slices.Grow(dst, 1+binary.MaxVarintLen64)
		}
		b, n := dst[:cap(dst)], len(dst)+1
		b[n-1] = single | h.shift
		v := uint64(h.min)
		for ; v >= 0x80 && n < len(b); n++ {
			b[n] = byte(v) | 0x80
			v >>= 7
		}
		b[n] = byte(v)
		return b[:n+1]
	}
	how := h.shift
	if h.zero > 0 {
		how |= someZero
	}
	if h.max != h.min {
		how |= someMore
	}
	if h.sum != h.min+h.max {
		how |= otherSum
	}
	dst = binary.AppendUvarint(append(dst, how), h.count)
	dst = binary.AppendUvarint(dst, uint64(h.min))
	if how&someMore != 0 {
		dst = binary.AppendUvarint(dst, uint64(h.max-h.min))
	}
	if how&otherSum != 0 {
		dst = binary.AppendUvarint(dst, uint64(h.sum))
	}
	if how&someZero != 0 {
		dst = binary.AppendUvarint(dst, h.zero)
	}
	last := int32(0)
	for _, b := range h.buckets { // they have all that is not in zero
		dst = binary.AppendUvarint(dst, uint64(b.Index-last))
		dst = binary.AppendUvarint(dst, b.Count)
		last = b.Index
	}
	return dst
}

// Bits beside the shift in what AppendPacked begins with.
const (
	someZero = 1 << (iota + 4) // zero is not 0
	someMore                   // max is not min
	otherSum                   // sum is not that of two, min and max
	single                     // there is one value, min
	nothing  = 15              // no shift: there is no value
)

// MergePacked does what Merge would with the histogram that AppendPacked began
// src with, and gives what follows it. What it reads must be whole.
func (h *Histogram) MergePacked(src []byte) (rest []byte) {
	how, r := src[0], unpacker(src[1:])
	if how == nothing {
		return r
	}
	o := Histogram{count: 1, shift: how & 0xf}
	if how&single != 0 {
		ns := int64(r.next())
		o.min, o.max, o.sum = ns, ns, ns
		if ns < zeroLimit {
			o.zero = 1
		}
		if h.absorb(&o); o.zero == 0 {
			h.put(index(uint64(ns))>>h.shift, 1)
		}
		return r
	}
	o.count, o.min = r.next(), int64(r.next())
	o.max = o.min
	if how&someMore != 0 {
		o.max += int64(r.next())
	}
	o.sum = o.min + o.max
	if how&otherSum != 0 {
		o.sum = int64(r.next())
	}
	if how&someZero != 0 {
		o.zero = r.next()
	}
	h.absorb(&o)
	down := h.shift - o.shift
	at := int32(0)
	for left := o.count - o.zero; left > 0; {
		at += int32(r.next())
		n := r.next()
		h.put(at>>down, n)
		left -= n
	}
	return r
}

type unpacker []byte

func (r *unpacker) next() uint64 {
	if b := *r; b[0] < 0x80 {
		*r = b[1:]
		return uint64(b[0])
	}
	v, n := binary.Uvarint(*r)
	*r = (*r)[n:]
	return v
}
