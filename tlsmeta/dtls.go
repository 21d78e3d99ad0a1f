package tlsmeta

// Bounds of what is put together of the messages of a flow.
const (
	maxDTLSMessage = 16 << 10 // octets; longer ones are stepped over
	maxAssemblies  = 2        // messages in pieces at a time, a direction
	maxExtents     = 16       // gaps in a message, plus one
)

// DTLS follows the handshake on one UDP flow (RFC 6347; RFC 9147, which is
// version 1.3). Datagrams may be lost, come twice or out of order, as they do.
//
// It keeps what was not complete, 64 KiB at most, until the handshake is over;
// behind that it allocates nothing. The zero value is ready for use.
type DTLS struct {
	// Start is the record time of the first datagram with octets of a ClientHello,
	// End that of the one with which the handshake was complete; ns, 0 unknown.
	Start, End int64
	Records    [2]uint64 // by direction
	Other      uint64    // datagrams that are no DTLS, or end in what is none: STUN and media share ports with it (RFC 7983)
	Verified   bool      // the server asked for a cookie first: HelloVerifyRequest

	info      Info
	client    int8 // its direction plus 1; 0 unknown
	hello     bool // a ClientHello was read
	encrypted bool // an encrypted alert came before the handshake was over
	data      bool // data came before the handshake was recorded to its end
	sides     [2]dtlsSide
}

// dtlsSide is one direction.
type dtlsSide struct {
	cid      int16  // length of the connection id in its records plus 1; 0 not known
	finished bool   // an encrypted handshake record, which is the Finished
	read     uint64 // messages that were read, by number
	parts    [maxAssemblies]assembly
}

// assembly is a message of which a part is there.
type assembly struct {
	seq    uint16
	typ    uint8
	buf    []byte // nil: not in use
	have   [maxExtents]extent
	extent uint8 // how many
}

// extent is a range of octets.
type extent struct{ from, to int32 }

// Datagram takes the payload of a datagram that was recorded at a time, in ns.
// It is false if the datagram is no DTLS from its first octet on.
func (d *DTLS) Datagram(dir int, b []byte, at int64) bool {
	s := &d.sides[dir]
	found := false
	for len(b) > 0 {
		r, rest, ok := nextDTLS(b, int(s.cid)-1)
		if !ok {
			d.Other++
			return found
		}
		found = true
		d.Records[dir]++
		if d.End == 0 && d.info.Outcome == OutcomeNone {
			d.record(dir, &r, at)
		}
		b = rest
	}
	return found
}

// Client is the direction that the client sends in, -1 until it is known.
func (d *DTLS) Client() int { return int(d.client) - 1 }

// Over tells that nothing more is read.
func (d *DTLS) Over() bool { return d.info.Outcome != OutcomeNone }

// Held is how many octets of incomplete messages are kept.
func (d *DTLS) Held() (n int) {
	for i := range d.sides {
		for j := range d.sides[i].parts {
			n += cap(d.sides[i].parts[j].buf)
		}
	}
	return n
}

// Info tells what the handshake said. Its outcome, if that is not known yet, is
// what it would be if the flow ended here: Abandoned, Incomplete if its start or
// end is missing, or FailedEncrypted.
func (d *DTLS) Info() *Info {
	if d.info.Outcome == OutcomeNone {
		i := d.info
		switch {
		case d.data:
			i.Outcome = Incomplete
		case d.encrypted:
			i.Outcome = FailedEncrypted
		case d.hello:
			i.Outcome = Abandoned
		default:
			i.Outcome = Incomplete
		}
		return &i
	}
	return &d.info
}

// record takes a record of a handshake that is not over.
func (d *DTLS) record(dir int, r *dtlsRecord, at int64) {
	switch {
	case r.unified:
		d.unified(dir, r.epoch, at)
	case r.epoch > 0:
		switch r.typ {
		case typeHandshake, typeCID:
			d.finished(dir, at)
		case typeAlert:
			d.encrypted = true
		case typeData:
			d.data = true
		}
	case r.typ == typeHandshake:
		for b := r.body; len(b) > 0; {
			f, rest, ok := nextFragment(b)
			if !ok {
				d.Other++
				return
			}
			d.fragment(dir, &f, at)
			b = rest
		}
	case r.typ == typeCCS && dir == 1-d.Client() && d.info.Version != 0 && !hasKeySchedule13(d.info.Version):
		// Of a full handshake the server has sent a Certificate, key or
		// ServerHelloDone by now, or these come late and set it right.
		if d.sides[dir].read&fullFlight == 0 {
			d.info.Abbreviated()
		}
	case r.typ == typeAlert && len(r.body) == 2:
		d.alert(dir, r.body[0], r.body[1])
	}
}

// fullFlight marks in dtlsSide.read that the server sent what only a full
// handshake has. Message numbers stay below it.
const fullFlight = 1 << 63

// unified takes a record of DTLS 1.3: epoch 1 is early data, 2 the handshake, 3
// data (RFC 9147 section 6.1). The client's are its Finished once the server has
// sent its own.
func (d *DTLS) unified(dir int, epoch uint16, at int64) {
	switch {
	case epoch == 1 || d.client == 0:
	case dir != d.Client():
		d.sides[dir].finished = true
	case d.sides[1-dir].finished:
		d.completed(at)
	default:
		d.data = d.data || epoch == 3
	}
}

// finished takes an encrypted handshake record up to DTLS 1.2.
func (d *DTLS) finished(dir int, at int64) {
	if d.client == 0 {
		return // of a handshake before the recording began
	}
	d.sides[dir].finished = true
	if d.sides[1-dir].finished {
		d.completed(at)
	}
}

func (d *DTLS) completed(at int64) {
	d.End = at
	d.over(Completed)
}

// over ends the reading and frees what is incomplete.
func (d *DTLS) over(o Outcome) {
	d.info.Outcome = o
	for i := range d.sides {
		for j := range d.sides[i].parts {
			d.sides[i].parts[j].buf = nil
		}
	}
}

// alert takes an alert in the clear.
func (d *DTLS) alert(dir int, level, description uint8) {
	fatal := level == AlertFatal
	if description == 0 && !fatal || d.client == 0 {
		return
	}
	if d.info.Alert == nil || fatal {
		d.info.Alert = &Alert{Client: dir == d.Client(), Level: level, Description: description}
	}
	if fatal {
		d.over(Failed)
	}
}

// fragment takes a part of a handshake message.
func (d *DTLS) fragment(dir int, f *fragment, at int64) {
	s := &d.sides[dir]
	if f.typ == msgClientHello && d.Start == 0 {
		d.Start = at
	}
	if f.seq >= 63 || s.read&(1<<f.seq) != 0 {
		return // known already
	}
	switch f.typ {
	case msgClientHello, msgHelloVerifyRequest, msgServerHello, msgCertificate, msgServerKeyExchange, msgServerHelloDone, msgClientKeyExchange:
	default:
		return
	}
	body := f.body
	if len(body) < f.total {
		if f.total > maxDTLSMessage {
			d.info.CertificatesCut = d.info.CertificatesCut || f.typ == msgCertificate && dir != d.Client()
			return
		}
		if body = s.put(f); body == nil {
			return
		}
	}
	s.read |= 1 << f.seq
	d.message(dir, f.typ, body)
}

// put keeps a fragment, and gives the message if it is complete now.
func (s *dtlsSide) put(f *fragment) []byte {
	var a *assembly
	for i := range s.parts {
		p := &s.parts[i]
		if p.buf != nil && p.seq == f.seq {
			a = p
			break
		}
		if p.buf == nil && a == nil {
			a = p
		}
	}
	switch {
	case a == nil:
		return nil // no room: it may come again when there is
	case a.buf == nil:
		*a = assembly{seq: f.seq, typ: f.typ, buf: make([]byte, f.total)}
	case a.typ != f.typ || len(a.buf) != f.total:
		return nil // contradicts the part that is there
	}
	copy(a.buf[f.offset:], f.body)
	if !a.add(int32(f.offset), int32(f.offset+len(f.body))) {
		return nil
	}
	body := a.buf
	a.buf = nil
	return body
}

// add takes note of a range, and tells whether there is no gap left.
func (a *assembly) add(from, to int32) bool {
	list := a.have[:a.extent]
	kept := list[:0]
	for _, e := range list { // those that touch become one with it
		if e.to < from || to < e.from {
			kept = append(kept, e)
		} else {
			from, to = min(from, e.from), max(to, e.to)
		}
	}
	if len(kept) == maxExtents {
		a.extent = maxExtents
		return false // it is as if this fragment were lost
	}
	a.extent = uint8(len(append(kept, extent{from, to})))
	return from == 0 && int(to) == len(a.buf)
}

// message takes a handshake message, without its header.
func (d *DTLS) message(dir int, typ uint8, body []byte) {
	i := &d.info
	switch typ {
	case msgClientHello:
		var h ClientHello
		if d.client == int8(2-dir) || parseClientHello(body, &h, true) != nil {
			return
		}
		d.client, d.hello = int8(1+dir), true
		i.ClientHello(&h, TransportDTLS)
		d.sides[1-dir].cid = 0
		if h.HasConnectionID {
			d.sides[1-dir].cid = int16(len(h.ConnectionID) + 1)
		}
		return
	case msgHelloVerifyRequest, msgServerHello:
		if d.client == 0 {
			d.client = int8(2 - dir)
		}
	}
	if d.client == 0 {
		return
	}
	if dir == d.Client() {
		d.fromClient(typ, body)
		return
	}
	s := &d.sides[dir]
	switch typ {
	case msgHelloVerifyRequest:
		d.Verified = true
	case msgServerHello:
		var h ServerHello
		if parseServerHello(body, &h) != nil {
			return
		}
		i.ServerHello(&h)
		if h.HasConnectionID {
			d.sides[1-dir].cid = int16(len(h.ConnectionID) + 1)
		}
		return
	case msgCertificate:
		list, cut := parseCertificates(body)
		i.Certificates, i.CertificatesCut = list, cut
	case msgServerKeyExchange:
		if g, ok := parseServerKeyExchange(body, i.Cipher); ok {
			i.Group = g
		}
	}
	if typ != msgHelloVerifyRequest && typ != msgClientKeyExchange {
		s.read |= fullFlight
		i.Full()
	}
}

// fromClient takes a message of the client's behind its hello.
func (d *DTLS) fromClient(typ uint8, body []byte) {
	i := &d.info
	switch typ {
	case msgCertificate:
		i.ClientCertificates, _ = parseCertificates(body)
		i.ClientCertificate, i.ClientCertificateKnown = len(i.ClientCertificates) > 0, true
	case msgClientKeyExchange: // behind its Certificate, if it sends one
		i.ClientCertificateKnown = true
	}
}
