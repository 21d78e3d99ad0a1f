package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
)

// Meta is what the MetaLen octets in front of a frame hold.
type Meta = prefilterMeta

// Prefilter is the loaded program with its maps. Update, SetOwn and Counters
// may be called from any goroutine at any time; the rest belongs to the one
// that loads and closes it.
type Prefilter struct {
	policy
	objects prefilterMapsAndProgram
	frags   *ebpf.Program // nil where the kernel does not have it
	noFrags error         // why
	links   []link.Link
}

type prefilterMapsAndProgram struct {
	prefilterMaps
	Prefilter *ebpf.Program `ebpf:"prefilter"`
}

// Load loads the pre-filter. queues is how many receive queues the interfaces
// have at most. It needs CAP_BPF and CAP_NET_ADMIN.
func Load(cfg Config, d Delivery, queues int) (*Prefilter, error) {
	return load(cfg, d, queues, headPlaces)
}

// headPlaces is how many directions of connections Config.TrimHead is counted
// for at once, a power of two: 2 MiB.
const headPlaces = 1 << 18

func load(cfg Config, d Delivery, queues, places int) (*Prefilter, error) {
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
	if err := spec.Variables[prefilterVarHeadsMask].Set(uint32(places - 1)); err != nil {
		return nil, err
	}
	spec.Maps[prefilterMapHeads].MaxEntries = uint32(places)
	spec.Maps[prefilterMapSockets].MaxEntries = uint32(queues)
	p := new(Prefilter)
	if err := spec.LoadAndAssign(&p.objects, nil); err != nil {
		return nil, fmt.Errorf("load the pre-filter: %w", err)
	}
	p.noFrags = p.loadFrags(spec)
	m := &p.objects.prefilterMaps
	err = p.start(policyMaps{
		Counts: m.Counts, Generation: m.Generation, Own: m.Own, Policies: m.Policies, PortRules: m.PortRules,
		Prefixes: m.Prefixes, RuleCounts: m.RuleCounts, Sources: m.Sources, Vnis: m.Vnis,
	}, m.PortKinds, cfg)
	if err != nil {
		return nil, errors.Join(err, p.Close())
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
		prefilterMapCounts:     m.Counts,
		prefilterMapFragments:  m.Fragments,
		prefilterMapGeneration: m.Generation,
		prefilterMapHeads:      m.Heads,
		prefilterMapOwn:        m.Own,
		prefilterMapPolicies:   m.Policies,
		prefilterMapPortKinds:  m.PortKinds,
		prefilterMapPortRules:  m.PortRules,
		prefilterMapPrefixes:   m.Prefixes,
		prefilterMapRuleCounts: m.RuleCounts,
		prefilterMapSockets:    m.Sockets,
		prefilterMapSources:    m.Sources,
		prefilterMapVnis:       m.Vnis,
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

// SetSocket makes the AF_XDP socket fd the one that reads a queue; with a
// negative fd nobody does, and its frames are dropped and counted.
func (p *Prefilter) SetSocket(queue, fd int) error {
	var err error
	if fd < 0 {
		err = remove(p.objects.Sockets, uint32(queue))
	} else {
		err = p.objects.Sockets.Put(uint32(queue), uint32(fd))
	}
	if err != nil {
		return fmt.Errorf("set the socket of queue %d: %w", queue, err)
	}
	return nil
}

// Close detaches and unloads the pre-filter.
func (p *Prefilter) Close() error {
	var errs []error
	for _, l := range p.links {
		errs = append(errs, l.Close())
	}
	p.links = nil
	errs = append(errs, p.grace.Close(), p.objects.Prefilter.Close(), p.frags.Close(), p.objects.prefilterMaps.Close())
	return errors.Join(errs...)
}
