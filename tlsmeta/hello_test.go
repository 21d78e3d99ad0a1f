package tlsmeta

import (
	"crypto/tls"
	"errors"
	"slices"
	"testing"
)

// TestHandshakes compares what is read of the hellos with what crypto/tls says
// of the handshake that it made with them.
func TestHandshakes(t *testing.T) {
	cert := certificate(t)
	for _, tc := range []struct {
		name    string
		version uint16
		curve   tls.CurveID
		cipher  uint16
		group   uint16
		retry   bool
	}{
		{"1.3", tls.VersionTLS13, 0, 0, uint16(tls.X25519MLKEM768), false},
		{"1.3 after a retry", tls.VersionTLS13, tls.CurveP384, 0, 24, true},
		{"1.2", tls.VersionTLS12, 0, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, 0, false},
		{"1.2 ChaCha20", tls.VersionTLS12, 0, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, 0, false},
		{"1.0", tls.VersionTLS10, 0, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS10, MaxVersion: tc.version, NextProtos: []string{"h2"}}
			if tc.curve != 0 {
				server.CurvePreferences = []tls.CurveID{tc.curve}
			}
			client := &tls.Config{InsecureSkipVerify: true, ServerName: "api.example.org", MinVersion: tls.VersionTLS10,
				NextProtos: []string{"h2", "http/1.1"}}
			if tc.cipher != 0 {
				client.CipherSuites = []uint16{tc.cipher}
			}
			var state tls.ConnectionState
			client.VerifyConnection = func(s tls.ConnectionState) error { state = s; return nil }
			fromClient, fromServer := handshake(t, client, server)

			if !IsClientHello(fromClient) || IsClientHello(fromServer) {
				t.Errorf("IsClientHello: client %v, server %v", IsClientHello(fromClient), IsClientHello(fromServer))
			}
			var ch ClientHello
			var sh ServerHello
			var info Info
			if _, err := ParseClientHello(messages(fromClient)[0], &ch); err != nil {
				t.Fatal(err)
			}
			info.ClientHello(&ch, TransportTCP)
			for _, m := range messages(fromServer) {
				if m[0] != msgServerHello {
					continue
				}
				if _, err := ParseServerHello(m, &sh); err != nil {
					t.Fatal(err)
				}
				info.ServerHello(&sh)
			}
			if tc.retry {
				// The second ServerHello stands behind a ChangeCipherSpec.
				if !info.HelloRetry || info.Group != tc.group || info.Version != tls.VersionTLS13 {
					t.Errorf("retry %v, group %d, version %#x", info.HelloRetry, info.Group, info.Version)
				}
				return
			}
			if info.Version != state.Version || info.Cipher != state.CipherSuite || info.SNI != "api.example.org" || info.Group != tc.group {
				t.Errorf("version %#x, cipher %#x, SNI %q, group %d", info.Version, info.Cipher, info.SNI, info.Group)
			}
			if want := []string{"h2", "http/1.1"}; !slices.Equal(info.ALPNOffered, want) {
				t.Errorf("ALPN offered %q, want %q", info.ALPNOffered, want)
			}
			wantALPN := state.NegotiatedProtocol
			if state.Version == tls.VersionTLS13 {
				wantALPN = "" // encrypted
			}
			if info.ALPN != wantALPN || info.Offered != tls.VersionTLS13 || info.EarlyData != EarlyNone || info.Resumed || info.Refused {
				t.Errorf("%+v", info)
			}
		})
	}
}

// TestResumption has crypto/tls resume sessions.
func TestResumption(t *testing.T) {
	cert := certificate(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(VersionName(version), func(t *testing.T) {
			server := &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: version}
			client := &tls.Config{InsecureSkipVerify: true, ServerName: "api.example.org", ClientSessionCache: tls.NewLRUClientSessionCache(4)}
			hellos := func() Info {
				fromClient, fromServer := handshake(t, client, server)
				var ch ClientHello
				var sh ServerHello
				var info Info
				if _, err := ParseClientHello(messages(fromClient)[0], &ch); err != nil {
					t.Fatal(err)
				}
				info.ClientHello(&ch, TransportTCP)
				if _, err := ParseServerHello(messages(fromServer)[0], &sh); err != nil {
					t.Fatal(err)
				}
				info.ServerHello(&sh)
				return info
			}
			if i := hellos(); i.Resumed || i.Refused || i.SessionEchoed() {
				t.Errorf("first: resumed %v, refused %v, echoed %v", i.Resumed, i.Refused, i.SessionEchoed())
			}
			i := hellos()
			if version == tls.VersionTLS13 && (!i.Resumed || i.Refused) || version == tls.VersionTLS12 && !i.SessionEchoed() {
				t.Errorf("second: resumed %v, refused %v, echoed %v", i.Resumed, i.Refused, i.SessionEchoed())
			}
			server.SetSessionTicketKeys([][32]byte{{1}})
			i = hellos()
			if version == tls.VersionTLS12 {
				i.Full()
			}
			if i.Resumed || !i.Refused || i.SessionEchoed() {
				t.Errorf("with new keys: resumed %v, refused %v, echoed %v", i.Resumed, i.Refused, i.SessionEchoed())
			}
		})
	}
}

// TestParseClientHelloCuts gives each beginning of a hello: it is short, never
// anything else, and with octets behind it only the message is used.
func TestParseClientHelloCuts(t *testing.T) {
	fromClient, fromServer := handshake(t, &tls.Config{InsecureSkipVerify: true, ServerName: "a.example"},
		&tls.Config{Certificates: []tls.Certificate{certificate(t)}})
	var ch ClientHello
	var sh ServerHello
	for name, tc := range map[string]struct {
		message []byte
		parse   func([]byte) (int, error)
	}{
		"ClientHello": {messages(fromClient)[0], func(b []byte) (int, error) { return ParseClientHello(b, &ch) }},
		"ServerHello": {messages(fromServer)[0], func(b []byte) (int, error) { return ParseServerHello(b, &sh) }},
	} {
		for n := range tc.message {
			if _, err := tc.parse(tc.message[:n]); !errors.Is(err, ErrShort) {
				t.Fatalf("%s: %d octets of %d: %v", name, n, len(tc.message), err)
			}
		}
		if n, err := tc.parse(append(slices.Clone(tc.message), 1, 2, 3)); n != len(tc.message) || err != nil {
			t.Errorf("%s with 3 more octets: n %d of %d, %v", name, n, len(tc.message), err)
		}
	}
	for n := range 11 {
		if m := MatchClientHello(fromClient[:n]); m != MatchMore {
			t.Errorf("%d octets: match %d", n, m)
		}
	}
}

func TestParseClientHelloAllocs(t *testing.T) {
	fromClient, fromServer := handshake(t, &tls.Config{InsecureSkipVerify: true, ServerName: "a.example", NextProtos: []string{"h2"}},
		&tls.Config{Certificates: []tls.Certificate{certificate(t)}, NextProtos: []string{"h2"}})
	hello, answer := messages(fromClient)[0], messages(fromServer)[0]
	var ch ClientHello
	var sh ServerHello
	if n := testing.AllocsPerRun(1000, func() {
		ParseClientHello(hello, &ch)
		ParseServerHello(answer, &sh)
		MatchClientHello(fromClient)
	}); n != 0 {
		t.Errorf("%v allocations for two hellos, want 0", n)
	}
	if ch.ServerName == nil || sh.Group == 0 {
		t.Error("the hellos were not read")
	}
}

func BenchmarkParseClientHello(b *testing.B) {
	fromClient, _ := handshake(b, &tls.Config{InsecureSkipVerify: true, ServerName: "a.example", NextProtos: []string{"h2"}},
		&tls.Config{Certificates: []tls.Certificate{certificate(b)}})
	hello := messages(fromClient)[0]
	var h ClientHello
	b.SetBytes(int64(len(hello)))
	b.ReportAllocs()
	for b.Loop() {
		ParseClientHello(hello, &h)
	}
}

func BenchmarkFingerprints(b *testing.B) {
	fromClient, _ := handshake(b, &tls.Config{InsecureSkipVerify: true, ServerName: "a.example", NextProtos: []string{"h2"}},
		&tls.Config{Certificates: []tls.Certificate{certificate(b)}})
	var h ClientHello
	ParseClientHello(messages(fromClient)[0], &h)
	b.ReportAllocs()
	for b.Loop() {
		h.JA3()
		h.JA4(TransportTCP)
	}
}
