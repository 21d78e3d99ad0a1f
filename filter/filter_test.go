package filter

import (
	"net/netip"
	"testing"

	"mirrorscope/packet"
)

// pkt builds a packet between two addresses with ports.
func pkt(proto uint8, src, dst string) *packet.Packet {
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	p := &packet.Packet{
		Src: packet.AddrFrom(s.Addr()), Dst: packet.AddrFrom(d.Addr()),
		SrcPort: s.Port(), DstPort: d.Port(), Proto: proto, Version: 6,
	}
	if s.Addr().Is4() {
		p.Version = 4
	}
	return p
}

func TestMatch(t *testing.T) {
	var (
		web   = pkt(packet.ProtoTCP, "10.1.0.7:51234", "10.2.0.9:443")
		dns   = pkt(packet.ProtoUDP, "10.1.0.7:5353", "192.0.2.53:53")
		web6  = pkt(packet.ProtoTCP, "[2001:db8::7]:51234", "[2001:db8:1::9]:443")
		ping  = pkt(packet.ProtoICMP, "10.1.0.7:443", "10.2.0.9:443") // identifier 443
		ping6 = pkt(packet.ProtoICMPv6, "[2001:db8::7]:0", "[2001:db8:1::9]:0")
		esp   = pkt(packet.ProtoESP, "10.1.0.7:0", "10.2.0.9:0")
		cut   = pkt(packet.ProtoTCP, "10.1.0.7:0", "10.2.0.9:0") // behind the IP header nothing was captured
		lite  = pkt(protoUDPLite, "10.1.0.7:7", "10.2.0.9:9")
		mix   = &packet.Packet{Version: 6, Proto: packet.ProtoUDP, Src: web.Src, Dst: web6.Dst} // ::ffff:10.1.0.7
	)
	cut.Flags |= packet.PortsUnknown
	all := map[string]*packet.Packet{
		"web": web, "dns": dns, "web6": web6, "ping": ping, "ping6": ping6, "esp": esp, "cut": cut, "lite": lite, "mix": mix,
	}
	for _, test := range []struct {
		expr string
		want []string // names of the packets that match
	}{
		{"", []string{"web", "dns", "web6", "ping", "ping6", "esp", "cut", "lite", "mix"}},
		{"ip", []string{"web", "dns", "ping", "esp", "cut", "lite"}},
		{"ip6", []string{"web6", "ping6", "mix"}},
		{"tcp", []string{"web", "web6", "cut"}},
		{"icmp", []string{"ping"}},
		{"icmp6", []string{"ping6"}},
		{"proto 1 or 58", []string{"ping", "ping6"}},
		{"ip6 proto tcp", []string{"web6"}},
		{"esp", []string{"esp"}},
		{"port 443", []string{"web", "web6"}},
		{"src port 443", nil},
		{"dst port 443", []string{"web", "web6"}},
		{"src portrange 50000-60000", []string{"web", "web6"}},
		{"port 51234", []string{"web", "web6"}},
		{"portrange 0-65535", []string{"web", "dns", "web6", "lite", "mix"}},
		{"udp port 53", []string{"dns"}},
		{"tcp port 53", nil},
		{"udplite port 9", []string{"lite"}},
		{"port 0", []string{"mix"}}, // unknown is not zero: not the packet whose ports were cut
		{"host 10.1.0.7", []string{"web", "dns", "ping", "esp", "cut", "lite"}},
		{"dst host 10.1.0.7", nil},
		{"host ::ffff:10.1.0.7", []string{"mix"}},
		{"dst net 10.2.0.0/16", []string{"web", "ping", "esp", "cut", "lite"}},
		{"net 192.0.2.53/32", []string{"dns"}},
		{"src and dst net 10.0.0.0/8", []string{"web", "ping", "esp", "cut", "lite"}},
		{"net 0.0.0.0/0", []string{"web", "dns", "ping", "esp", "cut", "lite"}},
		{"net ::/0", []string{"web6", "ping6", "mix"}},
		{"net 2001:db8::/48", []string{"web6", "ping6"}},
		{"dst net 2001:db8:1::/48 and tcp", []string{"web6"}},
		{"src net 2001:db8::6/127", []string{"web6", "ping6"}},
		{"not tcp and not ip", []string{"ping6", "mix"}},
		{"tcp or udp and ip6", []string{"web6", "mix"}},
		{"tcp or (udp and ip6)", []string{"web", "web6", "cut", "mix"}},
	} {
		f, err := Parse(test.expr)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		want := map[string]bool{}
		for _, name := range test.want {
			want[name] = true
		}
		for name, p := range all {
			if got := f.Match(p); got != want[name] {
				t.Errorf("%q matches %s: %v, want %v", test.expr, name, got, want[name])
			}
		}
	}
}

const demanding = "not (udp port 53 or 5353) and (src net 2001:db8::/32 or dst host 10.2.0.9) and tcp portrange 400-500"

func TestMatchAllocs(t *testing.T) {
	f, err := Parse(demanding)
	if err != nil {
		t.Fatal(err)
	}
	p := pkt(packet.ProtoTCP, "10.1.0.7:51234", "10.2.0.9:443")
	if !f.Match(p) {
		t.Fatalf("%s does not match", f)
	}
	if n := testing.AllocsPerRun(1000, func() { f.Match(p) }); n != 0 {
		t.Errorf("Match: %v allocations per packet, want 0", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	f, err := Parse(demanding)
	if err != nil {
		b.Fatal(err)
	}
	p := pkt(packet.ProtoTCP, "10.1.0.7:51234", "10.2.0.9:443")
	b.ReportAllocs()
	for b.Loop() {
		f.Match(p)
	}
}
