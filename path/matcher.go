package path

import (
	"math"
	"time"
	"unsafe"

	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/packet"
	"mirrorscope/pool"
)

// Config bounds a Matcher.
type Config struct {
	Memory int64         // octets that all partitions together may use
	Window time.Duration // two records of one packet lie apart by less
}

// DefaultConfig gives the constants of the specification and 128 MiB.
func DefaultConfig() Config { return Config{Memory: 128 << 20, Window: 2 * time.Second} }

// Counts are what a Matcher could not compare for lack of memory.
type Counts struct {
	Unwatched uint64 // flows not followed: they count as connections of their own
	Forgotten uint64 // packets forgotten before they could be judged
}

// Matcher finds the connections that several points recorded among the flows
// of one table. It is a flow.Watcher, owned by the table's goroutine.
type Matcher struct {
	window   int64
	maxSeen  int // sights at a time
	now      int64
	recent   recent
	repeats  repeats
	byFlow   []uint32          // sight of each flow number
	byTuple  map[uint64]uint32 // newest sight that has not ended, by hash of its 5-tuple
	sights   pool.Pool[sighting]
	conns    pool.Pool[conn]
	pairs    pool.Pool[pair]
	tallies  pool.Pool[tally]
	hists    pool.Pool[histogram.Histogram]
	counts   Counts
	finished []Connection
	overdue  []entry // of Late: SYNs that are to be judged before what is newer by window
}

// sighting is one flow of the table, as part of a connection.
type sighting struct {
	end0, end1   packet.Addr // of its key
	port0, port1 uint16
	network      packet.NetworkID
	point        packet.PointID
	conn         uint32
	next         uint32 // sight of the same connection
	tuple        uint64 // hash of the 5-tuple
	older, newer uint32 // sights of that hash
	first, last  int64  // the input's clock at the first packet and the latest
	born         uint64 // counter in recent: entries before are of an earlier use
	lastRepeat   uint64 // counter + 1 of its latest note
	lastEntry    uint64 // counter + 1 of its latest packet in recent, until it is paired
	endedAt      int64
	record       *flow.Record // once it has ended
	packets      [2]uint32
	una, hi      [2]uint32 // by direction: highest ACK of it, end of the highest octet
	longest      [2]uint32 // payload
	slot         uint8     // in its connection
	proto        uint8
	flags        sightFlags
}

type sightFlags uint8

const (
	hasUna0 sightFlags = 1 << iota
	hasUna1
	hasHi0
	hasHi1
	opening // its first packet began the connection
	ended
	joined // its record says that a path follows
	paired // there was another sight of its 5-tuple: its packets are in the index
)

// conn is a connection, of one sight or several.
type conn struct {
	sights  uint32 // newest first
	pairs   uint32
	tallies uint32
	matched [2]uint32
	n       uint8 // sights; slots [0, n) are in use
	live    uint8 // that have not ended
	lossy   bool  // packets of it were forgotten unjudged
	assumed bool  // its two sights share no packet, but complement each other
}

// NewMatcher makes the matcher of one of the flow.Partitions.
func NewMatcher(c Config) *Matcher {
	m := &Matcher{window: int64(c.Window), now: math.MinInt64}
	share := c.Memory / flow.Partitions
	m.recent.init(share / 2)
	m.maxSeen = int(max(share/2/int64(unsafe.Sizeof(sighting{})+unsafe.Sizeof(conn{})+unsafe.Sizeof(flow.Record{})), 16))
	m.byTuple = make(map[uint64]uint32)
	return m
}

// Packet takes a packet that a flow counted.
func (m *Matcher) Packet(n uint32, p *packet.Packet, dir int) {
	m.advance(p.Now)
	var e entry
	if s, again, acked := m.observe(n, p, uint8(dir), &e); s != nil {
		m.remember(s, &e, again, acked)
	}
}

// observe counts a packet that came by now, and makes e of it. It gives the sight
// of the flow, or nil if there is nothing to remember; whether the packet repeats
// what was there, and whether the receiver had that already.
func (m *Matcher) observe(n uint32, p *packet.Packet, d uint8, e *entry) (s *sighting, again, acked bool) {
	number := m.sight(n, p)
	if number == 0 {
		return nil, false, false
	}
	s = m.sights.At(number)
	s.packets[d]++
	s.last = m.now
	s.longest[d] = max(s.longest[d], p.PayloadLen)
	if p.Flags&packet.HeaderCut != 0 || uint64(m.now)-uint64(p.Time) > uint64(m.window) {
		return nil, false, false // nothing to compare, or a clock that went back
	}
	*e = entry{print: prints.fingerprint(p, int(d)), now: m.now, dir: d, first: sight{at: p.Time, sighting: number, ttl: p.TTL}}
	if p.Proto == packet.ProtoTCP {
		again, acked = s.sequence(p, d, e)
	}
	return s, again, acked
}

// remember compares a packet, or keeps it to be compared.
func (m *Matcher) remember(s *sighting, e *entry, again, acked bool) {
	var at uint64
	ok := false
	if s.flags&paired != 0 {
		at, ok = m.match(e)
	}
	if !ok {
		at, ok = m.enter(s, e)
	}
	if again && ok {
		m.note(s, at, e, acked)
	}
}

// sequence follows TCP's sequence space, and tells whether the packet repeats
// some of it, and whether the receiver had that already.
func (s *sighting) sequence(p *packet.Packet, d uint8, e *entry) (again, acked bool) {
	t := &p.TCP
	if p.Flags&packet.BadHeader != 0 {
		return false, false
	}
	if t.Flags&packet.ACK != 0 && t.Flags&packet.RST == 0 {
		r := 1 - d
		if s.flags&(hasUna0<<r) == 0 || after(t.Ack, s.una[r]) {
			s.una[r] = t.Ack
			s.flags |= hasUna0 << r
		}
	}
	if t.Flags&packet.RST != 0 {
		return false, false
	}
	if t.Flags&packet.SYN != 0 {
		e.flags |= isSYN
	}
	e.end, e.n = space(p)
	if e.n == 0 {
		return false, false
	}
	again = s.flags&(hasHi0<<d) != 0 && after(s.hi[d], e.end-e.n)
	acked = s.flags&(hasUna0<<d) != 0 && !after(e.end, s.una[d])
	if s.flags&(hasHi0<<d) == 0 || after(e.end, s.hi[d]) {
		s.hi[d] = e.end
		s.flags |= hasHi0 << d
	}
	return again, acked
}

// note remembers that a packet repeats what its sight had passed. What one
// point knows of the receiver holds for the same packet at another.
func (m *Matcher) note(s *sighting, at uint64, e *entry, acked bool) {
	first := m.recent.at(at)
	if x := m.repeats.find(first.repeat); x != nil {
		acked = acked || x.acked
		x.acked = acked
	}
	s.lastRepeat = m.repeats.add(repeat{at: e.first.at, packet: at, before: s.lastRepeat, end: e.end, n: e.n, dir: e.dir, acked: acked}) + 1
	first.repeat = s.lastRepeat
}

// sight gives the sight of a flow, a new one with its first packet; 0 when
// there is no room.
func (m *Matcher) sight(n uint32, p *packet.Packet) uint32 {
	for int(n) >= len(m.byFlow) {
		m.byFlow = append(m.byFlow, make([]uint32, max(64, int(n)))...)
	}
	if number := m.byFlow[n]; number != 0 {
		return number
	}
	if m.sights.InUse() >= m.maxSeen {
		m.counts.Unwatched++
		return 0
	}
	number, c := m.sights.GetZero(), m.conns.GetZero()
	s := m.sights.At(number)
	*s = sighting{
		end0: p.Src, end1: p.Dst, port0: p.SrcPort, port1: p.DstPort, network: p.Network, proto: p.Proto, point: p.Point,
		conn: c, born: m.recent.head, tuple: p.Hash, first: m.now, older: m.byTuple[p.Hash],
	}
	if s.older != 0 {
		m.sights.At(s.older).newer = number
		s.flags |= paired
		m.pairUp(m.sights.At(s.older))
	}
	m.byTuple[p.Hash] = number
	if p.Proto == packet.ProtoTCP && p.TCP.Flags&packet.SYN != 0 {
		s.flags |= opening
	}
	*m.conns.At(c) = conn{sights: number, n: 1, live: 1}
	m.byFlow[n] = number
	return number
}

// match finds a packet that another point recorded, and joins the two sights.
// Of several that are alike it takes the one whose time fits best.
func (m *Matcher) match(e *entry) (at uint64, ok bool) {
	number := e.first.sighting
	s := m.sights.At(number)
	var best *entry
	var bestGap int64
	for w := m.recent.search(e.print); ; {
		x, counter := m.recent.next(&w)
		if x == nil {
			break
		}
		if x.flags&further != 0 {
			continue
		}
		o := m.sights.At(x.first.sighting)
		if counter < o.born || x.seen&(1<<s.slot) != 0 && o.conn == s.conn || !m.mayJoin(o, s) {
			continue
		}
		gap := e.first.at - x.first.at - m.offset(x.first.sighting, number, e.dir)
		if gap < 0 {
			gap = -gap
		}
		if gap <= m.window && (best == nil || gap < bestGap) {
			best, bestGap, at = x, gap, counter
		}
	}
	if best == nil {
		return 0, false
	}
	if o := m.sights.At(best.first.sighting); o.conn != s.conn {
		// What a lone sight has recorded, no slot has seen: it can take any.
		if m.conns.At(o.conn).n > 1 {
			m.merge(best.first.sighting, number)
		} else {
			m.merge(number, best.first.sighting)
		}
	}
	m.compare(&best.first, &e.first, e.dir)
	if best.seen == 0 {
		best.second = e.first
		m.conns.At(s.conn).matched[e.dir]++
	} else {
		m.compare(&best.second, &e.first, e.dir)
	}
	third := best.seen != 0
	best.seen |= 1 << s.slot
	if third {
		m.compareFurther(at, e) // best may move
	}
	return at, true
}

// compareFurther compares the record of a third or later point with those
// behind the second, and remembers it for those to come.
func (m *Matcher) compareFurther(at uint64, e *entry) {
	for w := m.recent.search(e.print); ; {
		x, counter := m.recent.next(&w)
		if x == nil {
			break
		}
		if x.flags&further != 0 && x.repeat == at && counter >= m.sights.At(x.first.sighting).born {
			m.compare(&x.first, &e.first, e.dir)
		}
	}
	f := *e
	f.flags |= further
	f.repeat = at
	m.enter(m.sights.At(e.first.sighting), &f)
}

// compare notes two records of a packet with the pair of their sights.
func (m *Matcher) compare(x, y *sight, dir uint8) {
	p := m.pair(x.sighting, y.sighting)
	if p.a != x.sighting {
		x, y = y, x
	}
	p.add(x, y, dir, m.hists.At(p.hist))
}

// pair gives the pair of two sights of one connection, a new one if need be.
func (m *Matcher) pair(a, b uint32) *pair {
	c := m.conns.At(m.sights.At(a).conn)
	if p := m.findPair(c, a, b); p != nil {
		return p
	}
	i := m.pairs.Get()
	p := m.pairs.At(i)
	*p = pair{a: a, b: b, next: c.pairs, hist: m.hists.Get()}
	c.pairs = i
	return p
}

func (m *Matcher) findPair(c *conn, a, b uint32) *pair {
	for i := c.pairs; i != 0; {
		p := m.pairs.At(i)
		if p.a == a && p.b == b || p.a == b && p.b == a {
			return p
		}
		i = p.next
	}
	return nil
}

// offset is the difference that record times of two sights should have.
func (m *Matcher) offset(from, to uint32, dir uint8) int64 {
	s := m.sights.At(from)
	if s.conn != m.sights.At(to).conn {
		return 0
	}
	p := m.findPair(m.conns.At(s.conn), from, to)
	if p == nil {
		return 0
	}
	if p.a == from {
		return p.expected(dir)
	}
	return -p.expected(dir)
}

// enter remembers a packet until it can be judged.
func (m *Matcher) enter(s *sighting, e *entry) (at uint64, ok bool) {
	r := &m.recent
	if s.flags&paired != 0 {
		if r.alike(e.print) {
			m.forget(e)
			return 0, false
		}
		e.flags |= indexed
	}
	if r.full() {
		m.leave(early)
	}
	if s.flags&paired == 0 {
		if back := r.head - (s.lastEntry - 1); s.lastEntry > r.tail {
			e.back = uint32(back)
		}
		s.lastEntry = r.head + 1
	}
	return r.add(e), true
}

// pairUp makes the packets of a sight known that was the only one of its
// 5-tuple.
func (m *Matcher) pairUp(s *sighting) {
	if s.flags&paired != 0 {
		return
	}
	s.flags |= paired
	r := &m.recent
	for next := s.lastEntry; next > r.tail; {
		counter := next - 1
		e := r.at(counter)
		if r.alike(e.print) {
			m.forget(e)
		} else {
			e.flags |= indexed
			r.enter(e.print, counter)
		}
		if e.back == 0 {
			break
		}
		next -= uint64(e.back)
	}
}

// advance moves the clock on, and judges what is old enough.
func (m *Matcher) advance(now int64) {
	m.now = max(m.now, now)
	for r := &m.recent; r.tail != r.head && uint64(m.now)-uint64(r.at(r.tail).now) >= uint64(m.window); {
		m.leave(due)
	}
}

// End takes the record of a flow that is released, and marks it if a path will
// tell of its connection.
func (m *Matcher) End(n uint32, r *flow.Record) {
	if int(n) >= len(m.byFlow) || m.byFlow[n] == 0 {
		return
	}
	number := m.byFlow[n]
	m.byFlow[n] = 0
	if r.Release != math.MaxInt64 {
		m.advance(r.Release)
	}
	m.join(number)
	m.unlist(number)
	s := m.sights.At(number)
	c := m.conns.At(s.conn)
	s.flags |= ended
	s.endedAt = m.now
	c.live--
	if s.flags&joined != 0 {
		r.Joined = true
		s.record = new(flow.Record)
		*s.record = *r
		s.record.DropReport() // it is lent, and never asked for
	}
	if c.live == 0 {
		m.resolve(s.conn, r)
	}
}

// Drain judges all packets at the end of the input, or when the watch ends.
func (m *Matcher) Drain(now int64) {
	m.advance(now)
	for m.recent.tail != m.recent.head {
		m.leave(early)
	}
}

// Take hands over the connections that have ended since, in no order.
func (m *Matcher) Take(buf []Connection) []Connection {
	out := m.finished
	m.finished = buf[:0]
	return out
}

// Reset forgets all flows: they were recorded at one point, and go on unseen.
func (m *Matcher) Reset() {
	m.recent.clear()
	for n, number := range m.byFlow {
		if number == 0 {
			continue
		}
		m.byFlow[n] = 0
		m.unlist(number)
		s := m.sights.At(number)
		s.flags |= ended
		c := m.conns.At(s.conn)
		if c.live--; c.live == 0 {
			m.free(s.conn)
		}
	}
}

// Counts tells what was not compared.
func (m *Matcher) Counts() Counts { return m.counts }

// free gives back all that belongs to a connection.
func (m *Matcher) free(number uint32) {
	c := m.conns.At(number)
	for i := c.sights; i != 0; {
		next := m.sights.At(i).next
		m.sights.At(i).record = nil
		m.sights.At(i).born = math.MaxUint64
		m.sights.Put(i)
		i = next
	}
	for i := c.pairs; i != 0; {
		p := m.pairs.At(i)
		m.hists.At(p.hist).Reset()
		m.hists.Put(p.hist)
		m.pairs.Put(i)
		i = p.next
	}
	for i := c.tallies; i != 0; {
		next := m.tallies.At(i).next
		m.tallies.Put(i)
		i = next
	}
	m.conns.Put(number)
}
