package filter

import "mirrorscope/packet"

// Protocol numbers that packet does not name (IANA).
const (
	protoIGMP    = 2
	protoPIM     = 103
	protoVRRP    = 112
	protoUDPLite = 136
)

// protocols are the words that name what an IP packet carries. version is the
// IP version that a word implies, as in pcap-filter.
var protocols = []struct {
	word    string
	proto   uint8
	version uint8
}{
	{"tcp", packet.ProtoTCP, 0},
	{"udp", packet.ProtoUDP, 0},
	{"sctp", packet.ProtoSCTP, 0},
	{"icmp", packet.ProtoICMP, 4},
	{"icmp6", packet.ProtoICMPv6, 6},
	{"gre", packet.ProtoGRE, 0},
	{"esp", packet.ProtoESP, 0},
	{"ah", packet.ProtoAH, 0},
	{"igmp", protoIGMP, 4},
	{"pim", protoPIM, 0},
	{"vrrp", protoVRRP, 4},
	{"udplite", protoUDPLite, 0},
}

var versionWords = map[uint8]string{4: "ip", 6: "ip6"}

func protoWord(proto uint8) string {
	for _, p := range protocols {
		if p.proto == proto {
			return p.word
		}
	}
	return ""
}

// foreign are words of pcap-filter that this language leaves out, and what to
// do instead.
var foreign = map[string]string{
	"vlan":       "VLAN tags are in front of the packet that the filter looks at; records list them",
	"mpls":       "MPLS labels are in front of the packet that the filter looks at; records list them",
	"pppoes":     "the PPPoE header is in front of the packet that the filter looks at; records list it",
	"geneve":     "the filter looks at the packet inside GENEVE",
	"vxlan":      "the filter looks at the packet inside VXLAN",
	"ether":      "Ethernet addresses are not known to the filter",
	"link":       "link addresses are not known to the filter",
	"wlan":       "link addresses are not known to the filter",
	"arp":        "only IP packets are looked at",
	"rarp":       "only IP packets are looked at",
	"less":       "lengths cannot be asked for",
	"greater":    "lengths cannot be asked for",
	"len":        "lengths cannot be asked for",
	"broadcast":  "write host 255.255.255.255",
	"multicast":  "write net 224.0.0.0/4 or net ff00::/8",
	"gateway":    "Ethernet addresses are not known to the filter",
	"protochain": "proto looks behind IPv6 extension headers by itself",
	"inbound":    "write src net or dst net with the addresses of your hosts",
	"outbound":   "write src net or dst net with the addresses of your hosts",
}
