package tcp

import "mirrorscope/packet"

// occupy takes a packet that occupies sequence space [s, e), of which n octets
// are payload. alike says that the same packet, byte for byte but for what
// changes from hop to hop, was recorded a moment ago and is no mirror's copy.
func (c *Conn) occupy(st *Store, p *packet.Packet, dir int, s, e int64, alike bool) {
	d, r := &c.Dirs[dir], &c.Dirs[1-dir]
	n := int64(p.PayloadLen)
	if n <= maxPlainSegment && d.has&r.has&hasMSS == 0 {
		d.maxLen = max(d.maxLen, uint16(n))
	}
	switch {
	case c.faraway(d, r, s):
		x := st.rareOf(d)
		said := d.has&suspect != 0 && s >= d.hi && s <= x.suspectAt+c.reach(d, r)
		again := d.has&suspectSeq != 0 && s >= x.suspectFrom && s-x.suspectFrom <= maxEarlyData
		if !said && !again {
			// Foreign, unless the next one, or its ACK, lies there, too: then much was missed.
			d.has |= suspectSeq
			x.suspectFrom, x.suspectEnd = s, e
			st.tallyOf(d).strays++
			return
		}
		d.has &^= suspectSeq | suspect
		if s-d.hi > maxJump || d.hi-s > maxJump {
			c.resync(st, d, s, e)
			return
		}
	case alike && s < d.hi:
		st.tallyOf(d).netDups++
		return
	case c.stray(d, r, p, s):
		st.tallyOf(d).strays++
		return
	}
	d.packets++
	if p.TCP.Flags&packet.FIN != 0 {
		d.has |= hasFIN
		d.fin = uint32(e)
	}
	if tr := st.troubleIf(d); tr != nil {
		tr.behind(d, p, s)
	}
	if s == d.hi && r.has&shut != 0 && n == 1 && d.has&hasUna != 0 && d.una == d.hi {
		// A probe with data beyond the closed window: sent again if it is not taken.
		st.tallyOf(d).zwProbes++
		st.rareOf(d).probeEnd = e
		return
	}
	recorded := max(d.recorded(st), e)
	if s >= d.hi {
		c.fresh(st, p, dir, s, e)
	} else {
		st.flightIf(d) // a lone segment was the latest
		if c.probe(st, d, r, p, s, n) {
			if f := st.flightIf(d); f != nil && n > 0 {
				f.collapse = d.hi // it may be what is acknowledged next
			}
			return
		}
		c.again(st, p, dir, s, min(e, d.hi))
		if e > d.hi {
			c.fresh(st, p, dir, d.hi, e)
		}
	}
	d.lastAt = p.Time
	d.setRecorded(st, recorded)
	c.windowFull(st, d, r, p.Time)
}

// faraway: the packet lies further from what was sent than the window allows,
// or a whole stream away.
func (c *Conn) faraway(d, r *Dir, s int64) bool {
	if d.hi-s > maxJump {
		return true
	}
	if s <= d.hi+c.reach(d, r) {
		d.has &^= suspectSeq
		return false
	}
	return true
}

// maxPlainSegment is the payload that a frame of the usual sizes can hold;
// what is longer was put together by an offload.
const maxPlainSegment = 8960

// resync starts a direction anew where a gap is too large to be one stream.
func (c *Conn) resync(st *Store, d *Dir, s, e int64) {
	st.freeFlight(d)
	st.freeTrouble(d)
	st.rareOf(d).gapsBefore += d.hi - d.lo
	d.moveHi(st, e)
	d.lo = s
	d.has &^= hasUna
}

// stray: an old duplicate by its timestamp (RFC 7323 section 5.2), a window or
// more below what was acknowledged.
func (c *Conn) stray(d, r *Dir, p *packet.Packet, s int64) bool {
	t := &p.TCP
	if t.Has&packet.HasTimestamps == 0 || d.has&(hasTSval|hasUna) != hasTSval|hasUna {
		return false
	}
	return int32(d.tsval-t.TSval) > 1 && d.una-s > max(c.window(d, r), 1<<16)
}

// fresh takes space that was not sent before, as far as was recorded.
func (c *Conn) fresh(st *Store, p *packet.Packet, dir int, s, e int64) {
	d, r := &c.Dirs[dir], &c.Dirs[1-dir]
	t := &p.TCP
	if tr := st.troubleIf(d); tr != nil {
		tr.timerHi = 0
	}
	if s > d.hi {
		c.passOver(st, d, p, s)
	} else if missing := c.inferred(st, d, r, p); missing > 0 {
		// Of many, one may be the probe for the others.
		tail := uint8(1)
		if missing >= 4 {
			tail = uint8(missing - 1)
		}
		d.setTail(st, tail)
	}
	if d.has&tailLost != 0 && p.PayloadLen > 0 {
		// All of a lost tail comes again before anything new.
		d.setTail(st, st.rareOf(d).tail-1)
		st.tallyOf(d).inferred++
	}
	if d.has&hasUna != 0 && d.una >= e || t.Flags&packet.SYN != 0 {
		st.flightIf(d)
		d.hi = e
		return // acknowledged before it was recorded, or with times of its own: nothing to time
	}
	st.sent(d, p, e)
	d.has &^= probing
}

// passOver opens a hole between what was sent before and s, where p begins.
func (c *Conn) passOver(st *Store, d *Dir, p *packet.Packet, s int64) {
	h := hole{
		span: span{d.hi, s}, at: p.Time, tsval: p.TCP.TSval, hasTS: p.TCP.Has&packet.HasTimestamps != 0, behindID: p.IPID,
		idsOK: p.Version == 4 && d.idUp >= 4, packets: d.packets,
	}
	if d.has&hasUna != 0 && d.una >= s {
		h.ackedAt = p.Time
	}
	st.troubleOf(d).open(h)
	d.moveHi(st, s)
}

// inferred: the packet is new by its number, but IPv4 identifications are
// missing before it, after a pause long enough for a repeat and in which the
// other side gave nothing to acknowledge: the tail before it was lost before
// the observation point, and this is its repeat. It gives the number of packets
// that are missing.
func (c *Conn) inferred(st *Store, d, r *Dir, p *packet.Packet) int {
	if tr := st.troubleIf(d); tr != nil && (len(tr.holes) > 0 || len(tr.sacked) > 0 || tr.dupACKs > 0) {
		return 0 // what is missing may be repeats
	}
	if c.flags&peerHeard == 0 && p.Time-d.seenAt < minTimerGap {
		return 0 // … or the ACK of the other side's last data
	}
	if !d.countsIDs(p) || int16(p.IPID-d.idHigh) < 2 || int16(p.IPID-d.idHigh) > 64 {
		return 0
	}
	rtt := c.pathRTT()
	if rtt == 0 || p.Time-d.seenAt < rtt*9/10 || r.lastAt >= d.seenAt {
		return 0
	}
	return int(p.IPID-d.idHigh) - 1
}

// countsIDs tells whether the IPv4 identifications of a direction count up by
// exactly one.
func (d *Dir) countsIDs(p *packet.Packet) bool { return p.Version == 4 && d.idSteps >= 4 }

// skippedTail tells whether, behind a pause as long as a timer, an identification
// was left out: what was sent before was lost before the observation point. It
// takes less for that than inferred, which counts: a direction that has just
// begun, whose two first identifications follow each other, is enough.
func (d *Dir) skippedTail(p *packet.Packet) bool {
	step := int16(p.IPID - d.idHigh)
	return p.Version == 4 && p.PayloadLen > 0 && d.idSteps >= 1 && step >= 2 && step <= 4 && p.Time-d.seenAt >= minTimerGap
}

// sharedIDs is where the count of exact steps is set to when a gap shows that
// other connections of the host draw from the same counter.
const sharedIDs = -4

// noteID keeps track of a direction's IPv4 identifications. inOrder says that
// the packet opened no hole.
func (c *Conn) noteID(d *Dir, p *packet.Packet, inOrder bool) {
	if p.Version != 4 {
		return
	}
	step := int16(p.IPID - d.idHigh)
	switch {
	case d.has&hasID == 0:
		d.has |= hasID
	case step == 1:
		d.idSteps, d.idUp = min(d.idSteps+1, 8), min(d.idUp+1, 8)
	case step > 1 && step <= 512:
		d.idUp = min(d.idUp+1, 8)
		if inOrder && d.idSteps != sharedIDs && p.Time-d.seenAt < max(c.pathRTT()*9/10, 1) {
			d.idSteps = sharedIDs
		}
	case step < 0 && step > -512: // reordered
		return
	default:
		d.idSteps, d.idUp = 0, 0
	}
	d.idHigh = p.IPID
}

// again takes [s, m), all of it below hi: a repeat, or what fills a hole.
func (c *Conn) again(st *Store, p *packet.Packet, dir int, s, m int64) {
	d := &c.Dirs[dir]
	t := &p.TCP
	hasTS := t.Has&packet.HasTimestamps != 0
	older := hasTS && d.has&hasTSval != 0 && After(d.tsval, t.TSval)

	tr := st.troubleIf(d)
	early := d.has&hasISN == 0 && s < st.rareOf(d).first
	if early {
		tr = st.troubleOf(d)
		tr.precede(d, st.rareOf(d), s, m, hasTS)
	}
	inHole := int64(0)
	if tr != nil {
		inHole = tr.overlap(s, m)
	}
	payload := max(m-s-flagsBelow(t, m-s, p.PayloadLen), 0)
	r := repeat{span: span{s, m}, at: p.Time, una: d.una, tsval: t.TSval, hasTS: hasTS, atUna: d.has&hasUna != 0 && s <= d.una || t.Flags&packet.SYN != 0, payload: payload}

	if 2*inHole <= m-s {
		// Recorded before.
		if older && t.Flags&packet.SYN == 0 && c.late(st, d, tr, t, s, m) {
			return
		}
		r.verdict = lostAfter
		switch {
		case d.has&hasUna != 0 && m <= d.una && hasTS && d.has&movedEcho != 0 && t.TSval == d.movedEcr && uint32(s) == d.movedFrom:
			// Recorded behind its own ACK, which echoes it and moved the edge from where it begins.
		case d.has&hasUna != 0 && m <= d.una, tr != nil && tr.isSacked(s, m):
			r.verdict = spurious
		}
		if inHole > 0 {
			tr.fill(s, m)
		}
	} else {
		h, _ := tr.firstHole(s, m)
		by, proven := filledBy(&h, d, p)
		if !proven {
			by = c.fills(st, d, tr, &h, p)
		}
		if early && !proven && (by == maybeRepeated || by == repeated) {
			if p.Time-h.at < int64(st.cfg.RTOMin) {
				c.filled(st, d, tr, s, m) // nothing tells whether it was sent before
				return
			}
			by = maybeRepeated // too late to have been overtaken
		}
		switch by {
		case reordered:
			if h.ackedAt == 0 && !h.byACK {
				y := st.tallyOf(d)
				y.oooPackets++
				y.oooExtent = max(y.oooExtent, d.packets-h.packets)
				y.oooLate = max(y.oooLate, p.Time-h.at)
			}
			c.filled(st, d, tr, s, m)
			return
		case maybeReordered:
			y := st.tallyOf(d)
			y.ambiguous++
			y.oooPackets++
			y.oooExtent = max(y.oooExtent, d.packets-h.packets)
			y.oooLate = max(y.oooLate, p.Time-h.at)
			c.filled(st, d, tr, s, m)
			return
		case maybeRepeated:
			st.tallyOf(d).ambiguous++
			r.verdict = lostBefore
		case repeated:
			r.verdict = lostBefore
		}
		switch {
		case h.ackedAt != 0 && hasTS && d.has&movedEcho != 0 && t.TSval == d.movedEcr && uint32(s) == d.movedFrom:
			// Recorded behind its own ACK: that waited for it.
		case h.ackedAt != 0:
			r.verdict = spurious // the capture missed the original, the receiver did not
		case early:
			r.verdict = unlocated // its original may have passed before the capture began
		}
		c.filled(st, d, tr, s, m)
	}
	tr = st.troubleOf(d)
	r.class = c.classify(st, dir, tr, &r, p)
	r.sackHi = tr.sackHi()
	if r.class == ClassRTO || r.class == ClassTimer {
		tr.timerLo, tr.timerHi = s, d.hi
	}
	if d.has&hasUna != 0 && m <= d.una {
		r.ackedAt = p.Time
	}
	tr.keep(r)
	mss := c.segmentSize(d)
	st.tallyOf(d).count(&r, max((payload+mss-1)/mss, 1))
	f := st.flightOf(d)
	f.collapse = d.hi
	if hasTS && t.Flags&packet.SYN == 0 {
		st.stamp(d, f, t.TSval, m, p.Time)
	}
	d.timerRun(st.rareOf(d), uint32(s), p.Time)
}

// flagsBelow is how many of the n positions are SYN and FIN and not payload.
func flagsBelow(t *packet.TCP, n int64, payload uint32) int64 {
	return max(n-int64(payload), 0)
}

// filled takes [s, m) out of the holes; samples that reach below hi would
// measure the repair.
func (c *Conn) filled(st *Store, d *Dir, tr *trouble, s, m int64) {
	tr.fill(s, m)
	if f := st.flightIf(d); f != nil {
		f.collapse = d.hi
	}
}

// late tells whether a packet is an original that its own repeat has
// overtaken: one that was sent later is counted already. That was needless.
func (c *Conn) late(st *Store, d *Dir, tr *trouble, t *packet.TCP, s, m int64) bool {
	if tr == nil {
		return false
	}
	for i := range tr.repeats {
		if r := &tr.repeats[i]; r.lo < m && r.hi > s && r.hasTS && After(r.tsval, t.TSval) {
			y := st.tallyOf(d)
			y.needless(r)
			y.oooPackets++
			return true
		}
	}
	return false
}

// filler says what filled a hole.
type filler uint8

const (
	repeated filler = iota
	reordered
	maybeRepeated
	maybeReordered
)

// filledBy tells whether what fills a hole was sent before or after the packet
// behind the hole, where timestamps or identifications prove it.
func filledBy(h *hole, d *Dir, p *packet.Packet) (by filler, proven bool) {
	t := &p.TCP
	if h.hasTS && t.Has&packet.HasTimestamps != 0 {
		switch step := int32(t.TSval - h.tsval); {
		case step > 0:
			return repeated, true
		case step < 0:
			return reordered, true
		}
	}
	if h.idsOK && p.Version == 4 {
		switch {
		case int16(p.IPID-d.idHigh) > 0:
			return repeated, true
		case int16(h.behindID-p.IPID) > 0:
			return reordered, true // a repeat leaves after the packet that opened the hole
		}
	}
	return repeated, false
}

// fills decides whether what fills a hole is a retransmission or a packet that
// others have overtaken, by time: the first rule that can tell does.
func (c *Conn) fills(st *Store, d *Dir, tr *trouble, h *hole, p *packet.Packet) filler {
	if h.byACK && h.lo >= d.recorded(st) && p.Time-h.at <= int64(st.cfg.Grace) {
		return reordered // its own ACK, or a later packet's, was recorded first: the directions are skewed
	}
	if h.ackedAt != 0 {
		// The receiver had it before: recorded late, or repeated although it had arrived.
		if p.Time-h.ackedAt <= int64(st.cfg.Grace) && tr.dupACKs == 0 {
			return reordered
		}
		return maybeRepeated
	}
	rtt := c.pathRTT()
	if rtt == 0 {
		half := max(c.Dirs[0].rtt.base(), c.Dirs[1].rtt.base())
		if p.Time-h.at < half*9/10 {
			return reordered // sooner than the half of the path that is known
		}
		if p.Time-h.at < int64(st.cfg.ReorderLag) {
			return maybeReordered
		}
		return maybeRepeated
	}
	if h.signalAt != 0 {
		// The sender can have heard of the loss: its half of the path later.
		if p.Time-h.signalAt >= c.senderHalf(d)*9/10 || p.Time-h.at >= max(rtt, int64(st.cfg.RTOMin)) {
			return repeated
		}
		return reordered
	}
	if p.Time-h.at < rtt*9/10 {
		return reordered
	}
	return repeated
}

// senderHalf is the half of the path on the side of d's sender, or 0.
func (c *Conn) senderHalf(d *Dir) int64 {
	if d == &c.Dirs[0] {
		return c.Dirs[1].rtt.base()
	}
	return c.Dirs[0].rtt.base()
}

// minTimerGap is 0.9 of the smallest retransmission timer in use (Linux: 200
// ms).
const minTimerGap = 180e6

// timerRun counts repeats of one octet in a row that only a timer explains.
func (d *Dir) timerRun(x *rare, seq uint32, at int64) {
	if d.repRun > 0 && seq == x.repSeq {
		if at-x.repAt >= minTimerGap && d.repRun < 255 {
			d.repRun++
			x.repAt = at
		}
		return
	}
	x.repSeq, x.repAt, d.repRun = seq, at, 1
	d.has |= repeating
}
