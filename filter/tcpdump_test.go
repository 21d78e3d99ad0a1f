package filter

import (
	"bytes"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"mirrorscope/internal/needs"
	"mirrorscope/packet"
)

// TestSameAsTcpdump asks tcpdump and the filter for the packets of real
// captures without tunnels, VLAN tags and fragments, where both look at the
// same header. tcpdump's host and net look at ARP, too: it is asked for IP.
func TestSameAsTcpdump(t *testing.T) {
	tcpdump := needs.Tool(t, "tcpdump")
	dev := filepath.Join(needs.Captures(t), "dev")
	exprs := []string{
		"tcp", "udp", "icmp", "icmp6", "ip", "ip6", "igmp", "not tcp", "proto 17", "ip proto 6 or 17", "ip6 proto 6", "proto (1 or 58)",
		"port 80", "port 443 or 80", "tcp dst port 80", "udp src port 53", "portrange 1-1023", "src and dst portrange 1024-65535",
		"net 10.0.0.0/8 or 192.168.0.0/16", "src net 192.168", "dst net 128.0.0.0 mask 128.0.0.0", "src and dst net 10",
		"net 2001::/16", "net ::/0", "src net fe80::/10 or fd00::/8", "not net 10", "host 192.168.1.1 or 10.0.0.1", "src host 192.168.1.2",
		"not port 80 and 443", "tcp or udp and port 53", "tcp or (udp and port 53)", "port (53 or (80 and not 443)) or 22",
		"src or dst port 22 and not src net 10", "!(tcp || udp) && ip", "ip and not (src net 10 or dst port 443)",
	}
	matched := map[string]int{}
	for _, name := range []string{
		"tcp/mercury-capture2.pcap", "tcp/zeek-206_example_b.pcap", "tcp/zeek-ssh-dups.pcap", "formats/mercury-http_rawip.pcap",
		"quic/tcpdump-quic_vn.pcap", "quic/zeek-quicv2-http3-443.pcap", "dns/arkime-dns-tcp.pcap", "http/zeek-get.pcap",
		"tls/zeek-chrome-1250-tls-x25519-kyber.pcap", "tls/zeek-tls13-ech.pcap", "tcp/zeek-truncated-header.pcap",
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dev, name)
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			all, link := frames(t, file)
			if len(all) == 0 {
				t.Fatal("no packets")
			}
			for _, expr := range exprs {
				f, err := Parse(expr)
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, data := range all {
					if p, ok := decode(data, link); ok && f.Match(&p) {
						got = append(got, string(data))
					}
				}
				cmd := exec.Command(tcpdump, "-r", path, "-w", "-", "("+expr+") and (ip or ip6)")
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("%v: %v: %s", cmd, err, stderr.String())
				}
				var want []string
				if len(out) > 0 {
					kept, _ := frames(t, out)
					for _, data := range kept {
						want = append(want, string(data))
					}
				}
				if len(got) != len(want) {
					t.Errorf("%q: %d packets, tcpdump has %d", expr, len(got), len(want))
					continue
				}
				for i := range got {
					if got[i] != want[i] {
						t.Errorf("%q: packet %d is another one than tcpdump's", expr, i)
						break
					}
				}
				matched[expr] += len(got)
			}
		})
	}
	none := 0
	for _, expr := range exprs {
		if matched[expr] == 0 {
			none++
			t.Logf("%q matched nothing in all captures", expr)
		}
	}
	if none > len(exprs)/4 {
		t.Errorf("%d of %d expressions matched nothing: they compare nothing", none, len(exprs))
	}
}

func frames(t *testing.T, file []byte) (all [][]byte, link layers.LinkType) {
	r, err := pcapgo.NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	r.SetSnaplen(1 << 20) // tcpdump writes the captured length of a file that has none
	for {
		data, _, err := r.ReadPacketData()
		if err == io.EOF {
			return all, r.LinkType()
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data)
	}
}

// decode reads the outermost IP header and the ports behind it with gopacket.
// ok is false for what is not IP.
func decode(data []byte, link layers.LinkType) (p packet.Packet, ok bool) {
	g := gopacket.NewPacket(data, link, gopacket.Lazy)
	switch ip := g.NetworkLayer().(type) {
	case *layers.IPv4:
		p.Version, p.Proto = 4, uint8(ip.Protocol)
		p.Src, p.Dst = addr(ip.SrcIP), addr(ip.DstIP)
	case *layers.IPv6:
		p.Version, p.Proto = 6, uint8(ip.NextHeader)
		p.Src, p.Dst = addr(ip.SrcIP), addr(ip.DstIP)
	default:
		return p, false
	}
	switch l4 := g.TransportLayer().(type) {
	case *layers.TCP:
		p.SrcPort, p.DstPort = uint16(l4.SrcPort), uint16(l4.DstPort)
	case *layers.UDP:
		p.SrcPort, p.DstPort = uint16(l4.SrcPort), uint16(l4.DstPort)
	default:
		p.Flags |= packet.PortsUnknown
	}
	return p, true
}

func addr(b []byte) packet.Addr {
	a, _ := netip.AddrFromSlice(b)
	return packet.AddrFrom(a)
}
