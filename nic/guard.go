package nic

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// GuardConfig says what a guard keeps from the kernel's network stack.
//
// A guard drops frames where a capture has had them already: nft's ingress hook
// comes after AF_PACKET and after XDP. It drops what is sent, too, but for
// frames that go round the queueing discipline (AF_PACKET with
// PACKET_QDISC_BYPASS, AF_XDP). The sensor sends none: its AF_XDP sockets have no
// ring to send by and get none once bound, and its packet sockets are sealed when
// it gives up its privileges (package privilege). Another privileged program
// could. It is a table of the kernel and outlives the process that made it.
type GuardConfig struct {
	// Shared lets this machine use the interface as well: only mirror traffic
	// in tunnels is dropped on its way in, so that no ICMP port unreachable
	// goes back, and nothing on its way out. Else everything is dropped, both
	// ways, and IPv6 is switched off.
	Shared bool
	// Ports are the UDP ports of the mirror's tunnels, for Shared.
	Ports []uint16
}

// DefaultGuardConfig is for an interface that nobody else uses.
func DefaultGuardConfig() GuardConfig {
	return GuardConfig{Ports: []uint16{
		4789,  // VXLAN, RFC 7348
		4790,  // VXLAN-GPE
		6081,  // GENEVE, RFC 8926
		8472,  // VXLAN, as Linux numbered it before
		37008, // TZSP
	}}
}

// Validate reports every bad field.
func (c GuardConfig) Validate() error {
	var bad []error
	if c.Shared && len(c.Ports) == 0 {
		bad = append(bad, errors.New("ports: a shared interface without ports has nothing to guard"))
	}
	if slices.Contains(c.Ports, 0) {
		bad = append(bad, errors.New("ports: 0 is no port"))
	}
	return errors.Join(bad...)
}

// ErrReachable is of an interface that must not be silenced, because this
// machine is reached by it: a default route leaves there, a TCP connection goes
// over it, a program listens on its very address, or it is the loopback device.
var ErrReachable = errors.New("this machine is reached by it")

// ReachableMends is what an operator can do about ErrReachable.
func ReachableMends(ifname string) string {
	return fmt.Sprintf("give the mirror an interface of its own; or set filter.shared = true, if this one is to carry both; or capture.guard = false; "+
		"or silence it all the same, from elsewhere: sensor guard --force %s | nft -f -", ifname)
}

// greMirrors are the protocols in GRE of ERSPAN I and II, and of III.
var greMirrors = []uint16{0x88be, 0x22eb}

// tableName is that of the guard's table of an interface: nft takes letters,
// digits and a few signs, so others are written as numbers. An underscore is
// written so, too, and no two interfaces have one name.
func tableName(ifname string) string {
	var b strings.Builder
	b.WriteString("silent_")
	for _, c := range []byte(ifname) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.':
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, "_%02x", c)
		}
	}
	return b.String()
}

// GuardScript is the guard as a script for `nft -f -`. It makes the table anew
// if there is one, without a gap. egress tells whether the kernel has nft's
// egress hook (from 5.16): without it what programs send is not stopped, and
// what the kernel sends by itself only as far as IPv6 is off and nothing
// reaches it to be answered.
func GuardScript(ifname string, c GuardConfig, egress bool) string {
	var b strings.Builder
	name := tableName(ifname)
	fmt.Fprintf(&b, "table netdev %s\ndelete table netdev %s\ntable netdev %s {\n", name, name, name)
	fmt.Fprintf(&b, "\tchain in {\n\t\ttype filter hook ingress device \"%s\" priority 0\n", ifname)
	if c.Shared {
		for _, port := range c.Ports {
			fmt.Fprintf(&b, "\t\tudp dport %d counter drop\n", port)
		}
		for _, protocol := range greMirrors {
			fmt.Fprintf(&b, "\t\tmeta l4proto 47 @th,16,16 0x%x counter drop\n", protocol)
		}
	} else {
		b.WriteString("\t\tcounter drop\n")
	}
	b.WriteString("\t}\n")
	if !c.Shared && egress {
		fmt.Fprintf(&b, "\tchain out {\n\t\ttype filter hook egress device \"%s\" priority 0\n\t\tcounter drop\n\t}\n", ifname)
	}
	b.WriteString("}\n")
	return b.String()
}

// UnguardScript takes the guard away. It is no error if there is none.
func UnguardScript(ifname string) string {
	name := tableName(ifname)
	return fmt.Sprintf("table netdev %s\ndelete table netdev %s\n", name, name)
}

// egressSince is the first kernel with nft's egress hook.
var egressSince = Version{5, 16}

// HasEgress tells whether a kernel can drop what is sent.
func HasEgress(kernel Version) bool { return kernel.AtLeast(egressSince.Major, egressSince.Minor) }

// GuardDrops are the frames that a guard has dropped since it was made.
type GuardDrops struct {
	In  uint64 // after any capture has had them
	Out uint64 // that this machine wanted to send
}

// ReadGuard gives what the guard of an interface has dropped, whoever installed
// it. there is false if there is none. It needs CAP_NET_ADMIN.
func ReadGuard(ifname string) (d GuardDrops, there bool, err error) {
	g, err := readGuard(ifname)
	if err != nil {
		return GuardDrops{}, false, fmt.Errorf("guard of %s: %w", ifname, err)
	}
	return g.drops, g.there, nil
}

// inPlace is a guard as it is found.
type inPlace struct {
	there, whole bool // whole: it drops all that comes in
	drops        GuardDrops
}
