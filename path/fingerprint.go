package path

import (
	"encoding/binary"
	"math/bits"

	"mirrorscope/packet"
)

// fingerprint of what a packet has in common at all points of its way. Left out
// are link header, TTL, DSCP and ECN, which routers change, the options of a
// SYN, whose MSS they clamp, PSH, which offload moves and a young connection does
// not keep, and checksums, which the host's own capture finds undone. The payload is looked at only where the headers do not count up, and
// only as far as a short snap length leaves it.
func fingerprint(p *packet.Packet, dir int) uint64 {
	h := mix(p.Hash^uint64(dir), uint64(p.Network)<<32^uint64(p.IPID)<<16^uint64(p.Proto)<<8^uint64(p.Kind))
	if p.Proto == packet.ProtoTCP {
		s := &p.TCP
		h = mix(h^uint64(s.Seq)<<32^uint64(s.Ack), uint64(s.Flags&^packet.PSH)<<16^uint64(s.Window)^uint64(p.PayloadLen)<<32)
		return mix(h^uint64(s.TSval)<<32^uint64(s.TSecr), 0x9e3779b97f4a7c15)
	}
	h = mix(h^uint64(p.PayloadLen), uint64(p.ICMPType)<<8^uint64(p.ICMPCode)^0x4d5a2da51de1aa47)
	if b := p.Payload; len(b) >= 16 {
		h = mix(h^binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:]))
	} else if p.Flags&packet.Truncated == 0 {
		for _, c := range b {
			h = mix(h^uint64(c), 0xe7037ed1a0b428db)
		}
	}
	return h
}

func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0xa0761d6478bd642f, b^0x8bb84b93962eacc9)
	return hi ^ lo
}

// space is the sequence space that a packet takes: [end-n, end).
func space(p *packet.Packet) (end, n uint32) {
	n = p.PayloadLen
	if p.TCP.Flags&packet.SYN != 0 {
		n++
	}
	if p.TCP.Flags&packet.FIN != 0 {
		n++
	}
	return p.TCP.Seq + n, n
}

// after compares sequence numbers (RFC 9293 section 3.4).
func after(a, b uint32) bool { return int32(a-b) > 0 }

// overlap tells whether two ranges of sequence space have an octet in common.
func overlap(end, n, otherEnd, otherN uint32) bool {
	return n > 0 && otherN > 0 && after(end, otherEnd-otherN) && after(otherEnd, end-n)
}
