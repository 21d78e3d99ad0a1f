package tcp

import (
	"math"

	"mirrorscope/histogram"
)

// quantity is what a connection samples.
type quantity uint8

const (
	cleanRTT   quantity = iota // of direction 0; + 2 of direction 1
	delayedRTT                 // likewise
	_
	_
	thinkTime
	numQuantities
)

// few holds the first samples of a connection, of all quantities, in the order
// they came. Most connections have no more: a histogram for each quantity takes
// ten times as much.
type few struct {
	ns   [maxFew]uint32
	tags uint64 // 4 bits each: the quantity, and past; above those how many there are
}

const (
	maxFew      = 14
	past        = 8 // the interval of the sample has been told
	countShift  = 4 * maxFew
	pastAll     = past * 0x11111111111111 // of each
	oneMoreFew  = 1 << countShift
	quantityTag = past - 1
)

func (f *few) n() int { return int(f.tags >> countShift) }

func (f *few) tag(i int) uint8 { return uint8(f.tags >> (4 * i & 63) & 15) }

// dists are the distributions of a connection with more samples. The latest are
// not in them yet, but where each sample of the first ones is: so that most
// packets touch no distribution.
type dists struct {
	latest few
	of     [numQuantities]dist
	_      [128 - 64 - 8*numQuantities]byte // latest is a cache line
}

// dist is the distribution of one quantity: of the running interval, and of
// the intervals before. The numbers are those of histograms in the Store; 0 is
// none.
type dist struct{ running, before uint32 }

// inDists marks the number of a connection's samples as that of dists.
const inDists = 1 << 31

// maxBuckets bounds a distribution of one connection: a factor of 1,000 in
// duration at full resolution; beyond that it becomes coarser, and so does every
// sum that it goes into.
const maxBuckets = 320

// add adds a duration of ns ≥ 0 to the samples of a connection.
func (st *Store) add(samples *uint32, q quantity, ns int64) {
	var f *few
	switch n := *samples; {
	case n&inDists != 0:
		f = &st.dists.At(n &^ inDists).latest
	case n != 0:
		f = st.fews.At(n)
	default:
		*samples = st.fews.Get()
		f = st.fews.At(*samples)
		f.tags = 0
	}
	if n := f.n(); n < maxFew && ns <= math.MaxUint32 {
		f.ns[n] = uint32(ns)
		f.tags = (f.tags | uint64(q)<<(4*n&63)) + oneMoreFew
		return
	}
	if *samples&inDists == 0 {
		st.spread(samples, f)
	}
	x := st.distsOf(*samples)
	if ns <= math.MaxUint32 {
		x.latest.put(q, uint32(ns))
	} else {
		st.change(&x.of[q].running, func(h *histogram.Histogram) { h.Add(ns) })
	}
}

// distsOf gives the distributions of a connection with many samples, all in them.
func (st *Store) distsOf(samples uint32) *dists {
	x := st.dists.At(samples &^ inDists)
	f := &x.latest
	n := min(f.n(), maxFew)
	for i, tags := 0, f.tags; i < n; {
		q, from := tags&quantityTag, i
		for ; i < n && tags&quantityTag == q; tags >>= 4 {
			i++
		}
		st.change(&x.of[q].running, func(h *histogram.Histogram) { h.AddAll(f.ns[from:i]) })
	}
	f.tags = 0
	return x
}

// change changes a distribution, making it if needed, and keeps it within bounds.
func (st *Store) change(hist *uint32, by func(*histogram.Histogram)) {
	if *hist == 0 {
		*hist = st.hists.Get()
	}
	h := st.hists.At(*hist)
	before := len(h.Buckets())
	by(h)
	if len(h.Buckets()) != before {
		bound(h)
		st.wide += wide(len(h.Buckets())) - wide(before)
	}
}

// wide is what a distribution of so many buckets takes beyond histOctets.
func wide(buckets int) int64 { return 16 * int64(max(buckets-usualBuckets, 0)) }

func (f *few) put(q quantity, ns uint32) {
	n := f.n()
	f.ns[n] = ns
	f.tags = (f.tags | uint64(q)<<(4*n&63)) + oneMoreFew
}

func addBounded(h *histogram.Histogram, ns int64) {
	h.Add(ns)
	bound(h)
}

// bound keeps a distribution within maxBuckets.
func bound(h *histogram.Histogram) {
	for len(h.Buckets()) > maxBuckets {
		h.Downscale(h.Scale() - 1)
	}
}

// spread moves the first samples into distributions.
func (st *Store) spread(samples *uint32, f *few) {
	n := st.dists.GetZero()
	x := st.dists.At(n)
	if f.tags&pastAll == 0 {
		f.sort(&st.sorted)
		for q := range numQuantities {
			if ns := st.sorted.of(q); len(ns) > 0 {
				x.of[q].running = st.hists.Get()
				st.hists.At(x.of[q].running).FillRising(ns)
			}
		}
	} else {
		f.spreadPast(st, x)
	}
	st.fews.Put(*samples)
	st.sorted.samples = 0
	*samples = n | inDists
}

// spreadPast is spread where intervals have been told.
func (f *few) spreadPast(st *Store, x *dists) {
	for i := range f.n() {
		tag := f.tag(i)
		d := &x.of[tag&^past]
		h := &d.running
		if tag&past != 0 {
			h = &d.before
		}
		if *h == 0 {
			*h = st.hists.Get()
		}
		addBounded(st.hists.At(*h), int64(f.ns[i]))
	}
}

// sorted are the first samples of a connection by quantity, and in rising order
// for each.
type sorted struct {
	keys [16]uint64 // the quantity above the sample, in order; maxFew are in use
	ns   [16]uint32
	from [numQuantities + 1]uint8 // where those of a quantity begin; where all end

	samples uint32 // that this is all of; 0: of none, or not of all
	tags    uint64 // then
}

// of gives the samples of a quantity.
func (s *sorted) of(q quantity) []uint32 { return s.ns[s.from[q]:s.from[q+1]] }

// sort puts them into s.
func (f *few) sort(s *sorted) {
	n, tags := min(f.n(), maxFew), f.tags
	for i := range n {
		key, k := tags&quantityTag<<32|uint64(f.ns[i]), i
		for ; k > 0 && s.keys[(k-1)&15] > key; k-- {
			s.keys[k&15] = s.keys[(k-1)&15]
		}
		s.keys[k&15] = key
		tags >>= 4
	}
	q := 0
	for i := range n {
		key := s.keys[i&15]
		s.ns[i&15] = uint32(key)
		for ; q <= int(key>>32) && q < len(s.from); q++ {
			s.from[q] = uint8(i)
		}
	}
	for ; q < len(s.from); q++ {
		s.from[q] = uint8(n)
	}
	s.samples = 0
}

// summary is what a report tells of one quantity.
type summary struct {
	n        uint64
	min, max int64 // ns
	Quantiles
}

// sort makes summary ready for the samples of a connection.
func (st *Store) sort(samples uint32) {
	if samples == 0 || samples&inDists != 0 {
		return
	}
	f, s := st.fews.At(samples), &st.sorted
	if s.samples != samples || s.tags != f.tags {
		f.sort(s)
		s.samples, s.tags = samples, f.tags
	}
}

// summary sums up a quantity over all intervals. sort goes before.
func (st *Store) summary(samples uint32, q quantity) (s summary) {
	if samples == 0 {
		return s
	}
	if samples&inDists != 0 {
		if h := st.allOf(samples, q); h != nil {
			return summary{h.Count(), h.Min(), h.Max(), quantiles(h)}
		}
		return s
	}
	return st.sorted.summary(q)
}

// summary sums up a quantity.
func (x *sorted) summary(q quantity) (s summary) {
	ns := x.of(q)
	n := len(ns)
	if n == 0 {
		return s
	}
	least, most := ns[0], ns[n-1]
	s.n, s.min, s.max = uint64(n), int64(least), int64(most)
	// The nearest ranks of up to 14 values: of 9 the share of 0.9 is reached with the
	// last, as that of 0.99 always is.
	s.P50, s.P99 = histogram.Nearest(ns[(n-1)/2], least, most), histogram.Nearest(most, least, most)
	if s.P90 = s.P99; n >= 10 {
		s.P90 = histogram.Nearest(ns[n-2], least, most)
	}
	return s
}

// distributions gives those of all quantities of a connection with many samples, over all
// intervals or of the running one, nil where there is none. They own their memory.
func (st *Store) distributions(samples uint32, running bool) (x [numQuantities]*histogram.Histogram, some bool) {
	for q := range numQuantities {
		if h := st.manyOf(samples, q, running); h != nil && h.Count() > 0 {
			x[q], some = h.Clone(), true
		}
	}
	return x, some
}

// manyOf gives the distribution of a quantity of a connection with many samples, lent as by
// allOf.
func (st *Store) manyOf(samples uint32, q quantity, running bool) *histogram.Histogram {
	if !running {
		return st.allOf(samples, q)
	}
	if n := st.distsOf(samples).of[q].running; n != 0 {
		return st.hists.At(n)
	}
	return nil
}

// allOf gives the distribution of a quantity of a connection with many samples
// over all intervals: it is lent until the next call of allOf, or until the
// connection is released. It is nil when empty.
func (st *Store) allOf(samples uint32, q quantity) *histogram.Histogram {
	d := st.distsOf(samples).of[q]
	switch {
	case d.before == 0 && d.running == 0:
		return nil
	case d.before == 0:
		return st.hists.At(d.running)
	case d.running == 0:
		return st.hists.At(d.before)
	}
	st.scratch.Reset()
	st.scratch.Merge(st.hists.At(d.before))
	st.scratch.Merge(st.hists.At(d.running))
	return &st.scratch
}

// closeInterval moves what the running interval holds to those before.
func (st *Store) closeInterval(samples uint32) {
	if samples == 0 {
		return
	}
	if samples&inDists == 0 {
		f := st.fews.At(samples)
		f.tags |= pastAll & (1<<(4*f.n()&63) - 1)
		return
	}
	x := st.distsOf(samples)
	for q := range x.of {
		switch d := &x.of[q]; {
		case d.running == 0:
		case d.before == 0:
			d.before, d.running = d.running, 0
		default:
			h := st.hists.At(d.before)
			before := len(h.Buckets())
			h.Merge(st.hists.At(d.running))
			st.wide += wide(len(h.Buckets())) - wide(before)
			st.freeHist(&d.running)
		}
	}
}

func (st *Store) freeSamples(samples *uint32) {
	switch {
	case *samples == 0:
		return
	case *samples&inDists == 0:
		st.fews.Put(*samples)
		st.sorted.samples = 0
	default:
		x := st.dists.At(*samples &^ inDists)
		for q := range x.of {
			st.freeHist(&x.of[q].running)
			st.freeHist(&x.of[q].before)
		}
		st.dists.Put(*samples &^ inDists)
	}
	*samples = 0
}

func (st *Store) freeHist(n *uint32) {
	if *n != 0 {
		st.wide -= wide(len(st.hists.At(*n).Buckets()))
		st.hists.At(*n).Reset()
		st.hists.Put(*n)
		*n = 0
	}
}
