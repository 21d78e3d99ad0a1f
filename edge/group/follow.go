package group

import (
	"maps"
	"slices"

	"mirrorscope/edge"
	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/session"
)

// conn is a connection that is followed through its intervals, at all points that
// are taken for sights of it.
//
// What counts of it is known anew with each interval: by then, the sights whose end
// came count as that told, and of the others each direction as the point has it that
// recorded most. What is booked is the difference to what was booked before.
type conn struct {
	tuple  edge.Tuple
	sights []sight

	booked  sparse // by role, under …
	id      string // … the values of this row
	client  int    // … with the client sending in this direction
	any     bool   // something was booked
	lead    uint64 // … as this flow has it
	renamed bool   // … but under values that were not all known
	window  int64  // in which it is among the connections …
	counted bool   // … if in any
	pending bool   // it is in Table.pending
	ended   bool   // … in Table.ended, since …
	last    int64  // … this Table.batch

	name    string // row that another conn of the same connection has; "" none
	known   known
	greeted bool           // the handshake of TCP counts already
	secured bool           // … that of TLS
	heard   bool           // talker is known
	talker  packet.PointID // what the ends say counts as this point heard it
}

// follow takes an interval record.
func (t *Table) follow(r *flow.Record) {
	c := t.flows[r.ID]
	if _, gone := t.gone[r.ID]; c == nil && !gone && len(t.gone) < maxGone {
		if c = t.connOf(r); c != nil {
			c.sight(r.ID).partial = t.counts.Untracked > 0 && r.Start < r.IntervalStart
		}
	}
	if c == nil {
		t.counts.Untracked++
		t.alone(r)
		return
	}
	t.between(max(r.Start, r.IntervalStart), r.End)
	s := c.sight(r.ID)
	c.learn(knownOf(&r.Report))
	t.name(c, s, r)
	s.add(&c.tuple, r, &t.scratch.sight, &t.scratch.delta)
	t.mark(c)
}

// learn takes what is known of a connection beside its records. What was booked
// without it is booked anew.
func (c *conn) learn(k known) {
	if c.known.add(k) {
		c.renamed = true
	}
}

// name gives a sight the row of a record of its.
func (t *Table) name(c *conn, s *sight, r *flow.Record) {
	s.of, s.knew = naming{ends: r.Ends, at: namedAt(r), network: r.Network, version: r.Version}, c.known
	s.id = t.idOf(r, &c.known)
}

// row is the row of a sight that has one, by what is known of the connection now: another
// sight may have told more since.
func (t *Table) row(c *conn, s *sight) string {
	if s.id != "" && s.knew != c.known {
		r := &t.scratch.record
		r.Ends, r.Start, r.Network, r.Version, r.Point, r.Proto = s.of.ends, s.of.at, s.of.network, s.of.version, s.point, s.proto
		s.id, s.knew = t.idOf(r, &c.known), c.known
	}
	return s.id
}

func (t *Table) mark(c *conn) {
	if !c.pending {
		c.pending = true
		t.pending = append(t.pending, c)
	}
}

// connOf finds the connection of a record, or begins to follow it; nil where there
// is no room.
func (t *Table) connOf(r *flow.Record) *conn {
	if c := t.flows[r.ID]; c != nil {
		return c
	}
	if len(t.flows) >= t.config.Connections {
		return nil
	}
	k := edge.TupleOf(r)
	c := t.tuples[k]
	if c == nil || c.succeeded(r.Point) {
		c = &conn{tuple: k}
		t.tuples[k] = c
	}
	c.sights = append(c.sights, sight{flow: r.ID, point: r.Point})
	t.flows[r.ID] = c
	return c
}

// maxGone bounds the connections that ended without being followed, and of which an
// interval may still come. When there are more, none begins to be followed.
const maxGone = 1 << 16

// lastOf is connOf for the record of a whole connection. One that should have been
// followed, and is not, found no place.
func (t *Table) lastOf(r *flow.Record) *conn {
	c := t.flows[r.ID]
	if c == nil && (t.counts.Untracked == 0 || r.Start >= t.running*int64(t.config.Interval)) {
		c = t.connOf(r)
	}
	if c == nil && len(t.gone) < maxGone {
		t.gone[r.ID] = struct{}{}
		t.goneAt = t.batch
	}
	return c
}

// maxSights bounds the points of one connection. What further ones record of it is
// taken for connections of their own until their paths tell.
const maxSights = 8

// succeeded tells of a further flow at a point that it is not of this connection
// but of a later one.
func (c *conn) succeeded(point packet.PointID) bool {
	over := true
	for i := range c.sights {
		if c.sights[i].point == point {
			return true
		}
		over = over && c.sights[i].over
	}
	return over || len(c.sights) >= maxSights
}

func (c *conn) sight(flow uint64) *sight {
	for i := range c.sights {
		if c.sights[i].flow == flow {
			return &c.sights[i]
		}
	}
	return nil
}

// resolve takes what is known of a connection that has ended: which of its sights
// count for what. It gives what follows it, nil where nothing does, and the row in
// which the connection counted last: "" where it did not, or more is known now.
func (t *Table) resolve(e *ending) (c *conn, id string) {
	if e.path == nil {
		r := e.flow
		if c = t.lastOf(r); c == nil {
			return nil, ""
		}
		s := c.sight(r.ID)
		if s.over {
			s.born++ // another one with the same id
		}
		s.over, s.resolved, s.counts = true, true, [numParts]bool{true, true, true, true}
		id = t.conclude(c, s, r, e)
		t.ending(c)
		return c, id
	}
	p, name := e.path, ""
	for i := range min(len(p.Points), len(e.own)) {
		if t.flows[p.Points[i].Flow] == nil && e.own[i] != nil {
			t.lastOf(e.own[i]) // before any is over: what comes then is of a later connection
		}
	}
	for i := range min(len(p.Points), len(e.own)) {
		x := t.flows[p.Points[i].Flow]
		if x == nil {
			continue
		}
		s := x.sight(p.Points[i].Flow)
		s.over, s.resolved = true, true
		s.counts = [numParts]bool{partFlow: p.Primary[flow.Client] == i, partTalk: e.own[i] != nil && e.own[i] == e.talk}
		client := clientOf(&x.tuple, &p.Ends)
		for side := range p.Primary {
			s.counts[int(partFirst)+side^client] = p.Primary[side] == i
		}
		last := ""
		if e.own[i] != nil {
			last = t.conclude(x, s, e.own[i], e)
		}
		t.ending(x)
		if c == nil || p.Primary[flow.Client] == i {
			c, id, name = x, last, t.row(x, s)
		}
	}
	for i := range p.Points { // sights that were not taken for those of one connection
		if x := t.flows[p.Points[i].Flow]; x != nil && x != c {
			x.name = name
		}
	}
	return c, id
}

// clientOf is the direction in which the client sends.
func clientOf(k *edge.Tuple, ends *[2]flow.Endpoint) int {
	if e := &ends[flow.Client]; e.Addr == k.A && e.Port == k.PortA {
		return 0
	}
	return 1
}

// conclude notes what the record of a whole connection knows for certain. It gives the
// row in which the sight counted last, "" where it did not.
func (t *Table) conclude(c *conn, s *sight, r *flow.Record, e *ending) (id string) {
	was := s.client
	s.open = r.EndReason == flow.EndForced
	s.client, s.source, s.proto = clientOf(&c.tuple, &r.Ends), r.Direction, r.Proto
	x := traitsOf(r)
	s.begun, s.dns = x.begun, x.dns
	s.bear()
	s.knows(s.client, &x)
	c.learn(e.known)
	if s.id == "" || was != s.client || c.renamed || c.lead != s.flow || s.knew != c.known {
		t.name(c, s, r)
		return ""
	}
	return s.id
}

// settle books the interval that has ended, and lets go of connections of which
// everything has been told: with their records, and then with an interval.
func (t *Table) settle() {
	for _, c := range t.pending {
		c.pending = false
		t.book(c)
		for i := range c.sights {
			s := &c.sights[i]
			s.active = false
			clear(s.heard)
			s.heard = s.heard[:0]
		}
	}
	clear(t.pending)
	t.pending = t.pending[:0]
	if len(t.gone) > 0 && t.goneAt < t.batch {
		t.gone = map[uint64]struct{}{}
	}
	n := 0
	for ; n < len(t.ended) && t.ended[n].last < t.batch; n++ {
		t.forget(t.ended[n])
		t.ended[n] = nil
	}
	t.ended = t.ended[n:]
}

func (t *Table) forget(c *conn) {
	if c.ended && c.last >= t.batch {
		return // it ended once more
	}
	for i := range c.sights {
		if c.sights[i].open {
			return // the input is over: it counts as open when its last window ends
		}
	}
	for i := range c.sights {
		delete(t.flows, c.sights[i].flow)
	}
	if t.tuples[c.tuple] == c {
		delete(t.tuples, c.tuple)
	}
}

// ending notes that records of a connection have come; when there are no more to
// come it is as good as over.
func (t *Table) ending(c *conn) {
	t.mark(c)
	for i := range c.sights {
		if !c.sights[i].resolved {
			return
		}
	}
	c.ended, c.last = true, t.batch
	t.ended = append(t.ended, c)
}

// book counts what a connection did in an interval.
func (t *Table) book(c *conn) {
	truth, s := &t.scratch.truth, &t.scratch.sight
	lead := t.truth(c, truth, s)
	if lead == nil {
		return
	}
	if c.any && lead.flow != c.lead {
		// Another point stands for it. Until that is certain it is called as it was.
		if was := c.sight(c.lead); was != nil && !was.resolved && !lead.resolved && was.client == lead.client {
			lead = was
		} else {
			c.renamed = true
		}
	}
	client, id := lead.client, t.row(c, lead)
	if c.name != "" {
		id, c.renamed = c.name, true
	}
	if client == 1 {
		truth.swap()
	}
	var tells Row
	for i := range c.sights {
		s := &c.sights[i]
		for dir := range s.states {
			tells.tell(flow.Side(dir^client), s.proto == packet.ProtoTCP, s.states[dir])
		}
		tells.flags |= s.spoke
	}
	delta := &t.scratch.delta
	*delta = sums{}
	c.booked.addTo(delta)
	if c.any && (c.client != client || c.renamed && c.id != id) {
		old := t.rowOf(c.id)
		old.sums.minus(delta) // it was not theirs
		old.protocol(lead.proto)
		old.flags |= tells.flags
		*delta = sums{}
	}
	row := t.rowOf(id)
	row.protocol(lead.proto)
	row.flags |= tells.flags
	row.sums.add(truth)
	row.sums.minus(delta)
	c.booked = truth.pack(c.booked)
	c.any, c.client, c.id, c.lead, c.renamed = true, client, id, lead.flow, false
	active := false
	for i := range c.sights {
		if s := &c.sights[i]; s.active {
			active = true
			row.between(s.first, s.last)
		}
	}
	if active && (c.window != t.now || !c.counted) {
		row.Connections++
		c.window, c.counted = t.now, true
	}
	t.listen(c, row, client)
}

// truth sums what counts of a connection, by direction. It gives the sight that the
// client's direction counts as, nil where there is none.
func (t *Table) truth(c *conn, truth, s *sums) (lead *sight) {
	*truth = sums{}
	if len(c.sights) == 1 && (!c.sights[0].resolved || c.sights[0].counts == [numParts]bool{true, true, true, true}) {
		lead = &c.sights[0]
		lead.told.addTo(truth)
		truth.derive(&lead.traits)
		return lead
	}
	var best [2]*sight
	var most [2]edge.Recorded
	var talker, source *sight
	for i := range c.sights {
		x := &c.sights[i]
		if source == nil || x.source > source.source {
			source = x
		}
		*s = sums{}
		x.told.addTo(s)
		s.derive(&x.traits)
		if x.resolved {
			for p, counts := range x.counts {
				if counts {
					truth.take(part(p), s)
				}
			}
			if x.counts[int(partFirst)+x.client] {
				lead = x
			}
			continue
		}
		for dir := range best {
			if n := s.recorded(dir); best[dir] == nil || n.Exceeds(most[dir]) {
				best[dir], most[dir] = x, n
			}
		}
		if talker == nil || c.heard && x.point == c.talker {
			talker = x
		}
	}
	if best[0] == nil {
		if lead == nil {
			lead = source // another connection has the client's direction
		}
		return lead
	}
	counts := func(x *sight, p part) {
		*s = sums{}
		x.told.addTo(s)
		s.derive(&x.traits)
		truth.take(p, s)
	}
	client := source.client
	for dir, x := range best {
		counts(x, partFirst+part(dir))
	}
	counts(best[client], partFlow)
	counts(talker, partTalk)
	if lead == nil {
		lead = best[client]
		lead.client = client
	}
	return lead
}

// listen adds what was measured and said in an interval. Of several points that
// sampled, one stands for the connection: both halves of the round trip must be cut
// at one place. Of those that heard something it is the first one, for good.
func (t *Table) listen(c *conn, row *Row, client int) {
	var talker, timer, greeter *sight
	halves := 0
	for i := range c.sights {
		s := &c.sights[i]
		n, timed, says, greets := 0, false, false, false
		for k := range s.heard {
			h := &s.heard[k]
			n, timed, says, greets = n+h.halves(), timed || h.dist != nil || h.few.Len() > 0, says || h.says(), greets || h.hasHandshake
		}
		n = min(n, 2)
		if timed && (timer == nil || n > halves || n == halves && s.point < timer.point) {
			timer, halves = s, n
		}
		if says && (c.heard && s.point == c.talker || !c.heard && (talker == nil || s.point < talker.point)) {
			talker = s
		}
		if greets && !c.greeted && (greeter == nil || s.point < greeter.point) {
			greeter = s
		}
	}
	if greeter != nil {
		c.greeted = true
		for k := range greeter.heard {
			if h := &greeter.heard[k]; h.hasHandshake {
				t.greet(row, &h.handshake)
			}
		}
	}
	if timer != nil {
		for k := range timer.heard {
			h := &timer.heard[k]
			t.timed(row, &h.timed, h.client^client)
		}
	}
	if talker != nil {
		c.heard, c.talker = true, talker.point
		for k := range talker.heard {
			h := &talker.heard[k]
			if h.tls != nil && !c.secured {
				c.secured = true
				t.secure(row, &session.Report{TLS: h.tls}, talker.point)
			}
			if h.dns != nil && h.client == client {
				t.queries(row, &flow.Record{Report: session.Report{DNS: h.dns}})
			}
		}
	}
}

// alone counts an interval of a connection that is not followed.
func (t *Table) alone(r *flow.Record) {
	k := knownOf(&r.Report)
	row := t.rowOf(t.idOf(r, &k))
	row.protocol(r.Proto)
	row.between(max(r.Start, r.IntervalStart), r.End)
	row.Connections++
	s := &t.scratch.sight
	sumsOf(r, s)
	x := traitsOf(r)
	if r.Start < r.IntervalStart {
		x.born = 0
	}
	s.derive(&x)
	row.sums.add(s)
	for side := range r.Sent {
		row.tell(flow.Side(side), r.HasTCP, r.TCP.Sides[side].Retransmits.State)
	}
	row.spoke(r)
	if r.HasHandshake {
		t.greet(row, &r.Handshake)
	}
	t.time(row, r, 0)
	if r.TLS != nil {
		t.secure(row, &session.Report{TLS: r.TLS}, r.Point)
	}
	t.queries(row, r)
}

// established counts the connections that are open at the end of a window.
func (t *Table) established() {
	if t.config.Interval == 0 {
		return
	}
	open := map[string]int64{}
	for flow, c := range t.flows {
		if flow != c.sights[0].flow || !c.any {
			continue // it is met as its first flow
		}
		for i := range c.sights {
			if s := &c.sights[i]; s.established && (s.open || !s.over) {
				open[c.id]++
				break
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(open)) {
		t.rowOf(id).Established += open[id]
	}
}
