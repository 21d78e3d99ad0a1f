package httpmeta

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
	s := c.shared
	f.forgetFields(s)
	r := &f.reader
	r.begin(block, s.field)
	var err error
	for more := true; more && err == nil; {
		var name fieldName
		var value []byte
		if name, value, more, err = r.next(f.fields.n < maxFieldsRead); more && err == nil && f.fields.n < maxFieldsRead {
			f.fields.n++
			f.take(s, name, value)
		}
	}
	s.field = r.end()
	switch {
	case err != nil:
		c.losses.Malformed++
	case f.fields.cut, !c.fund(f):
		c.losses.NoMemory++
	default:
		return
	}
	c.poison(f)
}

// fund takes what the dynamic table has grown to out of the budget. It is held until
// the end.
func (c *Conn) fund(f *half2) bool {
	more := f.reader.table.held() - f.table
	if more > 0 && !c.shared.take(more) {
		return false
	}
	f.table += more
	return true
}

// poison gives up the names and statuses of a direction: its HPACK state is
// lost, and with it the meaning of all header blocks to come.
func (c *Conn) poison(f *half2) {
	if f.poisoned {
		return
	}
	c.losses.Poisoned++
	f.poisoned = true
	f.forget(c.shared)
}

// forget gives back what a direction holds out of the budget.
func (f *half2) forget(s *Shared) {
	f.dropBuffer(s)
	f.forgetFields(s)
	s.give(f.table)
	f.table, f.reader = 0, fieldReader{}
}

// forgetFields empties fields.
func (f *half2) forgetFields(s *Shared) {
	if f.fields.text != nil {
		s.release(f.fields.text)
	}
	f.fields = fields{}
}

// take keeps of a field what is of use.
func (f *half2) take(s *Shared, name fieldName, value []byte) {
	d := &f.fields
	switch name {
	case methodField:
		d.isMethod, d.method = isMethod(value), methodName(value)
	case schemeField:
		d.port = schemePort(value)
	case authorityField:
		d.keep(s, &d.authority, value)
	case pathField:
		d.keep(s, &d.path, value)
	case statusField:
		d.status = status(value)
	case hostField:
		d.keep(s, &d.host, value)
	case contentTypeField:
		d.isGRPC = isGRPC(value)
	case grpcStatusField:
		d.saysGRPC, d.grpc = len(value) > 0, grpcStatus(value)
	}
}

// maxTarget bounds what is looked at of a path or a host, in octets: servers take no more,
// and an octet in a block may stand for as many as the dynamic table has.
const maxTarget = 8 << 10

// keep copies a value, where there is room, unless there was one: a request has one of
// each (RFC 9113 section 8.3).
func (d *fields) keep(s *Shared, to *span, value []byte) {
	if to.to != 0 || len(value) == 0 {
		return
	}
	at := len(d.text)
	text, ok := s.extend(d.text, value[:min(len(value), maxTarget)])
	if !ok {
		d.cut = true
		return
	}
	d.text = text
	*to = span{at, len(text)}
}

// status reads :status, 0 where it is none.
func status(b []byte) int {
	if len(b) != 3 {
		return 0
	}
	n := 0
	for _, ch := range b {
		if !isDigit(ch) {
			return 0
		}
		n = n*10 + int(ch-'0')
	}
	if n < 100 {
		return 0
	}
	return n
}
