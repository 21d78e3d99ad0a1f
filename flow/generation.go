package flow

import (
	"mirrorscope/packet"
	"mirrorscope/tcp"
)

// earlier is what is kept of the generation before.
type earlier struct {
	space tcp.Space
	ended int64 // on the input's clock
}

// continuity says what a packet is to the flow that generation gives.
type continuity uint8

const (
	belongs   continuity = iota
	strayed              // of the generation before: counted into neither
	undecided            // it counts, but says nothing of the connection yet
)

// generation gives the flow that a TCP packet belongs to: n, which its key
// names, or a new one that begins with it, when n is ended.
func (t *Table) generation(n uint32, p *packet.Packet, dir int) (m uint32, v continuity) {
	f := t.flows.at(n)
	if len(t.earlier) > 0 {
		e, known := t.earlier[n]
		switch {
		case !known:
		case t.now-e.ended > int64(t.cfg.TupleIdle):
			delete(t.earlier, n)
		case f.tcp.Straggles(p, dir, &e.space):
			t.rareOf(f).stray++
			t.report.stray++
			t.activate(n, f)
			return n, strayed
		}
	}
	if p.TCP.Flags&packet.SYN == 0 {
		return n, belongs
	}
	return t.syn(n, f, p, dir)
}

// syn is generation for a packet with SYN.
func (t *Table) syn(n uint32, f *Flow, p *packet.Packet, dir int) (m uint32, v continuity) {
	var candidate *uint32
	var syn *packet.Packet
	if len(t.candidates) > 0 {
		if c, waits := t.candidates[n]; waits && c.Src == p.Dst && c.SrcPort == p.DstPort {
			syn, candidate = &c, &c.TCP.Seq
		}
	}
	switch f.tcp.Continues(p, dir, t.now-f.seen > int64(t.cfg.TupleIdle), candidate) {
	case tcp.New:
		return t.supersede(n, p, dir), belongs
	case tcp.Candidate:
		// It may be answered by a challenge ACK (RFC 5961 section 4): the SYN-ACK decides.
		if len(t.candidates) < maxRare {
			c := *p
			c.Payload = nil
			t.candidates[n] = c
		}
		return n, undecided
	case tcp.Switch:
		v := &f.sent[1-dir]
		v.packets--
		v.bytes -= syn.IPLen
		v.payload -= syn.PayloadLen
		m := t.supersede(n, syn, 1-dir)
		t.update(m, t.flows.at(m), syn, 1-dir, noLikeness)
		return m, belongs
	}
	return n, belongs
}

// supersede ends flow n, for p begins another connection of its 5-tuple, and
// opens that.
func (t *Table) supersede(n uint32, p *packet.Packet, dir int) uint32 {
	f := t.flows.at(n)
	key, space := f.key, f.tcp.Space()
	t.end(n, t.now, EndOfFlow)
	m := t.open(&key, t.secret.hash(&key), p, dir)
	if len(t.earlier) < maxRare {
		t.earlier[m] = earlier{space: space, ended: t.now}
		t.fresh = 0
	}
	return m
}
