package tlsmeta

import (
	"bytes"
	"crypto/tls"
	"math/rand/v2"
	"reflect"
	"testing"

	"golang.org/x/crypto/cryptobyte"
)

// plainClientHello is parseClientHello, read step by step.
func plainClientHello(body []byte, h *ClientHello, dtls bool) error {
	*h = ClientHello{}
	s := cryptobyte.String(body)
	var session, cookie, ciphers, compression, extensions cryptobyte.String
	if !s.ReadUint16(&h.Version) || !s.ReadBytes(&h.Random, 32) || !s.ReadUint8LengthPrefixed(&session) || len(session) > 32 ||
		dtls && !s.ReadUint8LengthPrefixed(&cookie) ||
		!s.ReadUint16LengthPrefixed(&ciphers) || len(ciphers)%2 != 0 || !s.ReadUint8LengthPrefixed(&compression) {
		return ErrMalformed
	}
	h.SessionID, h.Cookie, h.Ciphers, h.Compression = session, cookie, Numbers(ciphers), compression
	if s.Empty() {
		return nil
	}
	if !s.ReadUint16LengthPrefixed(&extensions) || !s.Empty() || !Typed(extensions).whole() {
		return ErrMalformed
	}
	h.Extensions = Typed(extensions)
	for typ, body, rest, ok := h.Extensions.next(); ok; typ, body, rest, ok = rest.next() {
		h.extension(typ, body)
	}
	return nil
}

// sameHello compares both ways to read a ClientHello.
func sameHello(t *testing.T, b []byte) {
	for _, dtls := range []bool{false, true} {
		var got, want ClientHello
		err, wantErr := parseClientHello(b, &got, dtls), plainClientHello(b, &want, dtls)
		if err != wantErr || err == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("%x: %v %+v, want %v %+v", b, err, got, wantErr, want)
		}
	}
}

// helloBodies are ClientHellos of crypto/tls, without their header.
func helloBodies(t testing.TB) (bodies [][]byte) {
	server := &tls.Config{Certificates: []tls.Certificate{certificate(t)}, NextProtos: []string{"h2"}}
	client := &tls.Config{InsecureSkipVerify: true, ServerName: "api.example.org", NextProtos: []string{"h2", "http/1.1"}}
	fromClient, _ := handshake(t, client, server)
	for _, m := range messages(fromClient) {
		if m[0] == msgClientHello {
			bodies = append(bodies, m[4:])
		}
	}
	return bodies
}

func TestClientHelloPlain(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 9))
	for _, body := range helloBodies(t) {
		sameHello(t, body)
		for n := range body {
			sameHello(t, body[:n])
		}
		for range 100_000 {
			b := bytes.Clone(body)
			for range 1 + rng.IntN(4) {
				b[rng.IntN(len(b))] = byte(rng.IntN(256) >> rng.IntN(8))
			}
			sameHello(t, b[:len(b)-rng.IntN(2)*rng.IntN(len(b))])
		}
	}
}

func FuzzClientHelloPlain(f *testing.F) {
	for _, b := range helloBodies(f) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) { sameHello(t, b) })
}
