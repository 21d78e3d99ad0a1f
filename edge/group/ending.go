package group

import (
	"mirrorscope/edge"
	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/packet"
	"mirrorscope/path"
	"mirrorscope/session"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

// ending is a whole connection: which of its records tells what. The records are
// those of one point or of several, all with the same roles.
type ending struct {
	whole   edge.Whole
	sides   [2]*flow.Record // what each side sent, and did
	flow    *flow.Record    // what is counted of both; its tags. nil: no record is at hand
	talk    *flow.Record    // what the ends said
	timer   *flow.Record    // round trips and response times
	greeter *flow.Record    // the handshake of TCP
	known   known
	outcome flow.Outcome

	path  *path.Connection // nil: one point recorded it
	start int64
	end   int64

	turned [8]flow.Record // scratch: those that took the client for the server
	own    [8]*flow.Record
}

// single makes it a connection that one point recorded.
func (e *ending) single(r *flow.Record) {
	e.whole.Single(r)
	e.sides = [2]*flow.Record{r, r}
	e.flow, e.talk, e.timer, e.greeter, e.path = r, r, r, r, nil
	e.start, e.end, e.outcome = r.Start, r.End, r.Outcome
	e.known = knownOf(&r.Report)
}

// joined makes it a connection that several points recorded, of which held has the
// records.
func (e *ending) joined(p *path.Connection, held map[uint64]*flow.Record) {
	e.whole.Joined(p, func(id uint64) *flow.Record { return held[id] })
	e.sides, e.flow, e.talk, e.timer, e.greeter, e.path = [2]*flow.Record{}, nil, nil, nil, nil, p
	e.start, e.end, e.outcome, e.known = p.Start, p.End, p.Outcome, known{}
	var any *flow.Record
	for i := range min(len(p.Points), len(e.own)) {
		r := held[p.Points[i].Flow]
		if e.own[i] = r; r == nil {
			continue
		}
		if c := &p.Ends[flow.Client]; r.Ends[flow.Client].Addr != c.Addr || r.Ends[flow.Client].Port != c.Port {
			turn(&e.turned[i], r)
			r = &e.turned[i]
			e.own[i] = r
		}
		if any == nil {
			any = r
		}
		e.known.add(knownOf(&r.Report))
		if e.greeter == nil && r.HasHandshake && r.Handshake.State == tcp.Measured {
			e.greeter = r
		}
		if id := p.Points[i].ID; id == e.whole.Talker() {
			e.talk = r
		}
		if id := p.Points[i].ID; id == e.whole.Timer() {
			e.timer = r
		}
	}
	for side, i := range p.Primary {
		if i < len(e.own) {
			e.sides[side] = e.own[i]
		}
		if e.sides[side] == nil {
			e.sides[side] = any
		}
	}
	e.flow = e.sides[flow.Client]
	for _, r := range [...]**flow.Record{&e.talk, &e.timer, &e.greeter} {
		if *r == nil {
			*r = e.flow
		}
	}
}

// turn makes t what a record is that took the client for the server. What it took
// for think times of the server was the client's.
func turn(t, r *flow.Record) {
	*t = *r
	for _, x := range [...]*[2]int64{&t.Resets, &t.FINs, &t.CE} {
		x[0], x[1] = x[1], x[0]
	}
	t.Ends[0], t.Ends[1] = r.Ends[1], r.Ends[0]
	t.Sent[0], t.Sent[1] = r.Sent[1], r.Sent[0]
	t.Options[0], t.Options[1] = r.Options[1], r.Options[0]
	t.TCP.Sides[0], t.TCP.Sides[1] = r.TCP.Sides[1], r.TCP.Sides[0]
	t.TCP.Response = tcp.Response{Min: tcp.Absent, Max: tcp.Absent}
	t.Samples.Swap()
	if d := r.Distributions; d != nil {
		t.Distributions = &tcp.Distributions{RTT: [2]*histogram.Histogram{d.RTT[1], d.RTT[0]}, Delayed: [2]*histogram.Histogram{d.Delayed[1], d.Delayed[0]}}
	}
	t.Phases, t.DNS, t.QUIC = nil, nil, nil
}

// knownOf is what the hellos of a connection tell for its keys.
func knownOf(r *session.Report) (k known) {
	if i, _ := edge.Hello(r); i != nil {
		k.sni = i.SNI
		if i.Version != 0 {
			k.version = tlsmeta.VersionName(i.Version)
		}
	}
	return k
}

// finish counts how a connection went, and where whole connections alone are added
// all that it did.
func (t *Table) finish(e *ending) {
	var c *conn
	id := ""
	if t.config.Interval > 0 {
		c, id = t.resolve(e)
	}
	if id == "" {
		id = t.idOf(e.flow, &e.known)
	}
	row := t.rowOf(id)
	row.protocol(e.flow.Proto)
	if c == nil || c.window != t.now || !c.counted {
		row.Connections++
		if c != nil {
			c.window, c.counted = t.now, true
		}
	}
	row.Ended++
	if t.config.Interval == 0 && e.flow.EndReason == flow.EndForced && e.outcome == flow.Established {
		row.Established++
	}
	row.rest.Conclude(&e.whole)
	if n := e.whole.Open(); n > 0 {
		b := row.sums.both()
		b[HTTPAborted] -= n
		b[HTTPUnknown] += n
	}
	row.states(e)
	if t.config.Interval == 0 {
		t.all(row, e)
	} else if e.talk.QUIC != nil {
		t.secure(row, &session.Report{QUIC: e.talk.QUIC}, e.talk.Point)
	}
}

// all counts all that a connection did.
func (t *Table) all(row *Row, e *ending) {
	row.between(e.start, e.end)
	whole, s := &t.scratch.truth, &t.scratch.sight
	*whole = sums{}
	var of *flow.Record
	for p, r := range [numParts]*flow.Record{partFirst: e.sides[flow.Client], partSecond: e.sides[flow.Server], partFlow: e.flow, partTalk: e.talk} {
		if r != of {
			sumsOf(r, s)
			x := traitsOf(r)
			s.derive(&x)
			of = r
		}
		whole.take(part(p), s)
	}
	row.sums.add(whole)
	for side, r := range e.sides {
		row.tell(flow.Side(side), r.HasTCP, r.TCP.Sides[side].Retransmits.State)
	}
	row.spoke(e.talk)
	if r := e.greeter; r.HasHandshake {
		t.greet(row, &r.Handshake)
	}
	t.time(row, e.timer, 0)
	if e.talk.TLS != nil || e.talk.QUIC != nil {
		t.secure(row, &e.talk.Report, e.talk.Point)
	}
	t.queries(row, e.talk)
}

// tell notes whether it is known what a side sent again.
func (r *Row) tell(side flow.Side, hasTCP bool, s tcp.State) {
	if !hasTCP || s == tcp.Unknown {
		return
	}
	r.flags |= toldClient << side
	if s == tcp.Bounded {
		r.flags |= atLeastClient << side
	}
}

// spoke notes the protocols of a record.
func (r *Row) spoke(x *flow.Record) {
	if x.HTTP != nil {
		r.flags |= spokeHTTP
	}
	if x.DNS != nil {
		r.flags |= spokeDNS
	}
}

// states counts what is known of a whole connection.
func (r *Row) states(e *ending) {
	count := func(m Measure, s tcp.State) { r.Unknown[m][s]++ }
	if e.flow.HasTCP {
		count(MeasureHandshake, e.greeter.Handshake.State)
		for side := range e.sides {
			count(MeasureRTTClient+Measure(side), e.timer.TCP.Sides[side].RTT.State)
			count(MeasureRepeatsClient+Measure(side), e.sides[side].TCP.Sides[side].Retransmits.State)
		}
		if x := &e.talk.TCP.Response; x.Turns > 0 {
			count(MeasureResponse, x.State)
		}
	}
	if i, h := edge.Hello(&e.talk.Report); i != nil {
		count(MeasureTLS, h.State)
	}
}

// greet adds a handshake of TCP that was measured.
func (t *Table) greet(row *Row, h *tcp.Handshake) {
	if h.State != tcp.Measured {
		return
	}
	t.put(row, Handshake, h.RTT)
	t.put(row, HandshakeClient, h.Client)
	t.put(row, HandshakeServer, h.Server)
}

// time adds round trips and response times. turned is 1 where the record takes the
// client for the server.
func (t *Table) time(row *Row, r *flow.Record, turned int) {
	s := timesOf(r)
	t.timed(row, &s, turned)
}

// timed is the part of a record that time adds.
type timed struct {
	dist             *tcp.Distributions
	few              tcp.Samples
	atMost, doubtful bool
}

func timesOf(r *flow.Record) timed {
	return timed{r.Distributions, r.Samples, r.TCP.Response.State == tcp.Bounded, r.TCP.Response.State == tcp.Ambiguous}
}

func (t *Table) timed(row *Row, x *timed, turned int) {
	thought := false
	if d := x.dist; d != nil {
		for half := range d.RTT {
			t.merge(row, RTTClient+Times(half^turned), d.RTT[half])
			t.merge(row, RTTClientDelayed+Times(half^turned), d.Delayed[half])
		}
		if d.Think != nil && d.Think.Count() > 0 && turned == 0 {
			t.merge(row, Response, d.Think)
			thought = true
		}
	}
	few := x.few
	if turned == 1 {
		few.Swap()
	}
	for i := range few.Len() {
		what, ns := few.At(i)
		if what == tcp.TimedThink {
			t.put(row, Response, ns)
			thought = true
			continue
		}
		into := RTTClient
		if what&1 == tcp.TimedDelayed {
			into = RTTClientDelayed
		}
		t.put(row, into+Times(what/2), ns)
	}
	if thought && x.atMost {
		row.flags |= atMost
	}
	if thought && x.doubtful {
		row.flags |= doubtful
	}
}

// secure adds a handshake of TLS, DTLS or QUIC.
func (t *Table) secure(row *Row, r *session.Report, point packet.PointID) {
	if row.rest.TLS == nil {
		row.rest.TLS = new(edge.TLS)
	}
	row.rest.TLS.Count(r, point)
	_, h := edge.Hello(r)
	if h.State != tcp.Measured || h.Total == tcp.Absent {
		return
	}
	t.put(row, TLSTotal, h.Total)
	if h.Perceived != tcp.Absent {
		t.put(row, TLSPerceived, h.Perceived)
	}
	if h.Network != tcp.Absent {
		t.put(row, TLSNetwork, h.Network)
		t.put(row, TLSServer, h.Server)
		t.put(row, TLSClient, h.Client)
	}
}

// queries adds what DNS tells beside its counts.
func (t *Table) queries(row *Row, r *flow.Record) {
	if r.DNS == nil {
		return
	}
	if row.rest.DNS == nil {
		row.rest.DNS = new(edge.DNS)
	}
	for code, n := range r.DNS.RCodes {
		row.rest.DNS.RCodes[code] += n
	}
	t.merge(row, DNSTime, &r.DNS.Time)
}

// merge adds a distribution, if there is room.
func (t *Table) merge(row *Row, what Times, h *histogram.Histogram) {
	if h == nil || h.Count() == 0 {
		return
	}
	if into := t.room(row, what); into != nil {
		before := len(into.Buckets())
		into.Merge(h)
		t.buckets += len(into.Buckets()) - before
	}
}

// put adds a duration, if it is known.
func (t *Table) put(row *Row, what Times, ns int64) {
	if ns < 0 {
		return
	}
	if into := t.room(row, what); into != nil {
		before := len(into.Buckets())
		into.Add(ns)
		t.buckets += len(into.Buckets()) - before
	}
}

// room gives the distribution to add to, nil where there is no more memory.
func (t *Table) room(row *Row, what Times) *histogram.Histogram {
	if t.buckets >= t.config.Samples {
		t.counts.Unsampled++
		return nil
	}
	if row.times[what] == nil {
		row.times[what] = new(histogram.Histogram)
	}
	return row.times[what]
}
