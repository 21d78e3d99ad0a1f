package flow

import (
	"net/netip"
	"testing"
	"time"

	"mirrorscope/packet"
	"mirrorscope/tcp"
)

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// Each outcome by the smallest conversation that has it.
func TestOutcome(t *testing.T) {
	tests := []struct {
		name    string
		play    func(s *scene)
		outcome Outcome
		end     EndReason
	}{
		{"established when the input ends", func(s *scene) { s.open(0, cli, srv, 100, 900) }, Established, EndForced},
		{"established, then silent", func(s *scene) {
			s.open(0, cli, srv, 100, 900)
			s.at(16 * time.Minute).add(s.udp(host{"10.9.9.9", 1}, host{"10.9.9.8", 2}, "clock"))
		}, Established, EndIdleTimeout},
		{"closed", func(s *scene) {
			s.open(0, cli, srv, 100, 900)
			s.at(ms(20)).add(s.tcp(cli, srv, "FA", 101, 901, ""))
			s.at(ms(30)).add(s.tcp(srv, cli, "FA", 901, 102, ""))
			s.at(ms(31)).add(s.tcp(cli, srv, "A", 102, 902, ""))
		}, Closed, EndOfFlow},
		{"closed, and an RST behind both FINs changes nothing", func(s *scene) {
			s.open(0, cli, srv, 100, 900)
			s.at(ms(20)).add(s.tcp(cli, srv, "FA", 101, 901, ""))
			s.at(ms(30)).add(s.tcp(srv, cli, "FA", 901, 102, ""))
			s.at(ms(31)).add(s.tcp(cli, srv, "R", 102, 0, ""))
		}, Closed, EndOfFlow},
		{"half closed", func(s *scene) {
			s.open(0, cli, srv, 100, 900)
			s.at(ms(20)).add(s.tcp(cli, srv, "FA", 101, 901, ""))
			s.at(ms(30)).add(s.tcp(srv, cli, "A", 901, 102, "more"))
		}, Established, EndForced},
		{"refused", func(s *scene) {
			s.at(0).add(s.tcp(cli, srv, "S", 100, 0, ""))
			s.at(ms(1)).add(s.tcp(srv, cli, "RA", 0, 101, ""))
		}, Refused, EndOfFlow},
		{"refused with Fast Open data", func(s *scene) {
			s.at(0).add(s.tcp(cli, srv, "S", 100, 0, "GET /"))
			s.at(ms(1)).add(s.tcp(srv, cli, "RA", 0, 106, ""))
		}, Refused, EndOfFlow},
		{"an RST that does not answer the SYN is no refusal", func(s *scene) {
			s.at(0).add(s.tcp(cli, srv, "S", 100, 0, ""))
			s.at(ms(1)).add(s.tcp(srv, cli, "RA", 0, 5000, ""))
		}, OutcomeNone, EndForced},
		{"reset", func(s *scene) {
			s.open(0, cli, srv, 100, 900)
			s.at(ms(20)).add(s.tcp(srv, cli, "RA", 901, 101, ""))
		}, Reset, EndOfFlow},
		{"an RST outside the window is ignored", func(s *scene) {
			s.open(0, cli, srv, 100, 900)
			s.at(ms(20)).add(s.tcp(srv, cli, "R", 901+200_000, 0, ""))
		}, Established, EndForced},
		{"timeout at a point that records answers", func(s *scene) {
			s.open(0, host{"10.0.0.7", 40000}, host{"10.0.0.8", 80}, 1, 2)
			s.at(2 * time.Second).add(s.tcp(cli, srv, "S", 100, 0, ""))
			s.at(3 * time.Second).add(s.tcp(cli, srv, "S", 100, 0, ""))
			s.at(60 * time.Second).add(s.tcp(host{"10.0.0.7", 40000}, host{"10.0.0.8", 80}, "A", 2, 3, ""))
		}, Timeout, EndIdleTimeout},
		{"silence at a point that records one side only is not a timeout", func(s *scene) {
			s.at(2 * time.Second).add(s.tcp(cli, srv, "S", 100, 0, ""))
			s.at(60 * time.Second).add(s.tcp(host{"10.0.0.7", 40000}, host{"10.0.0.8", 80}, "A", 2, 3, ""))
		}, OutcomeNone, EndIdleTimeout},
		{"half-open timeout", func(s *scene) {
			s.at(0).add(s.tcp(cli, srv, "S", 100, 0, ""))
			s.at(ms(5)).add(s.tcp(srv, cli, "SA", 900, 101, ""))
			s.at(ms(1005)).add(s.tcp(srv, cli, "SA", 900, 101, ""))
			s.at(60 * time.Second).add(s.udp(host{"10.9.9.9", 1}, host{"10.9.9.8", 2}, "clock"))
		}, HalfOpenTimeout, EndIdleTimeout},
		{"aborted after five timer repeats", func(s *scene) {
			s.open(0, cli, srv, 100, 900)
			s.at(ms(20)).add(s.tcp(cli, srv, "PA", 101, 901, "hello"))
			for i, at := range []int{240, 660, 1500, 3200, 6600, 13400} {
				_ = i
				s.at(ms(at)).add(s.tcp(cli, srv, "PA", 101, 901, "hello"))
			}
			s.at(17 * time.Minute).add(s.udp(host{"10.9.9.9", 1}, host{"10.9.9.8", 2}, "clock"))
		}, AbortedTimeout, EndIdleTimeout},
		{"mid-stream without an end", func(s *scene) {
			s.at(0).add(s.tcp(cli, srv, "PA", 101, 901, "hello"))
		}, OutcomeNone, EndForced},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t, nil)
			tt.play(s)
			for _, r := range s.end() {
				if r.Ends[Server].Port == srv.port || r.Ends[Client].Port == srv.port {
					if r.Outcome != tt.outcome || r.EndReason != tt.end {
						t.Errorf("outcome %q, end %q, want %q, %q", r.Outcome, r.EndReason, tt.outcome, tt.end)
					}
					return
				}
			}
			t.Error("no record")
		})
	}
}

func TestResetSaysWhoAndWhat(t *testing.T) {
	s := newScene(t, nil)
	s.open(0, cli, srv, 100, 900)
	s.at(ms(20)).add(s.tcp(cli, srv, "PA", 101, 901, "hello"))
	p := s.tcp(srv, cli, "RA", 901, 101, "")
	p.TTL = 40
	s.at(ms(21)).add(p)
	r := s.one()
	if r.ResetBy != Server || !r.ResetUnacked || r.ResetAfterFIN || !r.RSTForeign || r.Resets != [2]int64{0, 1} {
		t.Errorf("by %v, unacknowledged %v, after FIN %v, foreign %v, resets %v", r.ResetBy, r.ResetUnacked, r.ResetAfterFIN, r.RSTForeign, r.Resets)
	}
}

// An ICMP error counts only for the SYN that it quotes.
func TestUnreachable(t *testing.T) {
	router := host{"10.0.0.1", 0}
	icmp := func(s *scene, typ, code uint8) packet.Packet {
		p := s.ip(router, cli, packet.ProtoICMP, 36)
		p.ICMPType, p.ICMPCode, p.Kind = typ, code, packet.ICMPOther
		return p
	}
	quote := func(seq uint32) packet.Quote {
		a, b := packet.AddrFrom(netip.MustParseAddr(cli.addr)), packet.AddrFrom(netip.MustParseAddr(srv.addr))
		return packet.Quote{
			Src: a, Dst: b, SrcPort: cli.port, DstPort: srv.port, Proto: packet.ProtoTCP, Version: 4, Seq: seq, HasSeq: true, HasPorts: true,
			Hash: packet.SymmetricHash(&a, &b, cli.port, srv.port, packet.ProtoTCP, 0),
		}
	}
	for _, tt := range []struct {
		name      string
		typ, code uint8
		seq       uint32
		want      Outcome
	}{
		{"host unreachable", 3, 1, 100, Unreachable},
		{"time exceeded", 11, 0, 100, Unreachable},
		{"fragmentation needed says nothing of reach", 3, 4, 100, OutcomeNone},
		{"another sequence number is another packet", 3, 1, 4711, OutcomeNone},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(t, nil)
			s.at(0).add(s.tcp(cli, srv, "S", 100, 0, ""))
			p, q := icmp(s, tt.typ, tt.code), quote(tt.seq)
			p.Time, p.Now = s.now+1e6, s.now+1e6
			s.table.Quote(&p, &q)
			r := s.one()
			if r.Outcome != tt.want {
				t.Fatalf("outcome %q, want %q", r.Outcome, tt.want)
			}
			if tt.want == Unreachable && (r.Unreachable.Code != tt.code || r.Unreachable.Type != tt.typ || r.Unreachable.By != p.Src) {
				t.Errorf("%+v", r.Unreachable)
			}
		})
	}
}

func TestHandshakeOfRecord(t *testing.T) {
	s := newScene(t, nil)
	s.open(0, cli, srv, 100, 900)
	r := s.one()
	want := tcp.Handshake{State: tcp.Measured, RTT: 11e6, Client: 1e6, Server: 10e6, Setup: 11e6, Connect: 11e6, SYNs: 1, SYNACKs: 1}
	if r.Handshake != want {
		t.Errorf("%+v\nwant %+v", r.Handshake, want)
	}
}

func TestECN(t *testing.T) {
	for _, tt := range []struct {
		syn, synack string
		want        bool
	}{{"SEC", "SAE", true}, {"SEC", "SA", false}, {"S", "SAE", false}, {"SEC", "SAEC", false}} {
		s := newScene(t, nil)
		s.at(0).add(s.tcp(cli, srv, tt.syn, 100, 0, ""))
		s.at(ms(1)).add(s.tcp(srv, cli, tt.synack, 900, 101, ""))
		p := s.tcp(srv, cli, "A", 901, 101, "x")
		p.TOS = 3
		s.at(ms(2)).add(p)
		r := s.one()
		if !r.ECN.Known || r.ECN.Negotiated != tt.want || r.CE != [2]int64{0, 1} {
			t.Errorf("%s, %s: %+v, CE %v, want negotiated %v", tt.syn, tt.synack, r.ECN, r.CE, tt.want)
		}
	}
}
