package packet

import (
	"slices"
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

// The bits of an address can look like an IP version: the rest decides.
func TestMPLSGuess(t *testing.T) {
	mac := func(first byte) gen.Ethernet {
		return gen.Ethernet{Dst: gen.MAC{first, 1, 0, 0, 0, 1}, Src: gen.MAC{2, 0, 0, 0, 0, 1}}
	}
	tests := []struct {
		name   string
		layers []gen.Layer
		ok     bool
	}{
		{"pseudowire to 40:…", []gen.Layer{gen.MPLS{Labels: []uint32{16}}, mac(0x40), ip4, segment}, true},
		{"pseudowire to 6a:…", []gen.Layer{gen.MPLS{Labels: []uint32{16}}, mac(0x6a), ip4, segment}, false}, // IPv6 by all that can be told
		{"pseudowire to 0a:…", []gen.Layer{gen.MPLS{Labels: []uint32{16}}, mac(0x0a), ip4, segment}, true},
		{"control word and 0a:…", []gen.Layer{gen.MPLS{Labels: []uint32{16}, ControlWord: true}, mac(0x0a), ip6, segment}, true},
		{"explicit null, IPv4", []gen.Layer{gen.MPLS{Labels: []uint32{16, 0}}, ip4, segment}, true},
		{"explicit null, IPv6", []gen.Layer{gen.MPLS{Labels: []uint32{2}}, ip6, segment}, true},
		{"two stacks", []gen.Layer{gen.MPLS{Labels: []uint32{16}}, gen.MPLS{Labels: []uint32{17}}, ip6, segment}, true},
	}
	for _, tt := range tests {
		v := decodeLayers(join([]gen.Layer{ether}, tt.layers)...)
		check(t, tt.name, v.skip == OK && v.SrcPort == segment.SrcPort, tt.ok)
	}
}

func TestConfiguredPorts(t *testing.T) {
	cfg := DefaultConfig()
	cfg.VXLANPorts = []uint16{5555}
	cfg.GenevePorts = []uint16{4790} // takes the port from VXLAN-GPE
	for _, tt := range []struct {
		layers []gen.Layer
		want   Tunnel
	}{
		{[]gen.Layer{ether, outer4, gen.UDP{DstPort: 5555}, gen.VXLAN{VNI: 1}, ether, ip4, segment}, VXLAN},
		{[]gen.Layer{ether, outer4, gen.UDP{DstPort: 4790}, gen.Geneve{}, ip4, segment}, Geneve},
		{[]gen.Layer{ether, outer4, gen.UDP{DstPort: 4789}, gen.VXLAN{VNI: 1}, ether, ip4, segment}, VXLAN},
	} {
		v := decodeWith(cfg, linkEthernet, gen.Build(tt.layers...))
		check(t, "skip", v.skip, OK)
		if !slices.Equal(v.tunnels(), []Tunnel{tt.want}) {
			t.Errorf("tunnels %v, want %v", v.tunnels(), tt.want)
		}
	}
	// A source port names no tunnel, except GTP-U's.
	v := decodeLayers(ether, outer4, gen.UDP{SrcPort: 4789, DstPort: 1}, gen.VXLAN{VNI: 1}, ether, ip4, segment)
	check(t, "tunnels from the source port", len(v.tunnels()), 0)
}

// Options come in any order and number, and only identity counts.
func TestGeneveCookies(t *testing.T) {
	read := func(options ...gen.GeneveOption) Cookies {
		v := decodeLayers(ether, outer4, udp, gen.Geneve{Options: options}, ip4, segment)
		check(t, "skip", v.skip, OK)
		return v.point.Cookies
	}
	google := Cookies{Class: 0x0132, Net: 0xabcdef1, ID: googleID}
	ingress, egress := gen.GoogleOptions(0xabcdef1, googleID, 1, false), gen.GoogleOptions(0xabcdef1, googleID, 2, true)
	check(t, "google", read(ingress...), google)
	check(t, "google, other direction and profile", read(egress...), google)
	slices.Reverse(egress)
	check(t, "google, other order", read(join2([]gen.GeneveOption{{Class: 0x0132, Type: 9, Data: make([]byte, 124)}}, egress)...), google)
	aws := Cookies{Class: 0x0108, ID: [16]byte{7: 1, 15: 2}}
	check(t, "aws", read(gen.AWSOptions(1, 2, 3)...), aws)
	check(t, "aws, another flow", read(gen.AWSOptions(1, 2, 4)...), aws)
	check(t, "tencent", read(gen.GeneveOption{Class: 0x0167, Type: 1, Data: make([]byte, 8)}), Cookies{})
	check(t, "wrong lengths", read(gen.GeneveOption{Class: 0x0132, Type: 1, Data: make([]byte, 8)}, gen.GeneveOption{Class: 0x0108, Type: 1, Data: make([]byte, 4)}), Cookies{})

	// An option that does not fit ends the list, not the packet.
	frame := gen.Build(ether, outer4, udp, gen.Geneve{Options: gen.AWSOptions(1, 2, 3)}, ip4, segment)
	v := decodeWith(DefaultConfig(), linkEthernet, edit(frame, 14+28+8+12+3, 31))
	check(t, "skip", v.skip, OK)
	check(t, "cookies in front of the damage", v.point.Cookies, Cookies{Class: 0x0108, ID: [16]byte{7: 1}})
}

func join2(a, b []gen.GeneveOption) []gen.GeneveOption {
	return append(append([]gen.GeneveOption(nil), a...), b...)
}

func TestUDPLengths(t *testing.T) {
	tests := []struct {
		name    string
		length  uint16
		payload int
		bad     bool
	}{
		{"as it is", 30, 22, false},
		{"with UDP options behind", 20, 12, false},
		{"empty", 8, 0, false},
		{"beyond the packet", 31, 22, true},
		{"below the header", 7, 22, true},
		{"zero", 0, 22, true},
	}
	for _, tt := range tests {
		v := decodeRaw(gen.Build(ip4, gen.UDP{SrcPort: 1, DstPort: 2, Length: &tt.length}, data[:22]))
		check(t, tt.name, v.skip, OK)
		check(t, tt.name+": payload", v.PayloadLen, uint32(tt.payload))
		check(t, tt.name+": captured payload", len(v.Payload), tt.payload)
		check(t, tt.name+": bad header", v.Packet.Flags&BadHeader != 0, tt.bad)
	}
	v := decodeRaw(gen.Build(gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, Length: new(uint16(26))}, gen.UDP{SrcPort: 1, DstPort: 2}))
	check(t, "6 octets: skip", v.skip, OK)
	check(t, "6 octets: bad header", v.Packet.Flags&BadHeader != 0, true)
	check(t, "6 octets: port", v.DstPort, 2)
}

// A tunnel whose UDP length field is wrong is entered all the same.
func TestTunnelWithWrongUDPLength(t *testing.T) {
	for _, length := range []uint16{0, 7, 60000} {
		v := decodeLayers(ether, outer4, gen.UDP{SrcPort: 1, Length: &length}, gen.VXLAN{VNI: 1}, ether2, ip4, segment, data)
		check(t, "skip", v.skip, OK)
		check(t, "port", v.SrcPort, segment.SrcPort)
		check(t, "bad header", v.Packet.Flags&BadHeader != 0, false)
	}
}

func TestManyTags(t *testing.T) {
	layers := []gen.Layer{ether}
	for i := range 18 {
		layers = append(layers, gen.VLAN{ID: uint16(i)})
	}
	v := decodeLayers(join(layers, []gen.Layer{ip4, segment})...)
	check(t, "skip", v.skip, OK)
	if want := []uint16{0, 1, 2, 3}; !slices.Equal(v.vlans(), want) {
		t.Errorf("vlans %v, want %v", v.vlans(), want)
	}
}

func TestLinkTypes(t *testing.T) {
	packet := gen.Build(ip4, segment)
	tests := []struct {
		name  string
		link  uint16
		frame []byte
		skip  Skip
	}{
		{"unknown", 147, packet, UnknownLink},
		{"raw, as BSD has it", 12, packet, OK},
		{"raw, as OpenBSD has it", 14, packet, OK},
		{"IPv4", 228, packet, OK},
		{"IPv6 that is IPv4", 229, append(packet, make([]byte, 20)...), BadIP},
		{"raw noise", 101, []byte{0x90, 1, 2, 3}, NotIP},
		{"null: another family", 0, gen.Build(gen.Null{Family: 7}, gen.Payload(packet)), NotIP},
		{"cisco hdlc", 50, append([]byte{0x0f, 0, 8, 0}, packet...), OK},
		{"ppp: link control", 9, gen.Build(gen.PPP{}, data), NotIP},
		{"sll: 802.2", 113, gen.Build(gen.LinuxSLL{Protocol: 4}, gen.LLC{SNAP: true}, ip4, segment), OK},
		{"sll: the kernel's own number", 113, gen.Build(gen.LinuxSLL{Protocol: 0xc}, data), NotIP},
		{"sll: netlink", 113, gen.Build(gen.LinuxSLL{ARPHRD: 824, Protocol: 0x800}, ip4, segment), NotIP},
		{"sll2: arp", 276, gen.Build(gen.SLL2{Protocol: 0x806}, data), NotIP},
		{"nflog: version 1", 239, edit(gen.Build(gen.NFLOG{}, ip4, segment), 1, 1), NotIP},
		{"nflog: family by the packet", 239, gen.Build(gen.NFLOG{Family: 7}, ip4, segment), OK},
		{"nflog: no payload", 239, gen.Build(gen.NFLOG{})[:12], NotIP},
		{"nflog: TLV of length 0", 239, []byte{2, 0, 0, 0, 0, 0, 1, 0}, BadTunnel},
		{"nflog: big endian", 239, append([]byte{2, 0, 0, 0, 0, 8, 0, 1, 0, 0, 0, 0, 0, 4 + 52, 0, 9}, packet...), OK},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := decodeWith(DefaultConfig(), tt.link, tt.frame)
			check(t, "skip", v.skip, tt.skip)
			if tt.skip == OK {
				check(t, "source port", v.SrcPort, segment.SrcPort)
			}
		})
	}
}
