package tlsmeta

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/hex"
	"math/big"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// unhex reads hex with spaces and line ends between.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// inside tells whether s is a part of b, or empty.
func inside(b, s []byte) bool {
	if len(s) == 0 {
		return true
	}
	for i := 0; i+len(s) <= len(b); i++ {
		if &b[i] == &s[0] {
			return true
		}
	}
	return false
}

// certificate makes a self-signed one.
func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	link, _ := url.Parse("spiffe://example.org/api")
	template := &x509.Certificate{
		SerialNumber:   big.NewInt(7),
		Subject:        pkix.Name{CommonName: "api.example.org", Organization: []string{`Shop, "Inc"`}, Country: []string{"NO"}},
		NotBefore:      time.Unix(1_700_000_000, 0),
		NotAfter:       time.Unix(1_900_000_000, 0),
		DNSNames:       []string{"api.example.org", "*.example.org"},
		IPAddresses:    []net.IP{net.ParseIP("10.0.0.1"), net.ParseIP("2001:db8::1")},
		EmailAddresses: []string{"ops@example.org"},
		URIs:           []*url.URL{link},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// tap is a net.Conn that keeps what is written to it.
type tap struct {
	net.Conn
	lock sync.Mutex
	sent []byte
}

func (c *tap) Write(b []byte) (int, error) {
	c.lock.Lock()
	c.sent = append(c.sent, b...)
	c.lock.Unlock()
	return c.Conn.Write(b)
}

// loopback gives the two ends of a TCP connection, which unlike net.Pipe lets
// both sides write at once, as with a HelloRetryRequest.
func loopback(t testing.TB) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return client, server
}

// handshake runs a handshake of crypto/tls with itself and gives what each side
// sent.
func handshake(t testing.TB, client, server *tls.Config) (fromClient, fromServer []byte) {
	t.Helper()
	a, b := loopback(t)
	ca, sa := &tap{Conn: a}, &tap{Conn: b}
	deadline := time.Now().Add(10 * time.Second)
	a.SetDeadline(deadline)
	b.SetDeadline(deadline)
	done := make(chan error, 1)
	go func() {
		s := tls.Server(sa, server)
		_, err := s.Write([]byte("x")) // shakes hands first
		done <- err
	}()
	c := tls.Client(ca, client)
	if err := c.Handshake(); err != nil {
		t.Fatalf("client: %v", err)
	}
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatalf("client: %v", err)
	}
	if err := <-done; err != nil {
		t.Fatalf("server: %v", err)
	}
	a.Close()
	b.Close()
	return ca.sent, sa.sent
}

// messages gives the handshake messages in the records of one direction, up to
// the first ChangeCipherSpec or other record.
func messages(stream []byte) [][]byte {
	var all []byte
	for len(stream) >= 5 && stream[0] == typeHandshake {
		n := int(binary.BigEndian.Uint16(stream[3:]))
		if 5+n > len(stream) {
			break
		}
		all = append(all, stream[5:5+n]...)
		stream = stream[5+n:]
	}
	var list [][]byte
	for len(all) >= 4 {
		n := 4 + int(binary.BigEndian.Uint32(all)&0xffffff)
		if n > len(all) {
			break
		}
		list = append(list, all[:n])
		all = all[n:]
	}
	return list
}

// find gives the first message of a type.
func find(list [][]byte, typ byte) []byte {
	for _, m := range list {
		if m[0] == typ {
			return m
		}
	}
	return nil
}
