package group

import (
	"mirrorscope/edge"
	"mirrorscope/flow"
	"mirrorscope/histogram"
	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/tcp"
)

// Times is what a distribution of durations is of.
type Times uint8

const (
	Handshake        Times = iota // round trip of TCP handshakes that were measured
	HandshakeClient               // its half on the client's side of the observation point
	HandshakeServer               // … on the server's side
	RTTClient                     // clean samples between the observation point and the client
	RTTServer                     // … the server
	RTTClientDelayed              // samples that a delayed ACK may have made longer
	RTTServerDelayed              // …
	TLSTotal                      // handshakes of TLS, DTLS and QUIC that were measured, at the observation point
	TLSNetwork                    // shares of those that could be divided
	TLSServer                     // …
	TLSClient                     // …
	TLSPerceived                  // as the clients had them, where that is known
	Response                      // think time of servers over TCP
	DNSTime                       // from query to response
	NumTimes
)

// Measure is something of a connection that may not be known.
type Measure uint8

// What the states of whole connections are counted of, once each, when they end.
const (
	MeasureHandshake Measure = iota // of TCP
	MeasureRTTClient
	MeasureRTTServer
	MeasureRepeatsClient
	MeasureRepeatsServer
	MeasureResponse // of connections over TCP with requests
	MeasureTLS      // handshakes of TLS, DTLS and QUIC
	NumMeasures
)

// States counts connections by the state of a measure.
type States [tcp.Ambiguous + 1]int64

// Row sums what one combination of values did in one window. Sums only: rates and
// shares are made when it is shown.
type Row struct {
	Values []string // by key of the table; "" has none. nil: Other

	Start, End  int64 // first and last packet, ns; 0, 0 not known
	Connections int64 // that had packets in the window, or of which became known how they ended: each once
	Ended       int64 // … of those, the latter
	Established int64 // connections of TCP that were open at the window's end

	Unknown [NumMeasures]States

	sums  sums
	times [NumTimes]*histogram.Histogram
	rest  edge.Conversation // what is neither in sums nor in times
	flags rowFlags
	proto uint8
	id    string // of its values
}

// rowFlags are what a row knows for certain once one of its connections does.
type rowFlags uint16

const (
	hasProto rowFlags = 1 << iota
	mixed             // of several protocols
	toldClient
	toldServer
	atLeastClient
	atLeastServer
	atMost    // response times are upper bounds
	doubtful  // … or of what may be no request
	spokeHTTP // in the clear
	spokeDNS
	isTCP  // some connections are
	ofTime // of what connections did in a window, and not of their whole lives
)

// Side gives a count of one side.
func (r *Row) Side(side flow.Side, c SideCount) int64 { return r.sums.side(side)[c] }

// Class gives the packets that a side sent again for a reason.
func (r *Row) Class(side flow.Side, c tcp.Class) int64 {
	return r.sums.side(side)[byClass+SideCount(c)]
}

// Count gives a count of both sides.
func (r *Row) Count(c Count) int64 { return r.sums.both()[c] }

// Bytes is what both sides sent, in IP octets.
func (r *Row) Bytes() int64 { return r.Side(flow.Client, Bytes) + r.Side(flow.Server, Bytes) }

// Packets is what both sides sent.
func (r *Row) Packets() int64 { return r.Side(flow.Client, Packets) + r.Side(flow.Server, Packets) }

// Times gives a distribution, nil where there is none. It belongs to the row.
func (r *Row) Times(t Times) *histogram.Histogram { return r.times[t] }

// TCP tells whether some of the connections are of TCP.
func (r *Row) TCP() bool { return r.flags&isTCP != 0 }

// RepeatsKnown tells whether it is known of some connection what a side sent
// again, and whether that is only the least it can be.
func (r *Row) RepeatsKnown(side flow.Side) (known, atLeast bool) {
	return r.flags&(toldClient<<side) != 0, r.flags&(atLeastClient<<side) != 0
}

// ResponseState is that of the response times.
func (r *Row) ResponseState() tcp.State {
	switch {
	case r.times[Response] == nil && r.times[DNSTime] == nil:
		return tcp.Unknown
	case r.flags&doubtful != 0:
		return tcp.Ambiguous
	case r.flags&atMost != 0 || r.times[Response] == nil:
		return tcp.Bounded
	}
	return tcp.Measured
}

// Outcomes counts the connections that ended by how they went.
func (r *Row) Outcomes() *[flow.NumOutcomes]int64 { return &r.rest.Outcomes }

// Ends tells more of connections that did not end by a close.
func (r *Row) Ends() *edge.Ends { return &r.rest.Ends }

// TLS tells of handshakes, but for their durations; nil where there were none.
func (r *Row) TLS() *edge.TLS { return r.rest.TLS }

// Conversation gives the row as a conversation, for all that is told of those: how
// many requests, errors and of whom a verdict speaks. It shares memory with the row,
// and is valid until that is changed.
func (r *Row) Conversation() *edge.Conversation {
	c := new(edge.Conversation)
	*c = r.rest
	c.Connections, c.First, c.Last = r.Connections, r.Start, r.End
	if r.flags&(hasProto|mixed) == hasProto {
		c.Proto = r.proto
	}
	b := r.sums.both()
	for side := range c.Sent {
		x := r.sums.side(flow.Side(side))
		c.Sent[side] = flow.Volume{Packets: x[Packets], Bytes: x[Bytes], PayloadBytes: x[Payload]}
		c.Missed[side], c.Recorded[side] = x[Missed], x[Recorded]
		if known, atLeast := r.RepeatsKnown(flow.Side(side)); known {
			c.Repeats[side] = edge.Repeats{Connections: max(r.Connections, 1), Packets: x[Repeats], Bytes: x[RepeatBytes], Payload: x[Tellable], AtLeast: atLeast}
		}
	}
	c.Turns, c.Unmeasured = b[Turns], b[Unmeasured]
	share(&c.Handshake, r.times[Handshake])
	c.Times = &edge.Times{AtMost: r.flags&atMost != 0, Doubtful: r.flags&doubtful != 0}
	for side := range c.Times.RTT {
		share(&c.Times.RTT[side], r.times[RTTClient+Times(side)])
		share(&c.Times.Delayed[side], r.times[RTTClientDelayed+Times(side)])
	}
	share(&c.Times.Response, r.times[Response])
	if r.rest.TLS != nil {
		t := *r.rest.TLS
		share(&t.Total, r.times[TLSTotal])
		share(&t.NetworkShare, r.times[TLSNetwork])
		share(&t.ServerShare, r.times[TLSServer])
		share(&t.ClientShare, r.times[TLSClient])
		share(&t.Perceived, r.times[TLSPerceived])
		c.TLS = &t
	}
	if r.flags&spokeHTTP != 0 {
		c.HTTP = &edge.HTTP{
			Requests: b[HTTPRequests], ClientErrors: b[HTTPClient], ServerErrors: b[HTTPServer], GRPCErrors: b[HTTPGRPC],
			Aborted: b[HTTPAborted], Unknown: b[HTTPUnknown],
		}
	}
	if r.flags&spokeDNS != 0 {
		c.DNS = &edge.DNS{
			Queries: b[DNSQueries], NXDOMAIN: b[DNSNXDomain], SERVFAIL: b[DNSServFail], OtherErr: b[DNSOtherErrors],
			Timeouts: b[DNSTimeouts], Unknown: b[DNSUnknown],
		}
		if r.rest.DNS != nil {
			c.DNS.RCodes = r.rest.DNS.RCodes
		}
		share(&c.DNS.Time, r.times[DNSTime])
	}
	if r.flags&ofTime != 0 {
		c.Phases, c.Waiting = session.Phases{}, r.waiting(c)
	}
	if u := r.rest.Unanswered; u != nil {
		x := *u
		x.Until = r.End
		c.Unanswered = &x
	}
	return c
}

// waiting divides the time in which somebody waited within the window. The phases of
// connections tell of their whole lives, which may be much longer: what was measured
// in the window stands in for them. Each request waits for the server to think, and
// for one round trip.
func (r *Row) waiting(c *edge.Conversation) edge.Waiting {
	sum := func(t Times) int64 {
		if h := r.times[t]; h != nil {
			return h.Sum()
		}
		return 0
	}
	w := edge.Waiting{
		Connections: r.Connections, Server: sum(Response), TLS: sum(TLSServer), Client: sum(TLSClient), Network: sum(Handshake) + sum(TLSNetwork),
	}
	if ns, atMost, ok := c.Times.PathRTT(); ok && !atMost {
		w.Network += int64(ns) * int64(c.Times.Response.Count())
	}
	if closed := r.Side(flow.Client, ZeroWindowTime); closed > 0 {
		w.Client += closed
		w.Stalled[flow.Client] = closed
	}
	return w
}

// share lends a distribution to one that is only read.
func share(into *histogram.Histogram, h *histogram.Histogram) {
	if h != nil {
		*into = *h
	}
}

// Merge adds all that another row of the same window holds. In which order rows
// are merged makes no difference.
func (r *Row) Merge(o *Row) {
	r.between(o.Start, o.End)
	r.Connections += o.Connections
	r.Ended += o.Ended
	r.Established += o.Established
	for m := range r.Unknown {
		for state, n := range o.Unknown[m] {
			r.Unknown[m][state] += n
		}
	}
	r.sums.add(&o.sums)
	for i, h := range o.times {
		if h == nil {
			continue
		}
		if r.times[i] == nil {
			r.times[i] = new(histogram.Histogram)
		}
		r.times[i].Merge(h)
	}
	r.rest.Merge(&o.rest)
	if o.flags&hasProto != 0 {
		r.protocol(o.proto)
	}
	r.flags |= o.flags
}

// protocol notes that of a connection.
func (r *Row) protocol(p uint8) {
	if r.flags&hasProto != 0 && r.proto != p {
		r.flags |= mixed
		p = min(p, r.proto)
	}
	r.flags |= hasProto
	r.proto = p
	if p == packet.ProtoTCP {
		r.flags |= isTCP
	}
}

// between widens the time in which the row has packets.
func (r *Row) between(first, last int64) {
	if first == 0 && last == 0 {
		return
	}
	if r.Start == 0 && r.End == 0 {
		r.Start, r.End = first, last
		return
	}
	r.Start, r.End = min(r.Start, first), max(r.End, last)
}

// empty tells whether nothing is in the row.
func (r *Row) empty() bool {
	if r.Connections != 0 || r.Ended != 0 || r.Established != 0 || r.sums != (sums{}) {
		return false
	}
	for _, h := range r.times {
		if h != nil {
			return false
		}
	}
	return true
}

// buckets is what its distributions take.
func (r *Row) buckets() (n int) {
	for _, h := range r.times {
		if h != nil {
			n += len(h.Buckets())
		}
	}
	return n
}
