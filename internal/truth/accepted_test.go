package truth

import (
	"flag"
	"slices"
	"strings"
	"sync"
	"testing"
)

// difference is one place where the sensor and the ground truth do not agree,
// looked at by hand, and why. stream is "address port — address port", the
// lower address first.
type difference struct {
	kind, file, stream string
	verdict            verdict
	why                string
}

type verdict int

const (
	truthErrs verdict = iota // the sensor is right, and the reason shows it
	either                   // both readings are defensible, or a setting asks for the other
	known                    // a limit of the sensor
)

// Reasons that several differences share.
const (
	twoResets = "the host answers each of two packets after its end with a reset of its own; with IP id 0 and no time stamp they are " +
		"byte-identical, and the ground truth takes the second for a mirror copy"
	fuzzedUDP    = "fuzzed: the UDP length contradicts the IP total length, which is what the sensor goes by"
	inTunnel     = "a tunnel to the sensor, which counts the packet inside; the other tool stops at the outer UDP header"
	sdpStream    = "fuzzed SIP: the other tool puts packets between other addresses into a media stream that SDP announced"
	concatenated = "the same recording twice in one file, and packets of five years later at the end of the first: by then the connection has " +
		"ended, and its packets that come again are another one"
	rewritten = "a firewall that rewrites sequence numbers, recorded on both of its sides: each packet from the server is there twice, and only one of " +
		"the two SYN-ACKs answers the SYN that was recorded"
)

// differences lists all that are accepted. A test fails on a difference that
// is not here, and on a line here that no longer differs.
var differences = []difference{
	{"tcp", "encap/zeek-vlan-collisions.pcap", "141.142.228.5 59856 — 192.150.187.43 80", either,
		"three recordings of one connection in three VLANs: one connection with copies unless --vlan-in-key is given (TestSharedTuple)"},
	{"points", "encap/zeek-vlan-collisions.pcap", "141.142.228.5 59856 — 192.150.187.43 80", either, "as for volumes"},
	{"syn", "encap/zeek-vlan-collisions.pcap", "141.142.228.5 59856 — 192.150.187.43 80", either, "as for volumes"},

	{"tcp", "encap/deepflow-ip6-vxlan.pcap", "2409:8086:8911:3123::7d1 47202 — 2409:8086:8911:3123::7e3 30100", truthErrs,
		"the outer UDP length (1008) is wrong: the outer IPv6 payload length of 1460 is 8 + 8 + 14 + 40 octets of headers and the inner " +
			"payload length of 1390; the other tool cuts the inner packet at the UDP length"},
	{"tcp", "encap/zeek-pppoe-over-qinq.pcap", "1.1.1.1 20394 — 2.2.2.2 443", truthErrs,
		"frames 71 and 72 acknowledge two packets (68 and 69): bare acknowledgments with IP id 0 are byte-identical by right"},
	{"tcp", "formats/zeek-nflog-http.pcap", "10.0.2.15 49762 — 93.184.216.34 80", truthErrs,
		"one SYN (IP id 0xe8ef) logged at three netfilter hooks; the prefix differs, so the ground truth finds only one of two copies"},
	{"tcp", "tcp/arkime-tcpseq_synthetic.pcap", "10.0.0.5 40003 — 10.0.0.6 8002", either,
		"made by hand: packet 20 repeats 19 after half of the round trip, with an IP id that does not count; a repeat or a copy"},
	{"syn", "tcp/deepflow-syn-retrans.pcap", "10.30.0.223 80 — 220.181.111.188 12345", either,
		"made by hand: the second SYN has the first one's IP id and, 100 ms later, its time stamp, as only a copy that the network made has"},
	{"syn", "formats/zeek-nflog-http.pcap", "10.0.2.15 49762 — 93.184.216.34 80", truthErrs, "as for volumes"},
	{"tcp", "tcp/zeek-reassembly.pcap", "63.193.213.194 2564 — 128.3.97.175 80", truthErrs,
		"five frames are up to 20 octets shorter than their IP total length; the receiver acknowledges the IP length (frame 7: 1448 octets, " +
			"acknowledged in full by frame 8), the other tool counts the frame's"},
	{"tcp", "tls/zeek-tls13-ech.pcap", "162.159.138.85 443 — 192.168.20.65 51066", truthErrs, twoResets},
	{"tcp", "tls/zeek-tls13-ech.pcap", "162.159.138.85 443 — 192.168.20.65 51071", truthErrs, twoResets},
	{"tcp", "tls/ndpi-tls_verylong_certificate.pcap", "151.101.66.49 443 — 192.168.1.160 54804", truthErrs, twoResets},
	{"tcp", "tcp/mercury-capture2.pcap", "81.184.127.148 29344 — 192.168.1.2 1367", truthErrs, twoResets},
	{"tcp", "tcp/mercury-capture2.pcap", "67.71.69.121 12492 — 192.168.1.2 1092", truthErrs, twoResets},
	{"tcp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "147.234.1.253 120 — 192.168.1.2 2720", either,
		"fuzzed: the IP total length (29440) is beyond the frame (87 octets); the sensor goes by the IP header"},
	{"tcp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "147.234.1.249 2069 — 192.168.1.2 2720", either,
		"fuzzed: the IP total length (4169) is beyond the frame (87 octets); the sensor goes by the IP header"},
	{"tcp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "147.234.1.253 58999 — 192.168.1.6 2721", either,
		"fuzzed: the IP total length (122) is beyond the frame (62 octets); the sensor goes by the IP header"},

	{"tcp", "tcp/arkime-tcp_handshake_synthetic.pcap", "192.0.2.10 40003 — 198.51.100.5 8080", known,
		"a straggler of the older of two connections is in neither's volume (frame 12, the answer to a SYN that it refuses)"},
	{"tcp", "tcp/arkime-tcp_handshake_synthetic.pcap", "192.0.2.10 40005 — 198.51.100.5 8080", known,
		"a straggler of the older of two connections is in neither's volume (frame 21)"},
	{"syn", "tcp/mercury-capture2.pcap", "10.6.9.137 1759 — 10.10.0.2 443", either, rewritten},
	{"syn", "tcp/mercury-capture2.pcap", "10.6.9.137 1760 — 10.10.0.2 443", either, rewritten},
	{"syn", "tcp/mercury-capture2.pcap", "10.6.9.137 1761 — 10.10.0.2 443", either, rewritten},
	{"syn", "tcp/mercury-capture2.pcap", "10.6.9.137 1762 — 10.10.0.2 443", either, rewritten},
	{"syn", "tcp/mercury-capture2.pcap", "10.6.9.137 1763 — 10.10.0.2 443", either, rewritten},
	{"syn", "tcp/mercury-capture2.pcap", "10.6.9.137 1764 — 10.10.0.2 443", either, rewritten},
	{"syn", "tcp/mercury-capture2.pcap", "10.6.9.137 1766 — 10.10.0.2 443", either, rewritten},
	{"syn", "tcp/mercury-capture2.pcap", "10.6.9.137 1768 — 10.10.0.2 443", either, rewritten},
	{"syn", "tcp/mercury-capture2.pcap", "10.6.9.137 1769 — 10.10.0.2 443", either, rewritten},

	{"tcp", "tls/ipfixprobe-tls.pcap", "87.106.189.123 443 — 172.16.121.155 3921", either, concatenated},
	{"syn", "tls/ipfixprobe-tls.pcap", "87.106.189.123 443 — 172.16.121.155 3921", either, concatenated},

	{"extra tcp", "encap/tcpdump-bigtcp-ipv4-vxlan-ipv6.pcap", "fd00::1 36425 — fd00::2 33673", truthErrs,
		"BIG TCP, on which the other tool gives up; tcpdump reads the same 79924 octets"},
	{"extra tcp", "malformed/tcpdump-tcp_header_heapoverflow.pcap", "48.48.48.48 12336 — 48.48.48.48 12336", either,
		"the captured octets end inside the TCP header, behind the ports: a flow to the sensor, nothing to the other tool"},
	{"extra tcp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "147.234.1.253 47645 — 192.168.1.2 58657", either,
		"fuzzed: an IP header length of 28 leaves a TCP header that contradicts itself; counted as malformed, but it is a packet between two ports"},

	{"udp", "encap/zeek-geneve-truncated.pcapng", "20.0.0.1 50901 — 20.0.0.2 6081", either,
		"GENEVE whose inner Ethernet header is cut: skipped as truncated, for no inner address is known"},
	{"udp", "encap/tcpdump-vxlan_port_8472.pcap", "192.168.202.1 8472 — 192.168.203.1 45149", truthErrs, inTunnel},
	{"udp", "encap/tcpdump-vxlan_port_8472.pcap", "192.168.202.1 42710 — 192.168.203.1 8472", truthErrs, inTunnel},
	{"udp", "encap/tcpdump-vxlan_port_8472.pcap", "192.168.202.1 8472 — 192.168.203.1 52102", truthErrs, inTunnel},
	{"udp", "encap/tcpdump-vxlan_port_8472.pcap", "192.168.202.1 32894 — 192.168.203.1 8472", truthErrs, inTunnel},
	{"udp", "encap/tcpdump-mpls-over-udp.pcap", "10.100.12.170 58699 — 10.100.13.157 6635", truthErrs, inTunnel},
	{"udp", "encap/tcpdump-mpls-over-udp.pcap", "10.100.12.170 6635 — 10.100.13.157 51348", truthErrs, inTunnel},
	{"udp", "encap/tcpdump-geneve.pcap", "20.0.0.1 12618 — 20.0.0.2 6081", truthErrs, inTunnel},
	{"udp", "encap/tcpdump-geneve.pcap", "20.0.0.1 6081 — 20.0.0.2 50525", truthErrs, inTunnel},
	{"udp", "encap/mercury-geneve.pcap", "20.0.0.1 12618 — 20.0.0.2 6081", truthErrs, inTunnel},
	{"udp", "encap/mercury-geneve.pcap", "20.0.0.1 6081 — 20.0.0.2 50525", truthErrs, inTunnel},
	{"udp", "malformed/tcpdump-quic_32_bit_pointer_overflow.pcap", "::8:46:ee:102:202:202 0 — 202:200:0:fe7e:b65f:677a:82b:601 443", either,
		"the UDP length field is 0 and the IPv6 payload length, too: the frame's length is what there is"},
	{"udp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "192.168.1.2 137 — 192.168.1.255 137", either, fuzzedUDP},
	{"udp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "192.37.115.0 53 — 192.168.1.2 2712", either, fuzzedUDP},
	{"udp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "192.168.1.2 5060 — 212.242.33.35 5060", either, fuzzedUDP},
	{"udp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "192.168.1.1 53 — 192.168.1.2 2715", either, fuzzedUDP},
	{"udp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "192.168.1.1 9587 — 192.168.1.2 156", either, fuzzedUDP},
	{"udp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "192.168.1.2 43690 — 192.170.170.170 43690", either, fuzzedUDP},
	{"udp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "192.168.1.1 43690 — 192.168.1.2 2730", either, fuzzedUDP},
	{"udp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "170.170.170.170 43690 — 192.168.1.170 43690", either, fuzzedUDP},
	{"udp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "192.168.1.2 4901 — 200.68.120.81 29440", either, fuzzedUDP},
	{"udp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "192.168.1.1 53 — 192.168.1.2 2754", either, fuzzedUDP},
	{"udp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "192.168.1.1 53 — 192.168.1.2 2761", either, fuzzedUDP},
	{"udp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "170.170.170.170 43690 — 192.168.1.2 43690", either, fuzzedUDP},
	{"udp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "192.168.1.2 2787 — 192.168.3.1 53", either, fuzzedUDP},
	{"udp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "170.170.170.170 43690 — 170.170.170.170 43690", either, fuzzedUDP},
	{"udp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "192.168.1.41 138 — 192.168.1.255 138", either, fuzzedUDP},
	{"udp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "192.168.1.2 43690 — 192.168.170.170 43690", either, fuzzedUDP},
	{"udp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "170.170.170.170 43690 — 192.168.170.170 43690", either, fuzzedUDP},
	{"udp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "192.168.1.1 53 — 192.168.1.2 2799", either, fuzzedUDP},
	{"udp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "192.168.1.1 53 — 192.168.1.2 2800", either, fuzzedUDP},
	{"udp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "192.168.1.1 21 — 192.168.1.2 2800", either, fuzzedUDP},
	{"udp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "37.115.0.36 40392 — 192.168.1.2 30000", truthErrs, sdpStream},
	{"extra udp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "192.168.1.2 30000 — 214.242.33.36 40392", truthErrs, sdpStream},
	{"extra udp", "malformed/ndpi-fuzz-2006-06-26-2594.pcap", "192.168.1.2 30000 — 212.242.33.36 40392", truthErrs, sdpStream},

	{"syn", "tcp/suricata-split-handshake-4whs.pcap", "1.1.1.1 12345 — 2.2.2.2 80", either,
		"both ends sent a SYN; a record counts the client's SYN and the server's SYN-ACK"},
	{"handshake", "tcp/mercury-capture2.pcap", "10.0.2.15 1033 — 72.21.215.82 80", either,
		"one SYN, answered after 1.1 s, and later data after a fraction of that: withheld as lost_before_op rather than told as a round trip"},
	{"handshake", "tcp/mercury-capture2.pcap", "10.0.2.15 1040 — 176.32.101.4 80", either,
		"one SYN, answered after 1.1 s, and later data after a fraction of that: withheld as lost_before_op rather than told as a round trip"},
	{"handshake", "tcp/arkime-tcp_handshake_synthetic.pcap", "192.0.2.10 40004 — 198.51.100.5 8080", truthErrs,
		"made by hand: the ACK acknowledges 123456789 and not the SYN-ACK's 8001, so it ends no handshake"},
	{"handshake", "tcp/arkime-tcp_handshake_synthetic.pcap", "192.0.2.10 40010 — 198.51.100.5 8080", truthErrs,
		"made by hand: the ACK acknowledges 517000 and not the SYN-ACK's 17001, so it ends no handshake"},
	{"handshake", "tcp/arkime-tcp_handshake_synthetic.pcap", "192.0.2.10 40011 — 198.51.100.5 8080", truthErrs,
		"made by hand: the ACK acknowledges 19000 − 499705 and not the SYN-ACK's 19001, so it ends no handshake"},

	{"syn", "tcp/arkime-tcp_handshake_synthetic.pcap", "192.0.2.10 40003 — 198.51.100.5 8080", known, "as for volumes"},

	{"doubled", "tls/zeek-tls13-ech.pcap", "", either, "the second of two byte-identical resets is a copy at a point where copies are the rule"},
	{"doubled", "tls/ndpi-tls_verylong_certificate.pcap", "", known, "two byte-identical resets 2 µs apart, each doubled: one copy too few is recognised"},
	{"doubled", "tcp/mercury-capture2.pcap", "", either, "the second of two byte-identical resets is a copy at a point where copies are the rule"},
	{"doubled", "tcp/deepflow-syn-retrans.pcap", "", either,
		"made by hand: the SYN comes again with the same IP id after 100 ms, so that it is a copy at a point where copies are the rule"},

	{"swapped", "encap/zeek-geneve-truncated.pcapng", "", either, "GENEVE is told by its destination port, so that its mirror image is none"},
}

var (
	usedLock sync.Mutex
	used     = map[difference]bool{}
)

// accepted fails the test unless a comparison came out equal and is not
// listed, or unequal and is listed. describe tells what differs.
func accepted(t *testing.T, kind, file, stream string, equal bool, describe func() string) {
	t.Helper()
	for _, d := range differences {
		if d.kind != kind || d.file != file || d.stream != stream {
			continue
		}
		usedLock.Lock()
		used[d] = true
		usedLock.Unlock()
		if equal {
			t.Errorf("%s %s: is equal now: take the line out of differences (%s)", kind, stream, d.why)
		} else {
			t.Logf("%s %s: accepted: %s", kind, stream, d.why)
		}
		return
	}
	if !equal {
		t.Errorf("%s %s:\n%s", kind, stream, describe())
	}
}

// truthIsWrong tells whether the ground truth of a stream is known to be wrong,
// or to answer another question.
func truthIsWrong(kind, file, stream string) bool {
	return slices.ContainsFunc(differences, func(d difference) bool {
		return d.kind == kind && d.file == file && d.stream == stream && d.verdict != known
	})
}

// unused fails the test on lines of the given kinds that nothing asked for: a
// misspelt line accepts nothing and would go unnoticed. It looks only when
// all captures were compared.
func unused(t *testing.T, kinds ...string) {
	t.Helper()
	if strings.Contains(flag.Lookup("test.run").Value.String(), "/") {
		return
	}
	usedLock.Lock()
	defer usedLock.Unlock()
	for _, d := range differences {
		for _, k := range kinds {
			if d.kind == k && !used[d] {
				t.Errorf("differences has %s %s %s, which no comparison met", d.kind, d.file, d.stream)
			}
		}
	}
}
