package tcp

import (
	"slices"

	"mirrorscope/packet"
)

// trouble is the state of a direction while something is missing, repeated or
// selectively acknowledged. It is given back when all is quiet again.
type trouble struct {
	holes   []hole   // sequence space below hi that was not recorded, rising
	sacked  []span   // above una, rising, disjoint
	repeats []repeat // latest last
	acked   int64    // no ackedAt of those is earlier, but 0; 0: none is set
	lacks   bool     // a hole may lack what behind gives it

	recovery int64 // the episode ends when this is acknowledged

	signals           // since una moved
	before    signals // … and before it did: what the sender may still react to
	timerLo   int64   // what the latest timer's repeat began with …
	timerHi   int64   // … and what had been sent by then; 0 when something new was sent since
	movedAt   int64   // record time of the ACK that moved una
	untracked bool    // a bound was reached: something was forgotten
}

// signals are what a sender can have heard of a loss.
type signals struct {
	dupACKs  int   // duplicate ACKs, or growths of SACKed space
	latestAt int64 // record time of the latest; 0 none
	sackedAt int64 // of the first SACK above una
	sackedN  int64 // octets SACKed above una; only in before
	episode  episode
}

type episode uint8

const (
	noEpisode episode = iota
	fastRecovery
	timerRecovery
)

// span is [lo, hi).
type span struct{ lo, hi int64 }

// hole is space that was passed over, as it was when that happened.
type hole struct {
	span
	at       int64  // record time of the packet behind it
	tsval    uint32 // of that packet …
	hasTS    bool
	behindID uint16 // … and of the packet behind it
	idsOK    bool   // these count up
	byACK    bool   // opened by an ACK of what was not recorded, not by a packet behind it
	packets  uint32 // Dir.packets when it was opened
	signalAt int64  // first signal of its loss that was recorded; 0 none
	ackedAt  int64  // the receiver has it: the capture missed it, or has it still to come; 0 not
}

// repeat is one retransmission that was counted, until its verdict is final.
type repeat struct {
	span
	at       int64 // record time
	una      int64 // Dir.una, highest SACK and sum of SACKed octets then: to see progress since
	sackHi   int64
	tsval    uint32
	hasTS    bool
	atUna    bool // nothing older was unacknowledged
	class    Class
	verdict  verdict
	payload  int64 // octets counted
	reported bool  // by a DSACK
	ackedAt  int64 // first covered by una; 0 not
}

type verdict uint8

const (
	spurious verdict = iota
	lostAfter
	lostBefore
	unlocated
)

// Bounds of the lists. What exceeds them is forgotten, oldest first, and
// makes the counts ambiguous.
const (
	maxHoles   = 128
	maxSacked  = 64
	maxRepeats = 128
)

func (t *trouble) reset() {
	*t = trouble{holes: t.holes[:0], sacked: t.sacked[:0], repeats: t.repeats[:0]}
}

// open adds a hole behind all others.
func (t *trouble) open(h hole) {
	if len(t.holes) == maxHoles {
		t.holes = slices.Delete(t.holes, 0, 1)
		t.untracked = true
	}
	t.holes = append(t.holes, h)
	t.ackedAt(h.ackedAt)
	t.lacks = t.lacks || h.byACK
}

// ackedAt notes that something has such an ackedAt.
func (t *trouble) ackedAt(at int64) {
	if at != 0 && (t.acked == 0 || at < t.acked) {
		t.acked = at
	}
}

// precede makes [s, m), or what of it lies below the first packet recorded of a
// direction whose beginning was not, a hole before that packet, and lets the
// direction begin at s.
func (t *trouble) precede(d *Dir, x *rare, s, m int64, hasTS bool) {
	h := hole{
		span: span{s, min(m, x.first)}, at: x.firstAt, tsval: x.firstTS, hasTS: hasTS && d.has&hasTSval != 0, behindID: x.firstID, idsOK: d.idUp >= 4,
		packets: d.packets, signalAt: t.sackedAt,
	}
	if h.signalAt == 0 && t.dupACKs > 0 {
		h.signalAt = t.latestAt
	}
	if d.has&hasUna != 0 && d.una >= h.hi {
		h.ackedAt = x.firstAt
	}
	d.lo = min(d.lo, s)
	if len(t.holes) < maxHoles {
		t.holes = slices.Insert(t.holes, 0, h)
		t.ackedAt(h.ackedAt)
	} else {
		t.untracked = true
	}
}

// arrived marks what of the holes lies in [lo, hi): the receiver has it.
func (t *trouble) arrived(lo, hi, now int64) {
	for i := 0; i < len(t.holes); i++ {
		h := &t.holes[i]
		if h.lo >= hi {
			return
		}
		if h.ackedAt != 0 || h.hi <= lo {
			continue
		}
		if h.lo < lo {
			if !t.split(i, lo) {
				return
			}
			continue // the upper part is next
		}
		if h.hi > hi && !t.split(i, hi) {
			return
		}
		t.holes[i].ackedAt = now
		t.ackedAt(now)
	}
}

// split cuts hole i in two at p, if there is room.
func (t *trouble) split(i int, p int64) bool {
	if len(t.holes) == maxHoles {
		t.untracked = true
		return false
	}
	upper := t.holes[i]
	upper.lo = p
	t.holes[i].hi = p
	t.holes = slices.Insert(t.holes, i+1, upper)
	return true
}

// behind gives holes that an ACK opened what they lack: the first packet that
// is recorded behind them. It begins at s.
func (t *trouble) behind(d *Dir, p *packet.Packet, s int64) {
	if !t.lacks {
		return
	}
	t.lacks = false
	for i := range t.holes {
		h := &t.holes[i]
		if h.hi > s {
			t.lacks = true
			return
		}
		if h.byACK && !h.hasTS && !h.idsOK {
			h.tsval, h.hasTS = p.TCP.TSval, p.TCP.Has&packet.HasTimestamps != 0
			h.behindID, h.idsOK = p.IPID, p.Version == 4 && d.idUp >= 4
			t.lacks = t.lacks || !h.hasTS && !h.idsOK
		}
	}
}

// overlap is how many octets of [lo, hi) lie in holes.
func (t *trouble) overlap(lo, hi int64) int64 {
	n := int64(0)
	for i := range t.holes {
		h := &t.holes[i]
		if h.lo >= hi {
			break
		}
		n += max(min(hi, h.hi)-max(lo, h.lo), 0)
	}
	return n
}

// firstHole gives a copy of the first hole that [lo, hi) reaches into.
func (t *trouble) firstHole(lo, hi int64) (hole, bool) {
	for _, h := range t.holes {
		if h.lo < hi && h.hi > lo {
			return h, true
		}
	}
	return hole{}, false
}

// fill takes [lo, hi) out of the holes.
func (t *trouble) fill(lo, hi int64) {
	for i := 0; i < len(t.holes); i++ {
		h := &t.holes[i]
		switch {
		case h.hi <= lo:
		case h.lo >= hi:
			return
		case h.lo >= lo && h.hi <= hi:
			t.holes = slices.Delete(t.holes, i, i+1)
			i--
		case h.lo < lo && h.hi > hi:
			rest := *h
			rest.lo = hi
			h.hi = lo
			if len(t.holes) < maxHoles {
				t.holes = slices.Insert(t.holes, i+1, rest)
			} else {
				t.untracked = true
			}
			return
		case h.lo < lo:
			h.hi = lo
		default:
			h.lo = hi
		}
	}
}

// sack adds [lo, hi) to the SACKed space and tells whether that grew.
func (t *trouble) sack(lo, hi int64) bool {
	i := 0
	for i < len(t.sacked) && t.sacked[i].hi < lo {
		i++
	}
	j := i
	merged := span{lo, hi}
	before := int64(0)
	for j < len(t.sacked) && t.sacked[j].lo <= hi {
		before += t.sacked[j].hi - t.sacked[j].lo
		merged.lo, merged.hi = min(merged.lo, t.sacked[j].lo), max(merged.hi, t.sacked[j].hi)
		j++
	}
	if j > i && merged.hi-merged.lo == before && j == i+1 {
		return false
	}
	if j == i {
		if len(t.sacked) == maxSacked {
			t.untracked = true
			return false
		}
		t.sacked = slices.Insert(t.sacked, i, merged)
		return true
	}
	t.sacked[i] = merged
	t.sacked = slices.Delete(t.sacked, i+1, j)
	return true
}

// advance drops SACKed space below una.
func (t *trouble) advance(una int64) {
	k := 0
	for _, s := range t.sacked {
		if s.hi <= una {
			continue
		}
		s.lo = max(s.lo, una)
		t.sacked[k] = s
		k++
	}
	t.sacked = t.sacked[:k]
}

// isSacked tells whether all of [lo, hi) is SACKed.
func (t *trouble) isSacked(lo, hi int64) bool {
	for _, s := range t.sacked {
		if s.lo <= lo && hi <= s.hi {
			return true
		}
	}
	return false
}

// sackedAbove is how many octets above p are SACKed.
func (t *trouble) sackedAbove(p int64) int64 {
	n := int64(0)
	for _, s := range t.sacked {
		n += max(s.hi-max(s.lo, p), 0)
	}
	return n
}

// sackHi is the highest SACKed position, or 0.
func (t *trouble) sackHi() int64 {
	if len(t.sacked) == 0 {
		return 0
	}
	return t.sacked[len(t.sacked)-1].hi
}

// latest gives the latest repeat that covers the octet at p, or nil.
func (t *trouble) latest(p int64) *repeat {
	for i := len(t.repeats) - 1; i >= 0; i-- {
		if r := &t.repeats[i]; r.lo <= p && p < r.hi {
			return r
		}
	}
	return nil
}

// keep adds a repeat.
func (t *trouble) keep(r repeat) {
	if len(t.repeats) == maxRepeats {
		t.repeats = slices.Delete(t.repeats, 0, maxRepeats/4)
		t.untracked = true
	}
	t.repeats = append(t.repeats, r)
	t.ackedAt(r.ackedAt)
}

// settle drops what is decided by now, and tells how many octets the capture
// has missed for good. quiet says that nothing is left to wait for.
func (t *trouble) settle(now, grace, wait int64) (missed int64, quiet bool) {
	if t.acked != 0 && now-t.acked > min(grace, wait) {
		missed = t.drop(now, grace, wait)
	}
	return missed, len(t.holes) == 0 && len(t.repeats) == 0 && len(t.sacked) == 0 && t.episode == noEpisode && t.dupACKs == 0
}

// drop is settle where something may be decided.
func (t *trouble) drop(now, grace, wait int64) (missed int64) {
	t.acked = 0
	k := 0
	for _, h := range t.holes {
		if h.ackedAt != 0 && now-h.ackedAt > grace {
			missed += h.hi - h.lo
			continue
		}
		t.ackedAt(h.ackedAt)
		t.holes[k] = h
		k++
	}
	t.holes = t.holes[:k]
	k = 0
	for _, r := range t.repeats {
		if r.ackedAt != 0 && now-r.ackedAt > wait {
			continue
		}
		t.ackedAt(r.ackedAt)
		t.repeats[k] = r
		k++
	}
	t.repeats = t.repeats[:k]
	return missed
}
