package pcapgen

import "net/netip"

// IPv6 is an IPv6 header (RFC 8200 section 3).
type IPv6 struct {
	Src, Dst     netip.Addr
	HopLimit     uint8 // 0: 64
	TrafficClass uint8
	FlowLabel    uint32 // 20 bits
	Next         *uint8
	Length       *uint16 // payload length
}

// build sets the payload length to 0 where the packet is longer than the field
// can say: a jumbogram (RFC 2675), or Linux's BIG TCP without the option.
func (l IPv6) build(e env) []byte {
	h := make([]byte, 40, 40+len(e.payload))
	be.PutUint32(h, 6<<28|uint32(l.TrafficClass)<<20|l.FlowLabel&0xfffff)
	n := len(e.payload)
	if n > 0xffff {
		n = 0
	}
	be.PutUint16(h[4:], override(l.Length, uint16(n)))
	h[6] = nextHeader(l.Next, e)
	h[7] = or(l.HopLimit, 64)
	copy(h[8:], l.Src.AsSlice())
	copy(h[24:], l.Dst.AsSlice())
	return e.prepend(h)
}

func nextHeader(p *uint8, e env) uint8 {
	if p != nil {
		return *p
	}
	return protoOf(e.next)
}

// HopByHop is the hop-by-hop options header (RFC 8200 section 4.3).
type HopByHop struct {
	Jumbo   bool   // jumbo payload option with the packet's length (RFC 2675)
	Options []byte // further options, padded here
	Next    *uint8
}

func (l HopByHop) build(e env) []byte {
	h := []byte{nextHeader(l.Next, e), 0}
	if l.Jumbo {
		h = append(h, 0xc2, 4, 0, 0, 0, 0)
	}
	h = padOptions(append(h, l.Options...))
	if l.Jumbo {
		be.PutUint32(h[4:], uint32(len(h)+len(e.payload)))
	}
	return e.prepend(h)
}

// DestinationOptions is RFC 8200 section 4.6.
type DestinationOptions struct {
	Options []byte // padded here
	Next    *uint8
}

func (l DestinationOptions) build(e env) []byte {
	return e.prepend(padOptions(append([]byte{nextHeader(l.Next, e), 0}, l.Options...)))
}

// padOptions pads an options header to a multiple of 8 octets with Pad1 or
// PadN and sets its length.
func padOptions(h []byte) []byte {
	switch n := (8 - len(h)%8) % 8; n {
	case 0:
	case 1:
		h = append(h, 0)
	default:
		h = append(h, 1, byte(n-2))
		h = append(h, make([]byte, n-2)...)
	}
	h[1] = byte(len(h)/8 - 1)
	return h
}

// Routing is a routing header with addresses: type 2 or 3 as in RFC 8200
// section 4.4's general form, or a segment routing header (RFC 8754).
type Routing struct {
	Type         uint8
	SegmentsLeft uint8
	Addrs        []netip.Addr
	Next         *uint8
}

const routingSegments = 4 // RFC 8754: segments in reverse order

func (l Routing) finalIndex() int {
	if l.Type == routingSegments {
		return 0
	}
	return len(l.Addrs) - 1
}

func (l Routing) build(e env) []byte {
	h := []byte{nextHeader(l.Next, e), byte(2 * len(l.Addrs)), l.Type, l.SegmentsLeft, 0, 0, 0, 0}
	if l.Type == routingSegments {
		h[4] = byte(len(l.Addrs) - 1) // last entry
	}
	for _, a := range l.Addrs {
		h = append(h, a.AsSlice()...)
	}
	return e.prepend(h)
}

// IPv6Fragment is the fragment header (RFC 8200 section 4.5).
type IPv6Fragment struct {
	ID     uint32
	Offset uint16 // octets, a multiple of 8
	More   bool
	Next   *uint8
}

func (l IPv6Fragment) build(e env) []byte {
	h := []byte{nextHeader(l.Next, e), 0}
	off := l.Offset &^ 7
	if l.More {
		off |= 1
	}
	h = be.AppendUint16(h, off)
	return e.prepend(be.AppendUint32(h, l.ID))
}

// AH is an authentication header (RFC 4302), in IPv4 or IPv6.
type AH struct {
	SPI, Seq uint32
	ICV      []byte // nil: 12 zero octets
	Next     *uint8
}

func (l AH) build(e env) []byte {
	icv := l.ICV
	if icv == nil {
		icv = make([]byte, 12)
	}
	h := []byte{nextHeader(l.Next, e), byte((12+len(icv))/4 - 2), 0, 0}
	h = be.AppendUint32(h, l.SPI)
	h = be.AppendUint32(h, l.Seq)
	return e.prepend(append(h, icv...))
}

// ESP is an encapsulated payload (RFC 4303): all behind it is ciphertext.
type ESP struct{ SPI, Seq uint32 }

func (l ESP) build(e env) []byte {
	return e.prepend(be.AppendUint32(be.AppendUint32(nil, l.SPI), l.Seq))
}
