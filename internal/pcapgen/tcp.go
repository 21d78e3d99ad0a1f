package pcapgen

// TCP flags (RFC 9293 section 3.1, RFC 3168; AE is RFC 9768's).
const (
	FIN uint16 = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
	AE
)

// TCP is a TCP header (RFC 9293 section 3.1).
type TCP struct {
	SrcPort, DstPort uint16
	Seq, Ack         uint32
	Flags            uint16
	Window           uint16
	Urgent           uint16
	Options          TCPOptions
	DataOffset       *uint8 // in 32-bit words
	Checksum         *uint16
	Partial          bool // the checksum is only the pseudo-header's sum, as on a sender that leaves the rest to its NIC
}

// TCPOptions are written in the order and with the padding of Linux; what is
// zero is absent.
type TCPOptions struct {
	MSS           uint16
	WScale        *uint8
	SACKPermitted bool
	Timestamps    *Timestamps
	SACK          []SACK
	FastOpen      []byte // RFC 7413 cookie; empty but not nil: a request for one
	Raw           []byte // behind the others
}

// Timestamps is the option of RFC 7323 section 3.
type Timestamps struct{ Val, Ecr uint32 }

// SACK is a block of RFC 2018: [Left, Right).
type SACK struct{ Left, Right uint32 }

func (o TCPOptions) append(b []byte) []byte {
	// at pads with NOPs so that an option's 32-bit fields are aligned.
	at := func(b []byte, n int) []byte {
		for len(b)%4 != n {
			b = append(b, 1)
		}
		return b
	}
	if o.MSS != 0 {
		b = be.AppendUint16(append(b, 2, 4), o.MSS)
	}
	if o.SACKPermitted {
		if o.Timestamps == nil {
			b = at(b, 2)
		}
		b = append(b, 4, 2)
	}
	if o.Timestamps != nil {
		b = append(at(b, 2), 8, 10)
		b = be.AppendUint32(b, o.Timestamps.Val)
		b = be.AppendUint32(b, o.Timestamps.Ecr)
	}
	if o.WScale != nil {
		b = append(at(b, 1), 3, 3, *o.WScale)
	}
	if len(o.SACK) > 0 {
		b = append(at(b, 2), 5, byte(2+8*len(o.SACK)))
		for _, s := range o.SACK {
			b = be.AppendUint32(b, s.Left)
			b = be.AppendUint32(b, s.Right)
		}
	}
	if o.FastOpen != nil {
		b = append(b, 34, byte(2+len(o.FastOpen)))
		b = append(b, o.FastOpen...)
	}
	return at(append(b, o.Raw...), 0)
}

func (l TCP) build(e env) []byte {
	h := make([]byte, 20, 60+len(e.payload))
	be.PutUint16(h, l.SrcPort)
	be.PutUint16(h[2:], l.DstPort)
	be.PutUint32(h[4:], l.Seq)
	be.PutUint32(h[8:], l.Ack)
	h = l.Options.append(h)
	be.PutUint16(h[12:], uint16(override(l.DataOffset, uint8(len(h)/4)))<<12|l.Flags&0x1ff)
	be.PutUint16(h[14:], l.Window)
	be.PutUint16(h[18:], l.Urgent)
	b := e.prepend(h)
	if s, ok := e.pseudo(6, len(b)); ok {
		if l.Partial {
			be.PutUint16(b[16:], fold(s))
		} else {
			be.PutUint16(b[16:], ^fold(sum(s, b)))
		}
	}
	if l.Checksum != nil {
		be.PutUint16(b[16:], *l.Checksum)
	}
	return b
}

// BigTCP gives the layers of a packet beyond 65535 octets as Linux's BIG TCP
// makes it: behind IPv4 or IPv6 with a length of 0, or with a jumbo payload
// option where jumbo is set (IPv6 only).
func BigTCP(ip Layer, jumbo bool, tcp TCP, payload []byte) []Layer {
	if jumbo {
		return []Layer{ip, HopByHop{Jumbo: true}, tcp, Payload(payload)}
	}
	return []Layer{ip, tcp, Payload(payload)}
}
