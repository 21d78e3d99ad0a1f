package quic

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	quicgo "github.com/quic-go/quic-go"
)

func certificate(t testing.TB) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "quic.test"}, DNSNames: []string{"quic.test"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, &tmpl, &tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// peers are the two ends.
type peers struct {
	clientTLS, serverTLS *tls.Config
	client, server       *quicgo.Config
	retry                bool
}

func newPeers(t testing.TB) *peers {
	return &peers{
		clientTLS: &tls.Config{ServerName: "quic.test", InsecureSkipVerify: true, NextProtos: []string{"echo", "h3"}},
		serverTLS: &tls.Config{Certificates: []tls.Certificate{certificate(t)}, NextProtos: []string{"echo"}},
		client:    &quicgo.Config{HandshakeIdleTimeout: 10 * time.Second},
		server:    &quicgo.Config{Allow0RTT: true, HandshakeIdleTimeout: 10 * time.Second},
	}
}

// listen starts the server: it sends back what comes on each stream.
func (e *peers) listen(t *testing.T) net.Addr {
	t.Helper()
	sock, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	tr := &quicgo.Transport{Conn: sock, VerifySourceAddress: func(net.Addr) bool { return e.retry }}
	ln, err := tr.ListenEarly(e.serverTLS, e.server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close(); tr.Close(); sock.Close() })
	go func() {
		for {
			c, err := ln.Accept(context.Background())
			if err != nil {
				return
			}
			go func() {
				for {
					s, err := c.AcceptStream(context.Background())
					if err != nil {
						return
					}
					go func() { io.Copy(s, s); s.Close() }()
				}
			}()
		}
	}()
	return sock.LocalAddr()
}

// talk connects through the point, and has n octets sent back. It gives how
// long the client says that the handshake took.
func (e *peers) talk(t *testing.T, p *point, early bool, n int) (time.Duration, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	addr := p.front.LocalAddr().String()
	began := time.Now()
	var c *quicgo.Conn
	var err error
	if early {
		c, err = quicgo.DialAddrEarly(ctx, addr, e.clientTLS, e.client)
	} else {
		c, err = quicgo.DialAddr(ctx, addr, e.clientTLS, e.client)
	}
	took := time.Since(began)
	if err != nil {
		return took, err
	}
	defer func() {
		c.CloseWithError(0, "")
		time.Sleep(30 * time.Millisecond)
	}()
	s, err := c.OpenStreamSync(ctx)
	if err != nil {
		return took, err
	}
	if _, err := s.Write(make([]byte, n)); err != nil {
		return took, err
	}
	s.Close()
	got, err := io.Copy(io.Discard, s)
	if err == nil && got != int64(n) {
		t.Errorf("%d octets came back of %d", got, n)
	}
	if early {
		<-c.HandshakeComplete()
	}
	return took, err
}
