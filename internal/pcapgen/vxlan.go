package pcapgen

// VXLAN is a VXLAN header (RFC 7348 section 5).
type VXLAN struct {
	VNI       uint32  // 24 bits
	Flags     uint8   // 0: 0x08, VNI valid
	Reserved  [3]byte // octets 1 to 3: group policy and the like
	Reserved2 uint8   // last octet
}

func (l VXLAN) build(e env) []byte {
	h := []byte{or(l.Flags, 0x08), l.Reserved[0], l.Reserved[1], l.Reserved[2]}
	return e.prepend(be.AppendUint32(h, l.VNI<<8|uint32(l.Reserved2)))
}

// VXLANGPE is draft-ietf-nvo3-vxlan-gpe.
type VXLANGPE struct {
	VNI   uint32
	Flags uint8 // 0: 0x0c, VNI valid and next protocol
	Next  uint8 // 0: by the next layer
}

func (l VXLANGPE) build(e env) []byte {
	h := []byte{or(l.Flags, 0x0c), 0, 0, l.Next}
	if l.Next == 0 {
		h[3] = nextOf(e.next, 5)
	}
	return e.prepend(be.AppendUint32(h, l.VNI<<8))
}
