package tcp

import "mirrorscope/packet"

// upset is what keeps a direction from being plain: something is missing,
// repeated, doubted or stopped.
const upset = suspect | suspectSeq | probing | troubled | shut | full | tailLost | repeating

// plain takes a packet the short way, if it is one of those that most are: of
// an established connection in which nothing is upset, next in its direction,
// with an ACK of what was recorded. It does what the whole way would do with it,
// or nothing, if it is no such packet. Each condition says which step of the
// whole way has nothing to do.
func (c *Conn) plain(st *Store, g *Segment, p *packet.Packet, dir int, o *Opening) bool {
	t := &p.TCP
	d, r := &c.Dirs[dir], &c.Dirs[1-dir]
	const begun = hasSeq | hasUna
	switch {
	case t.Flags&(packet.FIN|packet.SYN|packet.RST|packet.ACK) != packet.ACK, t.NumSACK != 0, t.Window == 0,
		c.flags&established == 0, o != nil && o.ack.t == 0:
		return false
	case d.has&r.has&begun != begun, (d.has|r.has)&upset != 0, t.Seq != uint32(d.hi), d.una > d.hi:
		return false
	}
	now, s, n := p.Time, d.hi, int64(p.PayloadLen)
	ack := unwrap(r.hi, t.Ack)
	moved := ack - r.una
	if ack > r.hi || moved < 0 || moved > maxJump {
		return false
	}
	step := int16(p.IPID - d.idHigh)
	switch {
	case n > 0:
		if d.has&recordedAll == 0 || p.Version == 4 && step >= 2 && step <= 64 && d.idSteps >= 1 {
			return false // a lost tail may show
		}
		if w := c.window(d, r); w > 0 && s+n-d.una >= w {
			return false
		}
	case moved == 0 && r.hi > r.una && d.has&r.has&hasSACK == 0:
		return false // it may be a duplicate ACK
	}

	hasTS := t.Has&packet.HasTimestamps != 0
	if moved > 0 {
		if r.flight != 0 || r.has&lone != 0 {
			c.sample(st, r, ack, now, t.TSecr, hasTS, p.PayloadLen)
		}
		r.move(ack, t.TSecr, hasTS)
	}
	if n > 0 {
		if n <= maxPlainSegment && d.has&r.has&hasMSS == 0 {
			d.maxLen = max(d.maxLen, uint16(n))
		}
		d.packets++
		st.sent(d, p, s+n)
	}
	c.note(st, d, p, true)
	g.Time, g.Pos, g.End, g.Before, g.Acked = now, s, s+n, s, ack
	return true
}

// move moves the left edge of what is unacknowledged.
func (d *Dir) move(ack int64, tsecr uint32, hasTS bool) {
	d.movedFrom, d.una = uint32(d.una), ack
	if d.has &^= movedEcho; hasTS {
		d.movedEcr = tsecr
		d.has |= movedEcho
	}
}
