package session

import "mirrorscope/pool"

// Rest takes a session out of the store for a while in which nobody asks for
// it: it is s then, in small numbers. What it refers to stays. Its times are told
// from last, that of the flow's latest packet, and from those of the
// connection's request. It gives a small number for Wake.
func (st *Store) Rest(n uint32, s *Session, last, reqEnd, reqAt int64) uint32 {
	if n&numberMask == 0 {
		return n
	}
	*s = *st.at(n)
	st.sessions.Put(n & numberMask)
	l := &s.line
	if reqAt == 0 {
		reqAt = l.last
	}
	below(&l.reqEnd, reqEnd)
	below(&l.first, l.since)
	below(&l.since, l.last)
	below(&l.asked, reqAt)
	below(&l.last, last)
	return n&^numberMask>>numberBits | 1
}

// Wake puts back what Rest has taken, and gives its number.
func (st *Store) Wake(n uint32, s *Session, last, reqEnd, reqAt int64) uint32 {
	if n&numberMask == 0 {
		return n
	}
	l := &s.line
	below(&l.last, last)
	if reqAt == 0 {
		reqAt = l.last
	}
	below(&l.asked, reqAt)
	below(&l.since, l.last)
	below(&l.first, l.since)
	below(&l.reqEnd, reqEnd)
	m := st.sessions.Get()
	*st.at(m) = *s
	return n&^1<<numberBits | m
}

func below(x *int64, base int64) { *x = int64(pool.Below(uint64(*x), uint64(base))) }

// numberBits are those below what a number tells of its session (numberMask),
// less one by which Rest tells that there is one.
const numberBits = 28
