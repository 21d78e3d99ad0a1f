package live

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// serve runs a Server until the test ends.
func serve(t *testing.T) (*Server, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "run", "top.sock")
	s, err := Listen(path, "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the socket stays: %v", err)
		}
		if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".top*")); len(left) > 0 {
			t.Errorf("folders stay: %v", left)
		}
	})
	return s, path
}

func dial(t *testing.T, path string) *Client {
	t.Helper()
	c, err := Dial(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func top(n int) *Top { return &Top{Type: "top", Conversations: n, Rows: []Row{}} }

// wait waits until something holds.
func wait(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 1000 {
		if holds() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("in vain: " + what)
}

// Every client gets the latest Top at once and then each further one.
func TestServer(t *testing.T) {
	s, path := serve(t)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v, want mode 0600", info.Mode(), err)
	}
	early := dial(t, path)
	if h := early.Hello(); h != (Hello{"hello", Version, "1.2.3"}) {
		t.Errorf("hello: %+v", h)
	}
	s.Publish(top(1))
	if got, err := early.Next(); err != nil || got.Conversations != 1 {
		t.Fatalf("%+v %v", got, err)
	}
	late := dial(t, path)
	for _, c := range []*Client{late} {
		if got, err := c.Next(); err != nil || got.Conversations != 1 {
			t.Fatalf("%+v %v", got, err)
		}
	}
	s.Publish(top(2))
	for _, c := range []*Client{early, late} {
		got, err := c.Next()
		if err != nil || got.Conversations != 2 {
			t.Fatalf("%+v %v", got, err)
		}
		var again Top
		if err := json.Unmarshal(c.Line(), &again); err != nil || again.Conversations != 2 {
			t.Errorf("the line %q: %v", c.Line(), err)
		}
	}
	if n := s.Counts(); n.Now != 2 || n.Connected != 2 || n.Left+n.Refused != 0 {
		t.Errorf("%+v", n)
	}
	late.Close()
	wait(t, "a client that went away is forgotten", func() bool { return s.Counts().Now == 1 })
}

// A client that does not read is left, and holds up nobody.
func TestSlowClient(t *testing.T) {
	s, path := serve(t)
	slow, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	quick := dial(t, path)
	big := top(0)
	big.Rows = make([]Row, 2000)
	wait(t, "both are there", func() bool { return s.Counts().Now == 2 })
	for i := range 10 {
		next := *big
		next.Conversations = i
		s.Publish(&next)
		if got, err := quick.Next(); err != nil || got.Conversations != i {
			t.Fatalf("%d: %v", i, err)
		}
	}
	if n := s.Counts(); n.Now != 1 || n.Left != 1 {
		t.Errorf("%+v, want one left", n)
	}
}

// There are no more clients than the bound, and none that talk.
func TestTooManyClients(t *testing.T) {
	s, path := serve(t)
	for range maxClients {
		dial(t, path)
	}
	if _, err := Dial(path); !errors.Is(err, io.EOF) {
		t.Errorf("one too many: %v", err)
	}
	if n := s.Counts(); n.Now != maxClients || n.Refused != 1 {
		t.Errorf("%+v", n)
	}
}

func TestTalkativeClient(t *testing.T) {
	s, path := serve(t)
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	wait(t, "it is there", func() bool { return s.Counts().Now == 1 })
	if _, err := conn.Write([]byte("GET / HTTP/1.1\r\n")); err != nil {
		t.Fatal(err)
	}
	wait(t, "it is left", func() bool { return s.Counts().Now == 0 })
}

// A socket that is left over is replaced; one that is used, and a file, are not.
func TestListen(t *testing.T) {
	_, path := serve(t)
	if _, err := Listen(path, ""); err == nil || !strings.Contains(err.Error(), "another sensor") {
		t.Errorf("a socket that is used: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(file, ""); err == nil || !strings.Contains(err.Error(), "no socket") {
		t.Errorf("a file: %v", err)
	}
	left := filepath.Join(t.TempDir(), "left")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: left})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	s, err := Listen(left, "")
	if err != nil {
		t.Fatalf("a socket that is left over: %v", err)
	}
	if err := errors.Join(s.Close(), s.Close()); err != nil {
		t.Error(err)
	}
}

// Publish never waits, whoever calls it, and a reader may look at any time.
func TestPublishConcurrently(t *testing.T) {
	s, path := serve(t)
	dial(t, path) // reads nothing, and may be left for that
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 200 {
				s.Publish(top(i))
				_ = s.Latest()
			}
		})
	}
	all.Wait()
	s.Publish(top(1000))
	if got, err := dial(t, path).Next(); err != nil || got.Conversations != 1000 {
		t.Errorf("the latest: %+v, %v", got, err)
	}
}

// A Client takes what a later sensor may add, and says no to another version.
func TestClient(t *testing.T) {
	stream := `{"type":"hello","version":1,"sensor":"9","more":[1]}` + "\n" + `{"type":"news"}` + "\n" + `{"type":"top","conversations":5,"rows":[{"client":{"ip":"::1"},"new":1}]}` + "\n"
	c, err := NewClient(io.NopCloser(strings.NewReader(stream)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Next(); err != nil || got.Conversations != 5 || got.Rows[0].Client.IP != "::1" {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := c.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	if _, err := NewClient(io.NopCloser(strings.NewReader(`{"type":"hello","version":2}` + "\n"))); !errors.Is(err, ErrVersion) {
		t.Errorf("another version: %v", err)
	}
	if _, err := NewClient(io.NopCloser(strings.NewReader("nonsense\n"))); err == nil {
		t.Error("nonsense is no error")
	}
	if _, err := Dial(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no socket: %v", err)
	}
}
