package edge

import (
	"bytes"
	"cmp"
	"slices"

	"mirrorscope/packet"
	"mirrorscope/tlsmeta"
)

// TLSServers sums TLS, DTLS and QUIC by server and name, and keeps the
// certificates that servers showed.
type TLSServers struct {
	Other TLS   // connections of servers that found no place
	NoRow int64 // certificates that found none
	Cut   int64 // connections of TLS 1.2 and older whose certificates were not recorded, or not whole

	servers heavy[tlsKey, TLSServer]
	certs   heavy[certKey, Certificate]
}

type tlsKey struct {
	Service
	sni string
}

// Service is a port of a server.
type Service struct {
	Network packet.NetworkID
	Server  packet.Addr
	Port    uint16
	HasPort bool
	Proto   uint8
}

func serviceOf(k *Key) Service {
	return Service{Network: k.Network, Server: k.Server, Port: k.Port, HasPort: k.HasPort, Proto: k.Proto}
}

func compareServices(a, b *Service) int {
	return cmp.Or(cmp.Compare(a.Network, b.Network), bytes.Compare(a.Server[:], b.Server[:]), cmp.Compare(a.Port, b.Port), cmp.Compare(a.Proto, b.Proto))
}

// TLSServer is a server under one name.
type TLSServer struct {
	Service
	SNI  string // "" where the clients named none, or that was not recorded
	Name string // by which DNS knew the server
	TLS
	Ciphers, Groups Tally[uint16]
	ALPN, JA4       Tally[string] // ALPN as far as it is in the clear
	STARTTLS        Tally[string] // protocols before TLS
	First, Last     int64         // ns since the Unix epoch
}

// Certificate is one that a server showed.
type Certificate struct {
	Service
	SNI         string // of the first connection that it was seen on
	Name        string
	Issuing     bool // it was not the server's own, but above it
	Connections int64
	tlsmeta.Certificate
}

type certKey struct {
	Service
	sha256 [32]byte
}

func newTLSServers(limit int) *TLSServers {
	t := &TLSServers{}
	t.servers = newHeavy[tlsKey](limit, func(s *TLSServer) (n, errors int64) { return s.Connections, s.Failed() }, func(s *TLSServer) { t.Other.merge(&s.TLS) })
	t.certs = newHeavy[certKey](limit, func(c *Certificate) (n, errors int64) { return c.Connections, 0 }, func(*Certificate) { t.NoRow++ })
	return t
}

// Lack is the most connections that a server may lack, because it had no room
// before.
func (t *TLSServers) Lack() int64 { return t.servers.lack }

func (t *TLSServers) add(c *connection) {
	i, _ := hello(&c.talk.Report)
	if i == nil {
		return
	}
	key := tlsKey{serviceOf(&c.key), i.SNI}
	s, isNew := t.servers.get(key)
	if isNew {
		*s = TLSServer{Service: key.Service, SNI: key.sni, First: c.start, Last: c.end}
	}
	s.TLS.add(&c.talk.handshake, c.talk.point)
	s.more(c, i)
	for n := range i.Certificates {
		t.certificate(c, i, n)
	}
	if unread(i) {
		t.Cut++
	}
}

// unread tells of a handshake that has shown certificates in the clear which were
// not recorded whole.
func unread(i *tlsmeta.Info) bool {
	clear := i.Version >= 0x0300 && i.Version < 0x0304 || i.Version == 0xfeff || i.Version == 0xfefd
	return clear && !i.Resumed && (i.CertificatesCut || len(i.Certificates) == 0 && i.Outcome == tlsmeta.Completed)
}

func (s *TLSServer) more(c *connection, i *tlsmeta.Info) {
	s.First, s.Last = min(s.First, c.start), max(s.Last, c.end)
	if s.Name == "" {
		s.Name = c.names[1]
	}
	if i.Cipher != 0 {
		s.Ciphers.add(i.Cipher, 1)
	}
	if i.Group != 0 {
		s.Groups.add(i.Group, 1)
	}
	for _, t := range []struct {
		into  *Tally[string]
		value string
	}{{&s.ALPN, i.ALPN}, {&s.JA4, i.JA4}, {&s.STARTTLS, i.STARTTLS}} {
		if t.value != "" {
			t.into.add(t.value, 1)
		}
	}
}

func (t *TLSServers) certificate(c *connection, i *tlsmeta.Info, n int) {
	key := certKey{serviceOf(&c.key), i.Certificates[n].SHA256}
	x, isNew := t.certs.get(key)
	if isNew {
		*x = Certificate{Service: key.Service, SNI: i.SNI, Name: c.names[1], Issuing: n > 0, Certificate: i.Certificates[n]}
	}
	x.Connections++
}

// Servers lends the rows in an order.
func (t *TLSServers) Servers(order Order) []*TLSServer {
	rows := t.servers.list()
	rate := func(s *TLSServer) float64 { return float64(s.Failed()) / float64(s.Connections) }
	slices.SortFunc(rows, func(a, b *TLSServer) int {
		first := 0
		switch order {
		case ByErrors:
			first = cmp.Compare(b.Failed(), a.Failed())
		case ByErrorRate:
			first = cmp.Compare(rate(b), rate(a))
		case ByTLS:
			first = cmp.Compare(p95(b.AsClient()), p95(a.AsClient()))
		case ByStart:
			first = cmp.Compare(a.First, b.First)
		}
		return cmp.Or(first, cmp.Compare(b.Connections, a.Connections), compareServices(&a.Service, &b.Service), cmp.Compare(a.SNI, b.SNI))
	})
	return rows
}

// Expiring lends the certificates that are not valid at a time, or will not be
// any more within some seconds: those that end first come first. Both are s,
// the time since the Unix epoch.
func (t *TLSServers) Expiring(at, within int64) []*Certificate {
	var list []*Certificate
	for _, c := range t.certs.list() {
		if c.NotAfter != 0 && c.NotAfter <= at+within || c.NotBefore > at {
			list = append(list, c)
		}
	}
	slices.SortFunc(list, func(a, b *Certificate) int {
		return cmp.Or(cmp.Compare(a.NotAfter, b.NotAfter), compareServices(&a.Service, &b.Service), bytes.Compare(a.SHA256[:], b.SHA256[:]))
	})
	return list
}

// Certificates is how many were seen.
func (t *TLSServers) Certificates() int { return len(t.certs.rows) }
