package pipeline

import (
	"mirrorscope/capture"
	"mirrorscope/flow"
	"mirrorscope/packet"
)

// take takes frames as frame takes one.
func (r *reader) take(fs []capture.Frame) {
	for len(fs) > 0 {
		if r.straightOn() {
			fs = fs[r.straight(fs):]
		}
		if len(fs) > 0 {
			r.frame(&fs[0])
			fs = fs[1:]
		}
	}
}

// straightOn tells whether frames go straight: every packet counts, with its
// payload, nobody else looks at it, and no fragment waits.
func (r *reader) straightOn() bool {
	return r.cfg.Match == nil && r.cfg.Tap == nil && r.load.keep <= 1 && !r.load.headers && r.seen.Packets > 0 && !r.decoder.Holds()
}

// straight takes frames from the front, and tells how many, as long as they are
// what nearly all are: of the running second, in order of time, from an interface
// that is known. They give what frame gives; what is the same for all of them is
// decided and counted once.
func (r *reader) straight(fs []capture.Frame) int {
	c := &r.seen
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
		if skip := r.decoder.Decode(f.Data, uint16(f.Link), f.Interface, f.WireLen, f.Time, p); skip != packet.OK {
			r.skipped(f, skip)
			if r.decoder.Holds() {
				n++
				break
			}
			continue
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
