package afpacket

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"mirrorscope/capture"
)

// state is where a ring stands to its interface.
//
//	waiting ──attach──► attached ──interface vanished──► gone
//	   ▲                                                  │
//	   └────────── all given out; a fresh socket ◄────────┘
//
// An interface that only goes down and up leaves a ring attached: the kernel
// takes its hook off and puts it on again.
type state uint8

const (
	waiting  state = iota // for the interface to be there
	attached              // and receiving while the interface is up
	gone                  // the interface is; the ring may hold frames of it
	closed
)

// errNotYet is for an interface that is not there, or not up where it must be.
var errNotYet = errors.New("the interface is not there yet")

// maxAttempts to attach to an interface that is there, one with each Check. It
// may be half made, and other rings may not have let go of the old one.
const maxAttempts = 50

// Check looks after the interface: whether it went down, came up, vanished or
// came back under its name, perhaps as quite another. The ring waits for it as
// long as it takes, without any privilege.
//
// The error wraps capture.ErrRestart when the ring cannot go on: the interface
// has another name or is of another kind now, or, with several rings, has
// vanished for the fifth time. With its name an interface loses what is set up
// by name, as the guard that keeps it silent (package nic), and nothing of that
// can be made anew without privileges. Rings of one Capture wait for each other: Check must be called of all.
func (r *Ring) Check(int64) error {
	c := r.capture
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.state == closed {
		return nil
	}
	if err := r.check(); err != nil {
		return fmt.Errorf("capture on %s: %w", c.name, err)
	}
	return nil
}

func (r *Ring) check() error {
	r.mu.Lock()
	r.counts.tally = r.tally
	err := r.countKernel()
	r.mu.Unlock()
	if err != nil {
		return err
	}
	if r.state == attached {
		if err := r.watch(); err != nil {
			return err
		}
	}
	if r.state == gone {
		if !r.drained() {
			return nil
		}
		if err := r.replace(); err != nil {
			return err
		}
	}
	if r.state == waiting {
		return r.retry()
	}
	return nil
}

// watch looks for what has befallen the interface since the last call.
func (r *Ring) watch() error {
	down, err := wentDown(r.fd)
	if err != nil {
		return err
	}
	index, err := boundTo(r.fd)
	if err != nil {
		return err
	}
	if down && !r.down {
		r.down = true
		r.count(&r.counts.linkDown)
	}
	if index != r.index {
		r.state, r.vanished = gone, true
		r.count(&r.counts.interfaceGone)
		if r.generation == r.capture.generation {
			r.capture.generation++
		}
		return nil
	}
	name, err := nameOf(r.capture.control, r.index)
	if err != nil || name == "" {
		return err // it is vanishing
	}
	if c := r.capture; name != r.called {
		if !c.renamed {
			c.renamed = true
			r.count(&r.counts.interfaceRenamed)
		}
		return fmt.Errorf("the interface is called %s now, and its guard was by name: %w", name, capture.ErrRestart)
	}
	if !r.down {
		return nil
	}
	up, err := isUp(r.capture.control, name)
	if errors.Is(err, unix.ENODEV) {
		return nil
	} else if err != nil {
		return err
	}
	if up {
		r.down = false
		r.count(&r.counts.linkUp)
	}
	return nil
}

func (r *Ring) count(event *uint64) {
	r.mu.Lock()
	*event++
	r.mu.Unlock()
}

// drained tells whether all that the ring received has been given out. The
// kernel hands over what is in the last block by its timer.
func (r *Ring) drained() bool {
	b := r.current()
	return !r.held && !isUser(b) && filling(b) == 0
}

// replace makes a ring ready for another interface. A socket in a fan-out
// cannot be bound again, so a spare one takes its place, under the same
// descriptor.
func (r *Ring) replace() error {
	r.state = waiting
	c := r.capture
	if c.cfg.Rings == 1 {
		return nil
	}
	n := len(c.spares)
	if n == 0 {
		return fmt.Errorf("the interface has vanished, and all %d spare sockets are used up: %w", spareSets, capture.ErrRestart)
	}
	fd := c.spares[n-1]
	c.spares = c.spares[:n-1]
	fresh, err := c.setUp(fd)
	if err != nil {
		return errors.Join(fmt.Errorf("a ring for the interface that comes: %w: %w", err, capture.ErrRestart), fresh.close())
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	err = errors.Join(
		r.countKernel(), // the last of the old socket
		unix.Munmap(r.sock.ring),
		unix.Dup3(fresh.fd, r.fd, unix.O_CLOEXEC),
		unix.Dup3(c.control, fresh.fd, unix.O_CLOEXEC),
	)
	c.parked = append(c.parked, fresh.fd)
	fresh.fd = r.fd
	r.sock, r.shut = fresh, true
	r.block, r.walk = 0, walker{}
	r.at.Store(0)
	return err
}

// retry is attach, again and again.
func (r *Ring) retry() error {
	c := r.capture
	err := r.attach()
	switch {
	case err == nil:
		c.attempts = 0
		switch {
		case r.vanished:
			r.vanished = false
			r.count(&r.counts.interfaceNew)
		case !r.down: // it was when the capture was opened
			r.count(&r.counts.linkUp)
		}
		return nil
	case errors.Is(err, errNotYet):
		return nil
	case errors.Is(err, capture.ErrRestart):
		return err
	}
	if c.attempts++; c.attempts > maxAttempts*len(c.rings) {
		return fmt.Errorf("%w: %w", err, capture.ErrRestart)
	}
	return nil
}

// attach binds the ring to the interface that has the name now, and opens the
// gates when it is the last ring to be bound. Capture.mu is held.
//
// In a fan-out the order is: all gates shut; each socket bound and joined; all
// gates opened. So no frame comes by a ring that is not its own.
func (r *Ring) attach() error {
	c := r.capture
	dev, err := find(c.control, c.name)
	if errors.Is(err, unix.ENODEV) {
		return errNotYet
	}
	if err != nil {
		return err
	}
	if link, err := linkType(dev.hw); err != nil || link != c.link {
		return errors.Join(err, fmt.Errorf("the interface gave %s and is of another kind now: %w", c.link, capture.ErrRestart))
	}
	if r.vanished && c.hardware {
		_, _ = switchOn(c.control, c.name) // may not be allowed any more: software_stamps tells
	}
	first := true
	for _, o := range c.rings {
		switch {
		case o.state == attached && o.generation == c.generation && o.index == dev.index:
			first = false
		case o.state == attached || o.state == gone:
			return errNotYet // it has not let go of the old interface
		}
	}
	if err := r.bind(dev, first); err != nil {
		if c.cfg.Rings > 1 && !dev.up || errors.Is(err, unix.ENODEV) {
			return errNotYet // before kernel 6.14 a fan-out is joined only while the interface is up
		}
		return err
	}
	r.state, r.generation, r.index, r.called = attached, c.generation, dev.index, dev.name
	return c.openGates()
}

func (r *Ring) bind(dev device, first bool) error {
	c := r.capture
	if err := bind(r.fd, dev.index); err != nil {
		return err
	}
	if c.cfg.Promiscuous {
		if err := promiscuous(r.fd, dev.index); err != nil {
			return err
		}
	}
	if c.cfg.Rings > 1 {
		if err := c.fanout.join(r.fd, first); err != nil {
			return err
		}
	}
	down, err := wentDown(r.fd) // binding to an interface that is down says so
	r.down = down || !dev.up
	return err
}

// openGates lets frames in once every ring is attached.
func (c *Capture) openGates() error {
	for _, r := range c.rings {
		if r.state != attached || r.generation != c.generation {
			return nil
		}
	}
	if c.stopped {
		return nil
	}
	for _, r := range c.rings {
		if !r.shut {
			continue
		}
		if err := openGate(r.fd, c.cfg.SnapBytes, c.filter); err != nil {
			return err
		}
		r.shut = false
	}
	return nil
}
