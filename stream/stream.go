// Package stream puts one direction of a TCP connection back in order, within
// bounds: what comes in order is handed on without a copy, what comes early
// waits. What was not recorded is told instead of waited for without end.
//
// A Stream belongs to the goroutine that owns the connection. Once its lists
// have grown, a packet allocates nothing.
package stream

import (
	"slices"

	"mirrorscope/pool"
)

// Chunk is what comes next of a direction: octets, or word of octets that were
// not recorded.
type Chunk struct {
	Pos     int64
	Data    []byte // lent until the next call of Push
	Missing int64  // so many octets from Pos on were not recorded; Data is empty then
	Cut     bool   // … because the capture holds only the beginning of their packet
	Time    int64  // record time, ns, of the packet that made the octets complete: their own, or the one that filled a hole before them
	Acked   int64  // octets of the other direction that had been acknowledged with them
	Filled  bool   // the packet filled a hole: it had been lost, or overtaken
	Since   int64  // of a packet that filled a hole: record time since when it was open
}

// End is the position behind the chunk.
func (c *Chunk) End() int64 { return c.Pos + int64(len(c.Data)) + c.Missing }

// Bounds of what may wait for a hole to be filled. Beyond them the hole is
// taken for a loss of the capture.
const (
	maxWaiting = 64 << 10 // octets
	maxParts   = 128
)

// partOctets is what a waiting part costs beside its octets.
const partOctets = 64

// Buffers lends Streams the room for what waits, and holds the segment that one
// of them was given last. It belongs to the goroutine that owns them.
type Buffers struct {
	Budget *pool.Budget // of octets that wait
	rooms  pool.Pool[waiting]
	kept   int // rooms that are free and have memory

	owner *Stream // has cur and data still to give; nil none
	cur   part
	data  []byte // that was captured of cur
}

// waiting is what a Stream holds back.
type waiting struct {
	early []byte // octets of parts
	parts []part // by position
	held  int    // octets taken from the budget
}

// maxKept bounds the rooms that keep their memory for the next Stream, keptOctets
// how much each may have.
const (
	maxKept    = 64
	keptOctets = 16 << 10
)

func (b *Buffers) get() uint32 {
	n := b.rooms.Get()
	if b.rooms.At(n).early != nil {
		b.kept--
	}
	return n
}

func (b *Buffers) put(n uint32) {
	w := b.rooms.At(n)
	b.Budget.Give(w.held)
	if cap(w.early) > keptOctets || cap(w.early) == 0 || b.kept >= maxKept {
		*w = waiting{} // lent octets stay valid: nothing is written to them any more
	} else {
		*w = waiting{early: w.early[:0], parts: w.parts[:0]}
		b.kept++
	}
	b.rooms.Put(n)
}

// part is a segment that came early.
type part struct {
	pos   int64
	off   int // in waiting.early
	n     int // octets captured
	wire  int64
	at    int64
	acked int64
}

// Stream is one direction. It holds no pointers, and is as large as a cache line.
type Stream struct {
	next    int64  // position that comes next
	cut     int64  // up to here, the latest segment given was not captured
	now     int64  // record time of the latest packet …
	acked   int64  // … and what it acknowledged
	filling int64  // record time of the packet that filled the latest hole …
	opened  int64  // … and since when that was open
	since   int64  // record time since when the present hole is open
	w       uint32 // what waits, in Buffers; 0 nothing
	started bool
	force   bool // the present hole is not waited for any more
	filled  bool // the latest packet filled a hole
	lost    bool // what lies before cut was never recorded
}

// Start tells where the direction begins. Without it, it begins with the first
// segment pushed.
func (s *Stream) Start(pos int64) {
	if !s.started {
		s.next, s.started = pos, true
	}
}

// Started tells whether it is known where the direction begins.
func (s *Stream) Started() bool { return s.started }

// Position is what comes next.
func (s *Stream) Position() int64 { return s.next }

// Ready tells whether it is known where the direction begins, and nothing waits.
func (s *Stream) Ready() bool { return s.started && s.w == 0 }

// Waiting tells whether something came early.
func (s *Stream) Waiting() bool { return s.w != 0 }

// hole tells whether something waits for octets that are missing.
func (s *Stream) hole(b *Buffers) bool { return s.w != 0 && b.rooms.At(s.w).parts[0].pos > s.next }

// Push takes a segment as recorded: wire octets from pos on, of which data was
// captured, in a packet that acknowledged acked octets of the other direction.
// What it makes available is to be taken by Next before the next Push. What
// waits is copied, and its room taken from the budget; where there is none,
// nothing is waited for.
//
// gate is where the other direction has got to: a segment that acknowledges more
// was recorded before what it answers, as mirrors with two queues deliver it, and
// waits.
func (s *Stream) Push(b *Buffers, pos int64, data []byte, wire int64, at, acked, gate int64) {
	s.Start(pos)
	s.now, s.acked, s.filled, s.force = at, acked, false, false
	if int64(len(data)) > wire {
		data = data[:wire]
	}
	p := part{pos: pos, n: len(data), wire: wire, at: at, acked: acked}
	if b.owner == s {
		b.owner = nil
	}
	if p.end() <= s.next {
		return // again
	}
	hole := s.hole(b)
	if (pos > s.next || acked > gate || s.w != 0 && !hole) && s.wait(b, p, data) {
		return
	}
	b.owner, b.cur, b.data = s, p, data
	switch {
	case pos > s.next || s.w != 0 && !hole:
		s.force = true
	case hole:
		s.filled, s.filling, s.opened = true, at, s.since
	}
}

// Pass takes a segment that is whole, comes next, and waits for nothing, and
// gives it as what comes next: what Push and Next would do with it. It is false,
// and nothing happens, if it is no such segment.
func (s *Stream) Pass(b *Buffers, c *Chunk, pos int64, data []byte, wire int64, at, acked, gate int64) bool {
	if int64(len(data)) != wire || !s.Step(b, pos, wire, at, acked, gate) {
		return false
	}
	*c = Chunk{Pos: pos, Data: data, Acked: acked}
	c.Time, c.Since = s.Made(at)
	return true
}

// Step is Pass without the Chunk, for wire octets that are all there.
func (s *Stream) Step(b *Buffers, pos, wire, at, acked, gate int64) bool {
	if !s.started || pos != s.next || wire <= 0 || acked > gate || s.w != 0 || s.cut > pos {
		return false
	}
	s.now, s.acked, s.filled, s.force = at, acked, false, false
	if b.owner == s {
		b.owner = nil
	}
	s.next = pos + wire
	return true
}

// Made gives Time and Since of the Chunk that Step stands for.
func (s *Stream) Made(at int64) (time, since int64) { return max(at, s.filling), s.opened }

func (p *part) end() int64 { return p.pos + p.wire }

// wait keeps a segment that came early, if there is room.
func (s *Stream) wait(b *Buffers, p part, data []byte) bool {
	if s.w != 0 {
		if w := b.rooms.At(s.w); len(w.parts) >= maxParts || len(w.early)+len(data) > maxWaiting {
			return false
		}
	}
	if !b.Budget.Take(len(data) + partOctets) {
		return false
	}
	if !s.hole(b) {
		s.since = s.now
	}
	if s.w == 0 {
		s.w = b.get()
	}
	w := b.rooms.At(s.w)
	w.held += len(data) + partOctets
	p.off = len(w.early)
	w.early = append(w.early, data...)
	i := len(w.parts)
	for i > 0 && w.parts[i-1].pos > p.pos {
		i--
	}
	w.parts = slices.Insert(w.parts, i, p)
	return true
}

// GiveUp stops to wait for what is missing: Next tells of it as of octets that
// were not recorded.
func (s *Stream) GiveUp(now int64) {
	s.now, s.force, s.filled = now, s.w != 0, false
}

// Overdue tells whether the present hole is open since more than grace, ns,
// although the receiver has acknowledged all before acked: it has what was not
// recorded.
func (s *Stream) Overdue(b *Buffers, now, acked, grace int64) bool {
	return s.hole(b) && acked >= b.rooms.At(s.w).parts[0].pos && now-s.since > grace
}

// Awaits tells for what the stream has waited longer than grace, ns: octets of
// the other direction up to a position. It is 0 where it waits for none.
func (s *Stream) Awaits(b *Buffers, now, gate, grace int64) int64 {
	if s.w == 0 || s.hole(b) {
		return 0
	}
	if p := &b.rooms.At(s.w).parts[0]; p.acked > gate && now-p.at > grace {
		return p.acked
	}
	return 0
}

// Miss tells that what comes before a position will not come any more.
func (s *Stream) Miss(pos, now int64) {
	s.now, s.lost = now, true
	s.cut = max(s.cut, pos)
}

// Next gives what comes next, if that is there and the gate allows it.
func (s *Stream) Next(b *Buffers, c *Chunk, gate int64) bool {
	if s.cut > s.next {
		*c = Chunk{Pos: s.next, Missing: s.cut - s.next, Cut: !s.lost, Time: s.now, Acked: s.acked, Filled: s.filled}
		s.next, s.lost = s.cut, false
		return true
	}
	for s.w != 0 && !s.hole(b) {
		w := b.rooms.At(s.w)
		p := w.parts[0]
		if p.acked > gate && !s.force {
			break
		}
		w.parts = slices.Delete(w.parts, 0, 1)
		taken := p.end() > s.next && s.take(c, &p, w.early[p.off:p.off+p.n])
		if len(w.parts) == 0 {
			s.empty(b)
		} else {
			s.since = s.now
		}
		if taken {
			return true
		}
	}
	has := b.owner == s
	if has && b.cur.pos <= s.next {
		b.owner = nil
		if b.cur.end() > s.next && s.take(c, &b.cur, b.data) {
			return true
		}
		return s.Next(b, c, gate)
	}
	if !s.force {
		return false
	}
	to := int64(-1)
	if s.w != 0 {
		to = b.rooms.At(s.w).parts[0].pos
	}
	if has && (to < 0 || b.cur.pos < to) {
		to = b.cur.pos
	}
	if to < 0 {
		return false
	}
	*c = Chunk{Pos: s.next, Missing: to - s.next, Time: s.now, Acked: s.acked}
	s.next = to
	return true
}

// take gives the part of p that is new: its octets first; word of those that
// were not captured comes with the next call.
func (s *Stream) take(c *Chunk, p *part, data []byte) bool {
	skip := s.next - p.pos
	*c = Chunk{Pos: s.next, Time: max(p.at, s.filling), Acked: p.acked, Filled: s.filled, Since: s.opened}
	if skip >= int64(len(data)) {
		c.Missing, c.Cut = p.end()-s.next, true
		s.next = p.end()
		return true
	}
	c.Data = data[skip:]
	s.next += int64(len(c.Data))
	if s.next < p.end() {
		s.cut = p.end() // to be told next
	}
	return true
}

// empty gives back the room of what waited. What was lent of it stays as it is
// until the next Push of any Stream of the Buffers.
func (s *Stream) empty(b *Buffers) {
	if s.w != 0 {
		b.put(s.w)
		s.w = 0
	}
}

// Reset gives back all and makes s ready for another direction.
func (s *Stream) Reset(b *Buffers) {
	s.empty(b)
	if b.owner == s {
		b.owner, b.data = nil, nil
	}
	*s = Stream{}
}
