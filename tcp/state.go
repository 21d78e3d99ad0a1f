// Package tcp measures one TCP connection from the packets that one observation
// point recorded: the handshake, what was repeated and why, where it was lost,
// what came out of order, the round trip to either side, windows, and how long
// the server took to answer. It judges by what was recorded alone and says
// where that does not suffice.
//
// A Conn is per connection and observation point, owned by one goroutine, and
// holds no pointers; what only some connections need at some times is in a
// Store. Once a Store has grown, a packet allocates nothing. Times are record
// times in ns.
//
// RFC 9293 (TCP), RFC 6298 (timer, Karn), RFC 7323 (timestamps), RFC 2018 and
// 2883 (SACK, DSACK), RFC 8985 (RACK, TLP), RFC 3522 (Eifel), RFC 7413 (Fast
// Open).
package tcp

// State says how much a value can be trusted.
type State uint8

const (
	Unknown   State = iota // cannot be computed: the value is absent, never 0
	Measured               // all needed packets recorded, no ambiguity
	Bounded                // a true bound
	Ambiguous              // several explanations; the most likely is reported
)

func (s State) String() string {
	return [...]string{"unknown", "measured", "bounded", "ambiguous"}[s]
}

// Reasons is a set of causes for a value that is not Measured.
type Reasons uint32

const (
	Midstream Reasons = 1 << iota
	OneSided
	CaptureLoss
	SYNRetransmitted
	Truncated
	Fragment
	Offload
	WScaleUnknown
	NoTimestamps
	ReusedTuple
	SimultaneousOpen
	DupMirror
	ClockStep
	TunnelError
	Encrypted
	RequestLost
	ResponseLost
	LostBeforeOP
	numReasons = iota
)

var reasonNames = [numReasons]string{
	"midstream", "one_sided", "capture_loss", "syn_rtx", "truncated", "fragment", "offload", "wscale_unknown", "no_timestamps",
	"reused_tuple", "simultaneous_open", "dup_mirror", "clock_step", "tunnel_error", "encrypted", "request_lost",
	"response_lost", "lost_before_op",
}

// Append adds the names of the set to dst in a fixed order.
func (r Reasons) Append(dst []string) []string {
	for i, name := range reasonNames {
		if r&(1<<i) != 0 {
			dst = append(dst, name)
		}
	}
	return dst
}

// Has tells whether a duration in ns is there; absent durations are negative.
const Absent int64 = -1

// Handshake is the result for one connection. Durations are ns, Absent where
// not known: one may be known while another is not.
type Handshake struct {
	State         State
	Reasons       Reasons
	RTT           int64 // ClientHalf + ServerHalf
	Client        int64 // half of the client's side of the observation point
	Server        int64 // half of the server's side
	Setup         int64 // first SYN to the ACK, SYN timeouts included
	Connect       int64 // as the client perceives it: first SYN to the accepted SYN-ACK, + client half
	SYNs, SYNACKs uint32
}

// Set makes it what o is, which may have been written a moment ago: so one by one.
func (h *Handshake) Set(o *Handshake) {
	h.State, h.Reasons, h.RTT, h.Client, h.Server, h.Setup, h.Connect, h.SYNs, h.SYNACKs = o.State, o.Reasons, o.RTT, o.Client, o.Server, o.Setup, o.Connect, o.SYNs, o.SYNACKs
}

// Options are those of one side's SYN or SYN-ACK.
type Options struct {
	Known      bool // that packet was recorded with all its options
	HasMSS     bool
	MSS        uint16
	HasWScale  bool
	WScale     uint8
	SACK       bool
	Timestamps bool
}
