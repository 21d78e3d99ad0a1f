package tlsmeta

// Timing is when the steps of a handshake were recorded. A handshake is a row
// of flights: the client's hello, the server's answer, and so on. Between a
// flight's last octet and the first of what answers it lie the network's round
// trip and what the answering side needed.
type Timing struct {
	Start    int64          // record time of the ClientHello's first octet, ns; 0 not known
	End      int64          // of the last octet of the Finished that completes the handshake; 0 not known
	EndAgain int64          // of the latest copy of it that the other side needed: what it perceives begins there
	legs     [maxLegs]int64 // ns that one side needed to answer, the round trip to it included
	numLegs  uint8
	byServer uint8 // bits of legs: the server's

	// Ambiguous says that the end was found by elimination, as where records are
	// padded. StartInferred and EndInferred say that the hello or the Finished
	// are repeats whose original was lost before the observation point.
	Ambiguous, StartInferred, EndInferred bool
	// Hidden says that the beginning of an answer is a repeat whose original was
	// lost before the observation point: when it left is not known.
	Hidden      bool
	EndByServer bool
	FalseStart  bool // the client sent data before the server's Finished (RFC 7918)
}

// maxLegs: two round trips of TLS 1.2, or of TLS 1.3 with a HelloRetryRequest.
const maxLegs = 6

// leg adds what one side needed to answer: between the record times of the last
// octet of what it answers, as it arrived, and of the server's last octet, or the
// client's first. Of that, retransmission, or the wait for the other side's ACK,
// took gap ns inside the flight.
func (t *Timing) leg(server bool, from, to, gap int64) {
	if t.numLegs == maxLegs {
		return
	}
	t.legs[t.numLegs] = to - from - gap
	if server {
		t.byServer |= 1 << t.numLegs
	}
	t.numLegs++
}

// Shares divides the handshake's time: what the server and the client needed
// to answer, and the network's share, which is all the rest. client and server
// are the least round trips between the observation point and either side.
func (t *Timing) Shares(client, server int64) (network, atClient, atServer int64) {
	for i, took := range t.legs[:t.numLegs] {
		if t.byServer>>i&1 != 0 {
			atServer += max(took-server, 0)
		} else {
			atClient += max(took-client, 0)
		}
	}
	return t.End - t.Start - atClient - atServer, atClient, atServer
}

// flight is the present, or latest, flight of a direction.
type flight struct {
	lo, hi int64 // positions
	from   int64 // record time of the last octet of what it answers
	eff    int64 // record time of its last octet, or of the latest repeat that the other side needed; 0: not ended
	again  int64 // record time of the latest such repeat
	last   int64 // record time of the latest octets
	una    int64 // what the other side had acknowledged then
	gap    int64 // ns of it that retransmission, or the wait for the other side's ACK, took
}

const ccsOctets = 6 // of a record with a ChangeCipherSpec

// initialWindow is how many segments a sender may have in flight before the
// first acknowledgment (RFC 6928), less one for rounding.
const initialWindow = 9

// pace watches how the octets of a direction come. Those that answer a flight
// of the other side begin a new one. Time that passes inside a flight because
// something was lost, or because the window was full until the other side's
// ACK came, is the network's.
func (c *Conn) pace(dir int, s *Segment) {
	w := c.w
	f := &w.flights[dir&1]
	w.inferred, w.filled = s.Inferred, 0
	if s.Filled {
		w.filled, w.since = s.Time, s.Since
	}
	if int(w.active) != dir {
		if w.flights[dir&1^1].eff == 0 || c.stage >= stageDone {
			return
		}
		if dir == int(c.client) && hasKeySchedule13(c.Info.Version) && len(s.Data) > 0 && len(s.Data) <= ccsOctets && s.Data[0] == typeCCS {
			return // sent for the sake of old middleboxes (RFC 8446 appendix D.4), while the second hello is being made
		}
		c.beginFlight(dir, moment{s.Pos, s.Time})
		c.Timing.Hidden = c.Timing.Hidden || s.Inferred
		if s.Filled && dir != int(c.client) {
			c.w.flights[dir].gap = max(s.Time-s.Since, 0)
		}
	} else if f.last != 0 && f.eff == 0 && c.w.srv.finished.at == 0 {
		switch {
		case s.Inferred:
			f.gap += max(s.Time-f.last, 0)
		case f.hi-f.lo >= initialWindow*max(s.MSS, 1) && c.w.acks > 0 && c.w.opened(f.last, s) > 0:
			f.gap += c.w.opened(f.last, s)
		case f.hi-f.una >= initialWindow*max(s.MSS, 1) && c.w.acks == 0 && s.Una > f.una: // it was not told when
			f.gap += max(s.Time-f.last, 0)
		case s.Filled:
			f.gap += max(s.Time-max(s.Since, f.last), 0)
		}
	}
	f.hi = max(f.hi, s.Pos+int64(len(s.Data)))
	f.last, f.una = s.Time, s.Una
}

// beginFlight begins the flight that answers the other side's latest.
func (c *Conn) beginFlight(dir int, first moment) {
	from := c.w.flights[1-dir].eff
	c.w.flights[dir] = flight{lo: first.pos, from: from}
	c.w.active = uint8(dir)
	if dir == int(c.client) && from != 0 {
		to := first.at
		if to == c.w.filled {
			to = c.w.since // it came that late because it was lost
		}
		c.between(from, to)
		c.Timing.leg(false, from, to, 0)
	}
}

// between sees to it that an answer does not come long before what it answers:
// then that was not recorded when it was sent.
func (c *Conn) between(from, to int64) {
	if to < from-maxSkew {
		c.Missing = true
	}
}

// maxSkew is how much later than the other a mirror may deliver one direction, ns.
const maxSkew = 10e6

// late tells whether the latest segment filled a hole that was open for longer
// than reordering takes: the original was lost before the observation point.
func (c *Conn) late() bool { return c.w.filled != 0 && c.w.filled-c.w.since > reorderLag }

const reorderLag = 3e6 // ns

// ring keeps when the latest acknowledgments were recorded.
type ring [16]int64

// Acked tells that the client has acknowledged more of the server, at a record
// time: without it, only Segment.Una tells of that.
func (c *Conn) Acked(at int64) {
	if c.stage < stageDone && c.w != nil {
		c.w.acked(at)
	}
}

// Acked is that of a Conn, of which nothing else is needed.
func (b *Room) Acked(s *State, at int64) {
	if s.stage < stageDone && s.work != 0 {
		b.works.At(s.work).acked(at)
	}
}

func (w *work) acked(at int64) {
	w.acksAt[w.acks%uint32(len(w.acksAt))] = at
	w.acks++
}

// opened tells how much of the time between two segments of a sender, the
// record time last and s, it can have waited for an acknowledgment to open its
// window: one that reached it behind the first and in front of the second.
func (w *work) opened(last int64, s *Segment) int64 {
	first := int64(0)
	for _, at := range w.acksAt[:min(w.acks, uint32(len(w.acksAt)))] {
		if at > last-s.RTT && at <= s.Time-s.RTT*9/10 && (first == 0 || at < first) {
			first = at
		}
	}
	if first == 0 || s.RTT == 0 {
		return 0
	}
	return max(min(first+s.RTT, s.Time)-last, 0)
}

// endFlight ends the flight of a direction.
func (c *Conn) endFlight(dir int, end moment) {
	if int(c.w.active) != dir {
		c.beginFlight(dir, end) // recorded before what it answers
	}
	f := &c.w.flights[dir]
	f.hi, f.eff = end.pos, max(end.at, f.again)
	if dir != int(c.client) && f.from != 0 {
		c.between(f.from, end.at)
		c.Timing.leg(true, f.from, end.at, f.gap)
	}
}

// Again tells that octets [lo, hi) of a direction, which the other side had not
// acknowledged, came once more: what answers them is timed from here.
func (c *Conn) Again(dir int, lo, hi, at int64) {
	if c.w == nil {
		return
	}
	f := &c.w.flights[dir]
	if c.stage == stageDone && c.Timing.EndByServer == (dir != int(c.client)) && lo < f.hi && hi >= f.hi {
		c.Timing.EndAgain = max(c.Timing.EndAgain, at)
	}
	if c.stage >= stageDone || int(c.w.active) != dir || hi <= f.lo || f.eff != 0 && lo >= f.hi {
		return
	}
	f.again = at
	if f.eff != 0 {
		f.eff = at
	}
}
