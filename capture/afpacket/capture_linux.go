package afpacket

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"mirrorscope/capture"
)

// Capture is one interface and its rings.
type Capture struct {
	name    string // of the interface
	cfg     Config
	link    capture.LinkType
	stamps  stamps
	rings   []*Ring
	control int // a socket for questions about interfaces

	hardware       bool // stamps are asked of the card
	kernelOutgoing bool // for tests: as on a kernel that passes on what was sent

	// mu guards what follows, and the attachment of each ring.
	mu         sync.Mutex
	fanout     fanout
	filter     int   // descriptor of the filter program; -1 none
	spares     []int // sockets for when the interface comes back; see Ring.replace
	parked     []int // numbers of spares that were used, kept from files: they may be sealed (package privilege)
	generation int   // times that the interface has vanished
	attempts   int   // to attach that failed since the last that did not
	renamed    bool  // the interface was
	stopped    bool
	open       int // rings that are not closed
}

// spareSets is how often a fan-out of rings can follow an interface that has
// vanished and come back. Each socket that is left at the end of the process
// takes the kernel some 20 ms to close.
const spareSets = 4

// Open gives cfg.Rings rings that receive what the interface does, from now on.
//
// The interface is that of the calling thread's network namespace.
//
// CAP_NET_RAW is needed, and CAP_NET_ADMIN for hardware time stamps; neither is
// needed any more after Open, come what may.
func Open(ifname string, cfg Config, programs Programs) (*Capture, error) {
	c := &Capture{name: ifname, cfg: cfg, control: -1, filter: -1, fanout: fanout{program: -1}}
	if err := c.start(programs); err != nil {
		return nil, errors.Join(fmt.Errorf("capture on %s: %w", ifname, err), c.Close())
	}
	return c, nil
}

func (c *Capture) start(programs Programs) (err error) {
	if err := c.cfg.Validate(); err != nil {
		return err
	}
	if c.cfg.Rings > 1 && programs.Fanout < 0 {
		return fmt.Errorf("%d rings need a fan-out program", c.cfg.Rings)
	}
	if programs.Filter >= 0 {
		if c.cfg.SnapBytes > 0 {
			return errors.New("snap_bytes does not go with a filter program, which says itself how much of a frame is kept")
		}
		if c.filter, err = unix.FcntlInt(uintptr(programs.Filter), unix.F_DUPFD_CLOEXEC, 0); err != nil {
			return fmt.Errorf("keep the filter program %d: %w", programs.Filter, err)
		}
	}
	if c.control, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return fmt.Errorf("open a socket: %w", err)
	}
	dev, err := find(c.control, c.name)
	if err != nil {
		return err
	}
	if c.link, err = linkType(dev.hw); err != nil {
		return err
	}
	if c.stamps, err = chooseStamps(c.control, c.name, c.cfg.Timestamps); err != nil {
		return err
	}
	c.hardware = c.stamps.hardware
	if err := c.makeFanout(programs.Fanout); err != nil {
		return err
	}
	for range c.cfg.Rings {
		if err := c.addRing(); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.rings {
		// A fan-out cannot be joined while the interface is down (kernel < 6.14):
		// Check does it then.
		if err := r.attach(); err != nil && !errors.Is(err, errNotYet) {
			return err
		}
	}
	return nil
}

func (c *Capture) makeFanout(program int) (err error) {
	if c.cfg.Rings == 1 {
		return nil
	}
	c.fanout.want = c.cfg.FanoutGroup
	if !c.cfg.Outgoing && !c.kernelOutgoing {
		c.fanout.flags = unix.PACKET_FANOUT_FLAG_IGNORE_OUTGOING // later than kernel 6.1, in 6.12; none minds
	}
	if c.fanout.program, err = unix.FcntlInt(uintptr(program), unix.F_DUPFD_CLOEXEC, 0); err != nil {
		return fmt.Errorf("keep the fan-out program %d: %w", program, err)
	}
	for range spareSets * c.cfg.Rings {
		fd, err := newSocket(c.link)
		if err != nil {
			return err
		}
		c.spares = append(c.spares, fd)
	}
	return nil
}

func (c *Capture) addRing() error {
	fd, err := newSocket(c.link)
	if err != nil {
		return err
	}
	s, err := c.setUp(fd)
	if err != nil {
		return errors.Join(err, s.close())
	}
	c.rings = append(c.rings, newRing(c, s))
	c.open++
	return nil
}

// Rings are what frames are read from. Each may be read by a goroutine of its
// own.
func (c *Capture) Rings() []capture.Ring {
	rings := make([]capture.Ring, len(c.rings))
	for i, r := range c.rings {
		rings[i] = r
	}
	return rings
}

// Facts tells what Open has settled.
func (c *Capture) Facts() Facts {
	f := Facts{
		Link:      c.link,
		Rings:     len(c.rings),
		RingBytes: len(c.rings) * c.cfg.ringBytes(),
		Stamps:    stampsSoftware,
		StampsWhy: c.stamps.why,
	}
	if c.hardware {
		f.Stamps = stampsHardware
	}
	return f
}

// Stop is Ring.Stop of all rings.
func (c *Capture) Stop() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stop()
}

func (c *Capture) stop() error {
	var errs []error
	c.stopped = true
	for _, r := range c.rings {
		if r.state != closed {
			r.shut = true
			errs = append(errs, shutGate(r.fd))
		}
	}
	return errors.Join(errs...)
}

// Close closes all rings.
func (c *Capture) Close() error {
	var errs []error
	for _, r := range c.rings {
		errs = append(errs, r.Close())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.release()
	return errors.Join(errs...)
}

// release gives back what the rings share.
func (c *Capture) release() {
	var closing sync.WaitGroup // the kernel waits for a grace period with each
	for _, fd := range c.spares {
		closing.Go(func() { _ = unix.Close(fd) })
	}
	closing.Wait()
	c.spares = nil
	for _, fd := range c.parked {
		_ = unix.Close(fd)
	}
	c.parked = nil
	if c.fanout.program >= 0 {
		_ = unix.Close(c.fanout.program)
		c.fanout.program = -1
	}
	if c.filter >= 0 {
		_ = unix.Close(c.filter)
		c.filter = -1
	}
	if c.control >= 0 {
		c.stamps.switchBack(c.control, c.name)
		_ = unix.Close(c.control)
		c.control = -1
	}
}
