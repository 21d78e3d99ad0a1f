package tlsmeta

import (
	"encoding/binary"
	"errors"
)

// Content types of records (RFC 8446 section 5.1).
const (
	typeCCS       = 20
	typeAlert     = 21
	typeHandshake = 22
	typeData      = 23
	typeHeartbeat = 24 // RFC 6520
)

// maxRecord is the longest record that any version allows: 2^14 octets and
// 2048 of expansion (RFC 5246 section 6.2.3).
const maxRecord = 1<<14 + 2048

// Handshake messages (RFC 8446 section 4, RFC 5246 section 7.4).
const (
	msgClientHello       = 1
	msgServerHello       = 2
	msgCertificate       = 11
	msgServerKeyExchange = 12
	msgServerHelloDone   = 14
	msgClientKeyExchange = 16
)

// maxMessage is the longest handshake message that is put together: room for
// chains of many certificates. Longer ones are stepped over.
const maxMessage = 128 << 10

// direction is the record layer of one direction, in a cache line.
type direction struct {
	hdr   [5]byte // of the present record, of which nhdr octets are there
	nhdr  uint8
	nal   uint8
	alert [2]byte

	ccs    bool // a ChangeCipherSpec was recorded
	lost   bool // where records begin is not known any more
	old    bool // the present record is a hello in the form of SSLv2, kept in buf
	missed bool // octets of it were not recorded
	cut    bool // handshake messages can not be followed any more

	// It puts handshake messages together: records may hold several, and a message
	// may span records.
	skip    bool // the message is of no interest, or too long, or not all recorded
	msgNHdr uint8
	msgHdr  [4]byte
	missing int32  // octets of it still to come
	held    int32  // octets taken from the budget
	buf     uint32 // number in Room.buffers; 0: no octets

	n, left int32 // octets of the present record, and of them still to come
	first   stamp // of the first octet of the present record
}

// moment is when an octet was recorded, of a position.
type moment struct{ pos, at int64 }

// stamp is that, and what its packet acknowledged.
type stamp struct {
	moment
	acked int64
}

// record is one record: its header, where it begins and where it ends.
type record struct {
	typ   uint8
	n     int
	first stamp
	end   moment
}

// read takes the octets of one direction that come next.
func (c *Conn) read(b *Room, dir int, s *Segment) {
	d, data, pos := &c.w.dirs[dir&1], s.Data, s.Pos
	if d.left == 0 && d.nhdr == 0 && !d.old && !d.lost && !b.unhurried {
		for {
			n := wholeRecord(data)
			if n == 0 {
				break
			}
			c.take(b, d, dir, data[:n], pos, s)
			if data, pos = data[n:], pos+int64(n); len(data) == 0 || c.stage == stageOver {
				return
			}
		}
	}
	c.pieces(b, dir, data, pos, s)
}

// pieces takes octets that may begin, and end, in the middle of a record.
func (c *Conn) pieces(b *Room, dir int, data []byte, pos int64, s *Segment) {
	d := &c.w.dirs[dir&1]
	for len(data) > 0 && !d.lost && c.stage != stageOver {
		if d.left == 0 {
			if d.nhdr == 0 && !d.old {
				d.first = stamp{moment{pos, s.Time}, s.Acked}
				d.old = data[0]&0x80 != 0 && c.mayBeSSLv2(dir)
			}
			if d.old {
				n := c.sslv2(b, dir, data, moment{pos, s.Time})
				data, pos = data[n:], pos+int64(n)
				continue
			}
			if d.nhdr == 0 && len(data) >= len(d.hdr) {
				d.hdr, d.n = [5]byte(data), int32(binary.BigEndian.Uint16(data[3:]))
				data, pos = data[len(d.hdr):], pos+int64(len(d.hdr))
			} else {
				n := copy(d.hdr[d.nhdr:], data)
				d.nhdr += uint8(n)
				data, pos = data[n:], pos+int64(n)
				if d.nhdr < 5 {
					return
				}
				d.nhdr, d.n = 0, int32(binary.BigEndian.Uint16(d.hdr[3:]))
			}
			d.left = d.n
			if d.hdr[0] < typeCCS || d.hdr[0] > typeHeartbeat || d.hdr[1] > 3 || d.left > maxRecord {
				c.strange(dir)
				return
			}
			d.nal = 0
		}
		n := min(int(d.left), len(data))
		d.left -= int32(n)
		part := data[:n]
		data, pos = data[n:], pos+int64(n)
		switch {
		case d.hdr[0] == typeHandshake && !d.ccs && !d.cut:
			c.messages(b, dir, part, moment{pos, s.Time})
		case d.hdr[0] == typeAlert && d.nal < 2:
			d.nal += uint8(copy(d.alert[d.nal:], part))
		}
		if d.left == 0 && c.stage != stageOver {
			c.record(dir, &record{d.hdr[0], int(d.n), d.first, moment{pos, s.Time}})
		}
	}
}

// wholeRecord is how many octets of b are a record that lies there whole, header
// included, of a type that is known; 0 where there is none.
func wholeRecord(b []byte) int {
	if len(b) < 5 || b[0] < typeCCS || b[0] > typeHeartbeat || b[1] > 3 {
		return 0
	}
	n := 5 + int(binary.BigEndian.Uint16(b[3:]))
	if n > min(len(b), 5+maxRecord) {
		return 0
	}
	return n
}

// take takes a record that lies whole at a position, behind the end of another:
// what read does with it in pieces.
func (c *Conn) take(b *Room, d *direction, dir int, rec []byte, pos int64, s *Segment) {
	typ, end := rec[0], pos+int64(len(rec))
	switch {
	case typ == typeHandshake && !d.ccs:
		if !d.cut {
			d.first = stamp{moment{pos, s.Time}, s.Acked}
			c.messages(b, dir, rec[5:], moment{end, s.Time})
		}
		if c.stage != stageDone {
			return // a record in the clear says nothing but its messages
		}
	case typ == typeAlert:
		d.nal = uint8(copy(d.alert[:], rec[5:]))
	}
	r := &b.whole
	r.typ, r.n = typ, len(rec)-5
	r.first.pos, r.first.at, r.first.acked = pos, s.Time, s.Acked
	r.end.pos, r.end.at = end, s.Time
	c.record(dir, r)
}

// mayBeSSLv2 tells whether a hello in the form of SSLv2 can come next (RFC 5246
// appendix E.2).
func (c *Conn) mayBeSSLv2(dir int) bool {
	if dir == int(c.client) {
		return c.stage == stageClientHello
	}
	return c.stage == stageServerHello && c.Info.SSLv2Hello
}

// sslv2 puts a hello in the form of SSLv2 together, and gives how many octets
// of data belong to it.
func (c *Conn) sslv2(b *Room, dir int, data []byte, at moment) (n int) {
	d := &c.w.dirs[dir]
	whole := func() int {
		b := b.buffers.at(d.buf)
		if len(b) < 2 {
			return 2
		}
		return 2 + sslv2Record(b)
	}
	for n < len(data) && len(b.buffers.at(d.buf)) < whole() {
		k := min(whole()-len(b.buffers.at(d.buf)), len(data)-n)
		d.add(b, data[n:n+k])
		n += k
		if d.skip {
			c.strange(dir)
			return n
		}
	}
	at.pos += int64(n)
	var err error
	if dir == int(c.client) {
		err = c.sslv2Hello(b.buffers.at(d.buf), at)
	} else {
		err = c.sslv2Answer(b.buffers.at(d.buf))
	}
	switch {
	case errors.Is(err, ErrShort) && len(b.buffers.at(d.buf)) < whole():
		return n
	case err != nil:
		c.strange(dir)
	}
	d.old = false
	d.drop(b)
	return n
}

func (c *Conn) sslv2Hello(b []byte, end moment) error {
	var h ClientHello
	if _, err := ParseSSLv2Hello(b, &h); err != nil {
		return err
	}
	d := &c.w.dirs[c.client]
	c.Timing.Start, c.Timing.StartInferred = d.first.at, c.w.inferred
	c.w.flights[c.client].lo = d.first.pos
	c.edit().ClientHello(&h, TransportTCP)
	c.endFlight(int(c.client), end)
	c.stage = stageServerHello
	return nil
}

// sslv2Answer takes a ServerHello of SSL 2.0 itself, behind which nothing is
// read.
func (c *Conn) sslv2Answer(b []byte) error {
	var h ServerHello
	if _, err := ParseSSLv2ServerHello(b, &h); err != nil {
		return err
	}
	c.edit().ServerHello(&h)
	c.version = c.Info.Version
	c.edit().Outcome = Incomplete
	c.over()
	return nil
}

// miss steps over octets that were not recorded. Within a record that is known
// to go on behind them, only what they held is lost.
func (c *Conn) miss(b *Room, dir int, n, at int64) {
	d := &c.w.dirs[dir]
	if d.lost || c.stage == stageOver {
		return
	}
	c.Missing, d.missed = true, true
	if d.left == 0 || n > int64(d.left) {
		d.lost, c.adrift = true, true
		d.drop(b)
		if dir == int(c.client) && c.stage == stageClientHello {
			c.edit().Outcome = Incomplete
			c.over() // nothing is known of it
		}
		return
	}
	d.left -= int32(n)
	if d.hdr[0] == typeHandshake && !d.ccs && !d.cut {
		c.missMessage(b, dir, int(n), at)
	}
	if d.left == 0 {
		// The record's end was not recorded: that it ended is known, not when.
		c.record(dir, &record{d.hdr[0], int(d.n), d.first, moment{d.first.pos + 5 + int64(d.n), at}})
	}
}

// missMessage steps over octets of handshake messages.
func (c *Conn) missMessage(b *Room, dir, n int, at int64) {
	d := &c.w.dirs[dir]
	if d.msgNHdr < 4 || int32(n) > d.missing {
		d.cut = true
		d.drop(b)
		return
	}
	d.missing -= int32(n)
	d.skip = true
	d.release(b)
	if d.missing == 0 {
		d.msgNHdr = 0
		end := d.first.pos + 5 + int64(d.n-d.left)
		c.message(dir, d.msgHdr[0], nil, wanted(d.msgHdr[0]), moment{end, at})
	}
}

// messages puts handshake messages together.
func (c *Conn) messages(b *Room, dir int, data []byte, end moment) {
	d := &c.w.dirs[dir]
	for len(data) > 0 {
		if d.msgNHdr == 0 && len(data) >= 4 {
			if n := 4 + int(binary.BigEndian.Uint32(data)&0xffffff); n <= len(data) { // it lies here whole
				c.begins(d, data[0])
				whole := data[:n]
				data = data[n:]
				at := end
				at.pos -= int64(len(data))
				if !wanted(whole[0]) {
					whole = whole[:4]
				}
				c.message(dir, whole[0], whole, false, at)
				if d.cut || c.stage == stageOver {
					return
				}
				continue
			}
		}
		if d.msgNHdr < 4 {
			n := copy(d.msgHdr[d.msgNHdr:], data)
			d.msgNHdr += uint8(n)
			data = data[n:]
			if d.msgNHdr < 4 {
				return
			}
			d.missing = int32(binary.BigEndian.Uint32(d.msgHdr[:]) & 0xffffff)
			d.skip = !wanted(d.msgHdr[0]) || d.missing > maxMessage
			if d.missing > maxMessage && d.msgHdr[0] == msgCertificate {
				c.edit().CertificatesCut = true
			}
			if !d.skip {
				d.add(b, d.msgHdr[:])
			}
			c.begins(d, d.msgHdr[0])
		}
		n := min(int(d.missing), len(data))
		if !d.skip && n > 0 {
			d.add(b, data[:n])
		}
		d.missing -= int32(n)
		data = data[n:]
		if d.missing > 0 {
			return
		}
		d.msgNHdr = 0
		at := end
		at.pos -= int64(len(data))
		c.message(dir, d.msgHdr[0], b.buffers.at(d.buf), d.skip && wanted(d.msgHdr[0]), at)
		d.release(b)
		if d.cut || c.stage == stageOver {
			return
		}
	}
}

// begins takes note of where the ClientHello begins.
func (c *Conn) begins(d *direction, typ byte) {
	if typ == msgClientHello && c.stage == stageClientHello {
		c.w.helloAt = d.first.at
		flight := 0
		if d == &c.w.dirs[1] {
			flight = 1
		}
		c.w.flights[flight].lo = d.first.pos
	}
}

// wanted tells which messages are read; of the others it counts that they came.
func wanted(typ byte) bool {
	return typ == msgClientHello || typ == msgServerHello || typ == msgCertificate || typ == msgServerKeyExchange
}

// add keeps octets of a message. Where there is no room, it is stepped over.
func (d *direction) add(b *Room, data []byte) {
	if !b.Take(len(data)) {
		d.skip = true
		d.release(b)
		return
	}
	d.held += int32(len(data))
	d.buf = b.buffers.extend(d.buf, data)
}

func (d *direction) release(b *Room) {
	b.Give(int(d.held))
	d.held = 0
	b.buffers.put(d.buf)
	d.buf = 0
}

func (d *direction) drop(b *Room) {
	d.release(b)
	d.msgNHdr, d.missing = 0, 0
}
