package tcp

// half is the round trip between the observation point and the host that
// acknowledges a direction's data: one half of the path. All times are ns.
type half struct {
	min       int64 // smallest sample; 0 none
	handshake int64 // the half as the handshake showed it; 0 unknown
	solid     int64 // smallest sample that cannot hold any think time or delay; 0 none
}

// base is the half without queues, as far as is known: the smallest sample, or
// the handshake's. 0 is unknown.
func (h *half) base() int64 {
	if h.min == 0 || h.handshake != 0 && h.handshake < h.min {
		return h.handshake
	}
	return h.min
}

// known is the half without queues, as far as is known. solid says that
// something else than answers, which may hold the time to think of them, has
// shown it: it may be less still, but not much more.
func (h *half) known() (ns int64, solid bool) {
	return h.base(), h.solid != 0 || h.handshake != 0
}

// timed adds a sample. How it was taken and whether the ACK may have been
// delayed decides where it counts.
func (c *Conn) timed(st *Store, d *Dir, ns int64, clean, byStamp bool) {
	if ns <= 0 {
		return // recorded out of order
	}
	if byStamp {
		d.byStamps++
	}
	if d.rtt.min == 0 || ns < d.rtt.min {
		d.rtt.min = ns
	}
	q := cleanRTT
	if clean {
		d.samples++
	} else {
		d.maybe++
		q = delayedRTT
	}
	if d == &c.Dirs[1] {
		q += 2
	}
	st.add(&c.samples, q, ns)
}

// fits: a duration is within [0.5, 2] of the base of later samples, and may
// always be as long as 1 ms. Samples that hold think time prove nothing.
func (h *half) fits(ns int64) bool {
	return h.solid != 0 && ns >= h.solid/2 && ns <= max(2*h.solid, 1e6)
}

// sample takes the round-trip samples that an ACK of d's data gives, before d
// moves to ack. r is the receiver's own direction, in which the ACK was sent,
// with its n octets of payload.
func (c *Conn) sample(st *Store, d *Dir, ack int64, now int64, tsecr uint32, hasTS bool, n uint32) {
	repairing, echoed, byStampAt := false, false, int64(0)
	var at int64
	var exact bool
	if d.has&lone != 0 && ack == d.hi && d.has&troubled == 0 {
		at, exact = d.lastAt, true
		d.has &^= lone | loneStamped
	} else {
		f := st.flightIf(d)
		if f == nil {
			return
		}
		tr := st.troubleIf(d)
		repairing = d.una < f.collapse || tr != nil && (len(tr.sacked) > 0 || tr.overlap(d.una, ack) > 0)
		at, exact = f.acked(ack)
		if hasTS && tsecr != 0 {
			byStampAt, echoed = f.echo(tsecr, ack)
		}
		if ack >= d.hi && f.n == 0 && ack >= f.collapse {
			st.freeFlight(d)
		}
	}
	switch {
	case exact && !repairing:
		c.exact(st, d, ack, now-at, n)
	case echoed && repairing:
		c.timed(st, d, now-byStampAt, false, true)
	}
}

// exact takes the sample of an ACK that came ns after the segment of d that
// ends where it acknowledges, in a packet with n octets of payload. d has not
// moved there yet.
func (c *Conn) exact(st *Store, d *Dir, ack, ns int64, n uint32) {
	// An answer that carries the ACK may have taken its time: the ACK that had to
	// come at once may not have been recorded.
	clean := n == 0 && (ack-d.una >= 2*c.segmentSize(d) || d.has&hasFIN != 0 && uint32(ack) == d.fin)
	if clean && ns > 0 && (d.rtt.solid == 0 || ns < d.rtt.solid) {
		d.rtt.solid = ns
	}
	if n > 0 {
		if base, solid := d.rtt.known(); solid && ns <= base*5/4 {
			clean = true // carried by an answer that came at once
		}
	}
	c.timed(st, d, ns, clean, false)
}

// pathRTT is the smallest round trip of the whole path, or 0.
func (c *Conn) pathRTT() int64 {
	a, b := c.Dirs[0].rtt.base(), c.Dirs[1].rtt.base()
	if a == 0 || b == 0 {
		return 0
	}
	return a + b
}

// segmentSize is the largest segment of payload in a direction: by both SYNs' options,
// less the timestamps, else by what was seen.
func (c *Conn) segmentSize(d *Dir) int64 {
	a, b := &c.Dirs[0], &c.Dirs[1]
	if a.has&b.has&hasMSS != 0 {
		m := int64(min(c.mss[0], c.mss[1]))
		if a.has&b.has&hasTimestamps != 0 {
			m -= 12
		}
		return max(m, 1)
	}
	if d.maxLen > 0 {
		return int64(d.maxLen)
	}
	return 1460
}
