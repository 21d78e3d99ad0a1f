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
	"cmp"
	"slices"

	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/packet"
	"mirrorscope/path"
	"mirrorscope/tcp"
)

// Config bounds the memory of a Table.
type Config struct {
	Conversations int // the most conversations told apart; when there are more, the smaller half goes into Other
}

// DefaultConfig allows about 100 MB.
func DefaultConfig() Config { return Config{Conversations: 100_000} }

// Key tells conversations apart. The client's port is not in it.
type Key struct {
	Network        packet.NetworkID
	Client, Server packet.Addr
	Port           uint16 // the server's
	HasPort        bool   // false for protocols without ports
	Proto          uint8  // IP protocol number
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
}

// Bytes is what both sides sent, in IP octets.
func (c *Conversation) Bytes() int64 { return c.Sent[flow.Client].Bytes + c.Sent[flow.Server].Bytes }

// Packets is what both sides sent.
func (c *Conversation) Packets() int64 {
	return c.Sent[flow.Client].Packets + c.Sent[flow.Server].Packets
}

// Errors is the number of connections that failed, or ended otherwise than by
// a close.
func (c *Conversation) Errors() int64 {
	n := int64(0)
	for _, o := range [...]flow.Outcome{flow.Refused, flow.Unreachable, flow.Timeout, flow.HalfOpenTimeout, flow.Reset, flow.AbortedTimeout} {
		n += c.Outcomes[o]
	}
	return n
}

// Summary is what a Table gives in the end.
type Summary struct {
	Conversations []Conversation // in the order in which they became known
	Other         Conversation   // the connections of conversations that found no place; Key is empty
	Missing       int64          // octets that each of Conversations may lack at most, because they went into Other before
	Joined        int64          // records that were a further sight of a counted connection
}

// Table takes records and gives a Summary.
type Table struct {
	config  Config
	index   map[Key]int // into summary.Conversations
	summary Summary
	waiting map[uint64]*waiter // by flow.Record.ID: records whose path has not come
	buckets int                // of their distributions
}

// New gives an empty Table.
func New(c Config) *Table {
	c.Conversations = max(c.Conversations, 1)
	return &Table{config: c, index: map[Key]int{}, waiting: map[uint64]*waiter{}}
}

// Add takes one record. Only whole connections count: their intervals say the
// same again.
func (t *Table) Add(r *flow.Record) {
	if r.Kind != flow.Connection {
		return
	}
	c := single(r)
	if r.Joined {
		w := &waiter{client: r.Ends[flow.Client], repeats: c.repeats}
		if t.buckets+c.times.weight <= maxBucketsWaiting {
			w.times = c.times
			t.buckets += w.times.weight
		}
		t.waiting[r.ID] = w
		return
	}
	t.fold(&c)
}

// AddPath takes a connection whose records were added before, and lets go of
// them. What waits is bounded by what the watch of the flow tables holds.
func (t *Table) AddPath(p *path.Connection) {
	c := joined(p, t.waiting)
	for i := range p.Points {
		if w := t.waiting[p.Points[i].Flow]; w != nil {
			t.buckets -= w.times.weight
			delete(t.waiting, p.Points[i].Flow)
		}
	}
	t.summary.Joined += int64(len(p.Points) - 1)
	t.fold(&c)
}

// Summary gives the result, which shares memory with the Table: Add must not be
// called any more.
func (t *Table) Summary() *Summary { return &t.summary }

// fold adds a connection to its conversation.
func (t *Table) fold(c *connection) {
	var into *Conversation
	if i, ok := t.index[c.key]; ok {
		into = &t.summary.Conversations[i]
	} else {
		if len(t.summary.Conversations) >= t.config.Conversations {
			t.halve()
		}
		t.index[c.key] = len(t.summary.Conversations)
		t.summary.Conversations = append(t.summary.Conversations, Conversation{Key: c.key})
		into = &t.summary.Conversations[len(t.summary.Conversations)-1]
	}
	into.add(c)
}

// halve puts the conversations with the fewest bytes into Other, until half of
// the room is free. A large one that begins late is so still found; one that
// was put there and comes again begins anew, so it may lack as much as the
// largest that went with it.
func (t *Table) halve() {
	s := &t.summary
	order := make([]int, len(s.Conversations))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(s.Conversations[a].Bytes(), s.Conversations[b].Bytes()) })
	leaving := order[:len(order)-t.config.Conversations/2]
	s.Missing += s.Conversations[leaving[len(leaving)-1]].Bytes()
	slices.Sort(leaving)
	kept := s.Conversations[:0]
	for i := range s.Conversations {
		c := s.Conversations[i]
		if len(leaving) > 0 && leaving[0] == i {
			leaving = leaving[1:]
			s.Other.merge(&c)
			delete(t.index, c.Key)
			continue
		}
		t.index[c.Key] = len(kept)
		kept = append(kept, c)
	}
	clear(s.Conversations[len(kept):]) // their buckets are free now
	s.Conversations = kept
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
		if at, found := slices.BinarySearch(v.Points, p); !found && len(v.Points) < maxPoints {
			v.Points = slices.Insert(v.Points, at, p)
		}
	}
}
