package session

import (
	"math/rand/v2"
	"testing"

	"mirrorscope/packet"
	"mirrorscope/tcp"
)

// What is told at a first look to be no protocol that is read leaves what
// reading it would have left.
func TestForeign(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var payloads [][]byte
	for _, begin := range []string{
		"", "GET / HTTP/1.1\r\n", "HTTP/1.1 200 OK\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "220 hello\r\n", "EHLO a\r\n", "* OK\r\n", "+OK\r\n", "CONNECT a:1 HTTP/1.1\r\n",
		"\x16\x03\x01\x00\x80\x01\x00\x00\x7c\x03\x03", "\x16\x03\x03\x00\x80\x02\x00\x00\x7c\x03\x03", "\x17\x03\x03\x00\x20", "\x80\x2e\x01\x00\x02", "PROXY TCP4 ",
		"\r\n\r\n\x00\r\nQUIT\n\x21\x11", "<?xml version", "\x00\x00\x00\x08\x04\xd2\x16\x2f", "\x30\x1d\x02\x01\x01\x77\x18", "\x4a\x00\x00\x00\x0a8.0", "a1 STARTTLS\r\n", "\x00\x00\x0c\x04\x00\x00\x00\x00\x00",
	} {
		for n := range len(begin) + 1 {
			for _, more := range []int{0, 1, 40} {
				b := []byte(begin[:n])
				for range more {
					b = append(b, byte(r.Uint32()))
				}
				if len(b) > 0 {
					payloads = append(payloads, b)
				}
			}
		}
	}
	looked := 0
	for _, b := range payloads {
		for dir := range 2 {
			quick, slow := newScene(t, 1<<20).shake(), newScene(t, 1<<20).shake()
			for i, s := range []*scene{quick, slow} {
				p := packet.Packet{
					Time: sceneStart + 50*ms, Proto: packet.ProtoTCP, Version: 4, TTL: 64, Payload: b, PayloadLen: uint32(len(b)),
					SrcPort: s.ports[dir], DstPort: s.ports[1-dir], TCP: packet.TCP{Seq: s.seq[dir], Ack: s.seq[1-dir], Flags: packet.ACK, Window: 65535, HeaderLen: 20},
				}
				g := s.tcp.Add(s.tcps, &p, dir, &s.open, false)
				c := s.conn()
				if i == 0 {
					if !s.st.foreign(&c, &p, &g, dir) {
						break
					}
					looked++
					s.n = s.st.Segment(0, &c, &p, &g, dir)
					continue
				}
				n := s.st.sessions.GetZero()
				s.st.open(s.st.at(n), &c)
				s.st.read(s.st.at(n), &c, &p, &g, dir)
				s.n = s.st.at(n).number(n)
				if *s.st.at(s.n) != *quick.st.at(quick.n) || s.n != quick.n || s.turns() != quick.turns() {
					t.Errorf("%q: %+v, want %+v", b, *quick.st.at(quick.n), *s.st.at(s.n))
				}
			}
		}
	}
	if looked < len(payloads)/2 {
		t.Errorf("only %d of %d were told at a first look", looked, 2*len(payloads))
	}
}

// A first look does not tell where something else may have to come first.
func TestForeignNeedsOrder(t *testing.T) {
	b := []byte("\xfe\xfe\xfe\xfe")
	s := newScene(t, 1<<20).shake()
	p := packet.Packet{Payload: b, PayloadLen: 4}
	c := s.conn()
	start, _ := s.tcp.Start(0)
	other, _ := s.tcp.Start(1)
	for _, tt := range []struct {
		g    tcp.Segment
		want bool
	}{
		{tcp.Segment{Pos: start, End: start + 4, Before: start, Acked: other}, true},
		{tcp.Segment{Pos: start + 1, End: start + 5, Before: start, Acked: other}, false},
		{tcp.Segment{Pos: start, End: start + 4, Before: start + 1, Acked: other}, false},
		{tcp.Segment{Pos: start, End: start + 5, Before: start, Acked: other}, false},
		{tcp.Segment{Pos: start, End: start + 4, Before: start, Acked: other + 2}, false},
	} {
		if got := s.st.foreign(&c, &p, &tt.g, 0); got != tt.want {
			t.Errorf("%+v: %v, want %v", tt.g, got, tt.want)
		}
	}
}
