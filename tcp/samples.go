package tcp

import (
	"math"
	"slices"

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
	tags [maxFew / 2]uint8 // 4 bits each: the quantity, and past
	n    uint8
}

const (
	maxFew       = 14
	past   uint8 = 8 // the interval of the sample has been told
)

func (f *few) tag(i int) uint8 { return f.tags[i/2] >> (i % 2 * 4) & 15 }

// dists are the distributions of a connection with more samples.
type dists [numQuantities]dist

// dist is the distribution of one quantity: of the running interval, and of
// the intervals before. The numbers are those of histograms in the Store; 0 is
// none.
type dist struct{ running, before uint32 }

// inDists marks the number of a connection's samples as that of dists.
const inDists = 1 << 31

// maxBuckets bounds a distribution of one connection: a factor of 8 in
// duration at full resolution; beyond that it becomes coarser.
const maxBuckets = 96

// add adds a duration of ns ≥ 0 to the samples of a connection.
func (st *Store) add(samples *uint32, q quantity, ns int64) {
	if *samples&inDists == 0 {
		if *samples == 0 {
			*samples = st.fews.Get()
			st.fews.At(*samples).n = 0
		}
		f := st.fews.At(*samples)
		if f.n < maxFew && ns <= math.MaxUint32 {
			f.put(q, uint32(ns))
			return
		}
		st.spread(samples, f)
	}
	d := &st.dists.At(*samples &^ inDists)[q]
	if d.running == 0 {
		d.running = st.hists.Get()
	}
	addBounded(st.hists.At(d.running), ns)
}

func (f *few) put(q quantity, ns uint32) {
	f.ns[f.n] = ns
	t := &f.tags[f.n/2]
	if f.n%2 == 0 {
		*t = uint8(q)
	} else {
		*t |= uint8(q) << 4
	}
	f.n++
}

func addBounded(h *histogram.Histogram, ns int64) {
	h.Add(ns)
	for len(h.Buckets()) > maxBuckets {
		h.Downscale(h.Scale() - 1)
	}
}

// spread moves the first samples into distributions.
func (st *Store) spread(samples *uint32, f *few) {
	n := st.dists.GetZero()
	x := st.dists.At(n)
	for i := range int(f.n) {
		tag := f.tag(i)
		d := &x[tag&^past]
		h := &d.running
		if tag&past != 0 {
			h = &d.before
		}
		if *h == 0 {
			*h = st.hists.Get()
		}
		addBounded(st.hists.At(*h), int64(f.ns[i]))
	}
	st.fews.Put(*samples)
	*samples = n | inDists
}

// summary is what a report tells of one quantity.
type summary struct {
	n        uint64
	min, max int64 // ns
	Quantiles
}

// summary sums up a quantity over all intervals.
func (st *Store) summary(samples uint32, q quantity) (s summary) {
	if samples&inDists != 0 || samples == 0 {
		if h := st.allOf(samples, q); h != nil {
			return summary{h.Count(), h.Min(), h.Max(), quantiles(h)}
		}
		return s
	}
	f := st.fews.At(samples)
	var ns [maxFew]int64
	n := 0
	for i := range int(f.n) {
		if quantity(f.tag(i)&^past) == q {
			ns[n] = int64(f.ns[i])
			n++
		}
	}
	if n == 0 {
		return s
	}
	slices.Sort(ns[:n])
	s = summary{n: uint64(n), min: ns[0], max: ns[n-1]}
	// Of up to 9 values the share of 0.9 is reached with the last, as that of 0.99 is.
	s.P50, s.P99 = histogram.QuantileOf(ns[:n], 0.50), histogram.QuantileOf(ns[:n], 0.99)
	if s.P90 = s.P99; n >= 10 {
		s.P90 = histogram.QuantileOf(ns[:n], 0.90)
	}
	return s
}

// allOf gives the distribution of a quantity over all intervals: it is lent
// until the next call of allOf or running, or until the connection is released.
// It is nil when empty.
func (st *Store) allOf(samples uint32, q quantity) *histogram.Histogram {
	if samples == 0 {
		return nil
	}
	if samples&inDists == 0 {
		return st.gather(samples, q, 15)
	}
	d := st.dists.At(samples &^ inDists)[q]
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

// running gives the distribution of a quantity in the running interval, lent
// like that of allOf.
func (st *Store) running(samples uint32, q quantity) *histogram.Histogram {
	if samples == 0 {
		return nil
	}
	if samples&inDists == 0 {
		return st.gather(samples, q, 15&^past)
	}
	if n := st.dists.At(samples &^ inDists)[q].running; n != 0 {
		return st.hists.At(n)
	}
	return nil
}

// gather makes a histogram of those first samples whose tag is in set but for
// the quantity.
func (st *Store) gather(samples uint32, q quantity, set uint8) *histogram.Histogram {
	f := st.fews.At(samples)
	st.scratch.Reset()
	for i := range int(f.n) {
		if tag := f.tag(i); quantity(tag&^past) == q && tag&^set == 0 {
			st.scratch.Add(int64(f.ns[i]))
		}
	}
	if st.scratch.Count() == 0 {
		return nil
	}
	return &st.scratch
}

// closeInterval moves what the running interval holds to those before.
func (st *Store) closeInterval(samples uint32) {
	if samples == 0 {
		return
	}
	if samples&inDists == 0 {
		f := st.fews.At(samples)
		for i := range f.tags[:(f.n+1)/2] {
			f.tags[i] |= past | past<<4
		}
		if f.n%2 == 1 {
			f.tags[f.n/2] &= 15
		}
		return
	}
	x := st.dists.At(samples &^ inDists)
	for q := range x {
		switch d := &x[q]; {
		case d.running == 0:
		case d.before == 0:
			d.before, d.running = d.running, 0
		default:
			st.hists.At(d.before).Merge(st.hists.At(d.running))
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
	default:
		x := st.dists.At(*samples &^ inDists)
		for q := range x {
			st.freeHist(&x[q].running)
			st.freeHist(&x[q].before)
		}
		st.dists.Put(*samples &^ inDists)
	}
	*samples = 0
}

func (st *Store) freeHist(n *uint32) {
	if *n != 0 {
		st.hists.At(*n).Reset()
		st.hists.Put(*n)
		*n = 0
	}
}
