package flow

import (
	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/tcp"
)

// told flags: Learned was told of all that the flow proves.
const told = toldBoth | toldListener

// runs tells whether a packet of flow f, like which none came just before, can
// change nothing but volumes, times, the TCP connection and what its ends say:
// an established connection whose roles are certain, no interval that has to
// know, and neither the beginning nor an end in the packet. Then run does all
// that place would do with it.
func (t *Table) runs(f *Flow, p *packet.Packet) bool {
	return f.class == tcpClass && f.flags&told == told && f.role.source == DirSYN && f.snapshot == 0 &&
		p.TCP.Flags&(packet.SYN|packet.FIN|packet.RST) == 0 && p.Flags&(packet.HeaderCut|packet.BadHeader) == 0 && p.TOS&3 != 3 &&
		t.now < f.seen+t.wheels[tcpClass].timeout && len(t.earlier) == 0 && t.watcher == nil && !t.unhurried
}

// run takes a packet that runs: most of all are of such connections.
func (t *Table) run(f *Flow, p *packet.Packet, dir int) {
	v := &f.sent[dir&1]
	if packets, bytes, payload := v.packets+1, v.bytes+p.IPLen, v.payload+p.PayloadLen; packets != 0 && bytes >= p.IPLen && payload >= p.PayloadLen {
		v.packets, v.bytes, v.payload = packets, bytes, payload
	} else {
		t.count(f, dir, p)
	}
	f.start = min(f.start, p.Time)
	f.last = max(f.last, p.Time)
	f.seen = t.now
	if p.Flags&packet.Truncated != 0 {
		if f.rare == 0 {
			t.makeRare(f)
		}
		t.rare.At(f.rare).truncated++
	}
	if id := &f.ipid[dir&1]; p.IPID != *id {
		t.noteID(f, p, dir)
	}
	n := f.session
	if n != 0 && !session.Runs(n) {
		t.sessions.PrefetchMore(n)
	}
	o := t.opening(f)
	var g tcp.Segment
	f.tcp.AddTo(t.tcp, &g, p, dir, o, false)
	switch {
	case g.End == g.Pos && session.Ignores(n, p.TCP.Flags):
	case session.Runs(n) && t.sessions.Run(n, &f.tcp, t.tcp, p.Payload, &g, dir, int(f.role.client)):
	default:
		t.talk(f, p, &g, dir)
	}
	if o != nil {
		t.answered(f, o, p.Time)
	}
}
