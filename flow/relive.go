package flow

import (
	"encoding/binary"
	"unsafe"

	"mirrorscope/packet"
	"mirrorscope/tcp"
)

// relive makes f the flow that has taken all packets of an embryo.
func (t *Table) relive(e *embryo, f *Flow) {
	p := &t.hatched
	e.syn(p)
	key, dir := keyOf(p)
	now := t.now
	t.now = p.Now
	if t.telling != 0 {
		p.Hash = e.tuple()
	}
	t.tellLate(p, dir)
	t.begins(f, &key, p, dir)
	f.class = halfOpen
	if e.grown() {
		f.flags |= told
	}
	t.absorb(f, p, dir, noLikeness)
	if e.flags&toldSYN != 0 {
		t.retell(f)
	}
	if e.grown() {
		t.replay(e, t.flows.youth(e.behind), f, p, dir)
	}
	t.now = now
}

// replay takes the packets of a youth behind the SYN, which is in p.
func (t *Table) replay(e *embryo, y *youth, f *Flow, p *packet.Packet, client int) {
	c := &p.TCP
	place, ttl := [2]uint32{e.position, y.position}, [2]uint8{e.ttl, y.ttl}
	next := [2]uint32{c.Seq + 1, y.isn + 1}
	window := [2]uint16{c.Window, y.offered}
	id := [2]uint16{p.IPID, y.id}
	stamps := [2]uint32{c.TSval, y.stamp}

	p.Time += int64(y.answered)
	p.Now, t.now = p.Time, p.Time
	p.IPLen, p.IPID, p.Position, p.TTL, p.TOS, p.Flags = 20+uint32(y.options>>optionBits)<<2, y.id, y.position, y.ttl, 0, 0
	c.Seq, c.Ack, c.TSval, c.TSecr, c.Window, c.MSS, c.WScale = y.isn, next[0], y.stamp, 0, y.offered, y.mss, y.wscale
	c.Flags, c.Has, c.HeaderLen = packet.SYN|packet.ACK, packet.TCPOptions(y.options&(1<<optionBits-1)), y.options>>optionBits<<2
	if y.flags&stamped != 0 {
		c.TSecr = stamps[0]
	}
	t.tellLate(p, client^1)
	t.absorb(f, p, client^1, noLikeness)

	c.MSS, c.WScale, c.Has, c.HeaderLen, c.TSval, c.TSecr = 0, 0, 0, 20, 0, 0
	if y.flags&stamped != 0 {
		c.Has, c.HeaderLen = packet.HasTimestamps, 32
	}
	var sent [2]volume // by side, like all that follows
	var fins [2]uint8
	var changed [2]bool // identifications
	hasTS := y.flags&stamped != 0
	p.IPLen = 0 // it counts in sum
	sum := func() {
		for s := range sent {
			dir := (client ^ s) & 1
			v := &f.sent[dir]
			v.packets += sent[s].packets
			v.payload += sent[s].payload
			v.bytes += sent[s].payload + sent[s].packets*(20+uint32(c.HeaderLen))
			f.fins[dir] = fins[s]
			f.ipid[dir] = id[s]
			if changed[s] {
				f.flags |= idsChange0 << dir
			}
		}
		sent = [2]volume{}
	}
	log := unsafe.Slice((*byte)(unsafe.Pointer(y)), y.end)[youthLen:]
	for len(log) >= 5 {
		what, s, o, n := log[0], log[0]&1, log[0]&1^1, 5
		since := int64(binary.LittleEndian.Uint32(log[1:]))
		if what&longSince != 0 {
			since |= int64(binary.LittleEndian.Uint32(log[n:])) << 32
			n += 4
		}
		if what == marked && since == 0 {
			log = log[n:]
			sum()
			t.retell(f)
			continue
		}
		p.Time += since
		p.Now = p.Time
		c.Seq, c.Ack, c.Flags, p.PayloadLen = next[s], next[o], packet.ACK, 0
		if what&withData != 0 {
			p.PayloadLen = uint32(binary.LittleEndian.Uint16(log[n:]))
			next[s] += p.PayloadLen
			n += 2
		}
		if what&withFIN != 0 {
			c.Flags |= packet.FIN
			next[s]++
			fins[s]++
		}
		if what&someAcked != 0 {
			c.Ack -= uint32(binary.LittleEndian.Uint16(log[n:]))
			n += 2
		}
		if what&newWindow != 0 {
			window[s] = binary.LittleEndian.Uint16(log[n:])
			n += 2
		}
		before := id[s]
		if id[s]++; what&newID != 0 {
			id[s] = binary.LittleEndian.Uint16(log[n:])
			n += 2
		}
		changed[s] = changed[s] || id[s] != before && id[s] != 0
		if hasTS {
			if what&newStamps == 0 {
				stamps[s] += uint32(binary.LittleEndian.Uint16(log[n:]))
				c.TSecr = stamps[o]
				n += 2
			} else {
				stamps[s], c.TSecr = binary.LittleEndian.Uint32(log[n:]), binary.LittleEndian.Uint32(log[n+4:])
				n += 8
			}
			c.TSval = stamps[s]
		}
		log = log[n:]
		p.IPID, p.Position, p.TTL, c.Window = id[s], place[s], ttl[s], window[s]
		v := &sent[s]
		v.packets++
		v.payload += p.PayloadLen
		t.tellLate(p, client^int(s))
		t.again(f, p, client^int(s))
	}
	sum()
	f.last, f.seen = y.seen, y.seen
	f.class = y.class()
}

// again takes a packet of a youth behind the SYN-ACK, but for what adds up.
func (t *Table) again(f *Flow, p *packet.Packet, dir int) {
	g, o := &t.segment, t.opening(f)
	*g = tcp.Segment{}
	f.tcp.Run(t.tcp, g, p, dir, o)
	switch {
	case g.End == g.Pos:
	case f.session == 0:
		c := t.conn(f)
		f.session = t.sessions.Plain(&c, g, dir)
	default:
		t.sessions.Run(f.session, &f.tcp, t.tcp, nil, g, dir, int(f.role.client))
	}
	if o != nil && p.Time-o.Answered() > t.copies.window {
		t.answered(f, o, p.Time)
	}
}
