package tcp

import "mirrorscope/packet"

// upset is what keeps a direction from being plain: something is missing,
// repeated, doubted or stopped.
const upset = suspect | suspectSeq | probing | troubled | shut | full | tailLost | repeating

// plain takes a packet the short way, if it is one of those that most are: of
// an established connection, which c is, in which nothing is upset, next in its
// direction, with an ACK of what was recorded. It does what the whole way would
// do with it, and sends all others there. Each condition says which step of the
// whole way has nothing to do.
func (c *Conn) plain(st *Store, g *Segment, p *packet.Packet, dir int, o *Opening) {
	t := &p.TCP
	d, r := &c.Dirs[0], &c.Dirs[1]
	if dir != 0 {
		d, r = r, d
	}
	has, both := d.has, d.has&r.has
	const begun = hasSeq | hasUna
	s := d.hi
	if t.Flags&(packet.SYN|packet.RST|packet.ACK) != packet.ACK || t.Window == 0 || t.NumSACK != 0 ||
		both&begun != begun || (has|r.has)&upset != 0 || t.Seq != uint32(s) || d.una > s || o != nil && o.ack.t == 0 {
		c.add(st, g, p, dir, o, false)
		return
	}
	now, n := p.Time, int64(p.PayloadLen)
	if t.Flags&packet.FIN != 0 {
		n++
	}
	ack := unwrap(r.hi, t.Ack)
	moved := ack - r.una
	if ack > r.hi || uint64(moved) > maxJump {
		c.add(st, g, p, dir, o, false)
		return
	}
	step := int16(p.IPID - d.idHigh)
	switch {
	case n > 0:
		if has&recordedAll == 0 || p.Version == 4 && uint16(step)-2 <= 64-2 && d.idSteps >= 1 {
			c.add(st, g, p, dir, o, false) // a lost tail may show
			return
		}
		if w := c.window(d, r); w > 0 && s+n-d.una >= w {
			c.add(st, g, p, dir, o, false)
			return
		}
	case moved == 0 && r.hi > r.una && both&hasSACK == 0:
		c.add(st, g, p, dir, o, false) // it may be a duplicate ACK
		return
	}

	hasTS := t.Has&packet.HasTimestamps != 0
	if moved > 0 {
		c.clear(st, r, ack, now, t.TSecr, hasTS, p.PayloadLen)
		r.move(ack, t.TSecr, hasTS)
	}
	later := int32(t.TSval - d.tsval) // than the latest timestamp
	newer := hasTS && (later > 0 || has&hasTSval == 0)
	if n > 0 {
		if both&hasMSS == 0 && p.PayloadLen <= maxPlainSegment {
			d.maxLen = max(d.maxLen, uint16(p.PayloadLen))
		}
		d.packets++
		if t.Flags&packet.FIN != 0 {
			d.fin = uint32(s + n)
			d.has |= hasFIN
		}
		switch {
		case d.flight != 0:
			d.hi, d.lastAt = s+n, now
			f := st.flights.At(d.flight)
			f.sent(st, s+n, now)
			if hasTS {
				f.stamp(st, t.TSval, s+n, now)
			}
		case has&lone == 0 && (newer || !hasTS || later == 0):
			d.hi, d.lastAt = s+n, now
			d.has |= lone
			if hasTS {
				d.tsval = t.TSval
				d.has |= hasTSval | loneStamped
				newer = false
			}
		default:
			st.sent(d, p, s+n)
		}
	}
	if step == 1 && has&hasID != 0 && p.Version == 4 {
		if d.idHigh = p.IPID; d.idSteps < 8 {
			d.idSteps++
		}
		if d.idUp < 8 {
			d.idUp++
		}
	} else {
		c.noteID(d, p, true)
	}
	d.seenAt, d.window, d.ttl = now, t.Window, p.TTL
	if !newer {
		d.has |= hasTTL | heard
	} else {
		if d.has&loneStamped != 0 {
			st.flightOf(d)
		}
		d.tsval = t.TSval
		d.has |= hasTTL | heard | hasTSval
	}
	g.Time, g.Pos, g.End, g.Before, g.Acked, g.Inferred = now, s, s+int64(p.PayloadLen), s, ack, false
}

// clear is sample where nothing is upset.
func (c *Conn) clear(st *Store, d *Dir, ack, now int64, tsecr uint32, hasTS bool, n uint32) {
	if d.flight == 0 {
		switch {
		case d.has&lone == 0:
		case ack == d.hi:
			d.has &^= lone | loneStamped
			c.exact(st, d, ack, now-d.lastAt, n)
		default:
			c.sample(st, d, ack, now, tsecr, hasTS, n)
		}
		return
	}
	f := st.flights.At(d.flight)
	if d.una < f.collapse {
		c.sample(st, d, ack, now, tsecr, hasTS, n)
		return
	}
	at, exact := f.acked(st, ack)
	if hasTS && tsecr != 0 {
		f.echo(st, tsecr, ack)
	}
	if f.n == 0 && ack >= d.hi && ack >= f.collapse {
		st.freeFlight(d)
	}
	if exact {
		c.exact(st, d, ack, now-at, n)
	}
}

// move moves the left edge of what is unacknowledged.
func (d *Dir) move(ack int64, tsecr uint32, hasTS bool) {
	d.movedFrom, d.una = uint32(d.una), ack
	if d.has &^= movedEcho; hasTS {
		d.movedEcr = tsecr
		d.has |= movedEcho
	}
}
