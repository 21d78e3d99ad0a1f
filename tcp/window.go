package tcp

import "mirrorscope/packet"

// window is what d's receiver r last offered, in octets, or 0 where the scale
// is not known.
func (c *Conn) window(d, r *Dir) int64 {
	if d.has&r.has&hasISN == 0 || d.has&r.has&hasOptions == 0 {
		return 0
	}
	w := int64(r.window)
	if d.has&r.has&hasWScale != 0 {
		w <<= r.wscale
	}
	return w
}

// zeroWindow follows the episodes in which a host, sending in direction d,
// offers no window (RFC 9293 section 3.8.6.1).
func (c *Conn) zeroWindow(st *Store, d, r *Dir, t *packet.TCP, now int64) {
	if t.Flags&(packet.SYN|packet.RST) != 0 || t.Flags&packet.ACK == 0 {
		return
	}
	switch {
	case t.Window == 0 && d.has&shut == 0:
		st.rareOf(d).zwSince = now
		d.has |= shut
		st.tallyOf(d).zwEpisodes++
		r.has |= probing
	case t.Window != 0 && d.has&shut != 0:
		st.tallyOf(d).zwTime += max(now-d.zwSince(st), 0)
		d.has &^= shut
	}
}

// windowFull: all that the receiver r offered is in flight.
func (c *Conn) windowFull(st *Store, d, r *Dir, now int64) {
	if d.has&full != 0 || r.has&shut != 0 || d.has&hasUna == 0 {
		return
	}
	if tr := st.troubleIf(d); tr != nil && len(tr.holes) > 0 {
		return // what is in flight is not known
	}
	if w := c.window(d, r); w > 0 && r.has&heard != 0 && d.hi-d.una >= w {
		st.rareOf(d).wfSince = now
		d.has |= full
	}
}

// wfEnd ends a time of full window: there is room again.
func (d *Dir) wfEnd(st *Store, now int64) {
	if d.has&full != 0 {
		st.tallyOf(d).wfTime += max(now-d.wfSince(st), 0)
		d.has &^= full
	}
}

// probe takes keep-alives (RFC 9293 section 3.8.4) and zero-window probes
// (section 3.8.6.1), which look like repeats: a packet below hi, that starts
// at s with n octets.
func (c *Conn) probe(st *Store, d, r *Dir, p *packet.Packet, s, n int64) bool {
	t := &p.TCP
	if t.Flags&(packet.SYN|packet.FIN|packet.RST) != 0 || t.Flags&packet.ACK == 0 || d.has&hasUna == 0 {
		return false
	}
	closed := r.has&shut != 0 || d.has&probing != 0
	switch {
	case closed && n <= 1 && (s == d.hi-1 || s == d.una-1), r.has&shut != 0 && n > 0 && s == d.una:
		st.tallyOf(d).zwProbes++
		return true
	case n <= 1 && s == d.hi-1 && d.una == d.hi && (r.has&shut|d.has&hasFIN) == 0 && (d.recorded(st) == 0 || d.recorded(st) >= d.hi):
		st.tallyOf(d).keepAlives++
		return true
	}
	return false
}
