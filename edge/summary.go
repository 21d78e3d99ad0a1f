package edge

import (
	"cmp"
	"slices"

	"mirrorscope/flow"
	"mirrorscope/packet"
)

// Len is how many conversations there are. They have numbers from 0 on, in the
// order in which they became known.
func (s *Summary) Len() int { return s.conversations.n }

// Bytes is what both sides of a conversation sent, in IP octets.
func (s *Summary) Bytes(i int) int64 { return s.conversations.at(i).bytes }

// Conversation gives all of one. It is made for the caller, or shared with the
// Summary.
func (s *Summary) Conversation(i int) *Conversation {
	return s.expand(i, new(Conversation))
}

// expand gives a conversation, in v if it has to be made.
func (s *Summary) expand(i int, v *Conversation) *Conversation {
	e := s.conversations.at(i)
	if e.whole != 0 {
		v = s.conversations.whole[e.whole-1]
		if v.Unanswered != nil {
			v.Unanswered.Until = s.until
		}
		return v
	}
	v.reset()
	v.Key = e.Key
	s.conversations.sum(e, v)
	return v
}

// reset empties a conversation that Summary.expand has filled. Its memory is used
// again.
func (v *Conversation) reset() {
	handshake, times, points := v.Handshake, v.Times, v.Points[:0]
	handshake.Reset()
	*v = Conversation{Handshake: handshake, Points: points}
	if times != nil {
		for _, h := range times.all() {
			h.Reset()
		}
		times.AtMost, times.Doubtful = false, false
		v.Times = times
	}
}

// Common tells what some conversations have, which decides how they are shown.
type Common struct {
	Networks bool // there are several
	Points   bool // some were seen at several observation points, or not all at the same
	Names    bool // a server has a name
	TLS      bool
	Tried    bool // something was asked, or failed before
}

// Common looks at all conversations.
func (s *Summary) Common() (c Common) {
	x := &s.conversations
	if x.n == 0 {
		return c
	}
	first := x.at(0)
	var packed traits // of any
	network, point := packet.NetworkID(0), packet.PointID(0)
	for i := range x.n {
		e := x.at(i)
		network |= e.Network ^ first.Network
		point |= e.point ^ first.point
		c.Points = c.Points || e.traits&several != 0
		if e.whole|e.names == 0 {
			packed |= e.traits
			continue
		}
		if e.whole == 0 {
			packed |= e.traits
			n := x.names.At(e.names)
			c.Names = c.Names || n.sni != "" || n.ends[flow.Server] != ""
			continue
		}
		v := x.whole[e.whole-1]
		c.Tried = c.Tried || v.Tried()
		c.Names = c.Names || v.Name() != ""
		c.TLS = c.TLS || v.TLS != nil
	}
	c.Networks, c.Points = network != 0, c.Points || point != 0
	c.Tried, c.TLS = c.Tried || packed&tried != 0, c.TLS || packed&secure != 0
	return c
}

// Sorted gives the numbers of the first conversations in an order, so many of
// them; 0: all. What is equal is in order of the key, so that the same input gives
// the same rows.
func (s *Summary) Sorted(order Order, limit int) []int {
	x := &s.conversations
	type row struct {
		value
		bytes int64
		i     int
	}
	rows := first[row]{limit: limit, compare: func(a, b *row) int {
		switch {
		case a.n != b.n:
			return cmp.Compare(b.n, a.n)
		case a.x != b.x:
			return cmp.Compare(b.x, a.x)
		case a.bytes != b.bytes:
			return cmp.Compare(b.bytes, a.bytes)
		}
		return compareKeys(&x.at(a.i).Key, &x.at(b.i).Key)
	}}
	var scratch Conversation
	for i := range x.n {
		r := row{bytes: x.at(i).bytes, i: i}
		if order != ByBytes {
			r.value = order.of(s.expand(i, &scratch))
		}
		rows.add(r)
	}
	var all []int
	for _, r := range rows.sorted() {
		all = append(all, r.i)
	}
	return all
}

// Worst gives the first n conversations whose verdict points at somebody, and how
// many more there are. Those with the most that failed or was slow come first, and
// last those of which the capture holds too little.
func (s *Summary) Worst(n int) (worst []Judged, more int) {
	x := &s.conversations
	rows := first[ranked]{limit: n, compare: func(a, b *ranked) int {
		if c := a.compare(b); c != 0 {
			return c
		}
		return compareKeys(&x.at(a.i).Key, &x.at(b.i).Key)
	}}
	all := 0
	var scratch Conversation
	j := judge{brief: true}
	for i := range x.n {
		if x.at(i).traits&suspect == 0 {
			continue
		}
		j.c = s.expand(i, &scratch)
		if v := j.verdict(); v.Who != Nobody || v.Weight > 0 || len(v.Also) > 0 {
			all++
			rows.add(ranked{i, x.at(i).bytes, v.Weight, v.Who == Capture, v.Failures})
		}
	}
	for _, r := range rows.sorted() {
		c := s.Conversation(r.i)
		worst = append(worst, Judged{c, c.Verdict()})
	}
	return worst, all - len(worst)
}

// first keeps the first values of many, in an order that tells all of them apart.
type first[T any] struct {
	limit   int // 0: all
	compare func(a, b *T) int
	kept    []T
	full    bool // kept has been cut to the limit, and is in order
	next    T    // scratch: what compare is given would else be a new one each time
}

// add takes a value. Now and then, those that are not among the first leave.
func (f *first[T]) add(v T) {
	if f.full {
		if f.next = v; f.compare(&f.next, &f.kept[f.limit-1]) > 0 {
			return
		}
	}
	f.kept = append(f.kept, v)
	if f.limit > 0 && len(f.kept) >= 2*f.limit+256 {
		f.sorted()
		f.full = true
	}
}

// sorted gives what is kept, in order.
func (f *first[T]) sorted() []T {
	slices.SortFunc(f.kept, func(a, b T) int { return f.compare(&a, &b) })
	if f.limit > 0 {
		f.kept = f.kept[:min(len(f.kept), f.limit)]
	}
	return f.kept
}

// Judged is a conversation with its verdict.
type Judged struct {
	*Conversation
	Verdict Verdict
}

// ranked is what Worst sorts a verdict by.
type ranked struct {
	i             int
	bytes, weight int64
	lossy, fails  bool
}

func (a *ranked) compare(b *ranked) int {
	last := func(is bool) int {
		if is {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(last(a.lossy), last(b.lossy)), cmp.Compare(b.weight, a.weight), cmp.Compare(last(!a.fails), last(!b.fails)), cmp.Compare(b.bytes, a.bytes))
}
