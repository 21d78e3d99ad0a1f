// Package edge folds connections into conversations: which client talks to
// which server and port, over which protocol, how much and with what success.
//
// A connection that is seen at several observation points counts once. Which
// records are the same connection is told by join.go, from addresses and times
// alone.
//
// A Table is bounded, and what finds no place is counted. It is owned by one
// goroutine. What it gives depends on nothing but the records and their order.
package edge

import (
	"slices"

	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/packet"
	"mirrorscope/tcp"
)

// Config bounds the memory of a Table.
type Config struct {
	Conversations int // the most conversations told apart; connections of further ones go into Other
	Pending       int // the most connections that wait for records of other observation points
}

// DefaultConfig allows about 100 MB.
func DefaultConfig() Config { return Config{Conversations: 100_000, Pending: 1 << 16} }

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
	Other         Conversation   // connections of conversations beyond Config.Conversations; Key is empty
	Joined        int64          // records that were a further sight of a counted connection
	Unjudged      int64          // connections that may have been counted more than once: see join.go
}

// Table takes records and gives a Summary.
type Table struct {
	config  Config
	index   map[Key]int // into summary.Conversations
	summary Summary
	pending pending
}

// New gives an empty Table.
func New(c Config) *Table {
	return &Table{config: c, index: map[Key]int{}, pending: newPending(c.Pending)}
}

// Add takes one record. Only whole connections count: their intervals say the
// same again.
func (t *Table) Add(r *flow.Record) {
	if r.Kind != flow.Connection {
		return
	}
	if t.pending.join(r) {
		t.summary.Joined++
		return
	}
	if t.pending.full() {
		t.fold(t.pending.pop())
		t.pending.left++
	}
	t.pending.push(r)
}

// Summary ends the joining and gives the result, which shares memory with the
// Table: Add must not be called any more.
func (t *Table) Summary() *Summary {
	for !t.pending.empty() {
		t.fold(t.pending.pop())
	}
	t.summary.Unjudged = t.pending.unjudged()
	return &t.summary
}

// fold adds a connection to its conversation.
func (t *Table) fold(c *connection) {
	server := &c.ends[flow.Server]
	key := Key{
		Network: c.tuple.network, Client: c.ends[flow.Client].Addr, Server: server.Addr, Port: server.Port, HasPort: server.HasPort, Proto: c.tuple.proto,
	}
	into := &t.summary.Other
	if i, ok := t.index[key]; ok {
		into = &t.summary.Conversations[i]
	} else if len(t.summary.Conversations) < t.config.Conversations {
		t.index[key] = len(t.summary.Conversations)
		t.summary.Conversations = append(t.summary.Conversations, Conversation{Key: key})
		into = &t.summary.Conversations[len(t.summary.Conversations)-1]
	}
	into.add(c)
}

func (v *Conversation) add(c *connection) {
	if v.Connections == 0 {
		v.First, v.Last = c.start, c.end
	} else {
		v.First, v.Last = min(v.First, c.start), max(v.Last, c.end)
	}
	v.Connections++
	for side := range v.Sent {
		v.Sent[side].Packets += c.sent[side].Packets
		v.Sent[side].Bytes += c.sent[side].Bytes
		v.Sent[side].PayloadBytes += c.sent[side].PayloadBytes
	}
	v.Outcomes[c.outcome]++
	if c.rtt != tcp.Absent {
		v.Handshake.Add(c.rtt)
	}
	for _, p := range c.points[:c.npoints] {
		if at, found := slices.BinarySearch(v.Points, p); !found && len(v.Points) < maxPoints {
			v.Points = slices.Insert(v.Points, at, p)
		}
	}
}
