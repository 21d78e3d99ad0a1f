package path

import "mirrorscope/packet"

// A table does not tell of a young connection as long as it is the only flow of its
// 5-tuple. When it tells, all that Packet would have found is found, with one
// difference: what is young enough to be compared lies behind what came meanwhile,
// and waits for that to be judged.

// Watches tells whether a sight is known whose 5-tuple has a hash.
func (m *Matcher) Watches(tuple uint64) bool { return len(m.byTuple) > 0 && m.byTuple[tuple] != 0 }

// Late takes a packet that a flow counted when it was the only one of its 5-tuple.
// now is the input's clock, behind all that Packet took.
func (m *Matcher) Late(n uint32, p *packet.Packet, dir int, now int64) {
	m.advance(now)
	m.judgeOverdue(p.Now)
	clock := m.now
	m.now = p.Now
	var e entry
	if s, again, acked := m.observe(n, p, uint8(dir), &e); s != nil {
		switch {
		case uint64(clock)-uint64(p.Now) < uint64(m.window):
			m.remember(s, &e, again, acked)
		case e.flags&isSYN != 0:
			m.overdue = append(m.overdue, e) // the rest of a lone sight is not judged
		}
	}
	m.now = clock
}

// Told follows the packets of a flow that Late takes.
func (m *Matcher) Told() { m.judgeOverdue(m.now) }

// judgeOverdue judges those packets that would have been judged by now, with what
// was known of their flow then.
func (m *Matcher) judgeOverdue(now int64) {
	for len(m.overdue) > 0 && uint64(now)-uint64(m.overdue[0].now) >= uint64(m.window) {
		e := &m.overdue[0]
		m.judge(e, m.sights.At(e.first.sighting).born, due)
		m.overdue = append(m.overdue[:0], m.overdue[1:]...)
	}
}
