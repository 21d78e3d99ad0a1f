package path

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"

	"mirrorscope/packet"
)

// secret keys fingerprints. Whoever could tell them could make packets that all meet in
// the index; nothing that is told depends on it.
type secret [4]uint64

// The secret of this process.
var prints = newSecret()

func newSecret() (s secret) {
	for i := range s {
		s[i] = rand.Uint64() // of the runtime's ChaCha8, seeded by the system
	}
	return s
}

// fingerprint of what a packet has in common at all points of its way. Left out
// are link header, TTL, DSCP and ECN, which routers change, the options of a
// SYN, whose MSS they clamp, PSH, which offload moves and a young connection does
// not keep, and checksums, which the host's own capture finds undone. The payload is looked at only where the headers do not count up, and
// only as far as a short snap length leaves it.
func (s *secret) fingerprint(p *packet.Packet, dir int) uint64 {
	h := fold(p.Hash^uint64(dir)^s[0], uint64(p.Network)<<32^uint64(p.IPID)<<16^uint64(p.Proto)<<8^uint64(p.Kind)^s[1])
	if p.Proto == packet.ProtoTCP {
		c := &p.TCP
		h = fold(h^uint64(c.Seq)<<32^uint64(c.Ack), uint64(c.Flags&^packet.PSH)<<16^uint64(c.Window)^uint64(p.PayloadLen)<<32^s[2])
		return fold(h^uint64(c.TSval)<<32^uint64(c.TSecr), s[3])
	}
	h = fold(h^uint64(p.PayloadLen), uint64(p.ICMPType)<<8^uint64(p.ICMPCode)^s[2])
	if b := p.Payload; len(b) >= 16 {
		h = fold(h^binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])^s[3])
	} else if p.Flags&packet.Truncated == 0 {
		for _, c := range b {
			h = fold(h^uint64(c), s[3])
		}
	}
	return h
}

func fold(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// mix is fold with constants in place of secrets: what names a connection is the same
// everywhere.
func mix(a, b uint64) uint64 { return fold(a^0xa0761d6478bd642f, b^0x8bb84b93962eacc9) }

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
