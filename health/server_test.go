package health

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// state is what the test says of the capture.
type state struct{ healthy, ready atomic.Pointer[error] }

func (s *state) set(healthy, ready error) { s.healthy.Store(&healthy); s.ready.Store(&ready) }

func (s *state) State() State {
	return State{func() error { return *s.healthy.Load() }, func() error { return *s.ready.Load() }}
}

// up serves c until the test ends.
func up(t *testing.T, c Config, mount map[string]http.Handler) (*Server, *state) {
	t.Helper()
	s := &state{}
	s.set(nil, nil)
	h, err := Open(c, s.State(), mount, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return h, s
}

func port(a net.Addr) int { return a.(*net.TCPAddr).Port }

// get gives "status body". token is sent when there is one.
func get(t *testing.T, url, token string) string {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	res, err := client.Do(r)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return fmt.Sprintf("%d %s", res.StatusCode, strings.TrimSpace(string(body)))
}

var figures = map[string]http.Handler{"GET /metrics": http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "figures") })}

// On loopback everything is told to everyone; a probe is told yes or no.
func TestLoopback(t *testing.T) {
	h, s := up(t, Config{Listen: "127.0.0.1:0", ProbeHTTP: "[::1]:0", MaxConnections: 4}, figures)
	listen := fmt.Sprintf("http://127.0.0.1:%d", port(h.Addr("listen")))
	probe := fmt.Sprintf("http://[::1]:%d", port(h.Addr("probe_http")))
	check := func(when string, want map[string]string) {
		t.Helper()
		for url, answer := range want {
			if got := get(t, url, ""); got != answer {
				t.Errorf("%s: %s says %q, want %q", when, url, got, answer)
			}
		}
	}
	check("all is well", map[string]string{
		listen + "/healthz": "200 ok", listen + "/readyz": "200 ok", listen + "/metrics": "200 figures", listen + "/": "404 404 page not found",
		probe + "/healthz": "200 ok", probe + "/readyz": "200 ok", probe + "/metrics": "404 404 page not found",
	})
	s.set(nil, errors.New("no clock yet"))
	check("not ready", map[string]string{
		listen + "/healthz": "200 ok", listen + "/readyz": "503 no clock yet", listen + "/metrics": "200 figures",
		probe + "/healthz": "200 ok", probe + "/readyz": "503 unavailable",
	})
	s.set(errors.New("eth1 is gone"), errors.New("eth1 is gone"))
	check("stopped", map[string]string{
		listen + "/healthz": "503 eth1 is gone", listen + "/metrics": "200 figures",
		probe + "/healthz": "503 unavailable",
	})
	res, err := http.Post(listen+"/healthz", "text/plain", strings.NewReader("x"))
	if err != nil || res.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %v, %v", res, err)
	}
}

// certify writes a certificate with a name to files.
func certify(t *testing.T, name, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, &template, &template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})))
	write(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// exposedConfig is one beyond loopback, with its files.
func exposedConfig(t *testing.T, token string) Config {
	dir := t.TempDir()
	c := Config{
		Listen: "0.0.0.0:0", MaxConnections: 4,
		TokenFile: filepath.Join(dir, "token"), CertFile: filepath.Join(dir, "cert"), KeyFile: filepath.Join(dir, "key"),
	}
	write(t, c.TokenFile, token+"\n")
	certify(t, "one.example", c.CertFile, c.KeyFile)
	return c
}

// Beyond loopback there is TLS and a token, and without one only yes or no.
func TestExposed(t *testing.T) {
	const token = "0123456789abcdef"
	h, s := up(t, exposedConfig(t, token), figures)
	s.set(nil, errors.New("secret reason"))
	at := fmt.Sprintf("127.0.0.1:%d", port(h.Addr("listen")))
	for _, test := range []struct{ path, token, want string }{
		{"/healthz", "", "200 ok"},
		{"/readyz", "", "503 unavailable"},
		{"/metrics", "", "401 a token is needed"},
		{"/metrics", token, "200 figures"},
		{"/metrics", token + "0", "401 a token is needed"},
		{"/metrics", token[:15], "401 a token is needed"},
	} {
		if got := get(t, "https://"+at+test.path, test.token); got != test.want {
			t.Errorf("%s with %q: %q, want %q", test.path, test.token, got, test.want)
		}
	}
	if got := get(t, "http://"+at+"/healthz", ""); !strings.HasPrefix(got, "400") && !strings.Contains(got, "malformed") && !strings.Contains(got, "EOF") {
		t.Errorf("without TLS: %q", got)
	}
	if _, err := tls.Dial("tcp", at, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
		t.Error("TLS 1.1 is spoken")
	}
	for _, header := range []string{"Basic " + token, token, "Bearer", "bearer   " + token} {
		r, _ := http.NewRequest(http.MethodGet, "https://"+at+"/metrics", nil)
		r.Header.Set("Authorization", header)
		client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if want := map[bool]int{true: 200, false: 401}[strings.HasPrefix(header, "bearer")]; res.StatusCode != want {
			t.Errorf("%q: %d, want %d", header, res.StatusCode, want)
		}
	}
}

// Reload takes a new token and certificate, both or none.
func TestReload(t *testing.T) {
	const old, new = "0123456789abcdef", "fedcba9876543210"
	c := exposedConfig(t, old)
	h, _ := up(t, c, figures)
	at := fmt.Sprintf("127.0.0.1:%d", port(h.Addr("listen")))
	name := func() string {
		conn, err := tls.Dial("tcp", at, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].DNSNames[0]
	}
	check := func(when, token, other, cert string) {
		t.Helper()
		if good, bad, n := get(t, "https://"+at+"/metrics", token), get(t, "https://"+at+"/metrics", other), name(); good != "200 figures" || !strings.HasPrefix(bad, "401") || n != cert {
			t.Errorf("%s: %q with the token, %q without, certificate of %s", when, good, bad, n)
		}
	}
	check("at first", old, new, "one.example")

	write(t, c.TokenFile, new)
	write(t, c.CertFile, "no certificate")
	if err := h.Reload(); err == nil || !strings.Contains(err.Error(), "cert_file") {
		t.Errorf("Reload: %v", err)
	}
	check("after a bad certificate", old, new, "one.example")

	certify(t, "two.example", c.CertFile, c.KeyFile)
	if err := h.Reload(); err != nil {
		t.Fatal(err)
	}
	check("after reload", new, old, "two.example")

	for _, bad := range []func(){
		func() { write(t, c.TokenFile, "short") },
		func() { write(t, c.TokenFile, new); os.Chmod(c.TokenFile, 0o644) },
		func() { os.Remove(c.TokenFile) },
	} {
		bad()
		if err := h.Reload(); err == nil || !strings.Contains(err.Error(), "token_file") {
			t.Errorf("Reload: %v", err)
		}
	}
	check("after bad tokens", new, old, "two.example")
}

// A token on loopback is asked for as well.
func TestTokenOnLoopback(t *testing.T) {
	c := DefaultConfig()
	c.Listen, c.TokenFile = "127.0.0.1:0", filepath.Join(t.TempDir(), "token")
	write(t, c.TokenFile, "0123456789abcdef")
	h, _ := up(t, c, figures)
	at := fmt.Sprintf("http://127.0.0.1:%d", port(h.Addr("listen")))
	for path, want := range map[string]string{"/metrics": "401 a token is needed", "/healthz": "200 ok"} {
		if got := get(t, at+path, ""); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// One connection too many is closed; when another ends, there is room again.
func TestMaxConnections(t *testing.T) {
	h, _ := up(t, Config{ProbeHTTP: "127.0.0.1:0", MaxConnections: 2}, nil)
	at := h.Addr("probe_http").String()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		return c
	}
	ask := func(c net.Conn) string {
		fmt.Fprint(c, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
		res, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			return err.Error()
		}
		defer res.Body.Close()
		return res.Status
	}
	a, b := dial(), dial()
	defer b.Close()
	if got := ask(a) + ask(b); got != "200 OK200 OK" {
		t.Errorf("two connections: %q", got)
	}
	c := dial()
	defer c.Close()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a third one: %d, %v, want it closed", n, err)
	}
	a.Close()
	for got, tries := "", 0; got != "200 OK"; tries++ {
		c := dial()
		if got = ask(c); got != "200 OK" && tries == 200 {
			t.Fatalf("after one was closed: %q", got)
		}
		c.Close()
		time.Sleep(10 * time.Millisecond)
	}
}

// Long headers, slow ones and long bodies get nowhere.
func TestBounds(t *testing.T) {
	read := make(chan error, 1)
	h, err := Open(Config{Listen: "127.0.0.1:0", MaxConnections: 4}, State{}, map[string]http.Handler{
		"POST /upload": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, err := io.ReadAll(r.Body); read <- err }),
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if s := h.https[0].server; s.ReadHeaderTimeout <= 0 || s.ReadTimeout <= 0 || s.WriteTimeout <= 0 || s.IdleTimeout <= 0 {
		t.Errorf("a time without a bound: %+v", s)
	}
	h.https[0].server.ReadHeaderTimeout = 20 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go h.Serve(ctx)
	at := h.Addr("listen").String()

	slow, err := net.Dial("tcp", at)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	slow.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(slow, "GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	if answer, err := io.ReadAll(slow); errors.Is(err, os.ErrDeadlineExceeded) || strings.Contains(string(answer), "200") {
		t.Errorf("a slow header: %q, %v", answer, err)
	}

	r, _ := http.NewRequest(http.MethodGet, "http://"+at+"/healthz", nil)
	r.Header.Set("X-Long", strings.Repeat("l", headerLen+8<<10))
	res, err := http.DefaultClient.Do(r)
	if err != nil || res.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a long header: %v, %v", res, err)
	}

	http.Post("http://"+at+"/upload", "text/plain", strings.NewReader(strings.Repeat("b", bodyLen+1)))
	var tooLarge *http.MaxBytesError
	if err := <-read; !errors.As(err, &tooLarge) {
		t.Errorf("a long body: %v", err)
	}
}

// What cannot be opened is told by its field, and leaves nothing open.
func TestOpenErrors(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	at := free.Addr().String()
	for _, c := range []struct {
		config Config
		want   string
	}{
		{Config{Listen: taken.Addr().String(), MaxConnections: 1}, "listen"},
		{Config{Listen: at, ProbeHTTP: taken.Addr().String(), MaxConnections: 1}, "probe_http"},
		{Config{Listen: at, ProbeTCP: taken.Addr().String(), MaxConnections: 1}, "probe_tcp"},
	} {
		if _, err := Open(c.config, State{}, nil, slog.New(slog.DiscardHandler)); !errors.Is(err, syscall.EADDRINUSE) || !strings.HasPrefix(err.Error(), c.want+":") {
			t.Errorf("%s: %v", c.want, err)
		}
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatalf("left open: %v", err)
		}
		l.Close()
	}
	if _, err := Open(Config{Listen: "127.0.0.1:0", TokenFile: "/nowhere/token", MaxConnections: 1}, State{}, nil, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), "token_file") {
		t.Errorf("a missing token: %v", err)
	}
}
