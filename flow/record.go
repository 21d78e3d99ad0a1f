package flow

import (
	"mirrorscope/packet"
	"mirrorscope/session"
	"mirrorscope/tcp"
)

// DirectionSource says what told the client from the server, best first in
// rank (measurement: "Flow identity, direction, generations").
type DirectionSource uint8

// Sources in rising rank: a later proof of higher rank flips the roles.
const (
	DirUnknown DirectionSource = iota
	DirOrder
	DirPort
	DirListener
	DirApp
	DirTLS
	DirSYNACK
	DirSYN
)

func (d DirectionSource) String() string {
	return [...]string{"unknown", "order", "port", "listener", "app", "tls", "synack", "syn"}[d]
}

// EndReason is IPFIX flowEndReason (information element 136), by name.
type EndReason uint8

const (
	EndNone EndReason = iota
	EndIdleTimeout
	EndActiveTimeout
	EndOfFlow
	EndForced
	EndLackOfResources
)

func (e EndReason) String() string {
	return [...]string{"", "idle_timeout", "active_timeout", "end_of_flow", "forced_end", "lack_of_resources"}[e]
}

// Outcome is how a TCP connection went. None where it is not TCP or not known.
type Outcome uint8

const (
	OutcomeNone Outcome = iota
	Established
	Closed
	Refused
	Unreachable
	Timeout
	HalfOpenTimeout
	Reset
	AbortedTimeout
	NumOutcomes
)

func (o Outcome) String() string {
	return [...]string{"", "established", "closed", "refused", "unreachable", "timeout", "half_open_timeout", "reset", "aborted_timeout"}[o]
}

// Side says which end of a connection: Client or Server index the per-side
// arrays of a Record.
type Side uint8

const (
	Client Side = 0
	Server Side = 1
)

func (s Side) String() string {
	if s == Client {
		return "client"
	}
	return "server"
}

// Kind of a Record.
type Kind uint8

const (
	Connection Kind = iota // a whole life
	Interval               // the change over one interval
	numKinds
)

// Endpoint is one end of a flow.
type Endpoint struct {
	Addr    packet.Addr
	Port    uint16
	HasPort bool   // false where the protocol has none, or it was cut
	Name    string // by which DNS knew the address when the flow began; "" unknown
}

// Volume counts what one side sent. IP octets are those of the IP header's
// total length. Repeats count again; mirror copies do not count. In an
// Interval a volume may be negative: the correction after a change of roles.
type Volume struct {
	Packets, Bytes, PayloadBytes int64
}

// Record is one flow at one observation point: its whole life (Connection) or
// the change over [Start, End) of an interval (Interval). It is a value and
// owns all it holds.
type Record struct {
	Kind    Kind
	Release int64 // packet time at which the end is known, ns; orders the output

	ID           uint64 // hash of observation point, network, 5-tuple and start: the same in every run
	Start        int64  // time of the first packet, ns since the Unix epoch
	End          int64  // time of the last packet
	Point        packet.PointID
	Network      packet.NetworkID
	Path         packet.PathID // of the first packet
	OuterSwapped bool          // the first packet's outer source is PointKey.B

	IntervalStart, IntervalEnd int64 // Interval only

	key    Key
	serial uint64 // within the partition, in order of making

	Proto   uint8
	Version uint8                      // IP version, 4 or 6
	ICMP    struct{ Type, Code uint8 } // of the first packet, for ICMP and ICMPv6
	Ends    [2]Endpoint                // Client, Server

	Direction      DirectionSource
	DirectionState tcp.State

	Outcome       Outcome
	ResetBy       Side // when Outcome is Reset or Refused …
	ResetUnacked  bool // … unacknowledged data existed
	ResetAfterFIN bool
	RSTForeign    bool     // an RST whose TTL or IP-ID does not fit the host's others
	Unreachable   struct { // an ICMP error quotes the packet that opened the flow
		OK         bool
		Type, Code uint8
		By         packet.Addr
	}
	EndReason   EndReason
	Established bool // of an Interval: it is established, and has not ended, as far as was recorded

	Sent [2]Volume

	Handshake    tcp.Handshake // TCP only; State Unknown with no reasons where no SYN and no SYN-ACK was recorded
	HasHandshake bool

	Resets, FINs [2]int64
	ECN          struct {
		Known, Negotiated bool // Known: both SYNs were recorded
	}
	CE      [2]int64       // packets with CE mark, by sender (congestion on the sender's path)
	Options [2]tcp.Options // of the SYN and the SYN-ACK

	HasTCP        bool
	TCP           tcp.Report
	Distributions *tcp.Distributions // where Samples has no room; nil where nothing was sampled: see Times
	Samples       tcp.Samples        // of an Interval; of a Connection with Config.Sums

	session.Report // what the two ends said

	Weight              uint16 // how many connections this one stands for when sampling left others out; 0, 1: itself
	MirrorDuplicates    int64
	TruncatedPackets    int64
	FragmentsIncomplete int64
	Malformed           int64 // packets with a transport header that contradicts itself
	StrayPackets        int64 // packets of an older generation of the same 5-tuple

	Joined bool // other observation points recorded the connection, too: what watches the table tells of all together
}

// Times gives what was sampled as distributions, nil where nothing was: those of the record,
// or those of its samples, which are lent by x until it is used again.
func (r *Record) Times(x *tcp.Spread) *tcp.Distributions {
	if r.Distributions != nil {
		return r.Distributions
	}
	return x.Distributions(&r.Samples)
}
