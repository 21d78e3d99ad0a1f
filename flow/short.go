package flow

import (
	"encoding/binary"
	"unsafe"

	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/tcp"
)

// finishShort is finish for an embryo with a youth that has gone as the books say
// to its end: its record, which is that of the flow that relive makes, is made of
// one look at each entry of the log. It tells whether it could.
func (t *Table) finishShort(n uint32, release int64, reason EndReason) bool {
	e, b, x := t.flows.embryo(n), &t.brief, &t.soFar
	if !t.sumUp(e, x) || !b.End() {
		return false
	}
	y := t.flows.youth(e.behind)
	r := t.out.Add()
	t.outline(e, y, x, r)
	r.Release = release
	r.EndReason = reason
	switch {
	case b.Closed():
		if r.Outcome = Closed; reason == EndIdleTimeout || reason == EndForced {
			r.EndReason = EndOfFlow
		}
	default:
		r.Outcome = Established
	}
	if e.flags&packet.Truncated != 0 {
		r.TruncatedPackets = 1
	}
	if e.trafc&3 == 3 {
		r.CE[Client] = 1
	}
	r.HasHandshake = true
	r.Handshake.Set(b.Handshake())
	b.Report(t.tcp, &r.TCP)
	if t.cfg.Sums {
		r.Samples.Set(b.Samples())
	}
	r.Phases = t.sessions.Steady(b.Course(), &session.Frame{Start: e.time, End: y.seen, Setup: r.Handshake.Setup, Server: b.ToServer()}, t.room())
	t.nameEnds(r)
	t.unlist(n, nil)
	t.leave(n, r)
	return true
}

// tellShort is closeInterval for an embryo, likewise. final says that it has ended.
func (t *Table) tellShort(n uint32, r *Record, final bool) bool {
	e, b, x := t.flows.embryo(n), &t.brief, &t.soFar
	if !t.sumUp(e, x) {
		return false
	}
	decided, ok := true, false
	if final {
		ok = b.End()
	} else {
		decided, ok = b.Pause()
	}
	if !ok {
		return false
	}
	y, told := t.flows.youth(e.behind), &x.told
	t.outline(e, y, x, r)
	r.Kind, r.Established = Interval, !b.Closed()
	for side := range r.Sent {
		r.Sent[side] = r.Sent[side].minus(told.sent[side].volume())
		r.FINs[side] -= int64(told.fins[side])
	}
	if e.flags&packet.Truncated != 0 {
		r.TruncatedPackets = 1 - int64(told.syns)
	}
	if e.trafc&3 == 3 {
		r.CE[Client] = 1 - int64(told.syns)
	}
	if r.Handshake = noHandshake; decided && !told.handshake {
		r.HasHandshake, r.Handshake = true, *b.Handshake()
	} else {
		r.Handshake.Reasons = 0
		r.HasHandshake = told.syns+told.synacks < 2
	}
	r.Handshake.SYNs, r.Handshake.SYNACKs = 1-told.syns, 1-told.synacks
	b.Interval(&told.tcp, &r.TCP, &r.Samples)
	t.nameEnds(r)
	return true
}

// outline fills in what all records have that are made of a youth which was summed up.
func (t *Table) outline(e *embryo, y *youth, x *soFar, r *Record) {
	t.briefs++
	t.serial++
	e.setKey(&r.key)
	r.ID, r.Start, r.End = t.ids.of(&r.key, e.time), e.time, y.seen
	r.Point, r.Network, r.Path, r.OuterSwapped = e.point(), e.network(), e.path, e.flags&packet.OuterSwapped != 0
	r.serial = t.serial
	r.Proto, r.Version = packet.ProtoTCP, 4
	client, server := &r.Ends[Client], &r.Ends[Server]
	setAddress(&client.Addr, e.src())
	setAddress(&server.Addr, e.dst())
	client.Port, server.Port = e.srcPort(), e.dstPort()
	client.HasPort, server.HasPort = true, true
	r.Direction, r.DirectionState = DirSYN, tcp.Measured
	for side := range x.sent {
		r.Sent[side] = x.sent[side].volume()
		r.FINs[side] = int64(y.flags >> (1 - side) & 1)
	}
	r.Options = x.options
	r.ECN.Known = true
	r.HasTCP = true
}

func (v *volume) volume() Volume { return Volume{int64(v.packets), int64(v.bytes), int64(v.payload)} }

// soFar is what the log of a youth tells.
type soFar struct {
	options [2]tcp.Options
	sent    [2]volume
	told    struct { // by intervals
		sent          [2]volume
		fins          [2]uint8
		syns, synacks uint32
		tcp           tcp.Told
		handshake     bool
	}
}

// sumUp has Table.brief take the packets of an embryo, and adds up what the log tells. It
// is false where the brief cannot know what a flow would.
func (t *Table) sumUp(e *embryo, x *soFar) bool {
	if !e.grown() || t.reliving {
		return false
	}
	y := t.flows.youth(e.behind)
	if y.flags&(ackedSYN|oddIDs) != ackedSYN {
		return false
	}
	*x = soFar{}
	e.options(&x.options[Client])
	y.answerOptions(&x.options[Server])
	if e.flags&toldSYN != 0 {
		x.told.sent[Client], x.told.syns, x.told.tcp.Recorded[Client] = volume{1, uint32(e.ipLen), 0}, 1, 1
	}
	return y.sumUp(e, &t.brief, t.copies.window, x)
}

// answerOptions are what the SYN-ACK offered.
func (y *youth) answerOptions(o *tcp.Options) {
	has := packet.TCPOptions(y.options)
	*o = tcp.Options{Known: true, SACK: has&packet.HasSACKPermitted != 0, Timestamps: has&packet.HasTimestamps != 0}
	if has&packet.HasMSS != 0 {
		o.HasMSS, o.MSS = true, y.mss
	}
	if has&packet.HasWScale != 0 {
		o.HasWScale, o.WScale = true, min(y.wscale, 14) // RFC 7323 section 2.3
	}
}

// sumUp has b take the packets of a youth, and adds up the volumes of both sides,
// with the SYN. It is false where b cannot know what a flow would. window is how long a
// copy is looked for, ns.
func (y *youth) sumUp(e *embryo, b *tcp.Brief, window int64, x *soFar) bool {
	at, end := unsafe.Add(unsafe.Pointer(y), youthLen), unsafe.Add(unsafe.Pointer(y), y.end)
	answered := e.time + int64(y.answered)
	b.Begin(&x.options, e.time, answered, window)
	b.Offers(0, e.window)
	b.Offers(1, y.offered)
	now, stamps := answered, 0
	if y.flags&stamped != 0 {
		stamps = 2
	}
	entries, server := 0, 0
	for ; uintptr(at) < uintptr(end); entries++ {
		what, n, unacked := *(*uint8)(at), uint32(0), uint32(0)
		now += int64(get32(at, 1))
		at = unsafe.Add(at, 5)
		if what&(longSince|someAcked|newWindow|newID|newStamps) != 0 {
			if what&longSince != 0 {
				late := get32(at, 0)
				if at = unsafe.Add(at, 4); late == 0 { // a mark
					if !x.mark(e, y, b, [2]int{entries - server, server}) {
						return false
					}
					entries--
					continue
				}
				now += int64(late) << 32
			}
			if what&withData != 0 {
				n = uint32(get16(at))
				at = unsafe.Add(at, 2)
			}
			if what&someAcked != 0 {
				unacked = uint32(get16(at))
				at = unsafe.Add(at, 2)
			}
			if what&newWindow != 0 {
				b.Offers(what&byServer, get16(at))
				at = unsafe.Add(at, 2)
			}
			if what&newID != 0 {
				at = unsafe.Add(at, 2)
			}
			if what&newStamps != 0 {
				at = unsafe.Add(at, 6)
			}
		} else if what&withData != 0 {
			n = uint32(get16(at))
			at = unsafe.Add(at, 2)
		}
		at = unsafe.Add(at, stamps)
		server += int(what & byServer)
		if entries == 0 {
			if !b.Answered(now) {
				return false
			}
		} else if !b.Packet(what&byServer, now, n, uint32(what/withFIN&1), unacked) {
			return false
		}
	}
	y.volumes(e, b, [2]int{entries - server, server}, &x.sent)
	return true
}

// volumes adds up what both sides have sent: so many packets behind their SYN, whose payload
// b has taken.
func (y *youth) volumes(e *embryo, b *tcp.Brief, packets [2]int, sent *[2]volume) {
	header := uint32(40)
	if y.flags&stamped != 0 {
		header = 52
	}
	for side, n := range packets {
		payload := uint32(0)
		if packets[0] > 0 { // else b has not begun
			payload = b.Sent(side)
		}
		sent[side] = volume{1 + uint32(n), uint32(n)*header + payload, payload}
	}
	sent[0].bytes += uint32(e.ipLen)
	sent[1].bytes += 20 + uint32(y.options>>optionBits)<<2
}

// mark takes note that an interval has told of what is before a mark, behind so many packets.
func (x *soFar) mark(e *embryo, y *youth, b *tcp.Brief, packets [2]int) bool {
	told := &x.told
	y.volumes(e, b, packets, &told.sent)
	told.syns, told.synacks = 1, 1
	if packets[0] == 0 { // of the handshake alone
		told.tcp.Recorded = [2]int64{1, 1}
		return true
	}
	decided, ok := b.Pause()
	told.handshake = decided
	b.Tell(&told.tcp)
	for side := range told.fins {
		if b.Ended(side) {
			told.fins[side] = 1
		}
	}
	return ok
}

// odd tells whether the identification of a packet, which is not the next one, can
// tell a flow that something is missing, or is out of order: n octets and FINs of a
// side lie that many identifications behind the packet before.
func odd(step uint16, n uint32) bool { return n != 0 && step-2 <= 64-2 || -step < 512 && step != 0 }

func get16(b unsafe.Pointer) uint16 { return binary.LittleEndian.Uint16((*[2]byte)(b)[:]) }

func get32(b unsafe.Pointer, at int) uint32 {
	return binary.LittleEndian.Uint32((*[4]byte)(unsafe.Add(b, at))[:])
}
