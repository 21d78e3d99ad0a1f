package bpf

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf/rlimit"
)

// Filter is the pre-filter's policy in front of AF_PACKET sockets. Unlike the
// XDP program it needs nothing of the driver, on any MTU, and what it leaves
// out goes its way to the stack: Config.Shared then means that the machine's
// own traffic is left out. Trimmed frames keep their length in the ring's
// header (tp_len).
//
// Update, SetOwn and Counters may be called from any goroutine at any time. The
// verdict socket stands for the frames that sockets took; as long as there is
// nothing to judge or trim, frames are not parsed and have no outcome.
type Filter struct {
	policy
	objects filterObjects
}

// LoadFilter loads the filter for sockets whose frames start with a link header
// of so many octets: 14 on Ethernet, 0 on devices without one. It needs
// CAP_BPF, and CAP_NET_ADMIN.
func LoadFilter(cfg Config, linkHeader int) (*Filter, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("raise the limit of locked memory: %w", err)
	}
	spec, err := loadFilter()
	if err != nil {
		return nil, err
	}
	if err := spec.Variables[filterVarLinkHeader].Set(uint32(linkHeader)); err != nil {
		return nil, err
	}
	f := new(Filter)
	if err := spec.LoadAndAssign(&f.objects, nil); err != nil {
		return nil, fmt.Errorf("load the socket filter: %w", err)
	}
	m := &f.objects.filterMaps
	err = f.start(policyMaps{
		Counts: m.Counts, Generation: m.Generation, Own: m.Own, Policies: m.Policies, PortRules: m.PortRules,
		Prefixes: m.Prefixes, RuleCounts: m.RuleCounts, Sources: m.Sources, Vnis: m.Vnis,
	}, m.PortKinds, cfg)
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// FD is what the socket option SO_ATTACH_BPF takes.
func (f *Filter) FD() int { return f.objects.Filter.FD() }

// Close unloads the filter; a socket that has it keeps it.
func (f *Filter) Close() error { return errors.Join(f.grace.Close(), f.objects.Close()) }
