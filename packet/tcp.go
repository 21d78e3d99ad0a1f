package packet

const tcpHeader = 20 // octets, without options

// TCP option kinds (IANA).
const (
	optEnd           = 0
	optNOP           = 1
	optMSS           = 2
	optWScale        = 3
	optSACKPermitted = 4
	optSACK          = 5
	optTimestamps    = 8
	optFastOpen      = 34
	optExperiment    = 254
	fastOpenMagic    = 0xf989 // experiment id of Fast Open before kind 34 (RFC 7413 section 4.1.1)
)

// timestampsAlone are the first 4 of 12 octets of options that hold nothing but
// time stamps.
const timestampsAlone = optNOP<<24 | optNOP<<16 | optTimestamps<<8 | 10

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
	if t.Checksum == 0 || t.Checksum == pseudoSum(p, w.wire) {
		p.Flags |= ChecksumPartial
	}
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

// options reads a list of TCP options, and tells whether it was well-formed.
// Unknown kinds are skipped (RFC 9293 section 3.1).
func (t *TCP) options(b []byte) bool {
	if len(b) == 12 && be32(b) == timestampsAlone {
		// The layout that nearly every segment has (RFC 7323 appendix A).
		t.Has |= HasTimestamps
		t.TSval, t.TSecr = be32(b[4:]), be32(b[8:])
		return true
	}
	ok := true
	for len(b) > 0 {
		kind := b[0]
		if kind == optNOP {
			b = b[1:]
			continue
		}
		if kind == optEnd {
			break
		}
		if len(b) < 2 {
			return false
		}
		n := int(b[1])
		if n < 2 || n > len(b) {
			return false
		}
		if !t.option(kind, b[2:n]) {
			ok = false
		}
		b = b[n:]
	}
	return ok
}

// option reads one option, and tells whether its length fits its kind.
func (t *TCP) option(kind byte, v []byte) bool {
	switch kind {
	case optTimestamps:
		if len(v) != 8 {
			return false
		}
		t.Has |= HasTimestamps
		t.TSval, t.TSecr = be32(v), be32(v[4:])
	case optSACK:
		if len(v) == 0 || len(v)&7 != 0 || len(v) > 8*len(t.SACK) {
			return false
		}
		t.Has |= HasSACK
		t.NumSACK = uint8(len(v) / 8)
		for i := range len(v) / 8 {
			t.SACK[i] = SACK{be32(v[8*i:]), be32(v[8*i+4:])}
		}
	case optMSS:
		if len(v) != 2 {
			return false
		}
		t.Has |= HasMSS
		t.MSS = be16(v)
	case optWScale:
		if len(v) != 1 {
			return false
		}
		t.Has |= HasWScale
		t.WScale = v[0]
	case optSACKPermitted:
		if len(v) != 0 {
			return false
		}
		t.Has |= HasSACKPermitted
	case optFastOpen:
		t.Has |= HasFastOpen
		t.FastOpenBytes = uint8(len(v))
	case optExperiment:
		if len(v) >= 2 && be16(v) == fastOpenMagic {
			t.Has |= HasFastOpen
			t.FastOpenBytes = uint8(len(v) - 2)
		}
	}
	return true
}
