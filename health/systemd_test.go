package health

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"testing"
	"time"
)

// manager is a service manager that only listens.
func manager(t *testing.T) *net.UnixConn {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	at := &net.UnixAddr{Name: filepath.Join(dir, "socket"), Net: "unixgram"}
	c, err := net.ListenUnixgram("unixgram", at)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv("NOTIFY_SOCKET", at.Name)
	return c
}

func heard(t *testing.T, c *net.UnixConn, within time.Duration) string {
	t.Helper()
	b := make([]byte, 1000)
	c.SetReadDeadline(time.Now().Add(within))
	n, err := c.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestNotify(t *testing.T) {
	m := manager(t)
	for _, test := range []struct {
		name string
		call func() error
		want string
	}{
		{"ready", func() error { return NotifyReady("captures on eth1") }, `^READY=1\nSTATUS=captures on eth1$`},
		{"status", func() error { return NotifyStatus("two\nlines\x00") }, `^STATUS=two lines $`},
		{"reloading", NotifyReloading, `^RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]*$`},
		{"stopping", func() error { return NotifyStopping("writes what is left") }, `^STOPPING=1\nSTATUS=writes what is left$`},
	} {
		if err := test.call(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if got := heard(t, m, 10*time.Second); !regexp.MustCompile(test.want).MatchString(got) {
			t.Errorf("%s: %q, want %s", test.name, got, test.want)
		}
	}
	t.Setenv("NOTIFY_SOCKET", "/nowhere/socket")
	if err := NotifyReady(""); err == nil {
		t.Error("no error where nobody listens")
	}
	os.Unsetenv("NOTIFY_SOCKET")
	if err := NotifyReady(""); err != nil {
		t.Errorf("without a service manager: %v", err)
	}
}

// The watchdog is fed while the loop advances, and not while it hangs.
func TestWatchdog(t *testing.T) {
	m := manager(t)
	t.Setenv("WATCHDOG_USEC", "60000")
	os.Unsetenv("WATCHDOG_PID")
	var turns atomic.Uint64
	var hangs atomic.Bool
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		done <- Watchdog(ctx, func() uint64 {
			if !hangs.Load() {
				turns.Add(1)
			}
			return turns.Load()
		})
	}()
	fed := func(times int) {
		t.Helper()
		for range times {
			if got := heard(t, m, 10*time.Second); got != "WATCHDOG=1" {
				t.Fatalf("heard %q", got)
			}
		}
	}
	fed(3)
	hangs.Store(true)
	for heard(t, m, 200*time.Millisecond) != "" { // what was on its way
	}
	if got := heard(t, m, 200*time.Millisecond); got != "" { // ten ticks
		t.Errorf("heard %q from a loop that hangs", got)
	}
	hangs.Store(false)
	fed(2)
	cancel()
	if err := <-done; err != nil {
		t.Errorf("Watchdog: %v", err)
	}
}

// Where no watchdog is asked for, or for another process, there is nothing to do.
func TestNoWatchdog(t *testing.T) {
	manager(t)
	beat := func() uint64 { t.Error("asked for a beat"); return 0 }
	os.Unsetenv("WATCHDOG_USEC")
	if err := Watchdog(context.Background(), beat); err != nil {
		t.Error(err)
	}
	t.Setenv("WATCHDOG_USEC", "1000")
	t.Setenv("WATCHDOG_PID", "1")
	if err := Watchdog(context.Background(), beat); err != nil {
		t.Error(err)
	}
	t.Setenv("WATCHDOG_USEC", "soon")
	t.Setenv("WATCHDOG_PID", "")
	if err := Watchdog(context.Background(), beat); err == nil {
		t.Error("no error for WATCHDOG_USEC=soon")
	}
}
