package nic

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Counters read what an interface and its driver lost. They keep the sockets
// that they need, so that they go on when the process has dropped its
// privileges and may make no socket and open no file any more. They may be
// used from several goroutines.
type Counters struct {
	mu     sync.Mutex
	ifname string
	index  int
	driver string
	// wasDown says that the interface has not been up since OpenCounters, so
	// that what its driver remembers is not yet known.
	wasDown bool
	fd      int // for ethtool
	stats   statReader
	routes  *netlink.Handle
	netdev  *netdev // nil: a kernel before 6.3
	flags   map[string]bool
	losses  []tally
	signs   []tally
	untold  []Untold
}

// OpenCounters starts to count. Close ends it.
func OpenCounters(ifname string) (*Counters, error) {
	if err := ValidName(ifname); err != nil {
		return nil, err
	}
	c := &Counters{ifname: ifname, fd: -1}
	if err := c.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("counters of %s: %w", ifname, err), c.Close())
	}
	return c, nil
}

func (c *Counters) open() error {
	var err error
	if c.routes, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return fmt.Errorf("netlink socket: %w", err)
	}
	if err := c.routes.SetSocketTimeout(netlink.GetSocketTimeout()); err != nil {
		return fmt.Errorf("netlink socket: %w", err)
	}
	if c.fd, err = ioctlSocket(); err != nil {
		return err
	}
	c.stats = statReader{fd: c.fd, ifname: c.ifname}
	if c.netdev, err = openNetdev(); err != nil {
		c.netdev = nil // those places then say that they are not told
	}
	tool, err := ethtool.NewEthtool()
	if err != nil {
		return fmt.Errorf("socket for ethtool: %w", err)
	}
	defer tool.Close()
	if info, err := tool.DriverInfo(c.ifname); err == nil {
		c.driver = info.Driver
	}
	if flags, err := tool.PrivFlags(c.ifname); err == nil {
		c.flags = flags
	}
	r, err := c.read()
	if err != nil {
		return err
	}
	c.index, c.wasDown = r.index, !r.up
	scheme := schemeOf(c.driver)
	for _, p := range scheme.losses {
		if chosen, why := r.choose(p); why != "" {
			c.untold = append(c.untold, Untold{p.name, why})
		} else {
			c.losses = append(c.losses, newTally(p, chosen, r))
		}
	}
	for _, p := range scheme.signs {
		if chosen, why := r.choose(p); why == "" {
			c.signs = append(c.signs, newTally(p, chosen, r))
		}
	}
	return nil
}

// Driver is the one whose statistics are read.
func (c *Counters) Driver() string { return c.driver }

// Read counts what was lost since OpenCounters. When the interface cannot be
// read, as after it has vanished, the counts are those of before beside the
// error; when one with its name is there again, they go on from there.
func (c *Counters) Read() (Counts, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, err := c.read()
	if err == nil {
		err = c.see(r)
	}
	if err != nil {
		err = fmt.Errorf("counters of %s: %w", c.ifname, err)
	}
	counts := Counts{Unknown: c.untold}
	for i := range c.losses {
		counts.Losses = append(counts.Losses, Loss{c.losses[i].name, c.losses[i].frames()})
	}
	for i := range c.signs {
		counts.Signs = append(counts.Signs, Loss{c.signs[i].name, c.signs[i].frames()})
	}
	return counts, err
}

// see takes in a reading. An interface that is down loses nothing, and drivers
// such as ena then give zeros for what they remember.
func (c *Counters) see(r *reading) error {
	if !r.up {
		return nil
	}
	tallies := slices.Concat(c.losses, c.signs)
	for _, t := range tallies {
		if err := errors.Join(r.failed(t.all.sources), r.failed(t.less.sources)); err != nil {
			return err
		}
	}
	for _, list := range [][]tally{c.losses, c.signs} {
		for i := range list {
			for _, count := range []*counter{&list[i].all, &list[i].less} {
				switch {
				case r.index != c.index:
					count.forget()
				case c.wasDown:
					count.start(r)
				}
			}
			list[i].see(r)
		}
	}
	c.index, c.wasDown = r.index, false
	return nil
}

// read takes the driver's statistics first, see tally.see.
func (c *Counters) read() (*reading, error) {
	r := &reading{flags: c.flags}
	r.driver, r.driverErr = c.stats.read()
	l, err := c.routes.LinkByName(c.ifname)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil, unix.ENODEV
	} else if err != nil {
		return nil, err
	}
	r.index, r.up = l.Attrs().Index, l.Attrs().RawFlags&unix.IFF_UP != 0
	r.link = linkStatistics(l.Attrs().Statistics)
	if c.netdev == nil {
		r.queuesErr = errors.New("the kernel tells queue statistics from 6.9")
		return r, nil
	}
	drops, told, err := c.netdev.hwDrops(r.index)
	if r.queuesErr = err; err == nil && told {
		r.queues = map[string]uint64{"rx-hw-drops": drops}
	}
	return r, nil
}

// linkStatistics are those of receiving, by the names of linux/if_link.h.
func linkStatistics(s *netlink.LinkStatistics) map[string]uint64 {
	if s == nil {
		return nil
	}
	return map[string]uint64{
		"rx_packets": s.RxPackets, "rx_dropped": s.RxDropped, "rx_errors": s.RxErrors, "rx_missed_errors": s.RxMissedErrors,
		"rx_fifo_errors": s.RxFifoErrors, "rx_over_errors": s.RxOverErrors, "rx_crc_errors": s.RxCrcErrors,
		"rx_frame_errors": s.RxFrameErrors, "rx_length_errors": s.RxLengthErrors,
	}
}

// Close gives the sockets back.
func (c *Counters) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.routes != nil {
		c.routes.Close()
		c.routes = nil
	}
	if c.netdev != nil {
		c.netdev.close()
		c.netdev = nil
	}
	if c.fd >= 0 {
		fd := c.fd
		c.fd = -1
		return unix.Close(fd)
	}
	return nil
}
