package health

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"
)

// freePort gives an address that nobody listens at.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// The port accepts while capture runs, is refused by the system while it does
// not, follows each change, and ends with the server.
func TestProbeTCP(t *testing.T) {
	h, s := up(t, Config{ProbeTCP: freePort(t), MaxConnections: 8}, nil)
	at := h.Addr("probe_tcp").String()
	dial := func() (string, net.Conn) {
		c, err := net.Dial("tcp", at)
		switch {
		case errors.Is(err, syscall.ECONNREFUSED):
			return "refused", nil
		case err != nil:
			return err.Error(), nil
		}
		return "accepted", c
	}
	becomes := func(want string) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			got, c := dial()
			if c != nil {
				c.Close()
			}
			if got == want {
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%s, want %s", got, want)
			}
		}
	}
	for range 3 {
		becomes("accepted")
		s.set(errors.New("stopped"), nil)
		becomes("refused")
		for range 20 { // and it stays so
			if got, _ := dial(); got != "refused" {
				t.Fatalf("while stopped: %s", got)
			}
		}
		s.set(nil, nil)
	}
	becomes("accepted")

	// A probe that says something is read and closed, and so is one that waits.
	_, c := dial()
	c.SetDeadline(time.Now().Add(20 * time.Second))
	c.Write([]byte("hello?"))
	c.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(c); len(b) != 0 || err != nil {
		t.Errorf("%q, %v", b, err)
	}
	_, idle := dial()
	idle.SetDeadline(time.Now().Add(20 * time.Second))
	if n, err := idle.Read(make([]byte, 1)); n != 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("an idle probe stays connected: %v", err)
	}
}

// At start nobody is told that capture runs before it does.
func TestProbeTCPBeforeServe(t *testing.T) {
	s := &state{}
	s.set(nil, nil)
	h, err := Open(Config{ProbeTCP: freePort(t), MaxConnections: 8}, s.State(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if _, err := net.Dial("tcp", h.Addr("probe_tcp").String()); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("before Serve: %v", err)
	}
}
