package packet

const tcpHeader = 20 // octets, without options

// tcp reads a TCP header (RFC 9293 section 3.1).
func (w *walk) tcp(p *Packet) step {
	p.Proto = ProtoTCP
	b := w.b
	if len(b) < tcpHeader {
		w.tcpCut(p)
		return done
	}
	_ = b[tcpHeader-1]
	t := &p.TCP
	p.SrcPort, p.DstPort = be16(b), be16(b[2:])
	t.Seq, t.Ack = be32(b[4:]), be32(b[8:])
	t.Flags = uint16(b[12]&1)<<8 | uint16(b[13])
	t.Window = be16(b[14:])
	t.Checksum = be16(b[16:])
	head := int(b[12]>>4) << 2
	t.HeaderLen = uint8(head)
	if head < tcpHeader || head > w.wire {
		p.Flags |= BadHeader | OptionsUnknown
		return done
	}
	if head > tcpHeader {
		if len(b) < head {
			head = len(b)
			p.Flags |= OptionsUnknown
		}
		if !t.options(b[tcpHeader:head]) {
			p.Flags |= OptionsUnknown
		}
	}
	w.payload(p, int(t.HeaderLen))
	return done
}

// tcpCut reads as much of a TCP header as there is, field by field.
func (w *walk) tcpCut(p *Packet) {
	b, t := w.b, &p.TCP
	p.Flags |= OptionsUnknown
	if len(b) >= 8 {
		t.Seq = be32(b[4:])
	}
	if len(b) >= 12 {
		t.Ack = be32(b[8:])
	}
	if len(b) >= 14 {
		t.Flags = uint16(b[12]&1)<<8 | uint16(b[13])
	}
	if len(b) >= 16 {
		t.Window = be16(b[14:])
	}
	if len(b) >= 18 {
		t.Checksum = be16(b[16:])
	}
	w.ports(p, tcpHeader)
	p.PayloadLen = 0 // unknown without the data offset
	if len(b) >= 13 {
		head := int(b[12]>>4) << 2
		t.HeaderLen = uint8(head)
		if head < tcpHeader || head > w.wire {
			p.Flags |= BadHeader
		} else {
			p.PayloadLen = uint32(w.wire - head)
		}
	}
}
