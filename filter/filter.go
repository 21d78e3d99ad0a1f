// Package filter selects packets by an expression in the words of tcpdump.
//
// It is a subset of pcap-filter(7): host, net, port and portrange with src and
// dst, protocols by name and number, and, or, not and parentheses. What it
// accepts means what it means to tcpdump, but for three things that come from
// looking at a decoded packet.Packet instead of the octets of a frame: it is
// the innermost packet that is looked at, behind all tunnels, tags and IPv6
// extension headers; a packet in fragments is looked at when it is complete;
// and gre and udplite are words, too. Names of hosts and services are not
// looked up: a passive sensor asks nobody, and the same expression means the
// same everywhere.
//
// As in pcap-filter, not binds tighter than and and or, which bind equally and
// from left to right, and an identifier without a keyword repeats the last
// keywords: "tcp port 80 or 443".
package filter

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"

	"mirrorscope/packet"
)

// Filter is a parsed expression. It is immutable: any number of goroutines may
// use it.
type Filter struct {
	root *node // nil matches everything
}

// Match tells whether the expression holds for p. It does not allocate.
func (f *Filter) Match(p *packet.Packet) bool { return f.root == nil || f.root.match(p) }

// String gives the expression as it was understood, with every parenthesis and
// keyword written out. Parse reads it back.
func (f *Filter) String() string {
	var b strings.Builder
	if f.root != nil {
		f.root.format(&b)
	}
	return b.String()
}

type op uint8

const (
	opAnd op = iota
	opOr
	opNot
	opProto // version and protocol number
	opNet   // address in a prefix
	opPort  // port in a range
)

// direction says which end of a packet a primitive looks at.
type direction uint8

const (
	either direction = iota
	source
	destination
	both
)

var directionWords = [...]string{either: "", source: "src ", destination: "dst ", both: "src and dst "}

// node is an operator, or a primitive.
type node struct {
	op   op
	x, y *node // operands; opNot has only x

	version  uint8 // 4, 6; 0 either
	anyProto bool
	proto    uint8
	dir      direction

	prefix     netip.Prefix // opNet, as written
	addr, mask [2]uint64    // opNet, of a packet.Addr

	lo, hi uint16 // opPort
}

func (n *node) match(p *packet.Packet) bool {
	switch n.op {
	case opAnd:
		return n.x.match(p) && n.y.match(p)
	case opOr:
		return n.x.match(p) || n.y.match(p)
	case opNot:
		return !n.x.match(p)
	}
	// The version keeps an IPv6 packet that carries a mapped IPv4 address apart
	// from an IPv4 packet: their packet.Addr is the same.
	if n.version != 0 && n.version != p.Version || !n.anyProto && n.proto != p.Proto {
		return false
	}
	switch n.op {
	case opNet:
		return n.dir.holds(n.contains(&p.Src), n.contains(&p.Dst))
	case opPort:
		if p.Flags&packet.PortsUnknown != 0 || !hasPorts(p.Proto) {
			return false
		}
		return n.dir.holds(n.lo <= p.SrcPort && p.SrcPort <= n.hi, n.lo <= p.DstPort && p.DstPort <= n.hi)
	}
	return true
}

func (n *node) contains(a *packet.Addr) bool {
	return binary.BigEndian.Uint64(a[:8])&n.mask[0] == n.addr[0] && binary.BigEndian.Uint64(a[8:])&n.mask[1] == n.addr[1]
}

func (d direction) holds(src, dst bool) bool {
	switch d {
	case source:
		return src
	case destination:
		return dst
	case both:
		return src && dst
	}
	return src || dst
}

// hasPorts tells the protocols whose ports Packet.SrcPort and DstPort are; for
// ICMP they hold an identifier.
func hasPorts(proto uint8) bool {
	switch proto {
	case packet.ProtoTCP, packet.ProtoUDP, packet.ProtoSCTP, protoUDPLite:
		return true
	}
	return false
}

func (n *node) format(b *strings.Builder) {
	switch n.op {
	case opAnd, opOr:
		b.WriteByte('(')
		n.x.format(b)
		if n.op == opAnd {
			b.WriteString(" and ")
		} else {
			b.WriteString(" or ")
		}
		n.y.format(b)
		b.WriteByte(')')
	case opNot:
		b.WriteString("not ")
		n.x.format(b)
	case opProto:
		switch {
		case n.anyProto:
			b.WriteString(versionWords[n.version])
		case n.version == 0:
			fmt.Fprintf(b, "proto %d", n.proto)
		default:
			fmt.Fprintf(b, "%s proto %d", versionWords[n.version], n.proto)
		}
	case opNet:
		fmt.Fprintf(b, "%snet %s", directionWords[n.dir], n.prefix)
	case opPort:
		if !n.anyProto {
			b.WriteString(protoWord(n.proto) + " ")
		}
		fmt.Fprintf(b, "%sportrange %d-%d", directionWords[n.dir], n.lo, n.hi)
	}
}
