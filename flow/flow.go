package flow

import (
	"mirrorscope/packet"
	"mirrorscope/tcp"
)

// Flow is the state of one flow at one observation point, from its first
// packet to its release. It holds no pointers. Sides are counted by direction
// (0 from Key.A to Key.B); which of them is the client's is a role that better
// proof can change.
type Flow struct {
	key Key

	start, last int64 // record times of the first packet and of the latest
	seen        int64 // highest record time of the input when the latest packet came
	sent        [2]volume

	slot  uint16 // of the wheel of its class
	class class
	role  role

	path     packet.PathID
	opening  uint32 // index + 1 into Table.openings while the handshake is undecided
	snapshot uint32 // index + 1 into Table.snapshots when there are interval records
	session  uint32 // what its ends say to each other; 0 nothing that is read
	learned  uint32 // version of Learned that was asked for a listener

	mirrorDups, truncated uint32
	malformed, stray      uint32
	incomplete            uint32
	ce, rsts, fins        [2]uint32

	unreachable struct {
		by        packet.Addr
		typ, code uint8
		ok        bool
	}
	icmpType, icmpCode uint8
	version            uint8
	flags              flowFlags

	tcp       tcp.Conn
	handshake tcp.Handshake // once decided
	ipid      [2]uint16     // IPv4 identification of the latest packet
	weight    uint16        // packet.Packet.Weight when it began
}

type volume struct{ packets, bytes, payload uint64 }

type flowFlags uint8

const (
	outerSwapped flowFlags = 1 << iota
	decided                // handshake holds the result
	portsKnown
	idsChange0 // IPv4 identifications of direction 0 were seen to change
	idsChange1
	toldBoth     // Learned was told that both directions are recorded
	toldListener // Learned was told of the server's port
	gaveOrder0   // direction 0 sent the first packet
)

// role says which direction is the client's, and why.
type role struct {
	client    uint8 // direction
	source    DirectionSource
	ambiguous bool
}

// class of a flow decides how long it may be silent, and how soon it leaves
// when memory is short.
type class uint8

const (
	halfOpen class = iota
	linger
	closing // both FINs, but something is still repeated
	dnsClass
	udpClass
	otherClass
	tcpClass
	numClasses // of a new flow

	leaving // its end is planned
	ended   // it has its record, and waits for that of its last interval
)

// timeout of each class, ns.
func (c *Config) timeouts() [numClasses]int64 {
	return [numClasses]int64{
		halfOpen: int64(c.SYNTimeout), linger: int64(c.TCPLinger), closing: int64(c.TupleIdle), dnsClass: int64(c.DNSIdle), udpClass: int64(c.UDPIdle),
		otherClass: int64(c.OtherIdle), tcpClass: int64(c.TCPIdle),
	}
}

// classOf tells the class of a flow after its latest packet.
func (f *Flow) classOf() class {
	switch f.key.Proto {
	case packet.ProtoTCP:
		switch {
		case f.tcp.Closed() && !f.tcp.Settled():
			return closing
		case f.tcp.Ended():
			return linger
		case f.tcp.Opening():
			return halfOpen
		}
		return tcpClass
	case packet.ProtoUDP:
		if dnsPort(f.key.PortA) || dnsPort(f.key.PortB) {
			return dnsClass
		}
		return udpClass
	}
	return otherClass
}

func dnsPort(p uint16) bool { return p == 53 || p == 5353 || p == 5355 }

// bothDirections tells whether both directions were recorded.
func (f *Flow) bothDirections() bool { return f.sent[0].packets > 0 && f.sent[1].packets > 0 }
