package bpf

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/cilium/ebpf"
)

// installed is what a generation of the policy holds in the maps that both
// share.
type installed struct {
	prefixes []prefilterPrefixKey
	sources  []prefilterPrefixKey
	vnis     []prefilterVniKey
}

// policy is what frames are judged by, and what was counted: the maps that the
// pre-filter and the socket's filter have in common. Its methods may be called
// from any goroutine at any time.
type policy struct {
	maps  policyMaps
	grace *ebpf.Map // see settle
	cpus  int

	mu         sync.Mutex
	config     Config // that holds
	generation uint32 // that judges
	unsettled  bool   // programs may still run that judge by the other generation
	installed  [2]installed
	rules      []counted
	own        map[prefilterAddr]bool
}

// policyMaps are maps of judge.h and policy.h.
type policyMaps struct {
	Counts     *ebpf.Map
	Generation *ebpf.Map
	Own        *ebpf.Map
	Policies   *ebpf.Map
	PortRules  *ebpf.Map
	Prefixes   *ebpf.Map
	RuleCounts *ebpf.Map
	Sources    *ebpf.Map
	Vnis       *ebpf.Map
}

// start sets what a program that was just loaded judges by.
func (p *policy) start(maps policyMaps, ports *ebpf.Map, cfg Config) error {
	p.maps = maps
	var err error
	if p.cpus, err = ebpf.PossibleCPU(); err != nil {
		return err
	}
	if err := setPorts(ports, cfg.Tunnels); err != nil {
		return err
	}
	if p.grace, err = newGrace(maps.Generation); err != nil {
		return err
	}
	return p.Update(cfg)
}

// Update changes the policy, at once for all frames from some moment on: each
// is judged by the old policy or by the new one, and none is lost meanwhile.
// cfg.Tunnels is not read.
//
// After an error the old policy holds, and the counters of its rules go on. If
// the error came after the switch, some frames were judged by the new one
// meanwhile: they are in the counters of verdicts, and in those of no rule.
//
// It needs no capability on kernel 5.19 and later.
func (p *policy) Update(cfg Config) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unsettled {
		if err := p.settle(); err != nil {
			return err
		}
	}
	old, next := p.generation, 1-p.generation
	if err := p.clear(next); err != nil {
		return err
	}
	if err := p.fill(compile(&cfg, next), next); err != nil {
		return err
	}
	if err := p.judgeBy(next); err != nil {
		return fmt.Errorf("switch the policy: %w", err)
	}
	past, err := p.over(old)
	if err != nil {
		if back := p.judgeBy(old); back != nil {
			// The new policy holds after all, and its rules count from here.
			p.config = cfg
			p.setRules(cfg.Rules, nil)
			return fmt.Errorf("the new policy holds, and its rules count anew: %w", errors.Join(err, fmt.Errorf("switch back: %w", back)))
		}
		return err
	}
	p.config = cfg
	p.setRules(cfg.Rules, past)
	// What cannot be taken away now is taken away by the next Update, or that
	// fails.
	_ = p.clear(old)
	return nil
}

// Config gives the policy that holds.
func (p *policy) Config() Config {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.config
}

// judgeBy has frames judged by a generation from now on.
func (p *policy) judgeBy(generation uint32) error {
	if err := p.maps.Generation.Put(uint32(0), generation); err != nil {
		return err
	}
	p.generation, p.unsettled = generation, true
	return nil
}

// over gives what the rules have counted, once nothing reads their generation
// any more.
func (p *policy) over(generation uint32) (map[string]Counter, error) {
	if err := p.settle(); err != nil {
		return nil, err
	}
	return p.past(generation)
}

// settle waits until no program runs that has started before. The kernel does
// so after each change of a map of maps.
func (p *policy) settle() error {
	if err := p.grace.Put(uint32(0), p.maps.Generation); err != nil {
		return fmt.Errorf("wait for the programs that run: %w", err)
	}
	p.unsettled = false
	return nil
}

// newGrace makes the map of maps that settle changes. Its entry has no meaning.
func newGrace(inner *ebpf.Map) (*ebpf.Map, error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "grace", Type: ebpf.ArrayOfMaps, KeySize: 4, ValueSize: 4, MaxEntries: 1,
		InnerMap: &ebpf.MapSpec{Type: inner.Type(), KeySize: inner.KeySize(), ValueSize: inner.ValueSize(), MaxEntries: inner.MaxEntries()},
	})
	if err != nil {
		return nil, fmt.Errorf("create a map of maps: %w", err)
	}
	return m, nil
}

// clear empties the idle generation.
func (p *policy) clear(generation uint32) error {
	in := &p.installed[generation]
	var errs []error
	for _, k := range in.prefixes {
		errs = append(errs, remove(p.maps.Prefixes, k))
	}
	for _, k := range in.sources {
		errs = append(errs, remove(p.maps.Sources, k))
	}
	for _, k := range in.vnis {
		errs = append(errs, remove(p.maps.Vnis, k))
	}
	zero := make([]prefilterCounter, p.cpus)
	for i := range uint32(maxRules) {
		errs = append(errs, p.maps.RuleCounts.Put(generation*maxRules+i, zero))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("clear the idle policy: %w", err)
	}
	*in = installed{}
	return nil
}

func remove(m *ebpf.Map, key any) error {
	if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	return nil
}

// fill writes a policy into the idle generation.
func (p *policy) fill(c *compiled, generation uint32) error {
	o, in := &p.maps, &p.installed[generation]
	var errs []error
	for k, v := range c.prefixes {
		in.prefixes = append(in.prefixes, k)
		errs = append(errs, o.Prefixes.Put(k, v))
	}
	for k, v := range c.sources {
		in.sources = append(in.sources, k)
		errs = append(errs, o.Sources.Put(k, v))
	}
	for _, k := range c.vnis {
		in.vnis = append(in.vnis, k)
		errs = append(errs, o.Vnis.Put(k, uint32(1)))
	}
	if c.ports != nil {
		keys := make([]uint32, len(c.ports))
		for i := range keys {
			keys[i] = generation<<16 | uint32(i)
		}
		_, err := o.PortRules.BatchUpdate(keys, c.ports, nil)
		errs = append(errs, err)
	}
	errs = append(errs, o.Policies.Put(generation, &c.policy))
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("fill the idle policy: %w", err)
	}
	return nil
}

// SetOwn says which addresses are the machine's own, for Config.Shared. It
// replaces those that were set before.
func (p *policy) SetOwn(addrs []netip.Addr) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := map[prefilterAddr]bool{}
	var errs []error
	for _, a := range addrs {
		k := keyAddr(a.WithZone(""))
		now[k] = true
		errs = append(errs, p.maps.Own.Put(k, uint32(1)))
	}
	for k := range p.own {
		if !now[k] {
			errs = append(errs, remove(p.maps.Own, k))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("set the machine's own addresses: %w", err)
	}
	p.own = now
	return nil
}
