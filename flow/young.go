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
	position uint32    // of all packets of the server; where hop has it
	ipid     [2]uint16 // by side, the latest
	isn      uint32    // of the SYN-ACK, like all that follows
	answered uint32    // ns behind the SYN
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
// and says nothing that is read. The packet is of TCP in IPv4, and like none of a moment ago.
func (t *Table) live(n uint32, e *embryo, p *packet.Packet, s uint8) bool {
	switch {
	case t.watcher != nil && !e.unpaired() || p.Time != t.now:
		return false
	case !e.grown():
		return t.answer(n, e, p)
	}
	return t.lived(n, e, t.flows.youth(e.behind), p, s)
}

// hop is where the packets of a side were recorded: an embryo has that of the client, and
// a youth that of the server, at the same places.
type hop struct {
	_        [unsafe.Offsetof(embryo{}.position)]byte
	position uint32
	_        [unsafe.Offsetof(embryo{}.ttl) - unsafe.Offsetof(embryo{}.position) - 4]byte
	ttl      uint8
}

var (
	_ [unsafe.Offsetof(youth{}.position) - unsafe.Offsetof(hop{}.position)]struct{}
	_ [unsafe.Offsetof(hop{}.position) - unsafe.Offsetof(youth{}.position)]struct{}
	_ [unsafe.Offsetof(youth{}.ttl) - unsafe.Offsetof(hop{}.ttl)]struct{}
	_ [unsafe.Offsetof(hop{}.ttl) - unsafe.Offsetof(youth{}.ttl)]struct{}
)

// lived is live where the embryo has a youth, y. What is seldom is done by others, at the very
// end as far as can be: so all that this works with stays in registers.
//
//go:noinline
func (t *Table) lived(n uint32, e *embryo, y *youth, p *packet.Packet, s uint8) bool {
	s &= 1
	c, o, at := &p.TCP, s^1, (*hop)(unsafe.Pointer(e))
	if s != 0 {
		at = (*hop)(unsafe.Pointer(y))
	}
	flags, header, has := y.flags, uint32(20), packet.TCPOptions(0)
	if flags&stamped != 0 {
		header, has = 32, packet.HasTimestamps
	}
	// Of the head: no flag that is unusual, no SYN or RST, not cut and not marked.
	const unusual = uint64(1<<16-1-packet.FIN-packet.PSH)<<32 | uint64(1<<8-1-packet.FIN)<<packet.WordOddShift
	length, fin := p.PayloadLen, uint32(c.Flags&packet.FIN)
	behind, since := y.next[o]-c.Ack, p.Time-y.seen
	if c.Seq != y.next[s] || behind > uint32(y.unacked[o]) || p.Words.Head&unusual != uint64(packet.ACK)<<32 || c.Window == 0 || c.Has != has || c.NumSACK != 0 ||
		uint32(c.HeaderLen) != header || p.IPLen != 20+header+length || p.Position != at.position || p.TTL != at.ttl || p.Flags&unnoted != 0 ||
		uint64(length)+uint64(fin)+uint64(y.unacked[s]) > 1<<16-1 {
		return false
	}
	// What most are not: the first ACK, the first payload, behind a FIN, late.
	if (since >= t.brisk || flags&(ackedSYN|spoken) != ackedSYN|spoken || flags&(fromClient>>s) != 0) && !t.allows(y, p, s) {
		return false
	}
	later := c.TSval - y.tsval[s]
	if y.end > t.jotted[e.behind&stepMask] || since>>32 != 0 || flags&stamped != 0 && (later >= 1<<16 || c.TSecr != y.tsval[o]) {
		return t.livesOn(n, e, y, p, s)
	}
	was := tcpClass
	if flags&(ackedSYN|fromServer|fromClient) != ackedSYN {
		was = y.class()
	}
	// The entry, as write has it.
	what, end := s, uint(y.end)
	k := end + 5
	flags |= ackedSYN
	if length != 0 {
		y.put16(k, uint16(length))
		k, what, flags = k+2, what|withData, flags|spoken
	}
	if fin != 0 {
		what, flags = what|withFIN, flags|fromClient>>s
	}
	length += fin
	if behind != 0 {
		y.put16(k, uint16(behind))
		k, what = k+2, what|someAcked
	}
	if c.Window != y.window[s] {
		y.put16(k, c.Window)
		k, what = k+2, what|newWindow
		y.window[s] = c.Window
	}
	step := p.IPID - y.ipid[s]
	if y.ipid[s] = p.IPID; step != 1 {
		y.put16(k, p.IPID)
		if k, what = k+2, what|newID; odd(step, length) {
			flags |= oddIDs
		}
	}
	if flags&stamped != 0 {
		y.put16(k, uint16(later))
		k += 2
		y.tsval[s] = c.TSval
	}
	y.put32(end+1, uint32(since))
	y.put8(end, what)
	y.flags, y.end, y.seen = flags, uint16(k), p.Time
	y.next[s] += length
	y.unacked[s] += uint16(length)
	y.unacked[o] = uint16(behind)
	t.flows.stir(e)
	if was != tcpClass || fin != 0 {
		t.classify(n, e, y, was)
	}
	return true
}

// livesOn is lived for a packet that can be written down, whatever its entry is like, if the log has
// room or can grow.
func (t *Table) livesOn(n uint32, e *embryo, y *youth, p *packet.Packet, s uint8) bool {
	what, octets := y.measure(p, s)
	if !y.room(e, octets+t.markRoom) {
		if e.behind&stepMask == mostSteps {
			return false
		}
		t.roomFor(n, int64(youthUnits(e.behind+1)-youthUnits(e.behind))*pool.Unit)
		y = t.stretch(e)
	}
	was := y.class()
	y.write(p, s, what)
	if y.flags |= ackedSYN; p.PayloadLen != 0 {
		y.flags |= spoken
	}
	if what&withFIN != 0 {
		y.flags |= fromClient >> (s & 1)
	}
	t.flows.stir(e)
	t.classify(n, e, y, was)
	return true
}

// classify has the wheels know what class embryo n is of now.
func (t *Table) classify(n uint32, e *embryo, y *youth, was class) {
	if now := y.class(); now != was {
		t.wheels[was].leave(n, e.slot(), &t.flows)
		e.setSlot(t.wheels[now].enter(n, y.seen, &t.flows))
	}
}

// turns tells whether a packet of an embryo that has a youth is likely to make it of another class:
// the ACK of the SYN-ACK, or a FIN.
func (e *embryo) turns(p *packet.Packet) bool {
	return p.TCP.Flags&packet.FIN != 0 || p.PayloadLen == 0 && p.TCP.Seq == e.seq+1
}

// unnoted are properties of a packet that cannot be written down.
const unnoted = packet.Truncated | packet.HeaderCut | packet.BadHeader | packet.OptionsUnknown | packet.PortsUnknown

// allows tells whether the log can hold a packet of side s, which is expected, where that
// depends on what came before.
func (t *Table) allows(y *youth, p *packet.Packet, s uint8) bool {
	c, length := &p.TCP, p.PayloadLen+uint32(p.TCP.Flags&packet.FIN)
	switch {
	case p.Time-y.seen >= t.wheels[y.class()].timeout:
		return false
	case y.flags&ackedSYN == 0:
		return s == 0 && length == 0 && c.Ack == y.next[1]
	case length != 0 && y.flags&(fromClient>>(s&1)) != 0:
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
	if t.ageless || p.Flags&unnoted != 0 || p.Version != 4 || p.TOS&3 == 3 || c.NumSACK != 0 || c.Window == 0 || p.IPLen != 20+uint32(c.HeaderLen) ||
		e.behind != 0 || since >= t.wheels[halfOpen].timeout || c.Flags != packet.SYN|packet.ACK || p.PayloadLen != 0 || c.Ack != e.seq+1 || uint64(since) > 1<<32-1 ||
		c.Has>>optionBits != 0 || c.HeaderLen&3 != 0 || p.SrcPort != e.dstPort() || p.DstPort != e.srcPort() || uint32(word(p.Src[8:])>>32) != e.dst() || e.src() == e.dst() {
		return false
	}
	flags := youthFlags(0)
	if c.Has&packet.HasTimestamps != 0 {
		if packet.TCPOptions(e.tcpFlags>>synFlagBits)&packet.HasTimestamps == 0 || c.TSecr != e.tsval {
			return false
		}
		flags = stamped
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
	// Field by field: what is copied right behind the stores that made it waits for all of those.
	y := t.flows.youth(e.behind)
	y.seen, y.next, y.tsval = p.Time, [2]uint32{e.seq + 1, c.Seq + 1}, [2]uint32{e.tsval, c.TSval}
	y.unacked, y.window, y.position = [2]uint16{0, 1}, [2]uint16{e.window, c.Window}, p.Position
	y.ipid, y.isn, y.answered, y.stamp = [2]uint16{e.ipid, p.IPID}, c.Seq, uint32(since), c.TSval
	y.offered, y.mss, y.id, y.end, y.flags = c.Window, c.MSS, p.IPID, uint16(youthLen), flags
	y.options, y.ttl, y.wscale = uint8(c.Has)|c.HeaderLen>>2<<optionBits, p.TTL, c.WScale
	t.teachAnswered(e)
	return true
}

// teachAnswered is teach for a connection whose SYN was answered.
func (t *Table) teachAnswered(e *embryo) {
	four := e.four()
	both := pair4{uint32(four.hosts), uint32(four.hosts >> 32), e.point(), e.network()}
	says := saying(0)
	if t.provesBoth(e.point(), t.learned.pairs.four.of(both)) {
		says |= seenBoth
	}
	switch {
	case !t.provesListener(t.learned.listeners.four.of(endpoint4{e.dst(), e.network(), e.dstPort(), packet.ProtoTCP})):
	case e.dst() == both.a:
		says |= listensA
	default:
		says |= listensB
	}
	if says != 0 {
		x := t.report.lessons.four.Next()
		x.a, x.b, x.point, x.network, x.says, x.proto, x.port = both.a, both.b, both.point, both.network, says, packet.ProtoTCP, e.dstPort()
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

// mostJotted is how many octets lived adds to a log at most.
const mostJotted = 15

// jotted is the longest log that lived may add to, octets with the youth, by how often
// it has grown, where so many are left free.
func jotted(free int) (most [stepMask + 1]uint16) {
	for step := range uint32(mostSteps + 1) {
		most[step] = uint16(youthUnits(step)*pool.Unit - mostJotted - free)
	}
	return most
}

// The fields of the log lie anywhere.

func (y *youth) put8(at uint, v uint8) { *(*uint8)(unsafe.Add(unsafe.Pointer(y), at)) = v }

func (y *youth) put16(at uint, v uint16) { put16(unsafe.Add(unsafe.Pointer(y), at), v) }

func (y *youth) put32(at uint, v uint32) { put32(unsafe.Add(unsafe.Pointer(y), at), 0, v) }

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
