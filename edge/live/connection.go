package live

import (
	"mirrorscope/dnsmeta"
	"mirrorscope/edge"
	"mirrorscope/flow"
	"mirrorscope/httpmeta"
	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/tcp"
)

// What is counted of each direction.
const (
	packets = iota
	octets
	payload
	recorded // octets of TCP's sequence space, repeats once
	missed
	repeats // packets
	repeatOctets
	closedFor // ns for which the sender kept its own window closed
	numCounts
)

type counts [numCounts]int64

func (c *counts) recorded() edge.Recorded {
	return edge.Recorded{Octets: c[recorded], Payload: c[payload], Packets: c[packets]}
}

func (c *counts) add(o *counts) {
	for i := range c {
		c[i] += o[i]
	}
}

func (c *counts) minus(o *counts) (d counts) {
	for i := range c {
		d[i] = c[i] - o[i]
	}
	return d
}

// countsOf are those of one side of an interval record.
func countsOf(r *flow.Record, side flow.Side) counts {
	v, x := &r.Sent[side], &r.TCP.Sides[side]
	return counts{v.Packets, v.Bytes, v.PayloadBytes, x.Recorded, x.Missed, x.Retransmits.Packets, x.Retransmits.Bytes, x.ZeroWindow.Time}
}

// connection is one that is followed, at all points that record it.
type connection struct {
	key          edge.Tuple
	hash, number uint32
	next         uint32 // in its list of followed; 0: it is the last one
	resting      bool   // that list is followed.resting
	hasPorts     bool
	sights       []sight
	joint        *joint    // once there are several sights
	names        [2]string // by direction, who sends; "" not known

	counted     *conversation // in which it counts as a connection, …
	life        uint32        // … unless that has become another one: then in Other; …
	step        int64         // … and in which step
	generations uint32
	pending     bool           // there are records that are not folded
	over        bool           // its flow has ended
	spoken      bool           // HTTP or DNS: a turn is no request of its own
	greeted     bool           // the TCP handshake of this generation counts already
	secured     bool           // … that of TLS
	heard       bool           // talker is known
	talker      packet.PointID // what the ends say counts as this point heard it
}

// joint is what several sights told of a generation, by direction.
type joint struct {
	sights  [maxSights][2]counts
	counted [2]counts
}

// maxSights bounds the points of one connection. What further ones record of it
// is the same again.
const maxSights = 8

// sight is a connection at one point.
type sight struct {
	point       packet.PointID
	id          uint64    // of the flow: another one of the same 5-tuple is a new generation
	told        [2]counts // by this generation, by direction …
	partial     bool      // … but for what it told before it was followed
	generations uint32    // so far
	client      int       // direction in which the client sends
	sent        [2]counts // in the running step, by direction
	repeats     [2]tcp.State
	source      flow.DirectionSource
	active      bool   // there are records in the running step
	opened      uint32 // … and of beginnings
	first, last int64  // … from and to when there were packets
	heard       []heard
}

// heard is what a record tells beside its counts.
type heard struct {
	client           int   // direction
	handshake        int64 // round trip, ns; tcp.Absent where not measured
	times            *tcp.Distributions
	few              tcp.Samples // where there are no distributions
	atMost, doubtful bool        // of the response times
	turns, measured  int64
	tls              *session.TLS
	http             *httpmeta.Info
	dns              *dnsmeta.Info
}

// sight gives that of a point, nil where there are too many.
func (c *connection) sight(point packet.PointID) *sight {
	for i := range c.sights {
		if c.sights[i].point == point {
			return &c.sights[i]
		}
	}
	if len(c.sights) >= maxSights {
		return nil
	}
	n := len(c.sights)
	if n == cap(c.sights) {
		c.sights = append(c.sights, sight{point: point})
		return &c.sights[n]
	}
	c.sights = c.sights[:n+1]
	s := &c.sights[n]
	*s = sight{point: point, heard: s.heard[:0]}
	return s
}

// renew makes c one that is not known yet, with the memory of what it was.
func (c *connection) renew(k *edge.Tuple) *connection {
	*c = connection{key: *k, sights: c.sights[:0]}
	return c
}

// succeeds tells whether a record is of a later generation than one that is not
// folded.
func (c *connection) succeeds(r *flow.Record) bool {
	for i := range c.sights {
		if s := &c.sights[i]; s.point == r.Point {
			return s.active && s.id != r.ID
		}
	}
	return false
}

// add takes an interval record. Its counts are changes by role: where the roles
// are others than before, to what was told in the other role. follows is false
// where that is not known, and nothing is counted.
func (c *connection) add(r *flow.Record) (follows bool) {
	s := c.sight(r.Point)
	if s == nil {
		return true
	}
	client := c.key.Client(r)
	whole := r.Start >= r.IntervalStart-early // nothing was told before
	follows = true
	if s.generations == 0 || s.id != r.ID {
		s.id, s.client = r.ID, client
		s.told, s.partial = [2]counts{}, !whole
		s.generations++
		if whole && (r.Proto != packet.ProtoTCP || r.Direction >= flow.DirSYNACK) {
			s.opened++
		}
		follows = whole || r.Sent[0].Packets >= 0 && r.Sent[1].Packets >= 0
	} else if s.client != client {
		follows = !s.partial
	}
	was := s.told
	for role := range r.Sent {
		change := countsOf(r, flow.Side(role))
		change.add(&was[s.client^role])
		s.told[client^role] = change
	}
	s.client = client
	for dir := range s.sent {
		if follows {
			change := s.told[dir].minus(&was[dir])
			s.sent[dir].add(&change)
		}
		s.repeats[dir] = r.TCP.Sides[client^dir].Retransmits.State
	}
	if !s.active {
		s.active, s.source = true, r.Direction
		s.first, s.last = max(r.Start, r.IntervalStart), r.End
	}
	s.source = max(s.source, r.Direction)
	s.first, s.last = min(s.first, max(r.Start, r.IntervalStart)), max(s.last, r.End)
	c.over = false
	c.hasPorts = r.Ends[flow.Server].HasPort
	for role := range r.Ends {
		if name := r.Ends[role].Name; name != "" {
			c.names[client^role] = name
		}
	}
	h := heard{client: client, handshake: tcp.Absent, times: r.Distributions, few: r.Samples, tls: r.TLS, http: r.HTTP, dns: r.DNS}
	if r.HasHandshake && r.Handshake.State == tcp.Measured {
		h.handshake = r.Handshake.RTT
	}
	if r.HasTCP {
		x := &r.TCP.Response
		h.turns, h.measured, h.atMost, h.doubtful = x.Turns, x.Measured, x.State == tcp.Bounded, x.State == tcp.Ambiguous
	}
	if h != (heard{client: client, handshake: tcp.Absent, atMost: h.atMost, doubtful: h.doubtful}) {
		s.heard = append(s.heard, h)
	}
	return follows
}

// early is how much earlier than its interval a connection may seem to begin,
// when packets come out of order.
const early = 1e9

// where is the conversation in which a connection counts when its client sends
// in a direction.
func (c *connection) where(client int) edge.Key {
	k := edge.Key{Network: c.key.Network, Client: c.key.A, Server: c.key.B, Port: c.key.PortB, HasPort: c.hasPorts, Proto: c.key.Proto}
	if client == 1 {
		k.Client, k.Server, k.Port = c.key.B, c.key.A, c.key.PortA
	}
	return k
}
