package packet

import (
	"testing"

	gen "mirrorscope/internal/pcapgen"
)

// TestDeclined has packets whose port or protocol names a tunnel and whose
// content is none that is read: they are packets of the outer addresses.
func TestDeclined(t *testing.T) {
	dns := gen.Payload("\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x03www\x07example\x03org\x00\x00\x01\x00\x01")
	noise := gen.Payload("\x88\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d")
	to := func(port uint16, payload ...gen.Layer) []byte {
		return gen.Build(join([]gen.Layer{outer4, gen.UDP{SrcPort: 53, DstPort: port}}, payload)...)
	}
	proto := func(p uint8, payload ...gen.Layer) []byte {
		return gen.Build(join([]gen.Layer{gen.IPv4{Src: outer4.Src, Dst: outer4.Dst, Protocol: p}}, payload)...)
	}
	tests := []struct {
		name   string
		packet []byte
		kind   Tunnel
	}{
		{"vxlan: dns", to(4789, dns), VXLAN},
		{"vxlan: I flag and noise", to(4789, noise), VXLAN},
		{"vxlan: last octet set and noise", to(4789, gen.VXLAN{Reserved2: 1}, noise), VXLAN},
		{"vxlan: too short", to(8472, gen.Payload("\x08\x00\x00\x00\x00\x00\x01\x00")), VXLAN},
		{"vxlan: empty", to(4789), VXLAN},
		{"vxlan without I: 802.3 frame of noise", to(4789, gen.VXLAN{Flags: 1}, gen.Ethernet{Type: 40}, noise), VXLAN},
		{"vxlan-gpe: dns", to(4790, dns), VXLANGPE},
		{"vxlan-gpe: version", to(4790, gen.VXLANGPE{Flags: 0x3c, Next: 1}, ip4, segment), VXLANGPE},
		{"vxlan-gpe: operations", to(4790, gen.VXLANGPE{Flags: 0x0d, Next: 1}, ip4, segment), VXLANGPE},
		{"vxlan-gpe: next protocol", to(4790, gen.VXLANGPE{Next: 77}, data), VXLANGPE},
		{"geneve: dns", to(6081, dns), Geneve},
		{"geneve: version", to(6081, gen.Geneve{Version: 1}, ip4, segment), Geneve},
		{"geneve: control", to(6081, gen.Geneve{OAM: true}, ip4, segment), Geneve},
		{"geneve: protocol", to(6081, gen.Geneve{Protocol: 0x1234}, data), Geneve},
		{"geneve: options beyond the packet", edit(to(6081, gen.Geneve{}, ip4), 28, 0x3f), Geneve},
		{"gtp-u: dns", to(2152, dns), GTPU},
		{"gtp-u: echo request", to(2152, gen.GTPU{Message: 1}, data), GTPU},
		{"gtp-u: not IP", to(2152, gen.GTPU{}, gen.Payload("\xff\x03\xc0\x21\x01\x01\x00\x04 link control of PPP")), GTPU},
		{"gtp-u: length beyond the packet", edit(to(2152, gen.GTPU{}, ip4, segment), 30, 0x7f), GTPU},
		{"gtp-u: extension of length 0", edit(to(2152, gen.GTPU{Extensions: []gen.GTPExtension{{Type: 1, Content: []byte{1, 2}}}}, ip4, segment), 28+12, 0), GTPU},
		{"gtp-u: extension beyond the packet", edit(to(2152, gen.GTPU{Extensions: []gen.GTPExtension{{Type: 1, Content: []byte{1, 2}}}}, ip4, segment), 28+12, 255), GTPU},
		{"tzsp: dns", to(37008, dns), TZSP},
		{"tzsp: keep-alive", to(37008, gen.TZSP{Type: 4}), TZSP},
		{"tzsp: 802.11", to(37008, gen.TZSP{Protocol: 18}, data), TZSP},
		{"tzsp: tags without end", to(37008, gen.Payload{1, 0, 0, 1, 10, 1, 7, 0, 0}), TZSP},
		{"tzsp: tag beyond the packet", to(37008, gen.Payload{1, 0, 0, 1, 10, 200, 7, 0, 0}), TZSP},
		{"mpls over udp: dns", to(6635, dns), MPLSUDP},
		{"mpls over udp: no bottom", to(6635, gen.Payload(make([]byte, 400))), MPLSUDP},

		{"gre: version 1 (PPTP)", proto(47, gen.GRE{Flags: 1, Key: new(uint32(7)), Protocol: 0x880b}, data), GRE},
		{"gre: source routing", proto(47, gen.GRE{Flags: 0x4000, Protocol: 0x0800}, ip4, segment), GRE},
		{"gre: keep-alive", proto(47, gen.GRE{Protocol: 0}, gen.Payload{0, 0, 0, 0}), GRE},
		{"gre: unknown protocol", proto(47, gen.GRE{Protocol: 0x1234}, data), GRE},
		{"gre: shorter than its flags say", proto(47, gen.Payload{0xb0, 0, 8, 0, 0, 0, 0, 0}), GRE},
		{"gre: 3 octets", proto(47, gen.Payload{0, 0, 8}), GRE},
		{"erspan 2: version", proto(47, gen.GRE{Protocol: 0x88be, Seq: new(uint32(1))}, gen.Payload(make([]byte, 60))), GRE},
		{"erspan 2: no room", proto(47, gen.GRE{Protocol: 0x88be, Seq: new(uint32(1))}, gen.Payload{0x10, 0, 0, 0}), GRE},
		{"erspan 3: version", proto(47, gen.GRE{Protocol: 0x22eb, Seq: new(uint32(1))}, gen.Payload(make([]byte, 60))), GRE},
		{"erspan 3: frame type", proto(47, gen.GRE{Protocol: 0x22eb, Seq: new(uint32(1))}, gen.Payload("\x20\x00\x00\x01\x00\x00\x00\x00\x00\x00\x0c\x00 and octets")), GRE},
		{"erspan 3: no room for platform", proto(47, gen.GRE{Protocol: 0x22eb, Seq: new(uint32(1))}, gen.Payload("\x20\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01abc")), GRE},
		{"cisco metadata in gre: version", proto(47, gen.GRE{Protocol: 0x8909}, gen.Payload("\x08\x00\x02\x01\x00\x01\x00\x00 and more octets")), GRE},
		{"ip in ip: version", proto(4, ip6, segment), IPIP},
		{"ipv6 in ip: version", proto(41, ip4, segment), IPIP},
		{"mpls in ip: dns", proto(137, gen.Payload("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")), MPLS},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := decodeRaw(tt.packet)
			check(t, "skip", v.skip, OK)
			check(t, "source", v.Src.IP(), outer4.Src)
			check(t, "protocol", v.Proto, tt.packet[9])
			check(t, "ip length", v.IPLen, uint32(len(tt.packet)))
			check(t, "tunnels", len(v.tunnels()), 0)
			check(t, "point", v.names.PointName(v.Point), "0")
			check(t, "declined", v.d.Declined[tt.kind], 1)
			head := 0
			if v.Proto == ProtoUDP {
				head = udpHeader
				check(t, "source port", v.SrcPort, 53)
			}
			check(t, "payload", v.PayloadLen, v.IPLen-20-uint32(head))
			check(t, "captured payload", len(v.Payload), int(v.PayloadLen))
		})
	}
}

// Headers without an IP packet around them that contradict themselves.
func TestBadTunnel(t *testing.T) {
	tests := []struct {
		name  string
		frame []byte
		skip  Skip
	}{
		{"pppoe version 2", edit(gen.Build(ether, gen.PPPoE{}, gen.PPP{}, ip4, segment), 14, 0x21), BadTunnel},
		{"pppoe control", gen.Build(ether, gen.PPPoE{Code: 9}), NotIP},
		{"pppoe discovery", gen.Build(gen.Ethernet{Type: 0x8863}, gen.PPPoE{Code: 9}), NotIP},
		{"pppoe, other code in a session", edit(gen.Build(ether, gen.PPPoE{}, gen.PPP{}, ip4, segment), 15, 0xa7), NotIP},
		{"link control", gen.Build(ether, gen.PPPoE{}, gen.PPP{}, data), NotIP},
		{"cisco metadata version 2", edit(gen.Build(ether, gen.CiscoMetadata{}, ip4, segment), 14, 2), BadTunnel},
		{"cisco metadata longer than the frame", edit(gen.Build(ether, gen.CiscoMetadata{}, ip4, segment), 15, 255), BadTunnel},
		{"nsh version 1", edit(gen.Build(ether, gen.NSH{}, ip4, segment), 14, 0x40), BadTunnel},
		{"nsh length 1", edit(gen.Build(ether, gen.NSH{}, ip4, segment), 15, 1), BadTunnel},
		{"nsh length 0", edit(gen.Build(ether, gen.NSH{MDType: 2}, ip4, segment), 15, 0), BadTunnel},
		{"nsh, type 1 of another length", edit(gen.Build(ether, gen.NSH{}, ip4, segment), 15, 5), BadTunnel},
		{"nsh longer than the frame", edit(gen.Build(ether, gen.NSH{MDType: 2}, ip4, segment), 15, 63), BadTunnel},
		{"nsh of something else", gen.Build(ether, gen.NSH{Next: 200}, data), NotIP},
		{"labels without end", gen.Build(ether, gen.MPLS{Labels: make([]uint32, 60)}, ip4, segment), BadTunnel},
		{"mpls of noise", gen.Build(ether, gen.MPLS{Labels: []uint32{16}}, gen.Payload("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff")), NotIP},
		{"arp", gen.Build(ether, gen.ARP{Sender: ip4.Src, Target: ip4.Dst}), NotIP},
		{"arp in vxlan", gen.Build(ether, outer4, udp, gen.VXLAN{}, ether2, gen.ARP{Sender: ip4.Src, Target: ip4.Dst}), NotIP},
		{"spanning tree", gen.Build(ether, gen.LLC{DSAP: 0x42, SSAP: 0x42, Control: 3}, data), NotIP},
		{"snap of another organisation", gen.Build(ether, gen.LLC{SNAP: true, OUI: [3]byte{0, 0, 0xc}, Type: 0x2000}, data), NotIP},
		{"snap with a length", gen.Build(ether, gen.LLC{SNAP: true, Type: 5}, data), NotIP},
		{"unknown EtherType", gen.Build(gen.Ethernet{Type: 0x1234}, data), NotIP},
		{"empty frame", nil, SkipTruncated},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			check(t, "skip", decodeWith(DefaultConfig(), linkEthernet, tt.frame).skip, tt.skip)
		})
	}
}
