package edge

import (
	"bytes"
	"cmp"

	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/tcp"
)

// How one connection that was seen at several observation points is counted
// once, from records alone: a record belongs to a connection that was already
// met if network, protocol and both ends are the same (in either role), it comes
// from a point where that connection was not yet seen, and their lives overlap,
// give or take joinWindow. Among several the one that started closest is taken.
// Of each direction the volume of the point that saw the most bytes counts, the
// first one on a tie.
//
// What this cannot see: a connection whose addresses are translated between two
// points (it counts twice); two connections with the same ends that overlap, one
// seen at one point only and the other at another only (they count once); and
// packets that one point saw and the other did not (the sum of both is more
// than either). Connections wait in a ring of bounded size. One that had to
// leave early while records came from more than one point, or that had too
// many of the same ends before it, may be counted again: those are Unjudged.

// joinWindow is by how much two sights of one packet may lie apart: ns, the
// XOP_WINDOW of cross-point measurements.
const joinWindow = 2_000_000_000

// maxSameEnds bounds the search among connections with the same ends.
const maxSameEnds = 16

// joinPoints bounds how many points of a connection are remembered.
const joinPoints = 8

// maxBucketsPending bounds the distributions of the connections that wait, in
// buckets of 16 octets. They are small, so that it is the ring that is full
// first; but those of a few long connections may be large.
const maxBucketsPending = 2 << 20

// tuple is what all sights of a connection have in common, without roles.
type tuple struct {
	network  packet.NetworkID
	low, top flow.Endpoint
	proto    uint8
}

func tupleOf(r *flow.Record) tuple {
	t := tuple{network: r.Network, proto: r.Proto, low: r.Ends[flow.Client], top: r.Ends[flow.Server]}
	if c := bytes.Compare(t.low.Addr[:], t.top.Addr[:]); c > 0 || c == 0 && cmp.Compare(t.low.Port, t.top.Port) > 0 {
		t.low, t.top = t.top, t.low
	}
	return t
}

// connection is one connection, as the sights so far tell.
type connection struct {
	tuple      tuple
	older      uint64 // number of the connection before with the same tuple, plus 1; 0: none
	start, end int64
	ends       [2]flow.Endpoint
	direction  flow.DirectionSource
	sent       [2]flow.Volume
	outcome    flow.Outcome
	witness    int64      // packets at the point that told the outcome
	rtt        int64      // ns, tcp.Absent where no point measured it
	repeats    [2]Repeats // at the points of sent
	times      sample     // at the point that is best for it
	points     [joinPoints]packet.PointID
	npoints    uint8
}

func (c *connection) seenAt(p packet.PointID) bool {
	for _, q := range c.points[:c.npoints] {
		if p == q {
			return true
		}
	}
	return false
}

// add takes a further sight, or the first one.
func (c *connection) add(r *flow.Record) {
	sent := r.Sent
	repeats := [2]Repeats{repeatsOf(r, flow.Client), repeatsOf(r, flow.Server)}
	times := sampleOf(r)
	packets := sent[flow.Client].Packets + sent[flow.Server].Packets
	first := c.npoints == 0
	if first {
		c.start, c.end = r.Start, r.End
		c.ends, c.direction, c.rtt = r.Ends, r.Direction, tcp.Absent
	}
	if r.Ends[flow.Client] != c.ends[flow.Client] { // the points disagree on the roles
		if r.Direction > c.direction {
			c.ends, c.direction = r.Ends, r.Direction
			c.sent[flow.Client], c.sent[flow.Server] = c.sent[flow.Server], c.sent[flow.Client]
			c.repeats[flow.Client], c.repeats[flow.Server] = c.repeats[flow.Server], c.repeats[flow.Client]
			c.times.swap()
		} else {
			sent[flow.Client], sent[flow.Server] = sent[flow.Server], sent[flow.Client]
			repeats[flow.Client], repeats[flow.Server] = repeats[flow.Server], repeats[flow.Client]
			times.swap()
		}
	}
	c.direction = max(c.direction, r.Direction)
	c.start, c.end = min(c.start, r.Start), max(c.end, r.End)
	for side := range sent {
		if first || sent[side].Bytes > c.sent[side].Bytes {
			c.sent[side], c.repeats[side] = sent[side], repeats[side]
		}
	}
	if times.better(&c.times) {
		c.times = times
	}
	if r.Outcome != flow.OutcomeNone && packets > c.witness {
		c.outcome, c.witness = r.Outcome, packets
	}
	if c.rtt == tcp.Absent && r.HasHandshake && r.Handshake.State == tcp.Measured {
		c.rtt = r.Handshake.RTT
	}
	if c.npoints < joinPoints {
		c.points[c.npoints] = r.Point
		c.npoints++
	}
}

// pending is a ring of connections, oldest first, numbered from 0 on.
type pending struct {
	limit       int
	ring        []connection
	first, next uint64           // numbers of the oldest and of the next one to come
	newest      map[tuple]uint64 // number of the last one with that tuple
	point       packet.PointID   // of the first record
	several     bool             // some record came from another point
	buckets     int              // of the distributions of those that wait
	left        int64            // connections that left before the end
	cut         int64            // searches that maxSameEnds ended
}

func newPending(limit int) pending {
	return pending{limit: max(limit, 1), newest: map[tuple]uint64{}}
}

func (p *pending) empty() bool { return p.next == p.first }
func (p *pending) full() bool {
	return p.next-p.first == uint64(p.limit) || p.buckets > maxBucketsPending
}

func (p *pending) unjudged() int64 {
	if !p.several {
		return 0 // no second sight, nothing to judge
	}
	return p.left + p.cut
}

func (p *pending) at(number uint64) *connection { return &p.ring[number%uint64(p.limit)] }

// join adds a record to a connection that waits, and tells whether there was
// one.
func (p *pending) join(r *flow.Record) bool {
	if p.next == 0 {
		p.point = r.Point
	}
	p.several = p.several || r.Point != p.point
	if !p.several {
		return false
	}
	number, ok := p.newest[tupleOf(r)]
	var best *connection
	var bestGap uint64
	for range maxSameEnds {
		if !ok {
			break
		}
		c := p.at(number)
		if !c.seenAt(r.Point) && overlap(c, r) {
			if gap := distance(c.start, r.Start); best == nil || gap < bestGap {
				best, bestGap = c, gap
			}
		}
		number, ok = c.older-1, c.older > p.first
	}
	if best == nil {
		if ok {
			p.cut++
		}
		return false
	}
	p.buckets -= best.times.weight
	best.add(r)
	p.buckets += best.times.weight
	return true
}

// overlap tells whether the lives of both have a moment in common, give or take
// joinWindow. Times are hostile, so the window is compared with a distance
// instead of being added.
func overlap(c *connection, r *flow.Record) bool {
	return (c.end >= r.Start || distance(c.end, r.Start) <= joinWindow) && (r.End >= c.start || distance(r.End, c.start) <= joinWindow)
}

func distance(a, b int64) uint64 {
	if a < b {
		a, b = b, a
	}
	return uint64(a) - uint64(b)
}

// push adds a new connection. There must be room.
func (p *pending) push(r *flow.Record) {
	t := tupleOf(r)
	c := connection{tuple: t}
	if number, ok := p.newest[t]; ok {
		c.older = number + 1
	}
	c.add(r)
	p.buckets += c.times.weight
	p.newest[t] = p.next
	if len(p.ring) < p.limit {
		p.ring = append(p.ring, c)
	} else {
		*p.at(p.next) = c
	}
	p.next++
}

// pop forgets the oldest and lends it until the next push.
func (p *pending) pop() *connection {
	c := p.at(p.first)
	if p.newest[c.tuple] == p.first {
		delete(p.newest, c.tuple)
	}
	p.buckets -= c.times.weight
	p.first++
	return c
}
