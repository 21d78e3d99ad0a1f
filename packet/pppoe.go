package packet

// pppoe reads a PPPoE session header (RFC 2516 section 4): version and type 1,
// code 0, session id, length of what follows.
func (w *walk) pppoe() step {
	if len(w.b) < 6 {
		return w.fail(SkipTruncated)
	}
	if w.b[0] != 0x11 {
		return w.fail(BadTunnel)
	}
	if w.b[1] != 0 {
		return w.fail(NotIP)
	}
	n := int(be16(w.b[4:]))
	w.enter(PPPoE)
	w.advance(6)
	if w.wire <= maxIPv4 { // else an offloaded packet that the field cannot tell
		w.trim(n)
	}
	return atPPP
}
