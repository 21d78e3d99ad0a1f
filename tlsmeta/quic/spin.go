package quic

import (
	"cmp"
	"slices"
	"unsafe"

	"mirrorscope/pool"
)

// Rules of the spin bit; the package comment gives the reasons.
const (
	minFlanks      = 8
	settled        = 3  // packets that show a new value, before as many show the old one
	probation      = 8  // flanks in order before the next is measured
	flanksPerStart = 16 // at least, on average
	coin           = 16 // square of the deviations that a coin is allowed
)

// spin follows the spin bit of both sides, by role.
type spin struct {
	sides     [2]spinSide
	samples   *samples // nil until the first
	refused   bool     // there was no memory for them
	probation uint8
	restarts  uint32 // times that the order was lost
}

// spinSide is one direction.
type spinSide struct {
	flankAt   int64  // record time of the latest flank; 0 is none that may be measured from
	pendingAt int64  // … of one that may still turn out to be a packet that came late; 0 none
	cid       uint32 // hash of the connection id
	flanks    uint32
	contrary  uint32 // packets that contradict the order

	// The bits as they came: pairs of neighbours, those that differ; pairs of
	// such pairs, those that are alike.
	pairs, changes, runs, alike uint32

	started, raw, changed, hasChanged bool
	value                             bool  // after packets that came late were left out
	new, old                          uint8 // packets that show the other value than settled, and the same, since it was first shown
}

// samples are the round trips measured.
type samples struct {
	budget  *pool.Budget
	n       int64
	min     int64
	least   int64    // since the order was found; 0 none yet
	halfMin [2]int64 // by role of the side that answered

	// waiting are samples far below the least, and the first ones: eight of them
	// in a row are the measure from then on.
	waiting  [minFlanks]sample
	nWaiting int

	// kept is every stride-th sample, thinned out when it is full: their median
	// is that of all within what so many samples can tell.
	kept   [64]int64
	nKept  int
	stride int64
}

type sample struct {
	full, half int64
	role       uint8
}

// packet takes the bit of a packet with a short header. cid is its connection
// id.
func (s *spin) packet(role int, bit bool, cid []byte, at int64, budget *pool.Budget) {
	me, peer := &s.sides[role], &s.sides[1-role]
	if h := hash(cid); !me.started || h != me.cid {
		if me.flanks|peer.flanks != 0 || me.pendingAt|peer.pendingAt != 0 {
			s.restart()
		}
		me.started, me.cid, me.raw, me.value = true, h, bit, bit
		me.pendingAt, me.hasChanged, me.new, me.old = 0, false, 0, 0
		return
	}
	me.evidence(bit)
	switch {
	case me.pendingAt != 0 && bit == me.value:
		if me.old++; me.old >= settled {
			s.out(me, me.new)
			me.pendingAt, me.new = 0, 0
		}
	case me.pendingAt != 0:
		if me.new++; me.new >= settled {
			s.settle(role, budget)
		}
	case bit == me.value:
		me.new = 0
	case peer.started && (bit == peer.shown()) == (role == server) && s.plausible(peer):
		// The client's new value is the inverse of the server's, the server's the
		// client's: it answers the flank that the other side shows.
		s.settle(1-role, budget)
		me.pendingAt, me.new, me.old = at, 1, 0
	default:
		s.out(me, 1)
		if me.new++; me.new >= settled {
			// It is the order that is wrong.
			me.value, me.new = bit, 0
			s.restart()
		}
	}
}

// restart lets flanks pass unmeasured until they have come in order for a
// while. Behind lost packets, or where an end has begun at 0 anew when its bit
// was 1, more than one may run round, and then the time between two is no round
// trip. They get into each other's way, most often within a round.
func (s *spin) restart() {
	s.probation = probation
	s.restarts = add(s.restarts, 1)
	s.sides[client].flankAt, s.sides[server].flankAt = 0, 0
	if s.samples != nil {
		s.samples.nWaiting, s.samples.least = 0, 0
	}
}

// out counts packets of a side that contradict the order.
func (s *spin) out(me *spinSide, n uint8) {
	me.contrary = add(me.contrary, uint32(n))
	if s.probation > 0 {
		s.probation = probation
	}
}

// shown is the value that a side shows, settled or not.
func (m *spinSide) shown() bool { return m.value != (m.pendingAt != 0) }

// plausible tells that the flank that a side shows may be answered before three
// packets have shown it: it comes no sooner than half of the least round trip
// after the one before.
func (s *spin) plausible(m *spinSide) bool {
	return m.pendingAt == 0 || m.flankAt == 0 || s.samples == nil || m.pendingAt-m.flankAt >= s.samples.least/2
}

// settle takes a flank for what it is, for others of the new value came behind
// it, or an answer.
func (s *spin) settle(role int, budget *pool.Budget) {
	me := &s.sides[role]
	if me.pendingAt == 0 {
		return
	}
	s.measure(role, me.pendingAt, budget)
	me.value, me.flankAt = !me.value, me.pendingAt
	me.flanks = add(me.flanks, 1)
	me.pendingAt, me.new = 0, 0
	s.probation -= min(s.probation, 1)
}

// evidence counts what a coin would not show.
func (m *spinSide) evidence(bit bool) {
	change := bit != m.raw
	m.raw = bit
	m.pairs = add(m.pairs, 1)
	if change {
		m.changes = add(m.changes, 1)
	}
	if m.hasChanged {
		m.runs = add(m.runs, 1)
		if change == m.changed {
			m.alike = add(m.alike, 1)
		}
	}
	m.changed, m.hasChanged = change, true
}

// add counts more, and stays at the greatest number.
func add(n, more uint32) uint32 { return n + min(more, ^n) }

// measure takes the flank that a side shows now.
func (s *spin) measure(role int, at int64, budget *pool.Budget) {
	from, asked := s.sides[role].flankAt, s.sides[1-role].flankAt
	if from == 0 || asked < from || at < asked || s.refused || s.probation > 0 {
		return
	}
	if s.samples == nil {
		if !budget.Take(int(unsafe.Sizeof(samples{}))) {
			s.refused = true
			return
		}
		s.samples = &samples{budget: budget, stride: 1}
	}
	s.samples.add(sample{at - from, at - asked, uint8(role)})
}

func (m *samples) add(v sample) {
	if m.n > 0 && v.full >= m.min/10 {
		m.nWaiting = 0
		m.keep(v)
		return
	}
	m.waiting[m.nWaiting] = v
	if m.nWaiting++; m.nWaiting < len(m.waiting) {
		return
	}
	m.nWaiting = 0
	slices.SortFunc(m.waiting[:], func(a, b sample) int { return cmp.Compare(a.full, b.full) })
	least := m.waiting[len(m.waiting)/2].full / 10
	for _, w := range m.waiting {
		if w.full >= least {
			m.keep(w)
		}
	}
}

func (m *samples) keep(v sample) {
	if m.least == 0 || v.full < m.least {
		m.least = v.full
	}
	if m.n == 0 || v.full < m.min {
		m.min = v.full
	}
	if h := &m.halfMin[v.role]; *h == 0 || v.half < *h {
		*h = v.half
	}
	if m.n%m.stride == 0 {
		if m.nKept == len(m.kept) {
			for i := range m.nKept / 2 {
				m.kept[i] = m.kept[2*i]
			}
			m.nKept /= 2
			m.stride *= 2
		}
		if m.n%m.stride == 0 {
			m.kept[m.nKept] = v.full
			m.nKept++
		}
	}
	m.n++
}

// release gives the memory back.
func (s *spin) release() {
	if s.samples != nil {
		s.samples.budget.Give(int(unsafe.Sizeof(*s.samples)))
		s.samples = nil
	}
}

// report tells the round trip, if it is one. handshake is that of the
// handshake, Absent if not known.
func (s *spin) report(handshake int64) Spin {
	r := Spin{Edges: int64(s.sides[client].flanks) + int64(s.sides[server].flanks)}
	m := s.samples
	if m == nil || m.n == 0 || int64(s.restarts)*flanksPerStart > r.Edges || !s.sides[client].sound() || !s.sides[server].sound() || handshake > 0 && m.min > 4*handshake {
		return r
	}
	kept := m.kept
	slices.Sort(kept[:m.nKept])
	r.Known, r.Samples, r.Min = true, m.n, m.min
	r.P50 = kept[(m.nKept-1)/2]
	r.ClientMin, r.ServerMin = m.halfMin[client], m.halfMin[server]
	return r
}

// sound tells that a side takes part: its bits are not those of a coin, and
// they come in the order that the other side's ask for.
func (m *spinSide) sound() bool {
	return m.flanks >= minFlanks && m.contrary <= m.pairs/8 && (!fair(m.changes, m.pairs) || !fair(m.alike, m.runs))
}

// fair tells whether heads among n tosses may be a coin's.
func fair(heads, n uint32) bool {
	off := 2*int64(heads) - int64(n)
	return off*off <= coin*int64(n)
}

// hash is FNV-1a.
func hash(b []byte) uint32 {
	h := uint32(2166136261)
	for _, c := range b {
		h = (h ^ uint32(c)) * 16777619
	}
	return h
}
