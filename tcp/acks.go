package tcp

import "mirrorscope/packet"

// acked takes an ACK of d's data. The packet was sent by the receiver, in
// direction dir, with n octets of payload.
func (c *Conn) acked(st *Store, p *packet.Packet, dir int) {
	r, d := &c.Dirs[dir], &c.Dirs[1-dir]
	t := &p.TCP
	hasTS := t.Has&packet.HasTimestamps != 0
	if d.has&(hasSeq|hasUna) == 0 {
		// Nothing of this direction was recorded: its numbers begin here.
		d.hi, d.lo, d.una = firstPos|int64(t.Ack), firstPos|int64(t.Ack), firstPos|int64(t.Ack)
		d.heardFirst(d.una)
		return
	}
	ack := unwrap(d.hi, t.Ack)
	if d.has&hasUna != 0 && (ack-d.una > maxJump || d.una-ack > maxJump) {
		return // foreign
	}
	if d.has&hasUna == 0 {
		if ack < d.lo-maxJump || ack > d.hi+maxJump {
			return
		}
		d.una = min(d.lo, ack)
		d.heardFirst(ack)
	}
	if t.Flags&packet.SYN != 0 && d.has&sentSYN != 0 && t.Ack == d.begin+1 && ack < d.hi && d.packets == 1 {
		// Fast Open data was not taken (RFC 7413 section 4.2): what comes again is its first sending.
		d.moveHi(st, ack)
		st.freeFlight(d)
	}
	if ack <= d.hi+c.reach(d, r) {
		d.has &^= suspect
	} else if x := st.rareIf(d); d.has&suspectSeq != 0 && ack >= x.suspectEnd && ack <= x.suspectEnd+c.reach(d, r) {
		// The packet that lay so far ahead was the sender's: much was missed before it.
		d.has &^= suspectSeq
		c.missing(st, d, t, x.suspectFrom, p.Time)
		d.hi = x.suspectEnd
		d.has |= recordedAll
	} else if d.has&suspect == 0 || ack < x.suspectAt {
		// Further than its sender can be, unless much was missed: then the next ACK says so, too.
		d.has |= suspect
		st.rareOf(d).suspectAt = ack
		return
	}
	if ack > d.hi {
		c.missing(st, d, t, ack, p.Time)
	}
	if t.NumSACK > 0 {
		c.sacks(st, d, r, t, ack, p.Time)
	}
	switch {
	case ack > d.una:
		c.advance(st, d, t, ack, p.Time, hasTS, p.PayloadLen)
	case ack == d.una && p.PayloadLen == 0 && t.Flags&(packet.SYN|packet.FIN|packet.RST) == 0 && d.hi > d.una && t.NumSACK == 0 &&
		t.Window == r.window && r.has&heard != 0 && c.Dirs[0].has&c.Dirs[1].has&hasSACK == 0:
		if (r.has&shut | d.has&probing) == 0 { // the answer to a probe says nothing of loss
			st.troubleOf(d).heard(p.Time)
		}
	}
	c.calm(st, d, p.Time)
}

// reach is how far behind what was recorded d's sender can be: a few of the
// windows that r has offered it.
func (c *Conn) reach(d, r *Dir) int64 {
	w := int64(r.window)
	switch {
	case d.has&r.has&hasWScale != 0:
		w <<= r.wscale
	case d.has&r.has&hasISN == 0:
		w <<= 10 // mid-stream: the scale is unknown
	}
	return max(4*w, 1<<18)
}

// missing: the receiver has acknowledged what was not recorded. Either the
// capture missed it, or it is recorded late.
func (c *Conn) missing(st *Store, d *Dir, t *packet.TCP, ack, now int64) {
	x := st.rareIf(d)
	if d.has&hasSeq == 0 || x != nil && ack <= x.probeEnd { // … or the window's probe was taken
		d.moveHi(st, ack)
		return
	}
	if tr := st.troubleIf(d); (tr == nil || len(tr.holes) == 0) && ack == d.hi+1 && d.packets == 0 && d.has&hasISN == 0 && !(t.Has&packet.HasTimestamps != 0 && d.has&hasTSval != 0 && !After(x.firstTS, t.TSecr)) {
		d.lo = ack // a keep-alive was the first packet recorded: its octet went before
		d.moveHi(st, ack)
		return
	}
	st.troubleOf(d).open(hole{span: span{d.hi, ack}, at: now, ackedAt: now, packets: d.packets, byACK: true})
	d.moveHi(st, ack)
}

// advance moves the left edge of what is unacknowledged.
func (c *Conn) advance(st *Store, d *Dir, t *packet.TCP, ack, now int64, hasTS bool, n uint32) {
	c.sample(st, d, ack, now, t.TSecr, hasTS, n)
	tr := st.troubleIf(d)
	if tr != nil {
		for i := range tr.repeats {
			r := &tr.repeats[i]
			if r.ackedAt != 0 || r.hi > ack {
				continue
			}
			r.ackedAt = now
			tr.ackedAt(now)
			// Eifel (RFC 3522): the ACK echoes a time before the repeat, which
			// began at the left edge, so the original had arrived.
			if hasTS && r.hasTS && r.atUna && After(r.tsval, t.TSecr) && t.TSecr != 0 {
				st.tallyOf(d).needless(r)
			}
		}
		tr.arrived(d.una, ack, now)
	}
	d.move(ack, t.TSecr, hasTS)
	if d.has&repeating != 0 && After(uint32(ack), st.rares.At(d.rare).repSeq) {
		d.repRun = 0
		d.has &^= repeating
	}
	if tr != nil {
		if tr.dupACKs > 0 || tr.episode != noEpisode {
			tr.before, tr.movedAt = tr.signals, now
			tr.before.sackedN = tr.sackedAbove(0)
		}
		tr.advance(ack)
		e := tr.episode
		if ack >= tr.recovery {
			e = noEpisode
		}
		after := signals{episode: e}
		if len(tr.sacked) > 0 {
			after.latestAt, after.sackedAt = now, tr.sackedAt
		}
		tr.signals = after
	}
	d.wfEnd(st, now)
}

// heard notes a signal of loss: of every hole below what has arrived.
func (t *trouble) heard(now int64) {
	t.dupACKs++
	t.latestAt = now
	above := t.sackHi()
	for i := range t.holes {
		if h := &t.holes[i]; h.signalAt == 0 && h.ackedAt == 0 && (above == 0 || h.hi <= above) {
			h.signalAt = now
		}
	}
}

// sacks takes the blocks of a SACK option (RFC 2018), and a DSACK in front
// (RFC 2883 section 4).
func (c *Conn) sacks(st *Store, d, r *Dir, t *packet.TCP, ack, now int64) {
	for i := range t.NumSACK {
		lo, hi := unwrap(d.hi, t.SACK[i].Left), unwrap(d.hi, t.SACK[i].Right)
		if hi <= lo || hi-lo > maxJump {
			continue
		}
		if i == 0 {
			dup := hi <= ack
			if !dup && t.NumSACK > 1 {
				l2, h2 := unwrap(d.hi, t.SACK[1].Left), unwrap(d.hi, t.SACK[1].Right)
				dup = l2 <= lo && hi <= h2
			}
			if dup {
				c.dsack(st, d, lo, hi)
				continue
			}
		}
		if hi <= d.una || lo < d.una-maxJump || hi > d.hi+c.reach(d, r) {
			continue
		}
		if hi > d.hi {
			if lo > d.hi && d.has&hasSeq != 0 {
				// What lies before the block may still be on its way.
				st.troubleOf(d).open(hole{span: span{d.hi, lo}, at: now, packets: d.packets, byACK: true})
				d.moveHi(st, lo)
			}
			c.missing(st, d, t, hi, now)
		}
		tr := st.troubleOf(d)
		if tr.sack(max(lo, ack), hi) {
			tr.heard(now)
			if tr.sackedAt == 0 {
				tr.sackedAt = now
			}
		}
		tr.arrived(lo, hi, now)
	}
}

// dsack: the receiver got [lo, hi) twice. A repeat of it was needless; without
// one the network, or a repeat that the capture missed, made the second.
func (c *Conn) dsack(st *Store, d *Dir, lo, hi int64) {
	y := st.tallyOf(d)
	if hi-lo == 1 && y.keepAlives+y.zwProbes > 0 {
		return // the octet of a probe
	}
	matched := false
	if tr := st.troubleIf(d); tr != nil {
		for i := range tr.repeats {
			r := &tr.repeats[i]
			if r.lo < hi && r.hi > lo && !r.reported {
				matched, r.reported = true, true
				y.needless(r)
				break
			}
		}
	}
	if !matched {
		y.dsackUnmatched++
	}
}

// reaction is how long after an ACK has passed a repeat may pass that its
// sender had begun before.
func (c *Conn) reaction(d *Dir) int64 { return max(c.pathRTT(), c.senderHalf(d)) * 5 / 4 }

// calm forgets what is settled.
func (c *Conn) calm(st *Store, d *Dir, now int64) {
	tr := st.troubleIf(d)
	if tr == nil {
		return
	}
	wait := int64(st.cfg.Grace) + 2*c.pathRTT()
	missed, quiet := tr.settle(now, int64(st.cfg.Grace), wait)
	if missed > 0 {
		st.tallyOf(d).missed += missed
	}
	if tr.untracked {
		st.tallyOf(d).untracked = true
	}
	if quiet && d.una >= d.hi && !(tr.before != (signals{}) && now-tr.movedAt <= c.reaction(d)) {
		st.freeTrouble(d)
	}
}
