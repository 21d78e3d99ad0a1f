package tcp

import (
	"time"
	"unsafe"

	"mirrorscope/histogram"
	"mirrorscope/pool"
)

// Config holds the constants of measuring TCP.
type Config struct {
	Grace      time.Duration // an ACK may be recorded so much before what it acknowledges
	ReorderLag time.Duration // with the round trip unknown, a hole filled sooner was reordering
	RTOMin     time.Duration // smallest retransmission timer in use
	DupThresh  int           // duplicate ACKs that start a fast retransmission
	LossWarn   float64       // share of a direction's octets missed by the capture from which its losses are not located
}

// DefaultConfig gives the constants of the specification.
func DefaultConfig() Config {
	return Config{
		Grace: 500 * time.Millisecond, ReorderLag: 3 * time.Millisecond, RTOMin: 200 * time.Millisecond,
		DupThresh: 3, LossWarn: 0.001,
	}
}

// Store keeps the state that only some connections need at some times: data in
// flight, losses and repeats, their counts, distributions. It belongs to the
// goroutine that owns the connections.
type Store struct {
	cfg      Config
	flights  pool.Pool[flight]
	troubles pool.Pool[trouble]
	tallies  pool.Pool[tally]
	hists    pool.Pool[histogram.Histogram]
	scratch  histogram.Histogram
}

// NewStore makes an empty store.
func NewStore(cfg Config) *Store { return &Store{cfg: cfg} }

// Octets is what the connections hold in the store.
func (st *Store) Octets() int64 {
	return int64(st.flights.InUse())*int64(unsafe.Sizeof(flight{})) + int64(st.troubles.InUse())*troubleOctets +
		int64(st.tallies.InUse())*int64(unsafe.Sizeof(tally{})) + int64(st.hists.InUse())*histOctets
}

// What a trouble and a histogram take with lists of a usual length.
const (
	troubleOctets = 4096
	histOctets    = 512
)

// keptLists is how many entries the lists of a trouble may have room for when it
// is given back.
const keptLists = 64

// Release gives back all that a connection holds in the store.
func (st *Store) Release(c *Conn) {
	for i := range c.Dirs {
		d := &c.Dirs[i]
		st.freeFlight(d)
		st.freeTrouble(d)
		if d.tally != 0 {
			st.tallies.Put(d.tally)
			d.tally = 0
		}
		st.freeDist(&d.rtt.clean)
		st.freeDist(&d.rtt.delayed)
	}
	st.freeDist(&c.turn.times)
}

// dist is the distribution of one quantity of a connection: of the running
// interval, and of the intervals before. The numbers are those of histograms
// in the Store; 0 is none.
type dist struct{ running, before uint32 }

func (st *Store) freeDist(d *dist) {
	st.freeHist(&d.running)
	st.freeHist(&d.before)
}

func (st *Store) freeHist(n *uint32) {
	if *n != 0 {
		st.hists.At(*n).Reset()
		st.hists.Put(*n)
		*n = 0
	}
}

// maxBuckets bounds a distribution of one connection: a factor of 8 in
// duration at full resolution; beyond that it becomes coarser.
const maxBuckets = 96

// add adds a duration to a distribution, which is made when it is first needed.
func (st *Store) add(d *dist, ns int64) {
	if d.running == 0 {
		d.running = st.hists.Get()
	}
	h := st.hists.At(d.running)
	h.Add(ns)
	for len(h.Buckets()) > maxBuckets {
		h.Downscale(h.Scale() - 1)
	}
}

// whole gives the distribution over all intervals: it is lent until the next
// call of whole or until the connection is released. It is nil when empty.
func (st *Store) whole(d dist) *histogram.Histogram {
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
func (st *Store) closeInterval(d *dist) {
	if d.running == 0 {
		return
	}
	if d.before == 0 {
		d.before, d.running = d.running, 0
		return
	}
	st.hists.At(d.before).Merge(st.hists.At(d.running))
	st.freeHist(&d.running)
}

func (st *Store) freeFlight(d *Dir) {
	if d.flight != 0 {
		st.flights.Put(d.flight)
		d.flight = 0
	}
}

func (st *Store) freeTrouble(d *Dir) {
	if d.trouble != 0 {
		if t := st.troubles.At(d.trouble); cap(t.holes)+cap(t.sacked)+cap(t.repeats) > keptLists {
			*t = trouble{} // one bad connection does not keep its lists for ever
		}
		st.troubles.Put(d.trouble)
		d.trouble = 0
	}
}

// flightOf gives the flight of a direction, making it if needed.
func (st *Store) flightOf(d *Dir) *flight {
	if d.flight == 0 {
		d.flight = st.flights.Get()
		st.flights.At(d.flight).reset()
	}
	return st.flights.At(d.flight)
}

func (st *Store) troubleOf(d *Dir) *trouble {
	if d.trouble == 0 {
		d.trouble = st.troubles.Get()
		st.troubles.At(d.trouble).reset()
	}
	return st.troubles.At(d.trouble)
}

func (st *Store) tallyOf(d *Dir) *tally {
	if d.tally == 0 {
		d.tally = st.tallies.GetZero()
	}
	return st.tallies.At(d.tally)
}

// flightIf, troubleIf and tallyIf give what is there, or nil.
func (st *Store) flightIf(d *Dir) *flight {
	if d.flight == 0 {
		return nil
	}
	return st.flights.At(d.flight)
}

func (st *Store) troubleIf(d *Dir) *trouble {
	if d.trouble == 0 {
		return nil
	}
	return st.troubles.At(d.trouble)
}

func (st *Store) tallyIf(d *Dir) *tally {
	if d.tally == 0 {
		return nil
	}
	return st.tallies.At(d.tally)
}

// inferred is how many repeats of a direction were inferred so far.
func (st *Store) inferred(d *Dir) uint32 {
	if d.tally == 0 {
		return 0
	}
	return st.tallies.At(d.tally).inferred
}
