// Package bpf is what runs in the kernel: the XDP pre-filter that judges
// mirrored frames before they cost anything, and the program that spreads
// frames over the rings of a PACKET_FANOUT group by their inner connection.
//
// Both parse a frame down to its innermost IP packet as package packet does.
// What they cannot parse is counted by reason and handed on: a frame is
// dropped on what it says, never on a guess.
//
// The C programs are in this folder, and so is what clang makes of them, so
// that building needs no C compiler. They are written for the verifier of
// Linux 5.15 and later.
//
// RFC 7348, 8926, 2784, 2890, draft-foschiano-erspan-03; for the LPM tries and
// redirection, the kernel's Documentation/bpf.
package bpf

// MetaLen is how many octets stand in front of each frame that is delivered to
// an AF_XDP socket: they are the first ones of the descriptor's data, the frame
// itself starts behind them, and the descriptor's length counts them. They hold
// a Meta in the machine's byte order.
//
// (They are not XDP metadata, which lies in front of the descriptor's address:
// several drivers, Amazon's and Google's among them, have no room for it.)
const MetaLen = 16

// Delivery says where accepted frames go.
type Delivery int

const (
	// ToSocket redirects frames to the AF_XDP socket of their queue. Where no
	// socket reads the queue they are dropped and counted. No frame reaches the
	// host's stack, except its own traffic with Config.Shared.
	ToSocket Delivery = iota
	// ToStack passes frames on, for an AF_PACKET ring behind the filter. What
	// keeps the stack from answering them is not part of this package.
	ToStack
)

// AttachMode is how the program meets the interface.
type AttachMode int

const (
	AttachNative  AttachMode = iota // in the driver; MTU up to about 3500
	AttachFrags                     // in the driver, frames of several buffers; kernel 5.18 (AF_XDP sockets take them from 6.6 on)
	AttachGeneric                   // in the stack, for drivers without XDP; any MTU
)

// String gives the name that reports use.
func (m AttachMode) String() string {
	switch m {
	case AttachNative:
		return "native"
	case AttachFrags:
		return "native_frags"
	case AttachGeneric:
		return "generic"
	}
	return "unknown"
}

// Ports are the UDP destination ports of tunnels beside the assigned ones
// (4789 and 8472, 6081), as package packet has them. They are set at load and
// stay.
type Ports struct{ VXLAN, Geneve []uint16 }

// Counter counts frames, and their octets before trimming, since Load.
type Counter struct {
	Name    string // snake_case
	Packets uint64
	Octets  uint64
}

// Counters is what the pre-filter counted.
type Counters struct {
	// Verdicts has every frame exactly once: socket and stack were handed on
	// to the sensor, own to the machine's stack, no_socket and no_room are
	// lost, all others were dropped as the configuration wants it.
	Verdicts []Counter
	// Outcomes has every frame exactly once, by what parsing came to: parsed,
	// or why the innermost packet is not known.
	Outcomes []Counter
	// Rules has the frames that each rule decided, in the order of the rules.
	Rules []Counter
	// Trimmed has the frames that were cut, and the octets cut off; NotTrimmed
	// those that the driver did not let be cut.
	Trimmed, NotTrimmed Counter
}
