package packet

// IPv6 extension headers (IANA), and AH, which IPv4 has as well.
const (
	extHopByHop    = 0   // RFC 8200 section 4.3
	extRouting     = 43  // section 4.4
	extFragment    = 44  // section 4.5
	extDestination = 60  // section 4.6
	protoNoNext    = 59  // section 4.7
	extMobility    = 135 // RFC 6275 section 6.1
	extHIP         = 139 // RFC 7401 section 5.1
	extShim6       = 140 // RFC 5533 section 5.1
)

// extension steps over an IPv6 extension header of the usual form: next
// header, length in 8 octets without the first 8.
func (w *walk) extension(p *Packet) step {
	if len(w.b) < 8 {
		return w.headerEnds(8)
	}
	n := 8 + 8*int(w.b[1])
	if n > w.wire {
		return w.fail(BadIP)
	}
	if len(w.b) < n {
		return w.fail(SkipTruncated)
	}
	this, next := w.proto, w.b[0]
	if next == protoNoNext && (this == extMobility || this == extHIP || this == extShim6) {
		// These three carry their own messages that way: they are the protocol.
		return w.other(p)
	}
	if this == extHopByHop && p.Flags&LengthUnknown != 0 {
		w.jumbo(p, w.b[2:n])
	}
	w.proto = next
	w.advance(n)
	return atProto
}

// headerEnds tells a header of at least n octets that the capture cuts from
// one that its packet has no room for.
func (w *walk) headerEnds(n int) step {
	if w.wire < n {
		return w.fail(BadIP)
	}
	return w.fail(SkipTruncated)
}

// jumbo takes the length of a jumbogram (RFC 2675 section 2) from its
// hop-by-hop option. options starts behind the header's two first octets; w
// stands at the header. A length that the frame does not bear out is not used.
func (w *walk) jumbo(p *Packet, options []byte) {
	const (
		pad1       = 0
		jumboType  = 0xc2
		jumboOctet = 4
	)
	for len(options) >= 2 {
		if options[0] == pad1 {
			options = options[1:]
			continue
		}
		n := 2 + int(options[1])
		if n > len(options) {
			return
		}
		if options[0] == jumboType && n == 2+jumboOctet {
			length := int(be32(options[2:]))
			if length <= maxIPv4 || length > w.wire {
				return
			}
			w.clip(length)
			p.IPLen = ipv6Header + uint32(length)
			p.Flags &^= LengthUnknown
			return
		}
		options = options[n:]
	}
}

// authentication steps over an AH (RFC 4302 section 2): next header, length in
// 4 octets without the first 8.
func (w *walk) authentication() step {
	if len(w.b) < 12 {
		return w.headerEnds(12)
	}
	n := 8 + 4*int(w.b[1])
	if n < 12 || n > w.wire {
		return w.fail(BadIP)
	}
	if len(w.b) < n {
		return w.fail(SkipTruncated)
	}
	w.proto = w.b[0]
	w.advance(n)
	return atProto
}

// fragment6 reads an IPv6 fragment header. An atomic fragment (RFC 6946),
// offset 0 and no more, is a whole packet.
func (d *Decoder) fragment6(w *walk, p *Packet) step {
	if len(w.b) < 8 {
		return w.headerEnds(8)
	}
	field, id := be16(w.b[2:]), be32(w.b[4:])
	w.proto = w.b[0]
	w.advance(8)
	offset, more := int(field&^7), field&1 != 0
	if offset == 0 && !more {
		return atProto
	}
	return d.fragment(w, p, id, offset, more)
}
