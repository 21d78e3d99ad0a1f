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
	e := t.flows.embryo(n)
	if !e.grown() || t.reliving {
		return false
	}
	y, b := t.flows.youth(e.behind), &t.brief
	if y.flags&(ackedSYN|oddIDs) != ackedSYN {
		return false
	}
	var options [2]tcp.Options
	e.options(&options[Client])
	y.answerOptions(&options[Server])
	var sent [2]volume
	if !y.sumUp(e, b, &options, t.copies.window, &sent) {
		return false
	}
	t.briefs++
	r, key := t.out.Add(), e.key()
	t.serial++
	r.Release, r.ID, r.Start, r.End = release, t.id(&key, e.time), e.time, y.seen
	r.Point, r.Network, r.Path, r.OuterSwapped = e.point, e.network, e.path, e.flags&packet.OuterSwapped != 0
	r.key, r.serial = key, t.serial
	r.Proto, r.Version = packet.ProtoTCP, 4
	r.Ends[Client] = Endpoint{Addr: address(e.src), Port: e.srcPort, HasPort: true}
	r.Ends[Server] = Endpoint{Addr: address(e.dst), Port: e.dstPort, HasPort: true}
	r.Direction, r.DirectionState = DirSYN, tcp.Measured
	r.EndReason = reason
	switch {
	case b.Closed():
		if r.Outcome = Closed; reason == EndIdleTimeout || reason == EndForced {
			r.EndReason = EndOfFlow
		}
	default:
		r.Outcome = Established
	}
	for side := range sent {
		v := &sent[side]
		r.Sent[side] = Volume{int64(v.packets), int64(v.bytes), int64(v.payload)}
		r.FINs[side] = int64(y.flags >> (1 - side) & 1)
	}
	if e.flags&packet.Truncated != 0 {
		r.TruncatedPackets = 1
	}
	if e.trafc&3 == 3 {
		r.CE[Client] = 1
	}
	r.Options = options
	r.HasHandshake, r.Handshake = true, *b.Handshake()
	r.ECN.Known = true
	r.HasTCP = true
	b.Report(t.tcp, &r.TCP)
	if t.cfg.Sums {
		r.Samples = *b.Samples()
	}
	r.Phases = t.sessions.Steady(b.Course(), &session.Frame{Start: e.time, End: y.seen, Setup: r.Handshake.Setup, Server: b.ToServer()})
	t.nameEnds(r)
	t.unlist(n, nil)
	t.leave(n, r)
	return true
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
func (y *youth) sumUp(e *embryo, b *tcp.Brief, options *[2]tcp.Options, window int64, sent *[2]volume) bool {
	at, end := unsafe.Add(unsafe.Pointer(y), youthLen), unsafe.Add(unsafe.Pointer(y), y.end)
	answered := e.time + int64(y.answered)
	b.Begin(options, e.time, answered, window)
	b.Offers(0, e.window)
	b.Offers(1, y.offered)
	now, header, stamps := answered, uint32(40), 0
	if y.flags&stamped != 0 {
		header, stamps = 52, 2
	}
	entries, server := 0, 0
	for ; uintptr(at) < uintptr(end); entries++ {
		what, n, unacked := *(*uint8)(at), uint32(0), uint32(0)
		now += int64(get32(at, 1))
		at = unsafe.Add(at, 5)
		if what&(longSince|someAcked|newWindow|newID|newStamps) != 0 {
			if what&longSince != 0 {
				late := get32(at, 0)
				if at = unsafe.Add(at, 4); late == 0 {
					return false // a mark
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
	for side, n := range [2]int{entries - server, server} {
		payload := b.Sent(side)
		sent[side] = volume{1 + uint32(n), uint32(n)*header + payload, payload}
	}
	sent[0].bytes += uint32(e.ipLen)
	sent[1].bytes += 20 + uint32(y.options>>optionBits)<<2
	return b.End()
}

// odd tells whether the identification of a packet, which is not the next one, can
// tell a flow that something is missing, or is out of order: n octets and FINs of a
// side lie that many identifications behind the packet before.
func odd(step uint16, n uint32) bool { return n != 0 && step-2 <= 64-2 || -step < 512 && step != 0 }

func get16(b unsafe.Pointer) uint16 { return binary.LittleEndian.Uint16((*[2]byte)(b)[:]) }

func get32(b unsafe.Pointer, at int) uint32 {
	return binary.LittleEndian.Uint32((*[4]byte)(unsafe.Add(b, at))[:])
}
