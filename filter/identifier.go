package filter

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"

	"mirrorscope/packet"
)

// identifier reads an address, port or protocol with the keywords k.
func (p *parser) identifier(k *keywords) (*node, error) {
	t := p.next()
	if !isIdentifier(t.text) && !(k.kind == kindProto && isProtocol(t.text)) {
		return nil, p.fail(t, "%q needs %s behind it", strings.TrimSpace(k.after()), wanted[k.kind])
	}
	switch k.kind {
	case kindHost:
		return p.host(t, k)
	case kindNet:
		return p.net(t, k)
	case kindPort, kindPortRange:
		return p.port(t, k)
	}
	return p.proto(t, k)
}

var wanted = [...]string{
	kindHost: "an IP address", kindNet: "a network such as 10.0.0.0/8", kindPort: "a port number",
	kindPortRange: "ports such as 8000-8099", kindProto: "an IP protocol",
}

func (p *parser) host(t token, k *keywords) (*node, error) {
	if strings.Contains(t.text, "/") {
		return nil, p.fail(t, "a host has no prefix length: write %snet %s", directionWords[k.dir], t.text)
	}
	a, err := netip.ParseAddr(t.text)
	if err != nil || a.Zone() != "" {
		return nil, p.fail(t, "%q is no IP address (names are not looked up)", t.text)
	}
	return p.prefix(t, k, netip.PrefixFrom(a, a.BitLen()))
}

func (p *parser) net(t token, k *keywords) (*node, error) {
	text, bits, slash := strings.Cut(t.text, "/")
	a, implied, ok := parseNet(text)
	if !ok {
		return nil, p.fail(t, "%q is no network: write an address, or a network such as 10.0.0.0/8 or 2001:db8::/32", t.text)
	}
	n := implied
	switch {
	case slash:
		v, err := strconv.ParseUint(bits, 10, 8)
		if err != nil || int(v) > a.BitLen() {
			return nil, p.fail(t, "%q is no prefix length of an IPv%d network: 0 to %d", bits, ipVersion(a), a.BitLen())
		}
		n = int(v)
	case p.peek().text == "mask":
		p.next()
		m := p.next()
		mask, err := netip.ParseAddr(m.text)
		if err != nil || !mask.Is4() || !a.Is4() {
			return nil, p.fail(m, "after mask an IPv4 mask such as 255.255.255.0 should follow")
		}
		v := binary.BigEndian.Uint32(mask.AsSlice())
		if n = leadingOnes(v); v<<n != 0 {
			return nil, p.fail(m, "%s has ones behind a zero; write the prefix length", m.text)
		}
	}
	prefix := netip.PrefixFrom(a, n)
	if masked := prefix.Masked(); masked != prefix {
		return nil, p.fail(t, "%s has bits behind its prefix: write net %s, or host %s", t.text, masked, a)
	}
	return p.prefix(t, k, prefix)
}

// parseNet reads an address. IPv4 may leave out octets at the end, which are
// then no part of the network: 10 is 10.0.0.0/8. bits is the prefix length
// that this implies.
func parseNet(s string) (a netip.Addr, bits int, ok bool) {
	dots := strings.Count(s, ".")
	if strings.Contains(s, ":") || dots == 3 {
		a, err := netip.ParseAddr(s)
		return a, a.BitLen(), err == nil && a.Zone() == ""
	}
	if dots > 3 {
		return netip.Addr{}, 0, false
	}
	a, err := netip.ParseAddr(s + strings.Repeat(".0", 3-dots))
	return a, 8 * (dots + 1), err == nil
}

// prefix is the primitive for a host or network.
func (p *parser) prefix(t token, k *keywords, prefix netip.Prefix) (*node, error) {
	version := ipVersion(prefix.Addr())
	if k.version != 0 && k.version != version {
		return nil, p.fail(t, "%s is no IPv%d address", t.text, k.version)
	}
	n := &node{op: opNet, version: version, anyProto: true, dir: k.dir, prefix: prefix}
	a := packet.AddrFrom(prefix.Addr())
	bits := prefix.Bits() + 128 - prefix.Addr().BitLen()
	n.mask = [2]uint64{ones(min(bits, 64)), ones(max(bits-64, 0))}
	n.addr = [2]uint64{binary.BigEndian.Uint64(a[:8]) & n.mask[0], binary.BigEndian.Uint64(a[8:]) & n.mask[1]}
	return n, nil
}

func (p *parser) port(t token, k *keywords) (*node, error) {
	lo, hi := t.text, t.text
	if a, b, ok := strings.Cut(t.text, "-"); ok && isNumber(a) && isNumber(b) {
		if k.kind == kindPort {
			return nil, p.fail(t, "for a range write portrange %s", t.text)
		}
		lo, hi = a, b
	}
	x, err := strconv.ParseUint(lo, 10, 16)
	y, err2 := strconv.ParseUint(hi, 10, 16)
	if err != nil || err2 != nil {
		return nil, p.fail(t, "%q is no port: 0 to 65535 (names of services are not looked up)", t.text)
	}
	return &node{
		op: opPort, anyProto: !k.hasProto, proto: k.proto, dir: k.dir,
		lo: uint16(min(x, y)), hi: uint16(max(x, y)), // either way round, as in pcap-filter
	}, nil
}

func (p *parser) proto(t token, k *keywords) (*node, error) {
	// pcap-filter wants \tcp, because tcp is a word of its own.
	text := strings.TrimPrefix(t.text, `\`)
	n := &node{op: opProto, version: k.version}
	for _, x := range protocols {
		if x.word == text {
			n.proto = x.proto
			return n, nil
		}
	}
	v, err := strconv.ParseUint(text, 10, 8)
	if err != nil {
		return nil, p.fail(t, "%q is no IP protocol: a number from 0 to 255, or a name such as tcp", t.text)
	}
	n.proto = uint8(v)
	return n, nil
}

// guess completes an identifier that stands without a keyword.
func guess(s string) string {
	if _, err := netip.ParseAddr(s); err == nil {
		return "host " + s
	}
	if _, err := netip.ParsePrefix(s); err == nil {
		return "net " + s
	}
	if _, err := strconv.ParseUint(s, 10, 16); err == nil {
		return "port " + s
	}
	return ""
}

func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

func ipVersion(a netip.Addr) uint8 {
	if a.Is4() {
		return 4
	}
	return 6
}

// ones has its n highest bits set.
func ones(n int) uint64 {
	return ^uint64(0) << (64 - n) // a shift by 64 gives 0
}

func leadingOnes(v uint32) (n int) {
	for ; v&(1<<31) != 0; v <<= 1 {
		n++
	}
	return n
}
