// Package histogram keeps distributions of durations as base-2 exponential
// histograms: small, exact to merge, and good to 1.1 % for any quantile.
//
// A value of x µs lies in bucket i when 2^(i/2^scale) < x ≤ 2^((i+1)/2^scale).
// The scale is 5 (32 buckets per power of two) until Downscale halves it. These
// are the boundaries of the OpenTelemetry exponential histogram and, for the
// same base, of Prometheus native histograms, with the microsecond as unit; so
// nothing is lost on the way there. Values below 1 µs share the zero bucket.
//
// Values go in as whole ns. Count, sum, minimum and maximum are exact. Only
// buckets that hold something take memory (16 octets each).
//
// A Histogram is owned by one goroutine. Percentiles are never averaged:
// Merge first, then ask for the quantile.
package histogram

import (
	"math"
	"slices"
)

// MaxScale is the scale of a new histogram: 2^MaxScale buckets per power of two.
const MaxScale = 5

// zeroLimit is the first value, in ns, that has a bucket of its own.
const zeroLimit = 1000

// Bucket is one bucket that holds something.
type Bucket struct {
	Index int32 // at the histogram's scale
	Count uint64
}

// Histogram is one distribution. The zero value is empty and ready for use.
// It must not be copied once something was added: copies share buckets.
type Histogram struct {
	// Limit is the greatest number of buckets, the zero bucket not counted; 0 is
	// no limit. Beyond it the lowest buckets are put into the lowest that stays:
	// high quantiles keep their error, low ones come out too high. What is kept
	// does not depend on the order in which values came.
	Limit int

	count, zero   uint64
	sum, min, max int64
	shift         uint8    // MaxScale - scale
	buckets       []Bucket // by rising index
}

// Add records a value of ns ≥ 0. A negative one is not a duration and is left
// out. Add allocates only when a bucket is filled for the first time.
func (h *Histogram) Add(ns int64) {
	if ns < 0 {
		return
	}
	switch {
	case h.count == 0:
		h.min, h.max = ns, ns
	case ns < h.min:
		h.min = ns
	case ns > h.max:
		h.max = ns
	}
	h.count++
	h.sum = saturatingAdd(h.sum, ns)
	if ns < zeroLimit {
		h.zero++
		return
	}
	i := index(uint64(ns)) >> (h.shift & 31)
	// Where no bucket is empty that lies between others, it is found at once.
	if b := h.buckets; len(b) > 0 {
		if at := uint(i - b[0].Index); at < uint(len(b)) && b[at].Index == i {
			b[at].Count++
			return
		}
	}
	h.put(i, 1)
}

// AddAll is Add of each.
func (h *Histogram) AddAll(values []uint32) {
	if len(values) == 0 {
		return
	}
	least, most, sum, zero := values[0], values[0], int64(0), uint64(0)
	shift := h.shift & 31
	for _, ns := range values {
		least, most = min(least, ns), max(most, ns)
		if sum += int64(ns); ns < zeroLimit {
			zero++
			continue
		}
		i := index(uint64(ns)) >> shift
		// Where no bucket is empty that lies between it and the middle one, it is found
		// at once.
		if b := h.buckets; len(b) > 0 {
			m := len(b) / 2
			if at := uint(m + int(i-b[m].Index)); at < uint(len(b)) && b[at].Index == i {
				b[at].Count++
				continue
			}
		}
		h.put(i, 1)
	}
	if h.count == 0 {
		h.min, h.max = int64(least), int64(most)
	} else {
		h.min, h.max = min(h.min, int64(least)), max(h.max, int64(most))
	}
	h.count += uint64(len(values))
	h.zero += zero
	h.sum = saturatingAdd(h.sum, sum)
}

// put adds n to bucket i (at the histogram's own scale) and keeps the limit.
func (h *Histogram) put(i int32, n uint64) {
	at, end := 0, len(h.buckets)
	if end > 0 {
		// No index comes twice: from both ends it is at most so many steps.
		first, last := int(h.buckets[0].Index), int(h.buckets[end-1].Index)
		at, end = max(at, min(end-1-(last-int(i)), end)), min(end, max(int(i)-first, 0))
	}
	for at < end {
		if m := (at + end) / 2; h.buckets[m].Index < i {
			at = m + 1
		} else {
			end = m
		}
	}
	if at < len(h.buckets) && h.buckets[at].Index == i {
		h.buckets[at].Count += n
		return
	}
	if h.Limit > 0 && at == 0 && len(h.buckets) >= h.Limit {
		h.buckets[0].Count += n
		return
	}
	h.buckets = slices.Insert(h.buckets, at, Bucket{Index: i, Count: n})
	h.collapse()
}

// collapse puts the lowest buckets together until the limit is kept.
func (h *Histogram) collapse() {
	excess := len(h.buckets) - h.Limit
	if h.Limit <= 0 || excess <= 0 {
		return
	}
	for i := range excess {
		h.buckets[excess].Count += h.buckets[i].Count
	}
	h.buckets = slices.Delete(h.buckets, 0, excess)
}

// Merge adds all that o holds to h. Where the scales differ, h takes the
// coarser one. o stays as it is; h keeps its own limit.
func (h *Histogram) Merge(o *Histogram) {
	if o.count == 0 {
		return
	}
	h.absorb(o)
	down := h.shift - o.shift
	if down == 0 && len(h.buckets) == 0 {
		h.buckets = append(h.buckets, o.buckets...)
		h.collapse()
		return
	}
	for _, b := range o.buckets {
		h.put(b.Index>>down, b.Count)
	}
}

// absorb merges all but the buckets of o, which is not empty, and makes h coarse
// enough for them.
func (h *Histogram) absorb(o *Histogram) {
	if h.shift < o.shift {
		h.Downscale(o.Scale())
	}
	if h.count == 0 {
		h.min, h.max = o.min, o.max
	} else {
		h.min, h.max = min(h.min, o.min), max(h.max, o.max)
	}
	h.count += o.count
	h.zero += o.zero
	h.sum = saturatingAdd(h.sum, o.sum)
}

// Downscale makes the histogram coarser, to 2^scale buckets per power of two,
// by putting neighbours together. It is exact: the result is what the coarser
// scale would have given from the start. A scale that is not coarser, or below
// 0, changes nothing.
func (h *Histogram) Downscale(scale int) {
	if scale < 0 || scale >= h.Scale() {
		return
	}
	down := uint8(h.Scale() - scale)
	h.shift += down
	kept := h.buckets[:0]
	for _, b := range h.buckets {
		b.Index >>= down // rounds down, below zero too
		if n := len(kept); n > 0 && kept[n-1].Index == b.Index {
			kept[n-1].Count += b.Count
		} else {
			kept = append(kept, b)
		}
	}
	h.buckets = kept
}

// Clone gives a copy that shares nothing with h and takes no more memory than
// its buckets need.
func (h *Histogram) Clone() *Histogram {
	c := *h
	c.buckets = make([]Bucket, len(h.buckets))
	copy(c.buckets, h.buckets)
	return &c
}

// Reset empties the histogram and keeps its limit and memory. The scale is
// MaxScale again.
func (h *Histogram) Reset() {
	*h = Histogram{Limit: h.Limit, buckets: h.buckets[:0]}
}

// Count is the number of values.
func (h *Histogram) Count() uint64 { return h.count }

// Zero is the number of values below 1 µs.
func (h *Histogram) Zero() uint64 { return h.zero }

// Sum is the exact sum of the values in ns; at 292 years it stays there.
func (h *Histogram) Sum() int64 { return h.sum }

// Min is the exact smallest value in ns, 0 when there is none.
func (h *Histogram) Min() int64 { return h.min }

// Max is the exact largest value in ns, 0 when there is none.
func (h *Histogram) Max() int64 { return h.max }

// Scale tells the boundaries: 2^Scale buckets per power of two.
func (h *Histogram) Scale() int { return MaxScale - int(h.shift) }

// Buckets lends the buckets that hold something, by rising index, without the
// zero bucket. They are valid until the histogram is changed.
func (h *Histogram) Buckets() []Bucket { return h.buckets }

// Quantile gives the value in ns below or at which the share q of all values
// lies (the nearest rank: the ⌈q·count⌉-th smallest, q in [0, 1]). At the scale
// of 5 it is within 1.1 % of that value; below 1 µs it is the minimum, within
// 1 µs. ok is false when there are no values.
func (h *Histogram) Quantile(q float64) (ns float64, ok bool) {
	if h.count == 0 || math.IsNaN(q) {
		return 0, false
	}
	rank := uint64(max(1, math.Ceil(min(q, 1)*float64(h.count))))
	rank = min(rank, h.count)
	if rank <= h.zero {
		return float64(h.min), true
	}
	seen := h.zero
	for _, b := range h.buckets {
		if seen += b.Count; seen >= rank {
			return min(max(h.middle(b.Index), float64(h.min)), float64(h.max)), true
		}
	}
	return float64(h.max), true
}

// Nearest is what Quantile gives for a histogram at the scale of 5 where the
// value of the nearest rank is ns, the smallest is least and the largest most,
// all ≥ 0.
func Nearest(ns, least, most uint32) float64 {
	if ns < zeroLimit || least == most {
		return float64(least)
	}
	return min(max(middle(index(uint64(ns)), MaxScale), float64(least)), float64(most))
}

// FillRising makes h, which is empty and without limit, the histogram of values in rising
// order, at least one.
func (h *Histogram) FillRising(values []uint32) {
	least, most := values[0], values[len(values)-1]
	h.count, h.min, h.max = uint64(len(values)), int64(least), int64(most)
	room := slices.Grow(h.buckets[:0], len(values))[:len(values)]
	if len(values) == 1 && least >= zeroLimit {
		room[0] = Bucket{Index: index(uint64(least)), Count: 1}
		h.sum, h.buckets = int64(least), room
		return
	}
	zero, sum, n := 0, int64(0), 0
	last := int32(math.MinInt32)
	for _, ns := range values {
		sum += int64(ns)
		if ns < zeroLimit {
			zero++
			continue
		}
		i := index(uint64(ns))
		if i == last {
			room[n-1].Count++
			continue
		}
		room[n] = Bucket{Index: i, Count: 1}
		last = i
		n++
	}
	h.zero, h.sum, h.buckets = uint64(zero), sum, room[:n]
}

// middle is the value in ns that is in the same relative distance of both
// boundaries of bucket i: at most (b-1)/(b+1), 1.08 % at the scale of 5, where b
// is the ratio of the boundaries.
func (h *Histogram) middle(i int32) float64 { return middle(i, h.Scale()) }

func middle(i int32, scale int) float64 {
	octave := math.Float64frombits(uint64(1023+(i>>scale)) << 52) // 2^(i>>scale)
	return middles[scale][i&(1<<scale-1)] * octave
}

// middles are those of the first octave, by scale. Those of the others are
// twice as far, each.
var middles = func() (m [MaxScale + 1][1 << MaxScale]float64) {
	for scale := range m {
		for i := range 1 << scale {
			lower := zeroLimit * math.Exp2(math.Ldexp(float64(i), -scale))
			upper := zeroLimit * math.Exp2(math.Ldexp(float64(i)+1, -scale))
			m[scale][i] = 2 * lower * upper / (lower + upper)
		}
	}
	return m
}()

func saturatingAdd(a, b int64) int64 {
	if s := a + b; s >= a {
		return s
	}
	return math.MaxInt64
}
