package edge

import (
	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/packet"
	"mirrorscope/tcp"
)

// Repeats sums the retransmissions of one side.
type Repeats struct {
	Connections    int64 // that could tell; 0: unknown, which is not none
	Packets, Bytes int64
	Payload        int64 // octets of payload that this side of those connections sent, repeats included
	AtLeast        bool  // some connection gave a lower bound
}

func (s *Repeats) add(o *Repeats) {
	s.Connections += o.Connections
	s.Packets += o.Packets
	s.Bytes += o.Bytes
	s.Payload += o.Payload
	s.AtLeast = s.AtLeast || o.AtLeast
}

// of makes them those of one record.
func (s *Repeats) of(r *flow.Record, side flow.Side) {
	x := &r.TCP.Sides[side].Retransmits
	if !r.HasTCP || x.State == tcp.Unknown {
		*s = Repeats{}
		return
	}
	s.Connections, s.Packets, s.Bytes, s.Payload, s.AtLeast = 1, x.Packets, x.Bytes, r.Sent[side].PayloadBytes, x.State == tcp.Bounded
}

// Times are distributions of durations in ns.
type Times struct {
	RTT      [2]histogram.Histogram // between the observation point and client, server
	Delayed  [2]histogram.Histogram // samples that a delayed ACK may have made longer
	Response histogram.Histogram    // think time of the server
	AtMost   bool                   // Response holds upper bounds
	Doubtful bool                   // … or times of what may be no request
}

// State is that of Response.
func (t *Times) State() tcp.State {
	switch {
	case t.Doubtful:
		return tcp.Ambiguous
	case t.AtMost:
		return tcp.Bounded
	}
	return tcp.Measured
}

// maxBuckets bounds each distribution of a conversation: a factor of 8 in
// duration at full resolution; beyond that it becomes coarser.
const maxBuckets = 96

func merge(into, h *histogram.Histogram) {
	if h == nil {
		return
	}
	into.Merge(h)
	shrink(into)
}

func add(into *histogram.Histogram, ns int64) {
	into.Add(ns)
	shrink(into)
}

func shrink(into *histogram.Histogram) {
	for len(into.Buckets()) > maxBuckets {
		into.Downscale(into.Scale() - 1)
	}
}

func (t *Times) add(s *sample) {
	all := t.all()
	for i, h := range s.all() {
		merge(all[i], h)
	}
	for i := range s.few.Len() {
		what, ns := s.few.At(i)
		add(all[what], ns)
	}
	t.AtMost = t.AtMost || s.atMost
	t.Doubtful = t.Doubtful || s.doubtful
}

func (t *Times) merge(o *Times) {
	all := t.all()
	for i, h := range o.all() {
		merge(all[i], h)
	}
	t.AtMost = t.AtMost || o.AtMost
	t.Doubtful = t.Doubtful || o.Doubtful
}

// PathRTT is the median round trip in ns of the whole path: the sum of the
// medians of both halves. atMost tells that a half was sampled only where a
// delayed ACK may have made it longer. ok is false where one was not sampled.
func (t *Times) PathRTT() (ns float64, atMost, ok bool) {
	if t == nil {
		return 0, false, false
	}
	for i := range t.RTT {
		h := &t.RTT[i]
		if h.Count() == 0 {
			h, atMost = &t.Delayed[i], true
		}
		half, ok := h.Quantile(0.5)
		if !ok {
			return 0, false, false
		}
		ns += half
	}
	return ns, atMost, true
}

// sample is what one sight of a connection has of its times.
type sample struct {
	tcp.Distributions
	few              tcp.Samples    // where there are no distributions
	halves           int            // of the round trip that were sampled
	point            packet.PointID // where
	atMost, doubtful bool           // of Think
	weight           int            // memory, in buckets
}

// of makes it that of one record.
func (s *sample) of(r *flow.Record) {
	*s = sample{few: r.Samples}
	switch {
	case r.Distributions != nil:
		s.Distributions = *r.Distributions
	case s.few.Len() == 0:
		return
	}
	s.point = r.Point
	s.atMost, s.doubtful = r.TCP.Response.State == tcp.Bounded, r.TCP.Response.State == tcp.Ambiguous
	var half [2]bool
	if r.Distributions != nil {
		for i, h := range s.all() {
			if h != nil {
				half[i/2&1] = half[i/2&1] || i != int(tcp.TimedThink)
				s.weight += histogramWeight + len(h.Buckets())
			}
		}
	}
	if r.Distributions == nil {
		half[0], half[1] = s.few.Halves()
	}
	for _, is := range half {
		if is {
			s.halves++
		}
	}
}

// all lists the distributions by what they are of.
func (s *sample) all() [tcp.NumTimed]*histogram.Histogram {
	return [...]*histogram.Histogram{s.RTT[0], s.Delayed[0], s.RTT[1], s.Delayed[1], s.Think}
}

func (t *Times) all() [tcp.NumTimed]*histogram.Histogram {
	return [...]*histogram.Histogram{&t.RTT[0], &t.Delayed[0], &t.RTT[1], &t.Delayed[1], &t.Response}
}

// histogramWeight is the memory of an empty histogram, in buckets.
const histogramWeight = 6

func (s *sample) empty() bool { return s.few.Len() == 0 && s.Distributions == tcp.Distributions{} }

// slowest is the longest time to think.
func (s *sample) slowest() (ns int64) {
	if s.Think != nil {
		ns = s.Think.Max()
	}
	return max(ns, s.few.LongestThink())
}

// better tells whether s shall stand for the connection instead of o. Both
// halves must be of one point. Which point, hardly matters for one connection;
// but halves of several connections add up only where they were cut at the
// same place, so it is the same one wherever possible.
func (s *sample) better(o *sample) bool {
	switch {
	case s.empty() || o.empty():
		return !s.empty()
	case s.halves != o.halves:
		return s.halves > o.halves
	}
	return s.point < o.point
}

// swap exchanges the roles. What was taken for the server's think time was the
// client's.
func (s *sample) swap() {
	s.RTT[0], s.RTT[1] = s.RTT[1], s.RTT[0]
	s.Delayed[0], s.Delayed[1] = s.Delayed[1], s.Delayed[0]
	s.Think = nil
	s.few.Swap()
}
