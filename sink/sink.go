// Package sink holds what every output shares: how observation points,
// protocols and tunnels are called. The outputs themselves are in the folders
// below: jsonl and csv for programs, table for people.
package sink

import (
	"net/netip"
	"time"

	"mirrorscope/packet"
)

// Names tells what the small numbers in a record stand for. It is
// packet.Names; tests use a map.
type Names interface {
	Point(packet.PointID) packet.PointKey
	PointName(packet.PointID) string
	InterfaceName(uint32) string
	NetworkName(packet.NetworkID) string
	Path(packet.PathID) packet.Path
}

// Point is an observation point in the words of the outputs. Interface is
// empty for the point that stands for all those that found no place in Names.
type Point struct {
	Name      string
	Interface string
	Tunnel    packet.Tunnel // NoTunnel: the interface itself
	HasID     bool
	ID        uint32     // VNI or ERSPAN session id
	A, B      netip.Addr // outer addresses, unordered; only with a tunnel
	Cookies   packet.Cookies
}

// PointOf looks one up.
func PointOf(n Names, id packet.PointID) Point {
	p := Point{Name: n.PointName(id)}
	if id == 0 {
		return p // the overflow of Names: many points in one
	}
	key := n.Point(id)
	p.Interface = n.InterfaceName(key.Interface)
	p.Tunnel = key.Kind
	if key.Kind == packet.NoTunnel {
		return p
	}
	if key.HasID() {
		p.HasID, p.ID = true, key.ID
	}
	p.A, p.B = key.A.IP(), key.B.IP()
	p.Cookies = key.Cookies
	return p
}

// Option classes that Cookies may come from (IANA GENEVE option classes).
const (
	ClassAWS    = 0x0108
	ClassGoogle = 0x0132
)

// protocols names the IP protocols that have a name in the outputs.
var protocols = [256]string{
	1: "icmp", 2: "igmp", 4: "ipip", 6: "tcp", 17: "udp", 33: "dccp", 41: "ipv6", 46: "rsvp", 47: "gre", 50: "esp", 51: "ah",
	58: "icmp6", 88: "eigrp", 89: "ospf", 94: "etherip", 103: "pim", 108: "ipcomp", 112: "vrrp", 115: "l2tp", 132: "sctp", 136: "udplite",
}

// AppendProtocol adds the name of an IP protocol, or its number where it has
// none.
func AppendProtocol(dst []byte, proto uint8) []byte {
	if name := protocols[proto]; name != "" {
		return append(dst, name...)
	}
	return AppendUint(dst, uint64(proto))
}

// AppendMicros adds ns as a number of µs with up to three decimals.
func AppendMicros(dst []byte, ns uint64) []byte {
	dst = AppendUint(dst, ns/1000)
	switch frac := ns % 1000; {
	case frac == 0:
		return dst
	case frac%10 != 0:
		return append(dst, '.', '0'+byte(frac/100), pairs[2*(frac%100)], pairs[2*(frac%100)+1])
	case frac%100 != 0:
		return append(dst, '.', pairs[frac/5], pairs[frac/5+1])
	default:
		return append(dst, '.', '0'+byte(frac/100))
	}
}

// AppendTime adds ns since the Unix epoch as RFC 3339, UTC, always with nine
// decimals, so that times sort as text.
func AppendTime(dst []byte, ns int64) []byte {
	s, nanos := split(ns)
	return appendNanos(appendSeconds(dst, s), nanos)
}

// split gives whole seconds, rounded down, and the rest in ns.
func split(ns int64) (s int64, nanos uint32) {
	s, rest := ns/1e9, ns%1e9
	if rest < 0 {
		s, rest = s-1, rest+1e9
	}
	return s, uint32(rest)
}

// appendNanos ends a time behind its seconds.
func appendNanos(dst []byte, n uint32) []byte {
	a, b, c, d := 2*(n/10_000_000), 2*(n/100_000%100), 2*(n/1000%100), 2*(n/10%100)
	return append(dst, '.', pairs[a], pairs[a+1], pairs[b], pairs[b+1], pairs[c], pairs[c+1], pairs[d], pairs[d+1], '0'+byte(n%10), 'Z')
}

// appendSeconds adds s since the Unix epoch, up to the seconds. The year must
// have four digits, which int64 ns always have.
func appendSeconds(dst []byte, s int64) []byte {
	t := time.Unix(s, 0).UTC()
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = append2(append2(dst, year/100), year%100)
	dst = append2(append(dst, '-'), int(month))
	dst = append2(append(dst, '-'), day)
	dst = append2(append(dst, 'T'), hour)
	dst = append2(append(dst, ':'), minute)
	return append2(append(dst, ':'), second)
}

// append2 adds two digits.
func append2(dst []byte, n int) []byte { return append(dst, '0'+byte(n/10), '0'+byte(n%10)) }

// AppendID adds the id of a record, 16 hexadecimal digits.
func AppendID(dst []byte, id uint64) []byte {
	const digits = "0123456789abcdef"
	var text [16]byte
	for i := range text {
		text[i] = digits[id>>(60-4*i)&15]
	}
	return append(dst, text[:]...)
}
