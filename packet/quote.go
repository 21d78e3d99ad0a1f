package packet

// Quote is the packet that an ICMP error is about, from the part of it that
// the error quotes: the key fields of its flow, as the sender of that packet
// wrote them.
type Quote struct {
	Hash             uint64 // SymmetricHash of the fields below
	Src, Dst         Addr
	Seq              uint32 // TCP sequence number, with HasSeq
	SrcPort, DstPort uint16 // as in Packet
	Proto            uint8
	Version          uint8
	Kind             uint8 // as in Packet
	HasSeq           bool
	HasPorts         bool // false where they are not quoted, or the protocol has none
}

// ParseQuote reads the packet that p, an ICMP or ICMPv6 error, quotes into q,
// and tells whether there is one: p is destination unreachable, time exceeded,
// parameter problem, source quench, redirect (RFC 792), or ICMPv6's
// destination unreachable, packet too big, time exceeded, parameter problem
// (RFC 4443) or redirect (RFC 4861), and the quoted IP header is whole. q is
// overwritten and holds no reference to p.
func ParseQuote(p *Packet, q *Quote) bool {
	*q = Quote{}
	b := p.Payload
	switch p.Proto {
	case ProtoICMP:
		switch p.ICMPType {
		case 3, 4, 5, 11, 12:
			return q.parse(b, 4)
		}
	case ProtoICMPv6:
		switch p.ICMPType {
		case 1, 2, 3, 4:
			return q.parse(b, 6)
		case 137:
			return q.parse(redirected(b), 6)
		}
	}
	return false
}

// redirected finds the Redirected Header option (RFC 4861 section 4.6.3) in
// what follows the 8-octet header of an ICMPv6 redirect: two addresses, then
// options with their length in 8 octets.
func redirected(b []byte) []byte {
	const optRedirected = 4
	if len(b) < 32 {
		return nil
	}
	b = b[32:]
	for len(b) >= 8 && b[1] != 0 {
		n := 8 * int(b[1])
		if b[0] == optRedirected {
			return b[8:min(n, len(b))]
		}
		if n > len(b) {
			break
		}
		b = b[n:]
	}
	return nil
}

// parse reads the IP header at b, of the given version, and the start of what
// follows. Tunnels are not entered: the error is about the outer packet.
func (q *Quote) parse(b []byte, version uint8) bool {
	if len(b) == 0 || b[0]>>4 != version {
		return false
	}
	first := true // of a fragmented packet, the part with the transport header
	if version == 4 {
		head := int(b[0]&0xf) << 2
		if head < ipv4Header || len(b) < head {
			return false
		}
		mappedAddr(&q.Src, b[12:])
		mappedAddr(&q.Dst, b[16:])
		q.Proto = b[9]
		first = be16(b[6:])&0x1fff == 0
		b = b[head:]
	} else {
		if len(b) < ipv6Header {
			return false
		}
		copy(q.Src[:], b[8:24])
		copy(q.Dst[:], b[24:40])
		q.Proto = b[6]
		b = b[ipv6Header:]
	}
	q.Version = version
	if first {
		if b, first = q.extensions(b); first {
			q.transport(b)
		}
	}
	q.Hash = SymmetricHash(&q.Src, &q.Dst, q.SrcPort, q.DstPort, q.Proto, q.Kind)
	return true
}

// extensions steps over extension headers, and tells whether b starts with the
// protocol behind them.
func (q *Quote) extensions(b []byte) ([]byte, bool) {
	for range maxDepth {
		n := 0
		switch q.Proto {
		case extHopByHop, extRouting, extDestination, extFragment:
			if q.Version == 4 {
				return b, true
			}
			if len(b) < 8 {
				return nil, false
			}
			n = 8
			if q.Proto != extFragment {
				n += 8 * int(b[1])
			} else if be16(b[2:])&^7 != 0 {
				q.Proto = b[0]
				return nil, false
			}
		case ProtoAH:
			if len(b) < 8 {
				return nil, false
			}
			n = 8 + 4*int(b[1])
		default:
			return b, true
		}
		if len(b) < n {
			return nil, false
		}
		q.Proto = b[0]
		b = b[n:]
	}
	return nil, false
}

// transport reads the ports, or what stands for them, of the protocol at b.
func (q *Quote) transport(b []byte) {
	switch q.Proto {
	case ProtoTCP, ProtoUDP, ProtoSCTP, protoUDPLite:
		if len(b) < 4 {
			return
		}
		q.SrcPort, q.DstPort = be16(b), be16(b[2:])
		q.HasPorts = true
		if q.Proto == ProtoTCP && len(b) >= 8 {
			q.Seq, q.HasSeq = be32(b[4:]), true
		}
	case ProtoICMP, ProtoICMPv6:
		if len(b) < 2 || (q.Proto == ProtoICMP) != (q.Version == 4) {
			return
		}
		if !isQuery(q.Proto, b[0]) {
			q.Kind, q.SrcPort, q.HasPorts = ICMPOther, be16(b), true
		} else if q.Kind = ICMPEcho; len(b) >= 6 {
			q.SrcPort, q.HasPorts = be16(b[4:]), true
		}
		q.DstPort = q.SrcPort
	}
}
