package tcp

import (
	"time"
	"unsafe"

	"mirrorscope/histogram"
	"mirrorscope/packet"
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
	cfg        Config
	pairs      pool.Pool[pair]
	crowds     pool.Pool[crowd]
	rares      pool.Pool[rare]
	troubles   pool.Pool[trouble]
	tallies    pool.Pool[tally]
	waits      pool.Pool[waits]
	fews       pool.Pool[few]
	dists      pool.Pool[dists]
	hists      pool.Pool[histogram.Histogram]
	wide       int64 // octets of buckets of hists beyond usualBuckets
	reopenings pool.Pool[reopening]
	scratch    histogram.Histogram
	sorted     sorted // scratch

	now int64 // the input's clock at the latest packet, ns

	sums bool // reports have no quantiles

	whole  bool   // each packet takes the whole way: for tests
	wholes uint64 // packets that took it, likewise
}

// NewStore makes an empty store.
func NewStore(cfg Config) *Store { return &Store{cfg: cfg} }

// SumsOnly has reports leave quantiles out: whoever adds connections up has their
// samples.
func (st *Store) SumsOnly() { st.sums = true }

// Octets is what the connections hold in the store.
func (st *Store) Octets() int64 {
	return octets(&st.pairs) + octets(&st.crowds) + octets(&st.rares) + int64(st.troubles.InUse())*troubleOctets + octets(&st.tallies) +
		octets(&st.waits) + octets(&st.fews) + octets(&st.dists) + int64(st.hists.InUse())*histOctets + st.wide + octets(&st.reopenings)
}

func octets[T any](p *pool.Pool[T]) int64 {
	var v T
	return int64(p.InUse()) * int64(unsafe.Sizeof(v))
}

// Prefetch adds the cache lines of what a connection keeps of data in flight, its samples, and
// those that wait, for a packet in direction dir. If crowd is not 0, PrefetchMore knows more once
// they have come.
func (st *Store) Prefetch(c *Conn, dir int, heads, lines *pool.Lines) (crowd uint32) {
	switch n := c.samples; {
	case n&inDists != 0:
		heads.Add(unsafe.Pointer(st.dists.At(n &^ inDists)))
	case n != 0:
		heads.Add(unsafe.Pointer(st.fews.At(n)))
	}
	if n := c.turn.waits; n != 0 {
		heads.Add(unsafe.Pointer(st.waits.At(n)))
	}
	d, r := &c.Dirs[dir&1], &c.Dirs[dir&1^1]
	switch n := d.flight; {
	case n&inCrowds != 0:
		x := st.crowds.At(n &^ inCrowds)
		lines.Add(unsafe.Pointer(x))
		lines.Add(unsafe.Pointer(&x.segs[(d.packets+1)%maxSegs])) // where it is noted, as a rule
	case n != 0:
		lines.Add(unsafe.Pointer(st.pairs.At(n)))
	}
	switch n := r.flight; {
	case n&inCrowds != 0:
		crowd = n &^ inCrowds
		lines.Add(unsafe.Pointer(st.crowds.At(crowd)))
	case n != 0:
		lines.Add(unsafe.Pointer(st.pairs.At(n)))
	}
	return crowd
}

// PrefetchMore adds the line in which a packet that acknowledges is likely to find when what it
// acknowledges was sent.
func (st *Store) PrefetchMore(crowd uint32, heads *pool.Lines) {
	x := st.crowds.At(crowd)
	heads.Add(unsafe.Pointer(&x.segs[x.first%maxSegs]))
}

// PrefetchReport begins to load what a connection keeps that a Report asks for.
func (st *Store) PrefetchReport(c *Conn) {
	switch n := c.samples; {
	case n&inDists != 0:
		pool.Prefetch(unsafe.Pointer(st.dists.At(n&^inDists)), 2)
	case n != 0:
		pool.Prefetch(unsafe.Pointer(st.fews.At(n)), 1)
	}
	for i := range c.Dirs {
		if n := c.Dirs[i].rare; n != 0 {
			st.rares.Prefetch(n, int(unsafe.Sizeof(rare{})+63)/64)
		}
	}
}

// PrefetchFree begins to load what a connection takes that ceases to be young.
func (st *Store) PrefetchFree() {
	st.fews.PrefetchFree(1)
	st.pairs.PrefetchFree(2)
}

// inUse is how many values the connections hold.
func (st *Store) inUse() int {
	return st.pairs.InUse() + st.crowds.InUse() + st.rares.InUse() + st.troubles.InUse() + st.tallies.InUse() + st.waits.InUse() +
		st.fews.InUse() + st.dists.InUse() + st.hists.InUse() + st.reopenings.InUse()
}

// What a trouble and a histogram take with lists of a usual length.
const (
	troubleOctets = 4096
	histOctets    = 512
	usualBuckets  = 32 // of a histogram
)

// keptLists is how many entries the lists of a trouble may have room for when it
// is given back.
const keptLists = 64

// Release gives back all that a connection holds in the store.
func (st *Store) Release(c *Conn) {
	for i := range c.Dirs {
		d := &c.Dirs[i]
		st.freeFlight(d)
		if d.rare != 0 {
			st.freeTrouble(d)
			if x := st.rares.At(d.rare); x.tally != 0 {
				st.tallies.Put(x.tally)
			}
			st.rares.Put(d.rare)
			d.rare = 0
		}
	}
	st.freeSamples(&c.samples)
	st.freeWaits(c)
}

func (st *Store) freeWaits(c *Conn) {
	if c.turn.waits != 0 {
		st.waits.Put(c.turn.waits)
		c.turn.waits = 0
	}
}

func (st *Store) freeFlight(d *Dir) {
	d.has &^= lone | loneStamped
	if d.flight == 0 {
		return
	}
	if d.flight&inCrowds != 0 {
		st.crowds.Put(d.flight &^ inCrowds)
	} else {
		st.pairs.Put(d.flight)
	}
	d.flight = 0
}

func (st *Store) freeTrouble(d *Dir) {
	if d.has&troubled == 0 {
		return
	}
	x := st.rares.At(d.rare)
	if t := st.troubles.At(x.trouble); cap(t.holes)+cap(t.sacked)+cap(t.repeats) > keptLists {
		*t = trouble{} // one bad connection does not keep its lists for ever
	}
	st.troubles.Put(x.trouble)
	x.trouble = 0
	d.has &^= troubled
}

// flightOf gives the flight of a direction, making it if needed.
func (st *Store) flightOf(d *Dir) *flight {
	if d.flight == 0 {
		d.flight = st.pairs.GetZero()
		if d.has&lone != 0 {
			f := st.put(d, st.flight(d.flight), d.hi, d.lastAt)
			if d.has&loneStamped != 0 {
				st.stamp(d, f, d.tsval, d.hi, d.lastAt)
			}
			d.has &^= lone | loneStamped
		}
	}
	return st.flight(d.flight)
}

// sent notes that new data was sent, up to end: in its direction's flight, or in
// the direction itself if nothing else is in flight. It moves hi.
func (st *Store) sent(d *Dir, p *packet.Packet, end int64) {
	t := &p.TCP
	hasTS := t.Has&packet.HasTimestamps != 0
	if d.flight == 0 && d.has&lone == 0 && (!hasTS || d.has&hasTSval == 0 || t.TSval == d.tsval || After(t.TSval, d.tsval)) {
		d.hi, d.lastAt = end, p.Time
		d.has |= lone
		if hasTS {
			d.tsval = t.TSval
			d.has |= hasTSval | loneStamped
		}
		return
	}
	f := st.flightOf(d) // before hi moves: a lone segment ends there
	d.hi, d.lastAt = end, p.Time
	if f = st.put(d, f, end, p.Time); hasTS {
		st.stamp(d, f, t.TSval, end, p.Time)
	}
}

func (st *Store) rareOf(d *Dir) *rare {
	if d.rare == 0 {
		d.rare = st.rares.GetZero()
	}
	return st.rares.At(d.rare)
}

func (st *Store) troubleOf(d *Dir) *trouble {
	x := st.rareOf(d)
	if d.has&troubled == 0 {
		d.has |= troubled
		x.trouble = st.troubles.Get()
		st.troubles.At(x.trouble).reset()
	}
	return st.troubles.At(x.trouble)
}

func (st *Store) tallyOf(d *Dir) *tally {
	x := st.rareOf(d)
	if x.tally == 0 {
		x.tally = st.tallies.GetZero()
	}
	return st.tallies.At(x.tally)
}

// flightIf, rareIf, troubleIf and tallyIf give what is there, or nil.
func (st *Store) flightIf(d *Dir) *flight {
	if d.flight == 0 && d.has&lone == 0 {
		return nil
	}
	return st.flightOf(d)
}

func (st *Store) rareIf(d *Dir) *rare {
	if d.rare == 0 {
		return nil
	}
	return st.rares.At(d.rare)
}

func (st *Store) troubleIf(d *Dir) *trouble {
	if d.has&troubled == 0 {
		return nil
	}
	return st.troubles.At(st.rares.At(d.rare).trouble)
}

func (st *Store) tallyIf(d *Dir) *tally {
	if d.rare == 0 || st.rares.At(d.rare).tally == 0 {
		return nil
	}
	return st.tallies.At(st.rares.At(d.rare).tally)
}

// inferred is how many repeats of a direction were inferred so far.
func (st *Store) inferred(d *Dir) uint32 {
	if y := st.tallyIf(d); y != nil {
		return y.inferred
	}
	return 0
}
