package packet

const (
	geneveHeader  = 8
	geneveControl = 0x80 // the O flag

	classAWS    = 0x0108 // IANA: Amazon
	classGoogle = 0x0132 // IANA: Google
)

// geneve enters GENEVE (RFC 8926 section 3.4): version and length of the
// options in 4 octets, flags, protocol type, VNI, 1 reserved octet, options.
//
// Version 0, a protocol type that the decoder reads and options that fit are
// proof enough. Control packets are for the tunnel's ends and carry no packet.
func (w *walk) geneve(p *Packet) step {
	b := w.b
	if w.wire < geneveHeader {
		return declined
	}
	if len(b) < geneveHeader {
		return w.fail(SkipTruncated)
	}
	n := geneveHeader + 4*int(b[0]&0x3f)
	if b[0]>>6 != 0 || b[1]&geneveControl != 0 || n > w.wire {
		return declined
	}
	var next step
	switch be16(b[2:]) {
	case etherTEB:
		next = atEthernet
	case etherIPv4:
		next = atIPv4
	case etherIPv6:
		next = atIPv6
	case etherMPLS, etherMPLSMulticast:
		next = atMPLS
	case etherNSH:
		next = atNSH
	default:
		return declined
	}
	if len(b) < n {
		return w.fail(SkipTruncated)
	}
	var cookies Cookies
	cookies.read(b[geneveHeader:n])
	w.identify(p, Geneve, be24(b[4:]), &cookies)
	w.advance(n)
	if next == atMPLS {
		w.enter(MPLS)
	}
	return next
}

// read takes the identity of a mirrored interface from GENEVE options (RFC
// 8926 section 3.5): class, type, 3 reserved bits and length in 4 octets, then
// data. Options come in any order; one that does not fit ends the list.
func (c *Cookies) read(options []byte) {
	for len(options) >= 4 {
		class, typ := be16(options), options[2]
		n := 4 + 4*int(options[3]&0x1f)
		if n > len(options) {
			return
		}
		v := options[4:n]
		switch {
		case class == classAWS && typ == 1 && len(v) == 8: // endpoint
			c.Class = class
			copy(c.ID[:8], v)
		case class == classAWS && typ == 2 && len(v) == 8: // attachment
			c.Class = class
			copy(c.ID[8:], v)
		case class == classGoogle && typ == 1 && len(v) == 4: // network id, then 4 flags; the lowest is the direction
			c.Class = class
			c.Net = be32(v) >> 4
		case class == classGoogle && typ == 2 && len(v) == 16: // endpoint
			c.Class = class
			copy(c.ID[:], v)
		}
		options = options[n:]
	}
}
