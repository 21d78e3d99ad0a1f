package packet

// nsh reads a network service header (RFC 8300 section 2): version, lengths in
// units of 4 octets, metadata type, next protocol, service path, context.
func (w *walk) nsh() step {
	n, next, skip := nshPayload(w.b, w.wire)
	if next == stop {
		return w.fail(skip)
	}
	w.enter(NSH)
	w.advance(n)
	if next == atMPLS {
		w.enter(MPLS)
	}
	return next
}

// nshPayload checks the header that b starts with: next is the step after its
// n octets, or stop and the reason.
func nshPayload(b []byte, wire int) (n int, next step, skip Skip) {
	if len(b) < 4 {
		return 0, stop, SkipTruncated
	}
	n = 4 * int(b[1]&0x3f)
	mdType := b[2] & 0xf
	if b[0]>>6 != 0 || n < 8 || n > wire || mdType == 1 && n != 24 {
		return 0, stop, BadTunnel
	}
	if len(b) < n {
		return 0, stop, SkipTruncated
	}
	switch b[3] {
	case 1:
		return n, atIPv4, OK
	case 2:
		return n, atIPv6, OK
	case 3:
		return n, atEthernet, OK
	case 4:
		return n, atNSH, OK
	case 5:
		return n, atMPLS, OK
	}
	return 0, stop, NotIP
}
