package edge

import (
	"slices"

	"mirrorscope/packet"
	"mirrorscope/pool"
	"mirrorscope/session"
	"mirrorscope/tcp"
	"mirrorscope/tlsmeta"
)

// handshake is what a conversation takes of a handshake of TLS, DTLS or QUIC.
type handshake struct {
	spoken  bool // there was one
	quic    bool
	named   bool // the ClientHello was recorded: name is known, and may be none
	resumed bool
	alerted bool // alert ended it
	version uint16
	alert   Alert
	outcome tlsmeta.Outcome
	name    string
	session.Handshake
}

// of makes it that of one record.
func (s *handshake) of(r *session.Report) {
	i, h := hello(r)
	if i == nil {
		*s = handshake{}
		return
	}
	*s = handshake{
		spoken: true, quic: r.QUIC != nil, named: i.JA4 != "" || i.SNI != "", resumed: i.Resumed, version: i.Version, outcome: i.Outcome, name: i.SNI, Handshake: h,
	}
	s.Reasons = 0 // nobody asks
	if a := i.Alert; a != nil && tlsFailed(i.Outcome) {
		s.alerted, s.alert = true, Alert(a.Description)
		if a.Client {
			s.alert |= alertOfClient
		}
	}
}

// slow tells whether it may make a conversation one with slow handshakes.
func (s *handshake) slow() bool { return s.spoken && max(s.Total, s.Perceived) >= slowTLS }

// What of a handshake is packed, each number in as many octets as it needs.
const (
	secureMarks = iota
	secureVersion
	securePoint // other than the connection's first
	secureTotal // ns, and 1
	securePerceived
	secureNetwork // ns, and 1
	secureServer  // likewise
	secureClient
	numSecure // a multiple of 8
)

// mostSecure is the most octets that they take, and what is written and read
// behind them.
var mostSecure = pool.PackedMax(numSecure)

// Bits of secureMarks, above the outcome.
const (
	secureState   = 1 << 4
	secureQUIC    = 1 << 6
	secureNamed   = 1 << 7
	secureResumed = 1 << 8
	secureAlerted = 1 << 9
	secureAlert   = 1 << 10
)

// pack adds all but the name. point is where it was heard, first the connection's
// first.
func (s *handshake) pack(dst []byte, point, first packet.PointID) []byte {
	numbers := [numSecure]uint64{
		secureMarks: uint64(s.outcome) | uint64(s.State)*secureState | uint64(s.alert)*secureAlert |
			bit(s.quic, secureQUIC) | bit(s.named, secureNamed) | bit(s.resumed, secureResumed) | bit(s.alerted, secureAlerted),
		secureVersion:   uint64(s.version),
		securePoint:     uint64(point ^ first),
		secureTotal:     uint64(s.Total + 1),
		securePerceived: zigzag(s.Perceived - s.Total),
		secureNetwork:   uint64(s.Network + 1),
		secureServer:    uint64(s.Server + 1),
		secureClient:    zigzag(s.Client - s.rest()),
	}
	n := len(dst)
	dst = slices.Grow(dst, mostSecure)[:n+mostSecure]
	return dst[:n+pool.Pack(dst[n:], numbers[:])]
}

// rest is what the shares of network and server leave to the client.
func (s *handshake) rest() int64 { return s.Total - s.Network - s.Server }

// unpack gives where it was heard, and what follows it. There must be mostSecure
// octets behind all of it.
func (s *handshake) unpack(b []byte, first packet.PointID, name string) (point packet.PointID, rest []byte) {
	var numbers [numSecure]uint64
	b = b[pool.Unpack(b, numbers[:]):]
	marks := numbers[secureMarks]
	is := func(bit uint64) bool { return marks&bit != 0 }
	*s = handshake{
		spoken: true, quic: is(secureQUIC), named: is(secureNamed), resumed: is(secureResumed), alerted: is(secureAlerted),
		version: uint16(numbers[secureVersion]), alert: Alert(marks / secureAlert), outcome: tlsmeta.Outcome(marks % secureState), name: name,
	}
	h := &s.Handshake
	h.State = tcp.State(marks / secureState & 3)
	h.Total, h.Network, h.Server = int64(numbers[secureTotal])-1, int64(numbers[secureNetwork])-1, int64(numbers[secureServer])-1
	h.Perceived = unzigzag(numbers[securePerceived]) + h.Total
	h.Client = unzigzag(numbers[secureClient]) + s.rest()
	return packet.PointID(numbers[securePoint]) ^ first, b
}
