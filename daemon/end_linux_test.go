package daemon_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"mirrorscope/internal/livelab"
)

// SIGTERM ends a run once: whoever sends it again costs nothing.
func TestTermTwice(t *testing.T) {
	l := livelab.New(t, livelab.Config{})
	s := start(t, l)
	sent, err := l.Flood(context.Background(), livelab.Flood{Frames: 6000, Rate: 50_000, Flows: 300, Packets: 20, Stack: true})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := s.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	exit, err := s.Wait(20 * time.Second)
	if err != nil || exit.Code != 0 {
		t.Fatalf("%+v, %v\n%s", exit, err, s.Stderr())
	}
	out := s.Stdout()
	if c := captureOf(t, out); c.Packets != sent.Frames || bytes.Count(out, []byte(`"type":"connection"`)) < 300 {
		t.Errorf("%d of %d frames, %d connections", c.Packets, sent.Frames, bytes.Count(out, []byte(`"type":"connection"`)))
	}
}

// Where the reader of standard output has left, and there is no other output,
// the run ends; with another one it goes on.
func TestNobodyReads(t *testing.T) {
	for _, other := range []bool{false, true} {
		l := livelab.New(t, livelab.Config{})
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		config := "[measure]\ninterval = \"1s\"\n[health]\nlisten = \"\"\n"
		if other {
			config += "[output.file]\ndirectory = \"" + t.TempDir() + "\"\n"
		}
		p, err := l.Sensor.Start(livelab.Command{
			Path: livelab.Build(t, "mirrorscope/cmd/sensor"), Stdout: w, Ready: ready,
			Args: []string{"run", "-i", livelab.CaptureName, "--stdout", "--config", file(t, "sensor.toml", config)},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, make([]byte, 10)); err != nil { // the first line, of an idle capture
			t.Fatal(err)
		}
		r.Close()
		w.Close()
		if other {
			time.Sleep(4 * time.Second)
			if !p.Running() {
				t.Fatalf("it ended, although there is a file\n%s", p.Stderr())
			}
			if exit, err := p.Stop(syscall.SIGTERM, 20*time.Second); err != nil {
				t.Errorf("%+v, %v", exit, err)
			}
			continue
		}
		exit, err := p.Wait(20 * time.Second)
		if err != nil || exit.Code != 1 || !strings.Contains(string(p.Stderr()), "nobody reads it any more") {
			t.Errorf("%+v, %v\n%s", exit, err, p.Stderr())
		}
	}
}

// A sensor whose interface is down says so to whoever asks, and to the log.
func TestDownIsNotHealthy(t *testing.T) {
	l := livelab.New(t, livelab.Config{})
	p, err := l.Sensor.Start(livelab.Command{
		Path: livelab.Build(t, "mirrorscope/cmd/sensor"), Args: []string{"run", "-i", livelab.CaptureName, "--config", file(t, "sensor.toml", "")}, ReadyURL: "http://127.0.0.1:9478/readyz",
	})
	if err != nil {
		t.Fatal(err)
	}
	client := l.Sensor.Client()
	answers := func(want int) {
		t.Helper()
		code := 0
		for range 50 {
			if code, _ = get(t, client, "/healthz"); code == want {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Errorf("/healthz: %d, want %d", code, want)
	}
	answers(200)
	setLink(t, l, false)
	answers(503)
	if _, body := get(t, client, "/healthz"); !strings.Contains(body, "down: cap0") {
		t.Errorf("/healthz says %q", body)
	}
	time.Sleep(1500 * time.Millisecond)
	setLink(t, l, true)
	answers(200)
	time.Sleep(1500 * time.Millisecond) // the log is told each second
	exit, err := p.Stop(syscall.SIGTERM, 20*time.Second)
	if err != nil || exit.Code != 0 {
		t.Errorf("%+v, %v", exit, err)
	}
	if log := p.Stderr(); !regexp.MustCompile(`level=WARN msg="nothing can be received.*interface=cap0`).Match(log) || !bytes.Contains(log, []byte("the interface is back")) {
		t.Errorf("the log:\n%s", log)
	}
}
