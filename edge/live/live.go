// Package live keeps what conversations did in the last minute or so: who talks
// to whom right now, how much, and how it goes.
//
// A Table folds the records of a running sensor: the intervals as they end, and
// whole connections for how they went. It keeps a step for each interval of the
// window; a Top is the sum of the steps that lie in it. What a Top holds are
// plain values, so that it can be handed to any goroutine, and its rows use the
// words of the conversations view.
//
// Interval records do not tell that several observation points recorded a
// connection: that is known when it has ended. So records of one network and
// 5-tuple are taken for sights of one connection, and each side counts as that
// point saw it that has recorded most of it so far. The sum over all steps is
// then what that point recorded in the whole life. Where two pairs of hosts use
// the same addresses and ports at the same time in one network, they count as
// one. What the ends say (TLS, HTTP, DNS, turns) counts at the point that heard it
// first; how a connection went is told by its path, once.
//
// When the roles of client and server turn out to be the other way round, what
// follows counts for the right conversation; what was told before stays where it
// is until it leaves the window.
//
// A Table is bounded, and what finds no place is counted. It is owned by one
// goroutine. What it gives depends on nothing but the calls and their order.
package live

import (
	"errors"
	"fmt"
	"math"
	"time"

	"mirrorscope/edge"
	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/path"
	"mirrorscope/session"
	"mirrorscope/tcp"
)

// Config bounds a Table.
type Config struct {
	Interval      time.Duration // length of the interval records
	Window        time.Duration // what a Top tells of: whole intervals
	Conversations int           // the most conversations told apart; when there are more, the smaller ones go into Other
	Connections   int           // the most connections followed at a time: others count in each step and at each observation point anew
	Samples       int           // the most buckets of distributions, of 16 octets each, in all steps together
}

// DefaultConfig is one minute in intervals of ten seconds, in about 100 MB where
// all of it is used.
func DefaultConfig() Config {
	return Config{Interval: 10 * time.Second, Window: time.Minute, Conversations: 5000, Connections: 100_000, Samples: 2 << 20}
}

// maxSteps bounds the intervals in a window.
const maxSteps = 360

// Validate reports every field that cannot be used.
func (c Config) Validate() error {
	var errs []error
	if c.Interval < time.Second || c.Interval%time.Second != 0 {
		errs = append(errs, fmt.Errorf("interval: %v, need whole seconds", c.Interval))
	} else if c.Window < c.Interval || c.Window%c.Interval != 0 || c.Window/c.Interval > maxSteps {
		errs = append(errs, fmt.Errorf("window: %v, need 1 to %d intervals of %v", c.Window, maxSteps, c.Interval))
	}
	for _, n := range []struct {
		name string
		v    int
	}{{"conversations", c.Conversations}, {"connections", c.Connections}, {"samples", c.Samples}} {
		if n.v < 1 {
			errs = append(errs, fmt.Errorf("%s: %d, need at least 1", n.name, n.v))
		}
	}
	return errors.Join(errs...)
}

// Names tells what small numbers in records stand for. It is packet.Names.
type Names interface {
	NetworkName(packet.NetworkID) string
}

// Table takes records and gives a Top.
type Table struct {
	config   Config
	names    Names
	protocol func(uint8) string
	length   int64 // of a step, ns
	steps    int64 // in the window

	now   int64 // number of the newest step of which there are intervals; noStep before the first
	first int64 // … and of the first one

	conversations numbered[conversation]
	other         conversation
	samples       int         // buckets that all steps hold
	ranks         []candidate // scratch of halve

	connections followed
	pending     []*connection // with records that are not folded, all of one step
	pendingStep int64

	waiting map[uint64]*session.QUIC // by flow.Record.ID: joined connections whose path has not come
	waited  []uint64                 // of those, in order

	idle idle
	lone connection // that is not followed: scratch of Add

	spread tcp.Spread

	counts Counts
	health health
	weight uint16 // how many connections each of the newest step stands for
}

// Counts tells what a Table had no room for.
type Counts struct {
	Folded    uint64 // conversations that went into Other
	Untracked uint64 // interval records of connections that were not followed
	Unsampled uint64 // distributions that were left out

	// Unfollowed are interval records that were not counted, as they correct what
	// was told before the connection was followed: its roles changed.
	Unfollowed uint64
}

// noStep stands for the time before the first record.
const noStep = math.MinInt64 / 2

// New gives an empty Table. c must be valid; protocol names an IP protocol.
func New(c Config, names Names, protocol func(uint8) string) *Table {
	t := &Table{
		config: c, names: names, protocol: protocol, length: int64(c.Interval), steps: int64(c.Window / c.Interval),
		now: noStep, first: noStep, pendingStep: noStep,
		conversations: newNumbered[conversation](), waiting: map[uint64]*session.QUIC{},
	}
	t.connections = followed{numbered: newNumbered[connection](), steps: make([]inStep, t.slots())}
	return t
}

// Counts tells what there was no room for since the beginning.
func (t *Table) Counts() Counts { return t.counts }

// aheadLen is for how many records memory is loaded ahead.
const aheadLen = 16

// AddAll is Add of each.
func (t *Table) AddAll(records []*flow.Record) {
	var tuples [aheadLen]edge.Tuple
	var hashes [aheadLen]uint32
	for len(records) > 0 {
		some := records[:min(len(records), aheadLen)]
		records = records[len(some):]
		for i, r := range some {
			tuples[i] = edge.TupleOf(r)
			hashes[i] = tuples[i].Hash(&t.connections.index)
			t.connections.index.Prefetch(hashes[i])
		}
		for i, r := range some {
			t.add(r, &tuples[i], hashes[i])
		}
	}
}

// Add takes a record, in the order of the output. What it points to must not
// change any more.
func (t *Table) Add(r *flow.Record) {
	tuple := edge.TupleOf(r)
	t.add(r, &tuple, tuple.Hash(&t.connections.index))
}

// add is Add, with the tuple of the record and its hash.
func (t *Table) add(r *flow.Record, tuple *edge.Tuple, hash uint32) {
	if r.Kind != flow.Interval {
		t.settle()
		t.end(r, tuple, hash)
		return
	}
	step := r.IntervalStart / t.length
	if step != t.pendingStep {
		t.settle()
		t.pendingStep = step
	}
	if step > t.now {
		t.weight = 0
	}
	t.advance(step)
	if t.left(step) {
		return
	}
	t.weight = max(t.weight, r.Weight)
	c := t.connection(tuple, hash, step)
	if c == nil {
		t.counts.Untracked++
		c = t.lone.renew(tuple)
		t.take(c, r)
		t.fold(c, step)
		return
	}
	if c.succeeds(r) {
		t.fold(c, step)
	}
	if !c.pending {
		c.pending = true
		t.pending = append(t.pending, c)
	}
	t.take(c, r)
}

func (t *Table) take(c *connection, r *flow.Record) {
	if !c.add(r) {
		t.counts.Unfollowed++
	}
}

// left tells of a step that it has left the window.
func (t *Table) left(step int64) bool { return t.now-step >= t.steps }

// slots is how many steps are kept: those of the window and the running one.
func (t *Table) slots() int64 { return t.steps + 1 }

// advance makes a step the newest one.
func (t *Table) advance(step int64) {
	if t.first == noStep {
		t.first = step
	}
	if step > t.now {
		t.now = step
		t.expire()
	}
}

// settle folds the records of a step.
func (t *Table) settle() {
	for _, c := range t.pending {
		t.fold(c, t.pendingStep)
		c.pending = false
	}
	clear(t.pending)
	t.pending = t.pending[:0]
	t.pendingStep = noStep
	if t.conversations.n > t.config.Conversations {
		t.halve()
	}
}

// maxWaiting bounds the connections that wait for their path.
const maxWaiting = 1 << 14

// end takes a connection that is over, for how it went.
func (t *Table) end(r *flow.Record, tuple *edge.Tuple, hash uint32) {
	if c := t.connections.of(tuple, hash); c != nil {
		t.connections.over(c)
	}
	if !r.Joined {
		t.finish(&ending{key: keyOf(r.Network, r.Proto, &r.Ends), release: r.Release, last: r.End, outcome: r.Outcome, quic: r.QUIC})
		return
	}
	if r.QUIC == nil {
		return // its path tells all
	}
	if len(t.waited) >= maxWaiting {
		delete(t.waiting, t.waited[0])
		t.waited = t.waited[1:]
	}
	t.waiting[r.ID] = r.QUIC
	t.waited = append(t.waited, r.ID)
}

// AddPath takes a connection that several points recorded, behind the last of
// its records.
func (t *Table) AddPath(p *path.Connection) {
	e := ending{key: keyOf(p.Network, p.Proto, &p.Ends), release: p.End, last: p.End, outcome: p.Outcome}
	for i := range p.Points {
		if q := t.waiting[p.Points[i].Flow]; q != nil {
			delete(t.waiting, p.Points[i].Flow)
			if e.quic == nil {
				e.quic = q
			}
		}
	}
	for len(t.waited) > 0 && t.waiting[t.waited[0]] == nil {
		t.waited = t.waited[1:]
	}
	t.finish(&e)
}

// ending is the end of a connection.
type ending struct {
	key           edge.Key
	release, last int64
	outcome       flow.Outcome
	quic          *session.QUIC // its handshake is in no interval
}

// endOfInput is the release time of what was open when the input ended.
const endOfInput = math.MaxInt64

// finish counts how a connection went, in the step in which that became known:
// the intervals of the running one come when it is over.
func (t *Table) finish(e *ending) {
	at := e.release
	if at == endOfInput {
		at = e.last
	}
	step := at / t.length
	if t.now == noStep {
		t.now, t.first = step-1, step
	}
	step = min(step, t.now+1)
	if t.left(step) {
		return
	}
	b := t.at(t.conversation(&e.key), step)
	b.outcomes[e.outcome]++
	if noConnection(e.outcome) {
		b.unasked++
	}
	b.last = max(b.last, e.last)
	if e.quic != nil {
		t.secure(b, &session.Report{QUIC: e.quic})
	}
}

// noConnection tells of an outcome that nothing can have been asked.
func noConnection(o flow.Outcome) bool {
	switch o {
	case flow.Refused, flow.Unreachable, flow.Timeout, flow.HalfOpenTimeout:
		return true
	}
	return false
}

func keyOf(network packet.NetworkID, proto uint8, ends *[2]flow.Endpoint) edge.Key {
	server := &ends[flow.Server]
	return edge.Key{Network: network, Client: ends[flow.Client].Addr, Server: server.Addr, Port: server.Port, HasPort: server.HasPort, Proto: proto}
}

// Health takes the state of the input at a time of its clock, ns since the Unix
// epoch: the records that were due by then have been added.
func (t *Table) Health(at int64, c *flow.Capture) {
	t.settle()
	if running := at / t.length; t.now == noStep {
		t.now, t.first = running-1, running
	} else {
		t.advance(running - 1)
	}
	t.health.add(at, int64(t.config.Window), c)
}
