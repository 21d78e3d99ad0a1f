package group

import (
	"mirrorscope/edge"
	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/tcp"
)

// SideCount is what is counted of one side. All are additive; the words are those
// of tcp.Side and tcp.Retransmits.
type SideCount uint8

const (
	Packets SideCount = iota // that it sent
	Bytes
	Payload
	Recorded // octets of TCP's sequence space, repeats once
	Missed   // octets that were acknowledged and not recorded
	Repeats  // packets, as the five below
	RepeatSegments
	RepeatBytes
	SpuriousPackets
	SpuriousBytes
	LostBefore
	LostAfter
	Unlocated
	Inferred
	DSACKUnmatched
	OutOfOrder // packets
	NetworkDuplicates
	KeepAlives
	ZeroWindowEpisodes
	ZeroWindowTime // ns
	ZeroWindowProbes
	WindowFull // ns
	CE         // packets
	Resets
	FINs
	Tellable   // octets of Payload of connections of which it is known what was sent again
	RTTSamples // clean ones, between the observation point and this side
	RTTDelayed // those that a delayed ACK may have made longer
	byClass    // Repeats by tcp.Class
	numSide    = byClass + SideCount(tcp.NumClasses)
)

// Count is what is counted of a connection as a whole. All are additive.
type Count uint8

const (
	Opened    Count = iota // connections whose beginning was recorded
	Midstream              // … was not: they were there before, or it was missed
	MirrorDuplicates
	TruncatedPackets
	FragmentsIncomplete
	MalformedPackets
	StrayPackets
	SYNs    // SYN packets, repeats too
	SYNACKs // …

	// From here on: what the ends said, at the point that heard it.
	Turns          // requests with a response, of connections that speak neither HTTP in the clear nor DNS
	Unmeasured     // requests with a response whose time is not known, DNS left out
	HTTPRequests   // and the five below
	HTTPClient     // 4xx
	HTTPServer     // 5xx
	HTTPGRPC       // grpc-status other than OK
	HTTPAborted    // without a response when the connection ended
	HTTPUnknown    // of which it is not known how they were answered
	DNSQueries     // repeats left out, and the five below
	DNSNXDomain    // …
	DNSServFail    // …
	DNSOtherErrors // …
	DNSTimeouts    // …
	DNSUnknown     // of which it is not known whether they were answered
	rawTurns       // turns of any protocol
	rawMeasured    // … with a response time
	rawQueries     // with repeats
	numCount
)

const firstTalk = Turns

// sums is everything that is counted: of the client, of the server, of both.
type sums [2*numSide + SideCount(numCount)]int64

func (s *sums) side(side flow.Side) *[numSide]int64 {
	return (*[numSide]int64)(s[int(side)*int(numSide):])
}

func (s *sums) both() *[numCount]int64 { return (*[numCount]int64)(s[2*numSide:]) }

func (s *sums) add(o *sums) {
	for i := range s {
		s[i] += o[i]
	}
}

func (s *sums) minus(o *sums) {
	for i := range s {
		s[i] -= o[i]
	}
}

// swap exchanges the sides.
func (s *sums) swap() {
	a, b := s.side(0), s.side(1)
	*a, *b = *b, *a
}

// part is a part of sums that counts as one point has it.
type part uint8

const (
	partFirst  part = iota // what one direction, or side, has
	partSecond             // … the other one
	partFlow               // what is counted of both, but for
	partTalk               // what the ends said
	numParts
)

// of gives the part of s.
func (p part) of(s *sums) []int64 {
	switch p {
	case partFirst:
		return s[:numSide]
	case partSecond:
		return s[numSide : 2*numSide]
	case partFlow:
		return s[2*numSide : 2*numSide+SideCount(firstTalk)]
	}
	return s[2*numSide+SideCount(firstTalk):]
}

// take adds a part of o.
func (s *sums) take(p part, o *sums) {
	into, from := p.of(s), p.of(o)
	for i, n := range from {
		into[i] += n
	}
}

// recorded is how much of a direction there is.
func (s *sums) recorded(direction int) edge.Recorded {
	x := s.side(flow.Side(direction))
	return edge.Recorded{Octets: x[Recorded], Payload: x[Payload], Packets: x[Packets]}
}

// sumsOf are those of a record: its counts by role. What follows from the whole
// is left to derive.
func sumsOf(r *flow.Record, s *sums) {
	*s = sums{}
	for side := range r.Sent {
		x := s.side(flow.Side(side))
		v := &r.Sent[side]
		x[Packets], x[Bytes], x[Payload] = v.Packets, v.Bytes, v.PayloadBytes
		x[CE], x[Resets], x[FINs] = r.CE[side], r.Resets[side], r.FINs[side]
		if r.HasTCP {
			sideOf(&r.TCP.Sides[side], x)
		}
	}
	b := s.both()
	b[MirrorDuplicates], b[TruncatedPackets], b[FragmentsIncomplete] = r.MirrorDuplicates, r.TruncatedPackets, r.FragmentsIncomplete
	b[MalformedPackets], b[StrayPackets] = r.Malformed, r.StrayPackets
	if r.HasHandshake {
		b[SYNs], b[SYNACKs] = int64(r.Handshake.SYNs), int64(r.Handshake.SYNACKs)
	}
	if r.HasTCP {
		b[rawTurns], b[rawMeasured] = r.TCP.Response.Turns, r.TCP.Response.Measured
	}
	if i := r.HTTP; i != nil {
		b[HTTPRequests], b[HTTPClient], b[HTTPServer], b[HTTPGRPC], b[HTTPAborted], b[HTTPUnknown] = i.Requests, i.Status[4], i.Status[5], i.GRPCError, i.Aborted, i.Missed
	}
	if i := r.DNS; i != nil {
		b[rawQueries] = i.Queries
		b[DNSQueries], b[DNSNXDomain], b[DNSServFail], b[DNSOtherErrors], b[DNSTimeouts] = i.Queries-i.Repeats, i.NXDOMAIN, i.SERVFAIL, i.OtherErr, i.Timeouts
		b[DNSUnknown] = i.Unanswerable + i.Unpaired + i.Lost + i.Dropped
	}
}

func sideOf(t *tcp.Side, x *[numSide]int64) {
	x[Recorded], x[Missed] = t.Recorded, t.Missed
	m := &t.Retransmits
	x[Repeats], x[RepeatSegments], x[RepeatBytes] = m.Packets, m.Segments, m.Bytes
	x[SpuriousPackets], x[SpuriousBytes] = m.SpuriousPackets, m.SpuriousBytes
	x[LostBefore], x[LostAfter], x[Unlocated], x[Inferred], x[DSACKUnmatched] = m.LostBefore, m.LostAfter, m.Unlocated, m.Inferred, m.DSACKUnmatched
	for c, n := range m.ByClass {
		x[byClass+SideCount(c)] = n
	}
	x[OutOfOrder], x[NetworkDuplicates], x[KeepAlives] = t.OutOfOrder.Packets, t.NetworkDuplicates, t.KeepAlives
	x[ZeroWindowEpisodes], x[ZeroWindowTime], x[ZeroWindowProbes], x[WindowFull] = t.ZeroWindow.Episodes, t.ZeroWindow.Time, t.ZeroWindow.Probes, t.WindowFull
	x[RTTSamples], x[RTTDelayed] = t.RTT.Clean, t.RTT.Maybe
}

// traits are what of a connection is no count, and decides how others count.
type traits struct {
	begun bool    // its beginning was recorded
	told  [2]bool // it is known what each direction, or side, sent again
	dns   bool    // it speaks DNS
	born  int64   // how many connections it stands for: 1, but where two have one id
}

// traitsOf are those of a record, by role.
func traitsOf(r *flow.Record) (t traits) {
	t.begun = r.Proto != packet.ProtoTCP || r.Direction >= flow.DirSYNACK
	for side := range t.told {
		t.told[side] = r.HasTCP && r.TCP.Sides[side].Retransmits.State != tcp.Unknown
	}
	t.dns, t.born = r.DNS != nil, 1
	return t
}

// derive fills in what follows from the counts of a whole life so far.
func (s *sums) derive(t *traits) {
	b := s.both()
	b[Opened], b[Midstream] = 0, 0
	if t.begun {
		b[Opened] = t.born
	} else {
		b[Midstream] = t.born
	}
	for side := range t.told {
		x := s.side(flow.Side(side))
		x[Tellable] = 0
		if t.told[side] {
			x[Tellable] = x[Payload]
		}
	}
	b[Turns], b[Unmeasured] = 0, 0
	if b[HTTPRequests]+b[rawQueries] == 0 {
		b[Turns] = b[rawTurns]
	}
	if !t.dns {
		b[Unmeasured] = b[rawTurns] - b[rawMeasured]
	}
}

// sparse keeps sums of which most are 0.
type sparse []cell

type cell struct {
	at uint8
	n  int64
}

// pack keeps them in the memory of into, as far as that goes.
func (s *sums) pack(into sparse) sparse {
	some := 0
	for _, n := range s {
		if n != 0 {
			some++
		}
	}
	if into = into[:0]; cap(into) < some {
		into = make(sparse, 0, some)
	}
	for i, n := range s {
		if n != 0 {
			into = append(into, cell{uint8(i), n})
		}
	}
	return into
}

// addTo adds them to s.
func (p sparse) addTo(s *sums) {
	for _, c := range p {
		s[c.at] += c.n
	}
}
