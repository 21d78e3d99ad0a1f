package edge

import (
	"slices"

	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/path"
	"mirrorscope/tcp"
)

// connection is what a conversation takes of one connection.
type connection struct {
	key        Key
	start, end int64
	sent       [2]flow.Volume
	outcome    flow.Outcome
	rtt        int64      // of the handshake, ns; tcp.Absent where not measured
	repeats    [2]Repeats // at the points of sent
	times      sample
	talk       talk
	ends       Ends
	names      [2]string
	missed     [2]int64 // at the points of sent
	recorded   [2]int64
	points     []packet.PointID
}

// of makes it that of a connection.
func (k *Key) of(network packet.NetworkID, proto uint8, ends *[2]flow.Endpoint) {
	client, server := &ends[flow.Client], &ends[flow.Server]
	k.Network, k.Client, k.Server = network, client.Addr, server.Addr
	k.Port, k.HasPort, k.Proto = server.Port, server.HasPort, proto
}

// single makes c a connection that one point recorded. What it had before is
// overwritten, and its memory used again.
func (c *connection) single(r *flow.Record) {
	c.key.of(r.Network, r.Proto, &r.Ends)
	c.start, c.end, c.sent, c.outcome, c.rtt = r.Start, r.End, r.Sent, r.Outcome, tcp.Absent
	if r.HasHandshake && r.Handshake.State == tcp.Measured {
		c.rtt = r.Handshake.RTT
	}
	c.points = append(c.points[:0], r.Point)
	for side := range r.Ends {
		c.repeats[side].of(r, flow.Side(side))
		c.names[side] = r.Ends[side].Name
		c.missed[side], c.recorded[side] = r.TCP.Sides[side].Missed, r.TCP.Sides[side].Recorded
	}
	c.ends = endsOf(r)
	c.times.of(r)
	c.talk.of(r)
}

// endsOf tells who ended a connection.
func endsOf(r *flow.Record) (e Ends) {
	if r.RSTForeign {
		e.Foreign = 1
	}
	switch r.Outcome {
	case flow.Reset:
		if leftover(r) {
			e.Leftover = 1
			break
		}
		e.ResetsKnown = 1
		if r.ResetAfterFIN {
			e.ResetsBehind = 1
		} else {
			e.ResetBy[r.ResetBy] = 1
		}
	case flow.Unreachable:
		if r.Unreachable.OK && r.Unreachable.By == r.Ends[flow.Server].Addr {
			e.FromServer = 1
		}
	}
	return e
}

// leftover tells of a reset that it ends what the capture has nothing of: no
// beginning, and no payload.
func leftover(r *flow.Record) bool {
	return r.Direction < flow.DirSYNACK && r.Sent[flow.Client].PayloadBytes == 0 && r.Sent[flow.Server].PayloadBytes == 0
}

// joined is a connection that several points recorded: the path tells which of
// them counts for what, and how the whole went.
func joined(p *path.Connection, waiting map[uint64]*waiter) connection {
	c := connection{start: p.Start, end: p.End, sent: p.Sent, outcome: p.Outcome, rtt: p.RTT}
	c.key.of(p.Network, p.Proto, &p.Ends)
	told := false
	ordered := p.Order.State == tcp.Measured // from the client to the server
	for i := range p.Points {
		x := &p.Points[i]
		c.points = append(c.points, x.ID)
		w := waiting[x.Flow]
		if w == nil {
			continue
		}
		if !same(&w.client, &p.Ends[flow.Client]) { // it took the client for the server
			w.times.swap()
			w.talk.swap()
			w.swap()
		}
		for side := range c.repeats {
			if p.Primary[side] == i {
				c.repeats[side] = w.repeats[side]
				c.missed[side], c.recorded[side] = w.missed[side], w.recorded[side]
			}
			if c.names[side] == "" {
				c.names[side] = w.names[side]
			}
		}
		if w.outcome == p.Outcome && !told {
			c.ends, told = w.ends, true
		}
		if w.talk.better(&c.talk, ordered) {
			c.talk = w.talk
		}
		if w.times.better(&c.times) {
			c.times = w.times
		}
	}
	slices.Sort(c.points)
	return c
}

// same tells whether two sights mean the same end. They may know it by different
// names.
func same(a, b *flow.Endpoint) bool {
	return a.Addr == b.Addr && a.Port == b.Port && a.HasPort == b.HasPort
}

// maxBucketsWaiting bounds what the records that wait hold, in buckets of 16
// octets. A record that finds no room waits without: then another point's stand
// for the connection.
const maxBucketsWaiting = 2 << 20

// waiter is what is kept of a record until the path of its connection comes.
type waiter struct {
	client           flow.Endpoint
	outcome          flow.Outcome
	ends             Ends
	names            [2]string
	repeats          [2]Repeats
	missed, recorded [2]int64
	times            sample
	talk             talk
	weight           int // of times and talk
}

// waiter gives what is kept of a connection that one point recorded.
func (c *connection) waiter(r *flow.Record) *waiter {
	return &waiter{
		client: r.Ends[flow.Client], outcome: r.Outcome, ends: c.ends, names: c.names, repeats: c.repeats, missed: c.missed, recorded: c.recorded,
		times: c.times, talk: c.talk, weight: c.times.weight + c.talk.weight,
	}
}

// swap exchanges the roles.
func (w *waiter) swap() {
	for _, x := range []*[2]int64{&w.missed, &w.recorded, &w.ends.ResetBy} {
		x[0], x[1] = x[1], x[0]
	}
	w.repeats[0], w.repeats[1] = w.repeats[1], w.repeats[0]
	w.names[0], w.names[1] = w.names[1], w.names[0]
}
