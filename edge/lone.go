package edge

import (
	"encoding/binary"

	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/tcp"
)

// A conversation of one connection that is one SYN is kept in its entry alone: a
// flood makes a conversation of each packet.

// AddLones is Add for what is small of the records.
func (t *Table) AddLones(list []*flow.Lone) {
	for len(list) > 0 {
		some := list[:min(len(list), aheadLen)]
		list = list[len(some):]
		t.hashLones(some)
		for i, l := range some {
			t.addLone(l, t.ahead[i])
		}
	}
}

// hashLones hashes the keys of at most aheadLen, and has their places in the index
// loaded.
func (t *Table) hashLones(some []*flow.Lone) {
	x := &t.summary.conversations.index
	slots, mask, touched := x.slots, x.mask(), uint64(0)
	for i, l := range some {
		client, server := l.Hosts()
		_, port := l.Server()
		h := x.hash5(0, client, 0, server, uint64(l.Network())<<32|uint64(port)<<16|1<<8|packet.ProtoTCP)
		t.ahead[i] = h
		if place := uint64(h) & mask; place < uint64(len(slots)) {
			touched |= slots[place]
		}
	}
	t.touched = touched
}

// ofLone makes it that of a connection.
func (k *Key) ofLone(l *flow.Lone) {
	client, server := l.Hosts()
	k.Network, k.HasPort, k.Proto = l.Network(), true, packet.ProtoTCP
	_, k.Port = l.Server()
	le := binary.LittleEndian
	le.PutUint64(k.Client[:8], 0)
	le.PutUint64(k.Client[8:], client)
	le.PutUint64(k.Server[:8], 0)
	le.PutUint64(k.Server[8:], server)
}

// addLone adds one whose key has a hash.
func (t *Table) addLone(l *flow.Lone, hash uint32) {
	x := &t.summary.conversations
	t.summary.until = max(t.summary.until, l.Start())
	slots := x.index.slots
	i := x.index.place(hash)
	for ; i < uint64(len(slots)) && slots[i] != 0; i = (i + 1) & x.index.mask() {
		if uint32(slots[i]>>32) == hash {
			var key Key
			key.ofLone(l)
			if e := x.at(int(uint32(slots[i])) - 1); e.Key == key {
				t.addLoneTo(e, l)
				return
			}
		}
	}
	if x.n >= t.config.Conversations || x.full() {
		if x.n >= t.config.Conversations {
			t.halve()
		}
		if x.full() {
			x.grow()
		}
		slots = x.index.slots
		i = x.index.free(hash)
	}
	x.n++
	slots[i] = uint64(hash)<<32 | uint64(x.n)
	e := x.at(x.n - 1)
	e.ofLone(l)
	e.hash = hash
	e.setLone(&attemptOf{start: l.Start(), bytes: l.Bytes(), point: l.Point(), outcome: l.Outcome()})
}

// addLoneTo adds one to its conversation.
func (t *Table) addLoneTo(e *entry, l *flow.Lone) {
	s := &t.summary.conversations
	x := attemptOf{start: l.Start(), bytes: l.Bytes(), point: l.Point(), outcome: l.Outcome()}
	if e.whole == 0 {
		t.one.lone(&e.Key, &x)
		s.fold(e, &t.one)
		return
	}
	e.bytes += x.bytes
	e.seen(x.point)
	if failed(x.outcome) {
		e.traits |= suspect
	}
	s.whole[e.whole-1].addLone(&x)
}

// attemptOf is what a conversation takes of a connection that is one SYN.
type attemptOf struct {
	start   int64
	bytes   int64
	point   packet.PointID
	outcome flow.Outcome
}

// setLone has an entry keep one beside its key, and nothing else.
func (e *entry) setLone(x *attemptOf) {
	e.bytes, e.point = x.bytes, x.point
	e.first, e.last = uint32(x.start), uint32(x.start>>32)
	e.whole, e.names = 0, 0
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
	if e.traits&lone == 0 {
		return
	}
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
