package pcapgen

import "net/netip"

// sum adds the 16-bit words of b to s, without folding (RFC 1071). All but the
// last part of what is summed must have even length.
func sum(s uint64, b []byte) uint64 {
	for len(b) >= 2 {
		s += uint64(be.Uint16(b))
		b = b[2:]
	}
	if len(b) == 1 {
		s += uint64(b[0]) << 8
	}
	return s
}

// fold gives the 16-bit one's complement sum of s.
func fold(s uint64) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// pseudo sums the pseudo-header of an n-octet transport packet in the closest
// IP header in front (RFC 9293 section 3.1, RFC 8200 section 8.1). ok is false
// where there is none.
func (e env) pseudo(proto uint8, n int) (s uint64, ok bool) {
	var final netip.Addr // last address of a routing header, which the sum takes for the destination
	for i := len(e.outer) - 1; i >= 0; i-- {
		switch l := e.outer[i].(type) {
		case IPv4:
			return pseudoSum(l.Src, l.Dst, proto, n), true
		case IPv6:
			return pseudoSum(l.Src, or(final, l.Dst), proto, n), true
		case Routing:
			if l.SegmentsLeft > 0 && len(l.Addrs) > 0 {
				final = l.Addrs[l.finalIndex()]
			}
		case HopByHop, DestinationOptions, IPv6Fragment, AH:
		default:
			return 0, false
		}
	}
	return 0, false
}

func pseudoSum(src, dst netip.Addr, proto uint8, n int) uint64 {
	s := sum(0, src.AsSlice())
	s = sum(s, dst.AsSlice())
	return s + uint64(proto) + uint64(n)>>16 + uint64(n)&0xffff
}
