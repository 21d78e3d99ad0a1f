package path

// verdict says what became of a packet that not all points recorded.
type verdict uint8

const (
	unlocated  verdict = iota // nothing tells
	lost                      // the receiver did not get it: it was repeated before an ACK
	unanswered                // … or no ACK ever came
	arrived                   // it did
	unheard                   // nothing had come from it by then: unanswered if anything did later
)

// tally counts packets of one direction that the same sights recorded, out of
// the same that could have, with the same verdict.
type tally struct {
	next     uint32
	n        uint32
	seen, of uint8 // slots
	dir      uint8
	verdict  verdict
}

// age says why a packet is judged.
type age uint8

const (
	due   age = iota // it has waited for Window
	early            // no room, or the input ends: what is missing may still come
)

// leave judges the oldest packet and forgets it.
func (m *Matcher) leave(a age) {
	m.judge(m.recent.at(m.recent.tail), m.recent.tail, a)
	m.recent.drop()
}

// judge counts a packet that some points recorded and some did not.
func (m *Matcher) judge(e *entry, counter uint64, a age) {
	if e.flags&further != 0 || e.flags&(indexed|isSYN) == 0 {
		return
	}
	s := m.sights.At(e.first.sighting)
	if counter < s.born {
		return
	}
	c := m.conns.At(s.conn)
	seen := e.seen | 1<<s.slot
	if seen == 1<<c.n-1 {
		// Recorded everywhere. Where there is one point only, a lost SYN matters:
		// the next one may arrive at the other.
		if c.n > 1 || e.flags&isSYN == 0 {
			return
		}
	}
	of := seen
	for i := c.sights; i != 0; {
		x := m.sights.At(i)
		if seen&(1<<x.slot) == 0 && m.covers(c, i, e) {
			of |= 1 << x.slot
		}
		i = x.next
	}
	if of == seen && c.n > 1 {
		return
	}
	if a == early && m.recent.full() {
		c.lossy = true
		m.counts.Forgotten++
	}
	m.count(c, tally{n: 1, seen: seen, of: of, dir: e.dir, verdict: m.verdict(c, s, e, counter, a)})
}

// covers tells whether a sight existed when a packet that it lacks went along:
// it saw the connection open, or had matched a packet before.
func (m *Matcher) covers(c *conn, number uint32, e *entry) bool {
	x := m.sights.At(number)
	if x.flags&ended != 0 && e.now > x.endedAt {
		return false
	}
	if x.flags&opening != 0 {
		return true
	}
	p := m.findPair(c, e.first.sighting, number)
	if p == nil {
		return false
	}
	if p.a == e.first.sighting {
		return e.first.at >= p.since[0]
	}
	return e.first.at >= p.since[1]
}

// verdict finds out whether the receiver got a packet.
func (m *Matcher) verdict(c *conn, s *sighting, e *entry, counter uint64, a age) verdict {
	if e.n == 0 {
		return unlocated
	}
	var first *repeat
	gap := int64(0)
	heard, acked := false, false
	for i := c.sights; i != 0; {
		x := m.sights.At(i)
		if x.flags&(hasUna0<<e.dir) != 0 {
			heard = true
			acked = acked || !after(e.end, x.una[e.dir])
		}
		if x == s || m.findPair(c, e.first.sighting, i) != nil {
			at := e.first.at
			if x != s {
				at += m.offset(e.first.sighting, i, e.dir)
			}
			if r := m.repeats.first(x.lastRepeat, e, counter, at); r != nil && (first == nil || r.at-at < gap) {
				first, gap = r, r.at-at
			}
		}
		i = x.next
	}
	switch {
	case first != nil && first.acked:
		return arrived
	case first != nil:
		return lost
	case !heard && a == due:
		return unheard
	case !heard:
		return unlocated
	case m.needless(e):
		return unlocated // the acknowledgement was of an earlier copy
	case acked:
		return arrived
	case a == early:
		return unlocated
	}
	return unanswered
}

// needless tells whether the receiver had all of a repeat before it was sent.
func (m *Matcher) needless(e *entry) bool {
	r := m.repeats.find(e.repeat)
	return r != nil && r.acked
}

// maxTallies bounds the sorts of packets that a connection tells apart.
const maxTallies = 64

func (m *Matcher) count(c *conn, t tally) {
	kinds := 0
	for i := c.tallies; i != 0; kinds++ {
		x := m.tallies.At(i)
		if x.seen == t.seen && x.of == t.of && x.dir == t.dir && x.verdict == t.verdict {
			x.n += t.n
			return
		}
		i = x.next
	}
	if kinds >= maxTallies {
		c.lossy = true
		return
	}
	i := m.tallies.Get()
	t.next = c.tallies
	*m.tallies.At(i) = t
	c.tallies = i
}

// forget gives up a packet before it was remembered.
func (m *Matcher) forget(e *entry) {
	m.counts.Forgotten++
	m.conns.At(m.sights.At(e.first.sighting).conn).lossy = true
}
