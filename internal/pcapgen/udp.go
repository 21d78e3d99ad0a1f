package pcapgen

// UDP is a UDP header (RFC 768).
type UDP struct {
	SrcPort    uint16
	DstPort    uint16 // 0: the port of the tunnel that follows
	NoChecksum bool   // checksum 0, as tunnels over IPv4 send it
	Partial    bool   // the checksum is only the pseudo-header's sum
	Length     *uint16
	Checksum   *uint16
}

func (l UDP) build(e env) []byte {
	h := make([]byte, 8, 8+len(e.payload))
	be.PutUint16(h, l.SrcPort)
	be.PutUint16(h[2:], or(l.DstPort, portOf(e.next)))
	n := 8 + len(e.payload)
	if n > 0xffff {
		n = 0 // RFC 2675 section 4
	}
	be.PutUint16(h[4:], override(l.Length, uint16(n)))
	b := e.prepend(h)
	if s, ok := e.pseudo(17, len(b)); ok && !l.NoChecksum {
		c := ^fold(sum(s, b))
		if c == 0 {
			c = 0xffff // 0 stands for no checksum
		}
		if l.Partial {
			c = fold(s)
		}
		be.PutUint16(b[6:], c)
	}
	if l.Checksum != nil {
		be.PutUint16(b[6:], *l.Checksum)
	}
	return b
}
