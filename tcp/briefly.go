package tcp

// Report fills r, which is empty, with what Conn.Report gives. It follows End.
func (b *Brief) Report(st *Store, r *Report) {
	if !st.sums {
		b.samples.sort(&st.sorted)
	}
	for i := range r.Sides {
		s, d, o := &r.Sides[i], &b.sides[i], &b.sides[i^1]
		s.Recorded = 1 + int64(d.sent)
		s.Retransmits.State = Measured
		x, q := &s.RTT, 2*quantity(i)
		x.Clean, x.Maybe, x.Min = int64(o.clean), int64(o.maybe), o.rtt.min
		switch {
		case o.clean > 0:
			x.State = Measured
		case o.maybe > 0:
			x.State = Bounded
			q += delayedRTT
		default:
			continue
		}
		if !st.sums {
			x.Quantiles = st.sorted.summary(q).Quantiles
		}
	}
	var think summary
	if st.sums {
		think = b.samples.thinks()
	} else {
		think = st.sorted.summary(thinkTime)
	}
	x := &r.Response
	x.Turns, x.Measured, x.Min, x.Max = int64(b.turns), int64(think.n), Absent, Absent
	if think.n == 0 {
		return
	}
	x.Min, x.Max, x.Quantiles = think.min, think.max, think.Quantiles
	if x.State = Measured; b.noBase {
		x.State = Bounded
	}
}

// Told is what the intervals up to a moment have told of a Brief. The zero value is nothing.
type Told struct {
	Recorded     [2]int64 // Side.Recorded
	clean, maybe [2]uint32
	turns        uint32
	measured     int
	samples      int
}

// Pause closes an interval, as Conn.CloseInterval does. It tells whether the handshake is decided.
func (b *Brief) Pause() (decided, ok bool) {
	if b.waits != 0 && !b.settle() {
		return false, false
	}
	if b.slow && b.sides[0].rtt.solid != 0 && b.sides[1].rtt.solid != 0 {
		b.decide()
	}
	return !b.slow, true
}

// Tell makes x all that there is to tell. It follows Pause or End.
func (b *Brief) Tell(x *Told) {
	for i := range b.sides {
		d := &b.sides[i]
		x.Recorded[i], x.clean[i], x.maybe[i] = 1+int64(d.sent), d.clean, d.maybe
	}
	x.turns, x.measured, x.samples = b.turns, b.samples.thoughts(), b.samples.n()
}

// Interval fills r, which is empty, with what Conn.Report gives, less what was told. The
// samples are those of Conn.CloseInterval. It follows Pause or End.
func (b *Brief) Interval(told *Told, r *Report, s *Samples) {
	for i := range r.Sides {
		s, o := &r.Sides[i], i^1
		s.Recorded = 1 + int64(b.sides[i].sent) - told.Recorded[i]
		s.Retransmits.State = Measured
		x := &s.RTT
		x.Clean, x.Maybe = int64(b.sides[o].clean-told.clean[o]), int64(b.sides[o].maybe-told.maybe[o])
		switch {
		case x.Clean > 0:
			x.State = Measured
		case x.Maybe > 0:
			x.State = Bounded
		}
	}
	x := &r.Response
	x.Turns, x.Measured, x.Min, x.Max = int64(b.turns-told.turns), int64(b.samples.thoughts()-told.measured), Absent, Absent
	if x.Measured > 0 {
		if x.State = Measured; b.noBase {
			x.State = Bounded
		}
	}
	s.tags = 0
	for i := told.samples; i < b.samples.n(); i++ {
		what, ns := b.samples.At(i)
		s.Add(what, ns)
	}
}
