package packet

const (
	vxlanHeader  = 8
	vxlanFlagI   = 0x08 // the VNI is valid
	gpeVersion   = 0x30
	gpeFlagP     = 0x04 // next protocol is given
	gpeFlagOAM   = 0x01
	gpeNextIPv4  = 1
	gpeNextIPv6  = 2
	gpeNextEther = 3
	gpeNextNSH   = 4
	gpeNextMPLS  = 5
)

// vxlan enters VXLAN (RFC 7348 section 5): flags, 3 reserved octets, VNI, 1
// reserved octet, then Ethernet.
//
// Reserved bits are accepted (the group policy extension uses them), but then
// the frame inside must be of a known kind: a UDP port alone proves nothing.
// A header of 08 and zeros proves enough. Without the I flag the VNI means
// nothing by the RFC, yet some exporters leave it out and fill the VNI: taken
// when an IP packet or another known frame follows, as a whole Ethernet header
// with a matching IP header is no accident.
func (w *walk) vxlan(p *Packet) step {
	if w.wire < vxlanHeader+etherHeader {
		return declined
	}
	b := w.b
	if len(b) < vxlanHeader {
		return w.fail(SkipTruncated)
	}
	plain := be32(b) == vxlanFlagI<<24 && b[7] == 0
	if !plain {
		if !plausibleEthernet(b[vxlanHeader:], w.wire-vxlanHeader) {
			return w.vxlanUnproven()
		}
	}
	w.identify(p, VXLAN, be24(b[4:]), nil)
	w.advance(vxlanHeader)
	return atEthernet
}

// vxlanGPE enters VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe): as VXLAN, with the
// next protocol in octet 3 when the P flag is set. Operations messages (O) are
// for the tunnel's ends and carry no packet.
func (w *walk) vxlanGPE(p *Packet) step {
	if w.wire < vxlanHeader {
		return declined
	}
	b := w.b
	if len(b) < vxlanHeader {
		return w.fail(SkipTruncated)
	}
	if b[0]&(gpeVersion|gpeFlagOAM) != 0 {
		return declined
	}
	inner, wire := b[vxlanHeader:], w.wire-vxlanHeader
	protocol := byte(gpeNextEther)
	if b[0]&gpeFlagP != 0 {
		protocol = b[3]
	}
	var next step
	var plausible bool
	switch protocol {
	case gpeNextIPv4:
		next, plausible = atIPv4, plausibleIPv4(inner, wire)
	case gpeNextIPv6:
		next, plausible = atIPv6, plausibleIPv6(inner, wire)
	case gpeNextEther:
		next, plausible = atEthernet, plausibleEthernet(inner, wire)
	case gpeNextNSH:
		_, after, skip := nshPayload(inner, wire)
		next, plausible = atNSH, after != stop || skip == SkipTruncated
	case gpeNextMPLS:
		_, after, skip := mplsPayload(inner, wire)
		next, plausible = atMPLS, after != stop || skip == SkipTruncated
	}
	if !plausible {
		return w.vxlanUnproven()
	}
	w.identify(p, VXLANGPE, be24(b[4:]), nil)
	w.advance(vxlanHeader)
	if next == atMPLS {
		w.enter(MPLS)
	}
	return next
}

// vxlanUnproven ends at a header whose content does not prove it. Where the
// capture cuts the content short, the I flag has to do.
func (w *walk) vxlanUnproven() step {
	if len(w.b) < w.wire && len(w.b) < vxlanHeader+etherHeader+4 && w.b[0]&vxlanFlagI != 0 {
		return w.fail(SkipTruncated)
	}
	return declined
}
