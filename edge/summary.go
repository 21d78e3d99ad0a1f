package edge

import (
	"cmp"
	"slices"

	"mirrorscope/flow"
)

// Len is how many conversations there are. They have numbers from 0 on, in the
// order in which they became known.
func (s *Summary) Len() int { return s.conversations.n }

// Bytes is what both sides of a conversation sent, in IP octets.
func (s *Summary) Bytes(i int) int64 { return *s.conversations.bytes(i) }

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
	handshake, times, points, spare := v.Handshake, v.Times, v.Points[:0], v.spareTLS
	handshake.Reset()
	if v.TLS != nil {
		spare = v.TLS
		spare.reset()
	}
	*v = Conversation{Handshake: handshake, Points: points, spareTLS: spare}
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
	all, packed := traits(0), traits(0) // of all entries, of those that are packed
	networks, points := uint32(0), uint32(0)
	for some := range x.entries {
		for i := range some {
			e := &some[i]
			networks |= uint32(e.Network ^ first.Network)
			points |= uint32(e.point ^ first.point)
			all |= e.traits
			if e.whole == 0 {
				packed |= e.traits
			}
			if e.whole|e.names != 0 {
				x.common(e, &c)
			}
		}
	}
	c.Networks, c.Points = networks != 0, all&several != 0 || points != 0
	c.Tried, c.TLS = c.Tried || packed&tried != 0, c.TLS || packed&secure != 0
	return c
}

// common adds what an entry has that holds more than packed connections.
func (s *store) common(e *entry, c *Common) {
	if e.whole == 0 {
		n := s.names.At(e.names)
		c.Names = c.Names || n.sni != "" || n.ends[flow.Server] != ""
		return
	}
	v := s.whole[e.whole-1]
	c.Tried = c.Tried || v.Tried()
	c.Names = c.Names || v.Name() != ""
	c.TLS = c.TLS || v.TLS != nil
}

// Octets is the sum of Bytes.
func (s *Summary) Octets() (n int64) {
	for i := range s.conversations.n {
		n += s.Bytes(i)
	}
	return n
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
	i := 0
	for some := range x.entries {
		for k := range some {
			e, bytes := &some[k], s.Bytes(i)
			switch last := rows.last(); {
			case order != ByBytes:
				rows.add(row{order.of(s.expand(i, &scratch)), bytes, i})
			case last == nil || bytes > last.bytes || bytes == last.bytes && compareKeys(&e.Key, &x.at(last.i).Key) < 0:
				rows.add(row{bytes: bytes, i: i})
			}
			i++
		}
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
	i := -1
	for some := range x.entries {
		for k := range some {
			if i++; some[k].traits&suspect == 0 {
				continue
			}
			j.c = s.expand(i, &scratch)
			if v := j.verdict(); v.Who != Nobody || v.Weight > 0 || len(v.Also) > 0 {
				all++
				rows.add(ranked{i, s.Bytes(i), v.Weight, v.Who == Capture, v.Failures})
			}
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

// last gives a value which those that are taken must not be behind; nil while all are
// taken.
func (f *first[T]) last() *T {
	if !f.full {
		return nil
	}
	return &f.kept[f.limit-1]
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
