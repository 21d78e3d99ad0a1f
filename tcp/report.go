package tcp

import "mirrorscope/histogram"

// Quantiles of a distribution of durations, in ns.
type Quantiles struct{ P50, P90, P99 float64 }

func quantiles(h *histogram.Histogram) (q Quantiles) {
	q.P50, _ = h.Quantile(0.50)
	q.P90, _ = h.Quantile(0.90)
	q.P99, _ = h.Quantile(0.99)
	return q
}

// RTT is the round trip between the observation point and one host.
type RTT struct {
	State   State
	Reasons Reasons
	Stamps  bool  // most samples were taken by timestamps
	Min     int64 // ns; 0 without samples
	// Quantiles are of the clean samples, or, when State is Bounded, of those
	// that a delayed ACK may have made longer.
	Quantiles
	Clean, Maybe int64
}

// Source names how most samples were taken.
func (r *RTT) Source() string {
	if r.Stamps {
		return "timestamps"
	}
	return "ack"
}

// Retransmits counts what one side sent again. Spurious + LostBefore +
// LostAfter + Unlocated = Packets.
type Retransmits struct {
	State   State
	Reasons Reasons

	Packets, Segments, Bytes         int64
	SpuriousPackets, SpuriousBytes   int64
	LostBefore, LostAfter, Unlocated int64
	Inferred                         int64 // not part of Packets
	DSACKUnmatched                   int64
	ByClass                          [NumClasses]int64
}

// Side is what one side's direction showed.
type Side struct {
	RTT         RTT // between the observation point and this side
	Retransmits Retransmits
	OutOfOrder  struct {
		Packets, MaxExtent int64
		MaxLate            int64 // ns
	}
	NetworkDuplicates int64
	KeepAlives        int64
	ZeroWindow        struct { // of this side's receive window
		Episodes, Probes int64 // probes sent by the other side
		Time             int64 // ns
	}
	WindowFull int64 // ns that this side had all in flight that the other offered
	Missed     int64 // octets sent and acknowledged that the capture missed
	Recorded   int64 // octets of sequence space recorded
	Strays     int64
}

// Response is the server's think time per turn.
type Response struct {
	State    State
	Reasons  Reasons
	Turns    int64 // requests with a response
	Measured int64
	Min, Max int64 // ns, Absent when nothing was measured
	Quantiles
}

// Report is what a connection has shown so far. It is a value.
type Report struct {
	Sides    [2]Side // client, server
	Response Response
}

// Report fills r, and leaves quantiles out where the Store does. client is the direction of the
// client; final says that nothing more will come.
func (c *Conn) Report(st *Store, r *Report, client int, final bool) {
	c.settleTurns(st, client)
	if !st.sums {
		st.sort(c.samples)
	}
	for i, dir := range [2]int{client, 1 - client} {
		c.side(st, &r.Sides[i], dir, final)
	}
	c.response(st, &r.Response)
}

// Undecided tells whether a final report can differ from one before it: data
// that was acknowledged and not recorded may still come.
func (c *Conn) Undecided(st *Store) bool {
	for i := range c.Dirs {
		if tr := st.troubleIf(&c.Dirs[i]); tr != nil {
			for _, h := range tr.holes {
				if h.ackedAt != 0 {
					return true
				}
			}
		}
	}
	return false
}

func (c *Conn) side(st *Store, s *Side, dir int, final bool) {
	*s = Side{}
	d, o := &c.Dirs[dir], &c.Dirs[1-dir]
	c.rtt(st, &s.RTT, 1-dir) // the other's data is acknowledged by this side
	if s.RTT.State == Unknown && (d.has&hasSeq == 0 || o.has&hasSeq == 0) {
		s.RTT.Reasons = OneSided
	}
	x := &s.Retransmits
	x.State = Measured
	if d.has&hasSeq != 0 {
		s.Recorded = max(d.hi-d.lo, 0)
	}
	if d.rare|o.rare != 0 {
		c.rareSide(st, s, d, o, final)
	}
	switch {
	case d.has&hasSeq == 0:
		x.State, x.Reasons = Unknown, OneSided
	case d.has&hasUna == 0 && o.has&hasSeq == 0 && d.packets > 1:
		x.State = Bounded // a loss before the point is heard of from nobody
		x.Reasons |= OneSided
		x.Unlocated += x.LostAfter + x.LostBefore
		x.LostAfter, x.LostBefore = 0, 0
	}
}

// rareSide fills in what has left a trace in the rare of a direction, d, or of
// the other.
func (c *Conn) rareSide(st *Store, s *Side, d, o *Dir, final bool) {
	if d.has&hasSeq != 0 {
		s.Recorded = d.hi - d.lo
		if x := st.rareIf(d); x != nil {
			s.Recorded += x.gapsBefore
		}
	}
	if d.has&full != 0 {
		s.WindowFull = max(max(d.seenAt, o.seenAt)-d.wfSince(st), 0)
	}
	if d.has&shut != 0 {
		s.ZeroWindow.Time = max(max(d.seenAt, o.seenAt)-d.zwSince(st), 0)
	}
	if y := st.tallyIf(o); y != nil {
		s.ZeroWindow.Probes = int64(y.zwProbes)
	}
	pending := int64(0)
	if tr := st.troubleIf(d); tr != nil {
		for _, h := range tr.holes {
			s.Recorded -= h.hi - h.lo
			if h.ackedAt != 0 && final {
				pending += h.hi - h.lo
			}
		}
	}
	x := &s.Retransmits
	y := st.tallyIf(d)
	s.Missed = pending
	if y != nil {
		s.Missed += y.missed
		x.Packets, x.Segments, x.Bytes = int64(y.packets), int64(y.segments), y.bytes
		x.SpuriousPackets, x.SpuriousBytes = int64(y.spuriousPackets), y.spuriousBytes
		x.LostBefore, x.LostAfter, x.Unlocated = int64(y.before), int64(y.after), int64(y.unlocated)
		x.Inferred, x.DSACKUnmatched = int64(y.inferred), int64(y.dsackUnmatched)
		for i, n := range y.byClass {
			x.ByClass[i] = int64(n)
		}
		s.OutOfOrder.Packets, s.OutOfOrder.MaxExtent, s.OutOfOrder.MaxLate = int64(y.oooPackets), int64(y.oooExtent), y.oooLate
		s.NetworkDuplicates, s.KeepAlives = int64(y.netDups), int64(y.keepAlives)
		s.ZeroWindow.Episodes = int64(y.zwEpisodes)
		s.ZeroWindow.Time += y.zwTime
		s.WindowFull += y.wfTime
		s.Strays = int64(y.strays)
		if y.ambiguous > 0 || y.untracked {
			x.State = Ambiguous
		}
		if y.offload > 0 {
			x.State = Ambiguous // what was lost on the wire was a segment, not what was recorded
			x.Reasons |= Offload
		}
	}
	if y != nil {
		s.Recorded -= y.missed
	}
	s.Recorded = max(s.Recorded, 0)
	if s.Missed > 0 && float64(s.Missed) > st.cfg.LossWarn*float64(s.Missed+s.Recorded) {
		// The original of a repeat that filled a hole may have been missed, too.
		x.State = Ambiguous
		x.Reasons |= CaptureLoss
		x.Unlocated += x.LostBefore
		x.LostBefore = 0
		x.Inferred = 0 // what the identifications miss, the capture has missed
	}
}

// rtt fills r with the round trip of the data sent in a direction.
func (c *Conn) rtt(st *Store, r *RTT, dir int) {
	d := &c.Dirs[dir]
	r.Clean, r.Maybe, r.Min = int64(d.samples), int64(d.maybe), d.rtt.min
	r.Stamps = 2*d.byStamps > d.samples+d.maybe
	q := cleanRTT + 2*quantity(dir)
	switch {
	case d.samples > 0:
		r.State = Measured
	case d.maybe > 0:
		r.State = Bounded
		q += delayedRTT
	default:
		return
	}
	if !st.sums {
		r.Quantiles = st.summary(c.samples, q).Quantiles
	}
}

// Distributions are those of one interval or of a whole life. What was not
// sampled is nil. They own their memory.
type Distributions struct {
	RTT     [2]*histogram.Histogram // clean samples, between the observation point and client, server
	Delayed [2]*histogram.Histogram // samples that a delayed ACK may have made longer
	Think   *histogram.Histogram
}

// Distributions gives those of the whole life so far where Samples has said that they are
// too many for it.
func (c *Conn) Distributions(st *Store, client int) *Distributions {
	return c.distributions(st, client, false)
}

// CloseInterval makes s the samples of the running interval, or gives their distributions
// where the connection has too many for that, and begins the next.
func (c *Conn) CloseInterval(st *Store, s *Samples, client int) (x *Distributions) {
	c.settleTurns(st, client)
	switch {
	case c.samples == 0:
		s.tags = 0
	case c.samples&inDists != 0:
		s.tags = 0
		x = c.distributions(st, client, true)
	default:
		st.fews.At(c.samples).running(s, client)
	}
	st.closeInterval(c.samples)
	return x
}

func (c *Conn) distributions(st *Store, client int, running bool) *Distributions {
	all, some := st.distributions(c.samples, running)
	if !some {
		return nil
	}
	x := &Distributions{Think: all[thinkTime]}
	for i, dir := range [2]int{client, 1 - client} {
		q := 2 * quantity(1-dir&1) // the other's data is acknowledged by this side
		x.RTT[i], x.Delayed[i] = all[q+cleanRTT], all[q+delayedRTT]
	}
	return x
}

func (c *Conn) response(st *Store, r *Response) {
	u := &c.turn
	var think summary
	if st.sums && c.samples != 0 && c.samples&inDists == 0 {
		think = st.fews.At(c.samples).thinks()
	} else {
		think = st.summary(c.samples, thinkTime)
	}
	*r = Response{Turns: int64(u.turns), Measured: int64(think.n), Min: Absent, Max: Absent}
	if u.flags&requestLost != 0 {
		r.Reasons |= RequestLost
	}
	if u.flags&requestMissed != 0 {
		r.Reasons |= CaptureLoss
	}
	if u.flags&responseLost != 0 {
		r.Reasons |= ResponseLost
	}
	if think.n == 0 {
		return
	}
	r.Min, r.Max, r.Quantiles = think.min, think.max, think.Quantiles
	r.State = Measured
	if u.flags&noBase != 0 {
		r.State = Bounded
	}
	if u.doubt != 0 {
		r.State = Ambiguous
		r.Reasons |= u.doubt
	}
}

// Minus takes what an earlier report told off the counts of a side. What does
// not add up over time is left out: the distributions of the interval have it.
func (s *Side) Minus(o *Side) {
	x, y := &s.Retransmits, &o.Retransmits
	for _, c := range []struct{ a, b *int64 }{
		{&x.Packets, &y.Packets}, {&x.Segments, &y.Segments}, {&x.Bytes, &y.Bytes}, {&x.SpuriousPackets, &y.SpuriousPackets},
		{&x.SpuriousBytes, &y.SpuriousBytes}, {&x.LostBefore, &y.LostBefore}, {&x.LostAfter, &y.LostAfter}, {&x.Unlocated, &y.Unlocated},
		{&x.Inferred, &y.Inferred}, {&x.DSACKUnmatched, &y.DSACKUnmatched}, {&s.OutOfOrder.Packets, &o.OutOfOrder.Packets},
		{&s.NetworkDuplicates, &o.NetworkDuplicates}, {&s.KeepAlives, &o.KeepAlives}, {&s.ZeroWindow.Episodes, &o.ZeroWindow.Episodes},
		{&s.ZeroWindow.Probes, &o.ZeroWindow.Probes}, {&s.ZeroWindow.Time, &o.ZeroWindow.Time}, {&s.WindowFull, &o.WindowFull},
		{&s.Missed, &o.Missed}, {&s.Recorded, &o.Recorded}, {&s.Strays, &o.Strays}, {&s.RTT.Clean, &o.RTT.Clean}, {&s.RTT.Maybe, &o.RTT.Maybe},
	} {
		*c.a -= *c.b
	}
	for i := range x.ByClass {
		x.ByClass[i] -= y.ByClass[i]
	}
	s.OutOfOrder.MaxExtent, s.OutOfOrder.MaxLate = 0, 0
	r := &s.RTT
	r.Min, r.Quantiles, r.State = 0, Quantiles{}, Unknown
	switch {
	case r.Clean > 0:
		r.State = Measured
	case r.Maybe > 0:
		r.State = Bounded
	}
}

// Minus takes what an earlier report told off the counts.
func (r *Response) Minus(o *Response) {
	r.Turns -= o.Turns
	r.Measured -= o.Measured
	r.Min, r.Max, r.Quantiles = Absent, Absent, Quantiles{}
	if r.Measured <= 0 {
		r.State = Unknown
	}
}
