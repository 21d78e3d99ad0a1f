package packet

const (
	erspanHeader   = 8
	erspan3Header  = 12
	erspanPlatform = 8 // type III's optional part
)

// erspan enters ERSPAN type I or II, whose header, if any, is behind n octets
// of GRE (draft-foschiano-erspan-03). They share a protocol type; only type II
// has a GRE sequence number.
func (w *walk) erspan(p *Packet, n int, sequence bool) step {
	if !sequence {
		w.identify(p, ERSPAN1, 0, nil)
		w.advance(n)
		return atEthernet
	}
	if n+erspanHeader > w.wire {
		return declined
	}
	if len(w.b) < n+erspanHeader {
		return w.fail(SkipTruncated)
	}
	h := w.b[n:]
	if h[0]>>4 != 1 {
		return declined
	}
	w.number(be32(w.b[n-4:]))
	w.identify(p, ERSPAN2, erspanSession(h), nil)
	w.advance(n + erspanHeader)
	return atEthernet
}

// erspan3 enters ERSPAN type III. The frame type says what follows the header
// and the platform part: Ethernet or bare IP. With P it is Ethernet in any
// case.
func (w *walk) erspan3(p *Packet, n int, sequence bool) step {
	if n+erspan3Header > w.wire {
		return declined
	}
	if len(w.b) < n+erspan3Header {
		return w.fail(SkipTruncated)
	}
	h := w.b[n:]
	if h[0]>>4 != 2 {
		return declined
	}
	last := be16(h[10:])
	isPDU, frameType, platform := last&0x8000 != 0, last>>10&0x1f, last&1 != 0
	head := n + erspan3Header
	if platform {
		head += erspanPlatform
	}
	if head > w.wire {
		return declined
	}
	if len(w.b) < head {
		return w.fail(SkipTruncated)
	}
	next := atEthernet
	switch {
	case isPDU || frameType == 0:
	case frameType == 2:
		next = atIP
	default:
		return declined
	}
	if sequence {
		w.number(be32(w.b[n-4:]))
	}
	w.identify(p, ERSPAN3, erspanSession(h), nil)
	w.advance(head)
	return next
}

// number notes the GRE sequence number (RFC 2890 section 2.2) of the tunnel that
// is about to name the observation point.
func (w *walk) number(n uint32) {
	if w.kind == NoTunnel {
		w.numbered, w.sequence = true, n
	}
}

// erspanSession reads the 10-bit session id, at one place in types II and III.
func erspanSession(h []byte) uint32 { return uint32(be16(h[2:]) & 0x3ff) }
