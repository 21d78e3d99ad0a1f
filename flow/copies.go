package flow

import (
	"encoding/binary"
	"math/bits"

	"mirrorscope/packet"
)

// likeness says what a packet is to the latest packet that is like it.
type likeness uint8

const (
	noLikeness   likeness = iota // there is none, or a host sent the same again
	mirrorCopy                   // the mirror delivered it twice
	networkCopy                  // the network did: same place, but too late for the mirror
	candidateSYN                 // a SYN that may begin another connection of the 5-tuple
)

// likeness looks for a packet whose like was recorded at the same observation
// point just before. From another hop or link, or too soon for any host to
// have sent it again, it is a mirror's copy. f is its flow, or nil.
func (t *Table) likeness(f *Flow, p *packet.Packet, dir int) likeness {
	print, weak, noID := t.fingerprint(f, p, dir)
	e := t.copies.find(print, sum(p), checksumFlag(p))
	if e == nil {
		t.copies.add(seenCopy{print: print, at: p.Time, position: p.Position, checksum: sum(p), ttl: p.TTL, flags: checksumFlag(p)}, t.now)
		return noLikeness
	}
	age := p.Time - e.at
	ttl, position := e.ttl, e.position
	e.at, e.ttl, e.position = max(e.at, p.Time), p.TTL, p.Position
	e.flags |= refreshed
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

// fingerprint of what a copy shares with its original: everything but link
// header, TTL, DSCP/ECN and the checksums. A fingerprint is weak when hosts
// may repeat such a packet byte for byte: nothing in it counts up. noID says
// that its IPv4 identification does not.
func (t *Table) fingerprint(f *Flow, p *packet.Packet, dir int) (print uint64, weak, noID bool) {
	src, dst := &p.Src, &p.Dst
	h := mix64(binary.LittleEndian.Uint64(src[:8])^0x2d358dccaa6c78a5, binary.LittleEndian.Uint64(src[8:])^uint64(p.Point))
	h = mix64(h^binary.LittleEndian.Uint64(dst[:8]), binary.LittleEndian.Uint64(dst[8:])^0x8bb84b93962eacc9^uint64(p.Network))
	h = mix64(h^uint64(p.SrcPort)<<48^uint64(p.DstPort)<<32^uint64(p.IPID)<<16^uint64(p.Proto)<<8^uint64(p.Kind), uint64(p.PayloadLen)<<32^uint64(p.IPLen)^0x4b33a62ed433d4a3)
	noID = p.IPID == 0 || f != nil && f.flags&(idsChange0<<dir) == 0 && f.sent[dir].packets > 1
	weak = noID
	if p.Proto == packet.ProtoTCP {
		s := &p.TCP
		h = mix64(h^uint64(s.Seq)<<32^uint64(s.Ack), uint64(s.Flags)<<16^uint64(s.Window)^0x4d5a2da51de1aa47)
		h = mix64(h^uint64(s.TSval)<<32^uint64(s.TSecr), 0x9e3779b97f4a7c15)
		weak = noID && s.Has&packet.HasTimestamps == 0 && (p.PayloadLen <= 1 || s.Flags&packet.RST != 0) && s.Flags&(packet.SYN|packet.FIN) == 0
	} else {
		h = mix64(h^uint64(p.Checksum), uint64(p.ICMPType)<<8^uint64(p.ICMPCode)^0x9e3779b97f4a7c15)
	}
	if p.IPID == 0 && len(p.Payload) > 0 {
		h = hashPayload(h, p.Payload)
	}
	return h, weak, noID
}

// hashPayload mixes in the first and the last 64 octets: enough to tell
// packets apart that agree in all header fields.
func hashPayload(h uint64, b []byte) uint64 {
	if len(b) > 128 {
		h = hashPayload(h, b[:64])
		b = b[len(b)-64:]
	}
	for len(b) >= 8 {
		h = mix64(h^binary.LittleEndian.Uint64(b), 0xe7037ed1a0b428db)
		b = b[8:]
	}
	var last [8]byte
	copy(last[:], b)
	return mix64(h^binary.LittleEndian.Uint64(last[:]), uint64(len(b))^0x8ebc6af09c88c6e3)
}

func mix64(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0xa0761d6478bd642f, b)
	return hi ^ lo
}

func sum(p *packet.Packet) uint16 {
	if p.Proto == packet.ProtoTCP {
		return p.TCP.Checksum
	}
	return p.Checksum
}

func checksumFlag(p *packet.Packet) copyFlags {
	if p.Flags&(packet.ChecksumPartial|packet.HeaderCut) != 0 {
		return noChecksum
	}
	return 0
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
