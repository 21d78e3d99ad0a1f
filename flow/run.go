package flow

import (
	"encoding/binary"
	"unsafe"

	"mirrorscope/packet"
	"mirrorscope/session"
)

// told flags: Learned was told of all that the flow proves.
const told = toldBoth | toldListener

// state is what runs asks of a flow but for its times: the class, the flags, the
// role and the version, in one word. They must lie there like this.
func (f *Flow) state() uint64 { return *(*uint64)(unsafe.Pointer(&f.slot)) }

// A flow may run if it has runWant where runMask has bits.
var runMask, runWant = func() (uint64, uint64) {
	mask := Flow{class: 0xff, flags: told, version: 0xff, role: role{source: 0xff}}
	want := Flow{class: tcpClass, flags: told, version: 4, role: role{source: DirSYN}}
	return mask.state(), want.state()
}()

// littleEndian: the words of a Key lie as key4 has them.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// lively tells how long ago its latest packet was at most, ns, for a flow to run:
// 0 where none does.
func (t *Table) lively() int64 {
	if t.watcher != nil || t.unhurried || t.bed.always || t.cfg.Interval > 0 || len(t.earlier) > 0 {
		return 0
	}
	return t.wheels[tcpClass].timeout
}

// runs tells whether a packet of flow f, like which none came just before, runs.
func (t *Table) runs(f *Flow, p *packet.Packet) bool {
	return f.class == tcpClass && f.flags&told == told && f.role.source == DirSYN && f.snapshot == 0 &&
		p.TCP.Flags&(packet.SYN|packet.FIN|packet.RST) == 0 && p.Flags&(packet.HeaderCut|packet.BadHeader) == 0 && p.TOS&3 != 3 &&
		t.now < f.seen+t.fresh
}

// AddLooked takes one packet, in record order, that was looked at. It keeps
// nothing that aliases it. Most packets are of an established connection whose
// roles are certain, not like any that came just before, and neither begin nor
// end anything: they change nothing but volumes, times, the TCP connection and
// what its ends say. They run; add takes all others, and would do the same with
// these. Nothing is changed before it is certain which way a packet goes.
func (t *Table) AddLooked(p *packet.Packet, a *Ahead) {
	now := p.Now
	if !a.plain || now < t.now || t.packets%checkEvery == checkEvery-1 {
		t.add(p, a)
		return
	}
	n := a.flow - 1 // whatever has become of it: it is of tcpClass as long as it is in the index
	if a.flow == 0 {
		slots, i := t.index.slots, t.index.home(a.hash)
		for ; ; i = (i + 1) & uint64(len(slots)-1) {
			if i >= uint64(len(slots)) || slots[i] == 0 {
				t.add(p, a)
				return
			}
			if (slots[i]^a.hash)>>numberBits == 0 {
				break
			}
		}
		n = uint32(slots[i]&numberMask) - 1
	}
	if asleep(n) {
		t.add(p, a)
		return
	}
	f := t.flows.at(n)
	k, v, dir := &f.key, &f.sent[a.dir&1], int(a.dir&1)
	if !littleEndian || f.state()&runMask != runWant || now >= f.seen+t.fresh || p.Time < f.last || int32(v.packets|v.bytes|v.payload) < 0 ||
		binary.LittleEndian.Uint32(k.A[12:]) != uint32(a.four.hosts) || binary.LittleEndian.Uint32(k.B[12:]) != uint32(a.four.hosts>>32) ||
		*(*uint64)(unsafe.Pointer(&k.PortA)) != a.four.ends || *(*uint64)(unsafe.Pointer(&k.Point)) != a.four.where {
		t.add(p, a)
		return
	}
	point, c := t.report.last, &t.copies
	b := c.bucket(a.print)
	slot := uint(b.next)
	if point == nil || t.report.lastID != p.Point || c.left == 0 || b.alike(a.print) != 0 || b.more != 0 && c.has(b.more) ||
		slot >= slotsLen || c.has(b.slots[slot]) {
		t.add(p, a)
		return
	}
	// As copies.add does.
	c.left--
	c.clock = now
	head := c.head
	c.head = head + 1
	b.slots[slot], b.tags[slot] = head, tagOf(a.print)
	if slot++; slot == slotsLen {
		slot = 0
	}
	b.next = uint8(slot)
	e := c.at(head)
	e.print, e.at = a.print, p.Time
	e.position, e.checksum, e.ttl, e.flags = p.Position, p.TCP.Checksum, p.TTL, checksumFlag(p)
	// As add and run do.
	t.now, f.seen, f.last = now, now, p.Time
	t.packets++
	t.unchecked++
	point.Packets++
	point.Bytes += uint64(p.IPLen)
	v.packets++
	v.bytes += p.IPLen
	v.payload += p.PayloadLen
	if p.Flags&packet.Truncated != 0 {
		t.report.truncated++
		if f.rare == 0 {
			t.makeRare(f)
		}
		t.rare.At(f.rare).truncated++
	}
	if id := &f.ipid[dir]; p.IPID != *id {
		if *id = p.IPID; v.packets > 1 {
			f.flags |= idsChange0 << dir
		}
	}
	t.follow(f, p, dir)
}

// run takes a packet that runs, of a connection of whatever kind.
func (t *Table) run(f *Flow, p *packet.Packet, dir int) {
	t.count(f, dir, p)
	f.start = min(f.start, p.Time)
	f.last = max(f.last, p.Time)
	f.seen = t.now
	if p.Flags&packet.Truncated != 0 {
		t.rareOf(f).truncated++
	}
	t.noteID(f, p, dir)
	t.follow(f, p, dir)
}

// follow has TCP take a packet that runs, and the session what it says.
func (t *Table) follow(f *Flow, p *packet.Packet, dir int) {
	n := f.session
	if n != 0 && !session.Runs(n) {
		t.sessions.PrefetchMore(n)
	}
	g, o := &t.segment, t.opening(f)
	f.tcp.Run(t.tcp, g, p, dir, o)
	switch {
	case g.End == g.Pos && session.Ignores(n, p.TCP.Flags):
	case session.Runs(n) && t.sessions.Run(n, &f.tcp, t.tcp, p.Payload, g, dir, int(f.role.client)):
	default:
		t.talk(f, p, g, dir)
	}
	if o != nil && p.Time-o.Answered() > t.copies.window {
		t.answered(f, o, p.Time)
	}
}
