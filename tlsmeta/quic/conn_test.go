package quic

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"strings"
	"testing"

	"mirrorscope/pool"
	"mirrorscope/tlsmeta"
)

var (
	odcid = []byte{1, 2, 3, 4, 5, 6, 7, 8}
	ccid  = []byte{0xc1, 0xc2}       // the client's connection id
	scid  = []byte{0x51, 0x52, 0x53} // the server's
)

// clientHello is a ClientHello with a server name, and an extension that fills
// it up to so many octets.
func clientHello(name string, size int) []byte {
	ext := []byte{0, 43, 0, 3, 2, 3, 4} // supported_versions: 1.3
	sni := append([]byte{0}, binary.BigEndian.AppendUint16(nil, uint16(len(name)))...)
	sni = append(sni, name...)
	ext = append(ext, 0, 0)
	ext = binary.BigEndian.AppendUint16(ext, uint16(len(sni)+2))
	ext = binary.BigEndian.AppendUint16(ext, uint16(len(sni)))
	ext = append(ext, sni...)
	if fill := size - 4 - 2 - 32 - 1 - 4 - 2 - 2 - len(ext) - 4; fill > 0 {
		ext = append(ext, 0xff, 0x77)
		ext = binary.BigEndian.AppendUint16(ext, uint16(fill))
		for i := range fill {
			ext = append(ext, byte(i*7))
		}
	}
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0, 0, 2, 0x13, 1, 1, 0)
	body = binary.BigEndian.AppendUint16(body, uint16(len(ext)))
	body = append(body, ext...)
	return append([]byte{1, byte(len(body) >> 16), byte(len(body) >> 8), byte(len(body))}, body...)
}

func serverHello(cipher uint16) []byte {
	body := append([]byte{3, 3}, make([]byte, 32)...)
	body = append(body, 0, byte(cipher>>8), byte(cipher), 0, 0, 6, 0, 43, 0, 2, 3, 4)
	return append([]byte{2, 0, 0, byte(len(body))}, body...)
}

// Packets of a handshake, version 1 unless said otherwise.
func fromClient(t testing.TB, number int64, frames ...[]byte) []byte {
	p := plain{version: 1, odcid: odcid, dcid: odcid, scid: ccid, role: client, number: number, frames: bytes.Join(frames, nil), pad: 1180}
	if number > 0 {
		p.dcid = scid
	}
	return seal(t, p)
}

func fromServer(t testing.TB, number int64, frames ...[]byte) []byte {
	return seal(t, plain{version: 1, odcid: odcid, dcid: ccid, scid: scid, role: server, number: number, frames: bytes.Join(frames, nil), pad: 40})
}

// handshakePacket is one with a Handshake header and octets that mean nothing.
func handshakePacket(dcid, scid []byte) []byte {
	b := append([]byte{0xe0, 0, 0, 0, 1, byte(len(dcid))}, dcid...)
	b = append(append(b, byte(len(scid))), scid...)
	return append(append(b, 30), make([]byte, 30)...)
}

func shortPacket(dcid []byte) []byte {
	return append(append([]byte{0x40}, dcid...), make([]byte, 30)...)
}

// scene feeds datagrams, one each ms from 1 ms on, and gives what is told. A
// name in front of a datagram says who sends it: c or s.
type scene struct {
	t      *testing.T
	c      Conn
	budget pool.Budget
	at     int64
}

func newScene(t *testing.T) *scene { return &scene{t: t, budget: pool.Budget{Max: 1 << 20}} }

func (s *scene) send(dir int, packets ...[]byte) {
	s.at += ms
	b := bytes.Join(packets, nil)
	s.c.Datagram(dir, b, len(b), s.at, &s.budget)
}

func (s *scene) report() (Info, Handshake) {
	s.t.Helper()
	i, h := s.c.Report(true), s.c.Handshake()
	s.c.Reset()
	if s.budget.Used() != 0 {
		s.t.Errorf("%d octets are not given back", s.budget.Used())
	}
	return i, h
}

func TestCoalesced(t *testing.T) {
	s := newScene(t)
	s.send(client, fromClient(t, 0, cryptoFrame(0, clientHello("a.test", 300))))
	s.send(server, fromServer(t, 0, ackFrame(0), cryptoFrame(0, serverHello(0x1301))), handshakePacket(ccid, scid), shortPacket(ccid))
	s.send(client, seal(t, plain{version: 1, odcid: odcid, dcid: scid, scid: ccid, role: client, number: 1, frames: ackFrame(0)}), handshakePacket(scid, ccid), shortPacket(scid))
	i, h := s.report()
	if i.SNI != "a.test" || i.Cipher != 0x1301 || i.Outcome != tlsmeta.Completed {
		t.Errorf("%+v", i)
	}
	if i.Initials != 3 || i.Long != 2 || i.Short != 2 || i.Malformed+i.Undecryptable+i.Dropped+i.Cut+i.Duplicates != 0 {
		t.Errorf("counts: %+v", i)
	}
	if want := (Handshake{RTT: 2 * ms, Client: ms, Server: ms, Total: 2 * ms}); h != want {
		t.Errorf("%+v, want %+v", h, want)
	}
	if i.ClientShort != i.ClientFinished || i.ClientFinished != 3*ms {
		t.Errorf("times: %+v", i)
	}
}

func TestConn(t *testing.T) {
	hello := clientHello("a.test", 300)
	ask := func(t testing.TB) []byte { return fromClient(t, 0, cryptoFrame(0, hello)) }
	answer := func(t testing.TB) []byte { return fromServer(t, 0, ackFrame(0), cryptoFrame(0, serverHello(0x1302))) }
	for _, tc := range []struct {
		name string
		play func(*scene)
		want func(Info, Handshake) bool
	}{
		{"padding behind a packet", func(s *scene) {
			s.send(client, ask(t), make([]byte, 50))
			s.send(server, answer(t), bytes.Repeat([]byte{0x41}, 60)) // no connection id of the client's
		}, func(i Info, _ Handshake) bool {
			return i.SNI == "a.test" && i.Cipher == 0x1302 && i.Short == 0 && i.Malformed == 0
		}},
		{"another connection id in the same datagram", func(s *scene) {
			s.send(client, ask(t), handshakePacket([]byte{9, 9}, ccid))
		}, func(i Info, _ Handshake) bool { return i.Initials == 1 && i.Long == 0 }},
		{"server recorded before the client", func(s *scene) {
			s.send(1, answer(t))
			s.send(0, ask(t))
			s.send(0, handshakePacket(scid, ccid), shortPacket(scid))
		}, func(i Info, h Handshake) bool {
			return i.SNI == "a.test" && i.Cipher == 0x1302 && i.Undecryptable == 0 && h.Server == Absent && h.RTT == Absent && i.Outcome == tlsmeta.Completed
		}},
		{"server alone", func(s *scene) {
			for n := range int64(8) {
				s.send(1, fromServer(t, n, ackFrame(0)))
			}
		}, func(i Info, h Handshake) bool {
			return i.Undecryptable == 4 && i.ServerInitial == 0 && h.Server == Absent && i.Outcome == tlsmeta.OutcomeNone
		}},
		{"client alone", func(s *scene) { s.send(0, ask(t)) }, func(i Info, h Handshake) bool {
			return i.SNI == "a.test" && i.Outcome == tlsmeta.Abandoned && h == Handshake{RTT: -1, Client: -1, Server: -1, Total: -1}
		}},
		{"server answers in version 2", func(s *scene) {
			s.send(0, ask(t))
			s.send(1, seal(t, plain{version: 0x6b3343cf, odcid: odcid, dcid: ccid, scid: scid, role: server, frames: bytes.Join([][]byte{ackFrame(0), cryptoFrame(0, serverHello(0x1301))}, nil), pad: 1180}))
			s.send(0, seal(t, plain{version: 0x6b3343cf, odcid: odcid, dcid: scid, scid: ccid, role: client, number: 1, frames: ackFrame(0), pad: 1180}))
		}, func(i Info, h Handshake) bool {
			return i.Version == 0x6b3343cf && i.Cipher == 0x1301 && i.Undecryptable == 0 && h.RTT == 2*ms
		}},
		{"repeat that the server names", func(s *scene) {
			s.send(0, ask(t))
			s.send(0, seal(t, plain{version: 1, odcid: odcid, dcid: odcid, scid: ccid, role: client, number: 1, frames: cryptoFrame(0, hello), pad: 1180}))
			s.send(1, fromServer(t, 0, ackFrame(0), cryptoFrame(0, serverHello(0x1301))))
		}, func(i Info, h Handshake) bool { return h.Server == 2*ms && !h.Ambiguous && i.Duplicates == 0 }},
		{"repeat, and a server that names none", func(s *scene) {
			s.send(0, ask(t))
			s.send(0, seal(t, plain{version: 1, odcid: odcid, dcid: odcid, scid: ccid, role: client, number: 1, frames: cryptoFrame(0, hello), pad: 1180}))
			s.send(1, fromServer(t, 0, cryptoFrame(0, serverHello(0x1301))))
		}, func(_ Info, h Handshake) bool { return h.Server == ms && h.Ambiguous }},
		{"repeat by the server's timer", func(s *scene) {
			s.send(0, ask(t))
			s.send(1, fromServer(t, 5, cryptoFrame(0, serverHello(0x1301))))
		}, func(_ Info, h Handshake) bool { return h.Server == ms && h.Ambiguous }},
		{"mirror copies", func(s *scene) {
			for range 2 {
				s.send(0, ask(t))
			}
			for range 2 {
				s.send(1, answer(t))
			}
		}, func(i Info, h Handshake) bool { return i.Duplicates == 2 && h.Server == 2*ms && !h.Ambiguous }},
		{"Handshake packet is the answer", func(s *scene) {
			s.send(0, ask(t))
			s.send(1, answer(t))
			s.send(0, handshakePacket(scid, ccid))
		}, func(_ Info, h Handshake) bool {
			return h.Client == ms && h.Bounded && !h.Ambiguous && h.Total == Absent
		}},
		{"repeat of the client is no answer", func(s *scene) {
			s.send(0, ask(t))
			s.send(1, answer(t))
			s.send(0, seal(t, plain{version: 1, odcid: odcid, dcid: odcid, scid: ccid, role: client, number: 1, frames: cryptoFrame(0, hello), pad: 1180}))
			s.send(0, fromClient(t, 2, ackFrame(0)))
		}, func(_ Info, h Handshake) bool { return h.Client == 2*ms }},
		{"closed by the server", func(s *scene) {
			s.send(0, ask(t))
			s.send(1, fromServer(t, 0, ackFrame(0), closeFrame(0x128)))
			s.send(1, fromServer(t, 1, closeFrame(2)))
		}, func(i Info, h Handshake) bool {
			return i.Outcome == tlsmeta.Failed && i.Close == Close{Known: true, Code: 0x128} && *i.Alert == tlsmeta.Alert{Level: 2, Description: 40} && h.Server == ms
		}},
		{"closed by the client, no alert", func(s *scene) {
			s.send(0, ask(t))
			s.send(0, fromClient(t, 1, closeFrame(0x0c)))
		}, func(i Info, _ Handshake) bool {
			return i.Outcome == tlsmeta.Failed && i.Close == Close{Known: true, Client: true, Code: 0x0c} && i.Alert == nil
		}},
		{"new attempt without an answer", func(s *scene) {
			s.send(0, ask(t))
			other := []byte{8, 7, 6, 5, 4, 3, 2, 1}
			s.send(0, seal(t, plain{version: 1, odcid: other, dcid: other, scid: ccid, role: client, frames: cryptoFrame(0, clientHello("b.test", 300)), pad: 1180}))
			s.send(0, ask(t)) // late
			s.send(1, seal(t, plain{version: 1, odcid: other, dcid: ccid, scid: scid, role: server, frames: bytes.Join([][]byte{ackFrame(0), cryptoFrame(0, serverHello(0x1303))}, nil), pad: 40}))
		}, func(i Info, h Handshake) bool {
			return i.SNI == "b.test" && i.Cipher == 0x1303 && i.ClientInitial == 2*ms && h.Server == 2*ms && i.Duplicates == 1 && i.Undecryptable == 0
		}},
		{"another connection behind the answer", func(s *scene) {
			s.send(0, ask(t))
			s.send(1, answer(t))
			other := []byte{8, 7, 6, 5, 4, 3, 2, 1}
			s.send(0, seal(t, plain{version: 1, odcid: other, dcid: other, scid: ccid, role: client, frames: cryptoFrame(0, clientHello("b.test", 300)), pad: 1180}))
		}, func(i Info, _ Handshake) bool { return i.SNI == "a.test" && i.Undecryptable == 1 }},
		{"Retry that the client cannot take", func(s *scene) {
			s.send(0, ask(t))
			s.send(1, unhex(t, retrySample1)) // for another connection
		}, func(i Info, _ Handshake) bool { return !i.Retry && i.Malformed == 1 }},
		{"negotiation behind the answer", func(s *scene) {
			s.send(0, ask(t))
			s.send(1, answer(t))
			s.send(1, []byte{0x80, 0, 0, 0, 0, 2, 0xc1, 0xc2, 1, 5, 0, 0, 0, 1})
		}, func(i Info, _ Handshake) bool { return !i.VersionNegotiation && i.Cipher == 0x1302 }},
		{"length beyond the datagram", func(s *scene) {
			b := ask(t)
			s.send(0, b[:len(b)-1])
		}, func(i Info, _ Handshake) bool { return i.Malformed == 1 && i.Initials == 0 }},
		{"tag that is wrong", func(s *scene) {
			b := ask(t)
			b[len(b)-1] ^= 1
			s.send(0, b)
			s.send(0, ask(t))
		}, func(i Info, _ Handshake) bool { return i.SNI == "a.test" && i.Undecryptable == 1 }},
		{"frame that an Initial must not hold", func(s *scene) {
			s.send(0, fromClient(t, 0, cryptoFrame(0, hello), []byte{0x08, 0, 0}))
		}, func(i Info, _ Handshake) bool { return i.SNI == "a.test" && i.Malformed == 1 }},
		{"hello that is none", func(s *scene) {
			s.send(0, fromClient(t, 0, cryptoFrame(0, append([]byte{1, 0, 0, 4}, "CHLO"...))))
		}, func(i Info, _ Handshake) bool { return i.SNI == "" && i.JA4 == "" && i.Malformed == 1 }},
		{"CRYPTO beyond the bounds", func(s *scene) {
			s.send(0, fromClient(t, 0, cryptoFrame(maxCrypto, []byte("x")), cryptoFrame(1<<40, []byte("x")), cryptoFrame(0, hello)))
		}, func(i Info, _ Handshake) bool { return i.SNI == "a.test" && i.Dropped == 2 }},
		{"server's packet, cut, is taken for the client's at first", func(s *scene) {
			b := seal(t, plain{version: 1, odcid: odcid, dcid: bytes.Repeat([]byte{7}, 8), scid: scid, role: server, number: 7, frames: ackFrame(0), pad: 1200})
			s.c.Datagram(1, b[:200], len(b), 1, &s.budget)
			s.send(0, ask(t))
			s.send(1, answer(t))
		}, func(i Info, h Handshake) bool {
			return i.Cut == 1 && i.ClientInitial == ms && i.ServerInitial == 2*ms && h.Server == ms && i.SNI == "a.test"
		}},
		{"header cut", func(s *scene) {
			b := ask(t)
			s.c.Datagram(0, b[:10], len(b), 1, &s.budget)
			s.send(0, b[:10])
		}, func(i Info, _ Handshake) bool { return i.Cut == 1 && i.Malformed == 1 && i.Initials == 0 }},
		{"Retry, cut", func(s *scene) {
			s.send(0, ask(t))
			b := unhex(t, retrySample1)
			s.c.Datagram(1, b[:33], len(b), 1, &s.budget)
		}, func(i Info, _ Handshake) bool { return i.Cut == 1 && i.Retry && i.Malformed == 0 }},
		{"server's hello that is none", func(s *scene) {
			s.send(0, ask(t))
			s.send(1, fromServer(t, 0, ackFrame(0), cryptoFrame(0, []byte{2, 0, 0, 1, 3})))
		}, func(i Info, h Handshake) bool { return i.Malformed == 1 && i.Cipher == 0 && h.Server == ms }},
		{"version that is not known", func(s *scene) {
			b := ask(t)
			binary.BigEndian.PutUint32(b[1:], 0x1a2a3a4a)
			s.send(0, b)
			s.send(1, []byte{0x80, 0, 0, 0, 0, 2, 0xc1, 0xc2, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1})
			s.send(0, ask(t))
			s.send(1, answer(t))
		}, func(i Info, h Handshake) bool {
			return i.VersionNegotiation && len(i.ServerVersions) == 1 && i.Long == 1 && i.ClientInitial == ms && h.Server == ms && i.SNI == "a.test"
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newScene(t)
			tc.play(s)
			if i, h := s.report(); !tc.want(i, h) {
				t.Errorf("%+v\n%+v", i, h)
			}
		})
	}
}

// TestPieces cuts a large hello into pieces, sends them in any order, overlapping
// and twice, and compares with the hello.
func TestPieces(t *testing.T) {
	hello := clientHello("large.test", 9000)
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 5))
		var s cryptoStream
		budget := pool.Budget{Max: 1 << 20}
		var pieces []span
		for at := 0; at < len(hello); {
			n := 1 + r.IntN(400)
			pieces = append(pieces, span{max(0, at-r.IntN(100)), min(at+n, len(hello))})
			at += n
		}
		for range r.IntN(10) {
			pieces = append(pieces, pieces[r.IntN(len(pieces))])
		}
		r.Shuffle(len(pieces), func(i, j int) { pieces[i], pieces[j] = pieces[j], pieces[i] })
		for _, p := range pieces {
			if _, ok := s.message(); ok {
				break
			}
			if !s.put(uint64(p.from), hello[p.from:p.to], &budget) {
				t.Fatalf("seed %d: piece refused, %d spans", seed, len(s.have))
			}
		}
		b, ok := s.message()
		if !ok || !bytes.Equal(b, hello) {
			t.Fatalf("seed %d: message %v, %d octets of %d", seed, ok, len(b), len(hello))
		}
		s.done(len(b))
		// What is behind comes under its own offset, what is before is old.
		if !s.put(10, []byte("old"), &budget) || !s.put(uint64(len(hello)), []byte{1, 0, 0, 1, 'x'}, &budget) {
			t.Fatal("octets behind a message are refused")
		}
		if b, ok := s.message(); !ok || string(b[4:]) != "x" {
			t.Fatalf("second message: %v, %q", ok, b)
		}
		s.reset(&budget)
		if budget.Used() != 0 {
			t.Fatalf("%d octets are not given back", budget.Used())
		}
	}
}

// TestMemory has a hostile client and server take all they can.
func TestMemory(t *testing.T) {
	const most = 210 << 10 // as the package comment says
	s := newScene(t)
	peak := int64(0)
	big := bytes.Repeat([]byte{0x77}, 60000)
	for n := range int64(4) {
		s.send(1, fromServer(t, n, cryptoFrame(int(n)*8, big[:1000])))
	}
	for n := range int64(300) {
		s.send(0, seal(t, plain{version: 1, odcid: odcid, dcid: odcid, scid: ccid, role: client, number: n, frames: cryptoFrame(int(n)*211+100, big[:40]), pad: 1180}))
		s.send(1, fromServer(t, n, cryptoFrame(int(n)*211+100, big[:40])))
		if n == 20 {
			s.send(0, seal(t, plain{version: 1, odcid: odcid, dcid: odcid, scid: ccid, role: client, number: 1000, frames: cryptoFrame(100, big), pad: 1180}))
		}
		peak = max(peak, s.budget.Used())
	}
	if s.c.open != nil {
		t.Error("Initial packets are read for ever")
	}
	if s.budget.Used() != 0 {
		t.Errorf("%d octets are held behind the bound of packets", s.budget.Used())
	}
	if i, _ := s.report(); peak > most || peak < 64<<10 || i.Dropped == 0 {
		t.Errorf("at most %d octets were held, %d frames dropped", peak, i.Dropped)
	}

	// Without any room nothing is read, and the times are told all the same.
	s = newScene(t)
	s.budget.Max = 1000
	s.send(0, fromClient(t, 0, cryptoFrame(0, clientHello("a.test", 300))))
	if i, _ := s.report(); i.Dropped != 1 || i.SNI != "" || s.budget.Refused == 0 {
		t.Errorf("%+v", i)
	}
}

func TestProbe(t *testing.T) {
	ask := fromClient(t, 0, cryptoFrame(0, clientHello("a.test", 300)))
	with := func(b []byte, at int, v ...byte) []byte {
		b = bytes.Clone(b)
		copy(b[at:], v)
		return b
	}
	for _, tc := range []struct {
		name string
		b    []byte
		want bool
	}{
		{"client's Initial", ask, true},
		{"cut to 60 octets", ask[:60], true},
		{"cut in the header", ask[:10], false},
		{"without the fixed bit", with(ask, 0, ask[0]&^0x40), false},
		{"draft 29", with(ask, 1, 0xff, 0, 0, 29), true},
		{"draft 22", with(ask, 1, 0xff, 0, 0, 22), true},
		{"draft 21", with(ask, 1, 0xff, 0, 0, 21), false},
		{"Facebook", with(ask, 1, 0xfa, 0xce, 0xb0, 0x02), true},
		{"Google", with(ask, 1, 'T', '0', '5', '1'), true},
		{"Google before Initial packets were protected", with(ask, 1, 'Q', '0', '4', '6'), false},
		{"version 7", with(ask, 1, 0, 0, 0, 7), false},
		{"reserved version", with(ask, 0, 0xc0, 0x1a, 0x2a, 0x3a, 0x4a), true},
		{"reserved version in a short datagram", with(ask, 0, 0xc0, 0x1a, 0x2a, 0x3a, 0x4a)[:1199], false},
		{"connection id of 21 octets", with(ask, 5, 21), false},
		{"length of 0", append([]byte{0xc0, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0}, make([]byte, 1200)...), false},
		{"no connection id at all", append([]byte{0xc0, 0, 0, 0, 1, 0, 0, 0, 0x44, 0}, make([]byte, 1024)...), false},
		{"token beyond the datagram", append([]byte{0xc0, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0x7f, 0xff}, make([]byte, 1200)...), false},
		{"something behind the packet", append(bytes.Clone(ask), 0x3f, 1, 2), false},
		{"negotiation", []byte{0x80, 0, 0, 0, 0, 2, 1, 2, 1, 3, 0, 0, 0, 1, 0x6b, 0x33, 0x43, 0xcf}, true},
		{"negotiation of what nobody knows", []byte{0x80, 0, 0, 0, 0, 2, 1, 2, 1, 3, 0, 0, 0, 9}, false},
		{"negotiation with half a version", []byte{0x80, 0, 0, 0, 0, 2, 1, 2, 1, 3, 0, 0, 0, 1, 0}, false},
		{"short header", shortPacket(scid), false},
		{"DNS answer", append([]byte{0xc0, 0, 0x81, 0x80, 0, 1, 0, 1}, "\x00\x00\x00\x00\x01a\x04test\x00\x00\x01\x00\x01"...), false},
		{"RTP", append([]byte{0x80, 0, 0, 1, 0, 0, 0, 0}, make([]byte, 160)...), false},
		{"RTCP", append([]byte{0x80, 0xc8, 0, 6}, make([]byte, 24)...), false},
		{"NTP", append([]byte{0xe3, 0, 4, 0xfa, 0, 1}, make([]byte, 42)...), false},
		{"STUN", []byte("\x00\x01\x00\x00\x21\x12\xa4\x42............"), false},
		{"TFTP", []byte("\x00\x01file\x00octet\x00"), false},
		{"zeros", make([]byte, 1300), false},
		{"ones", bytes.Repeat([]byte{0xff}, 1300), false},
		{"text", []byte(strings.Repeat("text ", 300)), false},
		{"nothing", nil, false},
	} {
		if got := Probe(tc.b); got != tc.want {
			t.Errorf("%s: Probe = %v, want %v", tc.name, got, tc.want)
		}
	}
	// What is drawn is no QUIC.
	r := rand.New(rand.NewPCG(1, 1))
	b := make([]byte, 1300)
	for range 20000 {
		for i := range 32 {
			b[i] = byte(r.Uint32())
		}
		if Probe(b) {
			t.Errorf("%x is taken for QUIC", b[:32])
		}
	}
	if n := testing.AllocsPerRun(100, func() { Probe(ask) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func TestFrames(t *testing.T) {
	for _, tc := range []struct {
		name    string
		payload []byte
		want    string // kinds of the frames told
		bad     bool
	}{
		{"nothing", nil, "", false},
		{"padding and ping", []byte{0, 0, 1, 0}, "", false},
		{"ACK", []byte{2, 0x40, 0x41, 0, 1, 3, 5, 6, 0}, "\x02", false},
		{"ACK with ECN counts", []byte{3, 9, 0, 0, 3, 1, 2, 3}, "\x03", false},
		{"ACK without its ECN counts", []byte{3, 9, 0, 0, 3, 1, 2}, "", true},
		{"more ranges than fit", []byte{2, 9, 0, 0x80, 1, 0, 0, 3}, "", true},
		{"ranges beyond all reason", []byte{2, 9, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 3}, "", true},
		{"CRYPTO twice", []byte{6, 0, 1, 'a', 6, 1, 1, 'b'}, "\x06\x06", false},
		{"CRYPTO cut", []byte{6, 0, 5, 'a'}, "", true},
		{"close with a reason", []byte{0x1c, 0x41, 0x28, 6, 2, 'n', 'o', 1}, "\x1c", false},
		{"close cut in the reason", []byte{0x1c, 0x41, 0x28, 6, 2, 'n'}, "", true},
		{"close of an application", []byte{0x1d, 0, 0}, "", true},
		{"STREAM", []byte{6, 0, 1, 'a', 8, 0, 0}, "\x06", true},
		{"unknown", []byte{0x40, 0x06, 0, 0}, "", true},
	} {
		f := frames{rest: tc.payload}
		var got []byte
		for f.next() {
			got = append(got, f.kind)
		}
		if string(got) != tc.want || f.bad != tc.bad {
			t.Errorf("%s: frames %x, bad %v; want %x, %v", tc.name, got, f.bad, tc.want, tc.bad)
		}
	}
}
