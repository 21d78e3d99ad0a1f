package packet

// PPP protocol numbers (IANA, RFC 1661 section 2).
const (
	pppIPv4          = 0x0021
	pppIPv6          = 0x0057
	pppMPLS          = 0x0281
	pppMPLSMulticast = 0x0283
)

// ppp reads a PPP header: address and control FF 03 where they are not left
// out (RFC 1662 section 3.1), then the protocol, of one octet when it is odd
// (compressed, RFC 1661 section 6.5) and two otherwise.
func (w *walk) ppp() step {
	if len(w.b) >= 2 && w.b[0] == 0xff && w.b[1] == 3 {
		w.advance(2)
	}
	if len(w.b) == 0 || len(w.b) == 1 && w.b[0] == 0xff {
		return w.fail(SkipTruncated)
	}
	proto := uint16(w.b[0])
	n := 1
	if proto&1 == 0 {
		if len(w.b) < 2 {
			return w.fail(SkipTruncated)
		}
		proto, n = be16(w.b), 2
	}
	w.advance(n)
	switch proto {
	case pppIPv4:
		return atIPv4
	case pppIPv6:
		return atIPv6
	case pppMPLS, pppMPLSMulticast:
		w.enter(MPLS)
		return atMPLS
	}
	return w.fail(NotIP)
}

// pppHDLC tells PPP in HDLC-like framing from Cisco's HDLC, which shares the
// link type: address 0F or 8F, control 0, then an EtherType (RFC 1547 section
// 4.3.1).
func (w *walk) pppHDLC() step {
	if len(w.b) < 4 {
		return w.fail(SkipTruncated)
	}
	if (w.b[0] == 0x0f || w.b[0] == 0x8f) && w.b[1] == 0 {
		etherType := be16(w.b[2:])
		w.advance(4)
		return w.ether(etherType)
	}
	return atPPP
}
