package quic

import (
	"mirrorscope/pool"
	"mirrorscope/tlsmeta"
)

// Bounds of the work on the Initial packets of one flow.
const (
	maxOpened     = 256     // packets that are tried
	maxDerive     = 16      // key derivations
	maxHeld       = 4       // packets that came before their keys
	maxHeldOctets = 2 << 10 // of one of them
	maxSent       = 8       // packet numbers that an ACK may name
)

// What an opening costs beside its buffers: keys are four ciphers with their
// schedules and tables, and for a second version as many again.
const (
	openingOctets = 6 << 10
	keysOctets    = 3 << 10
)

// opening is the state while the Initial packets are read.
type opening struct {
	budget  *pool.Budget
	opener  opener
	keys    []initialKeys // of one connection id; two versions at most (RFC 9369 section 4)
	odcid   []byte        // that connection id
	past    []byte        // that of the attempt before, which is over
	retried []byte        // the one that a Retry told the client to use

	streams [2]cryptoStream // by role
	seen    [2]numbers
	hello   [2]bool // the first ClientHello, the ServerHello
	held    []packet
	taken   int // octets from the budget, streams not counted
	tried   int
	derived int
}

// numbers are the packet numbers of one side.
type numbers struct {
	highest int64 // plus 1
	window  uint64
	sent    [maxSent]struct{ number, at int64 } // the latest ones
	n       int
}

// newOpening is nil where the budget has no room.
func newOpening(budget *pool.Budget) *opening {
	if !budget.Take(openingOctets) {
		return nil
	}
	return &opening{budget: budget, taken: openingOctets}
}

// release ends the reading of Initial packets.
func (c *Conn) release() {
	if o := c.open; o != nil {
		c.info.Undecryptable += int64(len(o.held))
		for i := range o.streams {
			o.streams[i].reset(o.budget)
		}
		o.budget.Give(o.taken)
		c.open = nil
	}
	c.over = true
}

// finished tells that nothing more is to be learned: the client has what it
// needs of the server's Initial packets, and has begun to use other keys (RFC
// 9001 section 4.9.1).
func (o *opening) finished(c *Conn) bool {
	gone := c.times.handshake != 0 || c.info.ClientShort != 0
	return gone && o.hello[server] && o.hello[client] || c.info.Short >= 16 || o.tried >= maxOpened
}

// take asks the budget for n octets.
func (o *opening) take(n int) bool {
	if !o.budget.Take(n) {
		return false
	}
	o.taken += n
	return true
}

// packet opens an Initial packet and reads it. It is false where no key opens
// it.
func (o *opening) packet(c *Conn, p *packet) bool {
	o.tried++
	if n := len(p.b) - cap(o.opener.buf); n > 0 {
		if !o.take(n) {
			c.info.Dropped++
			return false
		}
		o.opener.buf = make([]byte, 0, len(p.b))
	}
	role, known := c.roleOf(p.dir)
	if len(o.keys) > 0 {
		if k := o.keysFor(p.version); k != nil {
			if payload, number, ok := o.opener.open(&k.side[role], p.b, p.pn, o.seen[role].highest); ok {
				o.read(c, role, p, payload, number)
				return true
			}
		}
	}
	// A client begins, or begins anew, with a connection id of its choice, and
	// after a Retry with the server's.
	if c.info.ServerInitial != 0 && c.proved || known && c.proved && role == server || o.derived >= maxDerive {
		return false
	}
	if len(o.past) > 0 && string(o.past) == string(p.dcid) {
		c.info.Duplicates++
		return true
	}
	o.derived++
	var k initialKeys
	if !k.derive(p.version, p.dcid) {
		return false
	}
	payload, number, ok := o.opener.open(&k.side[client], p.b, p.pn, o.seen[client].highest)
	if !ok {
		return false
	}
	o.begin(c, p, k)
	o.read(c, client, p, payload, number)
	o.retryHeld(c)
	return true
}

// begin takes the keys of an attempt of the client. Behind a Retry the hello
// goes on, or comes again, under the same offsets; else everything starts anew.
func (o *opening) begin(c *Conn, p *packet, k initialKeys) {
	i := &c.info
	c.setClient(p.dir, true)
	if len(o.keys) > 0 && !(i.Retry && string(o.retried) == string(p.dcid)) {
		for r := range o.streams {
			o.streams[r].reset(o.budget)
		}
		o.hello = [2]bool{}
		i.Info, i.Close = tlsmeta.Info{}, Close{}
		if !i.VersionNegotiation {
			i.ClientInitial = 0
		}
		o.seen = [2]numbers{}
	}
	o.seen[client].n = 0 // packet numbers go on behind a Retry, but its time is past
	c.times.latest, c.times.count = [2]int64{}, [2]uint8{}
	o.past = append(o.past[:0], o.odcid...)
	o.keys = append(o.keys[:0], k)
	o.odcid = append(o.odcid[:0], p.dcid...)
}

// keysFor gives the keys of a version. A server may answer in another one than
// it was asked in, with keys from the same connection id (RFC 9369 section 4.1).
func (o *opening) keysFor(version uint32) *initialKeys {
	for i := range o.keys {
		if o.keys[i].version == version {
			return &o.keys[i]
		}
	}
	if len(o.keys) > 1 || o.derived >= maxDerive || !o.take(keysOctets) {
		return nil
	}
	o.derived++
	var k initialKeys
	if !k.derive(version, o.odcid) {
		return nil
	}
	o.keys = append(o.keys, k)
	return &o.keys[len(o.keys)-1]
}

// hold keeps a packet that came before the client's first: a mirror may deliver
// the directions with different latency.
func (o *opening) hold(p *packet) bool {
	if len(o.keys) > 0 || len(o.held) >= maxHeld || len(p.b) > maxHeldOctets || !o.take(len(p.b)) {
		return false
	}
	kept := *p
	kept.b = append([]byte(nil), p.b...)
	kept.dcid, kept.scid, kept.token = nil, nil, nil // only keys that are there will be tried
	o.held = append(o.held, kept)
	return true
}

// retryHeld opens the packets that waited for keys.
func (o *opening) retryHeld(c *Conn) {
	held := o.held
	o.held = nil
	for i := range held {
		p := &held[i]
		role, _ := c.roleOf(p.dir)
		if k := o.keysFor(p.version); k != nil {
			if payload, number, ok := o.opener.open(&k.side[role], p.b, p.pn, o.seen[role].highest); ok {
				o.read(c, role, p, payload, number)
				continue
			}
		}
		c.info.Undecryptable++
	}
}

// read takes the frames of an opened packet.
func (o *opening) read(c *Conn, role int, p *packet, payload []byte, number int64) {
	i := &c.info
	if !o.seen[role].add(number, p.at) {
		i.Duplicates++
		return
	}
	f := frames{rest: payload}
	acked := int64(noACK)
	for f.next() {
		switch f.kind {
		case frameACK, frameACKECN:
			acked = max(acked, int64(f.largest))
		case frameCrypto:
			if !o.streams[role].put(f.offset, f.data, o.budget) {
				i.Dropped++
			}
		case frameClose:
			if !i.Close.Known {
				i.Close = Close{Known: true, Client: role == client, Code: f.code}
				i.Alert = alertOf(f.code, role == client)
			}
		}
	}
	if f.bad {
		i.Malformed++
	}
	c.initialTime(role, p.at, acked)
	o.hellos(c, role)
}

// hellos reads the messages that are complete.
func (o *opening) hellos(c *Conn, role int) {
	s := &o.streams[role]
	for {
		b, ok := s.message()
		if !ok {
			return
		}
		if role == client {
			o.clientHello(c, b)
		} else {
			o.serverHello(c, b)
		}
		s.done(len(b))
	}
}

func (o *opening) clientHello(c *Conn, b []byte) {
	var h tlsmeta.ClientHello
	if _, err := tlsmeta.ParseClientHello(b, &h); err != nil {
		c.info.Malformed++
		return
	}
	c.info.Info.ClientHello(&h, tlsmeta.TransportQUIC)
	o.hello[client] = true
}

func (o *opening) serverHello(c *Conn, b []byte) {
	var h tlsmeta.ServerHello
	if _, err := tlsmeta.ParseServerHello(b, &h); err != nil {
		c.info.Malformed++
		return
	}
	c.info.Info.ServerHello(&h)
	o.hello[server] = !h.HelloRetry
}

// add notes a packet number. It is false for one that was there before; of
// numbers far below the highest nothing is known, they count as new.
func (n *numbers) add(number, at int64) bool {
	switch ahead := number + 1 - n.highest; {
	case ahead > 0:
		if ahead < 64 {
			n.window <<= uint(ahead)
		} else {
			n.window = 0
		}
		n.window |= 1
		n.highest = number + 1
	case ahead > -64:
		bit := uint64(1) << uint(-ahead)
		if n.window&bit != 0 {
			return false
		}
		n.window |= bit
	}
	n.sent[n.n%maxSent].number, n.sent[n.n%maxSent].at = number, at
	n.n++
	return true
}

// time gives when a packet number was recorded.
func (n *numbers) time(number int64) (at int64, ok bool) {
	for i := range min(n.n, maxSent) {
		if n.sent[i].number == number {
			return n.sent[i].at, true
		}
	}
	return 0, false
}
