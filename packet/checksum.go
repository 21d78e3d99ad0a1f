package packet

// PartialChecksum gives what the checksum of a packet of TCP is while the sender has
// left it to its network card (CHECKSUM_PARTIAL); ok is false for others, and where
// lengths do not tell. It depends on nothing but addresses and lengths: packets that agree
// in these have the same.
func (p *Packet) PartialChecksum() (sum uint16, ok bool) {
	if p.Proto != ProtoTCP || p.Flags&(HeaderCut|BadHeader) != 0 {
		return 0, false
	}
	return pseudoSum(p, int(p.PayloadLen)+int(p.TCP.HeaderLen)), true
}

// Completed is the checksum of a packet that is no TCP as it left the sender's host. Where a
// sender of UDP has left it to its network card, so that the field holds the sum of the
// pseudo-header (CHECKSUM_PARTIAL), it is made of the payload, if that is whole.
func (p *Packet) Completed() uint16 {
	n := udpHeader + int(p.PayloadLen)
	if p.Proto != ProtoUDP || p.Checksum == 0 || len(p.Payload) != int(p.PayloadLen) || p.Flags&(HeaderCut|BadHeader) != 0 || p.Checksum != pseudoSum(p, n) {
		return p.Checksum
	}
	s := uint64(p.Checksum) + uint64(p.SrcPort) + uint64(p.DstPort) + uint64(n)
	b := p.Payload
	for ; len(b) >= 4; b = b[4:] {
		s += uint64(be32(b))
	}
	switch len(b) {
	case 3:
		s += uint64(be16(b))<<16 | uint64(b[2])<<8
	case 2:
		s += uint64(be16(b))
	case 1:
		s += uint64(b[0]) << 8
	}
	if sum := ^fold(s); sum != 0 {
		return sum
	}
	return 0xffff // 0 says that there is none (RFC 768)
}

// pseudoSum is the folded sum of a packet's pseudo-header (RFC 9293 section
// 3.1, RFC 8200 section 8.1), not complemented, for a transport packet of n
// octets: what the checksum field holds when the sender left the rest to its
// network card.
func pseudoSum(p *Packet, n int) uint16 {
	s := uint64(p.Proto) + uint64(n)
	if p.Version == 4 {
		s += uint64(be32(p.Src[12:])) + uint64(be32(p.Dst[12:]))
	} else {
		for i := 0; i < 16; i += 4 {
			s += uint64(be32(p.Src[i:])) + uint64(be32(p.Dst[i:]))
		}
	}
	return fold(s)
}

func fold(s uint64) uint16 {
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return uint16(s)
}
