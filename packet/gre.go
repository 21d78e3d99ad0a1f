package packet

const (
	greChecksum = 0x8000 // C
	greRouting  = 0x4000 // R of RFC 1701
	greKey      = 0x2000 // K
	greSequence = 0x1000 // S
	greVersion  = 0x0007

	greERSPAN  = 0x88be // ERSPAN type I and II
	greERSPAN3 = 0x22eb
)

// gre enters GRE (RFC 2784, RFC 2890): flags and version, protocol type, then
// 4 octets each for checksum, key and sequence number where flagged.
//
// What the decoder does not read stays a packet of protocol GRE between the
// tunnel's ends: version 1 (PPTP, RFC 2637), source routing (RFC 1701), and
// protocol types without IP in them, keep-alives among them.
func (d *Decoder) gre(w *walk, p *Packet) step {
	b := w.b
	if w.wire < 4 {
		return declined
	}
	if len(b) < 4 {
		return w.fail(SkipTruncated)
	}
	flags, protocol := be16(b), be16(b[2:])
	if flags&(greRouting|greVersion) != 0 {
		return declined
	}
	n := 4
	if flags&greChecksum != 0 {
		n += 4
	}
	keyAt := n
	if flags&greKey != 0 {
		n += 4
	}
	if flags&greSequence != 0 {
		n += 4
	}
	if n > w.wire {
		return declined
	}
	if len(b) < n {
		return w.fail(SkipTruncated)
	}
	switch protocol {
	case greERSPAN:
		return w.erspan(p, n, flags&greSequence != 0)
	case greERSPAN3:
		return w.erspan3(p, n, flags&greSequence != 0)
	case etherTEB:
		if flags == greKey && isVSID(be32(b[keyAt:])) {
			w.enter(NVGRE)
		} else {
			w.enter(GRE)
		}
		w.advance(n)
		return atEthernet
	case etherPPP:
		w.enter(GRE)
		w.advance(n)
		return atPPP
	case etherCiscoMetadata:
		return w.greCiscoMetadata(n)
	case etherIPv4, etherIPv6, etherVLAN, etherQinQ, etherMPLS, etherMPLSMulticast, etherNSH:
		w.enter(GRE)
		w.advance(n)
		return w.ether(protocol)
	}
	return declined
}

// isVSID tells whether a GRE key can be NVGRE's: a virtual subnet id of 24
// bits outside the reserved values, and a flow id of 8 (RFC 7637 section 3.2).
// Other users of keyed transparent Ethernet bridging count keys from 1.
func isVSID(key uint32) bool {
	vsid := key >> 8
	return vsid >= 0x1000 && vsid < 0xffffff
}
