package httpmeta

import "golang.org/x/net/http2/hpack"

// fragment takes octets of a header block, up to the frame's last when f.frag
// is 0. A block that came in one piece is read in place.
func (c *Conn) fragment(f *half2, b []byte) {
	f.size += len(b)
	last := f.frag == 0
	if last {
		f.stage = stageSkip
	}
	switch {
	case f.poisoned:
		return
	case f.size > maxHead:
		c.losses.TooLong++
		c.poison(f)
		return
	case last && f.flag(flagEndHeaders) && len(f.buf) == 0:
		c.decode(f, b)
		return
	}
	var ok bool
	if f.buf, ok = c.shared.extend(f.buf, b); !ok {
		c.losses.NoMemory++
		c.poison(f)
		return
	}
	if last && f.flag(flagEndHeaders) {
		c.decode(f, f.buf)
		f.dropBuffer(c.shared)
	}
}

func (f *half2) dropBuffer(s *Shared) {
	if f.buf != nil {
		s.release(f.buf)
		f.buf = nil
	}
}

// decode reads a whole header block into f.fields.
func (c *Conn) decode(f *half2, block []byte) {
	if f.dec == nil {
		f.dec = hpack.NewDecoder(initialTable, f.fields.take)
		// What the peer's SETTINGS_HEADER_TABLE_SIZE allows, the encoder says
		// again in the block when it makes use of it (RFC 7541 section 4.2):
		// following that is enough, within a bound.
		f.dec.SetAllowedMaxDynamicTableSize(maxTable)
		f.dec.SetMaxStringLength(maxHead)
	}
	f.fields = fields{dec: f.dec}
	f.dec.SetEmitEnabled(true)
	if !c.fund(f, max(tableSize(block), f.table, initialTable)) {
		return
	}
	if _, err := f.dec.Write(block); err != nil || f.dec.Close() != nil {
		c.losses.Malformed++
		c.poison(f)
		return
	}
	f.fields.dec = nil
}

// fund takes what a dynamic table of the given size may grow to out of the
// budget. It is held until the end.
func (c *Conn) fund(f *half2, size int) bool {
	if size > f.table && !c.shared.take(size-f.table) {
		c.losses.NoMemory++
		c.poison(f)
		return false
	}
	f.table = max(f.table, size)
	return true
}

// tableSize gives the largest dynamic table that the size updates at the start
// of a block set (RFC 7541 section 6.3), at most maxTable: beyond it the
// decoder stops.
func tableSize(block []byte) int {
	largest := 0
	for len(block) > 0 && block[0]&0xe0 == 0x20 {
		size, shift := int(block[0]&0x1f), 0
		block = block[1:]
		for more := size == 0x1f; more && len(block) > 0 && shift <= 21; shift += 7 {
			size += int(block[0]&0x7f) << shift
			more = block[0]&0x80 != 0
			block = block[1:]
		}
		largest = max(largest, min(size, maxTable))
	}
	return largest
}

// poison gives up the names and statuses of a direction: its HPACK state is
// lost, and with it the meaning of all header blocks to come.
func (c *Conn) poison(f *half2) {
	if f.poisoned {
		return
	}
	c.losses.Poisoned++
	f.poisoned = true
	f.fields = fields{}
	f.forget(c.shared)
}

// forget gives back what a direction holds out of the budget.
func (f *half2) forget(s *Shared) {
	f.dropBuffer(s)
	s.give(f.table)
	f.table, f.dec = 0, nil
}

// take is called by the decoder for each field.
func (d *fields) take(field hpack.HeaderField) {
	if d.n++; d.n > maxFieldsRead {
		d.dec.SetEmitEnabled(false)
		return
	}
	switch v := field.Value; field.Name {
	case ":method":
		d.method = v
	case ":scheme":
		d.scheme = v
	case ":authority":
		d.authority = v
	case ":path":
		d.path = v
	case ":status":
		d.status = v
	case "host":
		d.host = v
	case "content-type":
		d.isGRPC = isGRPC(v)
	case "grpc-status":
		d.grpcStatus = v
	}
}

// code reads :status, 0 where it is none.
func (d *fields) code() int {
	if len(d.status) != 3 {
		return 0
	}
	n := 0
	for i := range 3 {
		if !isDigit(d.status[i]) {
			return 0
		}
		n = n*10 + int(d.status[i]-'0')
	}
	if n < 100 {
		return 0
	}
	return n
}
