package netlab

import "time"

// Plan is what the network does to packets: two hops on the way of each
// direction, in the order in which the client's packets pass them. The middle
// tap lies between. A packet of the server passes Hops[1] first.
type Plan struct {
	Hops [2]Hop
}

// Hop is one stretch of the path.
type Hop struct {
	FromClient, FromServer Link
}

func (h *Hop) link(d Direction) *Link {
	if d == FromClient {
		return &h.FromClient
	}
	return &h.FromServer
}

// Link is one direction of a hop.
type Link struct {
	Delay time.Duration // of every packet
	Rate  int64         // bit/s of a bottleneck in front of the delay; 0: none
	Queue int           // packets that may wait for the bottleneck; 0: without bound
	Rules []Rule        // all that match a packet apply
}

// Rule is what happens to some packets.
type Rule struct {
	If   func(Packet) bool
	Drop bool
	Late time.Duration // added to the delay, so that later packets overtake
	Copy time.Duration // a second copy so much later; 0: none
}

// Packet is what a rule sees of a packet when it enters a hop.
type Packet struct {
	Kind    Kind
	N       int   // the n-th of its kind that this sender's packets brought to this hop, from 1
	Offset  int64 // of its first octet in the stream, from 0; of SYN, -1
	Len     int   // octets of payload
	Attempt int   // 1 for an original, 2 for the first repeat of its first octet …
	Random  float64
}

// nth matches the given packets of a kind, counted from 1.
func nth(k Kind, n ...int) func(Packet) bool {
	return func(p Packet) bool {
		if p.Kind != k {
			return false
		}
		for _, n := range n {
			if p.N == n {
				return true
			}
		}
		return false
	}
}

// every matches each n-th packet of a kind.
func every(k Kind, n int) func(Packet) bool {
	return func(p Packet) bool { return p.Kind == k && p.N%n == 0 }
}

// chance matches a packet of a kind with probability p, from the seed of the
// scenario.
func chance(k Kind, probability float64) func(Packet) bool {
	return func(p Packet) bool { return p.Kind == k && p.Random < probability }
}

// octet matches the first transmissions, times in number, of the data that
// carries an octet of the stream.
func octet(offset int64, times int) func(Packet) bool {
	return func(p Packet) bool {
		return p.Kind == Data && p.Offset <= offset && offset < p.Offset+int64(p.Len) && p.Attempt <= times
	}
}

// first matches the first n packets of a kind.
func first(k Kind, n int) func(Packet) bool {
	return func(p Packet) bool { return p.Kind == k && p.N <= n }
}

// drop, late and twice make rules.
func drop(when func(Packet) bool) Rule                    { return Rule{If: when, Drop: true} }
func late(when func(Packet) bool, by time.Duration) Rule  { return Rule{If: when, Late: by} }
func twice(when func(Packet) bool, by time.Duration) Rule { return Rule{If: when, Copy: by} }

// delays is a path with the given delay each way on the client's and on the
// server's hop.
func delays(client, server time.Duration) Plan {
	return Plan{Hops: [2]Hop{
		{FromClient: Link{Delay: client}, FromServer: Link{Delay: client}},
		{FromClient: Link{Delay: server}, FromServer: Link{Delay: server}},
	}}
}

// with adds rules to one direction of a hop and gives the new plan.
func (p Plan) with(hop int, d Direction, rules ...Rule) Plan {
	l := p.Hops[hop].link(d)
	l.Rules = append(l.Rules[:len(l.Rules):len(l.Rules)], rules...)
	return p
}

// bottleneck limits one direction of a hop.
func (p Plan) bottleneck(hop int, d Direction, rate int64, queue int) Plan {
	l := p.Hops[hop].link(d)
	l.Rate, l.Queue = rate, queue
	return p
}
