package pcapgen

import "net/netip"

// IPv4 is an IPv4 header (RFC 791).
type IPv4 struct {
	Src, Dst netip.Addr
	TTL      uint8 // 0: 64
	TOS      uint8 // DSCP and ECN
	ID       uint16
	DF, MF   bool
	Offset   uint16 // of a fragment, octets, a multiple of 8
	Protocol uint8  // 0: by the next layer
	Options  []byte // padded with zeros to a multiple of 4
	Length   *uint16
	Checksum *uint16
}

// build sets the total length to 0 where the packet is longer than the field
// can say, as Linux does for BIG TCP.
func (l IPv4) build(e env) []byte {
	opts := pad4(l.Options)
	h := make([]byte, 20, 20+len(opts)+len(e.payload))
	n := 20 + len(opts) + len(e.payload)
	if n > 0xffff {
		n = 0
	}
	h[0] = 4<<4 | uint8(5+len(opts)/4)
	h[1] = l.TOS
	be.PutUint16(h[2:], override(l.Length, uint16(n)))
	be.PutUint16(h[4:], l.ID)
	frag := l.Offset / 8
	if l.DF {
		frag |= 1 << 14
	}
	if l.MF {
		frag |= 1 << 13
	}
	be.PutUint16(h[6:], frag)
	h[8] = or(l.TTL, 64)
	if h[9] = l.Protocol; h[9] == 0 {
		h[9] = protoOf(e.next)
	}
	copy(h[12:], l.Src.AsSlice())
	copy(h[16:], l.Dst.AsSlice())
	h = append(h, opts...)
	be.PutUint16(h[10:], override(l.Checksum, ^fold(sum(0, h))))
	return e.prepend(h)
}

// pad4 gives b with zeros up to a multiple of 4 octets.
func pad4(b []byte) []byte {
	for len(b)%4 != 0 {
		b = append(b[:len(b):len(b)], 0)
	}
	return b
}
