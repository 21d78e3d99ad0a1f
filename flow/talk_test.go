package flow

import (
	"fmt"
	"math/rand/v2"
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
	for i := range uint32(24) {
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
		t.Error("24 connections with 12,000 octets that wait find room in 192 KiB")
	}
}
