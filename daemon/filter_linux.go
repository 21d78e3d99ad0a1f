package daemon

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"

	"mirrorscope/bpf"
	"mirrorscope/capture/afpacket"
)

// policy is the filter of an interface, in its driver or in front of its rings.
type policy interface {
	Update(bpf.Config) error
	SetOwn([]netip.Addr) error
	Config() bpf.Config
	Counters() (bpf.Counters, error)
	Close() error
}

// noPolicy is where there is no filter.
type noPolicy struct{ policy }

func (noPolicy) Close() error { return nil }

// inDriver is a filter in the driver with AF_PACKET rings behind it. It does
// not trim: the rings would take what is left of a frame for all that there was.
type inDriver struct{ *bpf.Prefilter }

func (p inDriver) Update(cfg bpf.Config) error {
	if cfg.Trim > 0 {
		return errors.New("trim: the filter is in the driver, where afpacket cannot trim; restart the sensor with capture.filter = \"auto\" or \"socket\"")
	}
	return p.Prefilter.Update(cfg)
}

// filter puts the filter in front of an AF_PACKET capture: into the driver,
// where what is left out costs least, or into the sockets, which asks nothing of
// the driver. One that leaves nothing out is there as well, in the sockets, so
// that it can be changed.
func (s *source) filter(cfg *Config, name string, programs *afpacket.Programs) (policy, error) {
	nothing := equal(cfg.Filter, bpf.DefaultConfig())
	if cfg.Capture.AFPacket.SnapBytes > 0 && nothing && cfg.Capture.Filter != FilterDriver {
		return noPolicy{}, nil
	}
	where, why := cfg.Capture.Filter, "as configured"
	if where == FilterAuto {
		switch {
		case nothing:
			where, why = FilterSocket, "it leaves nothing out yet"
		case cfg.Filter.Shared:
			where, why = FilterSocket, "a driver would pass the machine's own traffic on to the rings"
		case cfg.Filter.Trim > 0:
			where, why = FilterSocket, "a driver that trims hides from the rings how long frames were"
		default:
			where, why = FilterDriver, "what is left out costs least there"
		}
	}
	if where == FilterDriver {
		p, mode, err := s.driverFilter(cfg, name)
		if err == nil {
			s.filters = append(s.filters, inDriver{p})
			s.log.Info("filter", "interface", name, "where", "driver", "attach", mode.String(), "why", why)
			return p, nil
		}
		if cfg.Capture.Filter == FilterDriver {
			return nil, err
		}
		why = err.Error()
	}
	p, err := s.socketFilter(cfg, name)
	if err != nil {
		return nil, err
	}
	s.filters = append(s.filters, p)
	programs.Filter = p.FD()
	s.log.Info("filter", "interface", name, "where", "socket", "why", why)
	return p, nil
}

func (s *source) driverFilter(cfg *Config, name string) (*bpf.Prefilter, bpf.AttachMode, error) {
	want := cfg.Filter
	want.Tunnels = tunnels(cfg)
	iface, err := net.InterfaceByName(name)
	if err != nil {
		return nil, 0, err
	}
	p, err := bpf.Load(want, bpf.ToStack, 1)
	if err != nil {
		return nil, 0, err
	}
	if err := p.SetOwn(s.own); err != nil {
		return nil, 0, errors.Join(err, p.Close())
	}
	var refused []error
	for _, mode := range []bpf.AttachMode{bpf.AttachNative, bpf.AttachFrags, bpf.AttachGeneric} {
		if err := p.Attach(iface.Index, mode); err == nil {
			return p, mode, nil
		} else {
			refused = append(refused, fmt.Errorf("%s: %w", mode, err))
		}
	}
	return nil, 0, errors.Join(append(refused, p.Close())...)
}

func (s *source) socketFilter(cfg *Config, name string) (*bpf.Filter, error) {
	want := cfg.Filter
	want.Tunnels = tunnels(cfg)
	header := 14 // of Ethernet
	link, err := netlink.LinkByName(name)
	if err != nil {
		return nil, err
	}
	if t := link.Attrs().EncapType; t != "ether" && t != "loopback" {
		header = 0
	}
	p, err := bpf.LoadFilter(want, header)
	if err != nil {
		return nil, err
	}
	if err := p.SetOwn(s.own); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func tunnels(cfg *Config) bpf.Ports {
	return bpf.Ports{VXLAN: cfg.Decode.VXLANPorts, Geneve: cfg.Decode.GenevePorts}
}

// update changes the filters: all of them or, with an error, none. The error
// says so if one could not be changed back.
func (s *source) update(cfg *Config) error {
	if len(s.filters) < len(cfg.Capture.Interfaces) && !equal(cfg.Filter, bpf.DefaultConfig()) {
		return errors.New("the sensor was started with snap_bytes and without a filter, and has given up what it takes to add one: restart it")
	}
	var was []bpf.Config // of those that have changed
	for _, p := range s.filters {
		before := p.Config()
		if err := p.Update(cfg.Filter); err != nil {
			return s.changeBack(was, err)
		}
		was = append(was, before)
	}
	return nil
}

// changeBack gives the first filters the policies that they had, as the next one
// could not be changed, and tells what became of them.
func (s *source) changeBack(was []bpf.Config, why error) error {
	errs := []error{fmt.Errorf("filter %d of %d: %w", len(was)+1, len(s.filters), why)}
	for i := range was {
		if err := s.filters[i].Update(was[i]); err != nil {
			errs = append(errs, fmt.Errorf("filter %d has changed, and cannot be changed back: %w", i+1, err))
		}
	}
	if len(was) > 0 && len(errs) == 1 {
		errs[0] = fmt.Errorf("%w; those in front of it have their old policy again", errs[0])
	}
	return errors.Join(errs...)
}

// readable reads the counters of a filter, as an example of a BPF map; nil where
// there is none.
func (s *source) readable() func() error {
	if len(s.filters) == 0 {
		return nil
	}
	return func() error { _, err := s.filters[0].Counters(); return err }
}
