package bpf

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
)

// Meta is what the MetaLen octets in front of a frame hold.
type Meta = prefilterMeta

// Prefilter is the loaded program with its maps. Its methods may be called
// from any goroutine, one at a time.
type Prefilter struct {
	objects prefilterMapsAndProgram
	frags   *ebpf.Program // nil where the kernel does not have it
	noFrags error         // why
	queues  int
	links   []link.Link
	rules   []Rule
}

type prefilterMapsAndProgram struct {
	prefilterMaps
	Prefilter *ebpf.Program `ebpf:"prefilter"`
}

// Load loads the pre-filter. queues is how many receive queues the interfaces
// have at most. It needs CAP_BPF and CAP_NET_ADMIN.
func Load(cfg Config, d Delivery, queues int) (*Prefilter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if queues < 1 {
		return nil, fmt.Errorf("pre-filter for %d queues", queues)
	}
	if err := rlimit.RemoveMemlock(); err != nil { // before kernel 5.11 maps count against it
		return nil, fmt.Errorf("raise the limit of locked memory: %w", err)
	}
	spec, err := loadPrefilter()
	if err != nil {
		return nil, err
	}
	if d == ToStack {
		if err := spec.Variables[prefilterVarToSocket].Set(uint32(0)); err != nil {
			return nil, err
		}
	}
	spec.Maps[prefilterMapSockets].MaxEntries = uint32(queues)
	p := &Prefilter{queues: queues}
	if err := spec.LoadAndAssign(&p.objects, nil); err != nil {
		return nil, fmt.Errorf("load the pre-filter: %w", err)
	}
	if err := p.loadFrags(spec); err != nil {
		p.noFrags = err
	}
	if err := setPorts(p.objects.PortKinds, cfg.Tunnels); err != nil {
		p.Close()
		return nil, err
	}
	if err := p.Update(cfg); err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// loadFrags loads the variant for frames of several buffers over the same
// maps.
func (p *Prefilter) loadFrags(spec *ebpf.CollectionSpec) error {
	var o struct {
		Frags *ebpf.Program `ebpf:"prefilter_frags"`
	}
	m := &p.objects.prefilterMaps
	err := spec.LoadAndAssign(&o, &ebpf.CollectionOptions{MapReplacements: map[string]*ebpf.Map{
		prefilterMapSockets:   m.Sockets,
		prefilterMapPortKinds: m.PortKinds,
		prefilterMapCounts:    m.Counts,
	}})
	p.frags = o.Frags
	return err
}

// Attach puts the pre-filter onto an interface, until Close or the end of the
// process. Closing detaches.
func (p *Prefilter) Attach(ifindex int, mode AttachMode) error {
	o := link.XDPOptions{Program: p.objects.Prefilter, Interface: ifindex, Flags: link.XDPDriverMode}
	switch mode {
	case AttachGeneric:
		o.Flags = link.XDPGenericMode
	case AttachFrags:
		if p.frags == nil {
			return fmt.Errorf("XDP over several buffers needs kernel 5.18: %w: %w", errors.ErrUnsupported, p.noFrags)
		}
		o.Program = p.frags
	}
	l, err := link.AttachXDP(o)
	if err != nil {
		return fmt.Errorf("attach XDP to interface %d in mode %v: %w", ifindex, mode, err)
	}
	p.links = append(p.links, l)
	return nil
}

// SetSocket makes the AF_XDP socket fd the one that reads a queue.
func (p *Prefilter) SetSocket(queue, fd int) error {
	if err := p.objects.Sockets.Put(uint32(queue), uint32(fd)); err != nil {
		return fmt.Errorf("set the socket of queue %d: %w", queue, err)
	}
	return nil
}

// SetOwn says which addresses are the machine's own, for Config.Shared. It
// replaces those that were set before.
func (p *Prefilter) SetOwn(addrs []netip.Addr) error { return nil }

// Update changes the policy, at once for all frames from some moment on: each
// is judged by the old policy or by the new one, and none is lost meanwhile.
// cfg.Tunnels is not read.
func (p *Prefilter) Update(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	p.rules = cfg.Rules
	return nil
}

// Close detaches and unloads the pre-filter.
func (p *Prefilter) Close() error {
	var errs []error
	for _, l := range p.links {
		errs = append(errs, l.Close())
	}
	p.links = nil
	errs = append(errs, p.objects.Prefilter.Close(), p.frags.Close(), p.objects.prefilterMaps.Close())
	return errors.Join(errs...)
}
