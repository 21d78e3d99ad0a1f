package live

import (
	"mirrorscope/edge"
	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/session"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

// fold counts what a connection did in a step, and begins its next.
func (t *Table) fold(c *connection, step int64) {
	best := c.best()
	if best == nil {
		return
	}
	key := c.where(best.client)
	v := t.conversation(&key)
	b := t.at(v, step)
	client := best.client
	for role := range v.names {
		if name := c.names[client^role]; name != "" {
			v.names[role] = name
		}
	}
	t.count(c, v, b)
	sent := c.sent()
	for role := range b.sent {
		s := &sent[client^role]
		b.add(role, &s.counts, s.repeats)
		v.octets += s.counts[octets]
	}
	t.listen(c, v, b, client)
	for i := range c.sights {
		s := &c.sights[i]
		if s.active {
			b.between(s.first, s.last)
		}
		s.active, s.opened, s.sent = false, 0, [2]counts{}
		clear(s.heard)
		s.heard = s.heard[:0]
	}
}

// best is the sight that knows best who is the client.
func (c *connection) best() (best *sight) {
	for i := range c.sights {
		if s := &c.sights[i]; s.active && (best == nil || s.source > best.source) {
			best = s
		}
	}
	return best
}

// direction is what counts of a direction in a step.
type direction struct {
	counts
	repeats tcp.State // whether they are known
}

// sent gives what counts of each direction: of several sights, what those add to
// it that have recorded most so far.
func (c *connection) sent() (d [2]direction) {
	if len(c.sights) == 1 {
		for dir := range d {
			d[dir] = direction{c.sights[0].sent[dir], c.sights[0].repeats[dir]}
		}
		return d
	}
	if c.joint == nil {
		c.joint = new(joint)
		for i := range c.sights {
			for dir := range d {
				s := &c.sights[i]
				c.joint.sights[i][dir] = s.told[dir].minus(&s.sent[dir])
			}
		}
		c.joint.counted = c.joint.sights[0] // it was the only one
	}
	j := c.joint
	for dir := range d {
		most := 0
		for i := range c.sights {
			j.sights[i][dir].add(&c.sights[i].sent[dir])
			if j.sights[i][dir].recorded().Exceeds(j.sights[most][dir].recorded()) {
				most = i
			}
		}
		whole := &j.sights[most][dir]
		d[dir] = direction{whole.minus(&j.counted[dir]), c.sights[most].repeats[dir]}
		if !c.sights[most].active {
			d[dir].repeats = tcp.Unknown
		}
		j.counted[dir] = *whole
	}
	return d
}

// count counts a connection once in the window: in the latest step in which it
// was active, which is b of v.
func (t *Table) count(c *connection, v *conversation, b *bucket) {
	generations, opened := c.generations, uint32(0)
	for i := range c.sights {
		generations = max(generations, c.sights[i].generations)
		opened = max(opened, c.sights[i].opened)
	}
	begun := generations - c.generations
	c.generations = generations
	b.opened += int64(min(begun, opened))
	switch {
	case begun > 0:
		b.connections += int64(begun)
		c.greeted, c.secured, c.spoken, c.heard = false, false, false, false
		c.joint = nil
		if len(c.sights) > 1 {
			c.joint = new(joint) // all of them begin anew
		}
	case c.counted != nil && !t.left(c.step):
		was := c.counted
		if was.life != c.life {
			was = &t.other
		}
		t.at(was, c.step).connections--
		b.connections++
	default:
		b.connections++
	}
	if b.step < c.step {
		t.connections.late = true
	}
	c.counted, c.life, c.step = v, v.life, b.step
}

// listen counts what was heard and measured in a step. Of several points that
// heard something the first one stands for the generation.
func (t *Table) listen(c *connection, v *conversation, b *bucket, client int) {
	var talker, timer, greeter *sight
	for i := range c.sights {
		s := &c.sights[i]
		for k := range s.heard {
			h := &s.heard[k]
			if h.says() && (c.heard && s.point == c.talker || !c.heard && (talker == nil || s.point < talker.point)) {
				talker = s
			}
			if h.timed() && (timer == nil || s != timer && better(s, timer)) {
				timer = s
			}
			if h.handshake != tcp.Absent && !c.greeted && (greeter == nil || s.point < greeter.point) {
				greeter = s
			}
		}
	}
	if greeter != nil {
		c.greeted = true
		for k := range greeter.heard {
			if ns := greeter.heard[k].handshake; ns != tcp.Absent {
				t.sample(b, &b.handshake, ns)
			}
		}
	}
	if timer != nil {
		for k := range timer.heard {
			t.times(b, &timer.heard[k], client)
		}
	}
	if talker != nil {
		c.heard, c.talker = true, talker.point
		for k := range talker.heard {
			t.talk(c, v, b, &talker.heard[k], client)
		}
	}
}

// says tells whether anything was said.
func (h *heard) says() bool { return h.tls != nil || h.http != nil || h.dns != nil || h.turns > 0 }

// timed tells whether anything was measured.
func (h *heard) timed() bool { return h.times != nil || h.few.Len() > 0 }

// halves is how many halves of the round trip a sight has sampled in the step.
func (s *sight) halves() (n int) {
	for i := range s.heard {
		if d := s.heard[i].times; d != nil {
			for half := range d.RTT {
				if d.RTT[half] != nil || d.Delayed[half] != nil {
					n++
				}
			}
		}
		client, server := s.heard[i].few.Halves()
		if client {
			n++
		}
		if server {
			n++
		}
	}
	return min(n, 2)
}

// better tells whether the times of a stand for a connection instead of those of
// b: both halves must be of one point, and of the same one wherever possible.
func better(a, b *sight) bool {
	if x, y := a.halves(), b.halves(); x != y {
		return x > y
	}
	return a.point < b.point
}

// times adds what was measured of a connection whose client sends in a direction.
func (t *Table) times(b *bucket, h *heard, client int) {
	if !h.timed() {
		return
	}
	if b.times == nil {
		b.times = take(&t.idle.times)
	}
	turned := h.client ^ client // 1: it took the client for the server
	d := h.times
	if d == nil {
		d = t.spread.Distributions(&h.few)
	}
	for half := range d.RTT {
		t.merge(b, &b.times.RTT[half^turned], d.RTT[half])
		t.merge(b, &b.times.Delayed[half^turned], d.Delayed[half])
	}
	if turned == 0 && d.Think != nil {
		t.merge(b, &b.times.Response, d.Think)
		b.times.AtMost = b.times.AtMost || h.atMost
		b.times.Doubtful = b.times.Doubtful || h.doubtful
	}
}

// talk adds what the ends said.
func (t *Table) talk(c *connection, v *conversation, b *bucket, h *heard, client int) {
	asked := int64(0)
	if h.tls != nil && !c.secured {
		c.secured = true
		if name := h.tls.SNI; name != "" {
			v.server = name
		}
		t.secure(b, &session.Report{TLS: h.tls})
	}
	if i := h.http; i != nil {
		c.spoken = c.spoken || i.Requests > 0
		if b.http == nil {
			b.http = new(edge.HTTP)
		}
		addHTTP(b.http, &edge.HTTP{Requests: i.Requests, ClientErrors: i.Status[4], ServerErrors: i.Status[5], GRPCErrors: i.GRPCError, Aborted: i.Aborted, Unknown: i.Missed})
		asked += i.Requests
	}
	if i := h.dns; i != nil && h.client == client {
		c.spoken = c.spoken || i.Queries > 0
		if b.dns == nil {
			b.dns = new(edge.DNS)
		}
		x := edge.DNS{
			Queries: i.Queries - i.Repeats, NXDOMAIN: i.NXDOMAIN, SERVFAIL: i.SERVFAIL, OtherErr: i.OtherErr, Timeouts: i.Timeouts,
			Unknown: i.Unanswerable + i.Unpaired + i.Lost + i.Dropped,
		}
		addDNS(b.dns, &x)
		t.merge(b, &b.dns.Time, &i.Time)
		asked += x.Queries
	}
	if h.client == client && h.dns == nil {
		if !c.spoken {
			b.turns += h.turns
			asked += h.turns
		}
		b.unmeasured += h.turns - h.measured
	}
	if h.tls != nil && asked == 0 && failed(h.tls.Outcome) {
		b.unasked++
	}
}

// failed tells of a handshake that it gave no connection.
func failed(o tlsmeta.Outcome) bool {
	switch o {
	case tlsmeta.Failed, tlsmeta.FailedEncrypted, tlsmeta.FailedAfterFinished, tlsmeta.Abandoned, tlsmeta.NotTLS:
		return true
	}
	return false
}

// secure adds a handshake of TLS, DTLS or QUIC.
func (t *Table) secure(b *bucket, r *session.Report) {
	if b.tls == nil {
		b.tls = new(edge.TLS)
	}
	x := b.tls
	var o tlsmeta.Outcome
	total, perceived, measured := tcp.Absent, tcp.Absent, false
	resumed := false
	switch {
	case r.TLS != nil:
		h := &r.TLS.Handshake
		o, resumed = r.TLS.Outcome, r.TLS.Resumed
		total, perceived, measured = h.Total, h.Perceived, h.State == tcp.Measured
	case r.QUIC != nil:
		h := &r.QUIC.Handshake
		x.QUIC++
		o, resumed = r.QUIC.Outcome, r.QUIC.Resumed
		total, perceived, measured = h.Total, h.Total, h.Total != tcp.Absent && !h.Bounded && !h.Ambiguous
	}
	x.Connections++
	x.Outcomes[o]++
	if resumed {
		x.Resumed++
	}
	switch {
	case measured && total != tcp.Absent:
		t.put(b, &x.Total, total)
		if perceived != tcp.Absent {
			t.put(b, &x.Perceived, perceived)
		}
	case o == tlsmeta.Completed:
		x.Unmeasured++
	}
}

// maxBuckets bounds each distribution of a step: beyond it becomes coarser.
const maxBuckets = 96

// merge adds a distribution to one of a step, if there is room.
func (t *Table) merge(b *bucket, into, h *histogram.Histogram) {
	if h == nil || h.Count() == 0 {
		return
	}
	if t.samples >= t.config.Samples {
		t.counts.Unsampled++
		return
	}
	before := len(into.Buckets())
	into.Merge(h)
	shrink(into)
	t.weigh(b, len(into.Buckets())-before)
}

// put adds a duration.
func (t *Table) put(b *bucket, into *histogram.Histogram, ns int64) {
	if t.samples >= t.config.Samples {
		t.counts.Unsampled++
		return
	}
	before := len(into.Buckets())
	into.Add(ns)
	shrink(into)
	t.weigh(b, len(into.Buckets())-before)
}

// sample adds a duration to a distribution that may not be there yet.
func (t *Table) sample(b *bucket, into **histogram.Histogram, ns int64) {
	if *into == nil {
		*into = take(&t.idle.handshakes)
	}
	t.put(b, *into, ns)
}

func shrink(h *histogram.Histogram) {
	for len(h.Buckets()) > maxBuckets {
		h.Downscale(h.Scale() - 1)
	}
}

func (t *Table) weigh(b *bucket, buckets int) {
	b.samples += buckets
	t.samples += buckets
}

// between widens the time in which a step has packets.
func (b *bucket) between(first, last int64) {
	if b.start == 0 || first < b.start {
		b.start = first
	}
	b.last = max(b.last, last)
}

func (b *bucket) add(role int, c *counts, known tcp.State) {
	b.sent[role] = flow.Volume{
		Packets: b.sent[role].Packets + c[packets], Bytes: b.sent[role].Bytes + c[octets], PayloadBytes: b.sent[role].PayloadBytes + c[payload],
	}
	b.recorded[role] += c[recorded]
	b.missed[role] += c[missed]
	b.closedFor[role] += c[closedFor]
	if known != tcp.Unknown {
		x := &b.repeats[role]
		x.Connections++
		x.Packets += c[repeats]
		x.Bytes += c[repeatOctets]
		x.Payload += c[payload]
		x.AtLeast = x.AtLeast || known == tcp.Bounded
	}
}

func addHTTP(h, o *edge.HTTP) {
	h.Requests += o.Requests
	h.ClientErrors += o.ClientErrors
	h.ServerErrors += o.ServerErrors
	h.GRPCErrors += o.GRPCErrors
	h.Aborted += o.Aborted
	h.Unknown += o.Unknown
}

// addDNS adds all but the times.
func addDNS(d, o *edge.DNS) {
	d.Queries += o.Queries
	d.NXDOMAIN += o.NXDOMAIN
	d.SERVFAIL += o.SERVFAIL
	d.OtherErr += o.OtherErr
	d.Timeouts += o.Timeouts
	d.Unknown += o.Unknown
}
