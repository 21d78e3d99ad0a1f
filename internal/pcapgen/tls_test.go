package pcapgen

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "record handshakes and write captures anew")

// tlsCase is one handshake to record.
type tlsCase struct {
	sni, alpn    string
	max          uint16
	rsa          bool
	clientCurves []tls.CurveID
	serverCurves []tls.CurveID
}

var tlsCases = []tlsCase{
	{sni: "shop.example", alpn: "h2", max: tls.VersionTLS13},
	{sni: "payments.shop.example", alpn: "http/1.1", max: tls.VersionTLS12, rsa: true},
	{sni: "catalogue.shop.example", alpn: "h2", max: tls.VersionTLS13, clientCurves: []tls.CurveID{tls.X25519, tls.CurveP384}, serverCurves: []tls.CurveID{tls.CurveP384}},
}

// certificate makes a leaf under an intermediate authority.
func certificate(t *testing.T, name string, useRSA bool) tls.Certificate {
	t.Helper()
	key := func() crypto.Signer {
		var k crypto.Signer
		var err error
		if useRSA {
			k, err = rsa.GenerateKey(rand.Reader, 2048)
		} else {
			k, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		}
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	from := time.Unix(0, ShopStart).Add(-24 * time.Hour).Truncate(24 * time.Hour)
	make := func(serial int64, cn string, ca bool, k crypto.Signer, parent *x509.Certificate, signer crypto.Signer) *x509.Certificate {
		c := &x509.Certificate{SerialNumber: big.NewInt(serial), Subject: pkix.Name{Organization: []string{"Example Shop"}, CommonName: cn},
			NotBefore: from, NotAfter: from.AddDate(1, 0, 0), IsCA: ca, BasicConstraintsValid: true}
		if !ca {
			c.DNSNames = []string{cn, "www." + cn}
		}
		if parent == nil {
			parent = c
		}
		der, err := x509.CreateCertificate(rand.Reader, c, parent, k.Public(), signer)
		if err != nil {
			t.Fatal(err)
		}
		c, err = x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	rootKey, interKey, leafKey := key(), key(), key()
	root := make(1, "Example Shop Root", true, rootKey, nil, rootKey)
	inter := make(2, "Example Shop Issuing", true, interKey, root, rootKey)
	leaf := make(3, name, false, leafKey, inter, interKey)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw, inter.Raw}, PrivateKey: leafKey}
}

// flights notes what two ends send, one flight each in turn.
type flights struct {
	mu   sync.Mutex
	list [][]byte
}

// flightConn sends what its end writes when that end turns to reading, so that
// a flight is one piece whatever the number of writes.
type flightConn struct {
	net.Conn
	pending []byte
	all     *flights
}

func (c *flightConn) Write(b []byte) (int, error) {
	c.pending = append(c.pending, b...)
	return len(b), nil
}

func (c *flightConn) Read(b []byte) (int, error) {
	if err := c.flush(); err != nil {
		return 0, err
	}
	return c.Conn.Read(b)
}

func (c *flightConn) flush() error {
	if len(c.pending) == 0 {
		return nil
	}
	c.all.mu.Lock()
	c.all.list = append(c.all.list, c.pending)
	c.all.mu.Unlock()
	_, err := c.Conn.Write(c.pending)
	c.pending = nil
	return err
}

// loopback gives both ends of a TCP connection, which a pipe without a buffer
// cannot replace: both ends write at a time.
func loopback(t *testing.T) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{near, far} {
		c.SetDeadline(time.Now().Add(10 * time.Second))
		t.Cleanup(func() { c.Close() })
	}
	return near, far
}

func recordTLS(t *testing.T, c tlsCase) Handshake {
	t.Helper()
	near, far := loopback(t)
	var all flights
	clientConn, serverConn := &flightConn{Conn: near, all: &all}, &flightConn{Conn: far, all: &all}
	now := func() time.Time { return time.Unix(0, ShopStart) }
	server := tls.Server(serverConn, &tls.Config{Certificates: []tls.Certificate{certificate(t, c.sni, c.rsa)}, NextProtos: []string{c.alpn, "http/1.1"},
		SessionTicketsDisabled: true, CurvePreferences: c.serverCurves, Time: now})
	client := tls.Client(clientConn, &tls.Config{ServerName: c.sni, NextProtos: []string{"h2", "http/1.1"}, MaxVersion: c.max, InsecureSkipVerify: true,
		CurvePreferences: c.clientCurves, Time: now})
	failed := make(chan error, 1)
	go func() { failed <- errors.Join(server.Handshake(), serverConn.flush()) }()
	if err := errors.Join(client.Handshake(), clientConn.flush()); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err != nil {
		t.Fatal(err)
	}
	s := client.ConnectionState()
	return Handshake{Version: strings.TrimPrefix(tls.VersionName(s.Version), "TLS "), SNI: c.sni, ALPN: s.NegotiatedProtocol,
		Retry: c.serverCurves != nil, Flights: all.list}
}

// shape tells a handshake's records without what keys and signatures change.
func shape(h Handshake) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s retry=%v", h.Version, h.SNI, h.ALPN, h.Retry)
	for i, f := range h.Flights {
		fmt.Fprintf(&b, " |%d", i)
		for len(f) >= 5 {
			n := int(f[3])<<8 | int(f[4])
			fmt.Fprintf(&b, " %d", f[0])
			if f[0] == 22 && i < 2 {
				fmt.Fprintf(&b, ":%d", f[5])
			}
			f = f[min(5+n, len(f)):]
		}
		if len(f) > 0 {
			fmt.Fprintf(&b, " and %d octets", len(f))
		}
	}
	return b.String()
}

// TestTLSHandshakes holds the recorded handshakes against new ones.
func TestTLSHandshakes(t *testing.T) {
	var fresh []Handshake
	for _, c := range tlsCases {
		fresh = append(fresh, recordTLS(t, c))
	}
	if *update {
		b, err := json.MarshalIndent(fresh, "", " ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile("handshakes.json", append(b, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
		handshakesFile = b
	}
	recorded := Handshakes()
	if len(recorded) != len(fresh) {
		t.Fatalf("%d handshakes recorded, want %d", len(recorded), len(fresh))
	}
	for i := range fresh {
		if got, want := shape(recorded[i]), shape(fresh[i]); got != want {
			t.Errorf("recorded %s\nnew      %s", got, want)
		}
	}
}

// TestTLSConversation has tshark read a handshake from the packets.
func TestTLSConversation(t *testing.T) {
	r := mathrand.New(mathrand.NewPCG(1, 2))
	for _, h := range Handshakes() {
		t.Run(h.SNI, func(t *testing.T) {
			c := baseConn(0, 0)
			c.Server = netip.AddrPortFrom(c.Server.Addr(), 443)
			c.Turns = append(h.Turns(r, 2*ms), Turn{Request: TLSData(r, 300), Think: ms, Response: TLSData(r, 20_000)})
			lines := tsharkRecording(t, c.Record(), "tls.handshake.type", "tls.handshake.extensions_server_name", "tls.alert_message.level", "_ws.malformed")
			all := strings.Join(lines, "\n")
			if !strings.Contains(all, h.SNI) {
				t.Errorf("no server name %s in\n%s", h.SNI, all)
			}
			hellos := 0
			for _, l := range lines {
				f := strings.Split(l, "\t")
				if slices.Contains(strings.Split(f[0], ","), "1") {
					hellos++
				}
				if f[2] != "" || f[3] != "" {
					t.Errorf("alert or malformed: %q", l)
				}
			}
			want := 1
			if h.Retry {
				want = 2
			}
			if hellos != want {
				t.Errorf("%d ClientHellos, want %d\n%s", hellos, want, all)
			}
		})
	}
}
