package flow

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorscope/dnsmeta"
	"mirrorscope/httpmeta"
	"mirrorscope/internal/pcapgen"
	"mirrorscope/packet"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

// dialogue is a conversation of two ends, made of what a seed says.
type dialogue struct {
	name string
	port uint16
	conn pcapgen.Conn
}

const dialogueHalf = 8 * time.Millisecond // point to server, one way

// dialogues are the protocols that a conversation may speak.
var dialogues = []string{"plain", "banner", "http", "tls13", "tls12", "tlsretry", "smtp", "postgresql", "proxy", "connect", "dns", "mixed"}

// newDialogue writes the n-th conversation.
func newDialogue(r *rand.Rand, name string, n int) dialogue {
	d := dialogue{name: name, port: []uint16{443, 8080, 25, 12345, 5432, 9}[r.IntN(6)]}
	if name == "dns" {
		d.port = 53
	}
	var turns []pcapgen.Turn
	think := func() time.Duration { return time.Duration(1+r.IntN(60)) * time.Millisecond }
	pause := func() time.Duration { return time.Duration(r.IntN(40)) * time.Millisecond }
	secure := func(kind int) {
		hs := pcapgen.Handshakes()
		turns = append(turns, hs[kind].Turns(r, think())...)
		for range 1 + r.IntN(3) {
			turns = append(turns, pcapgen.Turn{Pause: pause(), Request: pcapgen.TLSData(r, 1+r.IntN(3000)), Think: think(), Response: pcapgen.TLSData(r, 1+r.IntN(40000))})
		}
	}
	line := func(ask, answer string) {
		turns = append(turns, pcapgen.Turn{Pause: pause(), Request: []byte(ask), Think: think(), Response: []byte(answer)})
	}
	web := func() {
		for range 1 + r.IntN(4) {
			body := make([]byte, r.IntN(20000))
			if r.IntN(3) == 0 {
				up := make([]byte, r.IntN(30000))
				line(fmt.Sprintf("POST /up HTTP/1.1\r\nHost: shop\r\nContent-Length: %d\r\n\r\n%s", len(up), up), fmt.Sprintf("HTTP/1.1 201 Created\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
				continue
			}
			line(fmt.Sprintf("GET /item/%d HTTP/1.1\r\nHost: shop\r\n\r\n", r.IntN(5)), fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		}
	}
	noise := func() {
		for range 1 + r.IntN(4) {
			turns = append(turns, pcapgen.Turn{Pause: pause(), Request: slices.Repeat([]byte{0xfe}, 1+r.IntN(5000)), Think: think(), Response: slices.Repeat([]byte{0xfd}, r.IntN(20000))})
		}
	}
	switch name {
	case "plain":
		noise()
	case "banner":
		line("", "SSH-2.0-OpenSSH_9.6\r\n")
		noise()
	case "http":
		web()
	case "tls13":
		secure(0)
	case "tls12":
		secure(1)
	case "tlsretry":
		secure(2)
	case "smtp":
		line("", "220 mail ESMTP\r\n")
		line("EHLO me\r\n", "250-mail\r\n250 STARTTLS\r\n")
		line("STARTTLS\r\n", "220 go ahead\r\n")
		secure(r.IntN(3))
	case "postgresql":
		line("\x00\x00\x00\x08\x04\xd2\x16\x2f", "S")
		secure(r.IntN(3))
	case "proxy":
		line("PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n", "")
		secure(r.IntN(3))
	case "connect":
		line("PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n", "")
		line("CONNECT shop:443 HTTP/1.1\r\nHost: shop:443\r\n\r\n", "HTTP/1.1 200 Connection established\r\n\r\n")
		secure(r.IntN(3))
	case "dns":
		for k := range 1 + r.IntN(4) {
			q := pcapgen.DNSQuery(uint16(r.Uint32()), fmt.Sprintf("host%d.example", k), pcapgen.TypeA)
			a := pcapgen.DNSResponse(q, 0, 60, netip.AddrFrom4([4]byte{192, 0, 2, byte(k)}))
			turns = append(turns, pcapgen.Turn{Pause: pause(), Request: prefixed(q), Think: think(), Response: prefixed(a)})
		}
	case "mixed": // what begins as one protocol and goes on as another
		noise()
		web()
		secure(r.IntN(3))
	}
	d.conn = pcapgen.Conn{
		Client: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}), uint16(20000+n%40000)),
		Server: netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(n % 3), 0, 250}), d.port),
		Start:  sceneStart + int64(r.IntN(3e9)),
		Path:   pcapgen.Path{Delay: 3*time.Millisecond + dialogueHalf, Taps: []time.Duration{3 * time.Millisecond}},
		Stacks: [2]pcapgen.Stack{{ISN: r.Uint32(), IPID: uint16(r.Uint32())}, {ISN: r.Uint32(), IPID: uint16(r.Uint32())}},
		Turns:  turns,
		Finish: []pcapgen.Finish{pcapgen.FINByClient, pcapgen.FINByServer, pcapgen.RSTByClient, pcapgen.RSTByServer, pcapgen.LeaveOpen}[r.IntN(5)],
		Linger: pause(),
	}
	return d
}

func prefixed(m []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(m))), m...)
}

// lossy gives packets their fates: lost before or behind the point, or late.
func (d *dialogue) lossy(r *rand.Rand) {
	for range r.IntN(4) {
		f := pcapgen.Fate{From: pcapgen.Side(r.IntN(2)), Kind: pcapgen.PacketKind(r.IntN(5)), N: r.IntN(8), Where: r.IntN(2)}
		if r.IntN(3) == 0 {
			f.Late = time.Duration(1+r.IntN(30)) * time.Millisecond
		}
		d.conn.Fates = append(d.conn.Fates, f)
	}
}

// capture is how the point records: what it misses, doubles, sees late or cuts.
func capture(r *rand.Rand, list []pcapgen.Recorded) (out []pcapgen.Recorded, snap int) {
	mode := r.IntN(9)
	from := r.IntN(20)
	for i, p := range list {
		switch {
		case mode == 1 && p.From == pcapgen.Client, mode == 2 && p.From == pcapgen.Server: // one side
			continue
		case mode == 3 && i < from: // from its middle
			continue
		case mode == 4 && r.IntN(10) == 0: // losses
			continue
		case mode == 5 && r.IntN(10) == 0: // a mirror's copies
			out = append(out, p)
		case mode == 6: // one side late
			if p.From == pcapgen.Client {
				p.Time += 12e6
			}
		case mode == 7: // in any order, nearly
			p.Time += int64(r.IntN(2e6))
		}
		out = append(out, p)
	}
	slices.SortStableFunc(out, func(a, b pcapgen.Recorded) int { return int(a.Time - b.Time) })
	if mode == 8 {
		snap = 54 + r.IntN(200)
	}
	return out, snap
}

// play gives recorded packets to a scene.
func (s *scene) play(d *packet.Decoder, list []pcapgen.Recorded, snap int) {
	for _, f := range list {
		b := f.Data
		if snap > 0 {
			b = b[:min(len(b), snap)]
		}
		var p packet.Packet
		if d.Decode(b, 101, 0, len(f.Data), f.Time, &p) != packet.OK {
			continue
		}
		p.Point, p.Network, p.Path = 1, 1, 1
		s.now = f.Time
		s.put(p)
	}
}

// sums checks that phases are whole: none below nothing, all together the
// duration.
func sums(r *Record) error {
	p := r.Phases
	if p == nil {
		return fmt.Errorf("no phases")
	}
	for _, v := range []int64{p.TCP, p.Prelude, p.ClientIdle, p.TLS, p.Request, p.Server, p.Network, p.Transfer, p.Idle, p.Close, p.Unknown} {
		if v < 0 {
			return fmt.Errorf("a phase below nothing: %+v", *p)
		}
	}
	if p.Sum() != r.End-r.Start {
		return fmt.Errorf("phases add up to %d of %d: %+v", p.Sum(), r.End-r.Start, *p)
	}
	return nil
}

// Whatever two ends say, whatever is lost, repeated, late, doubled or not
// recorded: the phases of every connection add up to its duration, intervals
// add up to the whole, and nothing stays behind.
func TestTalkSums(t *testing.T) {
	seeds := 1500
	if testing.Short() {
		seeds = 300
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(uint64(seed), 11))
		d := newDialogue(r, dialogues[seed%len(dialogues)], seed)
		if r.IntN(2) == 0 {
			d.lossy(r)
		}
		list, snap := capture(r, d.conn.Record().Packets)
		s := newScene(t, func(c *Config) { c.Interval = time.Second })
		s.play(packet.NewDecoder(packet.DefaultConfig(), new(packet.Names)), list, snap)
		recs := s.end()
		fail := func(format string, args ...any) {
			t.Errorf("seed %d, %s: %s", seed, d.name, fmt.Sprintf(format, args...))
		}
		for i := range recs {
			c := &recs[i]
			if err := sums(c); err != nil {
				fail("%v", err)
			}
			s.compareIntervals(c, fail)
		}
		if n := s.table.sessions.Octets(); n != 0 {
			fail("%d octets stay with the sessions", n)
		}
		if t.Failed() {
			return
		}
	}
}

// compareIntervals holds the sum of a connection's intervals against its whole.
func (s *scene) compareIntervals(c *Record, fail func(string, ...any)) {
	var http httpmeta.Info
	var dns dnsmeta.Info
	handshakes := 0
	for i := range s.recs {
		r := &s.recs[i]
		if r.Kind != Interval || r.ID != c.ID {
			continue
		}
		if r.Phases != nil {
			fail("an interval has phases")
		}
		if r.HTTP != nil {
			http.Merge(r.HTTP)
		}
		if r.DNS != nil {
			dns.Merge(r.DNS)
		}
		if r.TLS != nil {
			handshakes++
		}
	}
	if (c.HTTP != nil) != (http.Requests+http.Responses > 0 || http.Losses != httpmeta.Losses{}) {
		fail("HTTP of the whole %v, of intervals %+v", c.HTTP, http)
	}
	if c.HTTP != nil {
		w := c.HTTP
		if w.Requests != http.Requests || w.Responses != http.Responses || w.Status != http.Status || w.RequestBytes != http.RequestBytes || w.ResponseBytes != http.ResponseBytes ||
			w.Aborted != http.Aborted || w.Missed != http.Missed || w.Losses != http.Losses || len(w.Endpoints) != len(http.Endpoints) {
			fail("HTTP %+v, of intervals %+v", w, http)
		}
		for i := range w.Endpoints {
			a, b := &w.Endpoints[i], &http.Endpoints[i]
			if a.Requests != b.Requests || a.Status != b.Status || a.Response.Count() != b.Response.Count() || a.Response.Sum() != b.Response.Sum() {
				fail("endpoint %+v, of intervals %+v", a, b)
			}
		}
	}
	if c.DNS != nil && (c.DNS.Counts != dns.Counts || c.DNS.Time.Count() != dns.Time.Count() || c.DNS.Time.Sum() != dns.Time.Sum()) {
		fail("DNS %+v, of intervals %+v", c.DNS, dns)
	}
	if want := c.TLS != nil; want != (handshakes == 1) || handshakes > 1 {
		fail("%d intervals tell of a handshake, the whole %v", handshakes, c.TLS)
	}
}

// near allows for the time that packets take on the wire.
func near(got int64, want time.Duration, slack time.Duration) bool {
	d := got - want.Nanoseconds()
	return d <= slack.Nanoseconds() && -d <= slack.Nanoseconds()
}

// Where all is recorded and nothing is lost, every phase is what the script
// says, the protocol is found on any port, and every turn is measured.
func TestTalkClean(t *testing.T) {
	for seed := range 600 {
		r := rand.New(rand.NewPCG(uint64(seed), 5))
		name := dialogues[seed%(len(dialogues)-1)] // all but mixed
		d := newDialogue(r, name, seed)
		d.conn.Finish = pcapgen.FINByClient
		rec := d.conn.Record()
		truth := rec.Truths[0]
		s := newScene(t, nil)
		s.play(packet.NewDecoder(packet.DefaultConfig(), new(packet.Names)), rec.Packets, 0)
		c := s.one()
		if err := sums(&c); err != nil {
			t.Errorf("seed %d, %s: %v", seed, name, err)
		}
		p := c.Phases
		if p.TCP != truth.TCP.Setup || p.Unknown != 0 || p.Overlap {
			t.Errorf("seed %d, %s: TCP %d, unknown %d, overlap %v; want %d, 0, false", seed, name, p.TCP, p.Unknown, p.Overlap, truth.TCP.Setup)
		}
		secure := name != "plain" && name != "banner" && name != "http" && name != "dns"
		if (c.TLS != nil) != secure || (c.HTTP != nil) != (name == "http" || name == "connect") || (c.DNS != nil) != (name == "dns") {
			t.Fatalf("seed %d, %s on %d: TLS %v, HTTP %v, DNS %v", seed, name, d.port, c.TLS, c.HTTP, c.DNS)
		}
		prelude := map[string]string{"smtp": "smtp", "postgresql": "postgresql", "proxy": "proxy", "connect": "proxy+http_connect"}[name]
		var think time.Duration
		turns, asked := 0, int64(0) // asked: without a banner
		handshake := time.Duration(0)
		for _, x := range d.conn.Turns {
			tlsTurn := secure && (len(x.Request) == 0 || x.Request[0] != 23)
			if tlsTurn {
				if len(x.Request) > 0 && (x.Request[0] == 22 || x.Request[0] == 20) {
					handshake += x.Think
				}
				continue
			}
			if len(x.Response) > 0 {
				think += x.Think
				turns++
			}
			if len(x.Request) > 0 && len(x.Response) > 0 {
				asked++
			}
		}
		if secure {
			h := c.TLS.Handshake
			if c.TLS.Outcome != tlsmeta.Completed || c.TLS.STARTTLS != prelude || h.State != tcp.Measured {
				t.Errorf("seed %d, %s: %v within %q, %v", seed, name, c.TLS.Outcome, c.TLS.STARTTLS, h)
			}
			if h.Network+h.Server+h.Client != h.Total || p.TLS != h.Total {
				t.Errorf("seed %d, %s: handshake %+v, phase %d", seed, name, h, p.TLS)
			}
			if !near(h.Server, handshake, time.Millisecond) {
				t.Errorf("seed %d, %s: the server took %d of the handshake, want %d", seed, name, h.Server, handshake)
			}
			if (p.Prelude > 0) != (prelude != "") {
				t.Errorf("seed %d, %s: prelude %d", seed, name, p.Prelude)
			}
		}
		if !near(p.Server, think, time.Duration(turns+1)*300*time.Microsecond) || !near(p.Network, time.Duration(turns)*2*dialogueHalf, time.Duration(turns+1)*300*time.Microsecond) {
			t.Errorf("seed %d, %s: server %d, network %d in %d turns, want %d, %d", seed, name, p.Server, p.Network, turns, think, time.Duration(turns)*2*dialogueHalf)
		}
		if x := c.TCP.Response; name != "dns" && (x.Measured != x.Turns || x.Turns < asked) {
			t.Errorf("seed %d, %s: %d turns, %d measured, want %d", seed, name, x.Turns, x.Measured, asked)
		}
		if t.Failed() {
			return
		}
	}
}

// With packets lost behind the point, what is called measured is right: the
// handshake's shares, and the time to answer. What is lost before the point and
// leaves no trace there looks like time to think.
func TestTalkLossy(t *testing.T) {
	measured, wrong := map[string]int{}, map[string]int{}
	const slack = 500 * time.Microsecond // what packets take on the wire is the path's, too
	for seed := range 3000 {
		r := rand.New(rand.NewPCG(uint64(seed), 17))
		name := []string{"tls13", "tls12", "tlsretry", "plain", "http"}[seed%5]
		d := newDialogue(r, name, seed)
		d.conn.Finish = pcapgen.FINByClient
		if name == "plain" || name == "http" {
			d.conn.Turns = d.conn.Turns[:1]
		}
		for len(d.conn.Fates) == 0 {
			d.lossy(r)
			d.conn.Fates = slices.DeleteFunc(d.conn.Fates, func(f pcapgen.Fate) bool { return f.Late > 0 || f.Where == int(f.From) })
		}
		rec := d.conn.Record()
		s := newScene(t, nil)
		s.play(packet.NewDecoder(packet.DefaultConfig(), new(packet.Names)), rec.Packets, 0)
		recs := s.end()
		if len(recs) != 1 {
			continue
		}
		c := &recs[0]
		note := func(what string, got int64, want time.Duration) {
			measured[what]++
			if !near(got, want, slack+want/100) {
				wrong[what]++
				if wrong[what] <= 8 {
					t.Errorf("seed %d, %s: %s %v, want %v; fates %+v", seed, name, what, time.Duration(got), want, d.conn.Fates)
				}
			}
		}
		var handshake time.Duration
		for _, x := range d.conn.Turns {
			if len(x.Request) > 0 && (x.Request[0] == 22 || x.Request[0] == 20) {
				handshake += x.Think
			}
		}
		switch {
		case c.TLS != nil:
			if h := c.TLS.Handshake; h.State == tcp.Measured && h.Server != tcp.Absent {
				note("share of the server", h.Server, handshake)
				note("share of the client", h.Client, 0)
			}
		case c.HTTP != nil && len(c.HTTP.Endpoints) == 1:
			// Without a round trip of the handshake nothing is taken off.
			if x := &c.HTTP.Endpoints[0].Response; x.Count() == 1 && c.TCP.Response.State == tcp.Measured && c.Handshake.SYNs == 1 && c.Handshake.SYNACKs == 1 {
				note("response", x.Sum(), d.conn.Turns[0].Think)
			}
		case name == "plain" && len(d.conn.Turns[0].Response) > 0:
			if x := c.TCP.Response; x.Measured == 1 && x.State == tcp.Measured {
				note("turn", x.Min, d.conn.Turns[0].Think)
			}
		}
	}
	t.Logf("measured %v, wrong %v", measured, wrong)
	for _, what := range []string{"share of the server", "share of the client", "response", "turn"} {
		if measured[what] < 400 {
			t.Errorf("%s: %d measured", what, measured[what])
		}
	}
}

// FuzzTalk plays packets of one 5-tuple with any octets at any place. in is a
// row of packets: direction and flags, place, length, gap in time, and octets.
func FuzzTalk(f *testing.F) {
	for i, name := range dialogues {
		r := rand.New(rand.NewPCG(uint64(i), 23))
		d := newDialogue(r, name, i)
		var in []byte
		for _, x := range d.conn.Turns {
			for dir, b := range [2][]byte{x.Request, x.Response} {
				for b = b[:min(len(b), 2000)]; len(b) > 0; {
					n := min(len(b), 255)
					in = append(append(in, byte(dir), 0, byte(n), 200), b[:n]...)
					b = b[n:]
				}
			}
		}
		f.Add(in, true, uint8(0))
		f.Add(append(in, 4, 0, 0, 9, 5, 0, 0, 9), true, uint8(0))
		f.Add(in, false, uint8(90))
	}
	f.Fuzz(func(t *testing.T, in []byte, shake bool, snap uint8) {
		if len(in) > 1<<15 {
			return
		}
		s := newScene(t, func(c *Config) { c.Interval = time.Second; c.Memory = minMemory })
		ends := [2]host{{"10.0.0.7", 51234}, {"10.0.0.9", 443}}
		if len(in) > 0 && in[0]&128 != 0 {
			ends[1].port = 53
		}
		seq := [2]uint32{0xfffff000, 7000}
		at := time.Duration(0)
		if shake {
			s.open(0, ends[0], ends[1], seq[0], seq[1])
			seq[0]++
			seq[1]++
			at = 20 * time.Millisecond
		}
		for len(in) >= 4 {
			c, place, n, gap := in[0], int8(in[1]), int(in[2]), in[3]
			in = in[4:]
			data := in[:min(n, len(in))]
			in = in[len(data):]
			dir := int(c & 1)
			flags := "A"
			switch c >> 2 & 15 {
			case 1:
				flags = "AF"
			case 2:
				flags = "R"
			case 3:
				flags = "RA"
			case 4:
				flags = "S"
			case 5:
				flags = "SA"
			}
			at += time.Microsecond + time.Duration(gap)*50*time.Microsecond // generations of one moment share their id
			if gap == 255 {
				at += 3 * time.Second
			}
			p := s.tcp(ends[dir], ends[1-dir], flags, seq[dir]+uint32(int32(place)*16), seq[1-dir], string(data))
			if c&2 != 0 { // an older ACK
				p.TCP.Ack -= uint32(n)
			}
			if c&64 != 0 { // a packet that was sent and not recorded
				seq[dir] += uint32(n) * 8
				continue
			}
			if snap > 0 && len(p.Payload) > int(snap) {
				p.Payload = p.Payload[:snap]
			}
			s.at(at).add(p)
			if place == 0 {
				seq[dir] += uint32(len(data))
			}
			if u, m := s.table.sessions.Octets(), s.table.maxStore; u < 0 || u > m {
				t.Fatalf("sessions hold %d octets, at most %d", u, m)
			}
		}
		for i, r := range s.end() {
			if err := sums(&r); err != nil {
				t.Fatalf("record %d: %v", i, err)
			}
			s.compareIntervals(&r, t.Errorf)
			if x := r.TLS; x != nil && x.Handshake.Total >= 0 {
				h := &x.Handshake
				if h.Total > r.End-r.Start || h.Server >= 0 && h.Server+h.Client+h.Network != h.Total {
					t.Fatalf("record %d: handshake %+v of %d", i, *h, r.End-r.Start)
				}
			}
		}
		if n := s.table.sessions.Octets(); n != 0 {
			t.Fatalf("%d octets stay with the sessions", n)
		}
	})
}

// However the point records, what is called measured is right, and no handshake
// that came about is told to have failed: with packets that it misses, copies,
// an order that is nearly that of the network, and at every snap length.
func TestTalkCaptured(t *testing.T) {
	for _, mode := range []string{"losses", "copies", "order", "cut"} {
		t.Run(mode, func(t *testing.T) {
			measured := map[string]int{}
			for seed := range 1200 {
				r := rand.New(rand.NewPCG(uint64(seed), 29))
				name := []string{"tls13", "tls12", "tlsretry", "plain"}[seed%4]
				d := newDialogue(r, name, seed)
				d.conn.Finish = pcapgen.FINByClient
				if name == "plain" {
					d.conn.Turns = d.conn.Turns[:1]
				}
				var list []pcapgen.Recorded
				snap := 0
				for _, p := range d.conn.Record().Packets {
					switch mode {
					case "losses":
						if r.IntN(12) == 0 {
							continue
						}
					case "copies":
						if r.IntN(3) == 0 {
							list = append(list, pcapgen.Recorded{Time: p.Time + int64(r.IntN(1e6)), From: p.From, Data: p.Data})
						}
					case "order":
						p.Time += int64(r.IntN(3e5))
					case "cut":
						snap = 54 + seed%400
					}
					list = append(list, p)
				}
				slices.SortStableFunc(list, func(a, b pcapgen.Recorded) int { return int(a.Time - b.Time) })
				s := newScene(t, nil)
				s.play(packet.NewDecoder(packet.DefaultConfig(), new(packet.Names)), list, snap)
				recs := s.end()
				if len(recs) != 1 {
					t.Fatalf("seed %d: %d records", seed, len(recs))
				}
				c := &recs[0]
				note := func(what string, got int64, want time.Duration) {
					measured[what]++
					if !near(got, want, 1200*time.Microsecond) {
						t.Errorf("seed %d, %s: %s %v, want %v", seed, name, what, time.Duration(got), want)
					}
				}
				var handshake time.Duration
				for _, x := range d.conn.Turns {
					if len(x.Request) > 0 && (x.Request[0] == 22 || x.Request[0] == 20) {
						handshake += x.Think
					}
				}
				if c.TLS != nil {
					if o := c.TLS.Outcome; o != tlsmeta.Completed && o != tlsmeta.Incomplete {
						t.Errorf("seed %d, %s: %v", seed, name, o)
					}
					if h := c.TLS.Handshake; h.State == tcp.Measured && h.Server != tcp.Absent {
						note("share of the server", h.Server, handshake)
						note("share of the client", h.Client, 0)
					}
				}
				if x := c.TCP.Response; name == "plain" && len(d.conn.Turns[0].Response) > 0 && x.Measured == 1 && x.State == tcp.Measured && c.Handshake.State == tcp.Measured {
					note("turn", x.Min, d.conn.Turns[0].Think)
				}
			}
			t.Logf("measured %v", measured)
			if measured["turn"] < 50 || mode != "cut" && measured["share of the server"] < 300 {
				t.Errorf("measured %v", measured)
			}
		})
	}
}

// What waits for packets that do not come has its room; what finds none there is
// counted.
func TestUnread(t *testing.T) {
	s := newScene(t, func(c *Config) { c.Memory = minMemory })
	hello := string([]byte{22, 3, 1, 64, 0, 1, 0, 63, 252, 3, 3}) + strings.Repeat("x", 989)
	for i := range uint32(6) {
		from := cli
		from.port += uint16(i)
		s.add(s.tcp(from, srv, "PA", 101, 901, hello))
		for k := range uint32(12) { // behind a packet that was lost
			s.add(s.tcp(from, srv, "PA", 101+(k+2)*1000, 901, hello))
			if i < 2 && s.table.Counts().Unread != 0 {
				t.Fatalf("no room for %d connections", i+1)
			}
		}
	}
	if s.table.Counts().Unread == 0 {
		t.Error("six connections with 12,000 octets that wait find room in 48 KiB")
	}
}
