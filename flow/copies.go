package flow

import "mirrorscope/packet"

// likeness says what a packet is to the latest packet that is like it.
type likeness uint8

const (
	noLikeness   likeness = iota // there is none, or a host sent the same again
	mirrorCopy                   // the mirror delivered it twice
	networkCopy                  // the network did: same place, but too late for the mirror
	candidateSYN                 // a SYN that may begin another connection of the 5-tuple
)

// recall gives the packet like p, by fingerprint, that was recorded at the same
// observation point just before; nil if there is none. Then p is remembered.
func (t *Table) recall(p *packet.Packet, print uint64) *seenCopy {
	c := &t.copies
	if c.may(print) {
		if e := c.find(print, sum(p), checksumFlag(p), voidSums(p)); e != nil {
			return e
		}
	}
	e := c.add(print, p.Time, t.now)
	e.position, e.checksum, e.ttl, e.flags = p.Position, sum(p), p.TTL, checksumFlag(p)
	return nil
}

// alike judges a packet by e, which is like it. From another hop or link, or too
// soon for any host to have sent it again, it is a mirror's copy.
func (t *Table) alike(e *seenCopy, f *Flow, p *packet.Packet, dir int) likeness {
	weak, noID := repeats(f, p, dir)
	age := p.Time - e.at
	ttl, position := e.ttl, e.position
	t.copies.refresh(e, p.Time, p.TTL, p.Position)
	if age < 0 {
		age = -age
	}
	hop := ttl != p.TTL && absDiff(ttl, p.TTL) <= 8
	window := int64(t.cfg.DupWindow)
	if hop && !weak {
		window = int64(t.cfg.DupWindowHop)
	}
	switch {
	case age < window && (hop || position != p.Position || t.learned.dupMirror(p.Point) || !weak && age < t.dupFast(f, noID)):
		return mirrorCopy
	case weak || noID && age >= t.tick(f):
		return noLikeness // nothing in it counts up: the host may have sent it again
	case age >= int64(t.cfg.TCP.RTOMin):
		return noLikeness // as late as a timer: some hosts repeat the very same packet
	}
	return networkCopy
}

// tick bounds the age of a network's copy without an IPv4 identification: a
// host that repeats would have a later timestamp by then.
func (t *Table) tick(f *Flow) int64 {
	const stampTick = 1e6
	if f != nil && f.key.Proto == packet.ProtoTCP {
		if rtt := f.tcp.KnownRTT(); rtt > 0 {
			return min(rtt, stampTick)
		}
	}
	return stampTick
}

// dupFast is the age below which no host can have repeated a packet byte for
// byte: half the smallest round trip, if that is known to be short. Where
// the identification does not count up, all that is known of it is taken.
func (t *Table) dupFast(f *Flow, noID bool) int64 {
	fast := int64(t.cfg.DupFast)
	if f != nil && f.key.Proto == packet.ProtoTCP {
		rtt := f.tcp.MinRTT()
		if noID {
			rtt = f.tcp.KnownRTT() // within a tick of its clock a host may repeat the very same packet
		}
		if rtt > 0 {
			return min(fast, rtt/2)
		}
	}
	return fast
}

// repeats tells whether hosts may repeat a packet byte for byte: it is weak
// when nothing in it counts up. noID says that its IPv4 identification does
// not.
func repeats(f *Flow, p *packet.Packet, dir int) (weak, noID bool) {
	noID = p.IPID == 0 || f != nil && f.flags&(idsChange0<<dir) == 0 && f.sent[dir].packets > 1
	if p.Proto != packet.ProtoTCP {
		return noID, noID
	}
	s := &p.TCP
	return noID && s.Has&packet.HasTimestamps == 0 && (p.PayloadLen <= 1 || s.Flags&packet.RST != 0) && s.Flags&(packet.SYN|packet.FIN) == 0, noID
}

// fingerprint of what a copy shares with its original: everything but link
// header, TTL, DSCP/ECN and the checksums. key is the keyed hash of its flow's
// key, all 64 bits of it, and dir its direction. Whoever could tell
// fingerprints could make packets look alike: they are keyed like the index.
func (s *secret) fingerprint(key uint64, p *packet.Packet, dir int) uint64 {
	var h uint64
	if p.Proto == packet.ProtoTCP {
		h = s.segment(key, p, uint64(dir))
	} else {
		h = fold((uint64(dir)<<48|uint64(p.IPID))^key^s[0], (uint64(p.PayloadLen)<<32|uint64(p.IPLen))^s[1])
		h = fold((uint64(p.Completed())<<16|uint64(p.ICMPType)<<8|uint64(p.ICMPCode))^h^s[2], s[3])
	}
	if p.IPID == 0 && len(p.Payload) > 0 {
		h = s.payload(h, p.Payload)
	}
	return h
}

// segment is fingerprint of what TCP says beside the payload.
func (s *secret) segment(key uint64, p *packet.Packet, dir uint64) uint64 {
	c := &p.TCP
	header := dir<<48 | uint64(p.IPID) | uint64(c.Flags)<<32 | uint64(c.Window)<<16
	h := fold(header^key^s[0], (uint64(p.PayloadLen)<<32|uint64(p.IPLen))^s[1])
	// One product upon the other: side by side, one secret in a thousand had them
	// favour some of the lower bits.
	return fold((uint64(c.Seq)<<32|uint64(c.Ack))^h^s[2], (uint64(c.TSval)<<32|uint64(c.TSecr))^s[3])
}

// head4 and numbers4 of that are fingerprint of TCP in IPv4, by what packet.Words has of it, but
// for a payload that it rests on. Each is small enough to become part of its caller.
func (s *secret) head4(key uint64, p *packet.Packet) uint64 {
	const what = 1<<packet.WordOddShift - 1 // no router changes that
	return fold(p.Words.Head&what^key^s[0], (uint64(p.IPLen)|uint64(p.PayloadLen)<<32)^s[1])
}

// numbers4 is as segment has it.
func (s *secret) numbers4(h uint64, p *packet.Packet) uint64 {
	c := &p.TCP
	return fold((uint64(c.Seq)|uint64(c.Ack)<<32)^h^s[2], (uint64(c.TSval)|uint64(c.TSecr)<<32)^s[3])
}

// payload mixes in the first and the last 64 octets: enough to tell packets
// apart that agree in all header fields.
func (s *secret) payload(h uint64, b []byte) uint64 {
	n := len(b)
	switch {
	case n > 128:
		n = 129 // how many are in between is no matter
	case n < 16:
		var whole [16]byte
		copy(whole[:], b)
		b = whole[:]
	}
	// Two ends of one length, which may overlap: n tells how.
	end := min((len(b)+1)/2+15, 64) &^ 15
	first, last := b[:end], b[len(b)-end:]
	g := h
	for i := 0; i+16 <= len(first) && i+16 <= len(last); i += 16 {
		x, y := (*[16]byte)(first[i:]), (*[16]byte)(last[i:])
		h = fold(word(x[:8])^h^s[4], word(x[8:])^s[5])
		g = fold(word(y[:8])^g^s[6], word(y[8:])^s[7])
	}
	return fold(h^uint64(n)^s[6], g^s[4])
}

// sum is the checksum that tells packets of one fingerprint apart: that of TCP. Others have
// theirs in there, completed: many may have nothing else that differs.
func sum(p *packet.Packet) uint16 {
	if p.Proto == packet.ProtoTCP {
		return p.TCP.Checksum
	}
	return 0
}

// checksumFlag tells whether the checksum is there at all.
func checksumFlag(p *packet.Packet) copyFlags {
	if p.Flags&packet.HeaderCut != 0 {
		return noChecksum
	}
	return 0
}

// voidSums are the checksums that are no evidence in packets of TCP like p: that of a
// sender that has left it to its network card, and 0.
func voidSums(p *packet.Packet) (void [2]uint32) {
	void = [2]uint32{noSum, noSum}
	if s, ok := p.PartialChecksum(); ok {
		void = [2]uint32{uint32(s), 0}
	}
	return void
}

func absDiff(a, b uint8) uint8 {
	if a > b {
		return a - b
	}
	return b - a
}

// noteID remembers whether the IPv4 identifications of a direction change:
// only then does an equal one mean anything (RFC 6864).
func (t *Table) noteID(f *Flow, p *packet.Packet, dir int) {
	if f.sent[dir].packets > 1 && p.IPID != f.ipid[dir] && p.IPID != 0 {
		f.flags |= idsChange0 << dir
	}
	f.ipid[dir] = p.IPID
}
