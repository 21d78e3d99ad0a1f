package bpf

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// Bounds of a Config.
const (
	maxRules    = 64 // bits of a word: how the classifier holds a set of rules
	maxPrefixes = 4096
	maxSources  = 1024
	maxVNIs     = 4096
	maxSample   = 65535
	maxTrimHead = 16<<20 - 1 // of the counts in trim.h
)

// Config is the filter. All of its conditions must let a frame through; an
// empty list lets all through.
type Config struct {
	UDPPorts []uint16 `toml:"udp_ports" comment:"UDP destination ports of mirror traffic, as [4789]. A frame whose outermost packet goes elsewhere is dropped. Empty: every frame."`
	VNIs     []uint32 `toml:"vnis" comment:"VNIs (VXLAN, GENEVE) and session ids (ERSPAN) to take. Empty: all."`
	Sources  []Prefix `toml:"sources" comment:"Who may mirror: prefixes of the outer source address. Empty: everyone."`
	Rules    []Rule   `toml:"rules" comment:"What is inside: the first rule that matches decides, either direction of a connection alike."`
	Default  Action   `toml:"default" comment:"What happens to packets that no rule matches: allow or deny."`
	Sample   uint32   `toml:"sample" comment:"Take one in this many connections, whole ones. 1: all."`
	Trim     uint32   `toml:"trim" comment:"Octets of payload to keep of each packet. 0: all. Heads of TLS, HTTP and DNS messages stay whole."`
	TrimHead uint32   `toml:"trim_head" comment:"With trim: the first octets of each direction of a connection that stay whole."`
	Shared   bool     `toml:"shared" comment:"The interface carries the machine's own traffic as well: pass that to the system and do not measure it."`

	Tunnels Ports `toml:"-"` // read by Load alone
}

// DefaultConfig lets everything through, whole.
func DefaultConfig() Config {
	return Config{Default: Allow, Sample: 1, TrimHead: 32 << 10}
}

// Rule is one line of the filter. Each condition that is not empty must hold;
// a list holds if any of its entries does. The conditions do not ask who sent
// the packet: src and dst are one end and the other, whichever way around.
type Rule struct {
	Name   string      `toml:"name,omitempty" comment:"For the counters. Default: the rule's text."`
	Action Action      `toml:"action" comment:"allow or deny"`
	Net    []Prefix    `toml:"net,omitempty" comment:"Either end is in one of these."`
	Src    []Prefix    `toml:"src,omitempty" comment:"One end is in one of these,"`
	Dst    []Prefix    `toml:"dst,omitempty" comment:"and the other end in one of these."`
	Port   []PortRange `toml:"port,omitempty" comment:"Either port is one of these, as \"443\" or \"8000-8999\"."`
	Proto  []Proto     `toml:"proto,omitempty" comment:"tcp, udp, icmp, icmp6, sctp or a number"`
}

// Validate reports every field that is out of its range.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, port := range c.UDPPorts {
		if port == 0 {
			bad("udp_ports: port 0")
		}
	}
	if len(c.VNIs) > maxVNIs {
		bad("vnis: %d are more than %d", len(c.VNIs), maxVNIs)
	}
	for _, vni := range c.VNIs {
		if vni >= 1<<24 {
			bad("vnis: %d is more than 16777215", vni)
		}
	}
	if len(c.Sources) > maxSources {
		bad("sources: %d are more than %d", len(c.Sources), maxSources)
	}
	for _, p := range c.Sources {
		if !p.IsValid() {
			bad("sources: an empty prefix")
		}
	}
	if len(c.Rules) > maxRules {
		bad("rules: %d are more than %d", len(c.Rules), maxRules)
	}
	prefixes := 0
	names := map[string]int{}
	for i := range c.Rules {
		r := &c.Rules[i]
		prefixes += len(r.Net) + len(r.Src) + len(r.Dst)
		if err := r.validate(); err != nil {
			bad("rule %d: %w", i+1, err)
		}
		if other, taken := names[r.String()]; taken {
			bad("rules %d and %d have one name, %q", other, i+1, r.String())
		}
		names[r.String()] = i + 1
	}
	if prefixes > maxPrefixes {
		bad("rules: %d prefixes are more than %d", prefixes, maxPrefixes)
	}
	if c.Default != Allow && c.Default != Deny {
		bad("default: neither allow nor deny")
	}
	if c.Sample == 0 {
		bad("sample: one in 0")
	}
	if c.Sample > maxSample {
		bad("sample: one in %d, %d is the most", c.Sample, maxSample)
	}
	if c.TrimHead > maxTrimHead {
		bad("trim_head: %d is more than %d", c.TrimHead, maxTrimHead)
	}
	if c.Trim > 65535 {
		bad("trim: %d is more than 65535", c.Trim)
	}
	return errors.Join(errs...)
}

func (r *Rule) validate() error {
	var errs []error
	if r.Action != Allow && r.Action != Deny {
		errs = append(errs, errors.New("action: neither allow nor deny"))
	}
	for _, list := range [][]Prefix{r.Net, r.Src, r.Dst} {
		for _, p := range list {
			if !p.IsValid() {
				errs = append(errs, errors.New("an empty prefix"))
			}
		}
	}
	for _, p := range r.Port {
		if p.First > p.Last {
			errs = append(errs, fmt.Errorf("port: %d-%d ends before it starts", p.First, p.Last))
		}
	}
	return errors.Join(errs...)
}

// String gives the rule's name, or its text.
func (r *Rule) String() string {
	if r.Name != "" {
		return r.Name
	}
	var b strings.Builder
	b.WriteString(r.Action.String())
	list(&b, "proto", r.Proto)
	list(&b, "net", r.Net)
	list(&b, "src", r.Src)
	list(&b, "dst", r.Dst)
	list(&b, "port", r.Port)
	return b.String()
}

func list[T fmt.Stringer](b *strings.Builder, name string, values []T) {
	for i, v := range values {
		if i == 0 {
			b.WriteString(" " + name + " ")
		} else {
			b.WriteByte(',')
		}
		b.WriteString(v.String())
	}
}

// Prefix is an IP prefix; in text, an address alone stands for itself.
type Prefix struct{ netip.Prefix }

// UnmarshalText reads 10.0.0.0/8 or 10.0.0.1.
func (p *Prefix) UnmarshalText(text []byte) error {
	s := string(text)
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return err
		}
		if a.Zone() != "" {
			return fmt.Errorf("address %s: a zone means nothing here", s)
		}
		a = a.Unmap()
		p.Prefix = netip.PrefixFrom(a, a.BitLen())
		return nil
	}
	q, err := netip.ParsePrefix(s)
	if err != nil {
		return err
	}
	if a := q.Addr(); a.Is4In6() && q.Bits() >= 96 {
		q = netip.PrefixFrom(a.Unmap(), q.Bits()-96)
	}
	p.Prefix = q.Masked()
	return nil
}
