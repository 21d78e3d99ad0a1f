package pcapgen

import "fmt"

// EtherTypes (IEEE registry).
const (
	etherIPv4     = 0x0800
	etherARP      = 0x0806
	etherTEB      = 0x6558 // transparent Ethernet bridging
	etherVLAN     = 0x8100 // IEEE 802.1Q
	etherIPv6     = 0x86dd
	etherPPP      = 0x880b
	etherMPLS     = 0x8847
	etherPPPoED   = 0x8863
	etherPPPoES   = 0x8864
	etherERSPAN   = 0x88be // types I and II
	etherCiscoMD  = 0x8909
	etherNSH      = 0x894f
	etherERSPAN3  = 0x22eb
	etherLocalExp = 0x88b5 // local experiments (IEEE 802), for a Payload of no protocol
)

// etherTypeOf gives the EtherType that announces l.
func etherTypeOf(l Layer) uint16 {
	switch l := l.(type) {
	case nil, Payload:
		return etherLocalExp
	case Packet:
		if l.isIPv6() {
			return etherIPv6
		}
		return etherIPv4
	case IPv4:
		return etherIPv4
	case IPv6:
		return etherIPv6
	case ARP:
		return etherARP
	case VLAN:
		return or(l.TPID, etherVLAN)
	case MPLS:
		return etherMPLS
	case PPPoE:
		if l.Code != 0 {
			return etherPPPoED
		}
		return etherPPPoES
	case PPP:
		return etherPPP
	case CiscoMetadata:
		return etherCiscoMD
	case NSH:
		return etherNSH
	case Ethernet:
		return etherTEB
	}
	panic(fmt.Sprintf("pcapgen: no EtherType for %T", l))
}

// protoOf gives the IP protocol number that announces l.
func protoOf(l Layer) uint8 {
	switch l := l.(type) {
	case nil:
		return 59 // no next header (RFC 8200 section 4.7)
	case Payload:
		return 253 // experiments (RFC 3692)
	case Packet:
		if l.isIPv6() {
			return 41
		}
		return 4
	case HopByHop:
		return 0
	case ICMP:
		return 1
	case IPv4:
		return 4
	case TCP:
		return 6
	case UDP:
		return 17
	case IPv6:
		return 41
	case Routing:
		return 43
	case IPv6Fragment:
		return 44
	case GRE, NVGRE, ERSPAN1, ERSPAN2, ERSPAN3:
		return 47
	case ESP:
		return 50
	case AH:
		return 51
	case ICMPv6:
		return 58
	case DestinationOptions:
		return 60
	case SCTP:
		return 132
	case MPLS:
		return 137 // RFC 4023
	case Ethernet:
		return 143 // RFC 8986
	}
	panic(fmt.Sprintf("pcapgen: no IP protocol number for %T", l))
}

// pppOf gives the PPP protocol number that announces l (RFC 1661).
func pppOf(l Layer) uint16 {
	switch l := l.(type) {
	case IPv4:
		return 0x0021
	case IPv6:
		return 0x0057
	case Packet:
		if l.isIPv6() {
			return 0x0057
		}
		return 0x0021
	case MPLS:
		return 0x0281 // RFC 3032 section 4.3
	case nil, Payload:
		return 0xc021 // link control
	}
	panic(fmt.Sprintf("pcapgen: no PPP protocol for %T", l))
}

// nextOf gives the next protocol number of VXLAN-GPE and NSH that announces l
// (draft-ietf-nvo3-vxlan-gpe, RFC 8300 section 2.2). They agree but for MPLS.
func nextOf(l Layer, mpls uint8) uint8 {
	switch l := l.(type) {
	case IPv4:
		return 1
	case IPv6:
		return 2
	case Packet:
		if l.isIPv6() {
			return 2
		}
		return 1
	case Ethernet:
		return 3
	case NSH:
		return 4
	case MPLS:
		return mpls
	case nil, Payload:
		return 0xfe // experiment 1 (RFC 8300 section 9.1.6)
	}
	panic(fmt.Sprintf("pcapgen: no next protocol for %T", l))
}

// familyOf gives the address family of l as the BSD loopback header of the
// given system has it: 2 for IPv4, and its own number for IPv6.
func familyOf(l Layer, inet6 uint32) uint32 {
	switch l := l.(type) {
	case IPv6:
		return inet6
	case Packet:
		if l.isIPv6() {
			return inet6
		}
	}
	return 2
}

// portOf gives the UDP destination port on which l is expected, 0 for none.
func portOf(l Layer) uint16 {
	switch l.(type) {
	case VXLAN:
		return 4789 // RFC 7348 section 5
	case VXLANGPE:
		return 4790
	case Geneve:
		return 6081 // RFC 8926 section 3.3
	case GTPU:
		return 2152 // 3GPP TS 29.281
	case TZSP:
		return 37008
	case MPLS:
		return 6635 // RFC 7510
	}
	return 0
}
