package pcapgen

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

// ShopStart is when the shop's capture begins, ns since the Unix epoch:
// 2026-03-02T09:00:00Z.
const ShopStart = 1_772_442_000_000_000_000

// shop is a web shop of a few services in one VPC. The interfaces of all but
// redis and the resolver are mirrored, so that a call between services is
// observed at both ends.
type shop struct {
	Mirror
	r     *rand.Rand
	ports map[netip.Addr]uint16 // last source port of each client
	tls   []Handshake           // 1.3, 1.2, 1.3 with retry

	web                                   [2]*Host
	cart, catalogue, payments             *Host
	postgres, redis, reviews, dns, nobody *Host
}

// Shop gives a minute of the shop's traffic as the mirror target receives it,
// and the truth about it. The same seed gives the same octets.
//
// Shoppers come over TLS 1.3 to two web servers; these call the catalogue and
// the cart over HTTP/1.1 and payments, which takes 800 ms for an answer, over
// TLS 1.2; behind them are PostgreSQL and redis. Besides: losses on both sides
// of an observation point, a SYN that is lost, a refused port, an address that
// does not answer, one that a router calls unreachable, a reset, a connection
// that stays open, IPv6, IP fragments, pings and ARP.
func Shop(seed uint64) ([]Frame, MirrorTruth) {
	host := func(name, ip string, n byte, vni uint32) *Host {
		return &Host{Name: name, IP: IP(ip), MAC: MAC{2, 0, 0, 0x20, 0, n}, VNI: vni, Latency: time.Duration(30+5*int(n)) * time.Microsecond}
	}
	s := &shop{
		Mirror: Mirror{Target: Host{IP: IP("10.20.9.9"), MAC: MAC{2, 0, 0, 0x20, 0, 0x99}}},
		r:      rand.New(rand.NewPCG(seed, 1)), ports: map[netip.Addr]uint16{}, tls: Handshakes(),
		web:       [2]*Host{host("web-1", "10.20.1.11", 1, 4101), host("web-2", "10.20.1.12", 2, 4102)},
		cart:      host("cart", "10.20.2.21", 3, 4103),
		catalogue: host("catalogue", "10.20.2.22", 4, 4104),
		payments:  host("payments", "10.20.2.23", 5, 4105),
		postgres:  host("postgres", "10.20.3.31", 6, 4106),
		redis:     host("redis", "10.20.3.32", 7, 0),
		reviews:   host("reviews", "10.20.2.24", 8, 0),
		dns:       host("resolver", "10.20.0.2", 9, 0),
		nobody:    host("nobody", "10.20.7.77", 10, 0),
	}
	s.catalogue.IPv6, s.reviews.IPv6 = IP("fd00:20:2::22"), IP("fd00:20:2::24")
	s.pools()
	s.shoppers()
	s.troubles()
	s.noise()
	return s.Frames()
}

// at gives a time of the capture.
func at(d time.Duration) int64 { return ShopStart + d.Nanoseconds() }

// between gives a random duration.
func (s *shop) between(low, high time.Duration) time.Duration {
	return low + time.Duration(s.r.Int64N(int64(high-low)))
}

// port gives a client's next source port.
func (s *shop) port(a netip.Addr) uint16 {
	if s.ports[a] == 0 {
		s.ports[a] = 32768 + uint16(s.r.UintN(20_000))
	}
	s.ports[a]++
	return s.ports[a]
}

// conn gives a connection between two hosts, with random numbers, without
// turns.
func (s *shop) conn(start int64, client, server *Host, port uint16, delay time.Duration) Conn {
	return Conn{
		Client: netip.AddrPortFrom(client.IP, s.port(client.IP)), Server: netip.AddrPortFrom(server.IP, port),
		Start: start, Path: s.Path(client, server, delay),
		Stacks: [2]Stack{{ISN: s.r.Uint32(), IPID: uint16(s.r.Uint32())}, {ISN: s.r.Uint32(), IPID: uint16(s.r.Uint32())}},
	}
}

// call records a connection and gives the time of its last packet.
func (s *shop) call(note string, client, server *Host, c Conn) int64 {
	rec := c.Record()
	s.Add(note, client, server, rec)
	return rec.Packets[len(rec.Packets)-1].Time
}

// localDelay is one way between two machines of the VPC.
func (s *shop) localDelay() time.Duration {
	return s.between(120*time.Microsecond, 350*time.Microsecond)
}
