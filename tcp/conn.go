package tcp

import "mirrorscope/packet"

// Conn is one connection at one observation point. Directions are numbered by
// the caller (0 and 1) and keep their number whoever turns out to be the
// client.
type Conn struct {
	turn turn
	Cut  uint32 // packets that the capture has cut, of whatever protocol: counted by who holds the Conn, where there is room

	samples uint32    // in the Store, of all quantities; 0 none
	syns    [2]uint16 // SYN packets without ACK, by sender
	synacks [2]uint16
	mss     [2]uint16 // by the options of each direction
	flags   connFlags
	client  int8 // direction that the client sends in, by SYN or SYN-ACK; -1 not known
	resetBy uint8

	Dirs [2]Dir
}

type connFlags uint16

const (
	established connFlags = 1 << iota
	refused
	reset
	resetAfterFIN
	resetUnacked // it came while data was unacknowledged
	rstForeign
	simultaneous
	ecnOffered
	ecnAccepted
	peerHeard // all that the other side sent was acknowledged before the present packet, if that is not plain
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
	return c.flags&reset != 0, int(c.resetBy), c.flags&resetAfterFIN != 0, c.flags&resetUnacked != 0
}

// RSTForeign hints that an RST did not come from the host it names: its TTL
// does not fit the host's other packets.
func (c *Conn) RSTForeign() bool { return c.flags&rstForeign != 0 }

// Closed: FINs were recorded in both directions.
func (c *Conn) Closed() bool {
	return c.Dirs[0].has&hasFIN != 0 && c.Dirs[1].has&hasFIN != 0
}

// Settled: both FINs were recorded, and nothing is left to be acknowledged as
// far as that is recorded.
func (c *Conn) Settled() bool { return c.Closed() && !c.Dirs[0].unacked() && !c.Dirs[1].unacked() }

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
	return c.Dirs[dir].isn(), c.Dirs[dir].has&hasISN != 0
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
		Known: d.has&hasOptions != 0, HasMSS: d.has&hasMSS != 0, MSS: c.mss[dir], HasWScale: d.has&hasWScale != 0, WScale: d.wscale,
		SACK: d.has&hasSACK != 0, Timestamps: d.has&hasTimestamps != 0,
	}
}

// MinRTT is the smallest path round trip that data has shown so far, in ns, or
// 0 where a half is not known.
func (c *Conn) MinRTT() int64 {
	a, b := c.Dirs[0].rtt.min, c.Dirs[1].rtt.min
	if a == 0 || b == 0 {
		return 0
	}
	return a + b
}

// KnownRTT is what is known of the path, the handshake's halves included: it is
// at least as long. 0 where neither half is.
func (c *Conn) KnownRTT() int64 { return c.Dirs[0].rtt.base() + c.Dirs[1].rtt.base() }

// Add takes a packet that was recorded in direction dir, in record order,
// mirror copies left out. o is the state of the opening; it may be nil once the handshake
// is decided. alike says that the same packet was recorded a moment ago, and
// that it is no mirror's copy. What the packet carries is given back, for
// Exchange or for a reader of the protocol above.
func (c *Conn) Add(st *Store, p *packet.Packet, dir int, o *Opening, alike bool) (g Segment) {
	c.AddTo(st, &g, p, dir, o, alike)
	return g
}

// AddTo is Add with a place for the segment: copying it takes as long as the
// rest.
func (c *Conn) AddTo(st *Store, g *Segment, p *packet.Packet, dir int, o *Opening, alike bool) {
	if p.Flags&(packet.HeaderCut|packet.BadHeader) != 0 {
		*g = Segment{}
		return
	}
	if !alike {
		c.Run(st, g, p, dir, o)
		return
	}
	c.tick(st, p)
	c.add(st, g, p, dir, o, true)
}

// tick notes the second of the input's clock.
func (c *Conn) tick(st *Store, p *packet.Packet) {
	if st.now = p.Now; c.turn.waits != 0 && uint32(st.now/1e9) != c.turn.second {
		c.settleTurns(st, int(st.waits.At(c.turn.waits).client))
	}
}

// add is Add for whatever packet.
func (c *Conn) add(st *Store, g *Segment, p *packet.Packet, dir int, o *Opening, alike bool) {
	st.wholes++
	*g = Segment{}
	t := &p.TCP
	d, r := &c.Dirs[dir], &c.Dirs[1-dir]
	d.has &^= isStill
	r.has &^= isStill
	switch {
	case c.foreign(t, dir):
		return
	case t.Flags&packet.SYN != 0 && alike:
		st.tallyOf(d).netDups++
		return
	case t.Flags&packet.SYN != 0:
		c.syn(st, p, dir, o)
	case t.Flags&packet.RST != 0:
		c.rst(p, dir)
		return
	}
	n := int64(p.PayloadLen)
	if t.Flags&packet.SYN != 0 {
		n++
	}
	if t.Flags&packet.FIN != 0 {
		n++
	}
	before, inferred := d.hi, st.inferred(d)
	skipped := d.skippedTail(p)
	if c.flags &^= peerHeard; r.una >= r.hi {
		c.flags |= peerHeard
	}
	s := d.place(t.Seq)
	if t.Flags&packet.ACK != 0 {
		if !alike || n > 0 {
			c.acked(st, p, dir) // a bare ACK that the network has doubled says nothing new
		}
		c.acknowledged(p, dir, o)
	}
	switch {
	case t.Flags&(packet.SYN|packet.ACK) == packet.SYN|packet.ACK && d.has&sentSYN != 0 && c.synacks[dir] == 1:
		// Simultaneous open: it repeats the number of its own SYN, which is no loss.
	case d.has&hasSeq == 0:
		d.has |= hasSeq
		if d.has&hasUna == 0 || r.has&sentSYNACK == 0 || s < d.una || s-d.una > maxEarlyData {
			d.lo = s
			d.moveHi(st, s)
		}
		if d.has&hasISN == 0 {
			x := st.rareOf(d)
			x.first, x.firstAt, x.firstTS, x.firstID = d.lo, p.Time, t.TSval, p.IPID
		}
		if n > 0 {
			c.occupy(st, p, dir, s, s+n, false)
		}
	case n > 0:
		c.occupy(st, p, dir, s, s+n, alike)
	case alike:
	case s == d.hi-1:
		c.probe(st, d, r, p, s, 0)
	case s > d.hi && s-d.hi <= c.reach(d, r):
		c.passOver(st, d, p, s) // an ACK alone tells how far its sender has come
	}
	g.Time, g.Pos, g.End, g.Before, g.Acked = p.Time, s, s+int64(p.PayloadLen), before, r.una
	g.Inferred = skipped || st.inferred(d) > inferred
	if t.Flags&packet.SYN != 0 {
		g.Pos, g.End = g.Pos+1, g.End+1 // Fast Open
	}
	c.zeroWindow(st, d, r, t, p.Time)
	c.calm(st, d, p.Time)
	c.note(st, d, p, s <= before)
	if r.has&full != 0 && c.window(r, d) > r.hi-r.una {
		r.wfEnd(st, p.Time)
	}
	if c.flags&established == 0 && d.has&r.has&hasSeq != 0 && d.data() && r.data() {
		c.flags |= established
	}
}

// place gives the position of a sequence number in a direction.
func (d *Dir) place(seq uint32) int64 {
	if d.has&(hasSeq|hasUna) == 0 {
		return firstPos | int64(seq)
	}
	return unwrap(d.hi, seq)
}

// note keeps what later packets are compared with.
func (c *Conn) note(st *Store, d *Dir, p *packet.Packet, inOrder bool) {
	t := &p.TCP
	c.noteID(d, p, inOrder)
	d.seenAt = p.Time
	d.window = t.Window
	d.ttl = p.TTL
	d.has |= hasTTL
	if t.Flags&packet.SYN == 0 {
		d.has |= heard
	}
	if t.Has&packet.HasTimestamps != 0 && (d.has&hasTSval == 0 || After(t.TSval, d.tsval)) {
		if d.has&loneStamped != 0 {
			st.flightOf(d)
		}
		d.tsval = t.TSval
		d.has |= hasTSval
	}
}

// data tells whether the direction carried any payload octet.
func (d *Dir) data() bool {
	start := d.lo
	if d.has&hasISN != 0 && uint32(start) == d.begin {
		start++
	}
	end := d.hi
	if d.has&hasFIN != 0 {
		end--
	}
	return d.has&hasSeq != 0 && end > start
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
	return After(ack, d.begin) && ack-d.begin <= max(uint32(d.hi)-d.begin, 1<<16)
}

func (c *Conn) syn(st *Store, p *packet.Packet, dir int, o *Opening) {
	t := &p.TCP
	d := &c.Dirs[dir]
	d.begin = t.Seq
	d.has |= hasISN
	if d.has&hasOptions == 0 && p.Flags&packet.OptionsUnknown == 0 {
		d.has |= hasOptions
		if t.Has&packet.HasMSS != 0 {
			d.has |= hasMSS
			c.mss[dir] = t.MSS
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
			o.sawSYN(st, c, p, dir)
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
		o.sawSYNACK(st, c, p, dir)
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
		if t.Flags&packet.ACK == 0 || !After(t.Ack, r.begin) || After(t.Ack, uint32(r.hi)) {
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
	if d.unacked() || r.unacked() {
		c.flags |= resetUnacked
	}
}

func (d *Dir) unacked() bool {
	return d.has&(hasSeq|hasUna) == hasSeq|hasUna && d.hi > d.una || d.has&hasUna == 0 && d.data()
}

// inWindow tells whether seq lies in what the receiver, whose state is r,
// would take: from its highest ACK to the edge of its window.
func (d *Dir) inWindow(seq uint32, r *Dir) bool {
	if d.has&(hasSeq|hasUna) == 0 {
		return true // nothing to judge it by
	}
	window := int64(r.window)
	if r.has&hasWScale != 0 && d.has&hasWScale != 0 {
		window <<= r.wscale
	} else if r.has&hasISN == 0 {
		window <<= 14 // mid-stream: the scale is unknown, take the largest
	}
	window = max(window, 1)
	left := d.una
	if d.has&hasUna == 0 || d.hi-d.una > window {
		left = d.hi // no ACK recorded, or the capture lost the later ones
	}
	right := max(left+window, d.hi)
	s := unwrap(d.hi, seq)
	return left <= s && s <= right
}

func absDiff(a, b uint8) uint8 {
	if a > b {
		return a - b
	}
	return b - a
}
