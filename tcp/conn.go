package tcp

import "mirrorscope/packet"

// Dir is the state of one direction of a connection: what its sender sent,
// and what the other side said about it.
type Dir struct {
	hi     uint32 // highest end of a segment recorded
	lo     uint32 // sequence number of the first packet recorded
	una    uint32 // highest cumulative ACK recorded from the receiver
	isn    uint32 // of the SYN or SYN-ACK
	tsval  uint32 // highest TSval sent
	repSeq uint32 // first octet of the latest repeat
	window uint16 // as last advertised by this sender, not scaled
	mss    uint16
	wscale uint8
	ttl    uint8 // of the latest packet that is not an RST
	repRun uint8 // timer repeats of repSeq in a row, without progress
	has    dirHas
	repAt  int64 // record time of the latest repeat

	rtt sampler // times this direction's data until its ACK
}

type dirHas uint16

const (
	hasSeq dirHas = 1 << iota
	hasUna
	hasISN
	hasTSval
	hasFIN
	hasTTL
	hasOptions // all options of the SYN were recorded
	hasMSS
	hasWScale
	hasSACK
	hasTimestamps
	sentSYN
	sentSYNACK
)

// Conn is one connection at one observation point. Directions are numbered by
// the caller (0 and 1) and keep their number whoever turns out to be the
// client.
type Conn struct {
	Dirs [2]Dir

	syns    [2]uint16 // SYN packets without ACK, by sender
	synacks [2]uint16
	flags   connFlags
	client  int8 // direction that the client sends in, by SYN or SYN-ACK; -1 not known
	resetBy uint8
	Unacked bool // the reset came while its receiver's … or sender's data was unacknowledged
}

type connFlags uint8

const (
	established connFlags = 1 << iota
	refused
	reset
	resetAfterFIN
	rstForeign
	simultaneous
	ecnOffered
	ecnAccepted
)

// Init makes c the state of a connection of which nothing was recorded yet.
func (c *Conn) Init() { *c = Conn{client: -1} }

// Client is the direction in which the client sends, by who sent a SYN or
// SYN-ACK, and whether a SYN told it. It is -1 where neither was recorded.
func (c *Conn) Client() (dir int, bySYN bool) {
	if c.client < 0 {
		return -1, false
	}
	return int(c.client), c.Dirs[c.client].has&sentSYN != 0
}

// Established: the client's ACK after a SYN-ACK was recorded, or data in both
// directions.
func (c *Conn) Established() bool { return c.flags&established != 0 }

// Refused: an RST answered the SYN.
func (c *Conn) Refused() bool { return c.flags&refused != 0 }

// Reset tells whether an RST inside the window ended the connection, which
// direction it was sent in, whether a FIN had been recorded before, and
// whether data was unacknowledged then.
func (c *Conn) Reset() (ok bool, by int, afterFIN, unacked bool) {
	return c.flags&reset != 0, int(c.resetBy), c.flags&resetAfterFIN != 0, c.Unacked
}

// RSTForeign hints that an RST did not come from the host it names: its TTL
// does not fit the host's other packets.
func (c *Conn) RSTForeign() bool { return c.flags&rstForeign != 0 }

// Closed: FINs were recorded in both directions.
func (c *Conn) Closed() bool {
	return c.Dirs[0].has&hasFIN != 0 && c.Dirs[1].has&hasFIN != 0
}

// Ended: nothing but stragglers is to be expected.
func (c *Conn) Ended() bool { return c.Closed() || c.flags&(reset|refused) != 0 }

// Opening: a SYN or SYN-ACK was recorded, and the connection is not
// established and not ended.
func (c *Conn) Opening() bool {
	return c.client >= 0 && c.flags&(established|reset|refused) == 0
}

// Acknowledges tells whether a direction acknowledged data of the other that
// was not recorded.
func (c *Conn) Acknowledges() bool {
	for i := range c.Dirs {
		if d := &c.Dirs[i]; d.has&(hasUna|hasSeq) == hasUna {
			return true
		}
	}
	return false
}

// SYNs and SYNACKs that were recorded of the client's and server's opening.
func (c *Conn) SYNs() uint32 {
	if c.client < 0 {
		return 0
	}
	return uint32(c.syns[c.client])
}

// SYNACKs counts SYN-ACK packets of the server.
func (c *Conn) SYNACKs() uint32 {
	if c.client < 0 {
		return 0
	}
	return uint32(c.synacks[1-c.client])
}

// SimultaneousOpen: both sides sent a SYN without ACK (RFC 9293 section 3.5).
func (c *Conn) SimultaneousOpen() bool { return c.flags&simultaneous != 0 }

// ISN of a direction, where its SYN or SYN-ACK was recorded.
func (c *Conn) ISN(dir int) (uint32, bool) {
	return c.Dirs[dir].isn, c.Dirs[dir].has&hasISN != 0
}

// TimerRun is the longest running series of timer repeats of one octet that
// made no progress, over both directions.
func (c *Conn) TimerRun() int {
	return int(max(c.Dirs[0].repRun, c.Dirs[1].repRun))
}

// ECN tells whether both SYNs were recorded, and whether they agreed on ECN
// (RFC 3168 section 6.1.1).
func (c *Conn) ECN() (known, negotiated bool) {
	known = c.Dirs[0].has&c.Dirs[1].has&hasISN != 0
	return known, known && c.flags&(ecnOffered|ecnAccepted) == ecnOffered|ecnAccepted
}

// Options of the SYN or SYN-ACK sent in a direction.
func (c *Conn) Options(dir int) Options {
	d := &c.Dirs[dir]
	return Options{
		Known: d.has&hasOptions != 0, HasMSS: d.has&hasMSS != 0, MSS: d.mss, HasWScale: d.has&hasWScale != 0, WScale: d.wscale,
		SACK: d.has&hasSACK != 0, Timestamps: d.has&hasTimestamps != 0,
	}
}

// MinRTT is the smallest path round trip known so far, ns, or 0.
func (c *Conn) MinRTT() int64 {
	a, b := c.Dirs[0].rtt.base, c.Dirs[1].rtt.base
	if a == 0 || b == 0 {
		return 0
	}
	return a + b
}

// Add takes a packet that direction dir recorded, in record order, mirror
// copies left out. o is the state of the opening; it may be nil once the
// handshake is decided.
func (c *Conn) Add(p *packet.Packet, dir int, o *Opening) {
	if p.Flags&(packet.HeaderCut|packet.BadHeader) != 0 {
		return
	}
	t := &p.TCP
	d, r := &c.Dirs[dir], &c.Dirs[1-dir]
	switch {
	case c.foreign(t, dir):
		return
	case t.Flags&packet.SYN != 0:
		c.syn(p, dir, o)
	case t.Flags&packet.RST != 0:
		c.rst(p, dir)
		return
	}
	end := t.Seq + p.PayloadLen
	if t.Flags&packet.SYN != 0 {
		end++
	}
	if t.Flags&packet.FIN != 0 {
		end++
		d.has |= hasFIN
	}
	d.sent(p, end)
	if t.Flags&packet.ACK != 0 {
		r.acked(p)
		c.acknowledged(p, dir, o)
	}
	d.window = t.Window
	d.ttl = p.TTL
	d.has |= hasTTL
	if t.Has&packet.HasTimestamps != 0 && (d.has&hasTSval == 0 || After(t.TSval, d.tsval)) {
		d.tsval = t.TSval
		d.has |= hasTSval
	}
	if c.flags&established == 0 && d.has&r.has&hasSeq != 0 && d.data() && r.data() {
		c.flags |= established
	}
}

// data tells whether the direction carried any payload octet.
func (d *Dir) data() bool {
	start := d.lo
	if d.has&hasISN != 0 {
		start = d.isn + 1
	}
	end := d.hi
	if d.has&hasFIN != 0 {
		end--
	}
	return d.has&hasSeq != 0 && After(end, start)
}

// sent moves the sequence state of a direction for a packet that occupies
// [Seq, end).
func (d *Dir) sent(p *packet.Packet, end uint32) {
	seq := p.TCP.Seq
	if d.has&hasSeq == 0 {
		d.lo, d.hi = seq, end
		d.has |= hasSeq
		if p.PayloadLen > 0 {
			d.rtt.sent(end, p.Time)
		}
		return
	}
	step := int32(end - d.hi)
	switch {
	case end == seq: // occupies no sequence space
	case step > 0 && !After(d.hi, seq) && step <= maxJump:
		d.hi = end
		d.rtt.sent(end, p.Time)
	case step > 0 && step <= maxJump: // repeats what lies below hi, and goes on
		d.hi = end
		d.rtt.repeated(d.hi)
	case step <= 0 && step > -maxJump:
		d.repeat(seq, p.Time)
		d.rtt.repeated(d.hi)
	default: // a gap too large to be one stream: start anew from here
		d.lo, d.hi, d.has = seq, end, d.has&^hasUna
		d.rtt.repeated(d.hi)
	}
}

// minTimerGap is 0.9 of the smallest retransmission timer in use (Linux: 200 ms).
const minTimerGap = 180e6

// repeat counts repeats of one octet in a row that only a timer explains.
func (d *Dir) repeat(seq uint32, at int64) {
	if d.repRun > 0 && seq == d.repSeq {
		if at-d.repAt >= minTimerGap && d.repRun < 255 {
			d.repRun++
			d.repAt = at
		}
		return
	}
	d.repSeq, d.repAt, d.repRun = seq, at, 1
}

// acked takes an ACK of this direction's data.
func (d *Dir) acked(p *packet.Packet) {
	ack := p.TCP.Ack
	if d.has&hasSeq != 0 && After(ack, d.hi) && d.has&hasUna != 0 && int32(ack-d.hi) > maxJump {
		return
	}
	covered := uint32(0)
	if d.has&hasUna != 0 {
		if !After(ack, d.una) {
			return
		}
		covered = ack - d.una
	}
	d.una = ack
	d.has |= hasUna
	if d.repRun > 0 && After(ack, d.repSeq) {
		d.repRun = 0
	}
	mss := uint32(d.mss)
	if mss == 0 {
		mss = 1460
	}
	d.rtt.acked(ack, p.Time, covered >= 2*mss || d.has&hasFIN != 0 && ack == d.hi)
}

// acknowledged ends the handshake when the packet is the client's answer to
// the SYN-ACK.
func (c *Conn) acknowledged(p *packet.Packet, dir int, o *Opening) {
	if p.TCP.Flags&(packet.SYN|packet.RST) != 0 || int8(dir) != c.client && c.flags&simultaneous == 0 {
		return
	}
	if o != nil && o.ack.t == 0 {
		o.answered(c, p, dir)
	}
	s := &c.Dirs[1-dir]
	if s.has&hasISN != 0 && s.has&sentSYNACK != 0 && s.plausible(p.TCP.Ack) {
		c.flags |= established
	}
	if c.flags&simultaneous != 0 && c.Dirs[0].has&c.Dirs[1].has&hasUna != 0 && c.synacks[0]+c.synacks[1] > 0 {
		c.flags |= established
	}
}

// plausible tells whether an ACK can be one of the SYN, and perhaps of data
// that was sent behind it: recorded, or missed, up to what an initial window
// can hold.
func (d *Dir) plausible(ack uint32) bool {
	return After(ack, d.isn) && ack-d.isn <= max(d.hi-d.isn, 1<<16)
}

func (c *Conn) syn(p *packet.Packet, dir int, o *Opening) {
	t := &p.TCP
	d := &c.Dirs[dir]
	d.isn = t.Seq
	d.has |= hasISN
	if d.has&hasOptions == 0 && p.Flags&packet.OptionsUnknown == 0 {
		d.has |= hasOptions
		if t.Has&packet.HasMSS != 0 {
			d.has |= hasMSS
			d.mss = t.MSS
		}
		if t.Has&packet.HasWScale != 0 {
			d.has |= hasWScale
			d.wscale = min(t.WScale, 14) // RFC 7323 section 2.3
		}
		if t.Has&packet.HasSACKPermitted != 0 {
			d.has |= hasSACK
		}
		if t.Has&packet.HasTimestamps != 0 {
			d.has |= hasTimestamps
		}
	}
	if t.Flags&packet.ACK == 0 {
		d.has |= sentSYN
		c.syns[dir] = satAdd(c.syns[dir])
		switch {
		case c.client < 0:
			c.client = int8(dir)
		case int(c.client) != dir && c.Dirs[c.client].has&sentSYN != 0:
			c.flags |= simultaneous
		case int(c.client) != dir: // a SYN-ACK had told otherwise; the SYN is the better proof
			c.client = int8(dir)
		}
		if t.Flags&(packet.ECE|packet.CWR) == packet.ECE|packet.CWR {
			c.flags |= ecnOffered
		}
		if o != nil {
			o.sawSYN(c, p, dir)
		}
		return
	}
	d.has |= sentSYNACK
	c.synacks[dir] = satAdd(c.synacks[dir])
	if c.client < 0 {
		c.client = int8(1 - dir)
	}
	if t.Flags&(packet.ECE|packet.CWR) == packet.ECE {
		c.flags |= ecnAccepted
	}
	if o != nil {
		o.sawSYNACK(c, p, dir)
	}
}

func satAdd(n uint16) uint16 {
	if n == 1<<16-1 {
		return n
	}
	return n + 1
}

// rst judges a reset (RFC 9293 section 3.10.7, RFC 5961 section 3). One
// outside the window changes nothing.
func (c *Conn) rst(p *packet.Packet, dir int) {
	t := &p.TCP
	d, r := &c.Dirs[dir], &c.Dirs[1-dir]
	foreign := d.has&hasTTL != 0 && absDiff(d.ttl, p.TTL) > 1
	switch {
	case c.flags&(reset|refused) != 0:
		return
	case int8(1-dir) == c.client && d.has&(sentSYN|sentSYNACK) == 0 && c.flags&established == 0 && r.has&sentSYN != 0:
		// The only answer to a SYN: RST, ACK = ISN+1, or as far as Fast Open data reached.
		if t.Flags&packet.ACK == 0 || !After(t.Ack, r.isn) || After(t.Ack, r.hi) {
			return
		}
		c.flags |= refused
	case !d.inWindow(t.Seq, r):
		return
	default:
		c.flags |= reset
	}
	if foreign {
		c.flags |= rstForeign
	}
	c.resetBy = uint8(dir)
	if (d.has|r.has)&hasFIN != 0 {
		c.flags |= resetAfterFIN
	}
	c.Unacked = d.unacked() || r.unacked()
}

func (d *Dir) unacked() bool {
	return d.has&(hasSeq|hasUna) == hasSeq|hasUna && After(d.hi, d.una) || d.has&hasUna == 0 && d.data()
}

// inWindow tells whether seq lies in what the receiver, whose state is r,
// would take: from its highest ACK to the edge of its window.
func (d *Dir) inWindow(seq uint32, r *Dir) bool {
	if d.has&hasSeq == 0 && d.has&hasUna == 0 {
		return true // nothing to judge it by
	}
	window := uint32(r.window)
	if r.has&hasWScale != 0 && d.has&hasWScale != 0 {
		window <<= r.wscale
	} else if r.has&hasISN == 0 {
		window <<= 14 // mid-stream: the scale is unknown, take the largest
	}
	window = max(window, 1)
	left := d.una
	if d.has&hasUna == 0 || d.has&hasSeq != 0 && After(d.hi, d.una) && d.hi-d.una > window {
		left = d.hi // no ACK recorded, or the capture lost the later ones
	}
	right := left + window
	if d.has&hasSeq != 0 && After(d.hi, right) {
		right = d.hi
	}
	return !After(left, seq) && !After(seq, right)
}

func absDiff(a, b uint8) uint8 {
	if a > b {
		return a - b
	}
	return b - a
}
