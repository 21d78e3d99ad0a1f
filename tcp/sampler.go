package tcp

// sampler times one direction's data until it is acknowledged and keeps the
// smallest sample: the base of one half of the round trip. It obeys Karn (RFC
// 6298 section 3): what was repeated, or sent before a repeat was
// acknowledged, gives no sample. It holds two segments, the oldest and the
// latest in flight, which suffices for a minimum.
type sampler struct {
	base              int64 // smallest sample, ns; 0 none
	firstAt, lastAt   int64
	firstEnd, lastEnd uint32
	recover           uint32
	state             samplerState
}

type samplerState uint8

const (
	timesFirst samplerState = 1 << iota
	timesLast
	recovering // no segment below recover gives a sample
	cleanBase  // a sample was clean: its ACK cannot have been delayed
)

// sent starts timing a segment that ends at end, was not sent before and
// follows all others.
func (s *sampler) sent(end uint32, at int64) {
	if s.state&recovering != 0 {
		return
	}
	if s.state&timesFirst == 0 {
		s.firstEnd, s.firstAt = end, at
		s.state |= timesFirst
	}
	s.lastEnd, s.lastAt = end, at
	s.state |= timesLast
}

// repeated ends all timing until hi is acknowledged.
func (s *sampler) repeated(hi uint32) {
	s.recover = hi
	s.state = s.state&^(timesFirst|timesLast) | recovering
}

// acked takes the ACK that moved the left edge to ack. clean says that its
// receiver had no reason to delay it.
func (s *sampler) acked(ack uint32, at int64, clean bool) {
	if s.state&recovering != 0 {
		if After(s.recover, ack) {
			return
		}
		s.state &^= recovering
		return
	}
	switch {
	case s.state&timesLast != 0 && !After(s.lastEnd, ack):
		if ack == s.lastEnd {
			s.take(at-s.lastAt, clean)
		}
		s.state &^= timesFirst | timesLast
	case s.state&timesFirst != 0 && !After(s.firstEnd, ack):
		// Only if it is the last segment that the ACK covers.
		if ack == s.firstEnd {
			s.take(at-s.firstAt, clean)
		}
		s.state &^= timesFirst
	}
}

func (s *sampler) take(d int64, clean bool) {
	if d <= 0 {
		return // recorded out of order: no sample
	}
	if clean {
		s.state |= cleanBase
	}
	if s.base == 0 || d < s.base {
		s.base = d
	}
}
