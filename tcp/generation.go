package tcp

import "mirrorscope/packet"

// Continuity says how a packet relates to the connection that its 5-tuple
// last belonged to.
type Continuity uint8

const (
	Same      Continuity = iota // a packet of this connection
	New                         // the first packet of another connection
	Candidate                   // a SYN that another connection may start with, if a SYN-ACK answers it
	Switch                      // the SYN-ACK that answers the Candidate
)

// maxEarlyData is how far the first recorded octet of a direction may lie
// behind the SYN of the same connection that is recorded late.
const maxEarlyData = 1 << 16

// Continues judges a packet with SYN (RFC 9293 section 3.10.7.4, RFC 6191,
// RFC 5961 section 4). idle says that the connection has been silent for
// longer than any in use; candidate is the ISN of the Candidate, if there is
// one.
func (c *Conn) Continues(p *packet.Packet, dir int, idle bool, candidate *uint32) Continuity {
	t := &p.TCP
	if t.Flags&packet.ACK == 0 {
		return c.continuesSYN(t, dir, idle)
	}
	d, r := &c.Dirs[dir], &c.Dirs[1-dir]
	answers := t.Ack - 1
	if d.has&hasISN != 0 && t.Seq == d.begin {
		return Same // repeated, or the second step of a simultaneous open
	}
	switch {
	case candidate != nil && (answers == *candidate || int32(answers-*candidate) > 0 && answers-*candidate < maxEarlyData):
		return Switch
	case r.has&hasISN != 0:
		if answers == r.begin || After(t.Ack, r.begin) && r.has&hasSeq != 0 && !After(t.Ack, uint32(r.hi)) {
			return Same // the SYN's answer, or another ISN for the same SYN
		}
		if !idle && d.has&hasISN == 0 && c.flags&(established|reset|refused) == 0 {
			return Same // foreign: the client has just sent its SYN and waits for another answer
		}
		return New
	case r.has&hasSeq != 0:
		if near(t.Ack, uint32(r.lo)) && (d.has&hasSeq == 0 || near(uint32(d.lo), t.Seq)) {
			return Same // recorded behind its own acknowledgment
		}
		return New
	case d.has&hasISN != 0:
		if uint32(d.una) == t.Ack && d.has&hasUna != 0 {
			return Same // several SYN-ACKs for one SYN that was not recorded
		}
		return New
	case d.has&hasSeq != 0:
		if near(uint32(d.lo), t.Seq) {
			return Same
		}
		return New
	}
	return Same
}

func (c *Conn) continuesSYN(t *packet.TCP, dir int, idle bool) Continuity {
	d, r := &c.Dirs[dir], &c.Dirs[1-dir]
	switch {
	case d.has&hasISN != 0 && t.Seq == d.begin:
		if c.Ended() && idle {
			return New
		}
		return Same
	case d.has&hasISN == 0 && d.has&hasSeq != 0 && near(uint32(d.lo), t.Seq):
		return Same // recorded behind its own data
	case d.has&(hasISN|hasSeq) == 0 && r.has&sentSYNACK != 0 && r.has&hasUna == 0 && d.has&hasUna != 0 && uint32(d.una)-1 == t.Seq:
		return Same // recorded behind its SYN-ACK
	case d.has&(hasISN|hasSeq) == 0 && r.has&sentSYN != 0 && c.flags&established == 0 && !c.Ended():
		return Same // simultaneous open
	case c.Ended(), idle:
		return New
	case d.has&hasSeq != 0 && After(t.Seq, uint32(d.hi)), d.has&hasSeq == 0 && d.has&hasUna != 0 && After(t.Seq, uint32(d.una)):
		return New
	case t.Has&packet.HasTimestamps != 0 && d.has&hasTSval != 0 && After(t.TSval, d.tsval):
		return New
	case d.has&(hasSeq|hasUna) == 0:
		return New // nothing of this direction is known: the other side's packets were one-sided
	}
	return Candidate
}

// foreign tells whether a SYN-ACK answers a SYN that was not recorded, while
// the one that was still waits: a middlebox that rewrites sequence numbers,
// seen on both its sides, or a forged packet. It counts, and says nothing.
func (c *Conn) foreign(t *packet.TCP, dir int) bool {
	d, r := &c.Dirs[dir], &c.Dirs[1-dir]
	return t.Flags&(packet.SYN|packet.ACK) == packet.SYN|packet.ACK && d.has&hasISN == 0 && r.has&hasISN != 0 &&
		t.Ack-1 != r.begin && !(After(t.Ack, r.begin) && !After(t.Ack, uint32(r.hi)))
}

// near: a is b or lies up to maxEarlyData behind it.
func near(a, b uint32) bool { return a-b < maxEarlyData }

// Space is the sequence space that a connection has used, kept to recognise
// its stragglers after the next connection of the same 5-tuple has begun.
type Space struct {
	lo, hi, isn [2]uint32
	known       [2]bool
}

// Space gives the sequence space that c has used.
func (c *Conn) Space() Space {
	var s Space
	for i := range c.Dirs {
		d := &c.Dirs[i]
		s.lo[i], s.hi[i], s.isn[i], s.known[i] = uint32(d.lo), uint32(d.hi), d.isn(), d.has&hasSeq != 0
	}
	return s
}

// Straggles tells whether a packet belongs to the connection that used old,
// and not to c. Of packets with SYN only a repeated SYN-ACK does.
func (c *Conn) Straggles(p *packet.Packet, dir int, old *Space) bool {
	t := &p.TCP
	if !old.known[dir] {
		return false
	}
	if t.Flags&packet.SYN != 0 {
		return t.Flags&packet.ACK != 0 && old.known[1-dir] && t.Seq == old.isn[dir] && t.Ack-1 == old.isn[1-dir] &&
			!(c.Dirs[1-dir].has&hasISN != 0 && c.Dirs[1-dir].begin == t.Ack-1)
	}
	oldGap := gap(t.Seq, old.lo[dir], old.hi[dir])
	d, r := &c.Dirs[dir], &c.Dirs[1-dir]
	if d.has&hasSeq != 0 {
		newGap := gap(t.Seq, uint32(d.lo), uint32(d.hi))
		return oldGap < newGap && oldGap < maxEarlyData && newGap > maxEarlyData
	}
	// Nothing of this direction yet: what it acknowledges tells.
	if t.Flags&packet.ACK != 0 && r.has&hasSeq != 0 && After(t.Ack, uint32(r.lo)) && !After(t.Ack, uint32(r.hi)) {
		return false
	}
	return oldGap < maxEarlyData
}

// gap is how far seq lies outside [lo, hi].
func gap(seq, lo, hi uint32) uint32 {
	if !After(lo, seq) && !After(seq, hi) {
		return 0
	}
	return min(lo-seq, seq-hi)
}
