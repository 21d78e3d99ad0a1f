package bpf

import (
	"cmp"
	"encoding/binary"
	"net/netip"
	"slices"
)

// compiled is a Config in the form of the maps, for one generation.
type compiled struct {
	policy   prefilterPolicy
	prefixes map[prefilterPrefixKey]prefilterPrefixRules // empty where no rule has a prefix
	ports    []uint64                                    // rules by port; nil where no rule has one
	sources  map[prefilterPrefixKey]uint32               // 1: in the list
	vnis     []prefilterVniKey
}

// flags of a policy, as in policy.h.
const (
	flagShared = 1 << iota
	flagUDPPorts
	flagSources
	flagVNIs
	flagPrefixes
	flagPortRules
	flagDefaultDeny
	flagTakesAll
)

// compile turns a valid Config into maps.
func compile(cfg *Config, generation uint32) *compiled {
	c := &compiled{prefixes: map[prefilterPrefixKey]prefilterPrefixRules{}}
	p := &c.policy
	p.Sample, p.Trim, p.TrimHead = cfg.Sample, cfg.Trim, cfg.TrimHead
	set := func(on bool, flag uint32) {
		if on {
			p.Flags |= flag
		}
	}
	set(cfg.Shared, flagShared)
	set(len(cfg.UDPPorts) > 0, flagUDPPorts)
	set(len(cfg.Sources) > 0, flagSources)
	set(len(cfg.VNIs) > 0, flagVNIs)
	set(cfg.Default == Deny, flagDefaultDeny)
	for _, port := range cfg.UDPPorts {
		p.UdpPorts[port>>6] |= 1 << (port & 63)
	}
	if len(cfg.Sources) > 0 {
		c.sources = map[prefilterPrefixKey]uint32{allIPv4(generation): 0}
	}
	for _, source := range cfg.Sources {
		c.sources[keyOf(source.Prefix, generation)] = 1
	}
	for _, id := range cfg.VNIs {
		c.vnis = append(c.vnis, prefilterVniKey{Generation: generation, Id: id})
	}
	c.rules(cfg.Rules, generation)
	set(p.Flags == 0 && len(cfg.Rules) == 0 && cfg.Sample <= 1 && cfg.Trim == 0, flagTakesAll)
	set(len(c.prefixes) > 0, flagPrefixes)
	set(c.ports != nil, flagPortRules)
	return c
}

// rules compiles the rules: bit i stands for rule i.
func (c *compiled) rules(rules []Rule, generation uint32) {
	p := &c.policy
	var anywhere prefilterPrefixRules // rules without a condition
	for i := range rules {
		r, bit := &rules[i], uint64(1)<<i
		p.Rules |= bit
		if r.Action == Allow {
			p.Allow |= bit
		}
		for proto := range p.Proto {
			if len(r.Proto) == 0 || slices.Contains(r.Proto, Proto(proto)) {
				p.Proto[proto] |= bit
			}
		}
		if len(r.Port) == 0 {
			p.AnyPort |= bit
		}
		for _, list := range []struct {
			prefixes []Prefix
			rules    func(*prefilterPrefixRules) *uint64
		}{
			{r.Src, func(v *prefilterPrefixRules) *uint64 { return &v.Src }},
			{r.Dst, func(v *prefilterPrefixRules) *uint64 { return &v.Dst }},
			{r.Net, func(v *prefilterPrefixRules) *uint64 { return &v.Net }},
		} {
			if len(list.prefixes) == 0 {
				*list.rules(&anywhere) |= bit
			}
			for _, prefix := range list.prefixes {
				k := keyOf(prefix.Prefix, generation)
				v := c.prefixes[k]
				*list.rules(&v) |= bit
				c.prefixes[k] = v
			}
		}
	}
	if len(c.prefixes) > 0 {
		c.cover(anywhere, generation)
	}
	if p.AnyPort != p.Rules {
		c.ports = make([]uint64, 1<<16)
		for port := range c.ports {
			c.ports[port] = p.AnyPort
		}
		for i := range rules {
			for _, r := range rules[i].Port {
				for port := int(r.First); port <= int(r.Last); port++ {
					c.ports[port] |= 1 << i
				}
			}
		}
	}
}

// cover adds to each prefix the rules of those that it lies in, as a look-up
// finds the longest one alone, and to all the rules that take any address.
func (c *compiled) cover(anywhere prefilterPrefixRules, generation uint32) {
	root6, root4 := prefilterPrefixKey{Bits: 32, Generation: generation}, allIPv4(generation)
	c.prefixes[root6] = or(c.prefixes[root6], anywhere)
	c.prefixes[root4] = or(c.prefixes[root4], anywhere)
	keys := make([]prefilterPrefixKey, 0, len(c.prefixes))
	var lengths []uint32
	for k := range c.prefixes {
		keys = append(keys, k)
		if !slices.Contains(lengths, k.Bits) {
			lengths = append(lengths, k.Bits)
		}
	}
	slices.SortFunc(keys, func(a, b prefilterPrefixKey) int { return cmp.Compare(a.Bits, b.Bits) })
	slices.Sort(lengths)
	for _, k := range keys { // shorter ones are complete
		if k == root4 {
			continue
		}
		for _, bits := range slices.Backward(lengths) {
			if bits >= k.Bits {
				continue
			}
			shorter := k
			shorter.Bits = bits
			mask(&shorter)
			if v, ok := c.prefixes[shorter]; ok {
				c.prefixes[k] = or(c.prefixes[k], v)
				break
			}
		}
	}
}

// allIPv4 is the prefix 0.0.0.0/0. It is in each trie, so that what is said of
// ::/0 is not said of IPv4, whose addresses are inside it.
func allIPv4(generation uint32) prefilterPrefixKey {
	return keyOf(netip.PrefixFrom(netip.IPv4Unspecified(), 0), generation)
}

func or(a, b prefilterPrefixRules) prefilterPrefixRules {
	a.Src |= b.Src
	a.Dst |= b.Dst
	a.Net |= b.Net
	return a
}

// keyOf gives the trie's key for a prefix.
func keyOf(p netip.Prefix, generation uint32) prefilterPrefixKey {
	bits := p.Bits()
	if p.Addr().Is4() {
		bits += 96
	}
	k := prefilterPrefixKey{Bits: uint32(32 + bits), Generation: generation, Addr: keyAddr(p.Addr())}
	mask(&k)
	return k
}

// keyAddr gives an address as the programs hold it.
func keyAddr(a netip.Addr) prefilterAddr {
	b := a.As16()
	return prefilterAddr{Hi: binary.NativeEndian.Uint64(b[:8]), Lo: binary.NativeEndian.Uint64(b[8:])}
}

// mask clears the bits behind the prefix.
func mask(k *prefilterPrefixKey) {
	var b [16]byte
	binary.NativeEndian.PutUint64(b[:8], k.Addr.Hi)
	binary.NativeEndian.PutUint64(b[8:], k.Addr.Lo)
	p, err := netip.AddrFrom16(b).Prefix(int(k.Bits) - 32)
	if err != nil {
		return // a length of 0 to 128 gives no error
	}
	k.Addr = keyAddr(p.Addr())
}
