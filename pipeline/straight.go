package pipeline

import (
	"mirrorscope/capture"
	"mirrorscope/flow"
	"mirrorscope/packet"
)

// take takes frames as frame takes one.
func (r *reader) take(fs []capture.Frame) {
	for len(fs) > 0 {
		n := 0
		if r.straightOn() {
			if n = r.usual(fs); n == 0 {
				n = r.straight(fs)
			}
		}
		if n == 0 {
			r.frame(&fs[0])
			n = 1
		}
		fs = fs[n:]
	}
}

// straightOn tells whether frames go straight: every packet counts, with its
// payload, nobody else looks at it, and no fragment waits.
func (r *reader) straightOn() bool {
	return r.cfg.Match == nil && r.cfg.Tap == nil && r.load.keep <= 1 && !r.load.headers && r.seen.Packets > 0 && !r.decoder.Holds()
}

// usual takes frames from the front, and tells how many, as long as they are of
// the running second, in order of time, and what Decoder.Usual or UsualInside reads.
// They give what frame gives; what is the same for all of them is decided and counted once.
func (r *reader) usual(fs []capture.Frame) int {
	if r.watch.waits() && (r.watch.on || r.faces > 1 || r.decoder.UsualPoint() != firstPoint) {
		return 0
	}
	to := r.batch.packets[r.batch.n:]
	tunnels := !r.watch.waits() // their points may be the second
	most := min(len(fs), len(to), r.room.packets-r.sent)
	if r.keep {
		most = min(most, ownAhead)
	}
	n, octets, now := 0, uint64(0), r.now
	for n < most {
		some, more := usualRun(r.decoder, fs[n:most], to[n:most], now, r.next, false)
		if some == 0 && tunnels {
			some, more = usualRun(r.decoder, fs[n:most], to[n:most], now, r.next, true)
		}
		if some == 0 {
			break
		}
		n += some
		octets += more
		now = fs[n-1].Time
	}
	if n == 0 {
		return 0
	}
	c := &r.seen
	c.Packets += uint64(n)
	c.Bytes += octets
	c.Decoded += uint64(n)
	r.now, r.last, c.Last = now, now, now
	if r.keep {
		r.batch.keep(n)
	} else {
		r.batch.n += n
	}
	if r.batch.n == len(r.batch.packets) {
		r.hand()
	}
	if r.sent += n; r.sent >= r.room.packets {
		r.sent = 0
		r.collect()
	}
	return n
}

// usualRun takes frames from the front that Decoder.Usual reads, or UsualInside, all of
// one interface and of times from now on and before next. It tells how many, and how long
// they were, octets.
func usualRun(d *packet.Decoder, fs []capture.Frame, to []packet.Packet, now, next int64, inside bool) (n int, octets uint64) {
	to = to[:len(fs)]
	iface := fs[0].Interface
	direct := d.Direct(iface)
	if !inside && direct == nil {
		return 0, 0
	}
	for n < len(fs) {
		f := &fs[n]
		if f.Time < now || f.Time >= next || f.Link != capture.LinkEthernet || f.Interface != iface {
			break
		}
		if !inside {
			if !direct.Usual(f.Data, f.WireLen, f.Time, &to[n]) {
				break
			}
		} else if !d.UsualInside(f.Data, iface, f.WireLen, f.Time, &to[n]) {
			break
		}
		now = fs[n].Time
		to[n].Now = now
		octets += uint64(fs[n].WireLen)
		n++
	}
	return n, octets
}

// straight is usual for all kinds of frames, from interfaces that are known.
func (r *reader) straight(fs []capture.Frame) int {
	c, d := &r.seen, r.decoder
	faces, next, watched := r.faces, r.next, r.watch.waits()
	loud := watched && (r.watch.on || faces > 1) // the first point's packets may be due, too
	n, octets, decoded := 0, uint64(0), uint64(0)
	for ; n < len(fs); n++ {
		f := &fs[n]
		if f.Time < r.now || f.Time >= next || int(f.Interface) >= faces {
			break
		}
		r.now = f.Time
		octets += uint64(f.WireLen)
		p := r.batch.next()
		if r.keep {
			r.batch.own(r.batch.n)
			ownBehind(r.batch.payload)
		}
		if f.Link != capture.LinkEthernet || !d.Usual(f.Data, f.Interface, f.WireLen, f.Time, p) && (watched || !d.UsualInside(f.Data, f.Interface, f.WireLen, f.Time, p)) {
			if skip := d.Decode(f.Data, uint16(f.Link), f.Interface, f.WireLen, f.Time, p); skip != packet.OK {
				r.skipped(f, skip)
				if d.Holds() {
					n++
					break
				}
				continue
			}
		}
		decoded++
		p.Now = f.Time
		if loud || watched && p.Point != firstPoint || p.Kind == packet.ICMPOther || p.Flags&packet.Reassembled != 0 {
			r.took(p)
			watched = r.watch.waits()
			loud = loud && watched
			continue
		}
		if r.keep {
			r.send(p, flow.Partition(p.Hash), isPacket)
		} else if r.batch.count() {
			r.hand()
		}
		if r.sent++; r.sent >= r.room.packets {
			r.sent = 0
			r.collect()
		}
	}
	if n > 0 {
		c.Packets += uint64(n)
		c.Bytes += octets
		c.Decoded += decoded
		c.Last, r.last = r.now, r.now
	}
	return n
}
