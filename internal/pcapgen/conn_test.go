package pcapgen

import (
	"bytes"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

const ms = time.Millisecond

// baseConn is a connection of 20 ms round trip with the tap 2 ms from the
// client, one way; the client asks once.
func baseConn(request, response int) Conn {
	return Conn{
		Client: netip.MustParseAddrPort("10.1.0.7:51234"), Server: netip.MustParseAddrPort("10.1.0.9:8080"),
		Start:  t0,
		Path:   Path{Delay: 10 * ms, Taps: []time.Duration{2 * ms}},
		Stacks: [2]Stack{{ISN: 0xfffffff0, IPID: 100}, {ISN: 7_000_000, IPID: 60000}},
		Turns:  []Turn{{Request: make([]byte, request), Think: 5 * ms, Response: make([]byte, response)}},
	}
}

func (c Conn) with(change func(*Conn)) Conn { change(&c); return c }

// count adds up what a tap recorded, by gopacket.
func count(t *testing.T, r Recording, tap int) (client, server Volume) {
	t.Helper()
	for _, p := range r.Packets {
		if p.Tap != tap {
			continue
		}
		first := gopacket.Decoder(layers.LayerTypeIPv4)
		if p.Data[0]>>4 == 6 {
			first = layers.LayerTypeIPv6
		}
		g := decode(t, first, p.Data)
		tcp, ok := g.Layer(layers.LayerTypeTCP).(*layers.TCP)
		if !ok {
			continue
		}
		v := &client
		if p.From == Server {
			v = &server
		}
		v.Packets++
		v.Bytes += int64(len(p.Data))
		v.PayloadBytes += int64(len(tcp.Payload))
	}
	return client, server
}

func TestConnOutcomes(t *testing.T) {
	every := func(from Side, kind PacketKind, where int) []Fate {
		return []Fate{{From: from, Kind: kind, N: Every, Where: where}}
	}
	tests := []struct {
		name    string
		conn    Conn
		outcome string
		syns    int64
		synacks int64
		packets [2]int64
	}{
		// SYN, ACK, request, ACK of response, FIN, last ACK; SYN-ACK, response, ACK of FIN, FIN.
		{"closed by client", baseConn(100, 200), "closed", 1, 1, [2]int64{5, 4}},
		{"closed by server", baseConn(100, 200).with(func(c *Conn) { c.Finish = FINByServer }), "closed", 1, 1, [2]int64{5, 4}},
		{"left open", baseConn(100, 200).with(func(c *Conn) { c.Finish = LeaveOpen }), "established", 1, 1, [2]int64{4, 2}},
		{"reset by client", baseConn(100, 200).with(func(c *Conn) { c.Finish = RSTByClient }), "reset", 1, 1, [2]int64{4, 2}},
		{"reset by server", baseConn(100, 0).with(func(c *Conn) { c.Finish = RSTByServer }), "reset", 1, 1, [2]int64{3, 2}},
		{"refused", baseConn(100, 200).with(func(c *Conn) { c.Service = Refusing }), "refused", 1, 0, [2]int64{1, 1}},
		{"silent", baseConn(100, 200).with(func(c *Conn) { c.Service = Silent }), "timeout", 4, 0, [2]int64{4, 0}},
		{"no route", baseConn(100, 200).with(func(c *Conn) { c.Service, c.Router = NoRouteBack, IP("10.1.0.1") }), "unreachable", 1, 0, [2]int64{1, 0}},
		{"half open", baseConn(100, 200).with(func(c *Conn) { c.Fates, c.SYNs = every(Server, SYNPacket, 0), 2 }), "half_open_timeout", 2, 7, [2]int64{2, 7}},
		{"server dies", baseConn(100, 200).with(func(c *Conn) { c.Fates = every(Client, DataPacket, 1) }), "aborted_timeout", 1, 1, [2]int64{9, 1}},
		{"silence", baseConn(100, 200).with(func(c *Conn) { c.Fates = every(Client, SYNPacket, 0) }), "timeout", 0, 0, [2]int64{0, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := tt.conn.Record()
			truth := r.Truths[0]
			if truth.TCP.Outcome != tt.outcome || truth.TCP.SYNs != tt.syns || truth.TCP.SYNACKs != tt.synacks {
				t.Errorf("outcome %s, %d SYNs, %d SYN-ACKs; want %s, %d, %d", truth.TCP.Outcome, truth.TCP.SYNs, truth.TCP.SYNACKs, tt.outcome, tt.syns, tt.synacks)
			}
			client, server := count(t, r, 0)
			if truth.ClientSent != client || truth.ServerSent != server {
				t.Errorf("truth %+v %+v\ngopacket %+v %+v", truth.ClientSent, truth.ServerSent, client, server)
			}
			if got := [2]int64{client.Packets, server.Packets}; got != tt.packets {
				t.Errorf("packets %v, want %v\n%s", got, tt.packets, dump(r))
			}
		})
	}
}

// dump shows a recording for a failed test.
func dump(r Recording) string {
	var b strings.Builder
	for _, p := range r.Packets {
		g := gopacket.NewPacket(p.Data, layers.LayerTypeIPv4, gopacket.Default)
		tcp, _ := g.Layer(layers.LayerTypeTCP).(*layers.TCP)
		if tcp == nil {
			fmt.Fprintf(&b, "%v tap %d side %d %s\n", time.Duration(p.Time-t0), p.Tap, p.From, stack(g))
			continue
		}
		fmt.Fprintf(&b, "%v tap %d side %d seq %d ack %d len %d S%v F%v R%v\n", time.Duration(p.Time-t0), p.Tap, p.From, tcp.Seq, tcp.Ack, len(tcp.Payload), tcp.SYN, tcp.FIN, tcp.RST)
	}
	return b.String()
}

func TestConnTimes(t *testing.T) {
	r := baseConn(100, 200).Record()
	at := func(i int) time.Duration { return time.Duration(r.Packets[i].Time - t0) }
	// SYN passes at 2 ms, SYN-ACK comes back 16 ms later, the ACK 4 ms after that.
	if at(0) != 2*ms || at(1) != 18*ms || at(2) != 22*ms {
		t.Errorf("handshake at %v %v %v\n%s", at(0), at(1), at(2), dump(r))
	}
	tcp := r.Truths[0].TCP
	if tcp.ClientHalf != (4*ms).Nanoseconds() || tcp.ServerHalf != (16*ms).Nanoseconds() || tcp.Setup != (20*ms).Nanoseconds() {
		t.Errorf("truth %+v", tcp)
	}
	// The response leaves 5 ms after the request came, so 21 ms lie between them at the tap.
	if d := at(4) - at(3); d != 21*ms {
		t.Errorf("response %v after the request, want 21ms\n%s", d, dump(r))
	}
}

func TestConnSYNRepeats(t *testing.T) {
	lost := func(from Side, where int) Conn {
		return baseConn(10, 10).with(func(c *Conn) { c.Fates = []Fate{{From: from, Kind: SYNPacket, N: 0, Where: where}} })
	}
	for _, tt := range []struct {
		name          string
		conn          Conn
		syns, synacks int64
		setup         time.Duration
	}{
		{"SYN lost before", lost(Client, 0), 1, 1, 20 * ms},
		{"SYN lost after", lost(Client, 1), 2, 1, 1020 * ms},
		{"SYN-ACK lost before", lost(Server, 1), 2, 1, 1020 * ms},
		{"SYN-ACK lost after", lost(Server, 0), 2, 2, 1020 * ms},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := tt.conn.Record()
			tcp := r.Truths[0].TCP
			if tcp.SYNs != tt.syns || tcp.SYNACKs < tt.synacks || tcp.Setup != tt.setup.Nanoseconds() || tcp.Outcome != "closed" {
				t.Errorf("%+v\n%s", tcp, dump(r))
			}
		})
	}
}

// TestConnLosses compares with tshark, which counts repeats of octets that it
// saw, and repeats that fill a hole once the hole is old enough.
func TestConnLosses(t *testing.T) {
	data := func(from Side, where int, n ...int) (fates []Fate) {
		for _, i := range n {
			fates = append(fates, Fate{From: from, Kind: DataPacket, N: i, Where: where})
		}
		return fates
	}
	tests := []struct {
		name  string
		fates []Fate
		stack Stack
		want  Retransmits // of the server
	}{
		{"none", nil, Stack{}, Retransmits{}},
		{"after the tap", data(Server, 0, 5), Stack{}, Retransmits{Packets: 1, LostAfter: 1}},
		{"before the tap", data(Server, 1, 5), Stack{}, Retransmits{Packets: 1, LostBefore: 1}},
		{"three of a flight", data(Server, 0, 12, 14, 17), Stack{}, Retransmits{Packets: 3, LostAfter: 3}},
		{"the repeat too", data(Server, 0, 5, 20), Stack{}, Retransmits{Packets: 2, LostAfter: 2}},
		{"without SACK", data(Server, 0, 12, 14), Stack{NoSACK: true}, Retransmits{Packets: 2, LostAfter: 2}},
		{"the tail before", data(Server, 1, 34), Stack{}, Retransmits{Packets: 1, LostBefore: 1, Hidden: 1}},
		{"late", []Fate{{From: Server, Kind: DataPacket, N: 5, Where: 1, Late: 300 * time.Microsecond}}, Stack{}, Retransmits{Packets: 1, Spurious: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := baseConn(100, 50_000) // 34.5 segments
			c.Fates, c.Stacks[Client].NoSACK = tt.fates, tt.stack.NoSACK
			r := c.Record()
			truth := r.Truths[0]
			if truth.TCP.ServerRetransmits != tt.want {
				t.Errorf("retransmits %+v, want %+v\n%s", truth.TCP.ServerRetransmits, tt.want, dump(r))
			}
			if truth.TCP.Outcome != "closed" {
				t.Errorf("outcome %s", truth.TCP.Outcome)
			}
			client, server := count(t, r, 0)
			if truth.ClientSent != client || truth.ServerSent != server {
				t.Errorf("truth %+v %+v\ngopacket %+v %+v", truth.ClientSent, truth.ServerSent, client, server)
			}
			lines := tsharkRecording(t, r, "tcp.checksum.status", "tcp.analysis.retransmission", "tcp.analysis.out_of_order", "tcp.analysis.ack_lost_segment")
			var repeats int64
			for i, l := range lines {
				f := strings.Split(l, "\t")
				if f[0] != "1" {
					t.Errorf("packet %d: TCP checksum status %s", i, f[0])
				}
				if f[1] != "" || f[2] != "" {
					repeats++
				}
				if f[3] != "" {
					t.Errorf("packet %d acknowledges what was never recorded", i)
				}
			}
			if want := tt.want.Packets - tt.want.Hidden; tt.name != "late" && repeats != want {
				t.Errorf("tshark finds %d repeats, want %d", repeats, want)
			}
		})
	}
}

// tsharkRecording dissects what all taps recorded.
func tsharkRecording(t *testing.T, r Recording, fields ...string) []string {
	t.Helper()
	var buf bytes.Buffer
	w := NewPcapWriter(&buf, PcapConfig{Link: LinkRaw, Nano: true})
	for _, p := range r.Packets {
		w.Write(Frame{Time: p.Time, Data: p.Data})
	}
	w.Flush()
	return tshark(t, buf.Bytes(), fields...)
}

func TestConnTwoTaps(t *testing.T) {
	c := baseConn(3000, 20_000)
	c.Path.Taps = []time.Duration{0, 10 * ms}
	c.Fates = []Fate{
		{From: Server, Kind: DataPacket, N: 3, Where: 1}, // between the taps
		{From: Client, Kind: DataPacket, N: 0, Where: 1},
	}
	r := c.Record()
	for tap, want := range []struct{ client, server Retransmits }{
		{Retransmits{Packets: 1, LostAfter: 1}, Retransmits{Packets: 1, LostBefore: 1}},
		{Retransmits{Packets: 1, LostBefore: 1}, Retransmits{Packets: 1, LostAfter: 1}},
	} {
		tcp := r.Truths[tap].TCP
		if tcp.ClientRetransmits != want.client || tcp.ServerRetransmits != want.server {
			t.Errorf("tap %d: client %+v server %+v", tap, tcp.ClientRetransmits, tcp.ServerRetransmits)
		}
		client, server := count(t, r, tap)
		if client != r.Truths[tap].ClientSent || server != r.Truths[tap].ServerSent {
			t.Errorf("tap %d: truth %+v %+v, gopacket %+v %+v", tap, r.Truths[tap].ClientSent, r.Truths[tap].ServerSent, client, server)
		}
	}
	for i := 1; i < len(r.Packets); i++ {
		if r.Packets[i].Time < r.Packets[i-1].Time {
			t.Fatal("packets are not in the order of time")
		}
	}
	// One hop between the taps.
	ttl := map[string]bool{}
	for _, p := range r.Packets {
		ttl[strconv.Itoa(p.Tap)+" "+strconv.Itoa(int(p.From))+" "+strconv.Itoa(int(p.Data[8]))] = true
	}
	for _, want := range []string{"0 0 64", "1 0 63", "1 1 64", "0 1 63"} {
		if !ttl[want] {
			t.Errorf("tap, side and TTL %q not seen: %v", want, ttl)
		}
	}
}

func TestConnIPv6(t *testing.T) {
	c := baseConn(3000, 5000)
	c.Client, c.Server = netip.MustParseAddrPort("[fd00::7]:51234"), netip.MustParseAddrPort("[fd00::9]:8080")
	r := c.Record()
	client, server := count(t, r, 0)
	if client != r.Truths[0].ClientSent || server != r.Truths[0].ServerSent || client.PayloadBytes != 3000 || server.PayloadBytes != 5000 {
		t.Errorf("truth %+v, gopacket %+v %+v", r.Truths[0], client, server)
	}
}
