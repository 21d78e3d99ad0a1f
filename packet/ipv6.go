package packet

const ipv6Header = 40 // octets, without extension headers

// ipv6 reads an IPv6 header (RFC 8200 section 3).
func (d *Decoder) ipv6(w *walk, p *Packet) step {
	b := w.b
	if len(b) < ipv6Header {
		return w.fail(SkipTruncated)
	}
	_ = b[ipv6Header-1]
	if b[0]>>4 != 6 {
		return w.fail(BadIP)
	}
	next := b[6]
	length := int(be16(b[4:]))
	total := ipv6Header + length
	flags := p.Flags &^ (Truncated | LengthUnknown)
	if length == 0 && (next == ProtoTCP || next == extHopByHop) && w.wire > total ||
		w.wire > maxIPv4+ipv6Header && (length == 0 || isOversize(w, total)) {
		// A jumbogram (RFC 2675), or an offloaded packet: see ipv4.
		total = w.wire
		flags |= LengthUnknown
	}
	if total > w.wire && w.trimmed {
		total = w.wire // see walk.trim
	}
	if len(b) >= total {
		b = b[:total]
	} else {
		flags |= Truncated
	}
	w.b, w.wire = b[ipv6Header:], total-ipv6Header
	w.proto = next
	w.trimmed = false

	p.Flags = flags
	p.IPLen = uint32(total)
	p.Version = 6
	p.TOS = b[0]<<4 | b[1]>>4
	p.TTL = b[7]
	p.IPID = 0
	p.DF = false
	copy(p.Src[:], b[8:24])
	copy(p.Dst[:], b[24:40])
	return atProto
}

// plausibleIPv6 tells whether b, of wire octets, starts with an IPv6 header.
func plausibleIPv6(b []byte, wire int) bool {
	return len(b) >= 1 && wire >= ipv6Header && b[0]>>4 == 6
}
