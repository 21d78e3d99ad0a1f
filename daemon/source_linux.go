package daemon

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"mirrorscope/bpf"
	"mirrorscope/capture"
	"mirrorscope/capture/afpacket"
	"mirrorscope/capture/afxdp"
	"mirrorscope/capture/rings"
	"mirrorscope/nic"
	"mirrorscope/sink/prom"
)

// source is the live capture with what is around it: filters in front, guards
// beside, and the counters of the cards.
type source struct {
	*rings.Source
	filters []policy
	cards   []*card
	guards  []*nic.Guard // that this start has made
	shared  []string     // interfaces
	own     []netip.Addr // of those; changed by refresh alone
	unread  sync.Once    // the log was told that counters cannot be read
	faces   []prom.Interface
	queues  []queue
	log     *slog.Logger
}

// card is the account of an interface. Its losses are since the capture began.
type card struct {
	name     string
	counters *nic.Counters

	mu   sync.Mutex
	last nic.Counts

	dropped uint64 // of nic_dropped, as last told

	sockets func() uint64 // losses of the AF_XDP sockets that the card counts as its own; nil: it does not
}

// queue is a ring, and where it is.
type queue struct {
	face string
	n    int
	capture.Ring
}

// describe tells how each interface is captured.
func (s *source) describe() []prom.Interface { return s.faces }

// rings tells about each ring.
func (s *source) rings() []prom.Ring {
	list := make([]prom.Ring, 0, len(s.queues))
	for _, q := range s.queues {
		st := q.Stats()
		list = append(list, prom.Ring{Interface: q.face, Queue: q.n, Fill: q.Fill(), Packets: st.Frames, Bytes: st.Bytes})
	}
	return list
}

// opened keeps what was chosen for an interface.
func (s *source) opened(name, mode, stamps string, list []capture.Ring) {
	f := prom.Interface{Name: name, Mode: mode, Timestamps: stamps}
	for _, c := range s.cards {
		if c.name == name {
			f.Driver = c.counters.Driver()
		}
	}
	s.faces = append(s.faces, f)
	for i, r := range list {
		s.queues = append(s.queues, queue{name, i, r})
	}
}

// read gives the account, or the last that there was where the interface has
// gone meanwhile.
func (c *card) read() nic.Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	if counts, err := c.counters.Read(); err == nil {
		c.last = counts
	}
	return c.last
}

// open opens every interface of the configuration. Everything that needs
// privileges happens here.
func open(cfg *Config, log *slog.Logger) (*source, error) {
	if len(cfg.Capture.Interfaces) == 0 {
		return nil, errors.New("no interface to capture on: set capture.interfaces, or give --interface")
	}
	s := &source{log: log}
	var faces []rings.Interface
	fail := func(name string, err error) (*source, error) {
		for i := range faces {
			_ = faces[i].Close()
		}
		s.closeCards()
		s.unguard()
		if errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST) {
			if p, _ := nic.ReadXDP(name); p.Attached != "" {
				err = fmt.Errorf("%w; %s is on the interface already (see 'sensor check')", err, p)
			}
		}
		// Without PERFMON the verifier refuses a program, which it says by EACCES
		// or EFAULT.
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EFAULT) {
			err = fmt.Errorf("%w; it needs root, or the capabilities NET_RAW, BPF and PERFMON, with NET_ADMIN for the guard, AF_XDP and a filter in the driver, and IPC_LOCK for AF_XDP (see 'sensor check')", err)
		}
		return nil, fmt.Errorf("capture on %s: %w", name, err)
	}
	for _, name := range cfg.Capture.Interfaces {
		if err := s.prepare(cfg, name); err != nil {
			return fail(name, err)
		}
		face, err := s.face(cfg, name)
		if err != nil {
			return fail(name, err)
		}
		faces = append(faces, *face)
	}
	var err error
	if s.Source, err = rings.New(faces...); err != nil {
		s.closeCards()
		s.unguard()
		return nil, err
	}
	return s, nil
}

// prepare keeps the interface silent, and begins its account.
func (s *source) prepare(cfg *Config, name string) error {
	if _, err := net.InterfaceByName(name); err != nil {
		var inside *net.OpError
		if errors.As(err, &inside) {
			err = inside.Err // without the network "ip+net" that it names
		}
		return fmt.Errorf("%w; 'ip link' lists the interfaces", err)
	}
	if cfg.Capture.Guard {
		if err := s.guard(cfg, name); err != nil {
			return err
		}
	}
	if cfg.Filter.Shared {
		s.shared = append(s.shared, name)
		s.own = ownAddresses(s.shared, s.log)
	}
	c := &card{name: name}
	var err error
	if c.counters, err = nic.OpenCounters(name); err != nil {
		s.log.Warn("losses of the card are not known", "interface", name, "error", err)
		return nil
	}
	s.cards = append(s.cards, c)
	if counts, err := c.counters.Read(); err == nil {
		for _, u := range counts.Unknown {
			s.log.Info("losses that are not known", "interface", name, "place", u.Place, "why", u.Why)
		}
	}
	return nil
}

// ownAddresses gives the machine's own addresses on interfaces. One that cannot
// be asked has none now.
func ownAddresses(names []string, log *slog.Logger) []netip.Addr {
	var addrs []netip.Addr
	for _, name := range names {
		iface, err := net.InterfaceByName(name)
		if err != nil {
			continue // it has gone
		}
		nets, err := iface.Addrs()
		if err != nil {
			log.Warn("the machine's own addresses", "interface", name, "error", err)
			continue
		}
		for _, n := range nets {
			if p, err := netip.ParsePrefix(n.String()); err == nil {
				addrs = append(addrs, p.Addr().Unmap())
			}
		}
	}
	slices.SortFunc(addrs, netip.Addr.Compare)
	return slices.Compact(addrs)
}

// refresh tells the filters which addresses are the machine's own, when they
// have changed: leases end, and temporary addresses come and go.
func (s *source) refresh() {
	if len(s.shared) == 0 {
		return
	}
	now := ownAddresses(s.shared, s.log)
	if slices.Equal(now, s.own) {
		return
	}
	for _, p := range s.filters {
		if err := p.SetOwn(now); err != nil {
			s.log.Error("the machine's own addresses have changed, and the filter was not told", "error", err)
		}
	}
	s.own = now
	s.log.Info("the machine's own addresses have changed", "addresses", fmt.Sprint(now))
}

// face opens one interface in the mode that is asked for, and says what it
// chose and why.
func (s *source) face(cfg *Config, name string) (*rings.Interface, error) {
	switch cfg.Capture.Mode {
	case ModeAFXDP:
		return s.xdp(cfg, name, cfg.Capture.AFXDP)
	case ModeAuto:
		must := cfg.Capture.AFXDP
		must.Attach, must.ZeroCopy = "native", "on"
		face, err := s.xdp(cfg, name, must)
		if err == nil {
			return face, nil
		}
		s.log.Info("mode auto: not afxdp", "interface", name, "why", err)
	}
	return s.packet(cfg, name)
}

// packet opens AF_PACKET rings, and the filter that works for them.
func (s *source) packet(cfg *Config, name string) (*rings.Interface, error) {
	if p, err := nic.ReadXDP(name); err == nil && p.Attached != "" {
		s.log.Warn("another program is in front of the capture: what it drops or redirects does not arrive", "interface", name, "program", p.String())
	}
	programs := afpacket.NoPrograms()
	if cfg.Capture.AFPacket.Rings > 1 {
		fanout, err := bpf.LoadFanout(cfg.Capture.AFPacket.Rings, tunnels(cfg))
		if err != nil {
			return nil, err
		}
		defer func() { _ = fanout.Close() }() // the group keeps it
		programs.Fanout = fanout.FD()
	}
	filter, err := s.filter(cfg, name, &programs)
	if err != nil {
		return nil, fmt.Errorf("filter: %w", err)
	}
	c, err := afpacket.Open(name, cfg.Capture.AFPacket, programs)
	if err != nil {
		return nil, errors.Join(err, filter.Close())
	}
	f := c.Facts()
	s.log.Info("capture", "interface", name, "mode", "afpacket", "rings", f.Rings, "ring_bytes", f.RingBytes, "link", f.Link.String(), "stamps", f.Stamps, "why", f.StampsWhy)
	s.opened(name, "af_packet", f.Stamps, c.Rings())
	return &rings.Interface{Name: name, Rings: c.Rings(), Stop: c.Stop, Close: func() error { return errors.Join(c.Close(), filter.Close()) }}, nil
}

// xdp opens AF_XDP sockets.
func (s *source) xdp(cfg *Config, name string, how afxdp.Config) (*rings.Interface, error) {
	queues, err := afxdp.Queues(name)
	if err != nil {
		return nil, err
	}
	want := cfg.Filter
	want.Tunnels = tunnels(cfg)
	p, err := bpf.Load(want, bpf.ToSocket, queues)
	if err != nil {
		return nil, err
	}
	if err := p.SetOwn(s.own); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	c, err := afxdp.Open(name, how, p)
	if err != nil {
		return nil, err // Open has closed the program
	}
	s.filters = append(s.filters, p)
	choice := c.Choice()
	s.log.Info("capture", "interface", name, "mode", "afxdp", "choice", choice.String(), "why", choice.Why)
	mode := "af_xdp " + choice.Attach.String()
	if choice.ZeroCopy {
		mode += " zero_copy"
	}
	s.opened(name, mode, "kernel", c.Rings())
	for _, card := range s.cards {
		if card.name == name && card.counters.Driver() == "veth" && choice.Attach != bpf.AttachGeneric {
			card.sockets = func() uint64 { return redirected(c.Rings()) }
		}
	}
	return &rings.Interface{Name: name, Rings: c.Rings(), Stop: c.Stop, Close: c.Close}, nil
}

// redirected sums the frames that a driver could not redirect into a socket.
func redirected(list []capture.Ring) (n uint64) {
	for _, r := range list {
		for _, l := range r.Stats().Losses {
			if l.Place == "xsk_rx_dropped" || l.Place == "xsk_rx_ring_full" {
				n += l.Frames
			}
		}
	}
	return n
}

func (s *source) closeCards() {
	for _, c := range s.cards {
		_ = c.counters.Close()
	}
}

// Close ends the capture.
func (s *source) Close() error {
	err := s.Source.Close()
	s.closeCards()
	return err
}
