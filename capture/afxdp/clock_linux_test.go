package afxdp

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"
)

// The clock follows a wall clock that is set, tells so, and is otherwise as
// exact as its best sample.
func TestClock(t *testing.T) {
	var next sample
	c := &clock{read: func() (sample, error) { return next, nil }}
	c.set(sample{1000, 1400})
	for _, tc := range []struct {
		name    string
		s       sample
		stepped bool
		offset  int64
	}{
		{"the same", sample{1000, 1400}, false, 1200},
		{"worse: a preempted reading", sample{800, 90000}, false, 1200},
		{"better", sample{1250, 1290}, false, 1270},
		{"touching", sample{1290, 5000}, false, 1270},
		{"set ahead by 1 h", sample{3600e9, 3600e9 + 200}, true, 3600e9 + 100},
		{"ahead still", sample{3600e9 + 50, 3600e9 + 300}, false, 3600e9 + 100},
		{"set back by 1 µs", sample{3600e9 - 1000, 3600e9 - 800}, true, 3600e9 - 900},
		{"set back before 1970", sample{-5000, -4000}, true, -4500},
		{"a wide one beside it", sample{-3999, 100000}, true, 48000},
		{"narrow inside", sample{-3000, -2990}, false, -2995},
	} {
		next = tc.s
		stepped, err := c.follow()
		if err != nil || stepped != tc.stepped || c.offset.Load() != tc.offset {
			t.Errorf("%s: stepped %v, offset %d, %v; want %v, %d", tc.name, stepped, c.offset.Load(), err, tc.stepped, tc.offset)
		}
	}
	broken := errors.New("no clock")
	c.read = func() (sample, error) { return sample{}, broken }
	if _, err := c.follow(); !errors.Is(err, broken) {
		t.Errorf("follow: %v", err)
	}
}

// The offset of the machine's clocks is right within its bound: Go reads both
// clocks together, too.
func TestClockReal(t *testing.T) {
	c, err := newClock()
	if err != nil {
		t.Fatal(err)
	}
	if c.bound <= 0 {
		t.Errorf("the bound is %d ns", c.bound)
	}
	t.Logf("known to ± %d ns", c.bound)
	for try := 0; ; try++ {
		before := time.Now().UnixNano()
		wall := c.mono() + c.offset.Load()
		after := time.Now().UnixNano()
		// mono() is late by less than the system call that it was set with took.
		if wall >= before-c.bound-int64(time.Millisecond) && wall <= after+c.bound {
			break
		}
		if try == 3 { // the clock may have been set meanwhile
			t.Fatalf("%d is not between %d and %d", wall, before, after)
		}
		if _, err := c.follow(); err != nil {
			t.Fatal(err)
		}
	}
}

// A set clock is counted once, and the next frames have the new time.
func TestClockStep(t *testing.T) {
	l := newLab(t, 2, 1500)
	c := l.open(small(), bare{})
	l.send(frame(60, 1))
	first := read(t, c, 1)
	var ahead atomic.Int64
	ahead.Store(int64(time.Hour))
	c.rings[0].clock.read = func() (sample, error) {
		s, err := readClocks()
		return sample{s.low + ahead.Load(), s.high + ahead.Load()}, err
	}
	for range 3 {
		for _, r := range c.Rings() {
			must(t, r.Check(time.Now().UnixNano()))
		}
	}
	if n := count(t, c, "clock_step"); n != 1 {
		t.Errorf("%d steps counted", n)
	}
	l.send(frame(60, 2))
	second := read(t, c, 1)
	if len(first) != 1 || len(second) != 1 {
		t.Fatalf("%d and %d frames", len(first), len(second))
	}
	if d := time.Duration(second[0].Time - first[0].Time); d < time.Hour || d > time.Hour+time.Minute {
		t.Errorf("%v between two frames with an hour between them", d)
	}
}

// The horizon moves while the ring is empty, stands while something waits, and
// is never ahead of what a stamp is turned into.
func TestHorizon(t *testing.T) {
	l := newLab(t, 1, 1500)
	cfg := small()
	cfg.SlackUS = 5000
	c := l.open(cfg, bare{})
	r := c.rings[0]
	now := func() int64 { return r.clock.mono() + r.clock.offset.Load() }
	at := now()
	if h := r.Horizon(at); h != at-5_000_000 {
		t.Errorf("horizon %d before now, want 5 ms", at-h)
	}
	later := now()
	if h := r.Horizon(later + int64(time.Hour)); h > now()-5_000_000 || h < later-5_000_000 {
		t.Errorf("a wall clock that was set ahead gives a horizon %v from the stamps' clock", time.Duration(h-later))
	}
	before := r.Horizon(now())
	l.send(frame(60, 1))
	frames := func() (got []got) {
		for deadline := time.Now().Add(time.Second); r.empty() && time.Now().Before(deadline); {
			time.Sleep(time.Millisecond)
		}
		if h := r.Horizon(now()); h != before {
			t.Errorf("the horizon moved by %d ns past a frame that waits", h-before)
		}
		return read(t, c, 1)
	}()
	if len(frames) != 1 || frames[0].Time < before {
		t.Fatalf("%d frames, the first %d after the horizon", len(frames), frames[0].Time-before)
	}
	if h := r.Horizon(now()); h <= before {
		t.Error("the horizon stands although the ring is empty again")
	}
}

func TestCallsAllocs(t *testing.T) {
	l := newLab(t, 1, 1500)
	c := l.open(small(), bare{})
	r := c.Rings()[0]
	if n := testing.AllocsPerRun(100, func() {
		r.Horizon(1)
		r.Wake()
		r.Fill()
		r.FD()
	}); n != 0 {
		t.Errorf("%v allocations between frames, want 0", n)
	}
}
