package afxdp

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"mirrorscope/bpf"
	"mirrorscope/capture"
)

// Capture is an interface that is read through AF_XDP.
type Capture struct {
	rings  []*Ring
	choice Choice
	prog   Program
	link   *netif

	promisc int // a socket that keeps the interface promiscuous; 0 none

	noFrags  error   // why a frame cannot have several buffers
	refusals []error // what was tried in vain
}

// Open attaches prog to the interface called name in the calling thread's
// network namespace, and opens a socket for each of its queues. It takes prog
// over: Close closes it, and so does an Open that fails.
func Open(name string, cfg Config, prog Program) (*Capture, error) {
	c := &Capture{prog: prog}
	if err := c.open(name, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("AF_XDP on %s: %w", name, err), c.Close())
	}
	return c, nil
}

func (c *Capture) open(name string, cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	var err error
	if c.link, err = openNetif(name); err != nil {
		return err
	}
	if err := c.link.ethernet(); err != nil {
		return err
	}
	queues, err := Queues(name)
	if err != nil {
		return err
	}
	c.choice = Choice{Interface: name, Queues: queues, NeedWakeup: cfg.NeedWakeup, BusyPoll: cfg.BusyPollUS > 0}
	if cfg.Queues > 0 {
		if cfg.Queues > queues {
			return fmt.Errorf("queues = %d, and the interface has %d", cfg.Queues, queues)
		}
		c.choice.Queues = cfg.Queues
	}
	if c.choice.Queues < queues {
		c.choice.why("queues = %d of the %d that the interface has: frames on the others are lost", cfg.Queues, queues)
	}
	if err := c.link.check(); err != nil {
		return err
	}
	if cfg.Promiscuous {
		if c.promisc, err = promiscuous(c.link.index); err != nil {
			return err
		}
	}
	if !c.link.up.Load() {
		c.choice.why("the interface is down: no frame comes until it is up")
	}
	c.noFrags = probeFrags()
	if err := c.attach(cfg); err != nil {
		return err
	}
	sockets, err := c.bind(cfg)
	if err != nil {
		return err
	}
	return c.start(cfg, sockets)
}

// attach tries the ways to attach the program, fastest first.
func (c *Capture) attach(cfg Config) error {
	modes := []bpf.AttachMode{bpf.AttachNative, bpf.AttachFrags, bpf.AttachGeneric}
	switch cfg.Attach {
	case "native":
		modes = modes[:2]
	case "generic":
		modes = modes[2:]
	}
	for _, mode := range modes {
		var err error
		if mode == bpf.AttachFrags && c.noFrags != nil {
			// It would attach, and the kernel would drop frames of several buffers
			// on the way to the socket without counting them.
			err = c.noFrags
		} else {
			err = c.prog.Attach(c.link.index, mode)
		}
		if err != nil {
			c.refuse(fmt.Errorf("%v program refused: %w", mode, err))
			continue
		}
		c.choice.Attach = mode
		if cfg.Attach != "auto" {
			c.choice.why("%v program: attach = %q", mode, cfg.Attach)
		}
		return nil
	}
	return errors.Join(c.refusals...)
}

// refuse notes an attempt that was refused.
func (c *Capture) refuse(err error) {
	c.refusals = append(c.refusals, err)
	c.choice.why("%v", err)
}

// bind opens the sockets of all queues in the best way that each of them
// takes.
func (c *Capture) bind(cfg Config) ([]*socket, error) {
	mtu, err := c.link.mtu()
	if err != nil {
		return nil, err
	}
	for _, v := range c.variants(cfg, mtu+linkOverhead <= cfg.room()) {
		sockets, err := openSockets(c.link.index, c.choice.Queues, cfg, v)
		if err != nil {
			c.refuse(fmt.Errorf("%v refused: %w", v, err))
			if errors.Is(err, unix.EBUSY) {
				break // no other way helps
			}
			continue
		}
		c.choice.ZeroCopy, c.choice.MultiBuffer = v.zeroCopy, v.frags
		c.choice.HugePages = !slices.ContainsFunc(sockets, func(s *socket) bool { return !s.umem.huge })
		c.judge(cfg, mtu)
		return sockets, nil
	}
	return nil, errors.Join(c.refusals...)
}

// judge says what the choice means for frames of the given MTU.
func (c *Capture) judge(cfg Config, mtu int) {
	c.choice.MaxFrame = cfg.room()
	if c.choice.MultiBuffer {
		c.choice.MaxFrame = maxFrame
	}
	if mtu+linkOverhead > c.choice.MaxFrame {
		c.choice.why("frames of more than %d octets are lost unless the filter trims them, and the MTU of %d allows some: several buffers a frame need kernel 6.6 and the driver", c.choice.MaxFrame, mtu)
	}
	if cfg.HugePages && !c.choice.HugePages {
		c.choice.why("huge pages: not enough are reserved (vm.nr_hugepages)")
	}
}

// linkOverhead is what a frame may have beyond the MTU, octets: Ethernet and
// two VLAN tags.
const linkOverhead = 14 + 2*4

// variants lists the ways to bind, best first. Where a frame may not fit into a
// buffer, taking it whole comes before saving a copy.
func (c *Capture) variants(cfg Config, fits bool) []variant {
	copies := []bool{true, false} // zeroCopy
	switch {
	case cfg.ZeroCopy == "on":
		copies = []bool{true}
	case cfg.ZeroCopy == "off":
		copies = []bool{false}
		c.choice.why(`copy mode: zero_copy = "off"`)
	case c.choice.Attach == bpf.AttachGeneric:
		copies = []bool{false}
		c.choice.why("copy mode: zero copy needs a native program")
	}
	pieces := []bool{true, false} // frags
	if c.noFrags != nil {
		pieces = pieces[1:]
		c.choice.why("one buffer a frame: %v", c.noFrags)
	}
	var vs []variant
	for _, z := range copies {
		for _, p := range pieces {
			vs = append(vs, variant{z, p, cfg.NeedWakeup})
		}
	}
	if !fits {
		slices.SortStableFunc(vs, func(a, b variant) int {
			switch {
			case a.frags == b.frags:
				return 0
			case a.frags:
				return -1
			}
			return 1
		})
	}
	return vs
}

// openSockets opens a socket for each queue, or none.
func openSockets(ifindex, queues int, cfg Config, v variant) ([]*socket, error) {
	var sockets []*socket
	for q := range queues {
		s, err := openSocket(ifindex, q, cfg, v)
		if err != nil {
			errs := []error{fmt.Errorf("queue %d: %w", q, err)}
			for _, s := range sockets {
				errs = append(errs, s.close())
			}
			return nil, errors.Join(errs...)
		}
		sockets = append(sockets, s)
	}
	return sockets, nil
}

// start makes rings of the sockets and lets the program deliver to them.
func (c *Capture) start(cfg Config, sockets []*socket) error {
	clk, err := newClock()
	if err != nil {
		for _, s := range sockets {
			err = errors.Join(err, s.close())
		}
		return err
	}
	for q, s := range sockets {
		c.rings = append(c.rings, newRing(q, cfg, s, clk, c.link))
	}
	for q, s := range sockets {
		if err := c.prog.SetSocket(q, s.fd); err != nil {
			return fmt.Errorf("queue %d: give its socket to the program: %w", q, err)
		}
	}
	return nil
}

// Rings gives the rings in the order of their queues.
func (c *Capture) Rings() []capture.Ring {
	rings := make([]capture.Ring, len(c.rings))
	for i, r := range c.rings {
		rings[i] = r
	}
	return rings
}

// Choice tells how the interface is read, and why so.
func (c *Capture) Choice() Choice { return c.choice }

// Stop ends the reception: when it returns, what came so far is in the rings,
// and nothing more will be. The program stays where it is, and drops and counts
// what arrives, so that nothing reaches the host's stack.
func (c *Capture) Stop() error {
	var errs []error
	for q := range c.rings {
		if err := c.prog.SetSocket(q, -1); err != nil {
			errs = append(errs, fmt.Errorf("queue %d: take its socket from the program: %w", q, err))
		}
	}
	settle()
	return errors.Join(errs...)
}

// settle waits until every softirq that may still have found a socket is over,
// its last batch of frames published. The kernel's global membarrier is a wait
// for an RCU grace period, and a softirq is inside one. Where it cannot be had
// (nohz_full), a while that is longer than any batch has to do.
func settle() {
	const membarrierGlobal = 1 // MEMBARRIER_CMD_GLOBAL
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, membarrierGlobal, 0, 0); errno != 0 {
		_, _ = unix.Poll(nil, 20) // ms
	}
}

// Close releases everything: sockets, memory, and the program with its place on
// the interface. What the rings still hold is gone.
func (c *Capture) Close() error {
	errs := []error{c.prog.Close()}
	for _, r := range c.rings {
		errs = append(errs, r.Close())
	}
	if c.promisc > 0 {
		errs = append(errs, unix.Close(c.promisc))
		c.promisc = 0
	}
	if c.link != nil {
		errs = append(errs, c.link.close())
		c.link = nil
	}
	return errors.Join(errs...)
}
