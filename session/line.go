package session

import "mirrorscope/tcp"

// Phases divides the time of a connection, from its first packet to its last,
// in ns. They are consecutive, do not overlap, and add up to the duration.
type Phases struct {
	TCP        int64 // first SYN to the ACK that ends the handshake; the whole of an attempt that failed
	Prelude    int64 // what two ends say before TLS starts inside another protocol
	ClientIdle int64 // nothing asked yet: before TLS and behind it
	TLS        int64 // ClientHello to the end of the handshake
	Request    int64 // first to last octet of requests
	Server     int64 // between request and response, the network's share taken off
	Network    int64 // … that share: one round trip between observation point and server each
	Transfer   int64 // first to last octet of responses
	Idle       int64 // between a response and the next request
	Close      int64 // behind the last payload
	Unknown    int64 // between two bounds of which one was not recorded
	Overlap    bool  // phases overlapped, as with early data: the time is that of the later one
}

// Sum is the duration.
func (p *Phases) Sum() int64 {
	return p.TCP + p.Prelude + p.ClientIdle + p.TLS + p.Request + p.Server + p.Network + p.Transfer + p.Idle + p.Close + p.Unknown
}

// line is the time line of a connection from its first payload on: the present
// phase, and what those before took.
type line struct {
	since  int64 // when the present phase began
	last   int64 // the latest payload of it
	asked  int64 // the latest payload of the request
	reqEnd int64 // position behind it
	first  int64 // the first payload; 0 none

	phase   phase
	broken  bool // part of the present request came again
	banner  bool // the server spoke first
	overlap bool

	sums [numPhases - inPrelude]int64 // what phases took; that of inUnknown is all that is left of first to since
}

type phase uint8

const (
	inNothing phase = iota
	inUnknown
	inPrelude
	inClientIdle
	inTLS
	inRequest
	inTransfer
	inIdle
	atServer // of the wait for a response, which line counts with the request
	atNetwork
	numPhases
)

// sum is what a phase took, from inPrelude on.
func (l *line) sum(p phase) *int64 { return &l.sums[p-inPrelude] }

// unknown is what no other phase took.
func (l *line) unknown() int64 {
	left := l.since - l.first
	for _, n := range l.sums {
		left -= n
	}
	return left
}

// enter ends the present phase at a time and begins another.
func (l *line) enter(p phase, at int64) {
	if l.phase == inNothing {
		l.since, l.first = at, at
	}
	at = max(at, l.since)
	if l.phase >= inPrelude {
		*l.sum(l.phase) += at - l.since
	}
	l.phase, l.since, l.last = p, at, at
}

// tls begins the TLS handshake. What was said before is its prelude, or part of
// the ClientHello that was recorded out of order.
func (l *line) tls(at int64, prelude bool) {
	if l.phase == inNothing {
		l.enter(inTLS, at)
		return
	}
	clear(l.sums[:])
	if at = max(at, l.last); prelude {
		*l.sum(inPrelude) = at - l.first
	} else {
		at = l.first
	}
	l.phase, l.since, l.last, l.banner = inTLS, at, at, false
}

// tlsEnds ends the TLS handshake.
func (l *line) tlsEnds(at int64) {
	if l.phase != inTLS && l.phase != inUnknown {
		l.overlap = true // the client did not wait for it
		return
	}
	l.enter(inClientIdle, at)
}

// early takes over, behind the handshake, a request that was sent in it as early
// data and ends at a position.
func (l *line) early(end int64) {
	l.enter(inRequest, l.since)
	l.broken, l.reqEnd, l.asked, l.overlap = false, end, l.since, true
}

// blind: the TLS handshake cannot be followed to its end.
func (l *line) blind() {
	if l.phase == inTLS {
		l.phase = inUnknown
	}
}

// payload takes payload of no phase of its own: of the handshake, or an alert
// behind it.
func (l *line) payload(at int64) {
	if l.phase != inTransfer && l.phase != inRequest {
		l.last = max(l.last, at)
	}
}

// request takes payload of the client.
func (l *line) request(g *tcp.Segment) {
	switch {
	case l.phase == inRequest:
		l.broken = l.broken || g.Again()
	case g.Again():
		l.payload(g.Time)
		return // a straggling repeat
	default:
		if l.phase == inTransfer {
			l.enter(inIdle, l.last)
		}
		l.enter(inRequest, g.Time)
		l.broken, l.reqEnd = false, 0
	}
	l.last = max(l.last, g.Time)
	l.asked = max(l.asked, g.Time)
	l.reqEnd = max(l.reqEnd, g.End)
}

// response takes payload of the server. half is the round trip between the
// observation point and the server, ns; 0 unknown.
func (l *line) response(g *tcp.Segment, half int64) {
	if !g.Fresh() && (l.phase != inRequest || g.Acked < l.reqEnd) {
		l.payload(g.Time)
		return // a repeat
	}
	switch l.phase {
	case inRequest:
		l.enter(inRequest, l.asked)
		l.waited(g.Time, half, g.Fresh() && g.Acked >= l.reqEnd && !g.Late() && !l.broken)
	case inTransfer, inClientIdle: // more of it; nothing was asked yet
	case inNothing:
		l.enter(inTransfer, g.Time)
		l.banner = true
	default:
		l.enter(inTransfer, g.Time)
	}
	l.last = max(l.last, g.Time)
}

// waited divides the time since the request's end between server and network,
// and begins the response.
func (l *line) waited(at, half int64, known bool) {
	wait := max(at-l.since, 0)
	if known && half > 0 {
		network := min(wait, half)
		*l.sum(atNetwork) += network
		*l.sum(atServer) += wait - network
	}
	l.since += wait
	l.phase, l.last = inTransfer, l.since
}

// Frame is what the phases of a connection are put into: its first and last
// packet, and when TCP was set up. Times are record times, ns; setup is how long
// after the first packet, tcp.Absent where not known.
type Frame struct {
	Start, End int64
	Setup      int64
	Server     int64 // round trip between the observation point and the server, 0 unknown
	Failed     bool  // no connection came about
}

// phases gives the phases by now. l may be nil: no payload was recorded.
func (l *line) phases(f *Frame) Phases {
	var p Phases
	duration := max(f.End-f.Start, 0)
	setup := f.Setup
	switch {
	case f.Failed && (l == nil || l.phase == inNothing):
		p.TCP = duration
		return p
	case setup < 0 && (l == nil || l.phase == inNothing):
		p.Unknown = duration
		return p
	case l == nil || l.phase == inNothing:
		p.TCP = min(setup, duration)
		p.Close = duration - p.TCP
		return p
	}
	before := max(l.first-f.Start, 0) // up to the first payload
	x := *l
	if x.phase == inRequest {
		x.last = x.asked
	}
	x.enter(inUnknown, x.last)
	p = Phases{
		Prelude: *x.sum(inPrelude), ClientIdle: *x.sum(inClientIdle), TLS: *x.sum(inTLS), Request: *x.sum(inRequest), Server: *x.sum(atServer),
		Network: *x.sum(atNetwork), Transfer: *x.sum(inTransfer), Idle: *x.sum(inIdle), Unknown: x.unknown(), Overlap: l.overlap,
	}
	switch gap := before - max(setup, 0); {
	case setup < 0:
		p.Unknown += before
	case gap < 0:
		p.TCP, p.Overlap = before, true // data came with the SYN, or before the ACK was recorded
	case l.banner && f.Server > 0:
		p.TCP = setup
		p.Network += min(gap, f.Server)
		p.Server += gap - min(gap, f.Server)
	case l.banner:
		p.TCP = setup
		p.Unknown += gap
	default:
		p.TCP = setup
		p.ClientIdle += gap
	}
	p.Close = duration - p.Sum()
	if p.Close < 0 { // records out of order
		p = Phases{Unknown: duration, Overlap: true}
	}
	return p
}
