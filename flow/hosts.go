package flow

import "mirrorscope/packet"

// pair is two hosts as one observation point sees them in one network.
type pair struct {
	a, b    packet.Addr // a ≤ b
	point   packet.PointID
	network packet.NetworkID
}

// pair4 is a pair both hosts of which have addresses of IPv4.
type pair4 struct {
	a, b    uint32 // as in the latter half of a packet.Addr
	point   packet.PointID
	network packet.NetworkID
}

// pairSeen holds when, ns, a pair of hosts was last seen in both directions by one
// flow, and when a flow of theirs was seen from one side although it had two.
type pairSeen struct{ both, oneSided int64 }

// hosts are what is known of keys with addresses. Nearly all are of IPv4: they have a short
// form, K4, and need little more than half of what the others do.
type hosts[K4 knowable, K inShort[K4], V any] struct {
	four known[K4, V]
	any  known[K, V] // that have no K4
}

// inShort is a key that has a short form if it is of IPv4.
type inShort[K4 knowable] interface {
	knowable
	four() (K4, bool)
}

// pairs are what is known of pairs of hosts; listeners are when, ns, endpoints last answered.
type (
	pairs     = hosts[pair4, pair, pairSeen]
	listeners = hosts[endpoint4, endpoint, int64]
)

func (m *hosts[K4, K, V]) len() int { return m.four.entries.Len() + m.any.entries.Len() }

// of gives what is known of a key, or nil. It is valid until the next add.
func (m *hosts[K4, K, V]) of(k K) *V {
	if q, ok := k.four(); ok {
		return m.four.of(q)
	}
	return m.any.of(k)
}

// sweep forgets what is not worth to keep.
func (m *hosts[K4, K, V]) sweep(keep func(V) bool) {
	m.four.sweep(keep)
	m.any.sweep(keep)
}

// endpoint is a host's end of a transport protocol in one network.
type endpoint struct {
	addr    packet.Addr
	network packet.NetworkID
	port    uint16
	proto   uint8
}

// endpoint4 is an endpoint of a host with an address of IPv4.
type endpoint4 struct {
	addr    uint32 // as in the latter half of a packet.Addr
	network packet.NetworkID
	port    uint16
	proto   uint8
}

// four gives the endpoint in short, if it is of IPv4.
func (e endpoint) four() (endpoint4, bool) {
	a := word(e.addr[8:])
	return endpoint4{uint32(a >> 32), e.network, e.port, e.proto}, word(e.addr[:8]) == 0 && uint32(a) == mapped
}

func (e endpoint) hash(s *secret) uint64 {
	h := fold(word(e.addr[:8])^s[0], word(e.addr[8:])^s[1])
	return fold(h^uint64(e.network)<<32^uint64(e.port)<<8^uint64(e.proto)^s[2], s[3])
}

func (e endpoint4) hash(s *secret) uint64 {
	return s.hash4(uint64(e.addr), uint64(e.port)<<8|uint64(e.proto), uint64(e.network)<<32)
}

// four gives the pair in short, if it is of IPv4.
func (p pair) four() (pair4, bool) {
	a, b, ok := fourOf(&p.a, &p.b)
	return pair4{a, b, p.point, p.network}, ok
}

// fourOf gives two addresses of IPv4 in short, if they are.
func fourOf(a, b *packet.Addr) (x, y uint32, ok bool) {
	a1, b1 := word(a[8:]), word(b[8:])
	return uint32(a1 >> 32), uint32(b1 >> 32), word(a[:8])|word(b[:8]) == 0 && uint32(a1) == mapped && uint32(b1) == mapped
}

func (p pair4) hash(s *secret) uint64 {
	return s.hash4(uint64(p.a)|uint64(p.b)<<32, 0, uint64(p.point)|uint64(p.network)<<32)
}

func (p pair) hash(s *secret) uint64 {
	h := fold(word(p.a[:8])^s[0], word(p.a[8:])^s[1]) ^ fold(word(p.b[:8])^s[2], word(p.b[8:])^s[3])
	return fold(h^s[4], uint64(p.point)<<32^uint64(p.network)^s[5])
}
