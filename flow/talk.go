package flow

import (
	"mirrorscope/dnsmeta"
	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/tcp"
)

// talk follows what the two ends of a connection say to each other.
func (t *Table) talk(f *Flow, p *packet.Packet, g *tcp.Segment, dir int) {
	if g.End == g.Pos && session.Ignores(f.session, p.TCP.Flags) {
		return
	}
	if p.TCP.Flags&(packet.SYN|packet.RST) == 0 && !t.unhurried {
		if n, ok := t.sessions.Hear(f.session, &f.tcp, t.tcp, p, g, dir); ok {
			f.session = n
			return
		}
	}
	t.converse(f, p, g, dir)
}

// converse hands a segment to the session the general way.
func (t *Table) converse(f *Flow, p *packet.Packet, g *tcp.Segment, dir int) {
	c := t.conn(f)
	if p.TCP.Flags&packet.SYN != 0 {
		if client, _ := f.tcp.Client(); client >= 0 {
			c.Client = client // Fast Open
		}
	}
	f.session = t.sessions.Segment(f.session, &c, p, g, dir)
	if p.TCP.Flags&packet.RST != 0 {
		if ok, by, _, _ := f.tcp.Reset(); ok {
			t.sessions.Reset(f.session, &c, by, p.Time)
		}
	}
	t.learn(f)
}

// maxTalkPackets is how many packets of a UDP flow are looked at for a protocol
// that is read.
const maxTalkPackets = 8

// datagram follows what is said in UDP.
func (t *Table) datagram(f *Flow, p *packet.Packet, dir int) {
	if f.session == 0 && f.packets() > maxTalkPackets {
		return
	}
	if p.Flags&(packet.HeaderCut|packet.BadHeader|packet.PortsUnknown) != 0 {
		return
	}
	c := t.conn(f)
	f.session = t.sessions.Datagram(f.session, &c, p, dir)
	if f.role.source < DirApp {
		if client := t.sessions.Client(f.session); client >= 0 {
			f.assign(client, DirApp, false)
		}
	}
	t.learn(f)
}

func (t *Table) conn(f *Flow) session.Conn {
	client := int(f.role.client)
	if f.role.source == DirUnknown {
		client = -1
	}
	return session.Conn{
		TCP: &f.tcp, Store: t.tcp, Client: client, Both: f.bothDirections(), Ends: [2]*packet.Addr{&f.key.A, &f.key.B}, Ports: [2]uint16{f.key.PortA, f.key.PortB},
	}
}

// maxAnswers bounds the names of addresses that a table tells at one barrier.
const maxAnswers = 1 << 14

type answer struct {
	dnsmeta.Answer
	network packet.NetworkID
}

// learn reports the names of addresses that the latest packet told.
func (t *Table) learn(f *Flow) {
	for _, a := range t.sessions.Answers() {
		if len(t.report.answers) >= maxAnswers {
			t.report.forgotten++
			continue
		}
		t.report.answers = append(t.report.answers, answer{a, f.key.Network})
	}
}

// endTalk judges what is open when a flow ends. It tells whether that adds to
// what was told.
func (t *Table) endTalk(f *Flow, release int64, reason EndReason) bool {
	if f.session == 0 {
		return false
	}
	c := t.conn(f)
	c.RecordsBoth = c.Both || t.learned.recordsBoth(f.key.pair())
	c.Last = f.last
	at := release
	if reason != EndIdleTimeout {
		at = min(release, t.now)
	}
	more := t.sessions.End(f.session, &c, reason == EndIdleTimeout, at)
	t.learn(f)
	return more
}

// said adds what the two ends said to r, the latest record of those that leave next.
func (t *Table) said(f *Flow, r *Record, reason EndReason) {
	c := t.conn(f)
	if reason == EndNone {
		r.Report = t.sessions.Interval(f.session, &c)
		return
	}
	var frame *session.Frame
	if f.key.Proto == packet.ProtoTCP {
		server, _ := f.tcp.Half(1 - int(f.role.client))
		frame = &session.Frame{Start: f.start, End: f.last, Setup: tcp.Absent, Server: server, Failed: !f.tcp.Established() && f.tcp.SYNs() > 0}
		if f.flags&decided != 0 {
			frame.Setup = f.handshake.Setup
		}
	}
	r.Report = t.sessions.Whole(f.session, &c, reason == EndIdleTimeout, frame, t.room())
}

// nameEnds adds the names by which the ends were asked for when the flow began.
func (t *Table) nameEnds(r *Record) {
	if t.learned.names.Len() == 0 {
		return
	}
	for side := range r.Ends {
		e := &r.Ends[side]
		e.Name, _ = t.learned.names.Lookup(r.Network, e.Addr, r.Ends[1-side].Addr, r.Start)
	}
}
