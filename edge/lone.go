package edge

import (
	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/tcp"
)

// A conversation of one connection that is one SYN is kept in its entry alone: a
// flood makes a conversation of each packet.

// AddLones is Add for what is small of the records.
func (t *Table) AddLones(list []*flow.Lone) {
	x := &t.summary.conversations.index
	for len(list) > 0 {
		some := list[:min(len(list), aheadLen)]
		list = list[len(some):]
		for i, l := range some {
			t.ahead[i] = x.hash(t.keys[i].ofLone(l))
			x.prefetch(t.ahead[i])
		}
		for i, l := range some {
			t.addLone(l, &t.keys[i], t.ahead[i])
		}
	}
}

// ofLone makes it that of a connection.
func (k *Key) ofLone(l *flow.Lone) *Key {
	*k = Key{Network: l.Network(), HasPort: true, Proto: packet.ProtoTCP}
	k.Client, _ = l.Client()
	k.Server, k.Port = l.Server()
	return k
}

// addLone adds one whose key has a hash.
func (t *Table) addLone(l *flow.Lone, key *Key, hash uint64) {
	s := &t.summary
	s.until = max(s.until, l.Start())
	into := s.conversations.lookUp(key, hash)
	x := attemptOf{start: l.Start(), bytes: l.Bytes(), point: l.Point(), outcome: l.Outcome()}
	switch {
	case into == nil:
		if s.conversations.n >= t.config.Conversations {
			t.halve()
		}
		s.conversations.add(key, hash).setLone(&x)
	case into.whole != 0:
		into.bytes += x.bytes
		into.seen(x.point)
		if failed(x.outcome) {
			into.traits |= suspect
		}
		s.conversations.whole[into.whole-1].addLone(&x)
	default:
		t.one.lone(key, &x)
		s.conversations.fold(into, &t.one)
	}
}

// attemptOf is what a conversation takes of a connection that is one SYN.
type attemptOf struct {
	start   int64
	bytes   int64
	point   packet.PointID
	outcome flow.Outcome
}

// setLone has an empty entry keep one, and nothing else.
func (e *entry) setLone(x *attemptOf) {
	e.bytes, e.point = x.bytes, x.point
	e.first, e.last = uint32(x.start), uint32(x.start>>32)
	e.fill, e.packed = uint8(x.outcome), 1
	e.traits = lone | located
	if failed(x.outcome) {
		e.traits |= suspect | tried
	}
}

// getLone gives what setLone has kept.
func (e *entry) getLone() attemptOf {
	return attemptOf{int64(e.last)<<32 | int64(e.first), e.bytes, e.point, flow.Outcome(e.fill)}
}

// packLone makes an entry that keeps one as all others are that are packed.
func (s *store) packLone(e *entry) {
	x := e.getLone()
	e.traits &^= lone
	e.first, e.last, e.fill, e.packed = 0, 0, 0, 0
	var c connection
	c.lone(&e.Key, &x)
	s.pack(e, &c)
}

// lone makes c what single makes of the whole record.
func (c *connection) lone(key *Key, x *attemptOf) {
	*c = connection{key: *key, start: x.start, end: x.start, outcome: x.outcome, rtt: tcp.Absent, points: append(c.points[:0], x.point)}
	c.sent[flow.Client] = flow.Volume{Packets: 1, Bytes: x.bytes}
	c.repeats[flow.Client].Connections = 1
	c.recorded[flow.Client] = flow.RecordedLone
	c.talk = talk{
		Report: session.Report{Phases: &session.Phases{}}, pace: pace{repeats: true}, ending: endingUnknown, waited: 0, bare: attempt(x.outcome), point: x.point,
	}
}

// addLone is add for one.
func (v *Conversation) addLone(x *attemptOf) {
	sent := [2]flow.Volume{flow.Client: {Packets: 1, Bytes: x.bytes}}
	points := [1]packet.PointID{x.point}
	v.grow(1, x.start, x.start, &sent, points[:])
	v.Outcomes[x.outcome]++
	v.Repeats[flow.Client].Connections++
	v.Recorded[flow.Client] += flow.RecordedLone
	if attempt(x.outcome) {
		v.Unasked++ // it is over before anything was asked
	} else {
		v.Waiting.Connections++
	}
}
