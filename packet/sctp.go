package packet

// sctpHeader is the common header of SCTP (RFC 9260 section 3.1): ports,
// verification tag, checksum. The payload of an SCTP packet is its chunks.
const sctpHeader = 12

// portsOnly reads the two ports that the header of SCTP (RFC 9260 section 3.1)
// and UDP-Lite starts with, as that of UDP. head is the header's length.
func (w *walk) portsOnly(p *Packet, head int) step {
	p.Proto = w.proto
	w.ports(p, head)
	return done
}
