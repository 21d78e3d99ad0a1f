package packet

// Labels with a meaning of their own (RFC 3032 section 2.1).
const (
	labelIPv4Null = 0
	labelIPv6Null = 2
)

// maxLabels bounds a label stack. Segment routing pushes about ten.
const maxLabels = 32

// mpls reads a label stack (RFC 3032) and guesses what it carries, which no
// field tells.
func (w *walk) mpls() step {
	n, next, skip := mplsPayload(w.b, w.wire)
	if next == stop {
		return w.fail(skip)
	}
	w.advance(n)
	return next
}

// mplsPayload finds the end of the label stack that b starts with, and what
// follows: next is the step after n octets, or stop and the reason.
//
// The guess: explicit null labels say the version. Otherwise the first four
// bits do (RFC 4928: 4 and 6 are IP, 0 is a pseudowire's control word or
// associated channel), if the rest of the IP header agrees: the addresses of a
// bare Ethernet pseudowire may start with any digit.
func mplsPayload(b []byte, wire int) (n int, next step, skip Skip) {
	var label uint32
	for i := 0; ; i++ {
		if i == maxLabels {
			return 0, stop, BadTunnel
		}
		if len(b) < n+4 {
			return 0, stop, SkipTruncated
		}
		entry := be32(b[n:])
		n += 4
		if entry&0x100 != 0 { // bottom of stack
			label = entry >> 12
			break
		}
	}
	b, wire = b[n:], wire-n
	if len(b) == 0 {
		return 0, stop, SkipTruncated
	}
	switch label {
	case labelIPv4Null:
		return n, atIPv4, OK
	case labelIPv6Null:
		return n, atIPv6, OK
	}
	switch b[0] >> 4 {
	case 4:
		if plausibleIPv4(b, wire) || !plausibleEthernet(b, wire) {
			return n, atIPv4, OK
		}
	case 6:
		if plausibleIPv6(b, wire) || !plausibleEthernet(b, wire) {
			return n, atIPv6, OK
		}
	case 0:
		if len(b) >= 4 && plausibleEthernet(b[4:], wire-4) {
			return n + 4, atEthernet, OK
		}
	}
	if plausibleEthernet(b, wire) {
		return n, atEthernet, OK
	}
	if len(b) < wire && len(b) < 4+etherHeader+4 {
		return 0, stop, SkipTruncated // too little left to guess by
	}
	return 0, stop, NotIP
}

// mplsIn enters a label stack that an IP or UDP header announces, listed as t.
// It declines what is none.
func (w *walk) mplsIn(t Tunnel) step {
	n, next, skip := mplsPayload(w.b, w.wire)
	switch {
	case next != stop:
		w.enter(t)
		w.advance(n)
		return next
	case skip == SkipTruncated && w.wire > len(w.b):
		return w.fail(skip)
	}
	return declined
}
