package edge

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/pool"
	"mirrorscope/session"
)

// Most conversations have one connection or two, on which nothing is heard that
// has a reader, or a handshake of TLS alone, and most numbers of those are small or
// 0. Such a plain connection is kept as it was, packed into some 100 octets: what
// would be sums over one is made when somebody asks. words are its numbers, of
// which each takes as many octets as it needs (pool.Pack).
type words [numWords]uint64

// Of words, eight in a row that are all 0 take no octets: those that rarely are
// something lie together, behind.
const (
	wordMarks = iota // see below
	wordPoint        // the first
	wordStart        // ns since the Unix epoch
	wordSpan         // ns from start to end; may be negative
	wordRTT          // ns, and 1
	wordTurns
	wordRecorded                      // by client, by server
	wordSent       = wordRecorded + 2 // packets, bytes, payload: by client, by server
	wordPhases     = wordSent + 6     // in the order of phases
	wordUnmeasured = wordPhases + 9
	wordMissed     = wordUnmeasured + 1 // by client, by server
	wordRepeats    = wordMissed + 2     // packets, bytes, and how much more payload than was sent: by client, by server
	wordClosed     = wordRepeats + 6    // of pace
	wordFull       = wordClosed + 2
	wordVolume     = wordFull + 2   // how much more than the payload that the server sent
	wordPrelude    = wordVolume + 1 // rare phases
	wordUnknown    = wordPrelude + 1
	numWords       = wordUnknown + 2 // a multiple of 8

	maxPackedPoints = 1<<3 - 1 // beside the first
)

// Bits of wordMarks. What both sides have has the client's first, and below all
// is the outcome.
const (
	markRepeats     = 1 << 4 // are known
	markAtLeast     = 1 << 6
	markResetBy     = 1 << 8
	markForeign     = 1 << 10
	markFromServer  = 1 << 11
	markResetsKnown = 1 << 12
	markBehind      = 1 << 13
	markLeftover    = 1 << 14
	markBare        = 1 << 15
	markPaceRepeats = 1 << 16
	markPhases      = 1 << 17
	markOverlap     = 1 << 18
	markTimes       = 1 << 19
	markAtMost      = 1 << 20
	markDoubtful    = 1 << 21
	markHistogram   = 1 << 22 // there is the first of five; with markTimes and none of them, there are a few samples
	markHistograms  = 31 * markHistogram
	morePoints      = 1 << 27 // how many there are beside the first
	markSecured     = 1 << 30
)

// plain tells whether all of a connection goes into words.
func (c *connection) plain() bool {
	t := &c.talk
	return t.HTTP == nil && t.DNS == nil && !t.mute && len(c.points)-1 <= maxPackedPoints && len(c.points) > 0
}

// suspect tells whether a plain connection may lead to a verdict that points at
// somebody. It may be wrong by saying so, and never by not.
func (c *connection) suspect() bool {
	if failed(c.outcome) || c.missed != [2]int64{} || tlsFailed(c.talk.handshake.outcome) || c.talk.handshake.slow() {
		return true
	}
	for side := range c.repeats {
		if r := &c.repeats[side]; r.Packets|r.Bytes != 0 {
			return true
		}
	}
	if c.times.slowest() >= slowResponse {
		return true
	}
	p := c.talk.Phases
	return p != nil && p.TCP+p.Network+p.Server+p.TLS+p.Request+p.Transfer >= slowWait*max(c.talk.turns, 1)
}

func zigzag(n int64) uint64   { return uint64(n)<<1 ^ uint64(n>>63) }
func unzigzag(u uint64) int64 { return int64(u>>1) ^ -int64(u&1) }

// pack adds a plain connection, without its key and names.
func (c *connection) pack(dst []byte) []byte {
	var w words
	c.words(&w)
	n := len(dst)
	dst = slices.Grow(dst, mostPacked)[:n+mostPacked]
	dst = dst[:n+pool.Pack(dst[n:], w[:])]
	for _, p := range c.points[1:] {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(p))
	}
	if c.talk.handshake.spoken {
		dst = c.talk.handshake.pack(dst, c.talk.point, c.points[0])
	}
	if c.times.few.Len() > 0 {
		return packFew(dst, &c.times.few)
	}
	if c.times.empty() {
		return dst
	}
	for _, h := range c.times.all() {
		if h != nil {
			dst = h.AppendPacked(dst)
		}
	}
	return dst
}

func bit(is bool, bit uint64) uint64 {
	if is {
		return bit
	}
	return 0
}

// marks gives the first word.
func (c *connection) marks() uint64 {
	e, t := &c.ends, &c.talk
	m := uint64(c.outcome) | morePoints*uint64(len(c.points)-1) | bit(t.bare, markBare) | bit(t.handshake.spoken, markSecured) |
		bit(e.Foreign != 0, markForeign) | bit(e.FromServer != 0, markFromServer) | bit(e.ResetsKnown != 0, markResetsKnown) |
		bit(e.ResetsBehind != 0, markBehind) | bit(e.Leftover != 0, markLeftover)
	for side := range uint64(2) {
		m |= markResetBy << side * uint64(e.ResetBy[side])
		if r := &c.repeats[side]; r.Connections != 0 {
			m |= markRepeats<<side | bit(r.AtLeast, markAtLeast<<side)
		}
	}
	if p := t.Phases; p != nil {
		m |= markPhases | bit(p.Overlap, markOverlap) | bit(t.pace.repeats, markPaceRepeats)
	}
	if c.times.empty() {
		return m
	}
	m |= markTimes | bit(c.times.atMost, markAtMost) | bit(c.times.doubtful, markDoubtful)
	if c.times.few.Len() > 0 {
		return m
	}
	for i, h := range c.times.all() {
		m |= bit(h != nil, markHistogram<<i)
	}
	return m
}

func (c *connection) words(w *words) {
	t, r, sent := &c.talk, &c.repeats, &c.sent
	*w = words{
		wordMarks: c.marks(), wordPoint: uint64(c.points[0]), wordStart: uint64(c.start), wordSpan: zigzag(c.end - c.start), wordRTT: uint64(c.rtt + 1),
		wordTurns: uint64(t.turns), wordRecorded: uint64(c.recorded[0]), wordRecorded + 1: uint64(c.recorded[1]),
		wordSent: uint64(sent[0].Packets), wordSent + 1: uint64(sent[0].Bytes), wordSent + 2: uint64(sent[0].PayloadBytes),
		wordSent + 3: uint64(sent[1].Packets), wordSent + 4: uint64(sent[1].Bytes), wordSent + 5: uint64(sent[1].PayloadBytes),
		wordUnmeasured: uint64(t.turns - t.measured), wordMissed: uint64(c.missed[0]), wordMissed + 1: uint64(c.missed[1]),
	}
	for side := range r {
		if r := &r[side]; r.Connections != 0 {
			w := w[wordRepeats+3*side:]
			w[0], w[1], w[2] = uint64(r.Packets), uint64(r.Bytes), zigzag(r.Payload-sent[side].PayloadBytes)
		}
	}
	p := t.Phases
	if p == nil {
		return
	}
	x := &t.pace
	w[wordClosed], w[wordClosed+1], w[wordFull], w[wordFull+1] = uint64(x.closed[0]), uint64(x.closed[1]), uint64(x.full[0]), uint64(x.full[1])
	w[wordVolume] = zigzag(x.volume - sent[flow.Server].PayloadBytes)
	f := (*[9]uint64)(w[wordPhases:])
	f[0], f[1], f[2], f[3], f[4] = uint64(p.TCP), uint64(p.ClientIdle), uint64(p.TLS), uint64(p.Request), uint64(p.Server)
	f[5], f[6], f[7], f[8] = uint64(p.Network), uint64(p.Transfer), uint64(p.Idle), uint64(p.Close)
	w[wordPrelude], w[wordUnknown] = uint64(p.Prelude), uint64(p.Unknown)
}

// mostPacked is the most octets that words take, and what is written and read
// behind them.
var mostPacked = pool.PackedMax(numWords)

// replay makes a connection of its words again, for a moment: it and its memory
// are used for the next.
type replay struct {
	c      connection
	short  brief
	phases session.Phases
	points [1 + maxPackedPoints]packet.PointID
	w      words
}

// add adds the packed connection that b begins with to its conversation, and
// gives what follows it; there must be mostPacked octets behind all of it. sni is
// the name in the handshake, if there was one.
func (x *replay) add(v *Conversation, b []byte, sni string) []byte {
	if b[0]&isBrief != 0 {
		b = x.short.read(b)
		v.addBrief(&x.short)
		return b
	}
	b = b[pool.Unpack(b, x.w[:]):]
	n := int(x.w[wordMarks] / morePoints & maxPackedPoints)
	x.points[0] = packet.PointID(x.w[wordPoint])
	for i := range n {
		x.points[1+i] = packet.PointID(binary.LittleEndian.Uint32(b[4*i:]))
	}
	b = b[4*n:]
	x.connection()
	x.c.points = x.points[:1+n]
	x.c.talk.handshake = handshake{}
	if x.w[wordMarks]&markSecured != 0 {
		x.c.talk.point, b = x.c.talk.handshake.unpack(b, x.points[0], sni)
	}
	v.add(&x.c)
	if marks := x.w[wordMarks]; marks&markTimes != 0 {
		if v.Times == nil {
			v.Times = new(Times)
		}
		all := v.Times.all()
		if marks&markHistograms == 0 {
			b = addFew(&all, b)
		}
		for i, h := range all {
			if marks&(markHistogram<<i) != 0 {
				b = h.MergePacked(b)
				shrink(h)
			}
		}
		v.Times.AtMost = v.Times.AtMost || marks&markAtMost != 0
		v.Times.Doubtful = v.Times.Doubtful || marks&markDoubtful != 0
	}
	return b
}

// connection makes all of it but the distributions.
func (x *replay) connection() {
	w, c := &x.w, &x.c
	marks := w[wordMarks]
	is := func(bit uint64) bool { return marks&bit != 0 }
	one := func(bit uint64) int64 { return int64(marks & bit >> bits.TrailingZeros64(bit)) }
	c.start, c.outcome, c.rtt = int64(w[wordStart]), flow.Outcome(marks&0xf), int64(w[wordRTT])-1
	c.end = c.start + unzigzag(w[wordSpan])
	for side := range uint64(2) {
		s := &c.sent[side]
		s.Packets, s.Bytes, s.PayloadBytes = int64(w[wordSent+3*side]), int64(w[wordSent+3*side+1]), int64(w[wordSent+3*side+2])
		c.recorded[side], c.missed[side] = int64(w[wordRecorded+side]), int64(w[wordMissed+side])
		c.repeats[side] = Repeats{}
		if is(markRepeats << side) {
			c.repeats[side] = Repeats{
				Connections: 1, Packets: int64(w[wordRepeats+3*side]), Bytes: int64(w[wordRepeats+3*side+1]),
				Payload: unzigzag(w[wordRepeats+3*side+2]) + s.PayloadBytes, AtLeast: is(markAtLeast << side),
			}
		}
	}
	c.ends = Ends{
		ResetBy: [2]int64{one(markResetBy), one(markResetBy << 1)}, Foreign: one(markForeign), FromServer: one(markFromServer),
		ResetsKnown: one(markResetsKnown), ResetsBehind: one(markBehind), Leftover: one(markLeftover),
	}
	t := &c.talk
	t.bare, t.turns = is(markBare), int64(w[wordTurns])
	t.measured = t.turns - int64(w[wordUnmeasured])
	t.Phases = nil
	if !is(markPhases) {
		return
	}
	t.Phases = &x.phases
	t.pace = pace{
		closed: [2]int64{int64(w[wordClosed]), int64(w[wordClosed+1])}, full: [2]int64{int64(w[wordFull]), int64(w[wordFull+1])},
		volume: unzigzag(w[wordVolume]) + c.sent[flow.Server].PayloadBytes, repeats: is(markPaceRepeats),
	}
	p := w[wordPhases:]
	x.phases = session.Phases{
		TCP: int64(p[0]), ClientIdle: int64(p[1]), TLS: int64(p[2]), Request: int64(p[3]), Server: int64(p[4]),
		Network: int64(p[5]), Transfer: int64(p[6]), Idle: int64(p[7]), Close: int64(p[8]),
		Prelude: int64(w[wordPrelude]), Unknown: int64(w[wordUnknown]), Overlap: is(markOverlap),
	}
}
