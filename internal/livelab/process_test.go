//go:build linux

package livelab

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMain lets the test binary be the program that the process tests start.
func TestMain(m *testing.M) {
	if os.Getenv(helperVariable) == "" {
		os.Exit(m.Run())
	}
	os.Exit(helper())
}

const helperVariable = "LIVELAB_HELPER"

// start runs a helper in the sensor's namespace.
func start(t *testing.T, l *Lab, does string, c Command) (*Process, error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c.Path, c.Env = self, append(c.Env, helperVariable+"="+does)
	return l.Sensor.Start(c)
}

func TestProcess(t *testing.T) {
	l := New(t, Config{})
	p, err := start(t, l, "serve", Command{ReadyURL: "http://127.0.0.1:9090/healthz", CPU: 1})
	if err != nil {
		t.Fatal(err)
	}
	// It sees the namespace's devices, in both places.
	if out := string(p.Stdout()); out != "lo,cap0 lo,cap0\n" && out != "lo,cap0 cap0,lo\n" {
		t.Errorf("the program sees the devices %q", out)
	}
	cpu, err := p.CPU()
	if err != nil || cpu <= 0 || cpu > time.Minute {
		t.Errorf("CPU time %v, %v", cpu, err)
	}
	if u, err := p.Usage(); err != nil || u.CPU < cpu || u.System > time.Minute || u.Wakes == 0 {
		t.Errorf("usage %+v, %v", u, err)
	}
	if rss, err := p.RSS(); err != nil || rss < 1<<20 || rss > 1<<30 {
		t.Errorf("RSS %d, %v", rss, err)
	}
	status, err := os.ReadFile("/proc/" + itoa(p.PID()) + "/status")
	if err != nil || !regexp.MustCompile(`(?m)^Cpus_allowed_list:\t0$`).Match(status) {
		t.Errorf("%v\n%s", err, status)
	}
	if err := p.Signal(syscall.SIGHUP); err != nil {
		t.Error(err)
	}
	e, err := p.Stop(syscall.SIGTERM, 10*time.Second)
	if err != nil || e.Code != 3 || e.Signal != 0 || e.MaxRSS < 1<<20 || p.Running() {
		t.Errorf("%+v, %v", e, err)
	}
	if out := string(p.Stderr()); !strings.Contains(out, "hangup") || !strings.Contains(out, "terminated") {
		t.Errorf("signals came: %q", out)
	}
}

func TestProcessKilled(t *testing.T) {
	l := New(t, Config{})
	p, err := start(t, l, "serve", Command{Ready: regexp.MustCompile(`lo,`)})
	if err != nil {
		t.Fatal(err)
	}
	if e, err := p.Stop(syscall.SIGKILL, 10*time.Second); err != nil || e.Code != -1 || e.Signal != syscall.SIGKILL {
		t.Errorf("%+v, %v", e, err)
	}
	// One that nobody ends goes with the lab.
	p, err = start(t, l, "serve", Command{Ready: regexp.MustCompile(`lo,`)})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil || p.Running() {
		t.Errorf("it outlives the lab: %v", err)
	}
}

func TestProcessNotReady(t *testing.T) {
	l := New(t, Config{})
	if _, err := start(t, l, "fail", Command{Ready: regexp.MustCompile(`never`)}); !errors.Is(err, errEnded) || !strings.Contains(err.Error(), "no config") {
		t.Errorf("%v", err)
	}
	if _, err := start(t, l, "serve", Command{ReadyURL: "http://127.0.0.1:1/", Within: 100 * time.Millisecond}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v", err)
	}
	p, err := start(t, l, "serve", Command{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(10 * time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) || p.Running() {
		t.Errorf("%v", err)
	}
	if _, err := l.Sensor.Start(Command{Path: "/no/such/program"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
