package packet

import "encoding/binary"

const (
	ipv4Header = 20    // octets, without options
	maxIPv4    = 65535 // octets that the 16-bit length fields can tell
)

// ipv4 reads an IPv4 header (RFC 791 section 3.1). Each IP header overwrites
// what the one around it left in p.
func (d *Decoder) ipv4(w *walk, p *Packet) step {
	b := w.b
	if len(b) < ipv4Header {
		return w.fail(SkipTruncated)
	}
	_ = b[ipv4Header-1]
	head := int(b[0]&0xf) << 2
	if b[0]>>4 != 4 || head < ipv4Header {
		return w.fail(BadIP)
	}
	total := int(be16(b[2:]))
	flags := p.Flags &^ (Truncated | LengthUnknown)
	if total == 0 || w.wire > maxIPv4 && isOversize(w, total) {
		// Offloaded: the sender's card would have filled the field in, or the
		// packet is larger than it can tell (BIG TCP). The frame's length is
		// what there is.
		total = w.wire
		flags |= LengthUnknown
	}
	if total > w.wire && w.trimmed {
		total = w.wire // see walk.trim
	}
	if total < head {
		return w.fail(BadIP)
	}
	if len(b) < head {
		return w.fail(SkipTruncated)
	}
	if len(b) >= total {
		b = b[:total] // Ethernet pads to 60 octets, switches append trailers
	} else {
		flags |= Truncated
	}
	w.b, w.wire = b[head:], total-head
	w.proto = b[9]
	w.trimmed = false

	p.Flags = flags
	p.IPLen = uint32(total)
	p.Version = 4
	p.TOS = b[1]
	p.TTL = b[8]
	p.IPID = be16(b[4:])
	mappedAddr(&p.Src, b[12:])
	mappedAddr(&p.Dst, b[16:])

	frag := be16(b[6:])
	p.DF = frag&0x4000 != 0
	if frag&0x3fff != 0 { // more fragments, or an offset
		return d.fragment(w, p, uint32(p.IPID), int(frag&0x1fff)<<3, frag&0x2000 != 0)
	}
	return atProto
}

// isOversize tells whether a frame that is longer than IP's 16-bit length can
// tell really is: its octets are captured, or the length is cut to 16 bits.
// Otherwise it is the capture file that claims too much.
func isOversize(w *walk, length int) bool {
	return len(w.b) > maxIPv4 || length == w.wire&0xffff
}

// mappedAddr reads an IPv4 address into its IPv6-mapped form.
func mappedAddr(a *Addr, b []byte) {
	binary.LittleEndian.PutUint64(a[:8], 0)
	binary.LittleEndian.PutUint64(a[8:], 0xffff_0000|uint64(binary.LittleEndian.Uint32(b))<<32)
}

// plausibleIPv4 tells whether b, of wire octets, starts with an IPv4 header.
// A total length beyond wire is no objection: mirrors cut packets.
func plausibleIPv4(b []byte, wire int) bool {
	if len(b) < 4 || wire < ipv4Header || b[0]>>4 != 4 || b[0]&0xf < 5 {
		return false
	}
	total := int(be16(b[2:]))
	return total == 0 || total >= int(b[0]&0xf)<<2
}
