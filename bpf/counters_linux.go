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

// counted is what the counters of a rule have come to in policies that are
// over.
type counted struct {
	name string
	past Counter
}

// Counters reads the counters, summed over the CPUs. It works after
// capabilities are dropped (kernel 5.19; before, reading maps needs CAP_BPF
// where unprivileged BPF is off). A rule keeps its count over Updates as long
// as its name stays.
func (p *policy) Counters() (Counters, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var c Counters
	names := append(append(verdictNames[:len(verdictNames):len(verdictNames)], outcomeNames[:]...), "trimmed", "not_trimmed")
	all := make([]Counter, len(names))
	for i, name := range names {
		if err := readCount(p.maps.Counts, uint32(i), &all[i]); err != nil {
			return c, fmt.Errorf("read counter %s: %w", name, err)
		}
		all[i].Name = name
	}
	v, o := len(verdictNames), len(verdictNames)+len(outcomeNames)
	c.Verdicts, c.Outcomes, c.Trimmed, c.NotTrimmed = all[:v:v], all[v:o:o], all[o], all[o+1]
	for i := range p.rules {
		n := p.rules[i].past
		n.Name = p.rules[i].name
		if err := readCount(p.maps.RuleCounts, p.generation*maxRules+uint32(i), &n); err != nil {
			return c, fmt.Errorf("read the counter of rule %s: %w", n.Name, err)
		}
		c.Rules = append(c.Rules, n)
	}
	return c, nil
}

// past gives what the rules, by name, have counted up to the end of a
// generation.
func (p *policy) past(generation uint32) (map[string]Counter, error) {
	past := make(map[string]Counter, len(p.rules))
	for i, r := range p.rules {
		if err := readCount(p.maps.RuleCounts, generation*maxRules+uint32(i), &r.past); err != nil {
			return nil, fmt.Errorf("read the counter of rule %s: %w", r.name, err)
		}
		past[r.name] = r.past
	}
	return past, nil
}

// setRules names the rules that are counted from now on.
func (p *policy) setRules(rules []Rule, past map[string]Counter) {
	p.rules = nil
	for i := range rules {
		name := rules[i].String()
		p.rules = append(p.rules, counted{name, past[name]})
	}
}

// readCount adds an entry of all CPUs to c.
func readCount(m *ebpf.Map, at uint32, c *Counter) error {
	var perCPU []prefilterCounter
	if err := m.Lookup(at, &perCPU); err != nil {
		return err
	}
	for _, v := range perCPU {
		c.Packets += v.Packets
		c.Octets += v.Octets
	}
	return nil
}
