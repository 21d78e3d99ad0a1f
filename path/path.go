// Package path recognises a connection that is recorded at several observation
// points, counts it once, and compares what the points saw: which packets were
// lost between two of them, which the capture at one of them missed, and how
// long a packet needs from one to the other and back.
//
// A Matcher sits beside one flow.Table and is told of every packet that the
// table counts (flow.Watcher): mirror copies are gone by then, and generations
// of a 5-tuple are told apart. All sights of a connection are in one partition,
// since its hash leaves out the point. The arrow goes from path to flow: a
// table knows that it is watched, not by whom.
//
//	packet ─► fingerprint ─► recent packets ─► match: pair of sights (times, TTL)
//	                              │ older than Window
//	                              ▼
//	                        judge: tally of (direction, who recorded it, verdict)
//	all sights ended ─► resolve: order of the points, totals, segments ─► Connection
//
// Two sights are joined by their packets alone: three equal ones, of both
// directions where both points record both, or all packets of the smaller
// sight. Only where two points record one direction each, and so share no
// packet, ends and time and TCP's acknowledgements must do. Address translation
// between points is out of scope.
//
// A packet that one point lacks was lost on the way if its sender repeated it
// before an acknowledgement was recorded, or if it was never acknowledged. It
// was missed by the capture if it was acknowledged without a repeat, or if a
// point further along the way recorded it. What nothing tells about (a pure
// ACK, a datagram) is unlocated. Verdicts are made Window after a packet, and
// resolved when the order of the points is known.
//
// Clocks of the points need not agree: the round trip between two points sums
// a difference in each direction, so that any constant offset leaves it. Only
// the offset itself and the one-way delay stay unknown within that round trip.
//
// Memory is bounded; nothing is allocated per packet. What is said about
// several points rests on measurement rules of RFC 2681 (round trip) and RFC
// 7680 (loss between two points), adapted to passive captures.
package path

import (
	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/tcp"
)

// maxPoints bounds the points at which one connection is followed.
const maxPoints = 8

// Quality says how far a value can be trusted.
type Quality struct {
	State   tcp.State
	Reasons tcp.Reasons
}

// Connection is one connection as several points recorded it. It is a value
// that owns what it holds. Sides are those of the best proof any point had.
type Connection struct {
	ID      uint64 // hash of the ids of its flow records: the same in every run
	Last    uint64 // flow.Record.ID of the record that it follows in the output: of those that tell of the connection, or of a sight that was found to be none of it, the last
	Network packet.NetworkID
	Proto   uint8
	Version uint8
	Ends    [2]flow.Endpoint // client, server
	Start   int64            // earliest and latest record time at any point, ns since the Unix epoch
	End     int64

	Joined Quality // measured: by equal packets; ambiguous: by ends and time, for each point recorded one direction
	Points []Point // from the client to the server
	Order  Quality // of that order
	// Primary is, by side, the index of the point whose count of that side's
	// packets stands for the connection: the most octets of data, each counted
	// once; among equals the nearest to the sender.
	Primary [2]int
	Sent    [2]flow.Volume // by side, at that side's primary
	Matched [2]int64       // packets of each side that two or more points recorded

	Segments []Segment // between Points[i] and Points[i+1]

	Outcome flow.Outcome // at the point that recorded most packets of those that tell one
	RTT     int64        // of the handshake, ns; tcp.Absent where no point measured it
}

// Point is one place where the connection was recorded.
type Point struct {
	ID     packet.PointID
	Flow   uint64   // flow.Record.ID
	Missed [2]int64 // packets of each side that came past, and that the capture here did not record; or NotKnown
}

// NotKnown stands for a number of packets that nothing tells.
const NotKnown int64 = -1

// Segment is the way between two neighbouring points.
type Segment struct {
	RTT  RTT
	Loss [2]Loss // by the side that sent
	// Offset bounds by how much the clock of the point nearer the server is
	// ahead of the other at the end, ns. Both are 0 unless HasOffset.
	OffsetMin, OffsetMax int64
	HasOffset            bool
}

// RTT is the round trip between two points, ns. The hosts' own times are not in
// it.
type RTT struct {
	Quality
	Min     int64   // the smallest of any ten seconds; tcp.Absent where not known
	P50     float64 // over Samples; 0 without
	Samples int64
}

// Loss tells about the packets of one side on one segment.
type Loss struct {
	Quality
	Lost      int64 // recorded at the point nearer the sender; the network lost them before the other
	Unlocated int64 // recorded at one of the two only; lost or missed by the capture

	unanswered int64 // of Lost: those that were not repeated within the window
}
