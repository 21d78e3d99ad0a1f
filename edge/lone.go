package edge

import (
	"encoding/binary"

	"mirrorscope/flow"
	"mirrorscope/index"
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
		for i := t.sow(some, 0); i < len(some); i = t.sow(some, i+1) {
			t.addLone(some[i], t.ahead[i])
		}
	}
}

// hashLones hashes the keys of at most aheadLen, and has their places in the index
// loaded. It is Key.Hash of addresses that begin with eight octets of 0.
func (t *Table) hashLones(some []*flow.Lone) {
	x := &t.summary.conversations.index
	slots, mask, touched := x.Slots, x.Mask(), uint64(0)
	s0, s1, s2, s3 := x.Seed[0], x.Seed[1], x.Seed[2], x.Seed[3]
	for i, l := range some {
		client, server := l.Hosts()
		ports := uint64(l.Network())<<32 | uint64(l.ServerPort())<<16 | 1<<8 | packet.ProtoTCP
		client, server = index.Mix(s0, client^s1), index.Mix(s2, server^s3)
		h := uint32(index.Mix(index.Mix(client^s3, server^s0), ports^s1))
		t.ahead[i%aheadLen] = h
		if place := uint64(h) & mask; place < uint64(len(slots)) {
			touched |= slots[place]
		}
	}
	t.touched = touched
}

// sow makes new entries of those from number i on, whose hashes are ahead, and gives
// the number of the first one for which that is not all there is to do: its hash is
// known, or there is no room. There is no call in it, as it is all that most packets of
// a flood come to here.
func (t *Table) sow(some []*flow.Lone, i int) int {
	x := &t.summary.conversations
	slots, room := x.index.Slots, min(t.config.Conversations, len(x.pages)*pageLen, len(x.index.Slots)/2)
	mask, n, until := uint64(len(slots)-1), x.n, t.summary.until
	for ; i < len(some) && n < room; i++ {
		l, h := some[i], t.ahead[i%aheadLen]
		place := uint64(h) & mask
		for place < uint64(len(slots)) && slots[place] != 0 && uint32(slots[place]>>32) != h {
			place = (place + 1) & mask
		}
		if place >= uint64(len(slots)) || slots[place] != 0 {
			break
		}
		p := x.pages[uint(n)/pageLen]
		e := p.at(n)
		p.bytes[uint(n)%pageLen], e.number = l.Bytes(), uint32(n)
		n++
		slots[place] = uint64(h)<<32 | uint64(n)
		until = max(until, l.Start())
		e.Key.ofLone(l)
		e.hash = h
		e.setLone(l)
	}
	x.n, t.summary.until = n, until
	return i
}

// addLone adds one whose key has a hash.
func (t *Table) addLone(l *flow.Lone, hash uint32) {
	s := &t.summary.conversations
	t.summary.until = max(t.summary.until, l.Start())
	var key Key
	key.ofLone(l)
	e := t.entry(&key, hash)
	if e.packed == 0 && e.whole == 0 {
		*s.bytes(int(e.number)) = l.Bytes()
		e.setLone(l)
		return
	}
	x := attemptOf{start: l.Start(), bytes: l.Bytes(), point: l.Point(), outcome: l.Outcome()}
	if e.whole == 0 {
		t.one.lone(&key, &x)
		s.fold(e, &t.one)
		return
	}
	*s.bytes(int(e.number)) += x.bytes
	e.seen(x.point)
	if failed(x.outcome) {
		e.traits |= suspect
	}
	s.whole[e.whole-1].addLone(&x)
}

// ofLone makes it that of a connection.
func (k *Key) ofLone(l *flow.Lone) {
	k.Network, k.HasPort, k.Proto, k.Port = l.Network(), true, packet.ProtoTCP, l.ServerPort()
	client, server := l.Hosts()
	k.Client, k.Server = packet.Addr{}, packet.Addr{}
	binary.LittleEndian.PutUint64(k.Client[8:], client)
	binary.LittleEndian.PutUint64(k.Server[8:], server)
}

// attemptOf is what a conversation takes of a connection that is one SYN.
type attemptOf struct {
	start   int64
	bytes   int64
	point   packet.PointID
	outcome flow.Outcome
}

// setLone has an entry keep one beside its key and its octets, and nothing else.
func (e *entry) setLone(l *flow.Lone) {
	start, outcome := l.Start(), l.Outcome()
	e.point = l.Point()
	e.first, e.last, e.whole, e.names = uint32(start), uint32(start>>32), 0, 0
	e.fill, e.packed, e.traits = uint8(outcome), 1, lone|located|failedTraits[outcome%flow.NumOutcomes]
}

// failedTraits are those of a connection that is one SYN, by its outcome.
var failedTraits = func() (t [flow.NumOutcomes]traits) {
	for o := range t {
		if failed(flow.Outcome(o)) {
			t[o] = suspect | tried
		}
	}
	return t
}()

// getLone gives what setLone has kept.
func (s *store) getLone(e *entry) attemptOf {
	return attemptOf{int64(e.last)<<32 | int64(e.first), *s.bytes(int(e.number)), e.point, flow.Outcome(e.fill)}
}

// packLone makes an entry that keeps one as all others are that are packed.
func (s *store) packLone(e *entry) {
	if e.traits&lone == 0 {
		return
	}
	x := s.getLone(e)
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

// attempts sums up many.
type attempts struct {
	n, bytes    int64
	first, last int64 // ns since the Unix epoch
	outcomes    [flow.NumOutcomes]int64
	point       packet.PointID // of the latest
}

// add adds one that will be added to v with the others, but for its point: of these, v
// may have no room for all.
func (a *attempts) add(x *attemptOf, v *Conversation) {
	if a.n == 0 || x.point != a.point {
		a.point = x.point
		v.locate(x.point)
	}
	if a.n == 0 {
		a.first, a.last = x.start, x.start
	}
	a.n++
	a.bytes += x.bytes
	a.first, a.last = min(a.first, x.start), max(a.last, x.start)
	a.outcomes[x.outcome]++
}

// addLones adds all of them.
func (v *Conversation) addLones(a *attempts) {
	if a.n == 0 {
		return
	}
	sent := [2]flow.Volume{flow.Client: {Packets: a.n, Bytes: a.bytes}}
	v.grow(a.n, a.first, a.last, &sent, nil)
	v.Repeats[flow.Client].Connections += a.n
	v.Recorded[flow.Client] += flow.RecordedLone * a.n
	for o, n := range a.outcomes {
		v.Outcomes[o] += n
		if attempt(flow.Outcome(o)) {
			v.Unasked += n // it is over before anything was asked
		} else {
			v.Waiting.Connections += n
		}
	}
}

// addLone is add for one.
func (v *Conversation) addLone(x *attemptOf) {
	var a attempts
	a.add(x, v)
	v.addLones(&a)
}
