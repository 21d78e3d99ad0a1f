package flow

import (
	"encoding/binary"
	"unsafe"

	"mirrorscope/packet"
	"mirrorscope/pool"
	"mirrorscope/session"
)

// A connection that begins as the books say stays small: its embryo is given a
// youth, which is the log of its first packets. As long as each of them is the
// next of its side, acknowledges what was recorded, and says nothing that is read,
// nobody asks what the connection is like. So its packets are only written down,
// some octets each, and are taken all at once, in a burst, by the very code that
// takes every packet, when one comes that is not like that, or that finds no room
// (hatch), or when the connection ends (relive, into a flow that is in the caches,
// and gone once its record is made; or not at all, where the record follows from
// the log without, see finishShort). A flow does not depend on whether it was young,
// nor does a record.
//
// What others see of the connection meanwhile does not wait:
//   - its place in the wheels, and its class: both follow from how far each side
//     has come, what of that was acknowledged, and the FINs, which youth keeps;
//   - what it teaches (Learned), with its SYN-ACK; what it reads of that, nothing:
//     the SYN tells the roles for certain;
//   - fingerprints: what is like a packet of a moment ago is not written down;
//   - what it says: the first payload is judged when it comes (session.Foreign).
//
// Times are those of the input's clock at once: what was recorded late is not
// written down either.
type youth struct {
	seen     int64     // when the latest packet came
	next     [2]uint32 // by side: sequence number behind what it has sent
	tsval    [2]uint32 // its latest timestamp
	unacked  [2]uint16 // octets before next that the other side has not acknowledged
	window   [2]uint16 // its latest
	ipid     [2]uint16 // its latest
	isn      uint32    // of the SYN-ACK, like all that follows
	answered uint32    // ns behind the SYN
	position uint32    // of all packets of the server
	stamp    uint32    // TSval
	offered  uint16    // window
	mss      uint16
	id       uint16
	end      uint16 // octets from the beginning to the end of the log, which is behind this
	flags    youthFlags
	options  uint8 // packet.TCPOptions; above them the length of its header in words
	ttl      uint8 // of all packets of the server
	wscale   uint8
}

type youthFlags uint8

const (
	fromServer youthFlags = 1 << iota // FINs
	fromClient
	ackedSYN // the client has acknowledged the SYN-ACK: the connection is established
	stamped  // both have timestamps
	spoken   // payload was sent
	oddIDs   // identifications may tell of something that is missing
)

const (
	youthLen   = int(unsafe.Sizeof(youth{}))
	stepBits   = 3 // lower bits of the number of a youth: how often its log has grown
	stepMask   = 1<<stepBits - 1
	mostSteps  = 3
	optionBits = 4
	isGrown    = 1 << 15 // of embryo.flags: behind is the number of its youth
)

// An entry of the log begins with an octet that says who sent it, and what of it
// differs from what is expected.
const (
	byServer  = 1 << iota
	withFIN   // …
	withData  // its length follows
	newWindow // it follows
	newID     // the identification, which is not the next one, follows
	someAcked // how much is not follows
	newStamps // both timestamps follow, else how much TSval has risen
	longSince // the time since the packet before follows in eight octets, else in four
)

// A mark is an entry of the log that says that an interval has told of what is before it. It
// is like that of a packet that came no time, in eight octets, behind the one before.
const (
	marked  = longSince
	markLen = 9
)

// mark adds one, for which there is room.
func (y *youth) mark() {
	b := unsafe.Add(unsafe.Pointer(y), y.end)
	*(*uint8)(b) = marked
	put64(b, 1, 0)
	y.end += markLen
}

func (e *embryo) grown() bool { return e.flags&isGrown != 0 }

// youthUnits is how many units of the arena a youth has.
func youthUnits(n uint32) int { return int(youthSizes[n&stepMask]) }

// youthSizes are those of a youth, by how often its log has grown: 104 to 256 octets.
var youthSizes = [stepMask + 1]uint8{104 / pool.Unit, 160 / pool.Unit, 208 / pool.Unit, mostYouth / pool.Unit}

const mostYouth = 256 // octets

// youth gives that of a number.
func (s *slab) youth(n uint32) *youth { return (*youth)(s.youths.At(n >> stepBits)) }

// newYouth makes one whose log has grown step times.
func (s *slab) newYouth(step uint32) uint32 {
	return s.youths.Get(youthUnits(step))<<stepBits | step
}

func (s *slab) putYouth(n uint32) { s.youths.Put(n>>stepBits, youthUnits(n)) }

// class is that of the flow.
func (y *youth) class() class {
	switch {
	case y.flags&ackedSYN == 0:
		return halfOpen
	case y.flags&(fromServer|fromClient) != fromServer|fromClient:
		return tcpClass
	case y.unacked[0]|y.unacked[1] != 0:
		return closing
	}
	return linger
}

// lives is live for a packet of embryo or seed n that was looked at.
func (t *Table) lives(n uint32, p *packet.Packet, a *Ahead) bool {
	if seedling(n) {
		var scratch embryo
		return t.live(n, t.embryo(n, &scratch), p, 0) // only the answer is of interest
	}
	e := t.flows.embryo(n)
	return t.live(n, e, p, e.side(&a.four, a.dir()))
}

// live takes a packet of embryo n, e, which side s sent, if it can be written down: one
// that is in order, acknowledges what was recorded, is of a flow that is not due yet,
// and says nothing that is read. The packet is like none of a moment ago.
func (t *Table) live(n uint32, e *embryo, p *packet.Packet, s uint8) bool {
	c := &p.TCP
	if t.watcher != nil && !e.unpaired() || t.ageless || p.Time != t.now {
		return false
	}
	if !e.grown() {
		return t.answer(n, e, p)
	}
	s &= 1
	y, position, ttl, ended := t.flows.youth(e.behind), e.position, e.ttl, fromClient
	if s != 0 {
		position, ttl, ended = y.position, y.ttl, fromServer
	}
	o, flags := s^1, y.flags
	header, has := uint32(20), packet.TCPOptions(0)
	if flags&stamped != 0 {
		header, has = 32, packet.HasTimestamps
	}
	data, fin := p.PayloadLen, uint32(c.Flags&packet.FIN)
	behind, since := y.next[o]-c.Ack, p.Time-y.seen
	if c.Seq != y.next[s] || behind > uint32(y.unacked[o]) || c.Flags&^(packet.FIN|packet.PSH) != packet.ACK || c.Window == 0 || c.Has != has || c.NumSACK != 0 ||
		uint32(c.HeaderLen) != header || p.IPLen != 20+header+data || p.Position != position || p.TTL != ttl || p.TOS&3 == 3 || p.Version != 4 ||
		p.Flags&unnoted != 0 || uint64(data)+uint64(fin)+uint64(y.unacked[s]) > 1<<16-1 {
		return false
	}
	// What most are not: the first ACK, the first payload, behind a FIN, late.
	if (since >= t.brisk || flags&(ackedSYN|spoken) != ackedSYN|spoken || flags&ended != 0) && !t.allows(y, p, s, data+fin, behind, since) {
		return false
	}
	was := tcpClass
	if fin != 0 || flags&(ackedSYN|fromServer|fromClient) != ackedSYN {
		was = y.class()
	}
	if y.end > t.jotted[e.behind&stepMask] || !y.jot(p, s, data+fin, behind, since) {
		what, octets := y.measure(p, s)
		if !y.room(e, octets+t.markRoom) {
			if e.behind&stepMask == mostSteps {
				return false
			}
			t.roomFor(n, int64(youthUnits(e.behind+1)-youthUnits(e.behind))*pool.Unit)
			y = t.stretch(e)
		}
		y.write(p, s, what)
	}
	if y.flags |= ackedSYN; data != 0 {
		y.flags |= spoken
	}
	t.flows.stir(e)
	if fin != 0 {
		y.flags |= ended
	}
	if was != tcpClass || fin != 0 {
		if now := y.class(); now != was {
			t.wheels[was].remove(n, &t.flows)
			t.wheels[now].add(n, &t.flows)
		}
	}
	return true
}

// unnoted are properties of a packet that cannot be written down.
const unnoted = packet.Truncated | packet.HeaderCut | packet.BadHeader | packet.OptionsUnknown | packet.PortsUnknown

// allows tells whether the log can hold a packet of side s that is the next one of
// it: of so many positions, behind what was sent by so many octets, and that much
// later than the one before.
func (t *Table) allows(y *youth, p *packet.Packet, s uint8, length, behind uint32, since int64) bool {
	switch {
	case since >= t.wheels[y.class()].timeout:
		return false
	case y.flags&ackedSYN == 0:
		return s == 0 && length == 0 && behind == 0
	case length != 0 && y.flags&(fromClient>>s) != 0:
		return false
	case p.PayloadLen != 0 && y.flags&spoken == 0:
		return session.Foreign([2]uint16{p.SrcPort, p.DstPort}, p.Payload)
	}
	return true
}

// answer takes the SYN-ACK.
func (t *Table) answer(n uint32, e *embryo, p *packet.Packet) bool {
	c := &p.TCP
	since := p.Time - e.time
	if p.Flags&unnoted != 0 || p.Version != 4 || p.TOS&3 == 3 || c.NumSACK != 0 || c.Window == 0 || p.IPLen != 20+uint32(c.HeaderLen) ||
		e.behind != 0 || since >= t.wheels[halfOpen].timeout || c.Flags != packet.SYN|packet.ACK || p.PayloadLen != 0 || c.Ack != e.seq+1 || uint64(since) > 1<<32-1 ||
		c.Has>>optionBits != 0 || c.HeaderLen&3 != 0 || p.SrcPort != e.dstPort || p.DstPort != e.srcPort || uint32(word(p.Src[8:])>>32) != e.dst || e.src == e.dst {
		return false
	}
	y := youth{
		seen: p.Time, next: [2]uint32{e.seq + 1, c.Seq + 1}, tsval: [2]uint32{e.tsval, c.TSval}, unacked: [2]uint16{0, 1}, window: [2]uint16{e.window, c.Window},
		ipid: [2]uint16{e.ipid, p.IPID}, isn: c.Seq, answered: uint32(since), position: p.Position, stamp: c.TSval, offered: c.Window, mss: c.MSS, id: p.IPID,
		end: uint16(youthLen), options: uint8(c.Has) | c.HeaderLen>>2<<optionBits, ttl: p.TTL, wscale: c.WScale,
	}
	if c.Has&packet.HasTimestamps != 0 {
		if packet.TCPOptions(e.tcpFlags>>synFlagBits)&packet.HasTimestamps == 0 || c.TSecr != e.tsval {
			return false
		}
		y.flags |= stamped
	}
	if octets := int64(youthUnits(0)) * pool.Unit; !seedling(n) {
		t.roomFor(n, octets)
	} else {
		if t.flows.embryos.live+len(t.gone) >= maxNumbers {
			return false
		}
		t.roomFor(n, perEmbryo+octets)
		e = t.sprout(n, e)
	}
	t.flows.stir(e)
	e.behind = t.flows.newYouth(0)
	e.flags |= isGrown
	*t.flows.youth(e.behind) = y
	t.teachAnswered(e)
	return true
}

// teachAnswered is teach for a connection whose SYN was answered.
func (t *Table) teachAnswered(e *embryo) {
	key := e.key()
	x := lesson{pair: key.pair(), proto: packet.ProtoTCP, port: e.dstPort}
	if t.provesBoth(&x.pair) {
		x.says |= seenBoth
	}
	switch server := address(e.dst); {
	case !t.provesListener(endpoint{addr: server, port: e.dstPort, network: e.network, proto: packet.ProtoTCP}):
	case server == x.a:
		x.says |= listensA
	default:
		x.says |= listensB
	}
	if x.says != 0 {
		t.report.lessons.add(&x)
	}
}

// roomFor makes room for what flow n needs beside what it has.
func (t *Table) roomFor(n uint32, octets int64) {
	for t.full(octets) {
		victim := t.victim()
		if victim == n {
			t.crowded = true
			return // it is the next to go, anyway
		}
		t.end(victim, t.now, EndLackOfResources)
	}
}

// room tells whether the log has room for so many octets.
func (y *youth) room(e *embryo, octets int) bool {
	return int(y.end)+octets <= youthUnits(e.behind)*pool.Unit
}

// stretch gives an embryo a youth with a longer log.
func (t *Table) stretch(e *embryo) *youth {
	old, n := e.behind, t.flows.newYouth(e.behind&stepMask+1)
	y, from := t.flows.youth(n), t.flows.youth(old)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(y)), from.end), unsafe.Slice((*byte)(unsafe.Pointer(from)), from.end))
	t.flows.putYouth(old)
	e.behind = n
	return y
}

// jotted is the longest log that jot may add to, octets with the youth, by how often
// it has grown, where so many are left free: jot touches 13 behind it.
func jotted(free int) (most [stepMask + 1]uint16) {
	for step := range uint32(mostSteps + 1) {
		most[step] = uint16(youthUnits(step)*pool.Unit - 13 - free)
	}
	return most
}

// jot adds the entry of a packet that side s sent, if it is short, as most are. It
// does what write does, with all that is optional put together first.
func (y *youth) jot(p *packet.Packet, s uint8, length, behind uint32, since int64) bool {
	if uint64(since)>>32 != 0 {
		return false
	}
	c := &p.TCP
	s &= 1
	what, fields, bits := uint64(s)|uint64(c.Flags&packet.FIN)*withFIN, uint64(0), 0
	if p.PayloadLen != 0 {
		what, fields, bits = what|withData, uint64(p.PayloadLen), 16
	}
	if behind != 0 {
		what, fields, bits = what|someAcked, fields|uint64(behind)<<bits, bits+16
	}
	if c.Window != y.window[s] {
		what, fields, bits = what|newWindow, fields|uint64(c.Window)<<bits, bits+16
	}
	if step := p.IPID - y.ipid[s]; step != 1 {
		what, fields, bits = what|newID, fields|uint64(p.IPID)<<bits, bits+16
		if odd(step, length) {
			y.flags |= oddIDs
		}
	}
	if y.flags&stamped != 0 {
		later := c.TSval - y.tsval[s]
		if later >= 1<<16 || c.TSecr != y.tsval[s^1] || bits == 64 {
			return false
		}
		fields, bits = fields|uint64(later)<<bits, bits+16
		y.tsval[s] = c.TSval
	}
	b := unsafe.Add(unsafe.Pointer(y), y.end)
	put64(b, 0, what|uint64(since)<<8)
	put64(b, 5, fields)
	y.end += uint16(5 + bits/8)
	y.seen, y.window[s], y.ipid[s] = p.Time, c.Window, p.IPID
	y.next[s] += length
	y.unacked[s] += uint16(length)
	y.unacked[s^1] = uint16(behind)
	return true
}

func put64(b unsafe.Pointer, at int, v uint64) {
	binary.LittleEndian.PutUint64((*[8]byte)(unsafe.Add(b, at))[:], v)
}

// measure tells what the entry of a packet that side s sent says of it, and how many
// octets it takes.
func (y *youth) measure(p *packet.Packet, s uint8) (what uint8, octets int) {
	c := &p.TCP
	s &= 1
	what, octets = s, 5
	if uint64(p.Time-y.seen)>>32 != 0 {
		what, octets = what|longSince, octets+4
	}
	if p.PayloadLen != 0 {
		what, octets = what|withData, octets+2
	}
	if c.Flags&packet.FIN != 0 {
		what |= withFIN
	}
	if c.Ack != y.next[s^1] {
		what, octets = what|someAcked, octets+2
	}
	if c.Window != y.window[s] {
		what, octets = what|newWindow, octets+2
	}
	if p.IPID != y.ipid[s]+1 {
		what, octets = what|newID, octets+2
	}
	if y.flags&stamped != 0 {
		if octets += 2; c.TSval-y.tsval[s] >= 1<<16 || c.TSecr != y.tsval[s^1] {
			what, octets = what|newStamps, octets+6
		}
	}
	return what, octets
}

// write adds an entry to the log, for which there is room.
func (y *youth) write(p *packet.Packet, s, what uint8) {
	c, b := &p.TCP, unsafe.Add(unsafe.Pointer(y), y.end)
	s &= 1
	*(*uint8)(b) = what
	put32(b, 1, uint32(p.Time-y.seen))
	b = unsafe.Add(b, 5)
	if what&longSince != 0 {
		put32(b, 0, uint32((p.Time-y.seen)>>32))
		b = unsafe.Add(b, 4)
	}
	y.seen = p.Time
	if what&withData != 0 {
		put16(b, uint16(p.PayloadLen))
		b = unsafe.Add(b, 2)
	}
	length := p.PayloadLen + uint32(c.Flags&packet.FIN)
	y.next[s] += length
	y.unacked[s] += uint16(length)
	y.unacked[s^1] = uint16(y.next[s^1] - c.Ack)
	if what&someAcked != 0 {
		put16(b, y.unacked[s^1])
		b = unsafe.Add(b, 2)
	}
	if what&newWindow != 0 {
		y.window[s] = c.Window
		put16(b, c.Window)
		b = unsafe.Add(b, 2)
	}
	if what&newID != 0 {
		if odd(p.IPID-y.ipid[s], length) {
			y.flags |= oddIDs
		}
		put16(b, p.IPID)
		b = unsafe.Add(b, 2)
	}
	y.ipid[s] = p.IPID
	if y.flags&stamped != 0 {
		if what&newStamps == 0 {
			put16(b, uint16(c.TSval-y.tsval[s]))
			b = unsafe.Add(b, 2)
		} else {
			put32(b, 0, c.TSval)
			put32(b, 4, c.TSecr)
			b = unsafe.Add(b, 8)
		}
		y.tsval[s] = c.TSval
	}
	y.end = uint16(uintptr(b) - uintptr(unsafe.Pointer(y)))
}

func put16(b unsafe.Pointer, v uint16) { *(*[2]byte)(b) = [2]byte{byte(v), byte(v >> 8)} }

func put32(b unsafe.Pointer, at int, v uint32) {
	*(*[4]byte)(unsafe.Add(b, at)) = [4]byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)}
}
