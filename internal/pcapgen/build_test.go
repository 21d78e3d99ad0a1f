package pcapgen

import (
	"bytes"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

var (
	macA, macB = MAC{2, 0, 0, 0, 0, 1}, MAC{2, 0, 0, 0, 0, 2}
	ether      = Ethernet{Src: macA, Dst: macB}
	ip4        = IPv4{Src: IP("10.1.0.7"), Dst: IP("10.1.0.9"), ID: 4711, DF: true, TTL: 63, TOS: 0xb8}
	ip6        = IPv6{Src: IP("fd00::7"), Dst: IP("fd00::9"), HopLimit: 63, TrafficClass: 0xb9, FlowLabel: 0x12345}
	tcpSeg     = TCP{SrcPort: 51234, DstPort: 443, Seq: 0xfffffff0, Ack: 7, Flags: PSH | ACK, Window: 501}
	data       = Payload("some octets of payload")
)

// decode parses with gopacket and fails on a decoding error.
func decode(t *testing.T, first gopacket.Decoder, b []byte) gopacket.Packet {
	t.Helper()
	p := gopacket.NewPacket(b, first, gopacket.Default)
	if err := p.ErrorLayer(); err != nil {
		t.Fatalf("gopacket: %v\n%x", err.Error(), b)
	}
	return p
}

// stack gives the names of the layers that gopacket sees.
func stack(p gopacket.Packet) string {
	var s []byte
	for i, l := range p.Layers() {
		if i > 0 {
			s = append(s, ' ')
		}
		s = append(s, l.LayerType().String()...)
	}
	return string(s)
}

func TestBuildStacksAsGopacketSeesThem(t *testing.T) {
	tests := []struct {
		name   string
		layers []Layer
		want   string
	}{
		{"tcp", []Layer{ether, ip4, tcpSeg, data}, "Ethernet IPv4 TCP Payload"},
		{"qinq", []Layer{ether, VLAN{ID: 5, TPID: 0x88a8}, VLAN{ID: 6}, ip6, tcpSeg, data}, "Ethernet Dot1Q Dot1Q IPv6 TCP Payload"},
		{"mpls", []Layer{ether, MPLS{Labels: []uint32{16, 17}}, ip4, tcpSeg, data}, "Ethernet MPLS MPLS IPv4 TCP Payload"},
		{"pppoe", []Layer{ether, PPPoE{Session: 9}, PPP{}, ip6, tcpSeg, data}, "Ethernet PPPoE PPP IPv6 TCP Payload"},
		{"arp", []Layer{ether, ARP{SenderMAC: macA, Sender: ip4.Src, Target: ip4.Dst}}, "Ethernet ARP"},
		{"vxlan", []Layer{ether, ip4, UDP{SrcPort: 1}, VXLAN{VNI: 7}, ether, ip4, tcpSeg, data}, "Ethernet IPv4 UDP VXLAN Ethernet IPv4 TCP Payload"},
		{"geneve", []Layer{ether, ip4, UDP{SrcPort: 1}, Geneve{VNI: 7, Options: AWSOptions(1, 2, 3)}, ip4, tcpSeg, data}, "Ethernet IPv4 UDP Geneve IPv4 TCP Payload"},
		{"gre", []Layer{ether, ip4, GRE{Checksum: true, Key: new(uint32(1)), Seq: new(uint32(2))}, ip6, tcpSeg, data}, "Ethernet IPv4 GRE IPv6 TCP Payload"},
		{"nvgre", []Layer{ether, ip4, NVGRE{VSID: 1, FlowID: 2}, ether, ip4, tcpSeg, data}, "Ethernet IPv4 GRE Ethernet IPv4 TCP Payload"},
		{"erspan2", []Layer{ether, ip4, ERSPAN2{Session: 1}, ether, ip4, tcpSeg, data}, "Ethernet IPv4 GRE ERSPAN Type II Ethernet IPv4 TCP Payload"},
		{"ip in ip", []Layer{ether, ip4, ip6, ip4, ip4, tcpSeg, data}, "Ethernet IPv4 IPv6 IPv4 IPv4 TCP Payload"},
		{"gtpu", []Layer{ether, ip4, UDP{SrcPort: 1}, GTPU{TEID: 7, Seq: new(uint16(1))}, ip4, tcpSeg, data}, "Ethernet IPv4 UDP GTPv1U IPv4 TCP Payload"},
		{"ah", []Layer{ether, ip4, AH{SPI: 1, Seq: 2}, tcpSeg, data}, "Ethernet IPv4 IPSecAH TCP Payload"},
		{"extensions", []Layer{ether, ip6, HopByHop{}, DestinationOptions{}, tcpSeg, data}, "Ethernet IPv6 IPv6HopByHop IPv6Destination TCP Payload"},
		{"mpls over udp", []Layer{ether, ip4, UDP{SrcPort: 1}, MPLS{Labels: []uint32{16}}, ip4, tcpSeg}, "Ethernet IPv4 UDP MPLS IPv4 TCP"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			// gopacket does not know this port.
			layers.RegisterUDPPortLayerType(6635, layers.LayerTypeMPLS)
			p := decode(t, layers.LinkTypeEthernet, Build(tt.layers...))
			if got := stack(p); got != tt.want {
				t.Errorf("layers %s\nwant   %s", got, tt.want)
			}
		})
	}
}

// TestBuildReencodes takes frames apart with gopacket and lets it compute all
// lengths and checksums anew: ours must have been the same.
func TestBuildReencodes(t *testing.T) {
	syn := TCP{SrcPort: 1, DstPort: 2, Seq: 3, Flags: SYN, Window: 64240,
		Options: TCPOptions{MSS: 1460, SACKPermitted: true, Timestamps: &Timestamps{9, 0}, WScale: new(uint8(7))}}
	tests := []struct {
		name   string
		layers []Layer
	}{
		{"tcp4", []Layer{ether, ip4, tcpSeg, data}},
		{"tcp6 odd", []Layer{ether, ip6, tcpSeg, Payload("odd")}},
		{"syn", []Layer{ether, ip4, syn}},
		{"udp", []Layer{ether, ip4, UDP{SrcPort: 5, DstPort: 9999}, data}},
		{"udp6", []Layer{ether, ip6, UDP{SrcPort: 5, DstPort: 9999}, data}},
		{"icmp", []Layer{ether, ip4, ICMP{Type: EchoRequest, ID: 3, Seq: 4}, data}},
		{"icmp error", []Layer{ether, ip4, ICMP{Type: Unreachable, Code: PortUnreachable}, Quote(Build(ip4, tcpSeg))}},
		{"options", []Layer{ether, IPv4{Src: ip4.Src, Dst: ip4.Dst, Options: []byte{0x94, 4, 0, 0}}, tcpSeg, data}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := Build(tt.layers...)
			p := decode(t, layers.LinkTypeEthernet, b)
			var out []gopacket.SerializableLayer
			for _, l := range p.Layers() {
				switch l := l.(type) {
				case *layers.TCP:
					l.SetNetworkLayerForChecksum(p.NetworkLayer())
				case *layers.UDP:
					l.SetNetworkLayerForChecksum(p.NetworkLayer())
				}
				out = append(out, l.(gopacket.SerializableLayer))
			}
			buf := gopacket.NewSerializeBuffer()
			if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, out...); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(buf.Bytes(), b) {
				t.Errorf("built   %x\ngopacket %x", b, buf.Bytes())
			}
		})
	}
}

func TestTCPOptions(t *testing.T) {
	o := TCPOptions{MSS: 8961, SACKPermitted: true, Timestamps: &Timestamps{0x01020304, 0x05060708}, WScale: new(uint8(9)),
		FastOpen: []byte("cookie01")}
	p := decode(t, layers.LinkTypeEthernet, Build(ether, ip4, TCP{Flags: SYN, Options: o}))
	var kinds []layers.TCPOptionKind
	for _, o := range p.TransportLayer().(*layers.TCP).Options {
		if o.OptionType != layers.TCPOptionKindNop {
			kinds = append(kinds, o.OptionType)
		}
	}
	want := []layers.TCPOptionKind{layers.TCPOptionKindMSS, layers.TCPOptionKindSACKPermitted, layers.TCPOptionKindTimestamps,
		layers.TCPOptionKindWindowScale, 34}
	if len(kinds) != len(want) {
		t.Fatalf("options %v, want %v", kinds, want)
	}
	for i := range want {
		if kinds[i] != want[i] {
			t.Fatalf("options %v, want %v", kinds, want)
		}
	}
	// As Linux writes the SYN of a connection without timestamps, and an ACK with a SACK block.
	got := TCPOptions{MSS: 1460, SACKPermitted: true, WScale: new(uint8(7))}.append(nil)
	if want := []byte{2, 4, 5, 0xb4, 1, 1, 4, 2, 1, 3, 3, 7}; !bytes.Equal(got, want) {
		t.Errorf("SYN options % x, want % x", got, want)
	}
	got = TCPOptions{Timestamps: &Timestamps{1, 2}, SACK: []SACK{{3, 4}}}.append(nil)
	want2 := []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1, 5, 10, 0, 0, 0, 3, 0, 0, 0, 4}
	if !bytes.Equal(got, want2) {
		t.Errorf("ACK options % x, want % x", got, want2)
	}
}

func TestOverrides(t *testing.T) {
	b := Build(IPv4{Src: ip4.Src, Dst: ip4.Dst, Length: new(uint16(0)), Checksum: new(uint16(0xbeef)), Protocol: 89, TTL: 1}, TCP{Checksum: new(uint16(0)), DataOffset: new(uint8(15))})
	if b[2] != 0 || b[3] != 0 || b[9] != 89 || be.Uint16(b[10:]) != 0xbeef {
		t.Errorf("IPv4 header %x", b[:20])
	}
	if b[20+12]>>4 != 15 || be.Uint16(b[20+16:]) != 0 {
		t.Errorf("TCP header %x", b[20:])
	}
	if b := Build(ip4, UDP{NoChecksum: true}, data); be.Uint16(b[26:]) != 0 {
		t.Errorf("UDP checksum %x, want 0", b[26:28])
	}
	partial := Build(ip4, TCP{Partial: true}, data)
	if got, want := be.Uint16(partial[36:]), fold(pseudoSum(ip4.Src, ip4.Dst, 6, 20+len(data))); got != want {
		t.Errorf("partial checksum %#x, want %#x", got, want)
	}
}
