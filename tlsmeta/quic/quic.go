package quic

import (
	"mirrorscope/pool"
	"mirrorscope/tlsmeta"
)

// Roles. Directions are numbered by the caller; roles index what is kept of
// either side.
const (
	client = 0
	server = 1
)

// Conn is one flow. The zero value is ready for use.
type Conn struct {
	info Info
	open *opening // while the hellos are read
	spin spin

	times  times
	cidLen [2]uint8 // by direction: length of the Destination Connection ID in short headers, plus 1; 0 not known

	role   uint8 // of direction 0, plus 1; 0 not known
	proved bool  // the role follows from keys
	over   bool  // Initial packets are only counted
}

// Reset makes c ready for another flow. Memory goes back to the Budget.
func (c *Conn) Reset() {
	c.release()
	c.spin.release()
	*c = Conn{}
}

// Client is the direction that the client sends in. ok is false where that is
// not known.
func (c *Conn) Client() (dir int, ok bool) { return int(c.role) - 1, c.role != 0 }

// roleOf gives the role of a direction.
func (c *Conn) roleOf(dir int) (role int, ok bool) { return dir ^ (int(c.role) - 1), c.role != 0 }

// setClient notes who the client is. What was noted under the wrong role is
// forgotten.
func (c *Conn) setClient(dir int, proved bool) {
	was := c.role
	if c.proved && !proved || was != 0 && !proved {
		return
	}
	c.role, c.proved = uint8(dir)+1, proved
	if was != 0 && was != c.role {
		i := &c.info
		i.ClientInitial, i.ServerInitial, i.ClientAnswer, i.ClientFinished, i.ClientShort = 0, 0, 0, 0, 0
		c.times = times{}
	}
}

// Datagram takes a UDP payload. b is what was captured of it, wire its length on
// the wire, at its record time. What must be kept takes room from the budget,
// which is the same for all datagrams of a flow.
func (c *Conn) Datagram(dir int, b []byte, wire int, at int64, budget *pool.Budget) {
	wire = max(wire, len(b))
	var first []byte // connection id of the packet in front
	for n := 0; len(b) > 0; n++ {
		if b[0]&0x80 == 0 {
			c.short(dir, b, wire, at, first, budget)
			break
		}
		var h header
		if !h.parse(b) {
			c.stopped(len(b) < wire)
			break
		}
		// Packets for another connection are not coalesced (RFC 9000 section
		// 12.2); what looks so is padding.
		if n > 0 && string(h.dcid) != string(first) {
			break
		}
		if n == 0 {
			first = h.dcid
		}
		if h.end > wire {
			c.info.Malformed++
			break
		}
		p := packet{header: h, b: b[:min(h.end, len(b))], at: at, dir: dir, large: n == 0 && wire >= minDatagram}
		p.cut = h.end > len(b) || h.end == len(b) && len(b) < wire && !h.hasLength()
		c.long(&p, budget)
		if h.end >= len(b) {
			break
		}
		b, wire = b[h.end:], wire-h.end
	}
	if c.open != nil && c.open.finished(c) {
		c.release()
	}
}

// stopped counts a header that could not be read.
func (c *Conn) stopped(cut bool) {
	if cut {
		c.info.Cut++
	} else {
		c.info.Malformed++
	}
}

// packet is one with a long header.
type packet struct {
	header
	b     []byte // the packet alone
	at    int64
	dir   int
	cut   bool
	large bool // in front of a datagram of at least 1200 octets
}

func (c *Conn) long(p *packet, budget *pool.Budget) {
	i := &c.info
	if p.kind == negotiation {
		c.negotiation(p)
		return
	}
	i.Version = p.version
	if p.cut {
		i.Cut++
	}
	if p.kind == initial {
		i.Initials++
	} else {
		i.Long++
	}
	// Whoever answers does so to the source connection id (RFC 9000 section 7.2).
	if p.kind == retry {
		c.retry(p)
		return
	}
	if len(p.scid) <= maxCID && (p.kind != zeroRTT && p.kind != unknownKind) {
		c.cidLen[1-p.dir] = uint8(len(p.scid)) + 1
	}
	switch p.kind {
	case initial:
		c.initial(p, budget)
	case zeroRTT:
		i.ZeroRTT = true
		c.setClient(p.dir, false)
	case handshake:
		if role, ok := c.roleOf(p.dir); ok && role == client {
			c.times.handshake = p.at
			if i.ClientShort != 0 && p.at-i.ClientShort <= reorderLag && i.ClientFinished != 0 {
				i.ClientFinished = p.at // overtaken on the way here
			}
			c.answered(p.at, notRead)
		}
	case unknownKind:
		if p.large && len(p.dcid) >= minDCID {
			c.setClient(p.dir, false)
			c.initialTime(client, p.at, notRead)
		}
	}
}

// initial takes an Initial packet.
func (c *Conn) initial(p *packet, budget *pool.Budget) {
	if c.over {
		return
	}
	if !p.cut && c.open == nil {
		c.open = newOpening(budget)
	}
	switch {
	case p.cut:
		if p.large && len(p.dcid) >= minDCID {
			c.setClient(p.dir, false)
		}
	case c.open == nil:
		c.info.Dropped++
	case c.open.packet(c, p) || c.open.hold(p):
		return
	default:
		c.info.Undecryptable++
	}
	// What cannot be opened tells by its header alone.
	if role, ok := c.roleOf(p.dir); ok {
		c.initialTime(role, p.at, notRead)
	}
}

// negotiation takes a Version Negotiation packet (RFC 9000 section 17.2.1). One
// that comes after the server has answered, or names the version that it
// refuses, has no effect (section 6.2).
func (c *Conn) negotiation(p *packet) {
	i := &c.info
	list := p.b[p.pn:]
	if i.ServerInitial != 0 || i.VersionNegotiation || len(list) < 4 {
		return
	}
	i.VersionNegotiation = true
	c.setClient(1-p.dir, false)
	for ; len(list) >= 4 && len(i.ServerVersions) < maxVersions; list = list[4:] {
		v := uint32(list[0])<<24 | uint32(list[1])<<16 | uint32(list[2])<<8 | uint32(list[3])
		i.ServerVersions = append(i.ServerVersions, v)
	}
}

// retry takes a Retry packet (RFC 9000 section 17.2.5). The client takes one
// alone, before any other answer.
func (c *Conn) retry(p *packet) {
	i := &c.info
	if i.ServerInitial != 0 || i.Retry {
		return
	}
	if c.open != nil && len(c.open.odcid) > 0 {
		if valid, known := retryValid(protectionOf(p.version), c.open.odcid, p.b); known && !valid && !p.cut {
			i.Malformed++
			return
		}
		c.open.retried = append([]byte(nil), p.scid...)
	}
	i.Retry = true
	c.setClient(1-p.dir, false)
}

// reorderLag is how much later, ns, a packet may be recorded than one that left
// behind it.
const reorderLag = 3e6

// short takes a packet with a short header. It is always the last of a
// datagram; behind another packet its connection id must be the same, for what
// stands there may be padding.
func (c *Conn) short(dir int, b []byte, wire int, at int64, first []byte, budget *pool.Budget) {
	n := int(c.cidLen[dir]) - 1
	if b[0]&0x40 == 0 || n >= 0 && wire < 1+n+minProtected {
		return
	}
	if first != nil && (len(b) <= len(first) || string(b[1:1+len(first)]) != string(first)) {
		return
	}
	c.info.Short++
	role, ok := c.roleOf(dir)
	if !ok {
		return
	}
	if role == client && c.info.ClientShort == 0 {
		c.info.ClientShort = at
		c.info.ClientFinished = c.times.handshake
		c.times.bounded = c.times.bounded || c.info.Cut > 0
	}
	if n >= 0 && len(b) > n {
		c.spin.packet(role, b[0]&0x20 != 0, b[1:1+n], at, budget)
	}
}

// alert of a CONNECTION_CLOSE: codes from 0x100 are those of TLS (RFC 9001
// section 4.8).
func alertOf(code uint64, byClient bool) *tlsmeta.Alert {
	if code>>8 != 1 {
		return nil
	}
	return &tlsmeta.Alert{Client: byClient, Level: 2, Description: uint8(code)}
}
