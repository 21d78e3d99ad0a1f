package flow

import (
	"mirrorscope/packet"
	"mirrorscope/tcp"
)

// Flow is the state of one flow at one observation point, from its first
// packet to its release. It holds no pointers. Sides are counted by direction
// (0 from Key.A to Key.B); which of them is the client's is a role that better
// proof can change. What every packet touches comes first; what few flows ever
// need is in Table.rare.
type Flow struct {
	key     Key
	seen    int64  // highest record time of the input when the latest packet came
	slot    uint16 // of the wheel of its class
	class   class
	flags   flowFlags
	role    role
	version uint8

	start, last int64 // record times of the first packet and of the latest
	sent        [2]volume
	opening     uint32    // number in Table.openings while the handshake is undecided
	session     uint32    // what its ends say to each other; 0 nothing that is read
	rare        uint32    // number in Table.rare; 0 none
	snapshot    uint32    // number in Table.snapshots when there are interval records, and unlisted
	learned     uint32    // version of Learned that was asked for a listener
	ipid        [2]uint16 // IPv4 identification of the latest packet

	tcp tcp.Conn

	handshake  tcp.Handshake // once decided
	path       packet.PathID
	rsts, fins [2]uint8 // and what rare adds
}

// volume is what was sent in a direction, and what rare adds.
type volume struct{ packets, bytes, payload uint32 }

// rare is what few flows need.
type rare struct {
	sent               [2]struct{ packets, bytes, payload uint64 }
	rsts, fins         [2]uint32
	ce                 [2]uint32
	mirrorDups         uint32
	malformed, stray   uint32
	incomplete         uint32
	weight             uint16 // packet.Packet.Weight when it began
	icmpType, icmpCode uint8

	unreachable struct {
		by        packet.Addr
		typ, code uint8
		ok        bool
	}
}

// A counter of a flow that is about to pass its end gives half of what it can
// hold to rare: once it was large it never looks small.
const (
	carry  = 1 << 31
	carry8 = 1 << 7
)

// none is the rare state of flows that have none.
var none rare

// rareOf gives the rare state of a flow, which is made if needed.
func (t *Table) rareOf(f *Flow) *rare {
	if f.rare == 0 {
		t.makeRare(f)
	}
	return t.rare.At(f.rare)
}

func (t *Table) makeRare(f *Flow) { f.rare = t.rare.GetZero() }

// rareIf gives the rare state of a flow to look at.
func (t *Table) rareIf(f *Flow) *rare {
	if f.rare == 0 {
		return &none
	}
	return t.rare.At(f.rare)
}

// count adds a packet to the volume of a direction.
func (t *Table) count(f *Flow, dir int, p *packet.Packet) {
	v := &f.sent[dir]
	packets, bytes, payload := v.packets+1, v.bytes+p.IPLen, v.payload+p.PayloadLen
	if packets == 0 || bytes < p.IPLen || payload < p.PayloadLen {
		t.carry(f, dir, p)
		packets, bytes, payload = v.packets+1, v.bytes+p.IPLen, v.payload+p.PayloadLen
	}
	*v = volume{packets, bytes, payload}
}

// carry makes room for a packet in the volume of a direction.
func (t *Table) carry(f *Flow, dir int, p *packet.Packet) {
	v, r := &f.sent[dir], &t.rareOf(f).sent[dir]
	move := func(low *uint32, high *uint64, n uint32) {
		if uint64(*low)+uint64(n) > 1<<32-1 {
			d := min(*low, max(carry, n))
			*low -= d
			*high += uint64(d)
		}
	}
	move(&v.packets, &r.packets, 1)
	move(&v.bytes, &r.bytes, p.IPLen)
	move(&v.payload, &r.payload, p.PayloadLen)
}

// packets is about how many both sides have sent: exact while it is small.
func (f *Flow) packets() uint64 { return uint64(f.sent[0].packets) + uint64(f.sent[1].packets) }

// count8 adds 1 to a counter of which high holds what was carried.
func (t *Table) count8(f *Flow, low *uint8, high func(*rare) *uint32) {
	if *low == 1<<8-1 {
		*low -= carry8
		*high(t.rareOf(f)) += carry8
	}
	*low++
}

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
