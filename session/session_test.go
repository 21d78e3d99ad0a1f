package session

import (
	"bytes"
	"fmt"
	"reflect"
	"runtime"
	"testing"

	"mirrorscope/internal/pcapgen"
	"mirrorscope/packet"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

// hello is the first flight of a handshake; see pcapgen.Handshakes.
func flights(kind int) [][]byte { return pcapgen.Handshakes()[kind].Flights }

const (
	tls13 = iota
	tls12
	tlsRetry
)

// app is a record of application data with n octets.
func app(n int) []byte {
	b := []byte{23, 3, 3, byte(n >> 8), byte(n)}
	for i := range n {
		b = append(b, byte(i*11))
	}
	return b
}

// secure plays a handshake of TLS 1.3 from a time on: 5 ms at the server, 3 ms
// at the client.
func (s *scene) secure(at int64) (end int64) { return s.secureBy(at, flights(tls13)) }

func (s *scene) secureBy(at int64, f [][]byte) (end int64) {
	s.client(at, f[0])
	at += serverHalf + 5*ms
	s.server(at, f[1])
	at += clientHalf + 3*ms
	s.client(at, f[2])
	return at
}

func TestTLS13(t *testing.T) {
	s := newScene(t, 1<<20).shake()
	at := s.secure(30 * ms)
	s.client(at+2*ms, app(300))
	s.server(at+2*ms+serverHalf+40*ms, app(5000))
	s.packet(at+2*ms+serverHalf+41*ms+clientHalf, 0, packet.ACK, nil)
	turns := s.turns()
	r := s.end()
	h := r.TLS.Handshake
	if r.TLS.Outcome != tlsmeta.Completed || h.State != tcp.Measured || h.Total != at-30*ms || h.Server != 5*ms || h.Client != 3*ms || h.Network != serverHalf+clientHalf {
		t.Errorf("%v %+v", r.TLS.Outcome, h)
	}
	want := Phases{TCP: 26 * ms, TLS: 34 * ms, ClientIdle: 6 * ms, Server: 40 * ms, Network: 20 * ms, Close: 7 * ms}
	if *r.Phases != want {
		t.Errorf("%+v, want %+v", *r.Phases, want)
	}
	if turns.Turns != 1 || turns.Measured != 1 || turns.Min != 40*ms || turns.State != tcp.Ambiguous { // it may be HTTP/2
		t.Errorf("%+v", turns)
	}
}

// A session ticket is no response, and a response that comes at once is no
// ticket.
func TestTickets(t *testing.T) {
	ticket := app(4 + 200 + 17)
	for _, tt := range []struct {
		name  string
		play  func(s *scene, at int64)
		turns int64
		min   int64
	}{
		{"ticket, then a request", func(s *scene, at int64) {
			s.server(at+serverHalf+ms, ticket)
			s.client(at+50*ms, app(100))
			s.server(at+50*ms+serverHalf+30*ms, app(500))
		}, 1, 30 * ms},
		{"request at once, ticket, response", func(s *scene, at int64) {
			s.client(at, app(100))
			s.acked[1] = 1001
			s.server(at+serverHalf, ticket)
			s.acked[1] = 0
			s.server(at+serverHalf+30*ms, app(500))
		}, 1, 30 * ms},
		{"request at once, ticket that acknowledges it, response", func(s *scene, at int64) {
			s.client(at, app(100))
			s.server(at+serverHalf+ms, ticket)
			s.server(at+serverHalf+30*ms, app(500))
		}, 1, 30 * ms},
		{"two tickets", func(s *scene, at int64) {
			s.client(at, app(100))
			s.server(at+serverHalf+ms, ticket)
			s.server(at+serverHalf+ms, ticket)
			s.server(at+serverHalf+30*ms, app(500))
		}, 1, 30 * ms},
		{"a response at once, and nothing else", func(s *scene, at int64) {
			s.client(at, app(100))
			s.server(at+serverHalf+ms, app(300))
		}, 1, ms},
		{"a response at once, then another turn", func(s *scene, at int64) {
			s.client(at, app(100))
			s.server(at+serverHalf+ms, app(300))
			s.client(at+60*ms, app(100))
			s.server(at+60*ms+serverHalf+7*ms, app(300))
		}, 2, ms},
		{"no request: a ticket answers nothing", func(s *scene, at int64) {
			s.server(at+serverHalf+ms, ticket)
			s.server(at+serverHalf+80*ms, app(500))
		}, 0, tcp.Absent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t, 1<<20).shake()
			at := s.secure(30 * ms)
			tt.play(s, at)
			c := s.conn()
			s.st.End(s.n, &c, true, s.last+1e9)
			turns := s.turns()
			if turns.Turns != tt.turns || turns.Measured != tt.turns || turns.Min != tt.min {
				t.Errorf("%+v, want %d turns, %d ns at least", turns, tt.turns, tt.min)
			}
		})
	}
}

// What may have been a ticket or the beginning of the response is doubted where the rest of the
// response did not come right behind it, whoever had the memory before.
func TestTicketDoubt(t *testing.T) {
	f := flights(tls13)
	f[0] = bytes.Replace(f[0], []byte("\x02h2"), []byte("\x02hx"), 1) // it is not HTTP/2, which is doubted always
	s := newScene(t, 1<<20)
	for i, tt := range []struct {
		behind int64 // the ticket, the response comes
		state  tcp.State
	}{{30 * ms, tcp.Ambiguous}, {ms, tcp.Measured}, {30 * ms, tcp.Ambiguous}, {ms, tcp.Measured}} {
		s.begin(443).shake()
		at := s.secureBy(30*ms, f)
		s.client(at, app(100))
		s.server(at+serverHalf+ms, app(4+200+17))
		s.server(at+serverHalf+ms+tt.behind, app(500))
		turns := s.turns()
		if s.end(); turns.State != tt.state || turns.Turns != 1 || turns.Min != ms+tt.behind {
			t.Errorf("connection %d: %+v, want one turn of %d ns, %v", i, turns, ms+tt.behind, tt.state)
		}
	}
}

// openings are how protocols begin, on any port, in any pieces.
var openings = []struct {
	name  string
	parts []string // of the client and of the server, by turns; the first may be empty
	tls   string   // the prelude, where TLS follows; "-" is none
	http  bool
}{
	{"TLS", []string{}, "", false},
	{"HTTP", []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 204 No Content\r\n\r\n"}, "-", true},
	{"HTTP/2", []string{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00", "\x00\x00\x00\x04\x00\x00\x00\x00\x00"}, "-", false},
	{"SMTP", []string{"", "220 mail ESMTP\r\n", "EHLO me\r\n", "250-mail\r\n250 STARTTLS\r\n", "STARTTLS\r\n", "220 go ahead\r\n"}, "smtp", false},
	{"PostgreSQL", []string{"\x00\x00\x00\x08\x04\xd2\x16\x2f", "S"}, "postgresql", false},
	{"PROXY", []string{"PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n"}, "proxy", false},
	{"CONNECT", []string{"CONNECT shop:443 HTTP/1.1\r\nHost: shop:443\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"}, "http_connect", true},
	{"PROXY, CONNECT", []string{"PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\n", "", "CONNECT shop:443 HTTP/1.1\r\nHost: shop:443\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n"}, "proxy+http_connect", true},
	{"nothing known", []string{"\xfe\xfe\xfe\xfe", "\xfd\xfd"}, "-", false},
}

func TestOpenings(t *testing.T) {
	for _, o := range openings {
		for _, port := range []uint16{443, 25, 80, 54321} {
			for _, mss := range []int{1448, 1, 2, 3, 5, 7, 11, 13, 31, 32, 33} {
				t.Run(fmt.Sprintf("%s on %d in %d", o.name, port, mss), func(t *testing.T) {
					s := newScene(t, 1<<20)
					s.begin(port).shake()
					at := 30 * ms
					for i, x := range o.parts {
						s.say(at, i%2, []byte(x), mss)
						at += 30 * ms
					}
					if o.tls != "-" {
						for i, x := range flights(tls13) {
							s.say(at, i%2, x, mss)
							at += 30 * ms
						}
						s.say(at, 0, app(100), mss)
						s.say(at+60*ms, 1, app(100), mss)
					}
					turns := s.turns()
					r := s.end()
					if (r.TLS != nil) != (o.tls != "-") || (r.HTTP != nil && r.HTTP.Requests > 0) != o.http {
						t.Fatalf("TLS %v, HTTP %v", r.TLS, r.HTTP)
					}
					if r.TLS == nil {
						return
					}
					if r.TLS.STARTTLS != o.tls || r.TLS.Outcome != tlsmeta.Completed || r.TLS.SNI == "" || r.TLS.Handshake.Total != 60*ms {
						t.Errorf("%v, SNI %q within %q, %+v", r.TLS.Outcome, r.TLS.SNI, r.TLS.STARTTLS, r.TLS.Handshake)
					}
					if p := r.Phases; p.TLS != 60*ms || (p.Prelude > 0) != (o.tls != "") || p.Server != 40*ms || p.Network != 20*ms || p.Unknown != 0 {
						t.Errorf("%+v", *p)
					}
					if turns.Max < 40*ms || turns.Measured == 0 {
						t.Errorf("turns %+v", turns)
					}
				})
			}
		}
	}
}

// What a connection leaves in the pools does not show in the next: after any
// others, each gives the report that it gives alone.
func TestPoolsAreClean(t *testing.T) {
	plays := []func(s *scene){
		func(s *scene) {
			s.shake()
			at := s.secure(30 * ms)
			s.client(at, app(100))
			s.server(at+90*ms, app(100))
		},
		func(s *scene) { s.shake(); s.client(30*ms, flights(tls13)[0][:200]) }, // half a hello
		func(s *scene) { // what came early waits for ever
			s.shake()
			s.put(30*ms, 0, packet.ACK, s.seq[0]+100, flights(tls13)[0])
			s.put(31*ms, 1, packet.ACK, s.seq[1]+1000, []byte("HTTP/1.1 200 OK\r\n\r\n"))
		},
		func(s *scene) {
			s.shake()
			for i, x := range flights(tls12) {
				s.say(int64(30+30*i)*ms, i%2, x, 100)
			}
			s.client(500*ms, app(77))
			s.server(600*ms, app(99))
		},
		func(s *scene) {
			s.shake()
			s.client(30*ms, []byte("GET /a/17?x HTTP/1.1\r\nHost: one\r\n\r\n"))
			s.server(90*ms, []byte("HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nabc"))
			s.client(130*ms, []byte("GET /b HTTP/1.1\r\nHost: on")) // half a head
		},
		func(s *scene) {
			s.shake()
			s.client(30*ms, []byte("PROXY TCP4 192.0.2.1 192.0.2.2 1000 443\r\nCONNECT x:1 HTTP/1.1\r\n\r\n"))
			s.server(60*ms, []byte("HTTP/1.1 200 OK\r\n\r\n"))
			s.client(90*ms, flights(tlsRetry)[0])
			s.packet(120*ms, 1, packet.RST|packet.ACK, nil)
		},
		func(s *scene) {
			s.begin(53).shake()
			q := pcapgen.DNSQuery(7, "a.example", pcapgen.TypeA)
			s.client(30*ms, append([]byte{0, byte(len(q))}, q...))
			s.client(31*ms, []byte{0, 200, 1, 2, 3})
		},
		func(s *scene) { s.shake(); s.client(30*ms, []byte("\xfe\xfe\xfe")); s.server(90*ms, []byte("\xfd")) },
		func(s *scene) { s.shake(); s.server(30*ms, []byte("220 x\r\n")); s.client(60*ms, []byte("EHL")) },
	}
	var alone []Report
	for _, play := range plays {
		s := newScene(t, 1<<20)
		play(s)
		alone = append(alone, s.end())
		if n := s.st.Octets(); n != 0 {
			t.Errorf("%d octets stay", n)
		}
	}
	s := newScene(t, 1<<20)
	for round := range len(plays) * len(plays) {
		i := (round*7 + round/len(plays)) % len(plays)
		s.begin(443)
		plays[i](s)
		if got := s.end(); !reflect.DeepEqual(got, alone[i]) {
			t.Fatalf("round %d, conversation %d: %+v, alone %+v", round, i, got, alone[i])
		}
		if n := s.st.Octets(); n != 0 {
			t.Fatalf("%d octets stay", n)
		}
	}
}

// A flood of connections that begin a long ClientHello and never end it stays
// within the memory that the Store was given for them, and what it says that it
// holds is what it holds.
func TestFloodOfHellos(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some seconds")
	}
	const memory, connections = 64 << 20, 200_000
	record := append([]byte{22, 3, 1, 64, 0, 1, 0, 63, 252, 3, 3}, bytes.Repeat([]byte{7}, 16000)...)
	st := NewStore(memory)
	tcps := tcp.NewStore(tcp.DefaultConfig())
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	type one struct {
		n uint32
		c tcp.Conn
	}
	var open []*one
	conn := func(o *one) Conn {
		return Conn{TCP: &o.c, Store: tcps, Client: 0, Both: true, Last: sceneStart, Ends: sceneEnds, Ports: [2]uint16{1, 443}}
	}
	for i := range connections {
		o := new(one)
		o.c.Init()
		for k := range 2 {
			part := record[k*1448 : k*1448+1448]
			if i%2 == 1 {
				part = record[k*4000 : k*4000+1448] // the second of them waits for a hole to be filled
			}
			p := packet.Packet{Time: sceneStart + int64(i), Payload: part, PayloadLen: 1448, TCP: packet.TCP{Seq: uint32(1 + k*1448*(1+i%2)), Ack: 1, Flags: packet.ACK, Window: 1000, HeaderLen: 20}}
			g := o.c.Add(tcps, &p, 0, nil, false)
			c := conn(o)
			o.n = st.Segment(o.n, &c, &p, &g, 0)
		}
		open = append(open, o)
		for st.Octets() > memory { // the table evicts
			c := conn(open[0])
			st.End(open[0].n, &c, false, sceneStart)
			st.Whole(open[0].n, &c, false, nil, nil)
			st.Release(open[0].n)
			tcps.Release(&open[0].c)
			open = open[1:]
		}
	}
	if len(open) < 1000 {
		t.Errorf("%d connections are open", len(open))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	heap := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d connections open, %d octets by their own count, %d on the heap, refused %d", len(open), st.Octets(), heap, st.Refused())
	if heap > 2*memory {
		t.Errorf("%d octets on the heap, want at most %d", heap, 2*memory)
	}
	for _, o := range open {
		st.Release(o.n)
		tcps.Release(&o.c)
	}
	if st.Octets() != 0 || st.budget.Used() != 0 {
		t.Errorf("%d octets stay, %d of the budget", st.Octets(), st.budget.Used())
	}
}

// The reader of a handshake lets go of its streams when that is over, whatever
// waited then.
func TestStreamsAreClosed(t *testing.T) {
	s := newScene(t, 1<<20).shake()
	at := s.secure(30 * ms)
	s.client(at, app(100))
	s.server(at+50*ms, app(1000))
	if s.st.readings.InUse() != 0 || s.st.sniffs.InUse() != 0 || s.st.room.Lent() != 0 {
		t.Errorf("%d readings, %d sniffs, %d handshakes in use behind the handshake", s.st.readings.InUse(), s.st.sniffs.InUse(), s.st.room.Lent())
	}
	s.end()
	s.begin(443).shake()
	s.client(30*ms, flights(tls13)[0])
	if s.st.room.Lent() != 1 {
		t.Errorf("%d handshakes in use while one is read", s.st.room.Lent())
	}
	s.server(60*ms, []byte("no record at all"))
	s.client(90*ms, app(100))
	if s.st.readings.InUse() != 0 || s.st.room.Lent() != 0 {
		t.Errorf("%d readings, %d handshakes in use for what cannot be followed", s.st.readings.InUse(), s.st.room.Lent())
	}
	s.end()
	s.begin(9999).shake()
	s.client(30*ms, []byte("\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe\xfe"))
	if s.st.readings.InUse() != 0 || s.st.sniffs.InUse() != 0 {
		t.Errorf("%d readings, %d sniffs in use for what nothing is known of", s.st.readings.InUse(), s.st.sniffs.InUse())
	}
	s.end()
}

// Snap lengths that cut every packet: nothing is told that was not recorded.
func TestCutPackets(t *testing.T) {
	for snap := 1; snap < 1500; snap += 1 + snap/20 {
		s := newScene(t, 1<<20)
		s.snap = snap
		s.shake()
		at := s.secure(30 * ms)
		s.client(at+ms, app(100))
		s.server(at+90*ms, app(100))
		r := s.end()
		if r.TLS != nil && r.TLS.Handshake.State == tcp.Measured && r.TLS.Handshake.Total != 34*ms {
			t.Errorf("cut to %d: %+v", snap, r.TLS.Handshake)
		}
		if r.TLS != nil && r.TLS.Outcome != tlsmeta.Completed && r.TLS.Outcome != tlsmeta.Incomplete {
			t.Errorf("cut to %d: %v", snap, r.TLS.Outcome)
		}
		if n := s.st.Octets(); n != 0 {
			t.Errorf("cut to %d: %d octets stay", snap, n)
		}
	}
}
