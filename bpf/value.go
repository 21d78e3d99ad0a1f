package bpf

import (
	"fmt"
	"strconv"
	"strings"
)

// Action is what a rule does.
type Action uint8

// The zero Action is not valid, so that a rule without one is noticed.
const (
	Allow Action = iota + 1
	Deny
)

func (a Action) String() string {
	switch a {
	case Allow:
		return "allow"
	case Deny:
		return "deny"
	}
	return "no action"
}

// MarshalText writes allow or deny.
func (a Action) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText reads allow or deny.
func (a *Action) UnmarshalText(text []byte) error {
	switch string(text) {
	case "allow":
		*a = Allow
	case "deny":
		*a = Deny
	default:
		return fmt.Errorf("%q is neither allow nor deny", text)
	}
	return nil
}

// PortRange is a range of ports, both ends included.
type PortRange struct{ First, Last uint16 }

func (r PortRange) String() string {
	if r.First == r.Last {
		return strconv.Itoa(int(r.First))
	}
	return fmt.Sprintf("%d-%d", r.First, r.Last)
}

// MarshalText writes 443 or 8000-8999.
func (r PortRange) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads 443 or 8000-8999.
func (r *PortRange) UnmarshalText(text []byte) error {
	first, last, isRange := strings.Cut(string(text), "-")
	if !isRange {
		last = first
	}
	a, err := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
	if err != nil {
		return fmt.Errorf("%q is no port or range of ports", text)
	}
	b, err := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
	if err != nil {
		return fmt.Errorf("%q is no port or range of ports", text)
	}
	r.First, r.Last = uint16(a), uint16(b)
	return nil
}

// Proto is an IP protocol number.
type Proto uint8

// protoNames are those that a configuration may use, in the order in which
// they are tried.
var protoNames = [...]struct {
	name  string
	proto Proto
}{{"tcp", 6}, {"udp", 17}, {"icmp", 1}, {"icmp6", 58}, {"sctp", 132}, {"gre", 47}, {"esp", 50}}

func (p Proto) String() string {
	for _, n := range protoNames {
		if n.proto == p {
			return n.name
		}
	}
	return strconv.Itoa(int(p))
}

// MarshalText writes a name, or the number.
func (p Proto) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText reads a name or a number.
func (p *Proto) UnmarshalText(text []byte) error {
	for _, n := range protoNames {
		if n.name == string(text) {
			*p = n.proto
			return nil
		}
	}
	v, err := strconv.ParseUint(string(text), 10, 8)
	if err != nil {
		return fmt.Errorf("%q is no protocol: tcp, udp, icmp, icmp6, sctp, gre, esp or a number", text)
	}
	*p = Proto(v)
	return nil
}
