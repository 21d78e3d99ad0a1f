package bpf

import (
	"math/rand/v2"
	"testing"

	gen "mirrorscope/internal/pcapgen"
	"mirrorscope/packet"
)

// Layers that the tests build frames of.
var (
	ether  = gen.Ethernet{Src: gen.MAC{2, 0, 0, 0, 0, 1}, Dst: gen.MAC{2, 0, 0, 0, 0, 2}}
	ip4    = gen.IPv4{Src: gen.IP("10.1.0.7"), Dst: gen.IP("10.1.0.9"), ID: 4711, DF: true}
	ip6    = gen.IPv6{Src: gen.IP("fd00::7"), Dst: gen.IP("fd00::9")}
	outer4 = gen.IPv4{Src: gen.IP("172.16.0.5"), Dst: gen.IP("172.16.9.9"), ID: 1}
	outer6 = gen.IPv6{Src: gen.IP("fd16::5"), Dst: gen.IP("fd16::9")}
	udp    = gen.UDP{SrcPort: 40000}
	data   = gen.Payload("some octets of payload")
)

// wrappings are what may stand around a packet; unread where C does not read it.
var wrappings = []struct {
	name   string
	unread bool
	layers []gen.Layer
}{
	{"ethernet", false, []gen.Layer{ether}},
	{"padded", false, []gen.Layer{gen.Ethernet{Pad: true, Trailer: []byte("trailer")}}},
	{"802.1Q", false, []gen.Layer{ether, gen.VLAN{ID: 100}}},
	{"802.1ad", false, []gen.Layer{ether, gen.VLAN{ID: 100, TPID: 0x88a8}, gen.VLAN{ID: 200}}},
	{"three tags", false, []gen.Layer{ether, gen.VLAN{ID: 1, TPID: 0x9100}, gen.VLAN{ID: 2, TPID: 0x9200}, gen.VLAN{ID: 4095}}},
	{"snap", false, []gen.Layer{ether, gen.LLC{SNAP: true}}},
	{"snap in a tag", false, []gen.Layer{ether, gen.VLAN{ID: 7}, gen.LLC{SNAP: true}}},
	{"ip in ipv4", false, []gen.Layer{ether, outer4}},
	{"ip in ipv6", false, []gen.Layer{ether, outer6}},
	{"gre", false, []gen.Layer{ether, outer4, gen.GRE{}}},
	{"gre with all", false, []gen.Layer{ether, outer6, gen.GRE{Checksum: true, Key: new(uint32(7)), Seq: new(uint32(8))}}},
	{"gre, ethernet", false, []gen.Layer{ether, outer4, gen.GRE{}, ether}},
	{"nvgre", false, []gen.Layer{ether, outer4, gen.NVGRE{VSID: 0x1234, FlowID: 7}, ether}},
	{"erspan 1", false, []gen.Layer{ether, outer4, gen.ERSPAN1{}, ether}},
	{"erspan 2", false, []gen.Layer{ether, outer4, gen.ERSPAN2{Session: 1023, VLAN: 9, En: 3}, ether, gen.VLAN{ID: 9}}},
	{"erspan 3", false, []gen.Layer{ether, outer4, gen.ERSPAN3{Session: 5}, ether}},
	{"erspan 3, platform", false, []gen.Layer{ether, outer6, gen.ERSPAN3{Session: 5, Platform: new(uint64(1 << 60))}, ether}},
	{"erspan 3, bare ip", false, []gen.Layer{ether, outer4, gen.ERSPAN3{Session: 5}}},
	{"vxlan", false, []gen.Layer{ether, outer4, udp, gen.VXLAN{VNI: 4660}, ether}},
	{"vxlan in ipv6 on 8472", false, []gen.Layer{ether, outer6, gen.UDP{DstPort: 8472}, gen.VXLAN{VNI: 1}, ether, gen.VLAN{ID: 5}}},
	{"vxlan with policy", false, []gen.Layer{ether, outer4, udp, gen.VXLAN{VNI: 1, Flags: 0x88, Reserved: [3]byte{0, 1, 2}}, ether}},
	{"vxlan without I", false, []gen.Layer{ether, outer4, udp, gen.VXLAN{VNI: 1, Flags: 0x01}, ether}},
	{"vxlan thrice", false, []gen.Layer{ether, outer4, udp, gen.VXLAN{VNI: 1}, ether, outer6, udp, gen.VXLAN{VNI: 2}, ether, outer4, udp, gen.VXLAN{VNI: 3}, ether}},
	{"geneve", false, []gen.Layer{ether, outer4, udp, gen.Geneve{VNI: 6}, ether}},
	{"geneve, ip", false, []gen.Layer{ether, outer4, udp, gen.Geneve{VNI: 6, Options: []gen.GeneveOption{{Class: 7, Data: make([]byte, 20)}}}}},
	{"geneve of google", false, []gen.Layer{ether, outer4, udp, gen.Geneve{Options: []gen.GeneveOption{{Class: 0x132, Type: 1, Data: make([]byte, 4)}, {Class: 0x132, Type: 2, Data: make([]byte, 16)}}}}},
	{"geneve of a gateway", false, []gen.Layer{ether, outer4, udp, gen.Geneve{Options: gen.AWSOptions(1, 2, 3)}}},
	{"gateway around vxlan", false, []gen.Layer{ether, outer4, udp, gen.Geneve{Options: gen.AWSOptions(1, 2, 3)}, outer4, udp, gen.VXLAN{VNI: 8}, ether}},
	{"gateway around gre around vxlan", false, []gen.Layer{ether, outer4, udp, gen.Geneve{Options: gen.AWSOptions(1, 2, 3)}, outer4, gen.GRE{}, outer6, udp, gen.VXLAN{VNI: 8}, ether}},
	{"hop by hop", false, []gen.Layer{ether, outer6, gen.HopByHop{}, gen.DestinationOptions{}}},
	{"control packet of geneve", false, []gen.Layer{ether, outer4, udp, gen.Geneve{OAM: true}, ether}},
	{"keep-alive of gre", false, []gen.Layer{ether, outer4, gen.GRE{Protocol: 0x9999}}},

	{"mpls", true, []gen.Layer{ether, gen.MPLS{Labels: []uint32{16, 17}}}},
	{"pppoe", true, []gen.Layer{ether, gen.PPPoE{Session: 9}, gen.PPP{}}},
	{"cisco metadata", true, []gen.Layer{ether, gen.CiscoMetadata{SGT: 5}}},
	{"nsh", true, []gen.Layer{ether, gen.NSH{Path: 1, Index: 255}}},
	{"gre, ppp", true, []gen.Layer{ether, outer4, gen.GRE{}, gen.PPP{Framed: true}}},
	{"gre, mpls", true, []gen.Layer{ether, outer4, gen.GRE{}, gen.MPLS{Labels: []uint32{16}}}},
	{"mpls in ip", true, []gen.Layer{ether, outer4, gen.MPLS{Labels: []uint32{16}}}},
	{"mpls over udp", true, []gen.Layer{ether, outer4, udp, gen.MPLS{Labels: []uint32{16}}}},
	{"gtp-u", true, []gen.Layer{ether, outer4, udp, gen.GTPU{TEID: 7}}},
	{"gtp-u from its port", true, []gen.Layer{ether, outer4, gen.UDP{SrcPort: 2152, DstPort: 9999}, gen.GTPU{}}},
	{"tzsp", true, []gen.Layer{ether, outer4, udp, gen.TZSP{}, ether}},
	{"vxlan-gpe", true, []gen.Layer{ether, outer4, udp, gen.VXLANGPE{VNI: 6}}},
}

// inner are packets that the wrappings go around.
var inner = [][]byte{
	gen.Build(ip4, gen.TCP{SrcPort: 51234, DstPort: 443, Flags: packet.ACK, Options: gen.TCPOptions{Timestamps: &gen.Timestamps{Val: 3, Ecr: 4}}}, data),
	gen.Build(ip6, gen.HopByHop{}, gen.TCP{SrcPort: 1, DstPort: 2}),
	gen.Build(gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, Options: []byte{1, 1, 1, 1}}, gen.UDP{SrcPort: 53, DstPort: 40000}, data),
	gen.Build(ip4, gen.ICMP{Type: 8, ID: 77}), gen.Build(ip4, gen.ICMP{Type: 3, Code: 4}, gen.Payload(gen.Build(ip4, gen.TCP{}))),
	gen.Build(ip6, gen.ICMPv6{Type: 128, ID: 5}), gen.Build(ip6, gen.ICMPv6{Type: 135}, gen.Payload(make([]byte, 20))),
	gen.Build(ip4, gen.SCTP{SrcPort: 7, DstPort: 8}), gen.Build(gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, Protocol: 50}, data),
	gen.Build(gen.IPv4{Src: ip4.Src, Dst: ip4.Dst, MF: true}, gen.UDP{SrcPort: 1, DstPort: 2}, gen.Payload("16 octets, whole")),
	gen.Fragment6(gen.Build(ip6, gen.TCP{SrcPort: 3, DstPort: 4}, gen.Payload(make([]byte, 90))), 100, 1)[1],
	// An atomic fragment (RFC 6946) with its reserved bits set.
	gen.Build(gen.IPv6{Src: ip6.Src, Dst: ip6.Dst, Next: new(uint8(44))}, append(gen.Payload{17, 0, 0, 6, 0, 0, 0, 1}, gen.Build(gen.UDP{SrcPort: 5, DstPort: 6})...)),
}

// wrapped gives the frame of a wrapping around a packet.
func wrapped(wrapping int, p []byte) []byte {
	layers := wrappings[wrapping].layers
	return gen.Build(append(layers[:len(layers):len(layers)], gen.Packet(p))...)
}

// TestEveryCut cuts every combination at every length, and damages one octet
// of its headers, and wants both parsers to agree.
func TestEveryCut(t *testing.T) {
	walkers, o := newWalkers(t), newOracle()
	r := rand.New(rand.NewPCG(1, 2))
	for i, wrapping := range wrappings {
		for j, p := range inner {
			frame := wrapped(i, p)
			for n := 14; n <= len(frame); n++ {
				damaged := append([]byte(nil), frame...)
				damaged[12+r.IntN(len(damaged)-12)] ^= 1 << r.IntN(8)
				for _, w := range walkers {
					outcome, contradiction := o.agree(w.run(t, frame[:n]), frame[:n], w.socket)
					if contradiction != "" {
						t.Errorf("%s around %d, cut at %d, socket %v: %s", wrapping.name, j, n, w.socket, contradiction)
					}
					if n == len(frame) && (outcome == unreadTunnel) != wrapping.unread {
						t.Errorf("%s around %d, socket %v: outcome %d", wrapping.name, j, w.socket, outcome)
					}
					if _, contradiction := o.agree(w.run(t, damaged), damaged, w.socket); contradiction != "" {
						t.Errorf("%s around %d, damaged %x, socket %v: %s", wrapping.name, j, damaged, w.socket, contradiction)
					}
				}
			}
		}
	}
}

// TestSNAP reads the codes of both organisations that EtherTypes go by, and no
// other.
func TestSNAP(t *testing.T) {
	const oui = 14 + 3
	w, o := newWalkers(t)[0], newOracle()
	frame := gen.Build(ether, gen.LLC{SNAP: true}, gen.Packet(inner[0]))
	for _, c := range []struct {
		last byte
		want uint8
	}{{0, parsed}, {0xf8, parsed}, {0xf9, notIP}} {
		frame[oui+2] = c.last
		outcome, contradiction := o.agree(w.run(t, frame), frame, false)
		if outcome != c.want || contradiction != "" {
			t.Errorf("organisation %x: outcome %d, want %d %s", c.last, outcome, c.want, contradiction)
		}
	}
}

// FuzzAgreement wants both parsers to agree on any frame.
func FuzzAgreement(f *testing.F) {
	walkers := newWalkers(f)
	for i := range wrappings {
		for _, p := range inner {
			f.Add(wrapped(i, p))
		}
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		if len(frame) < 14 || len(frame) > maxRun {
			return
		}
		for _, w := range walkers {
			if _, contradiction := newOracle().agree(w.run(t, frame), frame, w.socket); contradiction != "" {
				t.Errorf("socket %v: %s", w.socket, contradiction)
			}
		}
	})
}
