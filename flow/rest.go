package flow

import (
	"math/bits"
	"unsafe"

	"mirrorscope/pool"
	"mirrorscope/session"
	"mirrorscope/tcp"
)

// rested is a flow at rest, which waits for its next packet or for its end: all
// that it is, packed, in a few cache lines, and what the wheels ask for. Whatever
// touches it wakes it first: then it is the flow that it was, to the last bit.
// So a record does not depend on whether its flow ever rested.
//
// It takes along its session, first samples and times that wait. What else it has
// in pools stays there.
type rested struct {
	seen  int64
	start int64
	slot  uint16
	class class
	units uint8  // that it takes when packed …
	at    uint32 // … in slab.beds
}

const (
	fewAwake  = 512         // flows of a table that are let alone
	longIdle  = 5e9         // ns of silence after which others rest
	eachRound = 1e9         // ns from one look at all to the next
	maxLines  = 5           // of 64 octets; a flow that would need more does not rest
	perRested = 24 + 8 + 40 // octets, with link and slot in the index, and what others leave between them; and its lines
	flowWords = int(unsafe.Sizeof(Flow{}) / 8)
)

// beside is what a flow at rest takes along.
type beside struct {
	session session.Session
	tcp     tcp.Beside
}

// besideWords is room for beside, a multiple of what pool.Pack takes at a time.
const besideWords = int(unsafe.Sizeof(beside{})+63) / 64 * 8

// packedMax is as long as a packed flow can get, and a line more.
const packedMax = (1+8*67+8)*2 + 64

// bed is what a table needs to put flows to rest, and to wake them.
type bed struct {
	awake  int   // so many flows are let alone
	idle   int64 // ns of silence after which others rest
	hand   uint32
	round  int64 // when the next look at all may begin, of the input's clock
	always bool  // flows rest whenever they can: for comparison
	flow   Flow  // that was woken to end
	packed [packedMax]byte
	words  [besideWords]uint64
}

func (b *bed) beside() *beside { return (*beside)(unsafe.Pointer(&b.words)) }

func (f *Flow) words() *[flowWords]uint64 { return (*[flowWords]uint64)(unsafe.Pointer(f)) }

// settle lets a flow rest behind its packet if there is little to come: what has
// closed lingers for stragglers. A table that is small has no need of it.
func (t *Table) settle(n uint32, f *Flow) {
	if f.class == linger && t.flows.live > t.bed.awake || t.bed.always {
		t.rest(n, f)
	}
}

// rest puts a flow to rest, if nothing speaks against it.
func (t *Table) rest(n uint32, f *Flow) {
	if f.snapshot != 0 || t.watcher != nil || t.flows.resting.live >= maxNumbers || len(t.candidates)+len(t.earlier) > 0 && t.remembered(n) {
		return
	}
	b, head, key := &t.bed, rested{seen: f.seen, start: f.start, slot: f.slot, class: f.class}, f.key
	t.lay(f)
	size := pool.Pack(b.packed[:], f.words()[:])
	size += pool.Pack(b.packed[size:], b.words[:])
	if size > maxLines*lineLen {
		t.raise(f, &head)
		return
	}
	t.flows.tuckIn(&head, b.packed[:], size)
	m := t.flows.resting.get() | isResting
	*t.flows.rested(m) = head
	f.slot = head.slot // its place in the wheel, once more
	f.class = ended    // for restIdle
	t.wheels[head.class].replace(n, m, &t.flows)
	t.index.replace(t.secret.hash(&key), n, m)
	t.flows.put(n)
}

// restIdle looks at the next few flows, around and around, and puts those to rest
// that have been silent for long. It comes every checkEvery packets.
func (t *Table) restIdle() {
	b, s := &t.bed, &t.flows
	if s.live <= b.awake || b.hand == 0 && t.now < b.round {
		return
	}
	if b.hand == 0 {
		b.round = t.now + eachRound
	}
	for range min(checkEvery, s.n) {
		if b.hand++; b.hand >= s.n {
			b.hand = 0
		}
		if f := s.at(b.hand); f.class < numClasses && t.now-f.seen > b.idle {
			t.rest(b.hand, f)
		}
		if b.hand == 0 {
			return
		}
	}
}

// remembered tells whether something outside of a flow knows its number.
func (t *Table) remembered(n uint32) bool {
	_, candidate := t.candidates[n]
	_, earlier := t.earlier[n]
	return candidate || earlier
}

// lay makes f small numbers, but for what rested keeps, and takes out of the
// pools what goes along.
func (t *Table) lay(f *Flow) {
	b := t.bed.beside()
	*b = beside{}
	reqEnd, reqAt := f.tcp.Request()
	f.session = t.sessions.Rest(f.session, &b.session, f.last, reqEnd, reqAt)
	t.tcp.Rest(&f.tcp, &b.tcp, f.last, f.seen)
	f.near()
	h := &f.handshake
	h.RTT -= h.Client + h.Server
	f.halves()
	f.seen = int64(pool.Below(uint64(f.last), uint64(f.seen))) // where nothing else is
	f.start, f.last = 0, 0
	f.slot, f.class = 0, 0
	f.mix()
	w := f.words()
	w[addrA], w[addrB] = turned(w[addrA]), turned(w[addrB])
	w[7] = bits.RotateLeft64(w[7], -24)
	w[stateWord] &^= 0xffff_ff00 // padding
}

// raise is the reverse of lay.
func (t *Table) raise(f *Flow, r *rested) {
	w := f.words()
	w[addrA], w[addrB] = turned(w[addrA]), turned(w[addrB])
	w[7] = bits.RotateLeft64(w[7], 24)
	f.mix()
	f.last = int64(pool.Below(uint64(f.seen), uint64(r.seen)))
	f.start, f.seen, f.slot, f.class = r.start, r.seen, r.slot, r.class
	f.halves()
	h := &f.handshake
	h.RTT += h.Client + h.Server
	f.near()
	b := t.bed.beside()
	t.tcp.Wake(&f.tcp, &b.tcp, f.last, f.seen)
	reqEnd, reqAt := f.tcp.Request()
	f.session = t.sessions.Wake(f.session, &b.session, f.last, reqEnd, reqAt)
}

// near tells the identifications and the durations of the handshake by what
// equals them as a rule; and back.
func (f *Flow) near() {
	f.ipid[0] ^= f.tcp.HighestID(0)
	f.ipid[1] ^= f.tcp.HighestID(1)
	f.handshake.Connect ^= f.handshake.Setup
}

// halves does that for the halves of the path.
func (f *Flow) halves() {
	client := int(f.role.client & 1)
	f.handshake.Client ^= f.tcp.HandshakeHalf(1 - client)
	f.handshake.Server ^= f.tcp.HandshakeHalf(client)
}

// mix puts together what is small; and back.
func (f *Flow) mix() {
	pool.Mix((*uint32)(&f.key.Point), (*uint32)(&f.key.Network))
	pool.Mix(&f.sent[0].packets, &f.sent[0].bytes)
	pool.Mix(&f.sent[0].payload, &f.sent[1].packets)
	pool.Mix(&f.sent[1].bytes, &f.sent[1].payload)
	pool.Mix(&f.opening, &f.session)
	pool.Mix(&f.handshake.SYNs, &f.handshake.SYNACKs)
	w := f.words()
	w[pathWord] = bits.RotateLeft64(w[pathWord], 32)
}

// Words of a flow at rest.
const (
	addrA     = 1 // lower half of Key.A
	addrB     = 3
	stateWord = int(unsafe.Offsetof(Flow{}.handshake) / 8)
	pathWord  = int(unsafe.Offsetof(Flow{}.path) / 8)
)

// turned makes the lower half of an IPv4 address a small number; and back.
func turned(w uint64) uint64 { return bits.RotateLeft64(w, 32) ^ (mapped<<32 | mapped) }

// wake makes what is no flow, n, one again, or for the first time. It stays in
// its place of the wheel.
func (t *Table) wake(n uint32) uint32 {
	if n&isEmbryo != 0 {
		return t.hatch(n, true)
	}
	for t.full(t.perFlow - t.flows.rested(n).octets()) {
		victim := t.victim()
		if victim == n {
			t.crowded = true
			break // it is the next to go, anyway
		}
		t.end(victim, t.now, EndLackOfResources)
	}
	m := t.flows.get()
	f := t.flows.at(m)
	t.lift(n, f)
	t.wheels[f.class].replace(n, m, &t.flows)
	t.index.replace(t.secret.hash(&f.key), n, m)
	t.flows.put(n)
	return m
}

// lift makes f the flow that rests as n, of which the head is left.
func (t *Table) lift(n uint32, f *Flow) {
	r, b := t.flows.rested(n), &t.bed
	copy(b.packed[:], t.flows.packed(r))
	t.flows.getUp(r)
	size := pool.Unpack(b.packed[:], f.words()[:])
	pool.Unpack(b.packed[size:], b.words[:])
	t.raise(f, r)
}

// ending gives a flow to end, with the number that it has.
func (t *Table) ending(n uint32) *Flow {
	switch {
	case !asleep(n):
		return t.flows.at(n)
	case n&isEmbryo != 0:
		var scratch embryo
		if t.relive(t.embryo(n, &scratch), &t.bed.flow); !t.toldOf(n) {
			t.bed.flow.snapshot &^= unlisted
		}
	default:
		t.lift(n, &t.bed.flow)
	}
	return &t.bed.flow
}

// lineLen is what the memory of flows at rest is counted in.
const lineLen = 64

func (r *rested) lines() int { return (int(r.units)*pool.Unit + lineLen - 1) / lineLen }

func (r *rested) octets() int64 { return perRested + int64(r.lines())*lineLen }

func (s *slab) rested(n uint32) *rested { return s.resting.at(n &^ isResting) }

// packed is a flow at rest.
func (s *slab) packed(r *rested) []byte {
	return unsafe.Slice((*byte)(s.beds.At(r.at)), int(r.units)*pool.Unit)
}

// tuckIn keeps a flow that is packed in so many octets. Behind these, packed has a unit more, of
// anything.
func (s *slab) tuckIn(r *rested, packed []byte, octets int) {
	r.units = uint8((octets + pool.Unit - 1) / pool.Unit)
	r.at = s.beds.Get(int(r.units))
	copy(s.packed(r), packed)
	s.restLines += r.lines()
}

// getUp gives back what tuckIn has taken.
func (s *slab) getUp(r *rested) {
	s.beds.Put(r.at, int(r.units))
	s.restLines -= r.lines()
}

// has tells whether n, which is asleep, has a key.
func (s *slab) has(n uint32, k *Key) bool {
	if seedling(n) {
		e := s.seeds.key(s.seeds.at(n))
		return e.equal(k)
	}
	if n&isEmbryo != 0 {
		return s.embryo(n).has(k)
	}
	var key Key
	s.outline(n, &key)
	return key.equal(k)
}

// outline unpacks the key of a flow at rest.
func (s *slab) outline(n uint32, key *Key) {
	var packed [2 * lineLen]byte
	var w [8]uint64
	copy(packed[:], s.packed(s.rested(n)))
	pool.Unpack(packed[:], w[:])
	w[addrA], w[addrB] = turned(w[addrA]), turned(w[addrB])
	*key = *(*Key)(unsafe.Pointer(&w))
	pool.Mix((*uint32)(&key.Point), (*uint32)(&key.Network))
}

// prefetchMore begins to load what an embryo, or a flow at rest, holds beside
// what prefetch has loaded.
func (s *slab) prefetchMore(n uint32) {
	switch {
	case !asleep(n), seedling(n):
	case n&isEmbryo != 0:
		if e := s.embryo(n); e.grown() {
			pool.Prefetch(unsafe.Pointer(s.youth(e.behind)), (youthUnits(e.behind)*pool.Unit+63)/64)
		}
	default:
		s.prefetchLines(n)
	}
}

// prefetchLines begins to load what a flow at rest holds.
func (s *slab) prefetchLines(n uint32) {
	r := s.rested(n)
	at := s.beds.At(r.at)
	pool.Prefetch(at, (int(uintptr(at)%lineLen)+int(r.units)*pool.Unit+lineLen-1)/lineLen)
}

// restOctets is what all flows at rest take.
func (s *slab) restOctets() int64 {
	return int64(s.resting.live)*perRested + int64(s.restLines)*lineLen
}
