package histogram

import "encoding/binary"

// AppendPacked adds all that h holds, but for its limit, as a few octets: a
// handful of values takes a tenth of a Histogram. MergePacked reads it.
func (h *Histogram) AppendPacked(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, h.count)
	if h.count == 0 {
		return dst
	}
	how := h.shift
	if h.zero > 0 {
		how |= someZero
	}
	if h.max != h.min {
		how |= someMore
	}
	if h.sum != h.few() {
		how |= otherSum
	}
	dst = binary.AppendUvarint(append(dst, how), uint64(h.min))
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

// Bits beside the shift in what AppendPacked adds.
const (
	someZero = 1 << (iota + 4) // zero is not 0
	someMore                   // max is not min
	otherSum                   // sum is not few
)

// few is the sum of one value, or of two.
func (h *Histogram) few() int64 {
	if h.count == 1 {
		return h.min
	}
	return h.min + h.max
}

// MergePacked does what Merge would with the histogram that AppendPacked began
// src with, and gives what follows it. What it reads must be whole.
func (h *Histogram) MergePacked(src []byte) (rest []byte) {
	r := unpacker(src)
	o := Histogram{count: r.next()}
	if o.count == 0 {
		return r
	}
	how := r[0]
	r = r[1:]
	o.shift, o.min = how&0xf, int64(r.next())
	o.max = o.min
	if how&someMore != 0 {
		o.max += int64(r.next())
	}
	o.sum = o.few()
	if how&otherSum != 0 {
		o.sum = int64(r.next())
	}
	if how&someZero != 0 {
		o.zero = r.next()
	}
	h.absorb(&o)
	down := h.shift - o.shift
	index := int32(0)
	for left := o.count - o.zero; left > 0; {
		index += int32(r.next())
		n := r.next()
		h.put(index>>down, n)
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
