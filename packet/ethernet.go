package packet

import "encoding/binary"

// EtherTypes (IEEE registry) that the decoder reads.
const (
	etherIPv4          = 0x0800
	etherARP           = 0x0806
	etherTEB           = 0x6558 // transparent Ethernet bridging, in GRE and GENEVE
	etherVLAN          = 0x8100 // IEEE 802.1Q
	etherIPv6          = 0x86dd
	etherMPLS          = 0x8847 // RFC 5332: the label was assigned downstream
	etherMPLSMulticast = 0x8848 // RFC 5332: or upstream
	etherPPPoE         = 0x8864 // session stage, RFC 2516
	etherPPP           = 0x880b // in GRE
	etherQinQ          = 0x88a8 // IEEE 802.1ad
	etherLLDP          = 0x88cc
	etherCiscoMetadata = 0x8909
	etherNSH           = 0x894f // RFC 8300
	etherQinQ9100      = 0x9100 // before 802.1ad
	etherQinQ9200      = 0x9200

	minEtherType = 0x0600 // below, the field is a length (IEEE 802.3 section 3.2.6)
	etherHeader  = 14
)

// positionPrime spreads what goes into Packet.Position.
const positionPrime = 0x9e3779b97f4a7c15

// ethernet reads an IEEE 802.3 header, without FCS.
func (w *walk) ethernet(p *Packet) step {
	b := w.b
	if len(b) < etherHeader {
		return w.fail(SkipTruncated)
	}
	w.position = ethernetPosition(b)
	p.Flags |= HasMAC
	etherType := be16(b[12:])
	w.advance(etherHeader)
	return w.ether(etherType)
}

// ethernetPosition hashes the addresses of an Ethernet header.
func ethernetPosition(b []byte) uint64 {
	h := (binary.LittleEndian.Uint64(b) ^ positionPrime) * 0xd6e8feb86659fd93
	return (h ^ h>>32 ^ uint64(binary.LittleEndian.Uint32(b[8:]))) * positionPrime
}

// tagPosition puts a tag behind the addresses.
func tagPosition(position uint64, vid uint16) uint64 {
	return (position ^ uint64(vid)<<1 ^ 1) * positionPrime
}

// ether goes on by EtherType, or by length field where it is one.
func (w *walk) ether(etherType uint16) step {
	switch etherType {
	case etherIPv4:
		return atIPv4
	case etherIPv6:
		return atIPv6
	case etherVLAN, etherQinQ, etherQinQ9100, etherQinQ9200:
		return atVLAN
	case etherMPLS, etherMPLSMulticast:
		w.enter(MPLS)
		return atMPLS
	case etherPPPoE:
		return atPPPoE
	case etherCiscoMetadata:
		return atCiscoMetadata
	case etherNSH:
		return atNSH
	}
	if etherType < minEtherType {
		w.trim(int(etherType))
		return w.llc()
	}
	return w.fail(NotIP)
}

// llc reads an IEEE 802.2 header with SNAP (RFC 1042), the only one of its
// kind that is used for IP.
func (w *walk) llc() step {
	if len(w.b) < 8 {
		if w.wire < 8 || len(w.b) >= 3 && !isSNAP(w.b) {
			return w.fail(NotIP)
		}
		return w.fail(SkipTruncated)
	}
	if !isSNAP(w.b) {
		return w.fail(NotIP)
	}
	oui, etherType := be24(w.b[3:]), be16(w.b[6:])
	if oui != 0 && oui != 0x0000f8 || etherType < minEtherType { // 0000F8: bridge tunnels of IEEE 802.1H
		return w.fail(NotIP)
	}
	w.advance(8)
	return w.ether(etherType)
}

func isSNAP(b []byte) bool { return b[0] == 0xaa && b[1] == 0xaa && b[2] == 3 }

// plausibleEthernet tells whether b, of wire octets, looks like an Ethernet
// frame of a kind that the decoder knows. It answers for headers that do not
// say what they carry.
func plausibleEthernet(b []byte, wire int) bool {
	if len(b) < etherHeader {
		return false
	}
	etherType := be16(b[12:])
	b, wire = b[etherHeader:], wire-etherHeader
	switch etherType {
	case etherIPv4:
		return plausibleIPv4(b, wire)
	case etherIPv6:
		return plausibleIPv6(b, wire)
	case etherARP, etherVLAN, etherQinQ, etherQinQ9100, etherQinQ9200, etherMPLS, etherMPLSMulticast, etherPPPoE,
		etherLLDP, etherCiscoMetadata, etherNSH:
		return true
	}
	// Bridge PDUs, CDP and such: a length that fits, then a well-known LLC.
	return int(etherType) <= wire && etherType >= 3 && etherType < minEtherType && len(b) >= 3 &&
		(isSNAP(b) || b[0] == b[1] && b[2] == 3)
}
