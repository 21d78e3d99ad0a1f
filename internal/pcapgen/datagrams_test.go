package pcapgen

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func TestDNS(t *testing.T) {
	q := DNSQuery(0x1234, "cart.shop.example", TypeA)
	d := Datagrams{
		Client: netip.MustParseAddrPort("10.1.0.7:40000"), Server: netip.MustParseAddrPort("10.1.0.2:53"),
		Start: t0, Path: Path{Delay: ms},
		Turns: []Turn{{Request: q, Think: 3 * ms, Response: DNSResponse(q, 0, 60, IP("10.1.0.9"), IP("10.1.0.10"))}},
	}
	r := d.Record()
	got := tsharkRecording(t, r, "frame.time_relative", "udp.checksum.status", "dns.id", "dns.qry.name", "dns.flags.response", "dns.a", "dns.resp.ttl")
	equalLines(t, got, []string{
		"0.000000000\t1\t0x1234\tcart.shop.example\t0\t\t",
		"0.004000000\t1\t0x1234\tcart.shop.example\t1\t10.1.0.9,10.1.0.10\t60,60",
	})
	if x := r.Truths[0]; x.ClientSent.PayloadBytes != int64(len(q)) || x.ServerSent.Packets != 1 || x.End-x.Start != (4*ms).Nanoseconds() {
		t.Errorf("truth %+v", x)
	}
}

func TestDatagramFragments(t *testing.T) {
	q := DNSQuery(1, "big.shop.example", TypeTXT)
	texts := make([]string, 10)
	for i := range texts {
		texts[i] = fmt.Sprintf("%0200d", i)
	}
	d := Datagrams{
		Client: netip.MustParseAddrPort("10.1.0.7:40000"), Server: netip.MustParseAddrPort("10.1.0.2:53"),
		Start: t0, MTU: 1500, Turns: []Turn{{Request: q, Response: DNSText(q, 60, texts...)}},
	}
	r := d.Record()
	got := tsharkRecording(t, r, "ip.flags.mf", "dns.count.answers", "udp.checksum.status")
	equalLines(t, got, []string{"0\t0\t1", "1\t\t", "0\t10\t1"})
	if x := r.Truths[0].ServerSent; x.Packets != 1 || x.PayloadBytes != int64(len(d.Turns[0].Response)) || x.Bytes != x.PayloadBytes+28 {
		t.Errorf("truth %+v", x)
	}
	d.Fates = []Fate{{From: Server, Kind: DataPacket, N: 1, Where: 1}}
	if r := d.Record(); len(r.Packets) != 2 || r.Truths[0].ServerSent.Packets != 0 {
		t.Errorf("a fragment lost before the tap: %d packets, truth %+v", len(r.Packets), r.Truths[0].ServerSent)
	}
}

func TestDatagramsUnanswered(t *testing.T) {
	d := Datagrams{
		Client: netip.MustParseAddrPort("10.1.0.7:40000"), Server: netip.MustParseAddrPort("10.1.0.2:514"), Refused: true,
		Start: t0, Turns: []Turn{{Request: []byte("hello")}, {Request: []byte("again")}},
	}
	r := d.Record()
	got := tsharkRecording(t, r, "icmp.type", "icmp.code", "udp.dstport")
	equalLines(t, got, []string{"\t\t514", "3\t3\t514", "\t\t514", "3\t3\t514"})
	if x := r.Truths[0]; x.ICMPErrors != 2 || x.ServerSent.Packets != 0 || x.ClientSent.Packets != 2 {
		t.Errorf("truth %+v", x)
	}
	d.Fates = []Fate{{From: Client, Kind: DataPacket, N: 0, Where: 1}}
	if r := d.Record(); r.Truths[0].ICMPErrors != 1 {
		t.Errorf("a lost datagram was answered: %+v", r.Truths[0])
	}
}

func TestPings(t *testing.T) {
	p := Pings{Client: IP("10.1.0.7"), Server: IP("10.1.0.9"), Start: t0, ID: 77, Count: 3, Interval: time.Second, Size: 56,
		Path: Path{Delay: ms}, Fates: []Fate{{From: Client, Kind: DataPacket, N: 1, Where: 1}}}
	r := p.Record()
	got := tsharkRecording(t, r, "icmp.type", "icmp.seq", "icmp.checksum.status")
	equalLines(t, got, []string{"8\t1\t1", "0\t1\t1", "8\t2\t1", "8\t3\t1", "0\t3\t1"})
	if x := r.Truths[0]; x.ClientSent != (Volume{3, 252, 168}) || x.ServerSent != (Volume{2, 168, 112}) {
		t.Errorf("truth %+v", x)
	}
	p.Client, p.Server = IP("fd00::7"), IP("fd00::9")
	if r := p.Record(); r.Truths[0].Protocol != "icmp6" || r.Truths[0].ClientSent.Bytes != 3*(40+8+56) {
		t.Errorf("IPv6: %+v", r.Truths[0])
	}
}
