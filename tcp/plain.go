package tcp

import (
	"math"

	"mirrorscope/packet"
)

// upset is what keeps a direction from being plain: something is doubted or
// stopped, or was just repeated. So does a trouble, until it only waits.
const upset = suspect | suspectSeq | probing | shut | full | tailLost | repeating

// begun is what a direction has from which anything was recorded, and that was
// acknowledged.
const begun = hasSeq | hasUna

// Run is AddTo for a packet whose headers are all there and right, and that is
// not alike. Most are of an established connection in which nothing is upset, next
// in their direction, with an ACK of what was recorded: they are plain, and go a
// short way, which does what the whole way would do. Each condition says which
// step of the whole way has nothing to do.
func (c *Conn) Run(st *Store, g *Segment, p *packet.Packet, dir int, o *Opening) {
	if st.now = p.Now; c.turn.waits != 0 && uint32(p.Now/1e9) != c.turn.second {
		c.tick(st, p)
	}
	t, d, r := &p.TCP, &c.Dirs[dir&1], &c.Dirs[dir&1^1]
	has, both, s := d.has, d.has&r.has, d.hi
	if c.flags&established == 0 || t.Flags&(packet.SYN|packet.RST|packet.ACK) != packet.ACK || t.Window == 0 || t.NumSACK != 0 ||
		both&begun|(has|r.has)&upset != begun || t.Seq != uint32(s) || d.una > s || o != nil && o.ack.t == 0 || st.whole {
		c.rather(st, g, p, dir, o)
		return
	}
	now, n := p.Time, int64(p.PayloadLen)
	end := s + n
	if t.Flags&packet.FIN != 0 {
		end++
	}
	ack := unwrap(r.hi, t.Ack)
	moved := ack - r.una
	if ack > r.hi || uint64(moved) > maxJump {
		c.add(st, g, p, dir, o, false)
		return
	}
	step := p.IPID - d.idHigh
	if end > s {
		if has&recordedAll == 0 || step-2 <= 64-2 && d.idSteps >= 1 && p.Version == 4 {
			c.add(st, g, p, dir, o, false) // a lost tail may show
			return
		}
		if w := c.window(d, r); end-d.una >= w && w > 0 {
			c.add(st, g, p, dir, o, false)
			return
		}
	} else if moved == 0 && r.hi > r.una && both&hasSACK == 0 {
		c.add(st, g, p, dir, o, false) // it may be a duplicate ACK
		return
	}
	if (has|r.has)&troubled != 0 && !(st.isStill(d, d.una, end, now) && st.isStill(r, ack, r.hi, now)) {
		c.add(st, g, p, dir, o, false)
		return
	}
	g.Time, g.Pos, g.End, g.Before, g.Acked, g.Inferred = now, s, s+n, s, ack, false

	stamped := t.Has&packet.HasTimestamps != 0
	if moved > 0 {
		c.clear(st, r, ack, p)
		r.movedFrom, r.una = uint32(r.una), ack
		if r.has &^= movedEcho; stamped {
			r.movedEcr = t.TSecr
			r.has |= movedEcho
		}
	}
	if p.Version == 4 {
		switch {
		case step == 1 && has&hasID != 0:
			d.idHigh = p.IPID
			if d.idSteps < 8 {
				d.idSteps++
			}
			if d.idUp < 8 {
				d.idUp++
			}
		case has&hasID == 0, step-2 <= 512-2, -step < 512 && step != 0:
			c.noteID(d, p, true)
		default:
			d.idSteps, d.idUp, d.idHigh = 0, 0, p.IPID
		}
	}
	d.seenAt, d.window, d.ttl = now, t.Window, p.TTL
	later := int32(t.TSval - d.tsval) // than the latest timestamp
	newer := stamped && (later > 0 || has&hasTSval == 0)
	if end > s {
		if both&hasMSS == 0 && n <= maxPlainSegment {
			d.maxLen = max(d.maxLen, uint16(n))
		}
		d.packets++
		if end > s+n {
			d.fin = uint32(end)
			d.has |= hasFIN
		}
		switch {
		case d.flight&inCrowds != 0:
			d.hi, d.lastAt = end, now
			x := st.crowds.At(d.flight &^ inCrowds)
			if x.n == maxSegs {
				x.thin()
			}
			s := &x.segs[(x.first+x.n)%maxSegs]
			s.end, s.at = end, now
			x.n++
			if stamped && (!x.stamped || After(t.TSval, x.latest)) {
				x.stamp(t.TSval, end, now)
			}
		case d.flight != 0:
			d.hi, d.lastAt = end, now
			if f := st.put(d, st.flight(d.flight), end, now); stamped {
				st.stamp(d, f, t.TSval, end, now)
			}
		case has&lone == 0 && (newer || later == 0 || !stamped):
			d.hi, d.lastAt = end, now
			d.has |= lone
			if stamped {
				d.tsval = t.TSval
				d.has |= hasTSval | loneStamped
				newer = false
			}
		default:
			st.sent(d, p, end)
		}
	}
	if newer {
		if d.has&loneStamped != 0 {
			st.flightOf(d)
		}
		d.tsval = t.TSval
		d.has |= hasTSval
	}
	d.has |= hasTTL | heard
}

// isStill tells whether the trouble of a direction, if there is one, only waits for
// time to pass: nothing is missing and no signal of a loss is left, and what was
// repeated was acknowledged, not so long ago that it is forgotten; nor is the
// trouble, with una and hi as the packet leaves them. Then all that the packet
// changes of it, where it occupies space, is that it is new.
func (st *Store) isStill(d *Dir, una, hi, now int64) bool {
	switch {
	case d.has&troubled == 0:
		return true
	case d.has&isStill == 0:
		return st.findStill(d, una, hi, now)
	case d.still == 0:
		return una < hi
	}
	return int32(d.still-uint32(now/stillUnit)) > 0
}

// stillUnit is that of Dir.still, ns.
const stillUnit = 1 << 20

// findStill is isStill by the trouble itself. It remembers what it finds.
func (st *Store) findStill(d *Dir, una, hi, now int64) bool {
	tr := st.troubles.At(st.rares.At(d.rare).trouble)
	if len(tr.holes)|len(tr.sacked) != 0 || tr.signals != (signals{}) || tr.untracked {
		return false
	}
	until, again := int64(math.MaxInt64), len(tr.repeats) > 0
	for i := range tr.repeats {
		r := &tr.repeats[i]
		if r.ackedAt == 0 {
			return false
		}
		until = min(until, r.ackedAt+int64(st.cfg.Grace)) // at least; see calm
	}
	if again && now >= until || !again && una >= hi {
		return false
	}
	if hi > d.hi {
		tr.timerHi = 0
	}
	if d.still = 0; again {
		d.still = uint32(until / stillUnit)
	}
	if tr.timerHi == 0 && (d.still != 0) == again {
		d.has |= isStill
	}
	return true
}

// rather takes a packet that Run has not taken.
func (c *Conn) rather(st *Store, g *Segment, p *packet.Packet, dir int, o *Opening) {
	if c.flags&established == 0 && !st.whole {
		c.opens(st, g, p, dir, o)
	} else {
		c.add(st, g, p, dir, o, false)
	}
}

// clear is sample where nothing is upset, for an ACK in p.
func (c *Conn) clear(st *Store, d *Dir, ack int64, p *packet.Packet) {
	hasTS := p.TCP.Has&packet.HasTimestamps != 0
	if d.flight == 0 {
		switch {
		case d.has&lone == 0:
		case ack == d.hi:
			d.has &^= lone | loneStamped
			c.exact(st, d, ack, p.Time-d.lastAt, p.PayloadLen)
		default:
			c.sample(st, d, ack, p.Time, p.TCP.TSecr, hasTS, p.PayloadLen)
		}
		return
	}
	var f *flight
	if n := d.flight; n&inCrowds != 0 {
		f = &st.crowds.At(n &^ inCrowds).flight
	} else {
		f = &st.pairs.At(n).flight
	}
	if d.una < f.collapse {
		c.sample(st, d, ack, p.Time, p.TCP.TSecr, hasTS, p.PayloadLen)
		return
	}
	at, exact := f.acked(ack)
	if hasTS && p.TCP.TSecr != 0 && f.open != 0 {
		f.closes(p.TCP.TSecr)
	}
	if f.n == 0 && ack >= d.hi && ack >= f.collapse {
		st.freeFlight(d)
	}
	if exact {
		c.exact(st, d, ack, p.Time-at, p.PayloadLen)
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
