package filter

import (
	"errors"
	"strings"
	"testing"
)

// TestParse compares what was understood, written out in full.
func TestParse(t *testing.T) {
	for _, test := range []struct{ expr, want string }{
		{"", ""},
		{"  ", ""},
		{"tcp", "proto 6"},
		{"ip", "ip"},
		{"ip6", "ip6"},
		{"icmp", "ip proto 1"},
		{"icmp6", "ip6 proto 58"},
		{"gre", "proto 47"},
		{"proto 47", "proto 47"},
		{"proto gre", "proto 47"},
		{`proto \tcp`, "proto 6"},
		{"ip proto 6", "ip proto 6"},
		{"ip6 proto udp", "ip6 proto 17"},
		{"host 10.0.0.1", "net 10.0.0.1/32"},
		{"src 10.0.0.1", "src net 10.0.0.1/32"},
		{"dst host 10.0.0.1", "dst net 10.0.0.1/32"},
		{"src or dst host 10.0.0.1", "net 10.0.0.1/32"},
		{"dst or src host 10.0.0.1", "net 10.0.0.1/32"},
		{"src and dst net 10.0.0.0/8", "src and dst net 10.0.0.0/8"},
		{"ip host 10.0.0.1", "net 10.0.0.1/32"},
		{"ip6 src host 2001:db8::1", "src net 2001:db8::1/128"},
		{"host ::ffff:10.0.0.1", "net ::ffff:10.0.0.1/128"},
		{"net 10", "net 10.0.0.0/8"},
		{"net 128.3", "net 128.3.0.0/16"},
		{"net 192.168.1", "net 192.168.1.0/24"},
		{"net 192.168.1.0", "net 192.168.1.0/32"}, // as in pcap-filter: four octets, all of them count
		{"net 192.168.1.0 mask 255.255.255.0", "net 192.168.1.0/24"},
		{"net 0.0.0.0 mask 0.0.0.0", "net 0.0.0.0/0"},
		{"net 2001:db8::/32", "net 2001:db8::/32"},
		{"net 2001:db8::", "net 2001:db8::/128"},
		{"port 80", "portrange 80-80"},
		{"port 0", "portrange 0-0"},
		{"tcp port 80", "tcp portrange 80-80"},
		{"udp src port 53", "udp src portrange 53-53"},
		{"sctp dst portrange 1-65535", "sctp dst portrange 1-65535"},
		{"portrange 90-80", "portrange 80-90"},
		{"portrange 80", "portrange 80-80"},
		{"portrange 80-90 or 100", "(portrange 80-90 or portrange 100-100)"},

		// Equal precedence, from left to right; not binds tighter.
		{"tcp or udp and port 53", "((proto 6 or proto 17) and portrange 53-53)"},
		{"port 53 and tcp or udp", "((portrange 53-53 and proto 6) or proto 17)"},
		{"tcp or (udp and port 53)", "(proto 6 or (proto 17 and portrange 53-53))"},
		{"not tcp and port 53", "(not proto 6 and portrange 53-53)"},
		{"not (tcp and port 53)", "not (proto 6 and portrange 53-53)"},
		{"!tcp&&!udp||ip", "((not proto 6 and not proto 17) or ip)"},
		{"not not tcp", "not not proto 6"},

		// An identifier alone repeats the last keywords, but not a negation.
		{"port 80 or 443", "(portrange 80-80 or portrange 443-443)"},
		{"tcp dst port 21 or 20 or 53", "((tcp dst portrange 21-21 or tcp dst portrange 20-20) or tcp dst portrange 53-53)"},
		{"not host 10.0.0.1 and 10.0.0.2", "(not net 10.0.0.1/32 and net 10.0.0.2/32)"},
		{"port 80 and not 443", "(portrange 80-80 and not portrange 443-443)"},
		{"udp port 53 or tcp port 80 or 443", "((udp portrange 53-53 or tcp portrange 80-80) or tcp portrange 443-443)"},
		{"net 10 or 11", "(net 10.0.0.0/8 or net 11.0.0.0/8)"},
		{"proto 6 or 17", "(proto 6 or proto 17)"},
		{"port (80 or 443) and host 10.0.0.1", "((portrange 80-80 or portrange 443-443) and net 10.0.0.1/32)"},
		{"port (80 or (443 or not 8080))", "(portrange 80-80 or (portrange 443-443 or not portrange 8080-8080))"},
		{"port 80 or (443 or 8080) or 90", "((portrange 80-80 or (portrange 443-443 or portrange 8080-8080)) or portrange 90-90)"},
		{"port (not 80)", "not portrange 80-80"},
		{"src (10.0.0.1 or 10.0.0.2)", "(src net 10.0.0.1/32 or src net 10.0.0.2/32)"},
	} {
		f, err := Parse(test.expr)
		if err != nil {
			t.Errorf("%q: %v", test.expr, err)
			continue
		}
		if got := f.String(); got != test.want {
			t.Errorf("%q\n got %s\nwant %s", test.expr, got, test.want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for _, test := range []struct {
		expr string
		pos  int
		msg  string // part of the message
	}{
		{"host", 4, "\"host\" needs an IP address"},
		{"host and tcp", 5, "\"host\" needs an IP address"},
		{"src", 3, "\"src host\" needs an IP address"},
		{"tcp and", 7, "ends where a host, net, port or protocol should follow"},
		{"or tcp", 0, "should stand in front of \"or\""},
		{"tcp or or udp", 7, "should stand in front of \"or\""},
		{"()", 1, "should stand in front of \")\""},
		{"(tcp", 0, "not closed"},
		{"tcp and (udp or (icmp)", 8, "not closed"},
		{"tcp)", 3, "not opened"},
		{"(tcp port 80 udp)", 13, "write and or or in front of \"udp\""},
		{"tcp udp", 4, "write and or or in front of \"udp\""},
		{"port 80 90", 8, "write and or or in front of \"90\""},
		{"port (80 or tcp)", 12, "is of \"port\""},
		{"port (80 or 90", 5, "not closed"},
		{"10.0.0.1", 0, "host 10.0.0.1"},
		{"10.0.0.0/8", 0, "net 10.0.0.0/8"},
		{"443", 0, "port 443"},
		{"tcp or 443", 7, "port 443"},
		{"(port 80) or 443", 13, "port 443"},
		{"tcp 443", 4, "tcp port 443"},
		{"tcp 10.0.0.1", 4, "tcp and host 10.0.0.1"},
		{"ip 10.0.0.1", 3, "ip host 10.0.0.1"},
		{"ip 6", 3, "ip proto 6"},
		{"tcp host 10.0.0.1", 4, "write tcp and host"},
		{"icmp src net 10", 9, "write icmp and src net"},
		{"ip port 80", 3, "write ip and port"},
		{"icmp port 80", 5, "icmp has no ports"},
		{"proto 47 port 80", 9, "write and or or"},
		{"src proto 6", 4, "no direction"},
		{"tcp proto 6", 4, "write tcp, or proto"},
		{"src dst port 80", 4, "one direction is enough"},
		{"dst tcp port 80", 4, "in front of the direction"},
		{"host example.org", 5, "names are not looked up"},
		{"host fe80::1%eth0", 5, "no IP address"},
		{"host 10.0.0.1/32", 5, "write net 10.0.0.1/32"},
		{"src 10.0.0.0/8", 4, "write src net 10.0.0.0/8"},
		{"net 10.1.0.0/8", 4, "write net 10.0.0.0/8, or host 10.1.0.0"},
		{"net 10.0.0.0/33", 4, "0 to 32"},
		{"net 10.0.0.0/", 4, "0 to 32"},
		{"net 2001:db8::/129", 4, "0 to 128"},
		{"net 1.2.3.4.5", 4, "no network"},
		{"net 256", 4, "no network"},
		{"net 10.0.0.0 mask 255.0.255.0", 18, "ones behind a zero"},
		{"net 10.0.0.0 mask", 17, "IPv4 mask"},
		{"net 2001:db8:: mask 255.0.0.0", 20, "IPv4 mask"},
		{"ip6 host 10.0.0.1", 9, "no IPv6 address"},
		{"ip net ::/0", 7, "no IPv4 address"},
		{"port 65536", 5, "0 to 65535"},
		{"port http", 5, "names of services are not looked up"},
		{"port 80-90", 5, "portrange 80-90"},
		{"portrange 80-", 10, "no port"},
		{"proto 256", 6, "0 to 255"},
		{"proto bogus", 6, "no IP protocol"},
		{"TCP", 0, "lower case: tcp"},
		{"tcp AND port 80", 4, "lower case: and"},
		{"tcp hosst 10.0.0.1", 4, "no word of the filter language"},
		{"tcp vlan 5", 4, "vlan is not supported"},
		{"vlan 100", 0, "vlan is not supported"},
		{"tcp[13] & 2 != 0", 3, "comparing octets"},
		{"tcp & udp", 4, "write &&"},
		{"tcp | udp", 4, "write ||"},
		{"tcp, udp", 3, "no meaning"},
		{"htst 10.0.0.1", 0, "no word of the filter language"},
		{strings.Repeat("(", 100) + "tcp", 64, "more than 64"},
		{strings.Repeat("tcp or ", 3000) + "tcp", 4096 / 2 * 7, "more than 4096"},
	} {
		_, err := Parse(test.expr)
		var e *SyntaxError
		if !errors.As(err, &e) {
			t.Errorf("%.40q: error %v, want a SyntaxError", test.expr, err)
			continue
		}
		if e.Pos != test.pos || !strings.Contains(e.Msg, test.msg) {
			t.Errorf("%.40q:\n got %d %q\nwant %d %q", test.expr, e.Pos, e.Msg, test.pos, test.msg)
		}
	}
}

func TestErrorMarksThePlace(t *testing.T) {
	_, err := Parse("host\tä or x")
	want := "filter, column 6: 'ä' has no meaning here\n  host ä or x\n       ^"
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
}

// FuzzParse checks that an expression is refused at a place inside it, or
// understood the same after it was written out.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"", "tcp port 80 or 443", "not (src host 10.0.0.1 and dst net 2001:db8::/32) or icmp",
		"net 10.0.0.0 mask 255.0.0.0 && !port (80 || (443 and not 5))", "ip6 proto 6 or 17",
		"src or dst portrange 1-5", "host ::ffff:1.2.3.4", "proto \\tcp", "((((", "vlan 5", "tcp[2] = 5",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		x, err := Parse(s)
		if err != nil {
			var e *SyntaxError
			if !errors.As(err, &e) || e.Pos < 0 || e.Pos > len(s) || e.Msg == "" || e.Error() == "" {
				t.Fatalf("%q: %#v", s, err)
			}
			return
		}
		if x.root == nil {
			if strings.TrimSpace(s) != "" {
				t.Fatalf("%q matches everything", s)
			}
			return
		}
		out := x.String()
		if len(out) > 64<<10 { // written out it may have more parentheses than Parse allows
			return
		}
		y, err := Parse(out)
		if err != nil {
			var e *SyntaxError
			if errors.As(err, &e) && strings.HasPrefix(e.Msg, "more than") {
				return
			}
			t.Fatalf("%q was understood as %q: %v", s, out, err)
		}
		if y.String() != out {
			t.Fatalf("%q\n was understood as %q,\n that as %q", s, out, y)
		}
	})
}
