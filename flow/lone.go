package flow

import (
	"cmp"

	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/tcp"
)

// RecordedLone is what tcp.Side.Recorded says of a SYN.
const RecordedLone = 1

// Lone is the record of a connection of which nothing was recorded but one SYN, as
// small as it gets. Of a flood there are as many as packets, and most of a Record
// would say for each of them that nothing is known.
type Lone struct {
	time, release        int64
	serial               uint64 // Record.serial
	src, dst             uint32
	point                packet.PointID
	network              packet.NetworkID
	path                 packet.PathID
	srcPort, dstPort     uint16
	mss                  uint16
	flags                packet.Flags
	has                  packet.TCPOptions
	ipLen, wscale, trafc uint8
	reason               EndReason
	outcome              Outcome
}

// lone fills in what a Lone has of an embryo.
func (e *embryo) lone(l *Lone) {
	l.time, l.src, l.dst, l.srcPort, l.dstPort, l.point, l.network, l.path = e.time, e.src(), e.dst(), e.srcPort(), e.dstPort(), e.point(), e.network(), e.path
	l.flags, l.mss, l.has = e.flags, e.mss, packet.TCPOptions(e.tcpFlags>>synFlagBits)
	l.ipLen, l.wscale, l.trafc = e.ipLen, e.wscale, e.trafc
}

func (l *Lone) key() Key {
	k := Key{Proto: packet.ProtoTCP, Point: l.point, Network: l.network}
	src, dst := address(l.src), address(l.dst)
	k.setEnds(&src, &dst, l.srcPort, l.dstPort)
	return k
}

// Release is that of a Record.
func (l *Lone) Release() int64 { return l.release }

// Start is when the SYN was recorded: the start and end of the connection, ns.
func (l *Lone) Start() int64 { return l.time }

// Client and Server are the ends: addresses and ports.
func (l *Lone) Client() (packet.Addr, uint16) { return address(l.src), l.srcPort }
func (l *Lone) Server() (packet.Addr, uint16) { return address(l.dst), l.dstPort }

// ServerPort is that of Server.
func (l *Lone) ServerPort() uint16 { return l.dstPort }

// Hosts are the last eight octets of both addresses, as numbers with the first octet
// lowest. The others are 0.
func (l *Lone) Hosts() (client, server uint64) {
	return mapped | uint64(l.src)<<32, mapped | uint64(l.dst)<<32
}

// Point and Network are those of a Record.
func (l *Lone) Point() packet.PointID     { return l.point }
func (l *Lone) Network() packet.NetworkID { return l.network }

// Bytes is how many IP octets the SYN had. It had no payload.
func (l *Lone) Bytes() int64 { return int64(l.ipLen) }

// Outcome is Timeout or not known.
func (l *Lone) Outcome() Outcome { return l.outcome }

// EndReason is that of a Record.
func (l *Lone) EndReason() EndReason { return l.reason }

// Place is where a record belongs in the output: Compare orders records by it.
type Place struct {
	Mark
	serial uint64
}

// Place of a record.
func (r *Record) Place() Place { return Place{Mark{r.Release, r.Kind, r.Start, r.key}, r.serial} }

// Place of a record.
func (l *Lone) Place() Place {
	return Place{Mark{l.release, Connection, l.time, l.key()}, l.serial}
}

// Compare orders places. None is like another.
func (p *Place) Compare(o *Place) int {
	return cmp.Or(p.compare(&o.Mark), cmp.Compare(p.serial, o.serial))
}

// behind tells whether the record lies behind the mark.
func (l *Lone) behind(m *Mark) bool {
	if c := m.compareTo(l.release, Connection, l.time); c != 0 {
		return c < 0
	}
	k := l.key()
	return m.key.compare(&k) < 0
}

// finishLone is finish for an embryo or a seed: its record says what that of the
// flow would that hatch makes.
func (t *Table) finishLone(n uint32, release int64, reason EndReason) {
	l := t.out.addLone()
	var h uint64
	if seedling(n) {
		s := &t.flows.seeds
		s.lone(s.at(n), s.seen(n), l)
		h = s.hash(s.at(n), t.secret)
	} else {
		t.flows.embryo(n).lone(l)
		h = t.hashOf(n, nil)
	}
	t.serial++
	l.serial, l.release, l.reason, l.outcome = t.serial, release, reason, OutcomeNone
	if reason == EndIdleTimeout || reason == EndLackOfResources {
		t.judge(l)
	}
	var r *Record // where a Lone cannot tell all
	if t.named(l) {
		r = t.out.Add()
		l.record(r, &t.ids)
		t.nameEnds(r)
		r.Report = t.sessions.Whole(0, nil, false, l.frame(), t.room())
		t.out.dropLone()
	}
	if !t.index.gone {
		t.index.remove(h, n)
	}
	t.leave(n, r)
}

// named tells whether an end has a name, for which a Lone has no room.
func (t *Table) named(l *Lone) bool {
	names := t.learned.names
	if names.Len() == 0 {
		return false
	}
	src, dst := address(l.src), address(l.dst)
	_, client := names.Lookup(l.network, src, dst, l.time)
	_, server := names.Lookup(l.network, dst, src, l.time)
	return client || server
}

// judge gives a Lone that has waited for an answer in vain its outcome.
func (t *Table) judge(l *Lone) {
	key := l.key()
	if t.learned.recordsBoth(key.pair()) {
		l.outcome = Timeout
	}
}

// record fills an empty record with what a Lone stands for, but for its report.
func (l *Lone) record(r *Record, x *ids) {
	key := l.key()
	r.Release, r.ID, r.Start, r.End = l.release, x.of(&key, l.time), l.time, l.time
	r.Point, r.Network, r.Path, r.OuterSwapped = l.point, l.network, l.path, l.flags&packet.OuterSwapped != 0
	r.key, r.serial = key, l.serial
	r.Proto, r.Version = packet.ProtoTCP, 4
	r.Ends[Client] = Endpoint{Addr: address(l.src), Port: l.srcPort, HasPort: true}
	r.Ends[Server] = Endpoint{Addr: address(l.dst), Port: l.dstPort, HasPort: true}
	r.Direction, r.DirectionState = DirSYN, tcp.Measured
	r.Outcome, r.EndReason = l.outcome, l.reason
	r.Sent[Client] = Volume{Packets: 1, Bytes: int64(l.ipLen)}
	if l.flags&packet.Truncated != 0 {
		r.TruncatedPackets = 1
	}
	if l.trafc&3 == 3 {
		r.CE[Client] = 1
	}
	l.options(&r.Options[Client])
	r.HasTCP, r.HasHandshake = true, true
	r.Handshake = tcp.Handshake{RTT: tcp.Absent, Client: tcp.Absent, Server: tcp.Absent, Setup: tcp.Absent, Connect: tcp.Absent, SYNs: 1}
	if l.outcome == OutcomeNone && (l.reason == EndIdleTimeout || l.reason == EndLackOfResources) {
		r.Handshake.Reasons = tcp.OneSided
	}
	c, s := &r.TCP.Sides[Client], &r.TCP.Sides[Server]
	c.RTT.Reasons, s.RTT.Reasons = tcp.OneSided, tcp.OneSided
	c.Retransmits.State, c.Recorded = tcp.Measured, RecordedLone
	s.Retransmits.State, s.Retransmits.Reasons = tcp.Unknown, tcp.OneSided
	r.TCP.Response.Min, r.TCP.Response.Max = tcp.Absent, tcp.Absent
}

// frame is what the report of a Lone is made of: nothing was said.
func (l *Lone) frame() *session.Frame {
	return &session.Frame{Start: l.time, End: l.time, Setup: tcp.Absent, Server: tcp.Absent, Failed: true}
}

// options are what the SYN offered.
func (l *Lone) options(o *tcp.Options) { offered(l.flags, l.has, l.mss, l.wscale, o) }

// options are what the SYN offered.
func (e *embryo) options(o *tcp.Options) {
	offered(e.flags, packet.TCPOptions(e.tcpFlags>>synFlagBits), e.mss, e.wscale, o)
}

func offered(flags packet.Flags, has packet.TCPOptions, mss uint16, wscale uint8, o *tcp.Options) {
	if flags&packet.OptionsUnknown != 0 {
		return
	}
	o.Known = true
	if has&packet.HasMSS != 0 {
		o.HasMSS, o.MSS = true, mss
	}
	if has&packet.HasWScale != 0 {
		o.HasWScale, o.WScale = true, min(wscale, 14) // RFC 7323 section 2.3
	}
	o.SACK, o.Timestamps = has&packet.HasSACKPermitted != 0, has&packet.HasTimestamps != 0
}
