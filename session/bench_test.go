package session

import (
	"testing"

	"mirrorscope/packet"
	"mirrorscope/tcp"
)

// Outside of handshakes and heads, a packet allocates nothing.
func TestAllocs(t *testing.T) {
	for _, tt := range []struct {
		name string
		play func(s *scene)
	}{
		{"TLS 1.3", func(s *scene) { at := s.secure(30 * ms); s.client(at, app(100)); s.server(at+90*ms, app(100)) }},
		{"TLS 1.3, nothing said yet", func(s *scene) { s.secure(30 * ms) }},
		{"TLS 1.2", func(s *scene) {
			for i, x := range flights(tls12) {
				s.say(int64(30+30*i)*ms, i%2, x, 1448)
			}
		}},
		{"HTTP body", func(s *scene) {
			s.client(30*ms, []byte("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1073741824\r\n\r\n"))
			s.server(60*ms, []byte("HTTP/1.1 200 OK\r\nContent-Length: 1073741824\r\n\r\n"))
		}},
		{"nothing known", func(s *scene) { s.client(30*ms, []byte("\xfe\xfe\xfe\xfe")); s.server(90*ms, []byte("\xfd\xfd")) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for dir := range 2 {
				s := newScene(t, 1<<20).shake()
				tt.play(s)
				record := app(16384)
				at, off := 1000*ms, 0
				send := func() {
					n := min(1448, len(record)-off)
					s.packet(at, dir, packet.ACK, record[off:off+n])
					s.packet(at+ms/10, 1-dir, packet.ACK, nil)
					at += ms
					off = (off + n) % len(record)
				}
				for range 50 {
					send() // lists grow
				}
				if n := testing.AllocsPerRun(2000, send); n != 0 {
					t.Errorf("%v allocations per packet and ACK in direction %d, want 0", n, dir)
				}
			}
		})
	}
}

func BenchmarkHandshake(b *testing.B) {
	for _, bb := range []struct {
		name string
		kind int
	}{{"1.3", tls13}, {"1.2", tls12}, {"retry", tlsRetry}} {
		b.Run(bb.name, func(b *testing.B) {
			f := flights(bb.kind)
			s := newScene(b, 1<<20)
			b.ReportAllocs()
			for b.Loop() {
				s.begin(443).shake()
				for i, x := range f {
					s.say(int64(30+30*i)*ms, i%2, x, 1448)
				}
				s.end()
			}
		})
	}
}

func BenchmarkPacket(b *testing.B) {
	for _, bb := range []struct {
		name string
		play func(s *scene)
	}{
		{"TLS", func(s *scene) { at := s.secure(30 * ms); s.client(at, app(100)); s.server(at+90*ms, app(100)) }},
		{"plain", func(s *scene) { s.client(30*ms, []byte("\xfe\xfe\xfe\xfe")); s.server(90*ms, []byte("\xfd\xfd")) }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			s := newScene(b, 1<<20).shake()
			bb.play(s)
			data := app(1443)
			at := 1000 * ms
			b.ReportAllocs()
			for b.Loop() {
				s.packet(at, 1, packet.ACK, data)
				s.packet(at, 0, packet.ACK, nil)
				at += ms
			}
		})
	}
}

// BenchmarkShort is a connection of a protocol that is not known: a request, a
// response in two segments, an ACK for each, and the end.
func BenchmarkShort(b *testing.B) {
	s := newScene(b, 1<<20)
	request, response := make([]byte, 120), make([]byte, 300)
	for i := range request {
		request[i] = '.'
	}
	copy(response, request)
	b.ReportAllocs()
	for b.Loop() {
		s.begin(8080).shake()
		s.packet(30*ms, 0, packet.ACK, request)
		s.packet(31*ms, 1, packet.ACK, nil)
		s.packet(50*ms, 1, packet.ACK, response)
		s.packet(50*ms, 1, packet.ACK, response[:77])
		s.packet(56*ms, 0, packet.ACK, nil)
		s.packet(57*ms, 0, packet.ACK|packet.FIN, nil)
		s.packet(77*ms, 1, packet.ACK|packet.FIN, nil)
		s.packet(83*ms, 0, packet.ACK, nil)
		s.end()
	}
}

// BenchmarkSegment leaves out what TCP makes of a packet.
func BenchmarkSegment(b *testing.B) {
	for _, bb := range []struct {
		name string
		play func(s *scene)
		data []byte
	}{
		{"TLS", func(s *scene) { at := s.secure(30 * ms); s.client(at, app(100)); s.server(at+90*ms, app(100)) }, app(1443)},
		{"plain", func(s *scene) { s.client(30*ms, []byte("\xfe\xfe\xfe\xfe")); s.server(90*ms, []byte("\xfd\xfd")) }, app(1443)},
		{"ACK", func(s *scene) { s.client(30*ms, []byte("\xfe\xfe\xfe\xfe")); s.server(90*ms, []byte("\xfd\xfd")) }, nil},
	} {
		b.Run(bb.name, func(b *testing.B) {
			s := newScene(b, 1<<20).shake()
			bb.play(s)
			s.packet(1000*ms, 1, packet.ACK, bb.data)
			c := s.conn()
			pos := s.tcp.Una(1)
			g := tcp.Segment{Time: s.p.Time, Pos: pos, End: pos + int64(len(bb.data)), Before: pos, Acked: s.tcp.Una(0)}
			for b.Loop() {
				if g.End == g.Pos && Ignores(s.n, s.p.TCP.Flags) {
					continue
				}
				s.n = s.st.Segment(s.n, &c, &s.p, &g, 1)
			}
		})
	}
}
