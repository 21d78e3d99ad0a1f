package flow

import (
	"testing"
	"time"

	"mirrorscope/packet"
)

// What begins another connection of a 5-tuple, and what does not. Each case
// plays on a connection that was opened with ISNs 100 and 900 and is live.
func TestGenerations(t *testing.T) {
	closing := func(s *scene) {
		s.at(ms(20)).add(s.tcp(cli, srv, "FA", 101, 901, ""))
		s.at(ms(30)).add(s.tcp(srv, cli, "FA", 901, 102, ""))
		s.at(ms(31)).add(s.tcp(cli, srv, "A", 102, 902, ""))
	}
	ts := func(p packet.Packet, val, ecr uint32) packet.Packet {
		p.TCP.Has |= packet.HasTimestamps
		p.TCP.TSval, p.TCP.TSecr = val, ecr
		return p
	}
	tests := []struct {
		name string
		play func(s *scene)
		want []int64 // packets of each record, in order of release and start
	}{
		{"the same ISN is a repeat", func(s *scene) {
			s.at(ms(50)).add(s.tcp(cli, srv, "S", 100, 0, ""))
		}, []int64{4}},
		{"after both FINs", func(s *scene) {
			closing(s)
			s.at(ms(50)).add(s.tcp(cli, srv, "S", 50, 0, ""))
		}, []int64{6, 1}},
		{"after an RST", func(s *scene) {
			s.at(ms(20)).add(s.tcp(cli, srv, "R", 101, 0, ""))
			s.at(ms(50)).add(s.tcp(cli, srv, "S", 50, 0, ""))
		}, []int64{4, 1}},
		{"an ISN behind all that was sent", func(s *scene) {
			s.at(ms(50)).add(s.tcp(cli, srv, "S", 70_000, 0, ""))
		}, []int64{3, 1}},
		{"an earlier ISN may be a stray or blind SYN", func(s *scene) {
			s.at(ms(50)).add(s.tcp(cli, srv, "S", 50, 0, ""))
			s.at(ms(51)).add(s.tcp(srv, cli, "A", 901, 101, ""))
		}, []int64{5}},
		{"an earlier ISN that is answered", func(s *scene) {
			s.at(ms(50)).add(s.tcp(cli, srv, "S", 50, 0, ""))
			s.at(ms(51)).add(s.tcp(srv, cli, "SA", 5000, 51, ""))
			s.at(ms(52)).add(s.tcp(cli, srv, "A", 51, 5001, ""))
		}, []int64{3, 3}},
		{"an earlier ISN after a long silence", func(s *scene) {
			s.at(61 * time.Second).add(s.tcp(cli, srv, "S", 50, 0, ""))
		}, []int64{3, 1}},
		{"an earlier ISN with a later timestamp", func(s *scene) {
			s.at(ms(20)).add(ts(s.tcp(cli, srv, "A", 101, 901, "x"), 7000, 1))
			s.at(ms(50)).add(ts(s.tcp(cli, srv, "S", 50, 0, ""), 7100, 0))
		}, []int64{4, 1}},
		{"a SYN-ACK for a SYN that was not recorded", func(s *scene) {
			s.at(ms(50)).add(s.tcp(srv, cli, "SA", 5000, 40_001, ""))
		}, []int64{3, 1}},
		{"a repeated SYN-ACK", func(s *scene) {
			s.at(ms(50)).add(s.tcp(srv, cli, "SA", 900, 101, ""))
		}, []int64{4}},
		{"stragglers of the connection before are in neither", func(s *scene) {
			closing(s)
			s.at(ms(50)).add(s.tcp(cli, srv, "S", 5_000_000, 0, ""))
			s.at(ms(51)).add(s.tcp(srv, cli, "FA", 901, 102, ""))
			s.at(ms(52)).add(s.tcp(srv, cli, "SA", 9_000_000, 5_000_001, ""))
			s.at(ms(53)).add(s.tcp(cli, srv, "A", 102, 902, ""))
			s.at(ms(54)).add(s.tcp(cli, srv, "A", 5_000_001, 9_000_001, "data"))
		}, []int64{6, 3}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t, nil)
			s.open(0, cli, srv, 100, 900)
			tt.play(s)
			recs := s.end()
			var got []int64
			for _, r := range recs {
				got = append(got, r.Sent[0].Packets+r.Sent[1].Packets)
			}
			if len(got) != len(tt.want) {
				t.Fatalf("packets %v, want %v", got, tt.want)
			}
			for i := range got {
				if got[i] != tt.want[i] {
					t.Fatalf("packets %v, want %v", got, tt.want)
				}
			}
		})
	}
}

// A SYN, or SYN-ACK, that is recorded behind what follows from it belongs to
// the same connection.
func TestRecordedLate(t *testing.T) {
	for _, tt := range []struct {
		name string
		play func(s *scene)
	}{
		{"SYN behind the SYN-ACK", func(s *scene) {
			s.at(0).add(s.tcp(srv, cli, "SA", 900, 101, ""))
			s.at(ms(1)).add(s.tcp(cli, srv, "S", 100, 0, ""))
		}},
		{"SYN-ACK behind the ACK", func(s *scene) {
			s.at(0).add(s.tcp(cli, srv, "S", 100, 0, ""))
			s.at(ms(1)).add(s.tcp(cli, srv, "A", 101, 901, ""))
			s.at(ms(2)).add(s.tcp(srv, cli, "SA", 900, 101, ""))
		}},
		{"SYN behind its first data", func(s *scene) {
			s.at(0).add(s.tcp(cli, srv, "PA", 101, 901, "GET / HTTP/1.1\r\n"))
			s.at(ms(1)).add(s.tcp(cli, srv, "S", 100, 0, ""))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t, nil)
			tt.play(s)
			r := s.one()
			if r.Ends[Client].Port != cli.port || r.Direction != DirSYN {
				t.Errorf("client %+v by %v", r.Ends[Client], r.Direction)
			}
		})
	}
}

func TestSimultaneousOpen(t *testing.T) {
	s := newScene(t, nil)
	s.at(0).add(s.tcp(cli, srv, "S", 100, 0, ""))
	s.at(ms(1)).add(s.tcp(srv, cli, "S", 900, 0, ""))
	s.at(ms(6)).add(s.tcp(cli, srv, "SA", 100, 901, ""))
	s.at(ms(8)).add(s.tcp(srv, cli, "SA", 900, 101, ""))
	s.at(ms(9)).add(s.tcp(cli, srv, "A", 101, 901, "hi"))
	r := s.one()
	h := r.Handshake
	if h.State.String() != "ambiguous" || h.Server != 8e6 || h.Client != 5e6 || h.RTT != 13e6 {
		t.Errorf("handshake %+v, want halves of 5 and 8 ms, ambiguous", h)
	}
	if r.Outcome != Established || r.DirectionState.String() != "ambiguous" || r.Ends[Client].Port != cli.port {
		t.Errorf("%v, %v, client %+v", r.Outcome, r.DirectionState, r.Ends[Client])
	}
}
