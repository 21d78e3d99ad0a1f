package httpmeta

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"
)

// session feeds a Conn the same exchange again and again.
type session struct {
	conn             Conn
	cpos, spos, at   int64
	request, respond []byte
	info             Info
}

func (s *session) exchange(t testing.TB) {
	s.at += 1000
	s.conn.Feed(true, s.cpos, s.request, s.at)
	s.cpos += int64(len(s.request))
	s.conn.Feed(false, s.spos, s.respond, s.at+500)
	s.spos += int64(len(s.respond))
	var e Exchange
	if !s.conn.Next(&e) || e.Status != 200 || e.Broken {
		t.Fatalf("got %+v", e)
	}
	s.info.Add(&e, 500)
}

func http1Session() *session {
	s := &session{request: []byte("GET /api/v1/users/12345?page=2 HTTP/1.1\r\nHost: api.example.org\r\nUser-Agent: curl/8\r\nAccept: */*\r\nCookie: a=b; c=d\r\n\r\n"),
		respond: []byte("HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\n{}")}
	s.conn.Reset(&Shared{Budget: newBudget(1 << 20)}, true)
	return s
}

// http2Session is gRPC as grpc-go writes it, once its fields are in the table.
func http2Session(t testing.TB) (*session, func()) {
	s := &session{}
	s.conn.Reset(&Shared{Budget: newBudget(1 << 20)}, true)
	cl, sv := newPeer(), newPeer()
	s.request = []byte(preface + noSettings)
	s.respond = []byte(noSettings)
	s.conn.Feed(true, 0, s.request, 1)
	s.conn.Feed(false, 0, s.respond, 1)
	s.cpos, s.spos = int64(len(s.request)), int64(len(s.respond))
	stream := uint32(1)
	next := func() {
		s.request = append(s.request[:0], cl.headers(0, stream, ":method", "POST", ":scheme", "http", ":path", "/pkg.Service/Method", ":authority", "svc:50051", "content-type", "application/grpc", "te", "trailers")...)
		s.request = append(s.request, frame(frameData, flagEndStream, stream, "\x00\x00\x00\x00\x05hello")...)
		s.respond = append(s.respond[:0], sv.headers(0, stream, ":status", "200", "content-type", "application/grpc")...)
		s.respond = append(s.respond, frame(frameData, 0, stream, "\x00\x00\x00\x00\x05hello")...)
		s.respond = append(s.respond, sv.headers(flagEndStream, stream, "grpc-status", "0", "grpc-message", "")...)
		stream += 2
	}
	next()
	s.exchange(t) // fills the tables
	next()
	return s, func() { // the same octets on another stream
		for i, part := 0, s.request; i < 2; i, part = i+1, s.respond {
			for len(part) > 0 {
				n := int(part[1])<<8 | int(part[2])
				part[5], part[6], part[7], part[8] = byte(stream>>24), byte(stream>>16), byte(stream>>8), byte(stream)
				part = part[frameHeader+n:]
			}
		}
		stream += 2
	}
}

// TestAllocs: a request to an endpoint that is known allocates nothing, nor
// does a body, nor another connection.
func TestAllocs(t *testing.T) {
	s := http1Session()
	s.exchange(t)
	if n := testing.AllocsPerRun(1000, func() { s.exchange(t) }); n != 0 {
		t.Errorf("HTTP/1: %v allocations per exchange, want 0", n)
	}
	if n := testing.AllocsPerRun(1000, func() {
		s.conn.Close(s.at)
		s.conn.Reset(s.conn.shared, true)
		s.cpos, s.spos = 0, 0
		s.exchange(t)
	}); n != 0 {
		t.Errorf("HTTP/1: %v allocations per connection, want 0", n)
	}
	request := s.request
	if n := testing.AllocsPerRun(1000, func() { // the head in three pieces
		for _, piece := range [][]byte{request[:20], request[20:50]} {
			s.conn.Feed(true, s.cpos, piece, s.at)
			s.cpos += int64(len(piece))
		}
		s.request = request[50:]
		s.exchange(t)
	}); n != 0 {
		t.Errorf("HTTP/1: %v allocations per exchange with a head in pieces, want 0", n)
	}
	h2, again := http2Session(t)
	if n := testing.AllocsPerRun(1000, func() { again(); h2.exchange(t) }); n != 0 {
		t.Errorf("HTTP/2: %v allocations per exchange, want 0", n)
	}
	if got := h2.info.Endpoints[0]; got.GRPC != 1002 || got.GRPCError != 0 {
		t.Errorf("HTTP/2: %d exchanges with a grpc-status, want 1002", got.GRPC)
	}
	var dst [maxPath + 100]byte
	for _, path := range []string{"/a%2Fb/%34%32/" + strings.Repeat("%78", 300), "/reset/AbCdEfGhIjKlMnOpQrStUvWxYz/a.b.c/1.2.3"} {
		octets := []byte(path)
		if n := testing.AllocsPerRun(1000, func() { appendTemplate(dst[:0], octets) }); n != 0 {
			t.Errorf("template of %.40q: %v allocations, want 0", path, n)
		}
	}
	joined := http1Session()
	joined.exchange(t)
	if n := testing.AllocsPerRun(1000, func() {
		joined.conn.Close(joined.at)
		joined.conn.Reset(joined.conn.shared, false)
		joined.cpos, joined.spos = 0, 0
		joined.exchange(t)
	}); n != 0 {
		t.Errorf("HTTP/1, joined: %v allocations per connection, want 0", n)
	}
	for name, body := range bodies() {
		if n := testing.AllocsPerRun(1000, body(t)); n != 0 {
			t.Errorf("body, %s: %v allocations per chunk, want 0", name, n)
		}
	}
}

// bodies gives for each framing what feeds the next 1448 octets of a body.
func bodies() map[string]func(testing.TB) func() {
	piece := make([]byte, 1448)
	begin := func(head string, h2 bool) func(testing.TB) func() {
		return func(t testing.TB) func() {
			conn := &Conn{}
			conn.Reset(&Shared{}, true)
			request, pos := get, int64(0)
			if h2 {
				request = preface + noSettings + newPeer().get(1, "/")
			}
			conn.Feed(true, 0, []byte(request), 1)
			conn.Feed(false, pos, []byte(head), 2)
			pos += int64(len(head))
			filled := piece
			if h2 { // a frame in each piece
				filled = []byte(frame(frameData, 0, 1, string(piece[frameHeader:])))
			}
			return func() {
				conn.Feed(false, pos, filled, 3)
				pos += int64(len(filled))
			}
		}
	}
	return map[string]func(testing.TB) func(){
		"length":    begin("HTTP/1.1 200 OK\r\nContent-Length: 999999999999999\r\n\r\n", false),
		"until end": begin("HTTP/1.1 200 OK\r\n\r\n", false),
		"chunk":     begin("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffff\r\n", false),
		"frames":    begin(noSettings+newPeer().headers(0, 1, ":status", "200"), true),
	}
}

func BenchmarkBody(b *testing.B) {
	for _, name := range []string{"length", "until end", "chunk", "frames"} {
		b.Run(name, func(b *testing.B) {
			next := bodies()[name](b)
			b.ReportAllocs()
			for b.Loop() {
				next()
			}
		})
	}
}

func BenchmarkExchange(b *testing.B) {
	b.Run("http1", func(b *testing.B) {
		s := http1Session()
		b.ReportAllocs()
		for b.Loop() {
			s.exchange(b)
		}
	})
	b.Run("grpc", func(b *testing.B) {
		s, again := http2Session(b)
		b.ReportAllocs()
		for b.Loop() {
			again()
			s.exchange(b)
		}
	})
}

func BenchmarkTemplate(b *testing.B) {
	for _, path := range []string{"/api/v1/users", "/api/v1/users/550e8400-e29b-41d4-a716-446655440000/orders/42"} {
		b.Run(fmt.Sprint(len(path)), func(b *testing.B) {
			p := []byte(path)
			buf := make([]byte, 0, 256)
			for b.Loop() {
				buf = appendTemplate(buf[:0], p)
			}
		})
	}
}

func BenchmarkProbe(b *testing.B) {
	for _, octets := range []string{"GET /a HTTP/1.1\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01", "HTTP/1.1 200 OK\r\n"} {
		b.Run(fmt.Sprintf("%.4q", octets), func(b *testing.B) {
			p := []byte(octets)
			for b.Loop() {
				Probe(p)
			}
		})
	}
}

// BenchmarkManyStreams is a packet of frames that each ask for one of as many streams as are
// followed, or begin one that finds no room.
func BenchmarkManyStreams(b *testing.B) {
	for name, one := range map[string]string{
		"no such stream": frame(frameData, 0, 1<<20, ""),
		"the last":       frame(frameData, 0, 2*maxStreams-1, ""),
		"away":           frame(frameGoAway, 0, 0, "\xff\xff\xff\x7f\x00\x00\x00\x00"),
		"away by and by": "away",
		"no room":        "",
	} {
		b.Run(name, func(b *testing.B) {
			var conn Conn
			conn.Reset(&Shared{}, true)
			conn.SidesKnown()
			pos := [2]int64{}
			feed := func(side side, text []byte) {
				conn.Feed(side == client, pos[side], text, 1)
				pos[side] += int64(len(text))
			}
			peer := newPeer()
			feed(client, []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"+frame(frameSettings, 0, 0, "")))
			id := uint32(1)
			for ; id < 2*maxStreams; id += 2 {
				feed(client, []byte(peer.headers(flagEndHeaders, id, ":method", "POST", ":scheme", "http", ":authority", "h", ":path", "/")))
			}
			feed(server, []byte(frame(frameSettings, 0, 0, "")))
			packet := []byte(strings.Repeat(one, 1460/max(len(one), 1)))
			side := client
			if strings.HasPrefix(name, "away") {
				side = server
			}
			last := uint32(1<<31 - 1)
			for b.Loop() {
				if one == "away" {
					packet = packet[:0]
					for range 85 {
						last--
						packet = append(packet, frame(frameGoAway, 0, 0, string(binary.BigEndian.AppendUint32(nil, last))+"\x00\x00\x00\x00")...)
					}
				}
				if one == "" {
					packet = packet[:0]
					for len(packet) < 1440 {
						packet = append(packet, frame(frameHeaders, flagEndHeaders, id, "\x83\x84\x86")...)
						id += 2
					}
				}
				feed(side, packet)
			}
		})
	}
}
