package tcp

import (
	"math/bits"

	"mirrorscope/histogram"
)

// Samples are the durations that a connection was timed by, as they came, where
// they are few: what Distributions would hold in histograms. It is a value.
type Samples struct{ few }

// MaxSamples is how many Samples holds at most.
const MaxSamples = maxFew

// Timed is what a sample is of.
type Timed uint8

// The round trip between the observation point and the client; that to the server
// is two more.
const (
	TimedRTT     Timed = iota // a clean sample
	TimedDelayed              // one that a delayed ACK may have made longer
	_
	_
	TimedThink // the server's time to think
	NumTimed
)

// Len is how many there are.
func (s *Samples) Len() int { return s.n() }

// At gives one of them, and what it is of.
func (s *Samples) At(i int) (Timed, int64) { return Timed(s.tag(i)), int64(s.ns[i]) }

// each has the lowest bit of each tag.
const each = pastAll / past

// roundTrips has that of each sample that is no time to think.
func (f *few) roundTrips() uint64 { return ^(f.tags >> 2) & each & (1<<(4*f.n()&63) - 1) }

// thoughtTags has that of each that is.
func (f *few) thoughtTags() uint64 { return f.tags >> 2 & each & (1<<(4*f.n()&63) - 1) }

// thoughts is how many times to think there are.
func (f *few) thoughts() int { return bits.OnesCount64(f.thoughtTags()) }

// Halves tells of which halves of the round trip there are samples, by side.
func (s *Samples) Halves() (client, server bool) {
	trips := s.roundTrips()
	return trips&^(s.tags>>1) != 0, trips&(s.tags>>1) != 0
}

// LongestThink is the longest time to think, ns; 0 if there is none.
func (s *Samples) LongestThink() (ns int64) {
	for thinks := s.thoughtTags(); thinks != 0; thinks &= thinks - 1 {
		ns = max(ns, int64(s.ns[bits.TrailingZeros64(thinks)/4]))
	}
	return ns
}

// Add adds one, of less than 2^32 ns; there is room.
func (s *Samples) Add(what Timed, ns int64) { s.put(quantity(what), uint32(ns)) }

// Swap exchanges the roles. What was taken for the server's time to think was the
// client's: it is left out.
func (s *Samples) Swap() {
	was := *s
	s.tags = 0
	for i := range was.Len() {
		if what, ns := was.At(i); what != TimedThink {
			s.Add(what^2, ns)
		}
	}
}

// Samples gives those of the whole life so far. many tells that they are too many:
// then Distributions has them.
func (c *Conn) Samples(st *Store, s *Samples, client int) (many bool) {
	c.settleTurns(st, client)
	switch {
	case c.samples == 0:
		s.tags = 0
	case c.samples&inDists != 0:
		return true
	default:
		s.few = *st.fews.At(c.samples)
		s.tags = s.bySide(client)
	}
	return false
}

// running makes s those of the running interval.
func (f *few) running(s *Samples, client int) {
	s.tags = 0
	for i, tags := 0, f.tags; i < min(f.n(), maxFew); i, tags = i+1, tags>>4 {
		if tags&past == 0 {
			s.put(quantity(tags&quantityTag), f.ns[i])
		}
	}
	s.tags = s.bySide(client)
}

// Spread is room for the Distributions of Samples. The zero value is ready for use.
type Spread struct {
	sorted sorted
	hists  [numQuantities]histogram.Histogram
	d      Distributions
}

// Distributions gives those of the samples, nil where there are none. They are lent until the
// next call.
func (x *Spread) Distributions(s *Samples) *Distributions {
	if s.n() == 0 {
		return nil
	}
	s.sort(&x.sorted)
	var all [numQuantities]*histogram.Histogram
	for q := range numQuantities {
		if ns := x.sorted.of(q); len(ns) > 0 {
			all[q] = &x.hists[q]
			all[q].Reset()
			all[q].FillRising(ns)
		}
	}
	x.d = Distributions{RTT: [2]*histogram.Histogram{all[cleanRTT], all[cleanRTT+2]}, Delayed: [2]*histogram.Histogram{all[delayedRTT], all[delayedRTT+2]}, Think: all[thinkTime]}
	return &x.d
}

// bySide gives tags that count sides, where those of f count directions: what a
// direction sends is acknowledged by the other side.
func (f *few) bySide(client int) uint64 {
	tags := f.tags &^ (pastAll & (oneMoreFew - 1))
	if client == 1 {
		return tags
	}
	return tags ^ f.roundTrips()<<1
}

// thinks sums up the samples of the time to think, without quantiles.
func (f *few) thinks() (s summary) {
	for i, tags := 0, f.tags; i < min(f.n(), maxFew); i, tags = i+1, tags>>4 {
		if quantity(tags&quantityTag) != thinkTime {
			continue
		}
		ns := int64(f.ns[i])
		if s.n == 0 {
			s.min, s.max = ns, ns
		}
		s.n, s.min, s.max = s.n+1, min(s.min, ns), max(s.max, ns)
	}
	return s
}

// Set makes them those of o. It leaves what lies behind them as it is: samples have just been
// added where they are copied, and more octets at once would have to wait for that.
func (s *Samples) Set(o *Samples) {
	s.tags = o.tags
	for i := range min(o.n(), maxFew) {
		s.ns[i] = o.ns[i]
	}
}

// SampleCount is from which bit on the tags tell how many samples there are.
const SampleCount = countShift

// Raw gives them as they are kept: each, in ns, of which it sets no more, and what it is of.
func (s *Samples) Raw(ns *[MaxSamples]uint32) (tags uint64) {
	for i := range min(s.n(), maxFew) {
		ns[i] = s.ns[i]
	}
	return s.tags
}

// SetRaw makes them those that Raw gave.
func (s *Samples) SetRaw(ns *[MaxSamples]uint32, tags uint64) { s.ns, s.tags = *ns, tags }
