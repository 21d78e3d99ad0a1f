//go:build linux

// Package rings makes one Source of the rings of a live capture: frames of all
// of them in order of time, a clock while there are none, and an end when it is
// told to stop.
//
// The kernel spreads frames over the rings so that both directions of a
// connection meet in one of them, but not a tunnel's fragments, and not through
// the queues of a network card: so frames are merged by time. A frame is held
// back until no ring can still have an earlier one (Ring.Horizon), which takes
// some milliseconds; with a single ring nothing is held back.
package rings

import (
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"mirrorscope/capture"
)

// Interface is one interface and the rings on it.
type Interface struct {
	Name  string
	Rings []capture.Ring
	// Stop ends reception. What was received before can still be read.
	Stop func() error
	// Close frees everything, the rings included.
	Close func() error
	// Losses, if set, tells what was lost before the rings; it may be called
	// from any goroutine.
	Losses func() []capture.Loss
}

// Source merges rings. Next and what it calls belong to one goroutine; Stop,
// Losses, Events, Fill and Beat may be called from any.
type Source struct {
	faces []Interface
	names []string
	rings []ring
	polls []unix.PollFd
	one   [1]capture.Frame // of Next

	spillers []capture.Spiller // rings of which little can wait
	spilled  int               // frames given out since they were looked at, where there are several rings

	mu   sync.Mutex // guards wake, and that nobody writes to it once it is closed
	wake int        // eventfd: Stop was called; -1 closed

	stop    atomic.Bool
	stopped int64     // ns; reception ended then; 0 it has not
	since   time.Time // … by the monotonic clock
	started time.Time // both clocks, when it began
	ahead   int64     // ns by which the wall clock was ahead of the other since then, as last seen
	failed  error     // what Next gives when all is drained
	reasons []error   // of failed, each once

	frames  int   // given out since the latest look
	checked int64 // ns; of the latest Check
	clock   int64 // ns; the latest that was given with ErrIdle
	beat    atomic.Int64
}

type ring struct {
	capture.Ring
	face    uint32
	frames  [batchLen]capture.Frame // lent by the ring; those from at to n are still to be given out
	at, n   int
	busy    bool  // it has given frames since it was last let alone, or waited for
	horizon int64 // while it has none
	failed  bool
}

// batchLen is how many frames are taken out of a ring at a time where there are
// several.
const batchLen = 64

const (
	idleWait   = 100 * time.Millisecond // the longest wait for a frame
	checkEvery = 100 * time.Millisecond // between two Checks of the rings
	holdWait   = 2 * time.Millisecond   // between two looks at the rings that hold back the frames of others
	stopWait   = time.Millisecond       // between two looks once reception has ended
	lookEvery  = 4096                   // frames between two looks at the clock
	spillEvery = 512                    // … and at rings that may become full
)

// New takes over the interfaces: Close closes them, as New does when it fails.
func New(faces ...Interface) (*Source, error) {
	s := &Source{faces: faces, wake: -1}
	for i, f := range faces {
		s.names = append(s.names, f.Name)
		for _, r := range f.Rings {
			s.rings = append(s.rings, ring{Ring: r, face: uint32(i)})
			if x, ok := r.(capture.Spiller); ok && x.Spills() {
				s.spillers = append(s.spillers, x)
			}
			s.polls = append(s.polls, unix.PollFd{Fd: int32(r.FD()), Events: unix.POLLIN})
		}
	}
	var err error
	if s.wake, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		s.wake = -1
		return nil, errors.Join(fmt.Errorf("eventfd: %w", err), s.Close())
	}
	s.polls = append(s.polls, unix.PollFd{Fd: int32(s.wake), Events: unix.POLLIN})
	if len(s.rings) == 0 {
		return nil, errors.Join(errors.New("no interface to capture on"), s.Close())
	}
	s.started = time.Now()
	s.beat.Store(s.started.UnixNano())
	return s, nil
}

// Next gives the next frame of all rings, ErrIdle with the clock after at most
// a tenth of a second without one, and io.EOF when Stop was called and all that
// came before was given out. Its other errors end the capture, too, and come
// when the rings are empty.
func (s *Source) Next(f *capture.Frame) error {
	_, err := s.NextBatch(s.one[:])
	if err == nil || errors.Is(err, capture.ErrIdle) {
		*f = s.one[0]
	}
	return err
}

// NextBatch is that of capture.Batcher. With ErrIdle the first frame has the
// clock.
func (s *Source) NextBatch(fs []capture.Frame) (int, error) {
	if s.frames >= lookEvery {
		s.frames = 0
		s.look(time.Now().UnixNano())
	}
	if s.spilled >= spillEvery { // one ring waits while what others hold back is given out
		s.spilled = 0
		if len(s.rings) > 1 {
			s.Spill(capture.Crowded)
		}
	}
	n := s.take(fs)
	if n == 0 {
		var err error
		if n, err = s.await(fs); err != nil {
			return 0, err
		}
	}
	s.frames += n
	s.spilled += n
	return n, nil
}

// take gives the frames that are at hand.
func (s *Source) take(fs []capture.Frame) int {
	if len(s.rings) > 1 {
		for i := range s.rings {
			if r := &s.rings[i]; r.n > 0 && r.at == r.n {
				r.pull()
			}
		}
		return s.merge(fs, false)
	}
	r := &s.rings[0]
	if r.at < r.n {
		return s.merge(fs, false)
	}
	n := r.NextBatch(fs)
	r.busy = r.busy || n > 0
	for i := range n {
		fs[i].Interface = r.face
	}
	return n
}

// await gives the next frames, or why there are none.
func (s *Source) await(fs []capture.Frame) (int, error) {
	for waited := false; ; {
		now := time.Now().UnixNano()
		s.look(now)
		held := false
		for i := range s.rings {
			r := &s.rings[i]
			if !r.has() && !r.pull() {
				r.horizon = r.Horizon(now)
			}
			held = held || r.has()
		}
		drained := s.drained(now, held)
		if n := s.merge(fs, drained); n > 0 {
			return n, nil
		}
		switch {
		case drained && s.failed != nil:
			return 0, s.failed
		case drained:
			return 0, io.EOF
		case s.stopped != 0 && held:
			time.Sleep(stopWait)
		case held:
			time.Sleep(holdWait)
		case s.gather():
			// Then they are looked at again.
		case waited:
			s.clock = max(s.clock, s.horizon())
			fs[0] = capture.Frame{Time: s.clock}
			return 0, capture.ErrIdle
		default:
			s.wait()
			waited = true
		}
	}
}

// Spill implements capture.Spiller for the rings that do.
func (s *Source) Spill(share float64) {
	for _, r := range s.spillers {
		r.Spill(share)
	}
}

// Spills implements capture.Spiller.
func (s *Source) Spills() bool { return len(s.spillers) > 0 }

// has tells whether there is a frame at hand.
func (r *ring) has() bool { return r.at < r.n }

// pull asks a ring for its next frames; those that it lent are gone.
func (r *ring) pull() bool {
	r.at, r.n = 0, r.NextBatch(r.frames[:])
	r.busy = r.busy || r.n > 0
	return r.n > 0
}

// merge lends the frames at hand in order of time, as far as no ring can have an
// earlier one; with all, those without any are not looked at. It ends where a
// ring must be asked again, since that would take back what it has lent.
func (s *Source) merge(fs []capture.Frame, all bool) (n int) {
	for n < len(fs) {
		r, limit := s.first(all)
		if r == nil {
			return n
		}
		before := n
		for n < len(fs) && r.has() && r.frames[r.at].Time <= limit {
			fs[n] = r.frames[r.at]
			fs[n].Interface = r.face
			n++
			r.at++
		}
		if n == before || !r.has() {
			return n
		}
	}
	return n
}

// first is the ring with the earliest frame at hand, nil for none, and the time
// up to which its frames come before those of all others. Of frames of the same
// time that of the first ring comes first.
func (s *Source) first(all bool) (first *ring, limit int64) {
	limit = math.MaxInt64
	var earliest int64
	for i := range s.rings {
		switch r := &s.rings[i]; {
		case !r.has():
			if !r.failed && !all {
				limit = min(limit, r.horizon)
			}
		case first == nil:
			first, earliest = r, r.frames[r.at].Time
		default:
			if t := r.frames[r.at].Time; t < earliest {
				limit = min(limit, earliest-1)
				first, earliest = r, t
			} else {
				limit = min(limit, t)
			}
		}
	}
	return first, limit
}

// horizon is the time before which no ring can have a frame any more.
func (s *Source) horizon() int64 {
	low := int64(0)
	for i := range s.rings {
		if r := &s.rings[i]; low == 0 || r.horizon < low {
			low = r.horizon
		}
	}
	return low
}

// drained tells whether nothing more can come: reception has ended, and every
// ring has given what it had got by then.
func (s *Source) drained(now int64, held bool) bool {
	// Right after the end a frame may still be on its way into its ring; and where
	// the clock was set back the rings' horizons lie ahead of it.
	if s.stopped == 0 || time.Since(s.since) < settleWait {
		return false
	}
	return held && s.horizonOfEmpty() >= s.stopped || !held && (s.horizon() >= s.stopped || now-s.stopped > int64(drainWait))
}

// settleWait is how long the kernel gets to finish what it has in hand.
const settleWait = 20 * time.Millisecond

// drainWait bounds how long is waited for rings whose clock cannot be told.
const drainWait = 2 * time.Second

func (s *Source) horizonOfEmpty() int64 {
	low := int64(1<<63 - 1)
	for i := range s.rings {
		if r := &s.rings[i]; !r.has() && !r.failed {
			low = min(low, r.horizon)
		}
	}
	return low
}

// gather lets rings that have just given frames alone for as long as they say.
// It is false where there is none.
func (s *Source) gather() bool {
	if s.stopped != 0 {
		return false
	}
	var d time.Duration
	for i := range s.rings {
		r := &s.rings[i]
		if !r.busy {
			continue
		}
		r.busy = false
		if g := r.Gather(); g > 0 && (d == 0 || g < d) {
			d = g
		}
	}
	if d == 0 {
		return false
	}
	// No system call of ours: around those the Go runtime has much to do where
	// there is one core.
	time.Sleep(d)
	return true
}

// wait sleeps until a ring has something, but not for long.
func (s *Source) wait() {
	for i := range s.rings {
		r := &s.rings[i]
		s.polls[i].Fd = int32(r.FD())
		if r.failed {
			s.polls[i].Fd = -1
		}
		r.Wake()
	}
	d := idleWait
	if s.stopped != 0 {
		s.polls[len(s.rings)].Fd = -1 // known already
		d = stopWait
	}
	timeout := unix.NsecToTimespec(int64(d))
	_, _ = unix.Ppoll(s.polls, &timeout, nil) // interrupted or not: the rings are looked at next
	for i := range s.rings {
		if s.polls[i].Revents&(unix.POLLERR|unix.POLLHUP|unix.POLLNVAL) != 0 {
			s.checked = 0                // an interface that went down: Check takes note of it
			time.Sleep(time.Millisecond) // poll gives this at once, as long as it lasts
			return
		}
	}
}

// look does what is due at a moment: whoever waits for a heartbeat sees one,
// the rings look after themselves, and reception ends when it is to.
func (s *Source) look(now int64) {
	s.beat.Store(now)
	s.clocks()
	if s.stop.Load() && s.stopped == 0 {
		s.end(now, nil)
	}
	if d := now - s.checked; d >= 0 && d < int64(checkEvery) {
		return
	}
	s.checked = now
	for i := range s.rings {
		r := &s.rings[i]
		if r.failed {
			continue
		}
		if err := r.Check(now); err != nil {
			r.failed = true
			s.end(now, fmt.Errorf("%s: %w", s.names[r.face], err))
		}
	}
}

// maxSetBack is how far the wall clock may be set back, in one go, before the
// capture must begin anew: packet time does not run backwards.
const maxSetBack = 2 * time.Second

// clocks ends the capture when the wall clock was set back. What packets say of
// time would be of the future for as long as it takes the clock to catch up.
func (s *Source) clocks() {
	now := time.Now()
	ahead := now.Round(0).Sub(s.started.Round(0)) - now.Sub(s.started)
	if back := s.ahead - int64(ahead); back > int64(maxSetBack) && s.stopped == 0 {
		s.end(now.UnixNano(), fmt.Errorf("the clock was set back by %v: %w", time.Duration(back).Round(time.Millisecond), capture.ErrRestart))
	}
	s.ahead = int64(ahead)
}

// end ends reception. What all rings of an interface say of it is kept once.
func (s *Source) end(now int64, why error) {
	if why != nil && !slices.ContainsFunc(s.reasons, func(r error) bool { return r.Error() == why.Error() }) {
		s.reasons = append(s.reasons, why)
		s.failed = errors.Join(s.failed, why)
	}
	if s.stopped != 0 {
		return
	}
	for i := range s.faces {
		if f := &s.faces[i]; f.Stop != nil {
			if err := f.Stop(); err != nil && why == nil {
				s.failed = errors.Join(s.failed, fmt.Errorf("%s: stop: %w", f.Name, err))
			}
		}
	}
	s.since = time.Now()
	s.stopped = max(now, s.since.UnixNano())
}

// Stop ends reception: Next then gives what was received, and io.EOF.
func (s *Source) Stop() {
	s.stop.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wake >= 0 {
		one := [8]byte{1}
		_, _ = unix.Write(s.wake, one[:]) // a counter that is full wakes as well
	}
}

// Interfaces names the interfaces.
func (s *Source) Interfaces() []string { return s.names }

// Errors gives none: what ends a live capture is given by Next.
func (s *Source) Errors() []error { return nil }

// Fill is the share of the fullest ring that waits to be read.
func (s *Source) Fill() float64 {
	fill := 0.0
	for i := range s.rings {
		fill = max(fill, s.rings[i].Fill())
	}
	return fill
}

// Beat is the wall clock, ns, when the reader last came by; it does so at least
// each tenth of a second unless what follows it is stuck.
func (s *Source) Beat() int64 { return s.beat.Load() }

// Losses adds up what was lost, by place, over all rings and interfaces.
func (s *Source) Losses() []capture.Loss {
	var sum []capture.Loss
	for i := range s.rings {
		sum = capture.AddLosses(sum, s.rings[i].Stats().Losses...)
	}
	for i := range s.faces {
		if f := s.faces[i].Losses; f != nil {
			sum = capture.AddLosses(sum, f()...)
		}
	}
	return sum
}

// Events adds up what befell the rings.
func (s *Source) Events() []capture.Loss {
	var sum []capture.Loss
	for i := range s.rings {
		sum = capture.AddLosses(sum, s.rings[i].Stats().Events...)
	}
	return sum
}

// Down names the interfaces that can receive nothing now, as they are down or
// have vanished.
func (s *Source) Down() (names []string) {
	for i := range s.faces {
		down := len(s.faces[i].Rings) > 0
		for _, r := range s.faces[i].Rings {
			d, ok := r.(interface{ Down() bool })
			down = down && ok && d.Down()
		}
		if down {
			names = append(names, s.names[i])
		}
	}
	return names
}

// Received is how many frames the rings have given out.
func (s *Source) Received() (frames, octets uint64) {
	for i := range s.rings {
		st := s.rings[i].Stats()
		frames += st.Frames
		octets += st.Bytes
	}
	return frames, octets
}

// Close frees the interfaces.
func (s *Source) Close() error {
	var errs []error
	for i := range s.faces {
		if f := &s.faces[i]; f.Close != nil {
			errs = append(errs, f.Close())
			f.Close = nil
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.wake >= 0 {
		errs = append(errs, unix.Close(s.wake))
		s.wake = -1
	}
	return errors.Join(errs...)
}
