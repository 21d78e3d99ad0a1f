package main

import (
	"bytes"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// screen is a writer that may be read while another goroutine draws.
type screen struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func TestProgress(t *testing.T) {
	for name, total := range map[string]int64{"file": 1000, "pipe": -1} {
		var s screen
		var read atomic.Int64
		stop := showProgress(&s, func() (int64, int64) { return read.Load(), total })
		deadline := time.Now().Add(10 * time.Second)
		for drawn := s.String(); s.String() == drawn && time.Now().Before(deadline); {
			read.Add(100)
			time.Sleep(progressEvery / 4)
		}
		stop()
		out := s.String()
		if !strings.Contains(out, "reading") {
			t.Errorf("%s: drew %q", name, out)
		}
		if last := out[strings.LastIndex(strings.TrimRight(out, "\r"), "\r")+1:]; strings.TrimSpace(last) != "" {
			t.Errorf("%s: %q is left on the line", name, last)
		}
		time.Sleep(2 * progressEvery)
		if again := s.String(); again != out {
			t.Errorf("%s: drew %q after it was stopped", name, again[len(out):])
		}
	}
}

func TestProgressDisturbsNobody(t *testing.T) {
	if progressFits(&streams{out: &bytes.Buffer{}, err: &bytes.Buffer{}}, formatTable) {
		t.Error("a bar is drawn on what is no terminal")
	}
	if terminalWidth(&bytes.Buffer{}) != 0 || colour(&bytes.Buffer{}) {
		t.Error("what is no terminal has a width or colour")
	}
}
