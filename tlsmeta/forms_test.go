package tlsmeta

import (
	"bytes"
	"encoding/binary"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"

	"mirrorscope/internal/needs"
)

// TestClientHelloExtensions reads each extension that is known, and each broken.
func TestClientHelloExtensions(t *testing.T) {
	for _, tc := range []struct {
		name string
		typ  int
		body string
		ok   func(h *ClientHello) bool
	}{
		{"server name", 0, "\x00\x05\x00\x00\x02ab", func(h *ClientHello) bool { return string(h.ServerName) == "ab" && h.HasServerName }},
		{"server name behind another type", 0, "\x00\x0a\x01\x00\x02xy\x00\x00\x02ab", func(h *ClientHello) bool { return string(h.ServerName) == "ab" }},
		{"server name, empty", 0, "", func(h *ClientHello) bool { return h.ServerName == nil && h.HasServerName }},
		{"server name, list too long", 0, "\x00\x06\x00\x00\x02ab", func(h *ClientHello) bool { return h.ServerName == nil && h.HasServerName }},
		{"server name, name too long", 0, "\x00\x05\x00\x00\x03ab", func(h *ClientHello) bool { return h.ServerName == nil }},
		{"groups", 10, "\x00\x04\x00\x1d\x11\xec", func(h *ClientHello) bool { return slices.Equal(slices.Collect(h.Groups.All()), []uint16{29, 0x11ec}) }},
		{"groups, odd", 10, "\x00\x03\x00\x1d\x11", func(h *ClientHello) bool { return h.Groups == nil }},
		{"groups, cut", 10, "\x00\x06\x00\x1d\x11\xec", func(h *ClientHello) bool { return h.Groups.Len() == 0 }},
		{"point formats", 11, "\x02\x00\x01", func(h *ClientHello) bool { return bytes.Equal(h.PointFormats, []byte{0, 1}) }},
		{"point formats, cut", 11, "\x03\x00\x01", func(h *ClientHello) bool { return h.PointFormats == nil }},
		{"signature algorithms", 13, "\x00\x02\x04\x03", func(h *ClientHello) bool {
			return h.SignatureAlgorithms.Len() == 1 && h.SignatureAlgorithms.At(0) == 0x0403
		}},
		{"ALPN", 16, "\x00\x06\x02h2\x02h3", func(h *ClientHello) bool {
			return len(slices.Collect(h.ALPN.All())) == 2 && string(h.ALPN.First()) == "h2"
		}},
		{"ALPN, a name too long", 16, "\x00\x06\x02h2\x03h3", func(h *ClientHello) bool { return h.ALPN == nil }},
		{"ticket", 35, "abc", func(h *ClientHello) bool { return h.HasTicket && string(h.Ticket) == "abc" }},
		{"ticket asked for", 35, "", func(h *ClientHello) bool { return h.HasTicket && len(h.Ticket) == 0 }},
		{"versions", 43, "\x04\x03\x04\x03\x03", func(h *ClientHello) bool { return h.Versions.Has(0x0304) && !h.Versions.Has(0x0403) }},
		{"versions, odd", 43, "\x03\x03\x04\x03", func(h *ClientHello) bool { return h.Versions == nil }},
		{"key share", 51, "\x00\x0b\x00\x1d\x00\x02xy\x00\x17\x00\x01z", func(h *ClientHello) bool {
			return slices.Equal(slices.Collect(h.KeyShares.Types()), []uint16{29, 23})
		}},
		{"key share of a draft", 40, "\x00\x06\x00\x1d\x00\x02xy", func(h *ClientHello) bool { return slices.Equal(slices.Collect(h.KeyShares.Types()), []uint16{29}) }},
		{"key share, cut", 51, "\x00\x06\x00\x1d\x00\x03xy", func(h *ClientHello) bool { return h.KeyShares == nil }},
		{"pre-shared key", 41, "", func(h *ClientHello) bool { return h.PreSharedKey }},
		{"early data", 42, "", func(h *ClientHello) bool { return h.EarlyData }},
		{"ECH", 0xfe0d, "\x00", func(h *ClientHello) bool { return h.ECH && !h.ESNI }},
		{"ECH of a draft", 0xfe0a, "\x00", func(h *ClientHello) bool { return h.ECH }},
		{"ESNI", 0xffce, "\x00", func(h *ClientHello) bool { return h.ESNI && !h.ECH }},
		{"connection id", 54, "\x02ab", func(h *ClientHello) bool { return h.HasConnectionID && string(h.ConnectionID) == "ab" }},
		{"connection id, empty", 54, "\x00", func(h *ClientHello) bool { return h.HasConnectionID && len(h.ConnectionID) == 0 }},
		{"unknown", 4711, "abc", func(h *ClientHello) bool { return slices.Equal(slices.Collect(h.Extensions.Types()), []uint16{4711}) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if h := parsed(t, helloWith(0x0303, []uint16{1}, tc.typ, tc.body)); !tc.ok(h) {
				t.Errorf("%+v", h)
			}
		})
	}
	h := parsed(t, helloWith(0x0303, nil, 0, "\x00\x05\x00\x00\x02ab", 0, "\x00\x05\x00\x00\x02cd"))
	if string(h.ServerName) != "ab" {
		t.Errorf("of two server names: %q", h.ServerName)
	}
}

// TestClientHelloMalformed contradicts each length of a hello.
func TestClientHelloMalformed(t *testing.T) {
	const head = "0303" + "00000000000000000000000000000000 00000000000000000000000000000000"
	for _, tc := range []struct{ name, body string }{
		{"empty", ""},
		{"random cut", "0303 0000"},
		{"session id too long for its field", head + "21" + strings.Repeat("00", 33) + "0002 0001 01 00"},
		{"session id beyond the end", head + "05 0000"},
		{"odd suites", head + "00 0003 000100 01 00"},
		{"suites beyond the end", head + "00 0008 0001"},
		{"compression beyond the end", head + "00 0002 0001 02 00"},
		{"extensions beyond the end", head + "00 0002 0001 01 00 0008 00000000"},
		{"octets behind the extensions", head + "00 0002 0001 01 00 0004 00000000 00"},
		{"an extension beyond the others", head + "00 0002 0001 01 00 0005 00000002 00"},
		{"one octet of extensions", head + "00 0002 0001 01 00 00"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			body := unhex(t, tc.body)
			b := append([]byte{msgClientHello, 0, byte(len(body) >> 8), byte(len(body))}, body...)
			var h ClientHello
			if _, err := ParseClientHello(b, &h); !errors.Is(err, ErrMalformed) {
				t.Errorf("%v", err)
			}
		})
	}
	var h ClientHello
	if _, err := ParseClientHello([]byte{msgServerHello}, &h); !errors.Is(err, ErrMalformed) {
		t.Errorf("another message: %v", err)
	}
}

// TestServerHelloForms reads the forms that drafts had.
func TestServerHelloForms(t *testing.T) {
	random := strings.Repeat("11", 32)
	for _, tc := range []struct {
		name, hex string
		want      ServerHello // of which Version, Cipher, Group, HelloRetry, PreSharedKey and PSKIdentity count
		alpn      string
		bad       bool
	}{
		{name: "1.2 without extensions", hex: "02 000026 0303" + random + "00 c02f 00", want: ServerHello{Version: 0x0303, Cipher: 0xc02f}},
		{name: "1.2 with ALPN", hex: "02 000031 0303" + random + "00 c02f 00 0009 0010 0005 0003 026832", want: ServerHello{Version: 0x0303, Cipher: 0xc02f}, alpn: "h2"},
		{name: "1.3 with a key", hex: "02 00003e 0303" + random + "00 1301 00 0016 002b 0002 0304 0029 0002 0001 0033 0006 001d 0002 aabb",
			want: ServerHello{Version: 0x0304, Cipher: 0x1301, Group: 29, PreSharedKey: true, PSKIdentity: 1}},
		{name: "retry", hex: "02 000034 0303 cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c 00 1302 00 000c 002b 0002 0304 0033 0002 0018",
			want: ServerHello{Version: 0x0304, Cipher: 0x1302, Group: 24, HelloRetry: true}},
		{name: "draft 18", hex: "02 00002e 7f12" + random + "1301 0008 0028 0004 001d 0000", want: ServerHello{Version: 0x7f12, Cipher: 0x1301, Group: 29}},
		{name: "draft 18, retry", hex: "06 00000a 7f12 0006 0028 0002 0018", want: ServerHello{Version: 0x7f12, Group: 24, HelloRetry: true}},
		{name: "draft 20, retry", hex: "06 00000c 7f14 1301 0006 0028 0002 0018", want: ServerHello{Version: 0x7f14, Cipher: 0x1301, Group: 24, HelloRetry: true}},
		{name: "draft 23", hex: "02 00002e 0303" + random + "00 1301 00 0006 002b 0002 7f17", want: ServerHello{Version: 0x7f17, Cipher: 0x1301}},
		{name: "retry of no draft", hex: "06 00000a 0303 0006 0028 0002 0018", bad: true},
		{name: "cut", hex: "02 000025 0303" + random + "00 c02f", bad: true},
		{name: "session id too long", hex: "02 000047 0303" + random + "21" + strings.Repeat("22", 33) + "c02f 00", bad: true},
		{name: "extensions beyond the end", hex: "02 00002a 0303" + random + "00 c02f 00 0009 0010", bad: true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := unhex(t, tc.hex)
			var h ServerHello
			n, err := ParseServerHello(b, &h)
			if tc.bad {
				if !errors.Is(err, ErrMalformed) {
					t.Errorf("%v, want ErrMalformed", err)
				}
				return
			}
			w := tc.want
			if err != nil || n != len(b) || h.Version != w.Version || h.Cipher != w.Cipher || h.Group != w.Group || h.HelloRetry != w.HelloRetry ||
				h.PreSharedKey != w.PreSharedKey || h.PSKIdentity != w.PSKIdentity || string(h.ALPN) != tc.alpn {
				t.Errorf("n %d of %d, %v, %+v", n, len(b), err, h)
			}
		})
	}
}

// sslv2Hello makes a CLIENT-HELLO.
func sslv2Hello(version uint16, kinds string, session, challenge int) []byte {
	var b cryptobyte.Builder
	n := 9 + len(kinds) + session + challenge
	b.AddUint16(uint16(0x8000 | n))
	b.AddUint8(msgClientHello)
	b.AddUint16(version)
	b.AddUint16(uint16(len(kinds)))
	b.AddUint16(uint16(session))
	b.AddUint16(uint16(challenge))
	b.AddBytes([]byte(kinds))
	b.AddBytes(bytes.Repeat([]byte{0xcc}, session+challenge))
	return b.BytesOrPanic()
}

func TestSSLv2Hello(t *testing.T) {
	kinds := "\x00\x00\x2f\x00\x00\x05\x01\x00\x80"
	for _, tc := range []struct {
		name string
		b    []byte
		want Match
	}{
		{"SSL 2.0", sslv2Hello(2, kinds, 0, 16), MatchYes},
		{"SSL 2.0, a session", sslv2Hello(2, kinds, 16, 32), MatchYes},
		{"TLS 1.0", sslv2Hello(0x0301, kinds, 0, 32), MatchYes},
		{"TLS 1.3 has no such form", sslv2Hello(0x0304, kinds, 0, 32), MatchNo},
		{"no suites", sslv2Hello(2, "", 0, 16), MatchNo},
		{"two thirds of a suite", sslv2Hello(2, "ab", 0, 16), MatchNo},
		{"short challenge", sslv2Hello(2, kinds, 0, 15), MatchNo},
		{"long challenge", sslv2Hello(2, kinds, 0, 33), MatchNo},
		{"session of another length", sslv2Hello(2, kinds, 8, 16), MatchNo},
		{"a length that does not fit", append([]byte{0x80, 0xff}, sslv2Hello(2, kinds, 0, 16)[2:]...), MatchNo},
		{"TLS", helloWith(0x0303, nil), MatchNo},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := MatchSSLv2Hello(tc.b); got != tc.want {
				t.Fatalf("match %d, want %d", got, tc.want)
			}
			var h ClientHello
			n, err := ParseSSLv2Hello(tc.b, &h)
			if tc.want == MatchNo {
				if !errors.Is(err, ErrMalformed) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil || n != len(tc.b) || !h.SSLv2 || string(h.CipherKinds) != kinds || len(h.Random) < 16 {
				t.Errorf("n %d of %d, %v, %+v", n, len(tc.b), err, h)
			}
			for i := range tc.b {
				if _, err := ParseSSLv2Hello(tc.b[:i], &h); !errors.Is(err, ErrShort) {
					t.Fatalf("%d octets: %v", i, err)
				}
				if i < 11 && MatchSSLv2Hello(tc.b[:i]) != MatchMore {
					t.Fatalf("%d octets: no match any more", i)
				}
			}
		})
	}
	var h ClientHello
	var i Info
	ParseSSLv2Hello(sslv2Hello(2, kinds, 0, 16), &h)
	i.ClientHello(&h, TransportTCP)
	// "0005,002f,010080" has this hash.
	if got, want := i.JA4, "ts2i030000_"+string(appendJA4Hash(nil, []byte("0005,002f,010080")))+"_000000000000"; got != want {
		t.Errorf("JA4 %s, want %s", got, want)
	}
	if got, want := string(h.appendJA3(nil)), "2,47-5-65664,,,"; got != want {
		t.Errorf("JA3 of %s, want of %s", got, want)
	}
	if !i.SSLv2Hello || VersionName(i.Offered) != "ssl2" {
		t.Errorf("%+v", i)
	}
}

// TestSSLv2Capture reads a recorded handshake of SSL 2.0.
func TestSSLv2Capture(t *testing.T) {
	root := needs.Captures(t)
	found := 0
	for _, tk := range readTalks(t, filepath.Join(root, "dev", "tls", "zeek-ssl-v2.pcap")) {
		var i Info
		seen := [2]bool{}
		for _, p := range tk.pieces() {
			var ch ClientHello
			var sh ServerHello
			if _, err := ParseSSLv2Hello(p.data, &ch); err == nil && !seen[0] {
				seen[0] = true
				i.ClientHello(&ch, TransportTCP)
			} else if _, err := ParseSSLv2ServerHello(p.data, &sh); err == nil && !seen[1] {
				seen[1] = true
				i.ServerHello(&sh)
				c, ok := parseCertificate(sh.Certificate)
				if !ok || c.Subject == "" {
					t.Errorf("certificate: %+v", c)
				}
				t.Logf("%s, valid from %d", c.Subject, c.NotBefore)
			}
		}
		if seen[0] && seen[1] {
			found++
			if VersionName(i.Version) != "ssl2" || !i.SSLv2Hello || i.Resumed || i.Refused {
				t.Errorf("%+v", i)
			}
		}
	}
	if found == 0 {
		t.Error("no handshake found")
	}
}

func TestMatchClientHello(t *testing.T) {
	for _, tc := range []struct {
		name, hex string
		want      Match
	}{
		{"nothing", "", MatchMore},
		{"TLS 1.0 record", "16 0301 0200 01 0001fc 0303", MatchYes},
		{"SSL 3.0", "16 0300 0041 01 00003d 0300", MatchYes},
		{"in small records", "16 0301 0001 01 16", MatchYes},
		{"in small records, not there yet", "16 0301 0004 01 00", MatchMore},
		{"another record", "17 0301 0200", MatchNo},
		{"another version", "16 0201 0200", MatchNo},
		{"version 3.5", "16 0305", MatchNo},
		{"empty record", "16 0301 0000", MatchNo},
		{"record too long", "16 0301 4001", MatchNo},
		{"record far too long", "16 0301 ff", MatchNo},
		{"ServerHello", "16 0303 0200 02 0001fc 0303", MatchNo},
		{"hello too short", "16 0303 0200 01 000010 0303", MatchNo},
		{"hello too long", "16 0303 0200 01 0f0000 0303", MatchNo},
		{"hello of another version", "16 0303 0200 01 0001fc 0203", MatchNo},
		{"HTTP", "47 4554202f", MatchNo},
	} {
		if got := MatchClientHello(unhex(t, tc.hex)); got != tc.want || IsClientHello(unhex(t, tc.hex)) != (tc.want == MatchYes) {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

// inHello fails unless every slice of a hello is a part of the message.
func inHello(t *testing.T, b []byte, slices ...[]byte) {
	t.Helper()
	for i, s := range slices {
		if !inside(b, s) || cap(s) > cap(b) {
			t.Errorf("slice %d (%x) is not of the message", i, s)
		}
	}
}

func FuzzClientHello(f *testing.F) {
	f.Add(helloWith(0x0303, []uint16{0x1301}, 0, "\x00\x05\x00\x00\x02ab", 16, "\x00\x03\x02h2", 43, "\x02\x03\x04", 51, "\x00\x06\x00\x1d\x00\x02xy", 13, "\x00\x02\x04\x03"))
	f.Add(sslv2Hello(0x0301, "\x00\x00\x2f\x01\x00\x80", 16, 16))
	for _, m := range captured(f, msgClientHello, 60) {
		f.Add(m)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, parse := range []func([]byte, *ClientHello) (int, error){ParseClientHello, ParseSSLv2Hello} {
			var h ClientHello
			n, err := parse(b, &h)
			if err != nil {
				if n != 0 && !errors.Is(err, ErrMalformed) {
					t.Errorf("n %d with %v", n, err)
				}
				continue
			}
			if n <= 0 || n > len(b) || len(h.Random) < 16 {
				t.Fatalf("n %d of %d, random of %d", n, len(b), len(h.Random))
			}
			inHello(t, b[:n], h.Random, h.SessionID, h.Cookie, h.Ciphers, h.CipherKinds, h.Compression, h.Extensions, h.ServerName, h.ALPN,
				h.Versions, h.Groups, h.KeyShares, h.SignatureAlgorithms, h.PointFormats, h.Ticket, h.ConnectionID)
			total := 0
			for _, body := range h.Extensions.All() {
				total += 4 + len(body)
			}
			if total != len(h.Extensions) {
				t.Errorf("extensions of %d octets add up to %d", len(h.Extensions), total)
			}
			var again ClientHello
			if m, err := parse(b[:n], &again); m != n || err != nil || again.JA4(TransportTCP) != h.JA4(TransportTCP) || again.JA3() != h.JA3() {
				t.Errorf("the message alone: n %d of %d, %v", m, n, err)
			}
			var i Info
			i.ClientHello(&h, TransportTCP)
			for _, s := range append(i.ALPNOffered, i.SNI) {
				if !utf8.ValidString(s) || len(s) > 10*maxName || strings.ContainsAny(s, "\n\x00\x1b") {
					t.Errorf("%q", s)
				}
			}
			if len(i.ALPNOffered) > maxALPN || len(i.JA3) != 32 || len(i.JA4) != 36 || i.JA4[10] != '_' || i.JA4[23] != '_' || !utf8.ValidString(i.JA4) {
				t.Errorf("%d names, JA3 %q, JA4 %q", len(i.ALPNOffered), i.JA3, i.JA4)
			}
		}
		// A match of a beginning never becomes one by fewer octets.
		if MatchClientHello(b) != MatchNo && len(b) > 0 && MatchClientHello(b[:len(b)-1]) == MatchNo {
			t.Errorf("%x matches, without its last octet it does not", b)
		}
		if MatchSSLv2Hello(b) != MatchNo && len(b) > 0 && MatchSSLv2Hello(b[:len(b)-1]) == MatchNo {
			t.Errorf("%x matches as SSLv2, without its last octet it does not", b)
		}
	})
}

func FuzzServerHello(f *testing.F) {
	f.Add(unhex(f, "02 000034 0303 cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c 00 1302 00 000c 002b 0002 0304 0033 0002 0018"))
	f.Add(unhex(f, "06 00000c 7f14 1301 0006 0028 0002 0018"))
	for _, m := range captured(f, msgServerHello, 60) {
		f.Add(m)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, parse := range []func([]byte, *ServerHello) (int, error){ParseServerHello, ParseSSLv2ServerHello} {
			var h ServerHello
			n, err := parse(b, &h)
			if err != nil {
				continue
			}
			if n <= 0 || n > len(b) || !h.HelloRetry && h.Random == nil {
				t.Fatalf("n %d of %d, %+v", n, len(b), h)
			}
			inHello(t, b[:n], h.Random, h.SessionID, h.Extensions, h.ALPN, h.ConnectionID, h.Certificate)
			var i Info
			i.ServerHello(&h)
			if i.HelloRetry != h.HelloRetry || i.Version != h.Version || !h.HelloRetry && (len(i.JA3S) != 32 || i.Group != h.Group) || !utf8.ValidString(i.ALPN) {
				t.Errorf("%+v of %+v", i, h)
			}
			if int(binary.BigEndian.Uint16(b)) == 0 {
				t.Error("a message of type 0")
			}
		}
	})
}
