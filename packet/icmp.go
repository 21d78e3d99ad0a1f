package packet

const icmpHeader = 8

// icmp reads an ICMP (RFC 792) or ICMPv6 (RFC 4443) header: type, code,
// checksum, and 4 octets by type. The payload starts behind these 8, for every
// type: of an error it is the quoted packet (see ParseQuote).
func (w *walk) icmp(p *Packet) step {
	p.Proto = w.proto
	b := w.b
	if w.wire >= icmpHeader {
		w.payload(p, icmpHeader)
	} else {
		p.Flags |= BadHeader
	}
	if len(b) < icmpHeader && len(b) < w.wire {
		p.Flags |= HeaderCut
	}
	if len(b) < 2 {
		p.Flags |= PortsUnknown
		return done
	}
	p.ICMPType, p.ICMPCode = b[0], b[1]
	if len(b) >= 4 {
		p.Checksum = be16(b[2:])
	}
	if !isQuery(w.proto, b[0]) {
		p.Kind = ICMPOther
		p.SrcPort = be16(b)
		p.DstPort = p.SrcPort
		return done
	}
	p.Kind = ICMPEcho
	if len(b) < 6 {
		p.Flags |= PortsUnknown
		return done
	}
	p.SrcPort = be16(b[4:])
	p.DstPort = p.SrcPort
	return done
}

// isQuery tells the types that carry an identifier: echo, and IPv4's timestamp
// (RFC 792), information and address mask (RFC 950) messages, requests and
// replies alike.
func isQuery(proto, typ uint8) bool {
	if proto == ProtoICMPv6 {
		return typ == 128 || typ == 129
	}
	return typ == 0 || typ == 8 || typ >= 13 && typ <= 18
}
