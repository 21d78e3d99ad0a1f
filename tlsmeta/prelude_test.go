package tlsmeta

import (
	"fmt"
	"strings"
	"testing"
)

// said is what one side says; TLS in it is where the prelude ends.
type said struct {
	from int // 0 or 1
	text string
}

const (
	tlsHello = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"

	mySQLGreeting = "\x4a\x00\x00\x00\x0a8.0.36\x00\x08\x00\x00\x00abcdefgh\x00\xff\xff\xff\x02\x00\xff\xdf\x15" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00ijklmnopqrst\x00caching_sha2_password\x00"
	mySQLRequest = "\x20\x00\x00\x01\x05\xae\x0f\x00\x00\x00\x00\x01\xff" +
		"\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

	ldapStartTLS = "\x30\x1d\x02\x01\x01\x77\x18\x80\x16" + startTLS
	ldapAnswer   = "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x00\x04\x00\x04\x00"

	xmppClient = "<?xml version='1.0'?><stream:stream to='im.example.org' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
	xmppServer = "<?xml version='1.0'?><stream:stream from='im.example.org' id='a>b' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>" +
		"<stream:features><starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls></stream:features>"
	xmppAsk = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
)

var preludes = []struct {
	name    string
	dialog  []said
	verdict Verdict
	kind    string
	client  int
}{
	{"SMTP", []said{
		{1, "220 mx.example.org ESMTP\r\n"}, {0, "EHLO client\r\n"}, {1, "250-mx.example.org\r\n250-STARTTLS\r\n250 SMTPUTF8\r\n"},
		{0, "STARTTLS\r\n"}, {1, "220 2.0.0 Ready\r\n"}, {0, tlsHello}}, PreludeDone, "smtp", 0},
	{"SMTP with the sides swapped, small letters and LF alone", []said{
		{0, "220-mx\n220 mx\n"}, {1, "ehlo client\n"}, {0, "250 mx\n"}, {1, "starttls\n"}, {0, "220 go\n"}}, PreludeDone, "smtp", 1},
	{"LMTP", []said{{1, "220 mx LMTP\r\n"}, {0, "LHLO c\r\n"}, {1, "250 mx\r\n"}, {0, "STARTTLS\r\n"}, {1, "220 go\r\n"}}, PreludeDone, "smtp", 0},
	{"SMTP, commands sent at once", []said{
		{1, "220 mx\r\n"}, {0, "EHLO c\r\nNOOP\r\nSTARTTLS\r\n"}, {1, "250 mx\r\n250 noop\r\n220 go\r\n"}}, PreludeDone, "smtp", 0},
	{"SMTP, refused, then in the clear", []said{
		{1, "220 mx\r\n"}, {0, "EHLO c\r\n"}, {1, "250 mx\r\n"}, {0, "STARTTLS\r\n"}, {1, "454 not now\r\n"},
		{0, "MAIL FROM:<a@example.org>\r\n"}}, PreludeOther, "smtp", 0},
	{"SMTP, refused, then granted", []said{
		{1, "220 mx\r\n"}, {0, "STARTTLS\r\n"}, {1, "503 EHLO first\r\n"}, {0, "EHLO c\r\n"}, {1, "250 mx\r\n"}, {0, "STARTTLS\r\n"},
		{1, "220 go\r\n"}}, PreludeDone, "smtp", 0},
	{"SMTP without STARTTLS", []said{
		{1, "220 mx\r\n"}, {0, "EHLO c\r\n"}, {1, "250 mx\r\n"}, {0, "MAIL FROM:<a@example.org>\r\n"}}, PreludeOther, "smtp", 0},
	{"SMTP, a login in the clear", []said{{1, "220 mx\r\n"}, {0, "EHLO c\r\n"}, {1, "250 mx\r\n"}, {0, "AUTH PLAIN AGEAYg==\r\n"}}, PreludeOther, "smtp", 0},
	{"SMTP, not yet asked", []said{{1, "220 mx\r\n"}, {0, "EHLO c\r\n"}, {1, "250 STARTTLS\r\n"}}, PreludeMore, "smtp", 0},
	{"SMTP, the client alone", []said{{0, "EHLO c\r\n"}, {0, "STARTTLS\r\n"}, {0, tlsHello}}, PreludeDone, "smtp", 0},
	{"SMTP, the server alone", []said{{1, "220 mx\r\n250 mx\r\n220 go\r\n"}, {1, "\x16\x03\x03\x00\x50\x02"}}, PreludeDone, "smtp", 0},
	{"FTP, the server alone", []said{{1, "220 ftp\r\n234 go\r\n"}, {1, "\x16\x03\x03\x00\x50\x02"}}, PreludeDone, "ftp", 0},
	{"a greeting of 220 and nothing else", []said{{1, "220 hi\r\n"}}, PreludeMore, "", 0},

	{"FTP", []said{{1, "220-hi\r\n there\r\n220 ftp\r\n"}, {0, "FEAT\r\n"}, {1, "211-Features:\r\n AUTH TLS\r\n211 End\r\n"},
		{0, "AUTH TLS\r\n"}, {1, "234 Proceed\r\n"}}, PreludeDone, "ftp", 0},
	{"FTP, AUTH SSL behind a refused AUTH TLS", []said{{1, "220 ftp\r\n"}, {0, "AUTH TLS\r\n"}, {1, "504 no\r\n"}, {0, "AUTH SSL\r\n"},
		{1, "234 yes\r\n"}}, PreludeDone, "ftp", 0},
	{"FTP, a login in the clear", []said{{1, "220 ftp\r\n"}, {0, "USER anonymous\r\n"}}, PreludeOther, "", 0},

	{"IMAP", []said{{1, "* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n"}, {0, "a1 CAPABILITY\r\n"},
		{1, "* CAPABILITY IMAP4rev1 STARTTLS\r\na1 OK done\r\n"}, {0, "a2 starttls\r\n"}, {1, "a2 OK begin\r\n"}}, PreludeDone, "imap", 0},
	{"IMAP, the answer to another command", []said{{1, "* OK ready\r\n"}, {0, "a1 NOOP\r\na2 STARTTLS\r\n"}, {1, "a1 OK done\r\n"}}, PreludeMore, "imap", 0},
	{"IMAP, refused", []said{{1, "* OK ready\r\n"}, {0, "a2 STARTTLS\r\n"}, {1, "a2 BAD no\r\n"}, {0, "a3 LOGIN a b\r\n"}}, PreludeOther, "imap", 0},
	{"IMAP, authenticated from the start", []said{{1, "* PREAUTH ready\r\n"}}, PreludeOther, "", -1},
	{"IMAP, the client alone", []said{{0, "A001 STARTTLS\r\n"}, {0, tlsHello}}, PreludeDone, "imap", 0},

	{"POP3", []said{{1, "+OK ready\r\n"}, {0, "CAPA\r\n"}, {1, "+OK list\r\nSTLS\r\nUSER\r\n.\r\n"}, {0, "STLS\r\n"}, {1, "+OK begin\r\n"}}, PreludeDone, "pop3", 0},
	{"POP3, commands sent at once", []said{{1, "+OK ready\r\n"}, {0, "CAPA\r\nSTLS\r\n"}, {1, "+OK list\r\nSTLS\r\n.\r\n"}}, PreludeMore, "pop3", 0},
	{"POP3, refused", []said{{1, "+OK ready\r\n"}, {0, "STLS\r\n"}, {1, "-ERR no\r\n"}, {0, "USER a\r\n"}}, PreludeOther, "pop3", 0},

	{"CONNECT", []said{{0, "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n"},
		{1, "HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n"}}, PreludeDone, "http_connect", 0},
	{"CONNECT behind a request for a password", []said{
		{0, "CONNECT example.org:443 HTTP/1.1\r\n\r\n"}, {1, "HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 9\r\n\r\ngo\r\n\r\naway"},
		{0, "CONNECT example.org:443 HTTP/1.1\r\nProxy-Authorization: Basic eA==\r\n\r\n"}, {1, "\r\nHTTP/1.0 200 OK\r\n\r\n"}}, PreludeDone, "http_connect", 0},
	{"CONNECT refused, then a GET", []said{
		{0, "CONNECT a:1 HTTP/1.1\r\n\r\n"}, {1, "HTTP/1.1 403 No\r\n\r\n"}, {0, "GET / HTTP/1.1\r\n\r\n"}}, PreludeOther, "http_connect", 0},
	{"CONNECT with a head that is longer than what is kept", []said{
		{0, "CONNECT " + strings.Repeat("a", 300) + ":443 HTTP/1.1\r\nUser-Agent: " + strings.Repeat("b", 3000) + "\r\n\r\n"},
		{1, "HTTP/1.1 200 OK\r\n\r\n"}}, PreludeDone, "http_connect", 0},
	{"HTTP", []said{{0, "GET / HTTP/1.1\r\n"}}, PreludeOther, "", -1},

	{"PROXY 1", []said{{0, "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n"}, {0, tlsHello}}, PreludeDone, "proxy", 0},
	{"PROXY 1, the longest", []said{{0, "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"}}, PreludeDone, "proxy", 0},
	{"PROXY 1, unknown", []said{{0, "PROXY UNKNOWN\r\n"}}, PreludeDone, "proxy", 0},
	{"PROXY 1, too long", []said{{0, "PROXY TCP4 " + strings.Repeat("1", 100) + "\r\n"}}, PreludeOther, "proxy", 0},
	{"PROXY 1, no such family", []said{{0, "PROXY TCP5 1\r\n"}}, PreludeOther, "proxy", 0},
	{"PROXY 2", []said{{0, proxySignature + "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\xdc\x04\x01\xbb"}, {0, tlsHello}}, PreludeDone, "proxy", 0},
	{"PROXY 2, local", []said{{0, proxySignature + "\x20\x00\x00\x00"}, {0, tlsHello}}, PreludeDone, "proxy", 0},
	{"PROXY 2, another version", []said{{0, proxySignature + "\x31\x11\x00\x0c"}}, PreludeOther, "proxy", 0},

	{"LDAP", []said{{0, ldapStartTLS}, {1, ldapAnswer}}, PreludeDone, "ldap", 0},
	{"LDAP with long lengths", []said{
		{0, "\x30\x84\x00\x00\x00\x1f\x02\x02\x01\x01\x77\x81\x18\x80\x16" + startTLS},
		{1, "\x30\x84\x00\x00\x00\x10\x02\x01\x01\x78\x84\x00\x00\x00\x07\x0a\x01\x00\x04\x00\x04\x00"}}, PreludeDone, "ldap", 0},
	{"LDAP with a long answer", []said{{0, ldapStartTLS},
		{1, "\x30\x60\x02\x01\x01\x78\x5b\x0a\x01\x00\x04\x00\x04\x54" + strings.Repeat("x", 84)}}, PreludeDone, "ldap", 0},
	{"LDAP, a search first", []said{{0, "\x30\x0c\x02\x01\x01\x63\x07\x04\x00\x0a\x01\x00\x0a\x01"}, {1, "\x30\x0c\x02\x01\x01\x65\x07\x0a\x01\x00\x04\x00\x04\x00"},
		{0, ldapStartTLS}, {1, ldapAnswer}}, PreludeDone, "ldap", 0},
	{"LDAP, refused", []said{{0, ldapStartTLS}, {1, "\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x34\x04\x00\x04\x00"},
		{0, "\x30\x0c\x02\x01\x02\x60\x07\x02\x01\x03\x04\x00\x80\x00"}}, PreludeOther, "ldap", 0},
	{"LDAP, another operation", []said{{0, strings.Replace(ldapStartTLS, "20037", "20036", 1)}}, PreludeOther, "ldap", 0},
	{"LDAP, a bind", []said{{0, "\x30\x0c\x02\x01\x01\x60\x07\x02\x01\x03\x04\x00\x80\x00"}}, PreludeOther, "", -1},

	{"XMPP", []said{{0, xmppClient}, {1, xmppServer}, {0, xmppAsk}, {1, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"}}, PreludeDone, "xmpp", 0},
	{"XMPP, an end tag", []said{{0, xmppClient}, {1, xmppServer}, {0, strings.Replace(xmppAsk, "/>", "></starttls>", 1)},
		{1, "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'></proceed>"}}, PreludeDone, "xmpp", 0},
	{"XMPP, a login in the clear", []said{{0, xmppClient}, {1, xmppServer}, {0, "<auth mechanism='PLAIN'>AGEAYg==</auth>"}}, PreludeOther, "xmpp", 0},
	{"XML of another kind", []said{{0, "<?xml version='1.0'?><soap:Envelope>"}}, PreludeOther, "xmpp", 0},

	{"PostgreSQL", []said{{0, sslRequest}, {1, "S"}}, PreludeDone, "postgresql", 0},
	{"PostgreSQL, GSSAPI refused first", []said{{0, gssRequest}, {1, "N"}, {0, sslRequest}, {1, "S"}}, PreludeDone, "postgresql", 0},
	{"PostgreSQL with GSSAPI", []said{{0, gssRequest}, {1, "G"}}, PreludeOther, "postgresql", 0},
	{"PostgreSQL, refused", []said{{0, sslRequest}, {1, "N"}, {0, "\x00\x00\x00\x28\x00\x03\x00\x00user\x00"}}, PreludeOther, "postgresql", 0},
	{"PostgreSQL, refused and no more", []said{{0, sslRequest}, {1, "N"}}, PreludeMore, "postgresql", 0},
	{"PostgreSQL, the client alone", []said{{0, sslRequest}, {0, tlsHello}}, PreludeDone, "postgresql", 0},

	{"MySQL", []said{{1, mySQLGreeting}, {0, mySQLRequest}, {0, tlsHello}}, PreludeDone, "mysql", 0},
	{"MySQL before 4.1", []said{{1, mySQLGreeting}, {0, "\x05\x00\x00\x01\x05\x2e\x00\x00\x00"}}, PreludeDone, "mysql", 0},
	{"MySQL, a login in the clear", []said{{1, mySQLGreeting}, {0, "\x54\x00\x00\x01\x05\xa6\x0f\x00"}}, PreludeOther, "mysql", 0},
	{"MySQL, no wish for TLS", []said{{1, mySQLGreeting}, {0, strings.Replace(mySQLRequest, "\xae", "\xa6", 1)}}, PreludeOther, "mysql", 0},

	{"TLS", []said{{0, tlsHello}}, PreludeOther, "", -1},
	{"SSH", []said{{1, "SSH-2.0-OpenSSH_9.6\r\n"}}, PreludeOther, "", -1},
	{"binary", []said{{0, "\x00\x01\x02\x03\x04\x05\x06\x07"}}, PreludeOther, "", -1},
}

// follow feeds a dialogue in pieces of size octets, and gives the verdict and
// how much of what was fed last belongs to the prelude.
func follow(t *testing.T, dialog []said, size int) (p Prelude, v Verdict, left string) {
	t.Helper()
	for _, s := range dialog {
		for b := []byte(s.text); len(b) > 0; {
			piece := b[:min(size, len(b))]
			var n int
			n, v = p.Feed(s.from, piece)
			switch {
			case n < 0 || n > len(piece), v == PreludeMore && n != len(piece), v == PreludeOther && n != 0:
				t.Fatalf("pieces of %d: n %d of %d with verdict %d", size, n, len(piece), v)
			case v != PreludeMore:
				return p, v, string(b[n:])
			}
			b = b[n:]
		}
	}
	return p, v, ""
}

func TestPrelude(t *testing.T) {
	for _, tc := range preludes {
		t.Run(tc.name, func(t *testing.T) {
			for _, size := range []int{1, 2, 3, 7, 1 << 16} {
				for flip := range 2 {
					dialog := append([]said(nil), tc.dialog...)
					for i := range dialog {
						dialog[i].from ^= flip
					}
					client := tc.client
					if client >= 0 {
						client ^= flip
					}
					p, v, left := follow(t, dialog, size)
					if v != tc.verdict || p.Name() != tc.kind || p.Client() != client {
						t.Fatalf("pieces of %d, flipped %d: verdict %d, %q, client %d; want %d, %q, %d", size, flip, v, p.Name(), p.Client(), tc.verdict, tc.kind, client)
					}
					if v == PreludeDone && left != "" && left != tlsHello && !strings.HasPrefix(left, "\x16") {
						t.Fatalf("pieces of %d: %q is left, want nothing or TLS", size, left)
					}
				}
			}
		})
	}
}

// TestPreludeEnds feeds the octets of both phases at once.
func TestPreludeEnds(t *testing.T) {
	var p Prelude
	p.Feed(0, []byte(sslRequest))
	if n, v := p.Feed(1, []byte("S\x16\x03\x03")); n != 1 || v != PreludeDone {
		t.Errorf("n %d, verdict %d", n, v)
	}
	if n, v := p.Feed(0, []byte(tlsHello)); n != 0 || v != PreludeDone {
		t.Errorf("behind the end: n %d, verdict %d", n, v)
	}
	p = Prelude{}
	if n, v := p.Feed(1, []byte("PROXY TCP4 1.2.3.4 1.2.3.4 5 6\r\nEHLO x\r\n")); n != 32 || v != PreludeDone || p.Client() != 1 {
		t.Errorf("n %d, verdict %d, client %d", n, v, p.Client())
	}
}

// TestPreludeBounded has a server talk for ever.
func TestPreludeBounded(t *testing.T) {
	var p Prelude
	p.Feed(1, []byte("220 hi\r\n"))
	for i := range 1000 {
		if _, v := p.Feed(1, []byte(fmt.Sprintf("250-%096d\r\n", i))); v == PreludeOther {
			if i < 500 || i > 700 {
				t.Errorf("it ended after %d lines of 102 octets", i)
			}
			return
		}
	}
	t.Error("it did not end")
}

func TestPreludeAllocs(t *testing.T) {
	hello, command := []byte("220 mx.example.org ESMTP\r\n"), []byte("EHLO client.example.org\r\n")
	if n := testing.AllocsPerRun(100, func() {
		var p Prelude
		p.Feed(1, hello)
		p.Feed(0, command)
		if p.Name() != "smtp" {
			t.Error(p.Name())
		}
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

func FuzzPrelude(f *testing.F) {
	for _, tc := range preludes {
		var b []byte
		for _, s := range tc.dialog {
			b = append(append(b, byte(s.from), byte(len(s.text))), s.text[:min(len(s.text), 255)]...)
		}
		f.Add(b, byte(3))
	}
	f.Fuzz(func(t *testing.T, b []byte, size byte) {
		var dialog []said
		for len(b) >= 2 {
			n := min(2+int(b[1]), len(b))
			dialog = append(dialog, said{int(b[0] & 1), string(b[2:n])})
			b = b[n:]
		}
		p1, v1, left1 := follow(t, dialog, 1<<16)
		p2, v2, left2 := follow(t, dialog, 1+int(size))
		if v1 != v2 || p1.Name() != p2.Name() || p1.Client() != p2.Client() || v1 == PreludeDone && left1 != left2 {
			t.Errorf("whole: verdict %d, %q, %q left; in pieces of %d: %d, %q, %q left", v1, p1.Name(), left1, 1+int(size), v2, p2.Name(), left2)
		}
	})
}
