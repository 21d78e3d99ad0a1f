package pipeline

import (
	"math/bits"

	"mirrorscope/flow"
)

// merger puts records in order. What a table plans to tell comes in order, so
// that its lists are a run each, as a rule, and all that is left is to merge runs.
// It gives out one record at a time, by a tree of losers: on the way up from where
// the latest came from, each is compared with the one that has lost there before.
type merger struct {
	runs []part // as many as a power of two
	tree []seat // who lost, as in a heap whose leaves would be all runs
	won  seat
}

// part is a part of a list that is in order.
type part struct {
	at, end uint32 // the first record, and behind the last
	small   bool   // they are the list's flow.Lone
	list    *flow.Records
}

// seat is the first record of a run, by what tells most of them apart.
type seat struct {
	release, start int64
	kind           flow.Kind
	run            uint32
}

// noKind is that of a run without records. It comes behind all.
const noKind flow.Kind = 255

// first gives the first record of a run.
func (p *part) first(run uint32) seat {
	switch {
	case p.at == p.end:
		return seat{flow.EndOfInput, 0, noKind, run}
	case p.small:
		l := p.list.Lone(int(p.at))
		return seat{l.Release(), l.Start(), flow.Connection, run}
	}
	r := p.list.At(int(p.at))
	return seat{r.Release, r.Start, r.Kind, run}
}

func (p *part) place() flow.Place {
	if p.small {
		return p.list.Lone(int(p.at)).Place()
	}
	return p.list.At(int(p.at)).Place()
}

// before tells whether a record comes before another. x and y have it first.
func (s *seat) before(o *seat, x, y *part) bool {
	switch {
	case s.release != o.release:
		return s.release < o.release
	case s.kind != o.kind:
		return s.kind < o.kind
	case s.start != o.start:
		return s.start < o.start
	case s.kind == noKind:
		return false
	}
	a, b := x.place(), y.place()
	c := a.Compare(&b)
	return c < 0 || c == 0 && s.run < o.run
}

// begin takes lists, which must stay until all was given out.
func (m *merger) begin(lists []flow.Records) {
	m.runs = m.runs[:0]
	for i := range lists {
		m.add(part{list: &lists[i]}, lists[i].Len())
		m.add(part{list: &lists[i], small: true}, lists[i].Lones())
	}
	leaves := 1 << bits.Len(uint(max(len(m.runs), 2)-1))
	for len(m.runs) < leaves {
		m.runs = append(m.runs, part{})
	}
	if len(m.tree) != leaves {
		m.tree = make([]seat, leaves)
	}
	m.won = m.play(1)
}

// add adds a list of n records, as runs.
func (m *merger) add(p part, n int) {
	var s seat
	for p.end = uint32(n); p.at < p.end; p.at++ {
		last, was := p, s
		last.at--
		if s = p.first(0); p.at == 0 || s.before(&was, &p, &last) {
			m.runs = append(m.runs, p)
		}
		m.runs[len(m.runs)-1].end = p.at + 1
	}
}

// play finds the winner below a node.
func (m *merger) play(node int) seat {
	if run := node - len(m.tree); run >= 0 {
		return m.runs[run].first(uint32(run))
	}
	a, b := m.play(2*node), m.play(2*node+1)
	if m.beats(&b, &a) {
		a, b = b, a
	}
	m.tree[node] = b
	return a
}

func (m *merger) beats(a, b *seat) bool { return a.before(b, &m.runs[a.run], &m.runs[b.run]) }

// next gives the record that comes next, whole or small; neither at the end.
func (m *merger) next() (whole *flow.Record, small *flow.Lone) {
	w := m.won
	p := &m.runs[w.run]
	switch {
	case w.kind == noKind:
		return nil, nil
	case p.small:
		small = p.list.Lone(int(p.at))
	default:
		whole = p.list.At(int(p.at))
	}
	p.at++
	w = p.first(w.run)
	for node := (len(m.tree) + int(w.run)) / 2; node > 0; node /= 2 {
		l := &m.tree[node]
		var first bool
		switch {
		case l.release != w.release:
			first = l.release < w.release
		case l.kind == w.kind && l.start != w.start:
			first = l.start < w.start
		default:
			first = m.beats(l, &w)
		}
		if first {
			*l, w = w, *l
		}
	}
	m.won = w
	return whole, small
}
