package pcapgen

// GRE is a GRE header (RFC 2784, RFC 2890).
type GRE struct {
	Checksum bool // C
	Key      *uint32
	Seq      *uint32
	Protocol uint16 // 0: by the next layer
	Flags    uint16 // further bits of the first two octets: routing, version …
}

func (l GRE) build(e env) []byte {
	flags := l.Flags
	h := make([]byte, 4, 16+len(e.payload))
	if l.Checksum {
		flags |= 0x8000
		h = append(h, 0, 0, 0, 0)
	}
	if l.Key != nil {
		flags |= 0x2000
		h = be.AppendUint32(h, *l.Key)
	}
	if l.Seq != nil {
		flags |= 0x1000
		h = be.AppendUint32(h, *l.Seq)
	}
	be.PutUint16(h, flags)
	be.PutUint16(h[2:], typeOr(l.Protocol, e))
	b := e.prepend(h)
	if l.Checksum {
		be.PutUint16(b[4:], ^fold(sum(0, b)))
	}
	return b
}

// NVGRE is GRE with a key of network and flow id; Ethernet follows (RFC 7637).
type NVGRE struct {
	VSID   uint32 // 24 bits
	FlowID uint8
}

func (l NVGRE) build(e env) []byte {
	return GRE{Key: new(l.VSID<<8 | uint32(l.FlowID)), Protocol: etherTEB}.build(e)
}

// ERSPAN1 is GRE with protocol 0x88be and no sequence number, and no header of
// its own (draft-foschiano-erspan-03).
type ERSPAN1 struct{}

func (l ERSPAN1) build(e env) []byte { return GRE{Protocol: etherERSPAN}.build(e) }

// ERSPAN2 is the GRE header and the type II header.
type ERSPAN2 struct {
	Seq       uint32
	VLAN      uint16 // of the original frame, 12 bits
	COS       uint8
	En        uint8 // encapsulation of the original frame, 2 bits: 3 for a tag that is still in it
	Truncated bool
	Session   uint16 // 10 bits
	Index     uint32 // 20 bits
}

func (l ERSPAN2) build(e env) []byte {
	h := erspanWord(1, l.VLAN, l.COS, l.En, l.Truncated, l.Session)
	h = be.AppendUint32(h, l.Index&0xfffff)
	e.payload = e.prepend(h)
	return GRE{Seq: &l.Seq, Protocol: etherERSPAN}.build(e)
}

// ERSPAN3 is the GRE header and the type III header. FrameType 2 says that an
// IP packet follows without Ethernet; it is set where the next layer is IP.
type ERSPAN3 struct {
	Seq         uint32
	VLAN        uint16
	COS         uint8
	BSO         uint8
	Truncated   bool
	Session     uint16
	Timestamp   uint32
	SGT         uint16
	FrameType   uint8
	HardwareID  uint8
	Egress      bool
	Granularity uint8
	Platform    *uint64 // platform specific subheader: 6 bits id, 58 bits of its data
}

func (l ERSPAN3) build(e env) []byte {
	h := erspanWord(2, l.VLAN, l.COS, l.BSO, l.Truncated, l.Session)
	h = be.AppendUint32(h, l.Timestamp)
	h = be.AppendUint16(h, l.SGT)
	ft := l.FrameType
	switch e.next.(type) {
	case IPv4, IPv6, Packet:
		ft = or(ft, 2)
	}
	w := uint16(ft&31)<<10 | uint16(l.HardwareID&63)<<4 | uint16(l.Granularity&3)<<1
	if ft == 0 {
		w |= 1 << 15 // P: an Ethernet frame follows
	}
	if l.Egress {
		w |= 1 << 3
	}
	if l.Platform != nil {
		w |= 1
	}
	h = be.AppendUint16(h, w)
	if l.Platform != nil {
		h = be.AppendUint64(h, *l.Platform)
	}
	e.payload = e.prepend(h)
	return GRE{Seq: &l.Seq, Protocol: etherERSPAN3}.build(e)
}

func erspanWord(version uint8, vlan uint16, cos, bits uint8, truncated bool, session uint16) []byte {
	h := be.AppendUint16(nil, uint16(version)<<12|vlan&0xfff)
	w := uint16(cos&7)<<13 | uint16(bits&3)<<11 | session&0x3ff
	if truncated {
		w |= 1 << 10
	}
	return be.AppendUint16(h, w)
}
