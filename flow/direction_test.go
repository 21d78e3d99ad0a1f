package flow

import (
	"strings"
	"testing"
	"time"

	"mirrorscope/packet"
	"mirrorscope/tcp"
)

// Each proof of roles, by rank. The client of every case is cli.
func TestDirection(t *testing.T) {
	high := host{"10.0.0.9", 40000} // a port that tells nothing
	hello := "\x16\x03\x01\x00\x2f\x01\x00\x00\x2b"
	serverHello := "\x16\x03\x03\x00\x2f\x02\x00\x00\x2b"
	query := "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01"
	answer := "\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x01a\x00\x00\x01\x00\x01"
	initial := "\xc0\x00\x00\x00\x01\x08" + strings.Repeat("x", 1300)
	tests := []struct {
		name   string
		client host
		server host
		proto  string
		who    []bool // sender of each payload: true the client
		data   []string
		want   DirectionSource
		state  tcp.State
	}{
		{"ClientHello", cli, high, "tcp", []bool{true}, []string{hello}, DirTLS, tcp.Measured},
		{"ServerHello", cli, high, "tcp", []bool{false}, []string{serverHello}, DirTLS, tcp.Measured},
		{"HTTP request", cli, high, "tcp", []bool{true}, []string{"GET /a HTTP/1.1\r\n"}, DirApp, tcp.Measured},
		{"HTTP status line", cli, high, "tcp", []bool{false}, []string{"HTTP/1.1 200 OK\r\n"}, DirApp, tcp.Measured},
		{"SMTP greeting", cli, high, "tcp", []bool{false}, []string{"220 mx.example.org ESMTP\r\n"}, DirApp, tcp.Measured},
		{"IMAP greeting", cli, high, "tcp", []bool{false}, []string{"* OK ready\r\n"}, DirApp, tcp.Measured},
		{"an SSH banner proves nothing: the port does", cli, host{"10.0.0.9", 22}, "tcp", []bool{true}, []string{"SSH-2.0-x\r\n"}, DirPort, tcp.Measured},
		{"well-known port", cli, host{"10.0.0.9", 443}, "tcp", []bool{false}, []string{"\x17\x03\x03"}, DirPort, tcp.Measured},
		{"service port", host{"10.0.0.7", 20000}, host{"10.0.0.9", 5432}, "tcp", []bool{false}, []string{"R"}, DirPort, tcp.Measured},
		{"ephemeral port", host{"10.0.0.7", 40001}, host{"10.0.0.9", 12345}, "tcp", []bool{false}, []string{"x"}, DirPort, tcp.Measured},
		{"lower port", host{"10.0.0.7", 50001}, host{"10.0.0.9", 40001}, "tcp", []bool{false}, []string{"x"}, DirPort, tcp.Ambiguous},
		{"equal ports: who came first", host{"10.0.0.7", 50001}, host{"10.0.0.9", 50001}, "tcp", []bool{true, false}, []string{"x", "y"}, DirOrder, tcp.Ambiguous},
		{"DNS query", cli, host{"10.0.0.9", 53}, "udp", []bool{true}, []string{query}, DirApp, tcp.Measured},
		{"DNS response first", cli, host{"10.0.0.9", 53}, "udp", []bool{false}, []string{answer}, DirApp, tcp.Measured},
		{"QUIC Initial", cli, high, "udp", []bool{true}, []string{initial}, DirApp, tcp.Measured},
		{"a better proof comes later", host{"10.0.0.7", 443}, high, "tcp", []bool{false, true}, []string{"x", "GET / HTTP/1.1\r\n"}, DirApp, tcp.Measured},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t, nil)
			for i, data := range tt.data {
				from, to := tt.client, tt.server
				if !tt.who[i] {
					from, to = to, from
				}
				s.at(ms(i))
				if tt.proto == "tcp" {
					s.add(s.tcp(from, to, "PA", 100, 900, data))
				} else {
					s.add(s.udp(from, to, data))
				}
			}
			r := s.one()
			if got := r.Ends[Client].Addr.IP().String(); got != tt.client.addr || r.Ends[Client].Port != tt.client.port {
				t.Errorf("client %v:%d", got, r.Ends[Client].Port)
			}
			if r.Direction != tt.want || r.DirectionState != tt.state {
				t.Errorf("%v, %v, want %v, %v", r.Direction, r.DirectionState, tt.want, tt.state)
			}
		})
	}
}

// An address and port that was a server's by proof is one's in other flows, of
// the next second on.
func TestListener(t *testing.T) {
	odd := host{"10.0.0.9", 40001}
	s := newScene(t, nil)
	s.open(0, host{"10.0.0.1", 50000}, odd, 1, 2)
	s.at(1500 * time.Millisecond).add(s.tcp(odd, host{"10.0.0.2", 39999}, "PA", 5, 6, "mid-stream"))
	for _, r := range s.end() {
		if r.Ends[Client].Port == 50000 {
			continue
		}
		if r.Direction != DirListener || r.Ends[Client].Port != 39999 || r.DirectionState != tcp.Measured {
			t.Errorf("%v, client %+v", r.Direction, r.Ends[Client])
		}
	}
}

// Totals move with the roles, also those that intervals have told already.
func TestRolesFlipInIntervals(t *testing.T) {
	a, b := host{"10.0.0.7", 443}, host{"10.0.0.9", 40000} // the port says that a serves, the request that b does
	s := newScene(t, func(c *Config) { c.Interval = time.Second })
	s.at(ms(100)).add(s.tcp(a, b, "PA", 1, 1, "x"))
	s.at(ms(1200)).add(s.tcp(a, b, "PA", 2, 1, "GET / HTTP/1.1\r\n"))
	conn := s.one()
	var sum [2]Volume
	n := 0
	for _, r := range s.recs {
		if r.Kind != Interval {
			continue
		}
		n++
		for i := range sum {
			sum[i].Packets += r.Sent[i].Packets
			sum[i].Bytes += r.Sent[i].Bytes
			sum[i].PayloadBytes += r.Sent[i].PayloadBytes
		}
	}
	if conn.Ends[Client].Addr.IP().String() != a.addr || n != 2 || sum != conn.Sent {
		t.Errorf("client %v; %d intervals sum to %+v, want 2 and %+v", conn.Ends[Client].Addr.IP(), n, sum, conn.Sent)
	}
}

func TestEchoAndOthers(t *testing.T) {
	s := newScene(t, nil)
	reply := s.ip(srv, cli, packet.ProtoICMP, 8)
	reply.ICMPType, reply.Kind, reply.SrcPort, reply.DstPort = 0, packet.ICMPEcho, 7, 7
	s.at(0).add(reply)
	r := s.one()
	if r.Direction != DirApp || r.Ends[Client].Addr.IP().String() != cli.addr || r.Ends[Client].HasPort {
		t.Errorf("echo: %v, client %+v", r.Direction, r.Ends[Client])
	}
	s = newScene(t, nil)
	esp := s.ip(srv, cli, packet.ProtoESP, 40)
	esp.SrcPort, esp.DstPort, esp.Flags = 0, 0, packet.PortsUnknown
	s.at(0).add(esp)
	r = s.one()
	if r.Direction != DirOrder || r.DirectionState != tcp.Ambiguous || r.Ends[Client].Addr.IP().String() != srv.addr {
		t.Errorf("ESP: %v %v, client %+v", r.Direction, r.DirectionState, r.Ends[Client])
	}
}
