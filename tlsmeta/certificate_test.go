package tlsmeta

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	casn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// certificateMessage makes a Certificate message up to TLS 1.2.
func certificateMessage(certs ...[]byte) []byte {
	var b cryptobyte.Builder
	b.AddUint8(msgCertificate)
	b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
		b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) {
			for _, c := range certs {
				b.AddUint24LengthPrefixed(func(b *cryptobyte.Builder) { b.AddBytes(c) })
			}
		})
	})
	return b.BytesOrPanic()
}

// TestParseCertificates reads the certificate out of a handshake of crypto/tls.
func TestParseCertificates(t *testing.T) {
	_, fromServer := handshake(t, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12},
		&tls.Config{Certificates: []tls.Certificate{certificate(t)}})
	m := find(messages(fromServer), msgCertificate)
	list, cut := ParseCertificates(m)
	if cut || len(list) != 1 {
		t.Fatalf("%d certificates, cut %v", len(list), cut)
	}
	c := list[0]
	const name = `CN=api.example.org,O=Shop\, \"Inc\",C=NO`
	if c.Subject != name || c.Issuer != name {
		t.Errorf("subject %s, issuer %s", c.Subject, c.Issuer)
	}
	want := []string{"api.example.org", "*.example.org", "ops@example.org", "10.0.0.1", "2001:db8::1", "spiffe://example.org/api"}
	if !slices.Equal(c.SAN, want) || c.SANCut {
		t.Errorf("SAN %q, want %q", c.SAN, want)
	}
	if c.NotBefore != 1_700_000_000 || c.NotAfter != 1_900_000_000 || c.SHA256 != sha256.Sum256(m[10:]) {
		t.Errorf("valid from %d to %d, SHA-256 %x", c.NotBefore, c.NotAfter, c.SHA256)
	}
}

// TestCertificateBounds sends more of everything than is kept.
func TestCertificateBounds(t *testing.T) {
	der := certificate(t).Certificate[0]
	list, cut := ParseCertificates(certificateMessage(slices.Repeat([][]byte{der}, 9)...))
	if len(list) != maxCertificates || !cut {
		t.Errorf("of 9: %d certificates, cut %v", len(list), cut)
	}
	if list, cut := ParseCertificates(certificateMessage(slices.Repeat([][]byte{der}, 8)...)); len(list) != 8 || cut {
		t.Errorf("of 8: %d certificates, cut %v", len(list), cut)
	}
	if list, cut := ParseCertificates(certificateMessage()); len(list) != 0 || cut {
		t.Errorf("of none: %d certificates, cut %v", len(list), cut)
	}

	var b cryptobyte.Builder
	b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for i := range 100 {
			b.AddASN1(casn1.Tag(2).ContextSpecific(), func(b *cryptobyte.Builder) { b.AddBytes(fmt.Appendf(nil, "h%d.example", i)) })
		}
	})
	var c Certificate
	if !c.readSAN(b.BytesOrPanic()) || len(c.SAN) != maxSAN || !c.SANCut {
		t.Errorf("of 100: %d names, cut %v", len(c.SAN), c.SANCut)
	}
}

// TestCertificateBroken cuts a certificate and turns octets of it over: the hash
// and what stands before the breach remain.
func TestCertificateBroken(t *testing.T) {
	der := certificate(t).Certificate[0]
	issuer := bytes.Index(der, []byte{0x31, 0x0b, 0x30, 0x09, 0x06, 0x03, 0x55, 0x04, 0x06}) // C=
	if issuer < 0 {
		t.Fatal("the certificate has no country")
	}
	names := 0
	for n := range der {
		broken := bytes.Clone(der)
		broken[n] ^= 0xff
		list, _ := ParseCertificates(certificateMessage(broken))
		if len(list) != 1 || list[0].SHA256 != sha256.Sum256(broken) {
			t.Fatalf("octet %d: %d certificates", n, len(list))
		}
		if strings.Contains(list[0].Issuer, "C=NO") {
			names++
		}
		if _, err := x509.ParseCertificate(broken); err == nil && list[0].Issuer == "" {
			t.Errorf("octet %d: crypto/x509 reads it, and there is no issuer", n)
		}
	}
	if names < len(der)/2 {
		t.Errorf("the issuer could be read in %d of %d broken certificates", names, len(der))
	}
	if list, cut := ParseCertificates(certificateMessage([]byte("no certificate"))); len(list) != 1 || !cut {
		t.Errorf("%d certificates, cut %v", len(list), cut)
	}
	if list, cut := ParseCertificates(certificateMessage(der)[:100]); len(list) != 0 || !cut {
		t.Errorf("of a message that is cut: %d certificates, cut %v", len(list), cut)
	}
}

func TestDistinguishedName(t *testing.T) {
	attribute := func(oid []byte, tag casn1.Tag, value string) func(b *cryptobyte.Builder) {
		return func(b *cryptobyte.Builder) {
			b.AddASN1(casn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1(casn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes(oid) })
				b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes([]byte(value)) })
			})
		}
	}
	cn, dc, unknown := []byte{0x55, 4, 3}, []byte{0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19}, []byte{0x2a, 0x03, 0x04}
	for _, tc := range []struct {
		name string
		sets [][]func(b *cryptobyte.Builder)
		want string
	}{
		{"none", nil, ""},
		{"last first", [][]func(b *cryptobyte.Builder){{attribute(dc, casn1.IA5String, "org")}, {attribute(dc, casn1.IA5String, "example")},
			{attribute(cn, casn1.UTF8String, "a")}}, "CN=a,DC=example,DC=org"},
		{"two in one", [][]func(b *cryptobyte.Builder){{attribute(cn, casn1.PrintableString, "a"), attribute(dc, casn1.IA5String, "b")}}, "CN=a+DC=b"},
		{"escapes", [][]func(b *cryptobyte.Builder){{attribute(cn, casn1.UTF8String, ` a+b,c"\<>;# `)}}, `CN=\ a\+b\,c\"\\\<\>\;#\ `},
		{"hash first", [][]func(b *cryptobyte.Builder){{attribute(cn, casn1.UTF8String, "#1")}}, `CN=\#1`},
		{"UTF-8", [][]func(b *cryptobyte.Builder){{attribute(cn, casn1.UTF8String, "Žluťoučký")}}, "CN=Žluťoučký"},
		{"no UTF-8", [][]func(b *cryptobyte.Builder){{attribute(cn, casn1.UTF8String, "a\xba\n")}}, `CN=a\\xba\\u000a`},
		{"Latin-1", [][]func(b *cryptobyte.Builder){{attribute(cn, casn1.T61String, "M\xfcller")}}, "CN=Müller"},
		{"UTF-16", [][]func(b *cryptobyte.Builder){{attribute(cn, 30, "\x00M\x00\xfc\xd8\x3d\xde\x00")}}, "CN=Mü😀"},
		{"unknown type", [][]func(b *cryptobyte.Builder){{attribute(unknown, casn1.UTF8String, "x")}}, "1.2.3.4=x"},
		{"no string", [][]func(b *cryptobyte.Builder){{attribute(cn, casn1.INTEGER, "\x05")}}, "CN=#020105"},
		{"long", [][]func(b *cryptobyte.Builder){{attribute(cn, casn1.UTF8String, strings.Repeat("a", 5000))}}, "CN=" + strings.Repeat("a", maxDName-6) + "…"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var b cryptobyte.Builder
			for _, set := range tc.sets {
				b.AddASN1(casn1.SET, func(b *cryptobyte.Builder) {
					for _, a := range set {
						a(b)
					}
				})
			}
			if got, ok := distinguishedName(b.BytesOrPanic()); got != tc.want || !ok {
				t.Errorf("got %s, %v, want %s", got, ok, tc.want)
			}
		})
	}
}

func TestParseServerKeyExchange(t *testing.T) {
	message := func(body string) []byte {
		return append([]byte{msgServerKeyExchange, 0, byte(len(body) >> 8), byte(len(body))}, body...)
	}
	prime := func(first string, n int) string {
		return string([]byte{byte(n >> 8), byte(n)}) + first + strings.Repeat("\x01", n-len(first)) + "\x00\x01\x02"
	}
	ff := string(ffdhePrime)
	for _, tc := range []struct {
		name   string
		cipher uint16
		body   string
		group  uint16
	}{
		{"ECDHE_RSA x25519", 0xc02f, "\x03\x00\x1d\x20", 29},
		{"ECDHE_ECDSA P-256", 0xc02b, "\x03\x00\x17\x41", 23},
		{"ECDHE of the first ChaCha20", 0xcc13, "\x03\x00\x17\x41", 23},
		{"ECDH_anon", 0xc018, "\x03\x00\x18\x61", 24},
		{"ECDHE_PSK with a hint", 0xc035, "\x00\x02hi\x03\x00\x1d\x20", 29},
		{"ECDHE_PSK without the hint's end", 0xc035, "\x00\x09hi", 0},
		{"explicit curve", 0xc02f, "\x01\x00\x1d\x20", 0},
		{"DHE_RSA ffdhe2048", 0x009e, prime(ff, 256), 256},
		{"DHE_RSA ffdhe8192", 0x009e, prime(ff, 1024), 260},
		{"PSK_DHE ffdhe3072", 0xc0aa, "\x00\x00" + prime(ff, 384), 257},
		{"DH_anon for export, ffdhe4096", 0x0019, prime(ff, 512), 258},
		{"DHE_RSA, a length of its own", 0x009e, prime(ff, 257), 0},
		{"DHE_RSA, a prime of its own", 0x009e, prime("\xff\xff\xff\xff\xff\xff\xff\xff\xc9\x0f", 256), 0},
		{"RSA for export", 0x0003, "\x00\x40", 0},
		{"PSK", 0x008c, "\x00\x02hi", 0},
		{"unknown suite", 0x1234, "\x03\x00\x1d\x20", 0},
		{"cut", 0xc02f, "\x03\x00", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if g, ok := ParseServerKeyExchange(message(tc.body), tc.cipher); g != tc.group || ok != (tc.group != 0) {
				t.Errorf("group %d, %v, want %d", g, ok, tc.group)
			}
		})
	}
	cert := certificate(t)
	for _, curve := range []tls.CurveID{tls.X25519, tls.CurveP256, tls.CurveP521} {
		_, fromServer := handshake(t, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS12, CurvePreferences: []tls.CurveID{curve}},
			&tls.Config{Certificates: []tls.Certificate{cert}})
		var sh ServerHello
		ParseServerHello(messages(fromServer)[0], &sh)
		if g, ok := ParseServerKeyExchange(find(messages(fromServer), msgServerKeyExchange), sh.Cipher); g != uint16(curve) || !ok {
			t.Errorf("of crypto/tls: group %d, %v, want %d", g, ok, curve)
		}
	}
}

func FuzzCertificates(f *testing.F) {
	der := certificate(f).Certificate[0]
	f.Add(certificateMessage(der))
	f.Add(certificateMessage(der, der))
	f.Add(certificateMessage())
	for _, m := range captured(f, msgCertificate, 20) {
		f.Add(m)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		list, _ := ParseCertificates(b)
		if len(list) > maxCertificates {
			t.Errorf("%d certificates", len(list))
		}
		for _, c := range list {
			if len(c.Subject) > maxDName || len(c.Issuer) > maxDName || len(c.SAN) > maxSAN {
				t.Errorf("subject of %d octets, issuer %d, %d names", len(c.Subject), len(c.Issuer), len(c.SAN))
			}
			for _, s := range append([]string{c.Subject, c.Issuer}, c.SAN...) {
				if !utf8.ValidString(s) || strings.ContainsAny(s, "\n\x00\x1b") || len(s) > 10*maxName && len(s) > maxDName {
					t.Errorf("%q", s)
				}
			}
			if c.SHA256 == [32]byte{} {
				t.Error("no hash")
			}
		}
	})
}

func FuzzKeyExchange(f *testing.F) {
	f.Add([]byte{12, 0, 0, 4, 3, 0, 29, 32}, uint16(0xc02f))
	f.Add([]byte{12, 0, 0, 6, 0, 0, 3, 0, 29, 32}, uint16(0xc035))
	for _, m := range captured(f, msgServerKeyExchange, 20) {
		f.Add(m, uint16(0xc02f))
		f.Add(m, uint16(0x009e))
	}
	f.Fuzz(func(t *testing.T, b []byte, cipher uint16) {
		g, ok := ParseServerKeyExchange(b, cipher)
		if ok && (len(b) < 7 || b[0] != msgServerKeyExchange || keyExchange(cipher) == "") || !ok && g != 0 {
			t.Errorf("group %d, %v of %x", g, ok, b)
		}
	})
}
