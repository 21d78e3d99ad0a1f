package path

import (
	"cmp"
	"slices"

	"mirrorscope/flow"
	"mirrorscope/tcp"
)

// placed is a sighting with its record, put to its place on the way.
type placed struct {
	*sighting
	number uint32
	r      *flow.Record
	turned bool // its record takes the client for the server
}

// side gives what the record tells of the side that the connection calls so.
func (s *placed) side(side flow.Side) flow.Side {
	if s.turned {
		return 1 - side
	}
	return side
}

// resolve makes the Connection of sights that have all ended, and frees them. latest is the record
// of the sight that ended last, which may be none of the Connection.
func (m *Matcher) resolve(number uint32, latest *flow.Record) {
	c := m.conns.At(number)
	var all []placed
	for i := c.sights; i != 0; {
		s := m.sights.At(i)
		if s.flags&joined != 0 {
			all = append(all, placed{sighting: s, number: i, r: s.record})
		}
		i = s.next
	}
	if len(all) > 1 {
		slices.SortFunc(all, func(a, b placed) int { return int(a.slot) - int(b.slot) })
		for i := c.pairs; i != 0; {
			p := m.pairs.At(i)
			p.finish()
			i = p.next
		}
		m.finished = append(m.finished, m.connection(c, all, latest))
	}
	m.free(number)
}

func (m *Matcher) connection(c *conn, all []placed, latest *flow.Record) Connection {
	best := all[0].r
	for _, s := range all[1:] {
		if s.r.Direction > best.Direction {
			best = s.r
		}
	}
	x := Connection{
		Network: best.Network, Proto: best.Proto, Version: best.Version, Ends: best.Ends, RTT: tcp.Absent,
		Start: best.Start, End: best.End,
	}
	for i := range all {
		a, b := &all[i].r.Ends[flow.Client], &best.Ends[flow.Client]
		all[i].turned = a.Addr != b.Addr || a.Port != b.Port
	}
	x.Joined.State = tcp.Measured
	if c.assumed {
		x.Joined = Quality{tcp.Ambiguous, tcp.OneSided}
	}
	fromClient := best.ClientDirection()
	x.Order = m.sort(c, all, fromClient)

	last := latest // the others may have left by now
	ids := make([]uint64, 0, len(all))
	witness := int64(0)
	for _, s := range all {
		r := s.r
		x.Start, x.End = min(x.Start, r.Start), max(x.End, r.End)
		x.Points = append(x.Points, Point{ID: r.Point, Flow: r.ID})
		ids = append(ids, r.ID)
		if flow.Compare(r, last) > 0 {
			last = r
		}
		if n := r.Sent[0].Packets + r.Sent[1].Packets; r.Outcome != flow.OutcomeNone && n > witness {
			x.Outcome, witness = r.Outcome, n
		}
		if x.RTT == tcp.Absent && r.HasHandshake && r.Handshake.State == tcp.Measured {
			x.RTT = r.Handshake.RTT
		}
	}
	x.Last = last.ID
	slices.Sort(ids)
	for _, id := range ids {
		x.ID = mix(x.ID^id, 0x2d358dccaa6c78a5)
	}
	for _, side := range [...]flow.Side{flow.Client, flow.Server} {
		x.Primary[side] = primary(all, side)
		p := &all[x.Primary[side]]
		x.Sent[side] = p.r.Sent[p.side(side)]
		x.Matched[side] = int64(c.matched[fromClient^uint8(side)])
	}
	x.Segments = make([]Segment, len(all)-1)
	for i := range x.Segments {
		m.measure(&x.Segments[i], m.findPair(c, all[i].number, all[i+1].number), all[i].number, fromClient)
	}
	m.losses(c, all, &x, fromClient)
	return x
}

// primary is the sight that recorded most of what a side sent; among equals the
// nearest to the sender.
func primary(all []placed, side flow.Side) int {
	best, most := -1, int64(0)
	for n := range all {
		i := n
		if side == flow.Server {
			i = len(all) - 1 - n
		}
		s := &all[i]
		own := s.side(side)
		octets := s.r.Sent[own].PayloadBytes
		if s.r.HasTCP {
			octets = s.r.TCP.Sides[own].Recorded
		}
		if s.r.Sent[own].Packets == 0 {
			octets = -1
		}
		if best < 0 || octets > most {
			best, most = i, octets
		}
	}
	return best
}

// sort puts sights in order from the client to the server, as far as the pairs
// tell, else as they came.
func (m *Matcher) sort(c *conn, all []placed, fromClient uint8) Quality {
	before := func(i, j int) (sign int, contradicted bool) {
		p := m.findPair(c, all[i].number, all[j].number)
		if p == nil {
			return 0, false
		}
		sign, contradicted = p.nearer()
		if p.a != all[i].number {
			sign = -sign
		}
		if fromClient == 1 {
			sign = -sign
		}
		return sign, contradicted
	}
	q := Quality{State: tcp.Measured}
	rank := make([]int, len(all)) // how many points are known to be nearer the client
	order := make([]int, len(all))
	for i := range all {
		order[i] = i
		for j := range all {
			if i == j {
				continue
			}
			if sign, _ := before(i, j); sign < 0 {
				rank[i]++
			}
		}
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(rank[a], rank[b]) })
	for n, i := range order[1:] {
		sign, contradicted := before(order[n], i)
		if sign <= 0 || contradicted {
			q.State = tcp.Ambiguous
			if p := m.findPair(c, all[order[n]].number, all[i].number); p == nil || p.windows == 0 {
				q.Reasons |= tcp.OneSided
			}
		}
	}
	sorted := make([]placed, len(all))
	for n, i := range order {
		sorted[n] = all[i]
	}
	copy(all, sorted)
	return q
}

// measure fills in the round trip between two points; a is the one that comes
// first from the client.
func (m *Matcher) measure(s *Segment, p *pair, a uint32, fromClient uint8) {
	s.RTT.Min = tcp.Absent
	if p == nil || p.windows == 0 {
		s.RTT.Reasons = tcp.OneSided
		return
	}
	i := fromClient // of smallest: 0 if p.a comes first in direction 0
	if p.a != a {
		i = 1 - i
	}
	s.RTT.State, s.RTT.Min = tcp.Measured, p.smallest[i]
	h := m.hists.At(p.hist)
	s.RTT.Samples = int64(h.Count())
	s.RTT.P50, _ = h.Quantile(0.5)
	// Packets of the client give t(b) - t(a) ≥ offset, those of the server t(a) - t(b) ≥ -offset.
	client, server := fromClient, 1-fromClient
	if p.a == a {
		s.OffsetMin, s.OffsetMax = p.last.high[server], p.last.low[client]
	} else {
		s.OffsetMin, s.OffsetMax = -p.last.low[server], -p.last.high[client]
	}
	s.HasOffset = s.OffsetMin <= s.OffsetMax
	if !s.HasOffset {
		s.OffsetMin, s.OffsetMax = 0, 0
	}
	if s.RTT.Min < 0 {
		// The clocks or the mirrors jitter by more than the way is long.
		s.RTT.State, s.RTT.Min = tcp.Ambiguous, tcp.Absent
	}
}
