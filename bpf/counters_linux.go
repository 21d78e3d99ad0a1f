package bpf

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// verdictNames and outcomeNames are in the order of the C enumerations verdict
// and outcome.
var (
	verdictNames = [...]string{
		"socket", "stack", "own", "not_udp_port", "not_source", "not_vni", "denied_by_rule", "denied_by_default",
		"not_sampled", "no_socket", "no_room",
	}
	outcomeNames = [...]string{
		"parsed", "truncated", "not_ip", "bad_ip", "too_deep", "fragment", "unread_tunnel", "unreachable",
	}
)

// Counters reads the counters, summed over the CPUs. It works after
// capabilities are dropped (kernel 5.19; before, reading maps needs CAP_BPF
// where unprivileged BPF is off).
func (p *Prefilter) Counters() (Counters, error) {
	var c Counters
	m := p.objects.Counts
	at := uint32(0)
	for _, name := range verdictNames {
		n, err := readCount(m, at, name)
		if err != nil {
			return c, err
		}
		c.Verdicts = append(c.Verdicts, n)
		at++
	}
	for _, name := range outcomeNames {
		n, err := readCount(m, at, name)
		if err != nil {
			return c, err
		}
		c.Outcomes = append(c.Outcomes, n)
		at++
	}
	var err error
	c.Trimmed, err = readCount(m, at, "trimmed")
	return c, err
}

func readCount(m *ebpf.Map, at uint32, name string) (Counter, error) {
	var perCPU []prefilterCount
	if err := m.Lookup(at, &perCPU); err != nil {
		return Counter{}, fmt.Errorf("read counter %s: %w", name, err)
	}
	c := Counter{Name: name}
	for _, v := range perCPU {
		c.Packets += v.Packets
		c.Octets += v.Octets
	}
	return c, nil
}
