package tcp

import "mirrorscope/packet"

// classify finds what made the sender repeat, from the evidence that it can
// have had since those octets were last sent. r is the repeat, not yet kept.
func (c *Conn) classify(st *Store, dir int, tr *trouble, r *repeat, p *packet.Packet) Class {
	d := &c.Dirs[dir]
	t := &p.TCP
	switch {
	case t.Flags&(packet.SYN|packet.ACK) == packet.SYN:
		return ClassSYN
	case t.Flags&packet.SYN != 0:
		return ClassSYNACK
	case t.Flags&packet.FIN != 0 && p.PayloadLen == 0:
		return ClassFIN
	}
	rtt := c.pathRTT()
	mss := c.segmentSize(d)
	atUna := d.has&hasUna == 0 || r.lo <= d.una
	heard, sackedAbove := tr.signals, tr.sackedAbove(r.hi)
	active := tr.episode != noEpisode && d.una < tr.recovery
	passed := d.has&hasUna != 0 && r.hi <= d.una && p.Time-tr.movedAt <= c.reaction(d)
	if passed {
		// Its ACK passed here before it did: the sender had reacted to what came before that.
		heard, sackedAbove = tr.before, tr.before.sackedN
		active = tr.before.episode != noEpisode
		tr.movedAt = p.Time // and goes on with what it has begun
	}
	fresh := p.Time-heard.latestAt <= max(int64(st.cfg.RTOMin)*9/10, 2*rtt) // older ones are not what it reacts to
	evidence := fresh && (heard.dupACKs >= st.cfg.DupThresh || sackedAbove > int64(st.cfg.DupThresh-1)*mss ||
		sackedAbove > 0 && rtt > 0 && p.Time-heard.sackedAt >= rtt/4)

	if d.has&hasUna != 0 && r.hi <= d.una && r.lo > tr.timerLo && r.hi <= tr.timerHi {
		// All had arrived, and its ACKs have passed here; the sender still goes back over what its timer took for lost.
		return ClassRTORecovery
	}
	prev := tr.latest(r.lo)
	lastSent := d.lastAt
	switch f := st.flightIf(d); {
	case prev != nil:
		lastSent = prev.at
	case f != nil && f.sentAt(r.lo) != 0:
		lastSent = f.sentAt(r.lo)
	}
	gap := p.Time - lastSent
	timer := gap >= max(int64(st.cfg.RTOMin)*9/10, rtt)

	if prev != nil {
		progress := d.una > prev.una || tr.sackHi() > prev.sackHi
		switch {
		case timer && atUna && (!progress || !fresh):
			return c.enter(tr, d, timerRecovery, ClassRTO)
		case progress && (evidence || active):
			return ClassLostRetransmission
		case active && heard.episode == timerRecovery:
			return ClassRTORecovery
		case timer && atUna:
			return c.enter(tr, d, timerRecovery, ClassRTO)
		case evidence:
			return ClassLostRetransmission
		}
		return ClassUnknown
	}
	if active {
		switch {
		case heard.episode == timerRecovery:
			return ClassRTORecovery
		case timer && atUna && !evidence:
			return c.enter(tr, d, timerRecovery, ClassRTO)
		}
		return ClassRecovery
	}
	if evidence {
		return c.enter(tr, d, fastRecovery, ClassFast)
	}
	if rtt == 0 && !timer {
		return ClassUnknown
	}
	tail := r.hi >= d.hi
	single := atUna && tail
	switch {
	case single && timer:
		return c.enter(tr, d, timerRecovery, ClassTimer)
	case tail && !timer && gap >= rtt*3/2:
		return ClassTLP
	case tail && !atUna && gap >= rtt*3/2:
		return ClassTLP
	case atUna && timer:
		return c.enter(tr, d, timerRecovery, ClassRTO)
	case fresh && (sackedAbove > 0 || heard.dupACKs > 0):
		return c.enter(tr, d, fastRecovery, ClassFast)
	}
	return ClassUnknown
}

// enter begins an episode: it lasts until all that was sent by now is
// acknowledged.
func (c *Conn) enter(tr *trouble, d *Dir, e episode, class Class) Class {
	tr.episode, tr.recovery = e, d.hi
	return class
}
