package mirror

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// Filter says what of an interface's packets is mirrored.
type Filter struct {
	ID        string `toml:"id" comment:"A filter that is there, as \"tmf-0123456789abcdef0\". It is used as it is. Empty: one is made, as below."`
	AmazonDNS bool   `toml:"amazon_dns" comment:"Mirror what goes to and from the DNS server of the VPC too, which AWS else leaves out."`
	NoLoops   bool   `toml:"no_loops" comment:"Leave out what is mirrored already (UDP port 4789), by rules in front of all others: an interface of a sensor\nthat is selected by mistake would mirror its own copies, and theirs. Takes a rule for each direction and\nversion of IP that has rules."`
	Rules     []Rule `toml:"rules" comment:"Rules, tried in this order; the first that fits decides, and without one that fits nothing is mirrored. AWS\ntakes 10 for a filter, and both is two. They are tables of their own; what is left out is as here:\n\n  [[filter.rules]]\n  direction = \"both\"          # seen from the interface: ingress, egress, both\n  action = \"accept\"           # or reject\n  protocol = \"all\"            # tcp, udp, icmp, icmpv6, or a number\n  source = \"0.0.0.0/0\"\n  destination = \"0.0.0.0/0\"\n  source_ports = \"\"           # with tcp and udp: \"443\", \"8000-8999\"; empty: any\n  destination_ports = \"\"\n\nWithout any rule everything is mirrored, IPv4 and IPv6."`
}

// Rule is one of a filter. What is empty is as in the comment of Filter.Rules.
type Rule struct {
	Direction        string `toml:"direction"`
	Action           string `toml:"action"`
	Protocol         string `toml:"protocol"`
	Source           string `toml:"source"`
	Destination      string `toml:"destination"`
	SourcePorts      string `toml:"source_ports"`
	DestinationPorts string `toml:"destination_ports"`
}

func defaultFilter() Filter { return Filter{AmazonDNS: true, NoLoops: true, Rules: []Rule{}} }

// PortRange is a range of ports; nil: any.
type PortRange struct {
	From int `json:"from"`
	To   int `json:"to"`
}

// FilterRule is a rule as AWS has it.
type FilterRule struct {
	ID               string     `json:"id,omitempty"`
	Direction        string     `json:"direction"` // ingress, egress
	Number           int        `json:"number"`
	Action           string     `json:"action"`   // accept, reject
	Protocol         int        `json:"protocol"` // -1: all
	Source           string     `json:"source"`
	Destination      string     `json:"destination"`
	SourcePorts      *PortRange `json:"source_ports,omitempty"`
	DestinationPorts *PortRange `json:"destination_ports,omitempty"`
}

// place tells which rule of a filter it is.
func (r *FilterRule) place() string { return r.Direction + " " + strconv.Itoa(r.Number) }

// String is the rule in words.
func (r *FilterRule) String() string {
	var b strings.Builder
	b.WriteString(r.Action)
	switch r.Protocol {
	case -1:
		b.WriteString(" all")
	default:
		if i := slices.IndexFunc(protocols, func(p protocol) bool { return p.number == r.Protocol }); i >= 0 {
			b.WriteString(" " + protocols[i].name)
		} else {
			fmt.Fprintf(&b, " protocol %d", r.Protocol)
		}
	}
	end := func(word, net string, p *PortRange) {
		fmt.Fprintf(&b, " %s %s", word, net)
		switch {
		case p == nil:
		case p.From == p.To:
			fmt.Fprintf(&b, " port %d", p.From)
		default:
			fmt.Fprintf(&b, " ports %d-%d", p.From, p.To)
		}
	}
	end("from", r.Source, r.SourcePorts)
	end("to", r.Destination, r.DestinationPorts)
	return b.String()
}

// same tells whether two rules do the same.
func (r *FilterRule) same(o *FilterRule) bool {
	return r.place() == o.place() && r.String() == o.String()
}

// is6 tells whether it is of IPv6.
func (r *FilterRule) is6() bool { return strings.Contains(r.Source, ":") }

type protocol struct {
	name   string
	number int
}

var protocols = []protocol{{"icmp", 1}, {"tcp", 6}, {"udp", 17}, {"icmpv6", 58}}

// ruleStep is the distance of rule numbers.
const ruleStep = 10

// rules gives those of the filter that is made, by direction and number.
func (f *Filter) rules() ([]FilterRule, error) {
	given := f.Rules
	if len(given) == 0 {
		given = []Rule{{}, {Source: "::/0", Destination: "::/0"}}
	}
	var all []FilterRule
	var errs []error
	for i, r := range given {
		parsed, err := r.parse()
		if err != nil {
			for _, e := range split(err) {
				errs = append(errs, fmt.Errorf("rule %d: %w", i+1, e))
			}
			continue
		}
		all = append(all, parsed...)
	}
	if f.NoLoops {
		all = append(loopRules(all), all...)
	}
	next := map[string]int{}
	for i := range all {
		next[all[i].Direction] += ruleStep
		all[i].Number = next[all[i].Direction]
	}
	if len(all) > rulesPerFilter {
		errs = append(errs, fmt.Errorf("rules: they make %d for AWS (both is two, no_loops adds its own), which takes %d", len(all), rulesPerFilter))
	}
	return all, errors.Join(errs...)
}

// loopRules rejects mirrored packets in each direction and version of IP in
// which something is accepted.
func loopRules(all []FilterRule) (loops []FilterRule) {
	for _, direction := range []string{"ingress", "egress"} {
		for _, any := range []string{"0.0.0.0/0", "::/0"} {
			r := FilterRule{Direction: direction, Action: "reject", Protocol: 17, Source: any, Destination: any, DestinationPorts: &PortRange{mirrorPort, mirrorPort}}
			if slices.ContainsFunc(all, func(o FilterRule) bool { return o.Direction == direction && o.is6() == r.is6() && o.Action == "accept" }) {
				loops = append(loops, r)
			}
		}
	}
	return loops
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// parse gives the rule for each direction.
func (r *Rule) parse() ([]FilterRule, error) {
	var errs []error
	bad := func(key string, err error) {
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	out := FilterRule{Action: orElse(r.Action, "accept")}
	if out.Action != "accept" && out.Action != "reject" {
		bad("action", fmt.Errorf("%q; take accept or reject", out.Action))
	}
	var err error
	out.Protocol, err = parseProtocol(orElse(r.Protocol, "all"))
	bad("protocol", err)
	var src, dst netip.Prefix
	src, err = netip.ParsePrefix(orElse(r.Source, "0.0.0.0/0"))
	bad("source", prefixError(src, err))
	dst, err = netip.ParsePrefix(orElse(r.Destination, "0.0.0.0/0"))
	bad("destination", prefixError(dst, err))
	if src.IsValid() && dst.IsValid() && src.Addr().Is4() != dst.Addr().Is4() {
		bad("destination", fmt.Errorf("%s is of another version of IP than source %s", dst, src))
	}
	out.Source, out.Destination = src.String(), dst.String()
	out.SourcePorts, err = parsePorts(r.SourcePorts)
	bad("source_ports", err)
	out.DestinationPorts, err = parsePorts(r.DestinationPorts)
	bad("destination_ports", err)
	if (r.SourcePorts != "" || r.DestinationPorts != "") && out.Protocol != 6 && out.Protocol != 17 {
		bad("protocol", errors.New("ports need tcp or udp"))
	}
	var all []FilterRule
	switch direction := orElse(r.Direction, "both"); direction {
	case "ingress", "egress":
		out.Direction = direction
		all = []FilterRule{out}
	case "both":
		in, eg := out, out
		in.Direction, eg.Direction = "ingress", "egress"
		all = []FilterRule{in, eg}
	default:
		bad("direction", fmt.Errorf("%q; take ingress, egress or both", direction))
	}
	return all, errors.Join(errs...)
}

func prefixError(p netip.Prefix, err error) error {
	if err != nil {
		return fmt.Errorf("%w; write 10.0.0.0/8 or ::/0", err)
	}
	if p != p.Masked() {
		return fmt.Errorf("%s has bits beyond its length; write %s", p, p.Masked())
	}
	return nil
}

func parseProtocol(s string) (int, error) {
	if s == "all" {
		return -1, nil
	}
	if i := slices.IndexFunc(protocols, func(p protocol) bool { return p.name == s }); i >= 0 {
		return protocols[i].number, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 255 {
		return 0, fmt.Errorf("%q; take all, tcp, udp, icmp, icmpv6 or a number to 255", s)
	}
	return n, nil
}

// parsePorts reads "443" or "8000-8999"; nothing is any port.
func parsePorts(s string) (*PortRange, error) {
	if s == "" {
		return nil, nil
	}
	from, to, isRange := strings.Cut(s, "-")
	if !isRange {
		to = from
	}
	a, err1 := strconv.ParseUint(strings.TrimSpace(from), 10, 16)
	b, err2 := strconv.ParseUint(strings.TrimSpace(to), 10, 16)
	if err1 != nil || err2 != nil || a > b {
		return nil, fmt.Errorf("%q is no range of ports; write 443 or 8000-8999", s)
	}
	return &PortRange{int(a), int(b)}, nil
}

func (f *Filter) validate() error {
	if f.ID != "" {
		var errs []error
		if err := checkID("tmf", f.ID); err != nil {
			errs = append(errs, fmt.Errorf("id: %w", err))
		}
		if len(f.Rules) > 0 {
			errs = append(errs, errors.New("rules: a filter that is given by id is used as it is; leave id or rules out"))
		}
		return errors.Join(errs...)
	}
	_, err := f.rules()
	return err
}
