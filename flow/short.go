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
	if y.flags&ackedSYN == 0 {
		return false
	}
	var options [2]tcp.Options
	e.options(&options[Client])
	y.answerOptions(&options[Server])
	var sent [2]volume
	if !y.sumUp(e, b, &options, &sent) {
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
	t.index.remove(t.hashOf(n, nil), n)
	t.flows.putEmbryo(n)
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
// with the SYN. It is false where b cannot know what a flow would: also where
// identifications may tell of something that is missing.
func (y *youth) sumUp(e *embryo, b *tcp.Brief, options *[2]tcp.Options, sent *[2]volume) bool {
	at, end := unsafe.Add(unsafe.Pointer(y), youthLen), unsafe.Add(unsafe.Pointer(y), y.end)
	answered := e.time + int64(y.answered)
	now, id, window, header := answered, [2]uint16{e.ipid, y.id}, [2]uint16{e.window, y.offered}, uint32(40)
	if y.flags&stamped != 0 {
		header = 52
	}
	sent[0] = volume{1, uint32(e.ipLen), 0}
	sent[1] = volume{1, 20 + uint32(y.options>>optionBits)<<2, 0}
	for first := true; uintptr(at) < uintptr(end); first = false {
		what := *(*uint8)(at)
		s := int(what & byServer)
		now += int64(get32(at, 1))
		at = unsafe.Add(at, 5)
		if what&longSince != 0 {
			now += int64(get32(at, 0)) << 32
			at = unsafe.Add(at, 4)
		}
		n, fin, unacked := uint32(0), uint32(what/withFIN&1), uint32(0)
		if what&withData != 0 {
			n = uint32(get16(at))
			at = unsafe.Add(at, 2)
		}
		if what&someAcked != 0 {
			unacked = uint32(get16(at))
			at = unsafe.Add(at, 2)
		}
		if what&newWindow != 0 {
			window[s] = get16(at)
			at = unsafe.Add(at, 2)
		}
		if id[s]++; what&newID != 0 {
			step := get16(at) - id[s] + 1
			if n+fin != 0 && step-2 <= 64-2 || -step < 512 && step != 0 {
				return false
			}
			id[s] += step - 1
			at = unsafe.Add(at, 2)
		}
		if y.flags&stamped != 0 {
			if at = unsafe.Add(at, 2); what&newStamps != 0 {
				at = unsafe.Add(at, 6)
			}
		}
		v := &sent[s]
		v.packets++
		v.bytes += header + n
		v.payload += n
		switch {
		case first:
			if !b.Begin(options, window, e.time, answered, now) {
				return false
			}
		case !b.Packet(s, now, n, fin, unacked, window[s]):
			return false
		}
	}
	return now == y.seen && b.End()
}

func get16(b unsafe.Pointer) uint16 { return binary.LittleEndian.Uint16((*[2]byte)(b)[:]) }

func get32(b unsafe.Pointer, at int) uint32 {
	return binary.LittleEndian.Uint32((*[4]byte)(unsafe.Add(b, at))[:])
}
