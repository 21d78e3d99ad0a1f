package pcapgen

// Geneve is RFC 8926 section 3.4.
type Geneve struct {
	VNI      uint32
	Version  uint8
	OAM      bool   // O
	Critical bool   // C
	Protocol uint16 // 0: by the next layer
	Options  []GeneveOption
}

// GeneveOption is one TLV; Data is padded to a multiple of 4 octets.
type GeneveOption struct {
	Class uint16
	Type  uint8
	Data  []byte
}

func (l Geneve) build(e env) []byte {
	h := make([]byte, 8, 72+len(e.payload))
	if l.OAM {
		h[1] |= 0x80
	}
	if l.Critical {
		h[1] |= 0x40
	}
	be.PutUint16(h[2:], typeOr(l.Protocol, e))
	be.PutUint32(h[4:], l.VNI<<8)
	for _, o := range l.Options {
		data := pad4(o.Data)
		h = be.AppendUint16(h, o.Class)
		h = append(h, o.Type, byte(len(data)/4))
		h = append(h, data...)
	}
	h[0] = l.Version<<6 | byte(len(h)/4-2)
	return e.prepend(h)
}

// AWSOptions gives the options of a gateway load balancer (class 0x0108):
// endpoint and attachment id, and a cookie of the flow.
func AWSOptions(endpoint, attachment uint64, flowCookie uint32) []GeneveOption {
	const class = 0x0108
	return []GeneveOption{
		{class, 1, be.AppendUint64(nil, endpoint)},
		{class, 2, be.AppendUint64(nil, attachment)},
		{class, 3, be.AppendUint32(nil, flowCookie)},
	}
}

// GoogleOptions gives the options of Google's packet mirroring (class 0x0132):
// the network's 28-bit cookie with the direction bit, the mirrored interface
// and the security profile.
func GoogleOptions(network uint32, endpoint [16]byte, profile uint64, egress bool) []GeneveOption {
	const class = 0x0132
	net := network << 4
	if egress {
		net |= 1
	}
	return []GeneveOption{
		{class, 1, be.AppendUint32(nil, net)},
		{class, 2, endpoint[:]},
		{class, 3, be.AppendUint64(nil, profile)},
	}
}
