package path

import (
	"slices"

	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/tcp"
)

// losses spreads the tallies over the points and segments, now that the order
// of the points is known.
func (m *Matcher) losses(c *conn, all []placed, x *Connection, fromClient uint8) {
	ambiguous := make([][2]bool, len(x.Segments))
	for i := c.tallies; i != 0; {
		t := m.tallies.At(i)
		i = t.next
		side := flow.Side(t.dir ^ fromClient)
		alone := t.of&(t.of-1) == 0
		l := locator{all: all, side: side, t: t, alone: alone}
		if t.verdict == unheard {
			t.verdict = unlocated
			if l.heard() {
				t.verdict = unanswered
			}
		}
		l.locate(x, ambiguous)
	}
	for i := range x.Segments {
		a, b := &all[i], &all[i+1]
		for _, side := range [...]flow.Side{flow.Client, flow.Server} {
			l := &x.Segments[i].Loss[side]
			l.State = tcp.Measured
			switch {
			case a.r.Sent[a.side(side)].Packets == 0 || b.r.Sent[b.side(side)].Packets == 0:
				*l = Loss{Quality: Quality{tcp.Unknown, tcp.OneSided}}
				continue
			case recut(all, fromClient^uint8(side)):
				*l = Loss{Quality: Quality{tcp.Unknown, tcp.Offload}}
				continue
			case x.Points[i].Missed[side] > 0 || x.Points[i+1].Missed[side] > 0:
				l.State = tcp.Ambiguous
				l.Reasons |= tcp.CaptureLoss
			}
			unnumbered := x.Proto != packet.ProtoTCP && l.Unlocated > 0
			if unnumbered || !l.agrees(a, b, side) || ambiguous[i][side] || c.lossy || x.Order.State != tcp.Measured {
				l.State = tcp.Ambiguous
			}
		}
	}
	for _, side := range [...]flow.Side{flow.Client, flow.Server} {
		if recut(all, fromClient^uint8(side)) {
			for i := range x.Points {
				x.Points[i].Missed[side] = NotKnown
			}
		}
	}
}

// recut tells whether the segments of a direction were joined or cut between
// the points (segmentation offload): then their packets cannot be compared.
func recut(all []placed, dir uint8) bool {
	low, high := ^uint32(0), uint32(0)
	for _, s := range all {
		if n := s.longest[dir]; n > 0 {
			low, high = min(low, n), max(high, n)
		}
	}
	return low < high && high > standardPayload
}

// standardPayload is the most that a packet without offload carries over
// Ethernet.
const standardPayload = 1460

// locator finds the places where the packets of one tally were lost or missed.
type locator struct {
	all   []placed
	side  flow.Side
	t     *tally
	alone bool
}

// at gives the n-th sight on the way of the packets.
func (l *locator) at(n int) int {
	if l.side == flow.Server {
		return len(l.all) - 1 - n
	}
	return n
}

// expected tells whether a sight should have recorded the packets.
func (l *locator) expected(i int) bool {
	s := &l.all[i]
	if s.r.Sent[s.side(l.side)].Packets == 0 {
		return false
	}
	return l.t.of&(1<<s.slot) != 0 || l.alone && s.flags&opening != 0
}

// heard tells whether any sight recorded the other side.
func (l *locator) heard() bool {
	return slices.ContainsFunc(l.all, func(s placed) bool { return s.packets[1-l.t.dir] > 0 })
}

func (l *locator) locate(x *Connection, ambiguous [][2]bool) {
	n := int64(l.t.n)
	farthest := -1
	for i := range l.all {
		if l.t.seen&(1<<l.all[l.at(i)].slot) != 0 {
			farthest = i
		}
	}
	if farthest < 0 {
		return
	}
	for i := range farthest {
		if at := l.at(i); l.expected(at) && l.t.seen&(1<<l.all[at].slot) == 0 {
			x.Points[at].Missed[l.side] += n
		}
	}
	for i := farthest + 1; i < len(l.all); i++ {
		at := l.at(i)
		if !l.expected(at) {
			continue
		}
		segment := min(at, l.at(farthest))
		if l.side == flow.Server {
			segment = l.at(farthest) - 1
		}
		switch l.t.verdict {
		case arrived:
			x.Points[at].Missed[l.side] += n
			continue
		case lost, unanswered:
			loss := &x.Segments[segment].Loss[l.side]
			loss.Lost += n
			if l.t.verdict == unanswered {
				loss.unanswered += n
			}
			// Past a point that could not record them it may have been either segment.
			ambiguous[segment][l.side] = ambiguous[segment][l.side] || i != farthest+1
		default:
			x.Segments[segment].Loss[l.side].Unlocated += n
		}
		return
	}
}

// agrees compares the count with what the two points make of it each alone: a
// packet lost between them has its repeat judged as lost behind the point
// before, and as lost before the point behind. One of the two differences must
// be the count: what is lost at the end of a flight leaves no hole behind, and
// capture loss hides originals.
func (l *Loss) agrees(a, b *placed, side flow.Side) bool {
	if !a.r.HasTCP || !b.r.HasTCP {
		return true
	}
	if side == flow.Server {
		a, b = b, a
	}
	up, down := &a.r.TCP.Sides[a.side(side)].Retransmits, &b.r.TCP.Sides[b.side(side)].Retransmits
	// Of those that nothing answered within the window, some are repeated later.
	fits := func(n int64) bool { return l.Lost-l.unanswered <= n && n <= l.Lost }
	return fits(up.LostAfter-down.LostAfter) || fits(down.LostBefore-up.LostBefore)
}
