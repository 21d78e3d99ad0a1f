package packet

const (
	gtpuHeader = 8
	gtpuGPDU   = 0xff // a user's packet; all other types are for the tunnel's ends
)

// gtpu enters GTP-U (3GPP TS 29.281 section 5.1): flags, message type, length
// of what follows the first 8 octets, TEID. If any of E, S, PN is set, 4 more
// octets follow: sequence number, N-PDU number, type of the next extension
// header. An extension header has its length in 4 octets first and the next
// type last. The user's packet has no type of its own: IP, or the port was a
// coincidence.
func (w *walk) gtpu() step {
	b := w.b
	if w.wire < gtpuHeader+ipv4Header {
		return declined
	}
	if len(b) < gtpuHeader {
		return w.fail(SkipTruncated)
	}
	// Version 1, protocol type GTP (not GTP').
	if b[0]>>4 != 3 || b[1] != gtpuGPDU {
		return declined
	}
	length := int(be16(b[2:]))
	wire := w.wire
	if wire <= maxIPv4 {
		if gtpuHeader+length > wire {
			return declined
		}
		wire = gtpuHeader + length
	}
	n := gtpuHeader
	if b[0]&7 != 0 {
		n += 4
		hasNext := b[0]&4 != 0
		for hasNext {
			if n > wire {
				return declined
			}
			if n > len(b) {
				return w.fail(SkipTruncated)
			}
			if b[n-1] == 0 {
				break
			}
			if n >= len(b) {
				return w.cutOrDeclined(n + 1)
			}
			if b[n] == 0 {
				return declined
			}
			n += 4 * int(b[n])
		}
	}
	if n >= len(b) {
		return w.cutOrDeclined(n + 1)
	}
	var next step
	switch {
	case plausibleIPv4(b[n:], wire-n):
		next = atIPv4
	case plausibleIPv6(b[n:], wire-n):
		next = atIPv6
	case len(b) < n+4 && len(b) < wire && wire-n >= ipv4Header && b[n]>>4 == 4:
		return w.fail(SkipTruncated)
	default:
		return declined
	}
	w.enter(GTPU)
	w.clip(wire)
	w.advance(n)
	return next
}

// cutOrDeclined is for a tunnel header that needs n octets, more than are
// captured.
func (w *walk) cutOrDeclined(n int) step {
	if n > w.wire {
		return declined
	}
	return w.fail(SkipTruncated)
}
