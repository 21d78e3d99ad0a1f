package packet

const (
	protoMPLS    = 137 // RFC 4023
	protoUDPLite = 136 // RFC 3828
)

// transport goes on by IP protocol number.
func (d *Decoder) transport(w *walk, p *Packet) step {
	switch w.proto {
	case ProtoTCP:
		return w.tcp(p)
	case ProtoUDP:
		return d.udp(w, p)
	case ProtoICMP:
		if p.Version == 4 {
			return w.icmp(p)
		}
	case ProtoICMPv6:
		if p.Version == 6 {
			return w.icmp(p)
		}
	case ProtoSCTP:
		return w.portsOnly(p, sctpHeader)
	case protoUDPLite:
		return w.portsOnly(p, udpHeader)
	case ProtoIPIP:
		return d.ipip(w, p, 4, atIPv4)
	case ProtoIPv6:
		return d.ipip(w, p, 6, atIPv6)
	case ProtoGRE:
		if next := d.gre(w, p); next != declined {
			return next
		}
		d.Declined[GRE]++
	case protoMPLS:
		if next := w.mplsIn(MPLS); next != declined {
			return next
		}
		d.Declined[MPLS]++
	case ProtoAH:
		return w.authentication()
	case extHopByHop, extRouting, extDestination, extMobility, extHIP, extShim6:
		if p.Version == 6 {
			return w.extension(p)
		}
	case extFragment:
		if p.Version == 6 {
			return d.fragment6(w, p)
		}
	}
	return w.other(p)
}

// ipip enters IP in IP (RFC 2003, RFC 2473, RFC 4213).
func (d *Decoder) ipip(w *walk, p *Packet, version uint8, next step) step {
	if len(w.b) > 0 && w.b[0]>>4 != version {
		d.Declined[IPIP]++
		return w.other(p)
	}
	w.enter(IPIP)
	return next
}

// other ends at a protocol without a transport header that the decoder reads.
func (w *walk) other(p *Packet) step {
	p.Proto = w.proto
	p.Flags |= PortsUnknown
	w.payload(p, 0)
	return done
}

// payload sets the payload, which starts n octets on. n may be beyond the end
// of the captured octets, never beyond that of the packet.
func (w *walk) payload(p *Packet, n int) {
	p.PayloadLen = uint32(w.wire - n)
	if n < len(w.b) {
		p.Payload = w.b[n:]
	}
}

// ports reads two ports and sets the payload behind a header of head octets,
// and tells whether all of the header is there.
func (w *walk) ports(p *Packet, head int) bool {
	if len(w.b) >= 4 {
		p.SrcPort, p.DstPort = be16(w.b), be16(w.b[2:])
	} else {
		p.Flags |= PortsUnknown
	}
	if w.wire < head {
		p.Flags |= BadHeader
		return false
	}
	w.payload(p, head)
	if len(w.b) < head {
		p.Flags |= HeaderCut
		return false
	}
	return true
}
