package session

import (
	"mirrorscope/dnsmeta"
	"mirrorscope/packet"
	"mirrorscope/stream"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
	"mirrorscope/tlsmeta/quic"
)

// dnsTalk is a flow that speaks DNS.
type dnsTalk struct {
	conn   dnsmeta.Conn
	before *dnsmeta.Info // of intervals that are over
}

// dtlsTalk is a flow that speaks DTLS.
type dtlsTalk struct {
	conn tlsmeta.DTLS
	held int // octets taken from the budget
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
		s := st.at(n)
		s.kind = kind
		switch kind {
		case dnsKind:
			client := dir
			if len(p.Payload) > 2 && p.Payload[2]&0x80 != 0 { // QR (RFC 1035 section 4.1.1)
				client = 1 - dir
			}
			st.openDNS(s, c, client)
		case quicKind:
			s.of, s.part = quicKind, st.quic.Get()
			st.quic.At(s.part).Reset()
		case dtlsKind:
			s.of, s.part = dtlsKind, st.dtls.GetZero()
		}
	}
	s := st.at(n)
	switch s.kind {
	case dnsKind:
		x := &st.dns.At(s.part).conn
		x.Datagram(dir == s.client(), p.Payload, int(p.PayloadLen) > len(p.Payload), p.Time)
		st.answers = append(st.answers, x.Answers()...)
	case quicKind:
		st.quic.At(s.part).Datagram(dir, p.Payload, int(p.PayloadLen), p.Time, &st.budget)
	case dtlsKind:
		st.dtlsDatagram(s, p, dir)
	}
	return n
}

// Client gives the direction of the client of a UDP flow, where what it says has
// told that; else -1.
func (st *Store) Client(n uint32) int {
	if n == 0 {
		return -1
	}
	if s := st.at(n); s.of == quicKind {
		if dir, ok := st.quic.At(s.part).Client(); ok {
			return dir
		}
	}
	return -1
}

// dtlsDatagram takes a datagram of DTLS. Where there is no room for what it makes
// incomplete, the flow is not read any more.
func (st *Store) dtlsDatagram(s *Session, p *packet.Packet, dir int) {
	x := st.dtls.At(s.part)
	x.conn.Datagram(dir, p.Payload, p.Time)
	if int(p.PayloadLen) > len(p.Payload) {
		s.flags |= cut
	}
	held := x.conn.Held()
	st.budget.Give(x.held)
	if x.held = held; !st.budget.Take(held) {
		*x = dtlsTalk{}
		s.kind = plain
	}
}

// dtlsReport tells of the handshake. Its shares are not known: datagrams have no
// acknowledgments to time a round trip by.
func (st *Store) dtlsReport(s *Session) *TLS {
	x := &st.dtls.At(s.part).conn
	r := &TLS{Info: *x.Info(), Handshake: unknownHandshake}
	if s.flags&cut != 0 && r.Outcome != tlsmeta.Completed && r.Outcome != tlsmeta.OutcomeNone {
		r.Outcome = tlsmeta.Incomplete
	}
	if x.Start != 0 && x.End >= x.Start {
		r.Handshake.State = tcp.Measured
		r.Handshake.Total = x.End - x.Start
	}
	return r
}

func (st *Store) datagramKind(c *Conn, p *packet.Packet) kind {
	if _, ok := dnsmeta.ProtocolOf(p.SrcPort, p.DstPort); ok {
		return dnsKind
	}
	switch {
	case quic.Probe(p.Payload):
		return quicKind
	case tlsmeta.IsDTLS(p.Payload):
		return dtlsKind
	}
	return plain
}

func (st *Store) openDNS(s *Session, c *Conn, client int) {
	s.setClient(client)
	proto, _ := dnsmeta.ProtocolOf(c.Ports[0], c.Ports[1])
	s.of, s.part = dnsKind, st.dns.GetZero()
	st.dns.At(s.part).conn.Init(st.dnsStore, proto, *c.Ends[client], *c.Ends[1-client])
}

// dnsChunk takes what comes next of a direction of DNS over TCP.
func (st *Store) dnsChunk(s *Session, c *Conn, k *stream.Chunk, dir int) {
	x := &st.dns.At(s.part).conn
	fromClient := dir == s.client()
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
	x := st.dns.At(s.part)
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
