package path

// sameEnds tells whether two flows are of one 5-tuple and network, in either
// role.
func (s *sighting) sameEnds(o *sighting) bool {
	if s.network != o.network || s.proto != o.proto {
		return false
	}
	return s.end0 == o.end0 && s.end1 == o.end1 && s.port0 == o.port0 && s.port1 == o.port1 ||
		s.end0 == o.end1 && s.end1 == o.end0 && s.port0 == o.port1 && s.port1 == o.port0
}

// mayJoin tells whether two sights are of one connection or can become so.
func (m *Matcher) mayJoin(o, s *sighting) bool {
	if o.conn == s.conn {
		return o.slot != s.slot
	}
	a, b := m.conns.At(o.conn), m.conns.At(s.conn)
	if a.n+b.n > maxPoints || !o.sameEnds(s) {
		return false
	}
	for i := a.sights; i != 0; i = m.sights.At(i).next {
		for j := b.sights; j != 0; j = m.sights.At(j).next {
			if m.sights.At(i).point == m.sights.At(j).point {
				return false
			}
		}
	}
	return true
}

// merge makes the connections of two sights one: that of the first.
func (m *Matcher) merge(into, from uint32) {
	ci, cj := m.sights.At(into).conn, m.sights.At(from).conn
	a, b := m.conns.At(ci), m.conns.At(cj)
	var last *sighting
	for i := b.sights; i != 0; i = last.next {
		last = m.sights.At(i)
		if b.n > 1 {
			last.born = m.recent.head // who has seen its packets is told by slots that no longer hold
		}
		last.conn = ci
		last.slot += a.n
	}
	last.next, a.sights = a.sights, b.sights
	for i := b.pairs; i != 0; {
		p := m.pairs.At(i)
		next := p.next
		p.next, a.pairs = a.pairs, i
		i = next
	}
	for i := b.tallies; i != 0; {
		t := m.tallies.At(i)
		next := t.next
		t.seen <<= a.n
		t.of <<= a.n
		t.next, a.tallies = a.tallies, i
		i = next
	}
	a.matched[0] += b.matched[0]
	a.matched[1] += b.matched[1]
	a.lossy = a.lossy || b.lossy
	a.n += b.n
	a.live += b.live
	m.conns.Put(cj)
}

// join decides at the end of a sight whether it was one of several of its
// connection. What its record then says stays true of the others.
func (m *Matcher) join(number uint32) {
	s := m.sights.At(number)
	for i := m.conns.At(s.conn).pairs; i != 0; {
		p := m.pairs.At(i)
		if p.a == number || p.b == number {
			a, b := m.sights.At(p.a), m.sights.At(p.b)
			if p.joined(a, b) && !a.alone() && !b.alone() {
				a.flags |= joined
				b.flags |= joined
			}
		}
		i = p.next
	}
	if s.flags&joined != 0 || m.conns.At(s.conn).n > 1 {
		return
	}
	if other := m.complement(number); other != 0 {
		m.merge(number, other)
		m.conns.At(s.conn).assumed = true
		s.flags |= joined
		m.sights.At(other).flags |= joined
	}
}

// alone tells whether a sight has left as a connection of its own.
func (s *sighting) alone() bool { return s.flags&(ended|joined) == ended }

// maxSameTuple bounds the search for a complement.
const maxSameTuple = 64

// complement finds the only sight of another point that recorded the other
// direction of a connection of which this one recorded one. They share no
// packet: ends and time must do, and for TCP that the one acknowledges what the
// other sent.
func (m *Matcher) complement(number uint32) (found uint32) {
	s := m.sights.At(number)
	dir, ok := s.only()
	if !ok {
		return 0
	}
	i := m.byTuple[s.tuple]
	for range maxSameTuple {
		if i == 0 {
			return found
		}
		x := m.sights.At(i)
		other, one := x.only()
		if one && other != dir && x.point != s.point && x.sameEnds(s) && m.conns.At(x.conn).n == 1 &&
			x.first-s.last <= m.window && s.first-x.last <= m.window && s.answers(x, other) && x.answers(s, dir) {
			if found != 0 {
				return 0
			}
			found = i
		}
		i = x.older
	}
	return 0
}

// only is the direction of a sight that recorded one.
func (s *sighting) only() (dir int, ok bool) {
	if s.packets[0] > 0 && s.packets[1] > 0 {
		return 0, false
	}
	if s.packets[0] > 0 {
		return 0, true
	}
	return 1, true
}

// near bounds how far an acknowledgement may be from the end of what it
// acknowledges: what is in flight, or was missed.
const near = 1 << 24

// answers tells whether what s acknowledged can be what x sent.
func (s *sighting) answers(x *sighting, dir int) bool {
	if s.flags&(hasUna0<<dir) == 0 || x.flags&(hasHi0<<dir) == 0 {
		return true
	}
	gap := int32(s.una[dir] - x.hi[dir])
	return -near < gap && gap < near
}

// unlist takes a sight out of those of its 5-tuple.
func (m *Matcher) unlist(number uint32) {
	s := m.sights.At(number)
	if s.older != 0 {
		m.sights.At(s.older).newer = s.newer
	}
	switch {
	case s.newer != 0:
		m.sights.At(s.newer).older = s.older
	case s.older != 0:
		m.byTuple[s.tuple] = s.older
	default:
		delete(m.byTuple, s.tuple)
	}
	s.older, s.newer = 0, 0
}
