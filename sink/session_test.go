package sink

import (
	"math"
	"testing"
	"time"

	"mirrorscope/session"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
	"mirrorscope/tlsmeta/quic"
)

func TestQUICVersion(t *testing.T) {
	for v, want := range map[uint32]string{
		1: "1", 0x6b3343cf: "2", 0xff00001d: "draft-29", 0xff000022: "draft-34", 0xff000100: "0xff000100", 0: "0x00000000", 0xfaceb002: "0xfaceb002",
	} {
		if got := string(AppendQUICVersion(nil, v)); got != want {
			t.Errorf("version %#x = %s, want %s", v, got, want)
		}
	}
}

func TestDate(t *testing.T) {
	for _, test := range []struct {
		s    int64
		want string // "": not known
	}{
		{0, ""},
		{1, "1970-01-01T00:00:01Z"},
		{-1, "1969-12-31T23:59:59Z"},
		{253402300799, "9999-12-31T23:59:59Z"},
		{253402300800, ""},
		{-62167219200, "0000-01-01T00:00:00Z"},
		{-62167219201, ""},
		{math.MaxInt64, ""},
		{math.MinInt64, ""},
	} {
		if got := DateKnown(test.s); got != (test.want != "") {
			t.Errorf("DateKnown(%d) = %v", test.s, got)
		}
		if test.want == "" {
			continue
		}
		got := string(AppendDate(nil, test.s))
		if back, err := time.Parse(time.RFC3339, got); got != test.want || err != nil || back.Unix() != test.s {
			t.Errorf("AppendDate(%d) = %s, want %s; read as %v, %v", test.s, got, test.want, back, err)
		}
	}
}

// What is not known of a handshake is told apart from what did not happen.
func TestKnown(t *testing.T) {
	for _, test := range []struct {
		name                            string
		info                            tlsmeta.Info
		hello, cipher, resumed, refused bool
	}{
		{name: "nothing"},
		{name: "ClientHello alone", info: tlsmeta.Info{JA4: "x", Offered: 0x0304}, hello: true},
		{name: "HelloRetryRequest", info: tlsmeta.Info{JA4: "x", Version: 0x0304, Cipher: 0x1301, HelloRetry: true}, hello: true, cipher: true},
		{name: "ServerHello of 1.3", info: tlsmeta.Info{Version: 0x0304, JA3S: "x"}, cipher: true, resumed: true},
		{name: "ServerHello of a draft", info: tlsmeta.Info{Version: 0x7f17, JA3S: "x"}, cipher: true, resumed: true},
		{name: "ServerHello of DTLS 1.3", info: tlsmeta.Info{Version: 0xfefc, JA3S: "x"}, cipher: true, resumed: true},
		{name: "ServerHello of SSL 2", info: tlsmeta.Info{Version: 2, JA3S: "x"}, resumed: true},
		{name: "ServerHello of 1.2 alone", info: tlsmeta.Info{Version: 0x0303, JA3S: "x"}, cipher: true},
		{name: "… and certificates", info: tlsmeta.Info{Version: 0x0303, JA3S: "x", Certificates: make([]tlsmeta.Certificate, 1)}, cipher: true, resumed: true},
		{name: "… resumed", info: tlsmeta.Info{Version: 0x0303, JA3S: "x", Resumed: true}, cipher: true, resumed: true, refused: true},
		{name: "… refused", info: tlsmeta.Info{Version: 0x0303, JA3S: "x", Refused: true}, cipher: true, resumed: true, refused: true},
		{name: "both hellos of 1.3", info: tlsmeta.Info{JA4: "x", Version: 0x0304, JA3S: "x"}, hello: true, cipher: true, resumed: true, refused: true},
		{name: "… completed", info: tlsmeta.Info{Version: 0x0303, JA3S: "x", Outcome: tlsmeta.Completed}, cipher: true, resumed: true},
	} {
		i := &test.info
		if got, want := [4]bool{HelloKnown(i), CipherKnown(i), ResumedKnown(i), RefusedKnown(i)}, [4]bool{test.hello, test.cipher, test.resumed, test.refused}; got != want {
			t.Errorf("%s: hello, cipher, resumed, refused = %v, want %v", test.name, got, want)
		}
	}
}

func TestQUICState(t *testing.T) {
	for _, test := range []struct {
		name string
		q    session.QUIC
		want tcp.State
		why  tcp.Reasons
	}{
		{"measured", session.QUIC{Info: quic.Info{Cut: 1, Undecryptable: 1}}, tcp.Measured, 0},
		{"ambiguous", session.QUIC{Handshake: quic.Handshake{Ambiguous: true, Bounded: true}}, tcp.Ambiguous, 0},
		{"cut", session.QUIC{Info: quic.Info{Cut: 1}, Handshake: quic.Handshake{Bounded: true}}, tcp.Bounded, tcp.Truncated},
		{"not opened", session.QUIC{Info: quic.Info{Undecryptable: 1}, Handshake: quic.Handshake{Bounded: true}}, tcp.Bounded, tcp.Encrypted},
		{"no beginning", session.QUIC{Handshake: quic.Handshake{RTT: quic.Absent}}, tcp.Unknown, tcp.Midstream},
		{"no answer", session.QUIC{Info: quic.Info{ClientInitial: 1}, Handshake: quic.Handshake{RTT: quic.Absent, Bounded: true}}, tcp.Unknown, 0},
	} {
		if got, why := QUICState(&test.q); got != test.want || why != test.why {
			t.Errorf("%s: %v %v, want %v %v", test.name, got, why.Append(nil), test.want, test.why.Append(nil))
		}
	}
}

// Every phase is told once: the list adds up to what the type adds up to.
func TestPhases(t *testing.T) {
	p := session.Phases{TCP: 1, Prelude: 2, ClientIdle: 4, TLS: 8, Request: 16, Server: 32, Network: 64, Transfer: 128, Idle: 256, Close: 512, Unknown: 1024}
	sum := int64(0)
	for _, x := range Phases {
		sum += x.Of(&p)
	}
	if sum != p.Sum() || sum != 2047 {
		t.Errorf("the phases add up to %d, want %d", sum, p.Sum())
	}
}
