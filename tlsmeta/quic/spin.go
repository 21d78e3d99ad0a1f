package quic

import (
	"slices"
	"unsafe"

	"mirrorscope/pool"
)

// Rules of the spin bit; the package comment gives the reasons.
const (
	minFlanks = 8
	maxLate   = 3  // packets in a row that contradict the order: then it is the order that is wrong
	coin      = 16 // square of the deviations that a coin is allowed
)

// spin follows the spin bit of both sides, by role.
type spin struct {
	sides   [2]spinSide
	samples *samples // nil until the first
	refused bool     // there was no memory for them
}

// spinSide is one direction.
type spinSide struct {
	flankAt int64  // record time of the latest flank; 0 is none that may be measured from
	cid     uint32 // hash of the connection id
	flanks  uint32
	late    uint32 // packets that contradict the order

	// The bits as they came: pairs of neighbours, those that differ; pairs of
	// such pairs, those that are alike.
	pairs, changes, runs, alike uint32

	started, raw, changed, hasChanged bool
	value                             bool // after packets that came late were left out
	lateRun                           uint8
}

// samples are the round trips measured.
type samples struct {
	budget  *pool.Budget
	n       int64
	min     int64
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
		me.started, me.cid, me.raw, me.value = true, h, bit, bit
		me.flankAt, me.hasChanged, me.lateRun = 0, false, 0
		return
	}
	me.evidence(bit)
	if bit == me.value {
		me.lateRun = 0
		return
	}
	// The client's new value is the inverse of the server's, the server's the
	// client's.
	if !peer.started || bit == peer.value != (role == server) || !s.measure(role, at, budget) {
		me.late = add(me.late)
		if me.lateRun++; me.lateRun >= maxLate {
			me.value, me.lateRun = bit, 0
			me.flankAt, peer.flankAt = 0, 0
		}
		return
	}
	me.value, me.flankAt, me.lateRun = bit, at, 0
	me.flanks = add(me.flanks)
}

// evidence counts what a coin would not show.
func (m *spinSide) evidence(bit bool) {
	change := bit != m.raw
	m.raw = bit
	m.pairs = add(m.pairs)
	if change {
		m.changes = add(m.changes)
	}
	if m.hasChanged {
		m.runs = add(m.runs)
		if change == m.changed {
			m.alike = add(m.alike)
		}
	}
	m.changed, m.hasChanged = change, true
}

// add counts one more, and stays at the greatest number.
func add(n uint32) uint32 { return n + min(1, ^n) }

// measure takes the flank that a side shows now. It is false where it is too
// short to be one.
func (s *spin) measure(role int, at int64, budget *pool.Budget) bool {
	from, asked := s.sides[role].flankAt, s.sides[1-role].flankAt
	if from == 0 || asked == 0 {
		return true // the first one
	}
	if asked < from || at < asked || s.refused {
		return at >= asked
	}
	if s.samples == nil {
		if !budget.Take(int(unsafe.Sizeof(samples{}))) {
			s.refused = true
			return true
		}
		s.samples = &samples{budget: budget, stride: 1}
	}
	return s.samples.add(sample{at - from, at - asked, uint8(role)})
}

// add takes a sample. It is false where it is far below the least.
func (m *samples) add(v sample) bool {
	if m.n > 0 && v.full >= m.min/10 {
		m.nWaiting = 0
		m.keep(v)
		return true
	}
	first := m.n == 0
	m.waiting[m.nWaiting] = v
	if m.nWaiting++; m.nWaiting < len(m.waiting) {
		return first
	}
	m.nWaiting = 0
	all := m.waiting
	slices.SortFunc(all[:], func(a, b sample) int { return int(min(max(a.full-b.full, -1), 1)) })
	least := all[len(all)/2].full / 10
	for _, w := range m.waiting {
		if w.full >= least {
			m.keep(w)
		}
	}
	return v.full >= least
}

func (m *samples) keep(v sample) {
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
	if m == nil || m.n == 0 || !s.sides[client].sound() || !s.sides[server].sound() || handshake > 0 && m.min > 4*handshake {
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
	return m.flanks >= minFlanks && m.late <= m.pairs/8 && (!fair(m.changes, m.pairs) || !fair(m.alike, m.runs))
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
