package packet

// pseudoSum is the folded sum of a packet's pseudo-header (RFC 9293 section
// 3.1, RFC 8200 section 8.1), not complemented, for a transport packet of n
// octets: what the checksum field holds when the sender left the rest to its
// network card (CHECKSUM_PARTIAL).
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

// isPseudoSum4 tells whether a checksum is pseudoSum of two IPv4 addresses,
// source and destination, as they stand in the header; or 0. Folding keeps a sum
// modulo 2^16-1, and gives 0 for nothing but 0.
func isPseudoSum4(checksum uint16, ends uint64, proto uint8, n int) bool {
	s := uint64(proto) + uint64(n) + ends>>32 + ends&0xffffffff
	return checksum == 0 || (s+0xffff-uint64(checksum))%0xffff == 0
}

func fold(s uint64) uint16 {
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	s = s>>16 + s&0xffff
	return uint16(s)
}
