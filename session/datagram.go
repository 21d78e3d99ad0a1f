package session

import (
	"mirrorscope/dnsmeta"
	"mirrorscope/packet"
	"mirrorscope/stream"
	"mirrorscope/tlsmeta/quic"
)

// dnsTalk is a flow that speaks DNS.
type dnsTalk struct {
	conn   dnsmeta.Conn
	before *dnsmeta.Info // of intervals that are over
}

// Datagram takes a UDP packet. It gives the number of the session, which is
// made when the payload is one that is read; no more is done for others.
func (st *Store) Datagram(n uint32, c *Conn, p *packet.Packet, dir int) uint32 {
	if p.PayloadLen == 0 {
		return n
	}
	if n == 0 {
		kind := st.datagramKind(c, p)
		if kind == plain {
			return 0
		}
		n = st.sessions.GetZero()
		s := st.sessions.At(n)
		s.kind = kind
		switch kind {
		case dnsKind:
			st.openDNS(s, c)
		case quicKind:
			s.quic = st.quic.Get()
			st.quic.At(s.quic).Reset()
		}
	}
	s := st.sessions.At(n)
	switch s.kind {
	case dnsKind:
		x := &st.dns.At(s.dns).conn
		x.Datagram(c.Client < 0 || dir == c.Client, p.Payload, int(p.PayloadLen) > len(p.Payload), p.Time)
		st.answers = append(st.answers, x.Answers()...)
	case quicKind:
		st.quic.At(s.quic).Datagram(dir, p.Payload, int(p.PayloadLen), p.Time, &st.budget)
	}
	return n
}

func (st *Store) datagramKind(c *Conn, p *packet.Packet) kind {
	if _, ok := dnsmeta.ProtocolOf(p.SrcPort, p.DstPort); ok {
		return dnsKind
	}
	switch {
	case quic.Probe(p.Payload):
		return quicKind
	}
	return plain
}

func (st *Store) openDNS(s *Session, c *Conn) {
	client := max(c.Client, 0)
	proto, _ := dnsmeta.ProtocolOf(c.Ports[0], c.Ports[1])
	s.dns = st.dns.GetZero()
	st.dns.At(s.dns).conn.Init(st.dnsStore, proto, c.Ends[client], c.Ends[1-client])
}

// dnsChunk takes what comes next of a direction of DNS over TCP.
func (st *Store) dnsChunk(s *Session, c *Conn, k *stream.Chunk, dir int) {
	x := &st.dns.At(s.dns).conn
	fromClient := dir == c.Client
	if k.Missing > 0 {
		x.Gap(fromClient, k.Missing, k.Time)
	} else {
		x.Feed(fromClient, k.Pos, k.Data, k.Time)
	}
	st.answers = append(st.answers, x.Answers()...)
}

// Answers lends the addresses that packets have told the names of since the last
// call; until the next packet.
func (st *Store) Answers() []dnsmeta.Answer {
	a := st.answers
	st.answers = a[:0]
	return a
}

// dnsReport gives what the flow told: of its whole life, or since the last
// interval, which it ends.
func (st *Store) dnsReport(s *Session, interval bool) *dnsmeta.Info {
	x := st.dns.At(s.dns)
	i := new(dnsmeta.Info)
	x.conn.TakeInfo(i)
	if interval {
		if x.before == nil {
			x.before = new(dnsmeta.Info)
		}
		x.before.Merge(i)
		return i
	}
	if x.before != nil {
		x.before.Merge(i)
		return x.before
	}
	return i
}
