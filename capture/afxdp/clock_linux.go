package afxdp

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// clock turns the monotonic time of a stamp into wall time. The kernel runs
// both clocks at the same rate, slewing included, so that their difference is
// constant until the wall clock is set. It is known as exactly as two system
// calls are short: some hundred nanoseconds.
type clock struct {
	offset atomic.Int64 // CLOCK_REALTIME - CLOCK_MONOTONIC, ns

	mu    sync.Mutex
	bound int64 // the offset is right within ± bound ns
	read  func() (sample, error)

	// Go's monotonic clock is CLOCK_MONOTONIC less a constant, and can be read
	// without a system call.
	base     time.Time
	baseMono int64
}

// sample is one reading of both clocks: the offset lies in [low, high].
type sample struct {
	low, high int64 // ns
}

func (s sample) middle() int64 { return s.low + (s.high-s.low)/2 }

// newClock takes a first sample.
func newClock() (*clock, error) {
	c := &clock{read: readClocks, base: time.Now()}
	mono, err := readClock(unix.CLOCK_MONOTONIC)
	if err != nil {
		return nil, err
	}
	// The clock was read after base: what lies between makes mono() late.
	c.baseMono = mono - int64(time.Since(c.base))
	s, err := c.read()
	if err != nil {
		return nil, err
	}
	c.set(s)
	return c, nil
}

// mono is CLOCK_MONOTONIC, ns, late by less than a system call takes.
func (c *clock) mono() int64 { return c.baseMono + int64(time.Since(c.base)) }

// follow takes a new sample. It is true if the wall clock was set since the
// last one: the old offset cannot be right any more. Otherwise the sample
// serves only where it is the more exact one.
func (c *clock) follow() (stepped bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := c.read()
	if err != nil {
		return false, err
	}
	old := c.offset.Load()
	if s.high < old-c.bound || s.low > old+c.bound {
		c.set(s)
		return true, nil
	}
	if s.high-s.low < 2*c.bound {
		c.set(s)
	}
	return false, nil
}

func (c *clock) set(s sample) {
	c.offset.Store(s.middle())
	c.bound = (s.high - s.low + 1) / 2
}

// readClocks reads the wall clock between two readings of the monotonic one,
// three times, and gives the closest.
func readClocks() (sample, error) {
	var best sample
	for i := range 3 {
		before, err := readClock(unix.CLOCK_MONOTONIC)
		if err != nil {
			return sample{}, err
		}
		wall, err := readClock(unix.CLOCK_REALTIME)
		if err != nil {
			return sample{}, err
		}
		after, err := readClock(unix.CLOCK_MONOTONIC)
		if err != nil {
			return sample{}, err
		}
		if s := (sample{wall - after, wall - before}); i == 0 || s.high-s.low < best.high-best.low {
			best = s
		}
	}
	return best, nil
}

func readClock(id int32) (int64, error) {
	var t unix.Timespec
	if err := unix.ClockGettime(id, &t); err != nil {
		return 0, fmt.Errorf("read clock %d: %w", id, err)
	}
	return t.Nano(), nil
}
