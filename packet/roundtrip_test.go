package packet

import (
	"net/netip"
	"slices"
	"testing"

	gen "mirrorscope/internal/pcapgen"
)

// wrapping is a way to carry an IP packet of either version.
type wrapping struct {
	name    string
	link    uint16
	layers  []gen.Layer
	tunnels []Tunnel
	vlans   []uint16
	point   string // of interface 0
	network string
}

var (
	googleID = [16]byte{0xab, 0xcd, 15: 0xef}
	plain    = "0"
)

// wrappings has every encapsulation the decoder knows, and the stacks of them
// that mirrors send.
var wrappings = []wrapping{
	{"raw", linkRaw, nil, nil, nil, plain, "default"},
	{"ethernet", linkEthernet, []gen.Layer{ether}, nil, nil, plain, "default"},
	{"ethernet with trailer", linkEthernet, []gen.Layer{gen.Ethernet{Pad: true, Trailer: []byte("trailer")}}, nil, nil, plain, "default"},
	{"null, little endian", linkNull, []gen.Layer{gen.Null{}}, nil, nil, plain, "default"},
	{"null, big endian", linkNull, []gen.Layer{gen.Null{BigEndian: true, Inet6: 28}}, nil, nil, plain, "default"},
	{"loop", linkLoop, []gen.Layer{gen.Loop{}}, nil, nil, plain, "default"},
	{"ppp", linkPPP, []gen.Layer{gen.PPP{}}, nil, nil, plain, "default"},
	{"ppp compressed", linkPPP, []gen.Layer{gen.PPP{Compressed: true}}, nil, nil, plain, "default"},
	{"ppp framed", linkPPP, []gen.Layer{gen.PPP{Framed: true}}, nil, nil, plain, "default"},
	{"ppp hdlc", linkPPPHDLC, []gen.Layer{gen.PPP{Framed: true, Compressed: true}}, nil, nil, plain, "default"},
	{"sll", linkSLL, []gen.Layer{gen.LinuxSLL{}}, nil, nil, plain, "default"},
	{"sll2", linkSLL2, []gen.Layer{gen.SLL2{Interface: 3}}, nil, nil, plain, "default"},
	{"sll with tag", linkSLL, []gen.Layer{gen.LinuxSLL{}, gen.VLAN{ID: 9}}, nil, []uint16{9}, plain, "default"},
	{"nflog", linkNFLOG, []gen.Layer{gen.NFLOG{Prefix: "from the firewall"}}, nil, nil, plain, "default"},

	{"802.1Q", linkEthernet, []gen.Layer{ether, gen.VLAN{ID: 100}}, nil, []uint16{100}, plain, "default"},
	{"802.1ad", linkEthernet, []gen.Layer{ether, gen.VLAN{ID: 100, TPID: 0x88a8}, gen.VLAN{ID: 200, Priority: 5, DEI: true}}, nil, []uint16{100, 200}, plain, "default"},
	{"0x9100, 0x9200", linkEthernet, []gen.Layer{ether, gen.VLAN{ID: 1, TPID: 0x9100}, gen.VLAN{ID: 2, TPID: 0x9200}, gen.VLAN{ID: 4095}}, nil, []uint16{1, 2, 4095}, plain, "default"},
	{"snap", linkEthernet, []gen.Layer{ether, gen.LLC{SNAP: true}}, nil, nil, plain, "default"},
	{"snap in a tag", linkEthernet, []gen.Layer{ether, gen.VLAN{ID: 7}, gen.LLC{SNAP: true}}, nil, []uint16{7}, plain, "default"},
	{"mpls", linkEthernet, []gen.Layer{ether, gen.MPLS{Labels: []uint32{16, 17, 18}}}, []Tunnel{MPLS}, nil, plain, "default"},
	{"pseudowire", linkEthernet, []gen.Layer{ether, gen.MPLS{Labels: []uint32{16}}, ether2}, []Tunnel{MPLS}, nil, plain, "default"},
	{"pseudowire with control word", linkEthernet, []gen.Layer{ether, gen.MPLS{Labels: []uint32{16}, ControlWord: true}, ether2, gen.VLAN{ID: 3}}, []Tunnel{MPLS}, []uint16{3}, plain, "default"},
	{"pppoe", linkEthernet, []gen.Layer{ether, gen.PPPoE{Session: 9}, gen.PPP{}}, []Tunnel{PPPoE}, nil, plain, "default"},
	{"cisco metadata", linkEthernet, []gen.Layer{ether, gen.CiscoMetadata{SGT: 5}}, []Tunnel{CiscoMetadata}, nil, plain, "default"},
	{"nsh", linkEthernet, []gen.Layer{ether, gen.NSH{Path: 1, Index: 255}}, []Tunnel{NSH}, nil, plain, "default"},
	{"nsh type 2, ethernet", linkEthernet, []gen.Layer{ether, gen.NSH{MDType: 2, Metadata: []byte{1, 2, 3, 4, 5}}, ether2}, []Tunnel{NSH}, nil, plain, "default"},
	{"nsh, mpls", linkEthernet, []gen.Layer{ether, gen.NSH{}, gen.MPLS{Labels: []uint32{99}}}, []Tunnel{NSH, MPLS}, nil, plain, "default"},

	{"ip in ipv4", linkEthernet, []gen.Layer{ether, outer4}, []Tunnel{IPIP}, nil, plain, "default"},
	{"ip in ipv6", linkEthernet, []gen.Layer{ether, outer6}, []Tunnel{IPIP}, nil, plain, "default"},
	{"gre", linkEthernet, []gen.Layer{ether, outer4, gen.GRE{}}, []Tunnel{GRE}, nil, plain, "default"},
	{"gre with all", linkEthernet, []gen.Layer{ether, outer6, gen.GRE{Checksum: true, Key: new(uint32(7)), Seq: new(uint32(8))}}, []Tunnel{GRE}, nil, plain, "default"},
	{"gre, ethernet", linkEthernet, []gen.Layer{ether, outer4, gen.GRE{}, ether2}, []Tunnel{GRE}, nil, plain, "default"},
	{"gre with small key, ethernet", linkEthernet, []gen.Layer{ether, outer4, gen.GRE{Key: new(uint32(77))}, ether2}, []Tunnel{GRE}, nil, plain, "default"},
	{"nvgre", linkEthernet, []gen.Layer{ether, outer4, gen.NVGRE{VSID: 0x1234, FlowID: 7}, ether2}, []Tunnel{NVGRE}, nil, plain, "default"},
	{"gre, ppp", linkEthernet, []gen.Layer{ether, outer4, gen.GRE{}, gen.PPP{Framed: true}}, []Tunnel{GRE}, nil, plain, "default"},
	{"gre, mpls", linkEthernet, []gen.Layer{ether, outer4, gen.GRE{}, gen.MPLS{Labels: []uint32{16}}}, []Tunnel{GRE, MPLS}, nil, plain, "default"},
	{"mpls in ip", linkEthernet, []gen.Layer{ether, outer4, gen.MPLS{Labels: []uint32{16}}}, []Tunnel{MPLS}, nil, plain, "default"},
	{"mpls over udp", linkEthernet, []gen.Layer{ether, outer4, udp, gen.MPLS{Labels: []uint32{16}}}, []Tunnel{MPLSUDP}, nil, plain, "default"},
	{"gtp-u", linkEthernet, []gen.Layer{ether, outer4, udp, gen.GTPU{TEID: 7}}, []Tunnel{GTPU}, nil, plain, "default"},
	{"gtp-u with all", linkEthernet, []gen.Layer{ether, outer6, udp, gen.GTPU{TEID: 7, Seq: new(uint16(1)), NPDU: new(uint8(2)),
		Extensions: []gen.GTPExtension{{Type: 0x85, Content: []byte{0x10, 9}}, {Type: 0xc0, Content: []byte{1, 2, 3, 4, 5, 6}}}}}, []Tunnel{GTPU}, nil, plain, "default"},
	{"gtp-u from its port", linkEthernet, []gen.Layer{ether, outer4, gen.UDP{SrcPort: 2152, DstPort: 9999}, gen.GTPU{}}, []Tunnel{GTPU}, nil, plain, "default"},

	{"erspan 1", linkEthernet, []gen.Layer{ether, outer4, gen.ERSPAN1{}, ether2}, []Tunnel{ERSPAN1}, nil, "0 erspan1 172.16.0.5-172.16.9.9", "default"},
	{"erspan 2", linkEthernet, []gen.Layer{ether, outer4, gen.ERSPAN2{Session: 1023, VLAN: 9, En: 3}, ether2, gen.VLAN{ID: 9}}, []Tunnel{ERSPAN2}, []uint16{9}, "0 erspan2 1023 172.16.0.5-172.16.9.9", "default"},
	{"erspan 3", linkEthernet, []gen.Layer{ether, outer4, gen.ERSPAN3{Session: 5}, ether2}, []Tunnel{ERSPAN3}, nil, "0 erspan3 5 172.16.0.5-172.16.9.9", "default"},
	{"erspan 3, platform", linkEthernet, []gen.Layer{ether, outer6, gen.ERSPAN3{Session: 5, Platform: new(uint64(1 << 60))}, ether2}, []Tunnel{ERSPAN3}, nil, "0 erspan3 5 fd16::5-fd16::9", "default"},
	{"erspan 3, bare ip", linkEthernet, []gen.Layer{ether, outer4, gen.ERSPAN3{Session: 5}}, []Tunnel{ERSPAN3}, nil, "0 erspan3 5 172.16.0.5-172.16.9.9", "default"},
	{"tzsp", linkEthernet, []gen.Layer{ether, outer4, udp, gen.TZSP{Tags: []gen.TZSPTag{{Type: 10, Data: []byte{1}}, {Type: 0}}}, ether2}, []Tunnel{TZSP}, nil, "0 tzsp 172.16.0.5-172.16.9.9", "default"},

	{"vxlan", linkEthernet, []gen.Layer{ether, outer4, udp, gen.VXLAN{VNI: 4660}, ether2}, []Tunnel{VXLAN}, nil, "0 vxlan 4660 172.16.0.5-172.16.9.9", "default"},
	{"vxlan on 8472", linkEthernet, []gen.Layer{ether, outer6, gen.UDP{DstPort: 8472}, gen.VXLAN{VNI: 1}, ether2, gen.VLAN{ID: 5}}, []Tunnel{VXLAN}, []uint16{5}, "0 vxlan 1 fd16::5-fd16::9", "default"},
	{"vxlan with policy", linkEthernet, []gen.Layer{ether, outer4, udp, gen.VXLAN{VNI: 1, Flags: 0x88, Reserved: [3]byte{0, 1, 2}}, ether2}, []Tunnel{VXLAN}, nil, "0 vxlan 1 172.16.0.5-172.16.9.9", "default"},
	{"vxlan without I", linkEthernet, []gen.Layer{ether, outer4, udp, gen.VXLAN{VNI: 1, Flags: 0x01}, ether2}, []Tunnel{VXLAN}, nil, "0 vxlan 1 172.16.0.5-172.16.9.9", "default"},
	{"vxlan in vxlan in vxlan", linkEthernet, []gen.Layer{ether, outer4, udp, gen.VXLAN{VNI: 1}, ether2, outer6, udp, gen.VXLAN{VNI: 2}, ether, outer4, udp, gen.VXLAN{VNI: 3}, ether2},
		[]Tunnel{VXLAN, VXLAN, VXLAN}, nil, "0 vxlan 1 172.16.0.5-172.16.9.9", "default/2/3"},
	{"vxlan-gpe, ip", linkEthernet, []gen.Layer{ether, outer4, udp, gen.VXLANGPE{VNI: 6}}, []Tunnel{VXLANGPE}, nil, "0 vxlan_gpe 6 172.16.0.5-172.16.9.9", "default"},
	{"vxlan-gpe, ethernet", linkEthernet, []gen.Layer{ether, outer4, udp, gen.VXLANGPE{VNI: 6}, ether2}, []Tunnel{VXLANGPE}, nil, "0 vxlan_gpe 6 172.16.0.5-172.16.9.9", "default"},
	{"vxlan-gpe, mpls", linkEthernet, []gen.Layer{ether, outer4, udp, gen.VXLANGPE{VNI: 6}, gen.MPLS{Labels: []uint32{16}}}, []Tunnel{VXLANGPE, MPLS}, nil, "0 vxlan_gpe 6 172.16.0.5-172.16.9.9", "default"},
	{"vxlan-gpe, nsh", linkEthernet, []gen.Layer{ether, outer4, udp, gen.VXLANGPE{VNI: 6}, gen.NSH{}, ether2}, []Tunnel{VXLANGPE, NSH}, nil, "0 vxlan_gpe 6 172.16.0.5-172.16.9.9", "default"},

	{"geneve, ethernet", linkEthernet, []gen.Layer{ether, outer4, udp, gen.Geneve{VNI: 8}, ether2}, []Tunnel{Geneve}, nil, "0 geneve 8 172.16.0.5-172.16.9.9", "default"},
	{"geneve, mpls", linkEthernet, []gen.Layer{ether, outer4, udp, gen.Geneve{VNI: 8}, gen.MPLS{Labels: []uint32{16}}}, []Tunnel{Geneve, MPLS}, nil, "0 geneve 8 172.16.0.5-172.16.9.9", "default"},
	{"geneve, google", linkEthernet, []gen.Layer{ether, outer4, udp, gen.Geneve{Options: gen.GoogleOptions(0xabcdef1, googleID, 3, true)}}, []Tunnel{Geneve}, nil,
		"0 geneve 0 172.16.0.5-172.16.9.9 0132-abcdef1-abcd00000000000000000000000000ef", "default"},
	{"geneve, aws", linkEthernet, []gen.Layer{ether, outer4, udp, gen.Geneve{Options: gen.AWSOptions(1, 2, 3)}}, []Tunnel{Geneve}, nil,
		"0 geneve 0 172.16.0.5-172.16.9.9 0108-0000000000000001-0000000000000002", "default"},
	{"geneve, aws, vxlan", linkEthernet, []gen.Layer{ether, outer4, udp, gen.Geneve{Options: gen.AWSOptions(1, 2, 3)}, gen.IPv4{Src: gen.IP("10.9.0.1"), Dst: gen.IP("10.9.0.2")}, udp, gen.VXLAN{VNI: 42}, ether2},
		[]Tunnel{Geneve, VXLAN}, nil, "0 vxlan 42 10.9.0.1-10.9.0.2", "default"},
	{"geneve, aws, ipip, vxlan", linkEthernet, []gen.Layer{ether, outer4, udp, gen.Geneve{Options: gen.AWSOptions(1, 2, 3)}, outer4, outer6, udp, gen.VXLAN{VNI: 42}, ether2},
		[]Tunnel{Geneve, IPIP, VXLAN}, nil, "0 geneve 0 172.16.0.5-172.16.9.9 0108-0000000000000001-0000000000000002", "default/42"},
	{"geneve, vxlan", linkEthernet, []gen.Layer{ether, outer4, udp, gen.Geneve{VNI: 8}, ether2, outer6, udp, gen.VXLAN{VNI: 0}, ether},
		[]Tunnel{Geneve, VXLAN}, nil, "0 geneve 8 172.16.0.5-172.16.9.9", "default/0"},
	{"gre, then erspan 2, then vxlan", linkEthernet, []gen.Layer{ether, outer6, gen.GRE{}, outer4, gen.ERSPAN2{Session: 4}, ether2, outer6, udp, gen.VXLAN{VNI: 5}, ether},
		[]Tunnel{GRE, ERSPAN2, VXLAN}, nil, "0 erspan2 4 172.16.0.5-172.16.9.9", "default/5"},
}

// TestRoundTrip wraps packets of several protocols in every encapsulation, and
// wants them decoded as they are when they stand alone.
func TestRoundTrip(t *testing.T) {
	packets := []struct {
		name   string
		layers []gen.Layer
	}{
		{"tcp4", []gen.Layer{ip4, segment, data}},
		{"tcp6", []gen.Layer{ip6, segment, data}},
		{"udp4", []gen.Layer{ip4, gen.UDP{SrcPort: 5, DstPort: 53}, data}},
		{"udp6", []gen.Layer{ip6, gen.UDP{SrcPort: 5, DstPort: 53}, data}},
		{"extensions", []gen.Layer{ip6, gen.HopByHop{}, gen.Routing{Type: 4, Addrs: []netip.Addr{gen.IP("fd00::9")}}, gen.DestinationOptions{}, gen.AH{}, segment, data}},
		{"icmp echo", []gen.Layer{ip4, gen.ICMP{Type: 8, ID: 77, Seq: 2}, data}},
		{"icmp6 echo", []gen.Layer{ip6, gen.ICMPv6{Type: 129, ID: 77, Seq: 2}, data}},
		{"sctp", []gen.Layer{ip4, gen.SCTP{SrcPort: 5, DstPort: 6, Chunks: []gen.SCTPChunk{gen.SCTPData(1, 2, 3, data)}}}},
		{"esp", []gen.Layer{ip6, gen.ESP{SPI: 1, Seq: 2}, data}},
	}
	for _, w := range wrappings {
		for _, packet := range packets {
			t.Run(w.name+"/"+packet.name, func(t *testing.T) {
				want := decodeRaw(gen.Build(packet.layers...))
				if want.skip != OK {
					t.Fatalf("bare packet: skip %q", want.skip)
				}
				got := decodeWith(DefaultConfig(), w.link, gen.Build(join(w.layers, packet.layers)...))
				samePacket(t, got, want)
				if !slices.Equal(got.tunnels(), w.tunnels) {
					t.Errorf("tunnels %v, want %v", got.tunnels(), w.tunnels)
				}
				if !slices.Equal(got.vlans(), w.vlans) {
					t.Errorf("vlans %v, want %v", got.vlans(), w.vlans)
				}
				check(t, "point", got.names.PointName(got.Point), w.point)
				check(t, "network", got.names.NetworkName(got.Network), w.network)
				if got.Point == 0 || got.Network == 0 || got.Path == 0 {
					t.Errorf("ids %d %d %d, want none 0", got.Point, got.Network, got.Path)
				}
			})
		}
	}
}

// TestCutAnywhere cuts every wrapped packet after every octet: it is decoded
// with what is left, or told to be cut, and never taken for something else.
func TestCutAnywhere(t *testing.T) {
	for _, w := range wrappings {
		cutAnywhere(t, w.name, w.link, join(w.layers, []gen.Layer{ip4, segment, data}))
	}
	cutAnywhere(t, "extension headers", linkEthernet, []gen.Layer{ether, ip6, gen.HopByHop{}, gen.AH{}, segment, data})
	metadata := gen.Payload{8, 0, 1, 1, 0, 1, 0, 0} // in GRE, the EtherType comes first
	cutAnywhere(t, "cisco metadata in gre", linkEthernet, []gen.Layer{ether, outer4, gen.GRE{Protocol: 0x8909}, metadata, ip4, segment, data})
}

func cutAnywhere(t *testing.T, name string, link uint16, layers []gen.Layer) {
	frame := gen.Build(layers...)
	want := decodeRaw(gen.Build(layers[slices.IndexFunc(layers, isInner):]...))
	for n := range len(frame) + 1 {
		v := &verdict{names: new(Names)}
		v.d = NewDecoder(DefaultConfig(), v.names)
		v.skip = v.d.Decode(frame[:n:n], link, 0, len(frame), 1, &v.Packet)
		switch {
		case v.skip == SkipTruncated && n < len(frame):
			continue
		case v.skip == OK && v.Proto == ProtoUDP && v.Flags&(PortsUnknown|HeaderCut) != 0:
			continue // the outer packet, where its ports are not there to tell
		case v.skip == OK && v.Proto == ProtoUDP && name == "vxlan without I":
			continue // or where nothing proves the tunnel
		case v.skip != OK || v.Src != want.Src || v.Dst != want.Dst || v.IPLen != want.IPLen:
			t.Errorf("%s cut to %d of %d: skip %q, %v -> %v, %d octets", name, n, len(frame), v.skip, v.Src.IP(), v.Dst.IP(), v.IPLen)
			continue
		}
		if v.Flags&PortsUnknown == 0 && (v.SrcPort != want.SrcPort || v.DstPort != want.DstPort) {
			t.Errorf("%s cut to %d: ports %d, %d", name, n, v.SrcPort, v.DstPort)
		}
		if v.Flags&HeaderCut == 0 && (v.PayloadLen != want.PayloadLen || v.TCP.Seq != want.TCP.Seq || v.TCP.Flags != want.TCP.Flags) {
			t.Errorf("%s cut to %d: payload %d, header %+v", name, n, v.PayloadLen, v.TCP)
		}
	}
}

// isInner finds the innermost IP layer, which is one of two values.
func isInner(l gen.Layer) bool {
	switch l := l.(type) {
	case gen.IPv4:
		return l.Src == ip4.Src
	case gen.IPv6:
		return l.Src == ip6.Src
	}
	return false
}
