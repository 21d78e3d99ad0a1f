package pcapgen

import (
	"bytes"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mirrorscope/internal/needs"
)

// tshark dissects a capture file and gives one line per packet: the fields,
// separated by tabs, repeats of a field by commas.
func tshark(t *testing.T, file []byte, fields ...string) []string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "capture")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-n", "-r", path, "-T", "fields",
		"-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-o", "sctp.checksum:crc-32c", "-o", "ip.defragment:TRUE"}
	for _, f := range fields {
		args = append(args, "-e", f)
	}
	cmd := exec.Command(needs.Tool(t, "tshark"), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, stderr.String())
	}
	if len(out) == 0 {
		return nil
	}
	return strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
}

var oneAddr = []netip.Addr{IP("fd00::f")}

func equalLines(t *testing.T, got, want []string) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(got), len(want), strings.Join(got, "\n"))
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("line %d\n got %q\nwant %q", i+1, got[i], want[i])
		}
	}
}

// TestTshark has every encapsulation dissected to its innermost TCP header and
// compares the fields that say what the header holds.
func TestTshark(t *testing.T) {
	inner := []Layer{ether, ip4, tcpSeg, data}
	outer := []Layer{ether, IPv4{Src: IP("192.0.2.1"), Dst: IP("192.0.2.2"), ID: 1}}
	over := func(l ...Layer) []Layer { return append(append([]Layer(nil), outer...), l...) }
	with := func(a []Layer, b ...Layer) []Layer { return append(append([]Layer(nil), a...), b...) }
	bare := inner[1:]
	tests := []struct {
		name   string
		link   uint32
		layers []Layer
		fields string
		want   string
	}{
		{"tcp4", LinkEthernet, inner, "ip.ttl ip.dsfield ip.id ip.flags.df ip.checksum.status tcp.checksum.status tcp.seq_raw tcp.window_size_value", "63 0xb8 0x1267 1 1 1 4294967280 501"},
		{"tcp6", LinkEthernet, []Layer{ether, ip6, tcpSeg, data}, "ipv6.hlim ipv6.tclass ipv6.flow ipv6.plen tcp.checksum.status", "63 0x000000b9 0x012345 42 1"},
		{"padded", LinkEthernet, []Layer{Ethernet{Pad: true}, ip4, TCP{}}, "frame.len eth.padding", "60 000000000000"},
		{"802.3 SNAP", LinkEthernet, []Layer{ether, LLC{SNAP: true}, ip4, tcpSeg, data}, "eth.len llc.type tcp.srcport", "70 0x0800 51234"},
		{"vlan", LinkEthernet, []Layer{ether, VLAN{ID: 100, Priority: 5, DEI: true}, ip4, tcpSeg, data}, "vlan.id vlan.priority vlan.dei tcp.srcport", "100 5 1 51234"},
		{"802.1ad", LinkEthernet, []Layer{ether, VLAN{ID: 100, TPID: 0x88a8}, VLAN{ID: 200}, ip4, tcpSeg, data}, "ieee8021ad.id vlan.id tcp.srcport", "100 200 51234"},
		{"mpls pseudowire", LinkEthernet, with([]Layer{ether, MPLS{Labels: []uint32{1000, 2000}, TC: 3, TTL: 9, ControlWord: true}}, inner...), "mpls.label mpls.exp mpls.bottom mpls.ttl", "1000,2000 3,3 0,1 9,9"},
		{"pppoe", LinkEthernet, []Layer{ether, PPPoE{Session: 17}, PPP{}, ip4, tcpSeg, data}, "pppoe.session_id pppoe.payload_length ppp.protocol tcp.srcport", "0x0011 64 0x0021 51234"},
		{"cisco metadata", LinkEthernet, []Layer{ether, CiscoMetadata{SGT: 77}, ip4, tcpSeg, data}, "cmd.version cmd.sgt tcp.srcport", "1 77 51234"},
		{"ppp", LinkPPP, with([]Layer{PPP{Framed: true}}, bare...), "ppp.protocol tcp.srcport", "0x0021 51234"},
		{"ppp compressed", LinkPPP, with([]Layer{PPP{Compressed: true}}, bare...), "ppp.protocol tcp.srcport", "0x0021 51234"},
		{"sll", LinkLinuxSLL, with([]Layer{LinuxSLL{PacketType: 4, Addr: macA}}, bare...), "sll.pkttype sll.src.eth sll.etype tcp.srcport", "4 02:00:00:00:00:01 0x0800 51234"},
		{"sll2", LinkSLL2, with([]Layer{SLL2{Interface: 3, Addr: macA}}, bare...), "sll.ifindex sll.src.eth sll.etype tcp.srcport", "3 02:00:00:00:00:01 0x0800 51234"},
		{"null", LinkNull, with([]Layer{Null{}}, ip6, tcpSeg), "null.family tcp.srcport", "30 51234"},
		{"null big", LinkNull, with([]Layer{Null{BigEndian: true, Inet6: 28}}, ip6, tcpSeg), "null.family tcp.srcport", "28 51234"},
		{"loop", LinkLoop, with([]Layer{Loop{}}, bare...), "null.family tcp.srcport", "2 51234"},
		{"nflog", LinkNFLOG, with([]Layer{NFLOG{Group: 5, Prefix: "in"}}, bare...), "nflog.family nflog.res_id nflog.prefix tcp.srcport", "2 5 in 51234"},
		{"raw", LinkRaw, []Layer{ip6, tcpSeg}, "tcp.srcport", "51234"},

		{"hop by hop", LinkEthernet, []Layer{ether, ip6, HopByHop{}, Routing{Type: 2, SegmentsLeft: 1, Addrs: oneAddr}, DestinationOptions{}, IPv6Fragment{ID: 7}, AH{SPI: 5, Seq: 6}, tcpSeg, data},
			"ipv6.hopopts.nxt ipv6.routing.segleft ipv6.fraghdr.ident ah.spi tcp.srcport", "43 1 0x00000007 0x00000005 51234"},
		{"segment routing", LinkEthernet, []Layer{ether, ip6, Routing{Type: 4, SegmentsLeft: 1, Addrs: oneAddr}, tcpSeg, data}, "ipv6.routing.srh.last_entry ipv6.routing.srh.addr tcp.srcport", "0 fd00::f 51234"},
		{"icmp error", LinkEthernet, []Layer{ether, ip4, ICMP{Type: Unreachable, Code: HostUnreachable}, Quote(Build(bare...))}, "icmp.type icmp.code icmp.checksum.status tcp.srcport", "3 1 1 51234"},
		{"icmp6 echo", LinkEthernet, []Layer{ether, ip6, ICMPv6{Type: EchoRequest6, ID: 5, Seq: 6}, data}, "icmpv6.type icmpv6.checksum.status icmpv6.echo.identifier", "128 1 0x0005"},
		{"sctp", LinkEthernet, []Layer{ether, ip4, SCTP{SrcPort: 9, DstPort: 10, Tag: 11, Chunks: []SCTPChunk{SCTPInit(1, 2, 3, 4), SCTPData(4, 5, 6, []byte("odd"))}}},
			"sctp.srcport sctp.checksum.status sctp.chunk_type sctp.data_sid", "9 1 1,0 0x0005"},
		{"esp", LinkEthernet, []Layer{ether, ip4, ESP{SPI: 258, Seq: 3}, data}, "esp.spi esp.sequence", "0x00000102 3"},

		{"gre", LinkEthernet, over(with([]Layer{GRE{Checksum: true, Key: new(uint32(5)), Seq: new(uint32(6))}}, bare...)...), "gre.key gre.sequence_number gre.checksum.status tcp.srcport", "0x00000005 6 1 51234"},
		{"gre transparent", LinkEthernet, over(with([]Layer{GRE{}}, inner...)...), "gre.proto tcp.srcport", "0x6558 51234"},
		{"nvgre", LinkEthernet, over(with([]Layer{NVGRE{VSID: 0x1234, FlowID: 5}}, inner...)...), "gre.key gre.proto tcp.srcport", "0x00123405 0x6558 51234"},
		{"erspan1", LinkEthernet, over(with([]Layer{ERSPAN1{}}, inner...)...), "gre.proto tcp.srcport", "0x88be 51234"},
		{"erspan2", LinkEthernet, over(with([]Layer{ERSPAN2{Seq: 9, VLAN: 30, COS: 2, En: 3, Truncated: true, Session: 1000, Index: 77}}, inner...)...),
			"gre.sequence_number erspan.version erspan.vlan erspan.cos erspan.encap erspan.truncated erspan.spanid erspan.index tcp.srcport", "9 1 30 2 3 1 1000 77 51234"},
		{"erspan3", LinkEthernet, over(with([]Layer{ERSPAN3{Seq: 9, VLAN: 30, Session: 1000, Timestamp: 5, SGT: 6, HardwareID: 7, Egress: true, Granularity: 2}}, inner...)...),
			"gre.sequence_number erspan.version erspan.vlan erspan.spanid erspan.sgt erspan.ft erspan.hw erspan.direction erspan.gra erspan.o tcp.srcport", "9 2 30 1000 6 0 7 1 2 0 51234"},
		{"erspan3 platform", LinkEthernet, over(with([]Layer{ERSPAN3{Session: 1, Platform: new(uint64(1) << 58)}}, inner...)...), "erspan.o erspan.platid tcp.srcport", "1 1 51234"},
		{"erspan3 ip", LinkEthernet, over(with([]Layer{ERSPAN3{Session: 1}}, bare...)...), "erspan.ft erspan.p erspan.spanid", "2 0 1"},
		{"vxlan", LinkEthernet, over(with([]Layer{UDP{SrcPort: 1}, VXLAN{VNI: 0x123456}}, inner...)...), "udp.dstport udp.checksum.status vxlan.vni tcp.srcport", "4789 1 1193046 51234"},
		{"vxlan gpe", LinkEthernet, over(with([]Layer{UDP{SrcPort: 1, NoChecksum: true}, VXLANGPE{VNI: 7}, NSH{Path: 5, Index: 6}}, inner...)...), "udp.dstport vxlan.vni vxlan.next_proto nsh.spi nsh.si nsh.mdtype nsh.nextproto tcp.srcport", "4790 7 4 5 6 1 3 51234"},
		{"nsh type 2", LinkEthernet, []Layer{ether, NSH{Path: 5, Index: 6, MDType: 2, Metadata: []byte{0, 1, 2, 4, 1, 2, 3, 4}}, ip4, tcpSeg}, "nsh.length nsh.mdtype nsh.nextproto tcp.srcport", "4 2 1 51234"},
		{"geneve google", LinkEthernet, over(with([]Layer{UDP{SrcPort: 1}, Geneve{Options: GoogleOptions(0xabcdef1, [16]byte{15: 9}, 8, true)}}, bare...)...),
			"udp.dstport geneve.vni geneve.option.class geneve.option.type geneve.option.length tcp.srcport", "6081 0x000000 0x0132,0x0132,0x0132 0x01,0x02,0x03 40,8,20,12 51234"},
		{"geneve aws around vxlan", LinkEthernet, over(with([]Layer{UDP{SrcPort: 1}, Geneve{Critical: true, Options: AWSOptions(1, 2, 3)}, ip4, UDP{SrcPort: 2}, VXLAN{VNI: 8}}, inner...)...),
			"geneve.option.class geneve.flags.critical vxlan.vni tcp.srcport", "0x0108,0x0108,0x0108 1 8 51234"},
		{"gtp-u", LinkEthernet, over(with([]Layer{UDP{SrcPort: 1}, GTPU{TEID: 0x77, Seq: new(uint16(3)), Extensions: []GTPExtension{{0x85, []byte{0, 9}}}}}, bare...)...),
			"gtp.teid gtp.seq_number gtp.ext_hdr.pdu_ses_con.qos_flow_id tcp.srcport", "0x00000077 0x0003 9 51234"},
		{"tzsp", LinkEthernet, over(with([]Layer{UDP{SrcPort: 1}, TZSP{Tags: []TZSPTag{{Type: 0}, {Type: 40, Data: []byte{0, 0, 0, 9}}}}}, inner...)...), "tzsp.version tzsp.encap tcp.srcport", "1 1 51234"},
		{"mpls over udp", LinkEthernet, over(with([]Layer{UDP{SrcPort: 1}, MPLS{Labels: []uint32{99}}}, bare...)...), "udp.dstport mpls.label tcp.srcport", "6635 99 51234"},
	}
	// One run for each link type, with the fields of all its frames.
	fields, frames, row := map[uint32][]string{}, map[uint32][]Frame{}, map[string]int{}
	for _, tt := range tests {
		for _, f := range strings.Fields(tt.fields) {
			if !slices.Contains(fields[tt.link], f) {
				fields[tt.link] = append(fields[tt.link], f)
			}
		}
		row[tt.name] = len(frames[tt.link])
		frames[tt.link] = append(frames[tt.link], Frame{Time: t0, Data: Build(tt.layers...)})
	}
	lines := map[uint32][]string{}
	for link := range frames {
		var buf bytes.Buffer
		w := NewPcapWriter(&buf, PcapConfig{Link: link})
		for _, f := range frames[link] {
			w.Write(f)
		}
		w.Flush()
		lines[link] = tshark(t, buf.Bytes(), fields[link]...)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all := strings.Split(lines[tt.link][row[tt.name]], "\t")
			var got []string
			for _, f := range strings.Fields(tt.fields) {
				got = append(got, all[slices.Index(fields[tt.link], f)])
			}
			if want := strings.Fields(tt.want); !slices.Equal(got, want) {
				t.Errorf("%s\n got %q\nwant %q", tt.fields, got, want)
			}
		})
	}
}
