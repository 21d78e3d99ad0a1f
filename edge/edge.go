// Package edge folds connections into conversations: which client talks to
// which server and port, over which protocol, how much and with what success.
//
// A connection that several observation points recorded counts once: its records
// are marked as Joined, and the path that follows the last of them tells which
// point counts for what.
//
// A Table is bounded, and what finds no place is counted. It is owned by one
// goroutine. What it gives depends on nothing but the records and their order.
package edge

import (
	"encoding/binary"
	"slices"
	"unsafe"

	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/index"
	"mirrorscope/packet"
	"mirrorscope/path"
	"mirrorscope/pool"
	"mirrorscope/session"
	"mirrorscope/tcp"
)

// Config bounds the memory of a Table.
type Config struct {
	Conversations int  // the most conversations told apart; when there are more, the smaller half goes into Other
	View          View // what a Summary holds beside conversations
	Rows          int  // the most servers, names or endpoints of the view told apart, and the most certificates
}

// DefaultConfig allows about 200 MB, a tenth of that where conversations have one
// connection or two and nothing is read of them, and of what a View needs beside the
// conversations what is the same for all.
func DefaultConfig() Config { return Config{Conversations: 100_000, Rows: 20_000} }

// Key tells conversations apart. The client's port is not in it.
type Key struct {
	Network        packet.NetworkID
	Client, Server packet.Addr
	Port           uint16 // the server's
	HasPort        bool   // false for protocols without ports
	Proto          uint8  // IP protocol number
}

// Hash is that of a key in an index.
func (k *Key) Hash(x *index.Index) uint32 {
	le := binary.LittleEndian
	rest := uint64(k.Network)<<32 | uint64(k.Port)<<16 | uint64(k.Proto)
	if k.HasPort {
		rest |= 1 << 8
	}
	return x.Hash(le.Uint64(k.Client[:8]), le.Uint64(k.Client[8:]), le.Uint64(k.Server[:8]), le.Uint64(k.Server[8:]), rest)
}

// maxPoints bounds the points that a conversation remembers.
const maxPoints = 64

// Conversation sums the connections of one Key. Sums only: rates and means are
// made when it is shown.
type Conversation struct {
	Key
	Connections int64
	Sent        [2]flow.Volume          // by client and server; of each connection at one point
	Outcomes    [flow.NumOutcomes]int64 // OutcomeNone: not TCP, or not known
	Handshake   histogram.Histogram     // round-trip time in ns, of measured handshakes only
	Repeats     [2]Repeats              // of client and server; of each connection at the point of its volume
	Times       *Times                  // nil where the records carry no distributions
	First, Last int64                   // ns since the Unix epoch: start of the first, end of the last connection
	Points      []packet.PointID        // where it was seen, ascending; at most 64

	Names            [2]string // by which DNS knew client and server, as the first connection told that knew; "" not known
	Ends             Ends
	TLS              *TLS // of what was not spoken: nil
	HTTP             *HTTP
	DNS              *DNS
	Unanswered       *Unanswered // nil where there was nothing of it
	Turns            int64       // requests with a response on connections that neither speak DNS nor HTTP in the clear
	Unmeasured       int64       // requests over TCP with a response whose time is not known
	Unasked          int64       // connections that failed before anything was asked, for certain
	Phases           session.Phases
	Waiting          Waiting
	Missed, Recorded [2]int64 // octets of TCP that each side sent: acknowledged and not recorded; recorded, repeats once

	spareTLS *TLS // where one is made of another: empty, for the next that has TLS
}

// Ends tells more of connections that did not end by a close.
type Ends struct {
	ResetBy      [2]int64 // by client, by server; not behind a FIN
	Foreign      int64    // ended by an RST that does not look like the host's own
	FromServer   int64    // unreachable, as the server itself said
	ResetsKnown  int64    // resets of which it is known who sent them
	ResetsBehind int64    // of those, behind a FIN: nothing was lost
	Leftover     int64    // resets without anything before them: of connections that ended before the capture began
}

func (e *Ends) add(o *Ends) {
	e.ResetBy[0] += o.ResetBy[0]
	e.ResetBy[1] += o.ResetBy[1]
	e.Foreign += o.Foreign
	e.FromServer += o.FromServer
	e.ResetsKnown += o.ResetsKnown
	e.ResetsBehind += o.ResetsBehind
	e.Leftover += o.Leftover
}

// Bytes is what both sides sent, in IP octets.
func (c *Conversation) Bytes() int64 { return c.Sent[flow.Client].Bytes + c.Sent[flow.Server].Bytes }

// Packets is what both sides sent.
func (c *Conversation) Packets() int64 {
	return c.Sent[flow.Client].Packets + c.Sent[flow.Server].Packets
}

// Errors is the number of connections that failed, or ended otherwise than by
// a close. What is left over of earlier connections is none.
func (c *Conversation) Errors() int64 {
	n := -c.Ends.Leftover
	for o, connections := range c.Outcomes {
		if failed(flow.Outcome(o)) {
			n += connections
		}
	}
	return max(n, 0)
}

// failed tells of an outcome that it is another than a close.
func failed(o flow.Outcome) bool { return attempt(o) || o == flow.Reset || o == flow.AbortedTimeout }

// attempt tells of an outcome that no connection came about.
func attempt(o flow.Outcome) bool {
	return o == flow.Refused || o == flow.Unreachable || o == flow.Timeout || o == flow.HalfOpenTimeout
}

// Requests is what was asked, as far as it can be told: requests of HTTP, queries
// of DNS, and of other protocols over TCP what had a response, or should have had
// one.
func (c *Conversation) Requests() int64 {
	n := c.Turns + c.Mute()
	if c.HTTP != nil {
		n += c.HTTP.Requests
	}
	if c.DNS != nil {
		n += c.DNS.Queries
	}
	return n
}

// Tried tells whether anything was asked, or failed before.
func (c *Conversation) Tried() bool { return c.Requests()+c.Unasked > 0 }

// UnknownRequests is how many requests ended in a way that is not known: that was
// not recorded, or the capture ended before.
func (c *Conversation) UnknownRequests() (n int64) {
	if c.HTTP != nil {
		n += c.HTTP.Unknown
	}
	if c.DNS != nil {
		n += c.DNS.Unknown
	}
	return n
}

// Mute is how many connections had a request and not a word from the server, where
// it has answered others over the same protocol.
func (c *Conversation) Mute() int64 {
	if c.Unanswered == nil || c.Turns == 0 {
		return 0
	}
	return c.Unanswered.Mute
}

// RequestErrors is how many requests were not answered, or with an error of the
// server's: 5xx, a grpc-status other than OK, SERVFAIL and what is like it. A
// connection that failed before anything was asked is one. 4xx and NXDOMAIN are
// none.
func (c *Conversation) RequestErrors() int64 {
	n := c.Unasked + c.Mute()
	if h := c.HTTP; h != nil {
		n += min(h.ServerErrors+h.GRPCErrors+h.Aborted, h.Requests-h.Unknown)
	}
	if d := c.DNS; d != nil {
		n += min(d.SERVFAIL+d.OtherErr+d.Timeouts, d.Queries-d.Unknown)
	}
	return max(n, 0)
}

// ErrorRate is the share of RequestErrors in all that was tried and of which it
// is known how it ended. ok is false where there is none.
func (c *Conversation) ErrorRate() (rate float64, ok bool) {
	known := c.Requests() - c.UnknownRequests() + c.Unasked
	if known <= 0 {
		return 0, false
	}
	return float64(c.RequestErrors()) / float64(known), true
}

// Response is the distribution of the server's response times, in ns. They are
// Bounded where they are the most it can be, as those of DNS over UDP are: the
// round trip to the server is in them; and Ambiguous where some of them may be of
// something else than a request.
func (c *Conversation) Response() (h *histogram.Histogram, state tcp.State) {
	switch {
	case c.Times != nil && c.Times.Response.Count() > 0:
		return &c.Times.Response, c.Times.State()
	case c.DNS != nil:
		return &c.DNS.Time, tcp.Bounded
	}
	return &histogram.Histogram{}, tcp.Unknown
}

// Name is what the server is called: by the clients' TLS handshakes, else by
// DNS; "" not known.
func (c *Conversation) Name() string {
	if c.TLS != nil {
		for _, n := range c.TLS.Names.Top() {
			if n.Value != "" {
				return n.Value
			}
		}
	}
	return c.Names[flow.Server]
}

// Summary is what a Table gives in the end.
type Summary struct {
	conversations store
	until         int64 // end of the capture: Unanswered.Until

	Other   Conversation // the connections of conversations that found no place; Key is empty
	Missing int64        // octets that each of the conversations may lack at most, because they went into Other before
	Joined  int64        // records that were a further sight of a counted connection

	TLS       *TLSServers // with ViewTLS
	DNS       *Names      // with ViewDNS
	Endpoints *Endpoints  // with ViewHTTP
}

// Table takes records and gives a Summary.
type Table struct {
	config  Config
	summary Summary
	waiting map[uint64]*waiter // by flow.Record.ID: records whose path has not come
	buckets int                // memory of what they hold
	one     connection         // scratch
	brief   brief              // likewise
	keys    [aheadLen]Key      // likewise
	ahead   [aheadLen]uint32   // likewise: their hashes
	touched uint64             // of hashLones: what it has loaded was not loaded for nothing
}

// New gives an empty Table.
func New(c Config) *Table {
	c.Conversations, c.Rows = max(c.Conversations, 1), max(c.Rows, 1)
	t := &Table{config: c, waiting: map[uint64]*waiter{}}
	t.summary.conversations.index = index.New()
	switch c.View {
	case ViewTLS:
		t.summary.TLS = newTLSServers(c.Rows)
	case ViewDNS:
		t.summary.DNS = newNames(c.Rows)
	case ViewHTTP:
		t.summary.Endpoints = newEndpoints(c.Rows)
	}
	return t
}

// aheadLen is for how many connections their conversations are looked up ahead:
// those of many hosts are spread over all of the index, which no cache holds.
const aheadLen = 64

// Add takes records. Only whole connections count: their intervals say the same
// again.
func (t *Table) Add(records ...*flow.Record) {
	for len(records) > 0 {
		some := records[:min(len(records), aheadLen)]
		records = records[len(some):]
		t.hashRecords(some)
		for i, r := range some {
			if i+nextRecords < len(some) {
				pool.Prefetch(unsafe.Pointer(some[i+nextRecords]), recordLines)
			}
			if r.Kind == flow.Connection {
				t.add(r, &t.keys[i], t.ahead[i])
			}
		}
	}
}

// nextRecords is how far ahead of a record another is on its way from memory, where
// recordLines lines have what most of them say.
const (
	nextRecords = 2
	recordLines = int(unsafe.Sizeof(flow.Record{}) / 64)
)

// hashRecords hashes the keys of at most aheadLen records, and begins to load their
// entries.
func (t *Table) hashRecords(some []*flow.Record) {
	s := &t.summary.conversations
	for i, r := range some {
		t.keys[i].of(r.Network, r.Proto, &r.Ends)
		t.ahead[i] = t.keys[i].Hash(&s.index)
		s.index.Prefetch(t.ahead[i])
	}
	for i := range some {
		s.prefetch(t.ahead[i])
	}
}

// add adds a connection whose key has a hash.
func (t *Table) add(r *flow.Record, key *Key, hash uint32) {
	t.summary.until = max(t.summary.until, r.End)
	if !r.Joined && t.config.View == ViewConversations && t.brief.of(r) {
		t.foldBrief(r, key, hash)
		return
	}
	c := &t.one
	c.single(r)
	if r.Joined {
		w := c.waiter(r)
		if t.buckets+w.weight > maxBucketsWaiting {
			w.times, w.talk, w.weight = sample{}, talk{}, 0
		}
		t.buckets += w.weight
		t.waiting[r.ID] = w
		return
	}
	t.fold(c, hash)
}

// foldBrief is fold for a record that t.brief is of.
func (t *Table) foldBrief(r *flow.Record, key *Key, hash uint32) {
	s, e := &t.summary.conversations, t.entry(key, hash)
	s.packLone(e)
	if e.whole == 0 && e.packed < maxPacked {
		s.addBrief(e, &t.brief, &r.Samples)
		return
	}
	t.one.single(r)
	s.fold(e, &t.one)
}

// AddPath takes a connection whose records were added before, and lets go of
// them. What waits is bounded by what the watch of the flow tables holds.
func (t *Table) AddPath(p *path.Connection) {
	c := joined(p, t.waiting)
	for i := range p.Points {
		if w := t.waiting[p.Points[i].Flow]; w != nil {
			t.buckets -= w.weight
			delete(t.waiting, p.Points[i].Flow)
		}
	}
	t.summary.Joined += int64(len(p.Points) - 1)
	t.fold(&c, c.key.Hash(&t.summary.conversations.index))
}

// Summary gives the result, which shares memory with the Table: Add must not be
// called any more.
func (t *Table) Summary() *Summary { return &t.summary }

// fold adds a connection to its conversation. hash is that of its key.
func (t *Table) fold(c *connection, hash uint32) {
	s := &t.summary
	s.conversations.fold(t.entry(&c.key, hash), c)
	switch t.config.View {
	case ViewTLS:
		s.TLS.add(c)
	case ViewDNS:
		s.DNS.add(c)
	case ViewHTTP:
		s.Endpoints.add(c)
	}
}

// entry gives that of a key that has a hash.
func (t *Table) entry(key *Key, hash uint32) *entry {
	s := &t.summary.conversations
	if e := s.lookUp(key, hash); e != nil {
		return e
	}
	if s.n >= t.config.Conversations {
		t.halve()
	}
	return s.add(key, hash)
}

// halve puts the conversations with the fewest bytes into Other, until half of
// the room is free. A large one that begins late is so still found; one that
// was put there and comes again begins anew, so it may lack as much as the
// largest that went with it.
func (t *Table) halve() {
	s := &t.summary
	s.Missing += s.conversations.shed(t.config.Conversations/2, &s.Other)
}

func (v *Conversation) add(c *connection) {
	v.grow(1, c.start, c.end, &c.sent, c.points)
	v.Outcomes[c.outcome]++
	if c.rtt != tcp.Absent {
		v.Handshake.Add(c.rtt)
	}
	for side := range v.Repeats {
		v.Repeats[side].add(&c.repeats[side])
	}
	if !c.times.empty() {
		if v.Times == nil {
			v.Times = new(Times)
		}
		v.Times.add(&c.times)
	}
	v.name(&c.names)
	v.Ends.add(&c.ends)
	for side := range v.Missed {
		v.Missed[side] += c.missed[side]
		v.Recorded[side] += c.recorded[side]
	}
	v.listen(c)
}

// listen adds what the two ends of a connection said, and how it ended.
func (v *Conversation) listen(c *connection) {
	t := &c.talk
	if t.handshake.spoken {
		if v.TLS == nil {
			if v.TLS, v.spareTLS = v.spareTLS, nil; v.TLS == nil {
				v.TLS = new(TLS)
			}
		}
		v.TLS.add(&t.handshake, t.point)
	}
	asked := int64(0)
	if t.HTTP != nil {
		if v.HTTP == nil {
			v.HTTP = new(HTTP)
		}
		h, _ := httpOf(t.HTTP, t.ending)
		v.HTTP.add(&h)
		asked += h.Requests
	}
	if t.DNS != nil {
		if v.DNS == nil {
			v.DNS = new(DNS)
		}
		v.DNS.add(t.DNS)
		asked += t.DNS.Queries
	} else {
		v.Unmeasured += t.turns - t.measured
	}
	if asked == 0 {
		v.Turns += t.turns
	}
	v.conclude(c)
}

// conclude adds how a connection ended, and how its time divides.
func (v *Conversation) conclude(c *connection) {
	t := &c.talk
	asked := int64(0)
	if t.HTTP != nil {
		h, open := httpOf(t.HTTP, t.ending)
		v.hang(c, h.Aborted+open)
		asked += h.Requests
	}
	if t.DNS != nil {
		asked += t.DNS.Queries
	}
	if asked == 0 {
		asked = t.turns
	}
	if t.mute {
		v.unanswered().Mute++
		add(&v.unanswered().Waits, t.waited)
	}
	if asked == 0 && (failed(c.outcome) && t.bare || tlsFailed(t.handshake.outcome)) {
		v.Unasked++
	}
	if p := t.Phases; p != nil {
		addPhases(&v.Phases, p)
		if !attempt(c.outcome) {
			w := waitingOf(p, &t.handshake.Handshake, &t.pace, asked)
			v.Waiting.add(&w)
		}
	}
}

func (v *Conversation) name(names *[2]string) {
	for side, name := range names {
		if v.Names[side] == "" {
			v.Names[side] = name
		}
	}
}

// merge adds all that another conversation holds.
func (v *Conversation) merge(o *Conversation) {
	v.grow(o.Connections, o.First, o.Last, &o.Sent, o.Points)
	for outcome, n := range o.Outcomes {
		v.Outcomes[outcome] += n
	}
	v.Handshake.Merge(&o.Handshake)
	for side := range v.Repeats {
		v.Repeats[side].add(&o.Repeats[side])
	}
	if o.Times != nil {
		if v.Times == nil {
			v.Times = new(Times)
		}
		v.Times.merge(o.Times)
	}
	if o.TLS != nil {
		if v.TLS == nil {
			v.TLS = new(TLS)
		}
		v.TLS.merge(o.TLS)
	}
	if o.HTTP != nil {
		if v.HTTP == nil {
			v.HTTP = new(HTTP)
		}
		v.HTTP.add(o.HTTP)
	}
	if o.DNS != nil {
		if v.DNS == nil {
			v.DNS = new(DNS)
		}
		v.DNS.merge(o.DNS)
	}
	if o.Unanswered != nil {
		v.unanswered().merge(o.Unanswered)
	}
	v.name(&o.Names)
	v.Ends.add(&o.Ends)
	v.Turns += o.Turns
	v.Unmeasured += o.Unmeasured
	v.Unasked += o.Unasked
	addPhases(&v.Phases, &o.Phases)
	v.Waiting.add(&o.Waiting)
	for side := range v.Missed {
		v.Missed[side] += o.Missed[side]
		v.Recorded[side] += o.Recorded[side]
	}
}

func (v *Conversation) grow(connections, first, last int64, sent *[2]flow.Volume, points []packet.PointID) {
	if v.Connections == 0 {
		v.First, v.Last = first, last
	} else {
		v.First, v.Last = min(v.First, first), max(v.Last, last)
	}
	v.Connections += connections
	for side := range v.Sent {
		v.Sent[side].Packets += sent[side].Packets
		v.Sent[side].Bytes += sent[side].Bytes
		v.Sent[side].PayloadBytes += sent[side].PayloadBytes
	}
	for _, p := range points {
		v.locate(p)
	}
}

// locate notes that it was seen at a point.
func (v *Conversation) locate(p packet.PointID) {
	if at, found := slices.BinarySearch(v.Points, p); !found && len(v.Points) < maxPoints {
		v.Points = slices.Insert(v.Points, at, p)
	}
}
