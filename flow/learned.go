package flow

import (
	"unsafe"

	"mirrorscope/dnsmeta"
	"mirrorscope/packet"
	"mirrorscope/pool"
)

// Learned is what flows know of each other across partitions. It is written
// only at the barrier of each whole second of packet time, when no table is at
// work, from the reports of the tables in their order; between barriers all
// tables read it. So it does not depend on how tables share goroutines.
type Learned struct {
	cfg       Config
	version   uint32 // rises when a listener is added
	listeners listeners
	pairs     pairs
	points    map[packet.PointID]*pointSeen
	names     *dnsmeta.Names
	swept     int64
	merged    int64 // the latest barrier
	most      int   // listeners, and pairs

	Forgotten uint64 // listeners, pairs and names not learned because the bound was reached
}

// refresh is how old, in ns, what is learned may become before it is told
// again.
const refresh = 60e9

type pointSeen struct {
	PointCapture
	minute     [60]struct{ packets, copies uint32 } // per second of the latest minute
	sumP, sumC uint64
	second     int64 // of the latest entry
}

// NewLearned makes the common knowledge of a set of tables.
func NewLearned(cfg Config) *Learned {
	return &Learned{
		cfg: cfg, points: make(map[packet.PointID]*pointSeen),
		names: dnsmeta.NewNames(maxNamed(cfg.Memory)), most: maxLearned(cfg.Memory),
	}
}

// dupMirror tells whether the point delivers copies of most packets.
func (l *Learned) dupMirror(p packet.PointID) bool {
	s := l.points[p]
	return s != nil && s.DupMirror
}

func (l *Learned) listens(e endpoint, now int64) bool {
	at := l.listeners.of(e)
	return at != nil && now-*at <= int64(l.cfg.ListenerMemory)
}

// recordsBoth tells whether an answer from the other side would have been
// recorded: flows of this pair of hosts were seen in both directions, or, if
// nothing is known of the pair, some flow of the observation point was. What is old
// does not count, whether it was swept already or not: that depends on which seconds
// have packets.
func (l *Learned) recordsBoth(p pair) bool {
	if s := l.pairs.of(p); s != nil && (s.both != 0 || s.oneSided != 0) && max(s.both, s.oneSided) >= l.merged-int64(l.cfg.ListenerMemory) {
		return s.both >= s.oneSided
	}
	point := l.points[p.point]
	return point != nil && point.BothDirections
}

// Point gives the sums of one observation point.
func (l *Learned) Points() []PointCapture {
	out := make([]PointCapture, 0, len(l.points))
	for _, s := range l.points {
		out = append(out, s.PointCapture)
	}
	return out
}

// report is what one table tells at the next barrier.
type report struct {
	last   *PointCapture // that of lastID
	lastID packet.PointID
	near   [nearPoints]*PointCapture // of the latest points, by the lower bits of their numbers

	bothDirections bool // of some point, since the latest barrier

	truncated, malformed, stray uint64

	lessons   lessons
	answers   []answer // names of addresses
	forgotten uint64   // pairs and names that find no place
	points    map[packet.PointID]*PointCapture
	ids       []packet.PointID // keys of points, in order of first appearance
}

// pending tells whether flows may judge otherwise once this was told.
func (r *report) pending() bool {
	return r.bothDirections || r.lessons.len()+len(r.answers) > 0
}

// nearPoints is of how many points the counters are found at once.
const nearPoints = 16

func (r *report) init() { r.points = make(map[packet.PointID]*PointCapture) }

// point gives the counters of an observation point for this second.
func (r *report) point(id packet.PointID) *PointCapture {
	if r.last != nil && r.lastID == id {
		return r.last
	}
	p := r.near[id%nearPoints]
	if p == nil || p.ID != id {
		if p = r.points[id]; p == nil {
			p = &PointCapture{ID: id}
			r.points[id] = p
			r.ids = append(r.ids, id)
		}
		r.near[id%nearPoints] = p
	}
	r.lastID, r.last = id, p
	return p
}

// damaged counts a packet if it is not all there, or contradicts itself. There is no branch: where
// packets are cut, nobody can guess which of them are longer than that.
func (r *report) damaged(flags packet.Flags) {
	r.truncated += cut(flags)
	r.malformed += uint64(flags / packet.BadHeader & 1)
}

// cut is 1 if a packet is not all there.
func cut(flags packet.Flags) uint64 { return uint64(flags / packet.Truncated & 1) }

// Merge takes the reports of all tables, in partition order, at the barrier
// between the packets of second before and those of second now (ns).
func (l *Learned) Merge(tables []*Table, before, now int64) {
	l.merged = now
	for _, t := range tables {
		r := &t.report
		l.learn(&r.lessons, t.now)
		for i := range r.answers {
			l.names.Learn(&r.answers[i].Answer, r.answers[i].network)
		}
		l.Forgotten += r.forgotten
		r.bothDirections = false
		r.lessons.empty()
		r.answers, r.forgotten = r.answers[:0], 0
		for _, id := range r.ids {
			c := r.points[id]
			l.addPoint(c, before)
			*c = PointCapture{ID: id}
		}
	}
	for _, s := range l.points {
		s.advance(now / 1e9)
		// A handful of packets proves nothing.
		s.DupMirror = s.sumP >= 20 && 5*s.sumC > s.sumP
	}
	if now-l.swept > refresh {
		l.sweep(now)
	}
}

// addListener takes that an endpoint answers: it is k among m, which are those of l.
func addListener[K knowable](l *Learned, m *known[K, int64], k K, now int64) {
	if at := m.of(k); at != nil {
		*at = now
		return
	}
	if l.listeners.len() >= l.most {
		l.Forgotten++
		return
	}
	l.version++
	m.add(k, now)
}

// addPair takes what was seen of a pair: it is k among m, which are those of l.
func addPair[K knowable](l *Learned, m *known[K, pairSeen], k K, oneSided bool, now int64) {
	s := m.of(k)
	var first pairSeen
	if s == nil {
		s = &first
	}
	if oneSided {
		s.oneSided = now
	} else {
		s.both = now
	}
	switch {
	case s != &first:
	case l.pairs.len() >= l.most:
		l.Forgotten++
	default:
		m.add(k, first)
	}
}

func (l *Learned) addPoint(c *PointCapture, second int64) {
	s := l.points[c.ID]
	if s == nil {
		s = &pointSeen{PointCapture: PointCapture{ID: c.ID}, second: second / 1e9}
		l.points[c.ID] = s
	}
	s.Packets += c.Packets
	s.Bytes += c.Bytes
	s.MirrorDuplicates += c.MirrorDuplicates
	s.BothDirections = s.BothDirections || c.BothDirections
	s.advance(second / 1e9)
	m := &s.minute[uint64(s.second)%60]
	m.packets += uint32(c.Packets)
	m.copies += uint32(c.MirrorDuplicates)
	s.sumP += c.Packets
	s.sumC += c.MirrorDuplicates
}

// advance forgets the seconds that leave the latest minute.
func (s *pointSeen) advance(second int64) {
	for n := 0; s.second < second && n < 60; n++ {
		s.second++
		m := &s.minute[uint64(s.second)%60]
		s.sumP -= uint64(m.packets)
		s.sumC -= uint64(m.copies)
		*m = struct{ packets, copies uint32 }{}
	}
	s.second = max(s.second, second)
}

func (l *Learned) sweep(now int64) {
	l.swept = now
	l.names.Sweep(now - int64(l.cfg.ListenerMemory))
	old := now - int64(l.cfg.ListenerMemory)
	l.listeners.sweep(func(at int64) bool { return at >= old })
	l.pairs.sweep(func(s pairSeen) bool { return s.both >= old || s.oneSided >= old })
}

// Counts of all tables since their start.
type Counts struct {
	Truncated, Malformed, Stray, CopiesForgotten, Unread uint64

	Open   int     // flows now
	Octets int64   // that they hold
	Fill   float64 // share of what it can hold, 0 to 1
}

// Counts gives what this table has counted of single packets, and of what they said.
func (t *Table) Counts() Counts {
	return Counts{
		Truncated: t.report.truncated, Malformed: t.report.malformed, Stray: t.report.stray,
		CopiesForgotten: t.copies.evicted,
		Unread:          t.sessions.Refused(),
		Open:            t.flows.all(),
		Octets:          int64(t.flows.live)*int64(unsafe.Sizeof(Flow{})) + int64(t.flows.embryos.live)*int64(unsafe.Sizeof(embryo{})) + int64(t.flows.seeds.live)*int64(unsafe.Sizeof(seed{})) + t.flows.youths.Octets() + t.flows.restOctets() + t.held(),
		Fill:            max(float64(t.used())/(float64(t.maxFlows)*float64(t.perFlow)), float64(t.held())/float64(t.maxStore)),
	}
}

// teach reports what a flow has proved: that both directions are recorded, and
// who listens.
func (t *Table) teach(f *Flow) {
	if f.flags&toldBoth == 0 && f.bothDirections() {
		f.flags |= toldBoth
		t.teachBoth(&f.key)
	}
	if f.flags&toldListener != 0 || f.role.source < DirApp || f.flags&portsKnown == 0 {
		return
	}
	if f.key.Proto == packet.ProtoTCP && f.role.source == DirSYN && f.tcp.SYNACKs() == 0 {
		return // nobody has answered yet
	}
	f.flags |= toldListener
	t.teachListener(f.endpoint(1 - int(f.role.client)))
}

// teachBoth reports that both directions of a flow are recorded.
func (t *Table) teachBoth(k *Key) {
	if p := k.pair(); t.provesBoth(p.point, t.learned.pairs.of(p)) {
		t.report.lessons.add(&lesson{pair: p, says: seenBoth})
	}
}

// teachListener reports that an endpoint answers.
func (t *Table) teachListener(e endpoint) {
	if t.provesListener(t.learned.listeners.of(e)) {
		t.report.lessons.add(&lesson{pair: pair{a: e.addr, b: e.addr, network: e.network}, says: listensA, proto: e.proto, port: e.port})
	}
}

// provesBoth takes note that both directions of a flow of a pair are recorded at a point,
// and tells whether Learned should learn it, which knows s of the pair.
func (t *Table) provesBoth(point packet.PointID, s *pairSeen) bool {
	t.report.point(point).BothDirections = true
	t.report.bothDirections = true
	if s == nil && t.learned.pairs.len() >= t.learned.most {
		t.report.forgotten++ // there will be no room for it
		return false
	}
	return s == nil || s.both == 0 || t.now-s.both > refresh
}

// provesListener tells whether Learned should learn of an endpoint that answers, of which
// it knows when that did last.
func (t *Table) provesListener(at *int64) bool { return at == nil || t.now-*at > refresh }

// lookAt begins to load where what a SYN-ACK may teach is found, if it is known; look
// that itself, which lookAt has loaded.
func (l *Learned) lookAt(p *packet.Packet, a *Ahead, lines *pool.Lines) {
	pair, server := l.taught(p, a)
	lines.Add(l.pairs.four.at(pair))
	lines.Add(l.listeners.four.at(server))
}

func (l *Learned) look(p *packet.Packet, a *Ahead, lines *pool.Lines) {
	pair, server := l.taught(p, a)
	lines.Add(l.pairs.four.likely(pair))
	lines.Add(l.listeners.four.likely(server))
}

// taught gives the hashes of what a SYN-ACK in IPv4 teaches.
func (l *Learned) taught(p *packet.Packet, a *Ahead) (hosts, server uint64) {
	both := pair4{a: uint32(a.four.hosts), b: uint32(a.four.hosts >> 32), point: p.Point, network: p.Network}
	e := endpoint4{addr: uint32(word(p.Src[8:]) >> 32), port: p.SrcPort, network: p.Network, proto: packet.ProtoTCP}
	return both.hash(&l.pairs.four.secret), e.hash(&l.listeners.four.secret)
}

// endpoint is the end that sends in a direction.
func (f *Flow) endpoint(dir int) endpoint {
	e := endpoint{addr: f.key.A, port: f.key.PortA, network: f.key.Network, proto: f.key.Proto}
	if dir == 1 {
		e.addr, e.port = f.key.B, f.key.PortB
	}
	return e
}
