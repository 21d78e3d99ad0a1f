package pcapgen

// GTPU is GTP version 1 in the user plane (3GPP TS 29.281 section 5.1).
type GTPU struct {
	TEID       uint32
	Message    uint8   // 0: 255, a G-PDU
	Seq        *uint16 // S
	NPDU       *uint8  // PN
	Extensions []GTPExtension
}

// GTPExtension is an extension header; Content is padded so that with length
// and next type it is a multiple of 4 octets.
type GTPExtension struct {
	Type    uint8 // 0x85: PDU session container
	Content []byte
}

func (l GTPU) build(e env) []byte {
	h := []byte{0x30, or(l.Message, 255), 0, 0}
	h = be.AppendUint32(h, l.TEID)
	if l.Seq != nil || l.NPDU != nil || len(l.Extensions) > 0 {
		h = be.AppendUint16(h, override(l.Seq, 0))
		h = append(h, override(l.NPDU, 0), 0)
	}
	if l.NPDU != nil {
		h[0] |= 1
	}
	if l.Seq != nil {
		h[0] |= 2
	}
	for _, x := range l.Extensions {
		h[0] |= 4
		h[len(h)-1] = x.Type // the last octet of what stands before names the next
		c := x.Content
		for (len(c)+2)%4 != 0 {
			c = append(c[:len(c):len(c)], 0)
		}
		h = append(h, byte((len(c)+2)/4))
		h = append(h, c...)
		h = append(h, 0)
	}
	be.PutUint16(h[2:], uint16(len(h)-8+len(e.payload)))
	return e.prepend(h)
}

// TZSP is the TaZmen sniffer protocol, version 1, with its tags.
type TZSP struct {
	Type     uint8  // 0 received, 1 to be sent
	Protocol uint16 // 0: 1, Ethernet
	Tags     []TZSPTag
}

// TZSPTag is one tagged field; type 0 is a padding octet without a length.
type TZSPTag struct {
	Type uint8
	Data []byte
}

func (l TZSP) build(e env) []byte {
	h := be.AppendUint16([]byte{1, l.Type}, or(l.Protocol, 1))
	for _, t := range l.Tags {
		if h = append(h, t.Type); t.Type != 0 {
			h = append(append(h, byte(len(t.Data))), t.Data...)
		}
	}
	return e.prepend(append(h, 1)) // end of tags
}

// NSH is a network service header (RFC 8300 section 2).
type NSH struct {
	Path     uint32 // service path id, 24 bits
	Index    uint8  // service index
	TTL      uint8  // 0: 63
	MDType   uint8  // 0: 1, a context header of 16 octets; 2: Metadata
	Context  [16]byte
	Metadata []byte // of MD type 2: TLVs, padded to a multiple of 4
	Next     uint8  // 0: by the next layer
}

func (l NSH) build(e env) []byte {
	md := l.Context[:]
	if l.MDType == 2 {
		md = pad4(l.Metadata)
	}
	words := 2 + len(md)/4
	h := be.AppendUint16(nil, uint16(or(l.TTL, 63)&63)<<6|uint16(words&63))
	h = append(h, or(l.MDType, 1), l.Next)
	if l.Next == 0 {
		h[3] = nextOf(e.next, 5)
	}
	h = be.AppendUint32(h, l.Path<<8|uint32(l.Index))
	return e.prepend(append(h, md...))
}
