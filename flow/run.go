package flow

import (
	"encoding/binary"
	"unsafe"

	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/tcp"
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
	if t.unhurried || t.bed.always || len(t.earlier) > 0 {
		return 0
	}
	return t.wheels[tcpClass].timeout
}

// runs tells whether a packet of flow f, like which none came just before, runs.
func (t *Table) runs(f *Flow, p *packet.Packet) bool {
	return f.class == tcpClass && f.flags&told == told && f.role.source == DirSYN && f.snapshot&unlisted == 0 &&
		p.TCP.Flags&(packet.SYN|packet.FIN|packet.RST) == 0 && p.Flags&(packet.HeaderCut|packet.BadHeader) == 0 && p.TOS&3 != 3 &&
		t.now < f.seen+t.fresh
}

// AddLooked takes one packet, in record order, that was looked at. It keeps
// nothing that aliases it. Most packets are of TCP in IPv4, and not like any that
// came just before: they are remembered here, as recall does. And most of those
// are of an established connection whose roles are certain, and neither begin nor
// end anything: they change nothing but volumes, times, the TCP connection and
// what its ends say. They run; or their connection is young, and they are written
// down. take does all others, and would do the same with these.
func (t *Table) AddLooked(p *packet.Packet, a *Ahead) {
	now := p.Now
	point, c := t.report.last, &t.copies
	if point == nil || t.report.lastID != p.Point {
		point = t.report.point(p.Point)
	}
	b := c.bucket(a.print)
	slot := uint(b.next)
	if a.marks&tcp4 == 0 || now < t.now || c.left == 0 || b.alike(a.print) != 0 || b.more != 0 && c.has(b.more) ||
		slot >= slotsLen || c.has(b.slots[slot]) {
		t.add(p, a)
		return
	}
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
	t.now = now
	t.unchecked++
	point.Packets++
	point.Bytes += uint64(p.IPLen)
	t.report.damaged(p.Flags)

	free := uint64(0) // slot of the index
	n := a.flow - 1   // whatever has become of it: a flow that is not in the index is not of tcpClass
	if asleep(n) {
		if n != noFlow {
			n = t.index.still(a.hash, a.slot)
		}
		if n == noFlow {
			n, free = t.index.seek(a.hash)
		}
	}
	if !asleep(n) && a.marks&notPlain == 0 {
		f := t.flows.at(n)
		dir := int(a.marks & fromB)
		v := &f.sent[dir]
		if f.state()&runMask == runWant && now < f.seen+t.fresh && p.Time >= f.last && int32(v.packets|v.bytes|v.payload|f.snapshot) >= 0 && f.key.is(&a.four) {
			if t.watcher != nil {
				t.watcher.Packet(n, p, dir)
			}
			f.seen, f.last = now, p.Time
			v.packets++
			v.bytes += p.IPLen
			v.payload += p.PayloadLen
			f.tcp.Cut += uint32(cut(p.Flags))
			if id := &f.ipid[dir]; p.IPID != *id {
				*id = p.IPID
				if change := idsChange0 << dir; f.flags&change == 0 && v.packets > 1 && p.IPID != 0 {
					f.flags |= change
				}
			}
			t.follow(f, p, dir)
			t.counted()
			return
		}
	}
	found := false
	switch {
	case n == noFlow: // no slot of the index has such a hash
		if t.sow(p, a.hash, free) {
			t.counted()
			return
		}
	case seedling(n) && t.flows.seeds.is(t.flows.seeds.at(n), &a.four):
		if found = true; t.lives(n, p, a) {
			t.counted()
			return
		}
	case n&isEmbryo != 0 && !seedling(n):
		e := t.flows.embryo(n)
		if s := e.side(&a.four, a.dir()); s == other {
			n, found = t.index.find(a.hash, a.full(), &t.flows)
		} else if found = true; t.live(n, e, p, s) {
			t.counted()
			return
		}
	default:
		n, found = t.index.find(a.hash, a.full(), &t.flows)
	}
	t.take(n, found, p, a, nil)
}

// run takes a packet that runs, of a connection of whatever kind.
func (t *Table) run(n uint32, f *Flow, p *packet.Packet, dir int) {
	if t.watcher != nil {
		t.watcher.Packet(n, p, dir)
	}
	t.count(f, dir, p)
	f.start = min(f.start, p.Time)
	f.last = max(f.last, p.Time)
	f.seen = t.now
	f.tcp.Cut += uint32(cut(p.Flags))
	t.noteID(f, p, dir)
	t.follow(f, p, dir)
}

// follow has TCP take a packet that runs, and the session what it says.
func (t *Table) follow(f *Flow, p *packet.Packet, dir int) {
	n := f.session
	var o *tcp.Opening
	if f.opening != 0 {
		o = t.openings.At(f.opening)
	}
	g := &t.segment
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
