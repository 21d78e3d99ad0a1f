package packet

import "bytes"

// maxParts bounds the fragments of one packet. The smallest legal IPv4 MTU of
// 68 octets cuts the largest packet into 1366.
const maxParts = 1500

// fragKey identifies the packet that a fragment belongs to (RFC 791 section
// 3.2, RFC 8200 section 4.5) where it was observed. Proto is 0 for IPv6, whose
// later fragments may name another header.
type fragKey struct {
	src, dst       Addr
	point          PointKey
	network        NetworkKey
	id             uint32
	proto, version uint8
}

// part is one fragment: n octets of the packet from offset on, of which the
// captured ones are in the reassembly's octets[at : at+captured].
type part struct {
	offset, n    int32
	at, captured int32
}

func (a *part) end() int32 { return a.offset + a.n }

// partState is what the fragments of a packet have come to.
type partState uint8

const (
	collecting partState = iota
	complete             // remembered, so that a mirror's second copies are known as such
	overlapped           // given up: every further fragment is refused
)

// reassembly is one packet whose fragments come in.
type reassembly struct {
	key     fragKey
	started int64 // record time of the fragment that came first
	state   partState
	held    uint64 // frames that wait for a verdict
	total   int32  // octets of the packet's payload, -1 before the last fragment came
	have    int32  // octets covered by parts
	parts   []part // by offset
	octets  []byte // captured octets in order of arrival

	ce   bool // a fragment was marked CE
	head int  // octets of IP header and extension headers, of the first fragment
	// The first fragment's packet and walk, so that TTL and TOS are its own and
	// the 5-tuple can be told when the rest does not come.
	packet Packet
	walk   walk

	all, point links
}

// size is the memory that the reassembly's slices hold, in octets.
func (e *reassembly) size() int { return cap(e.octets) + 16*cap(e.parts) }

// outcome of adding a fragment.
type outcome uint8

const (
	added outcome = iota
	duplicate
	overlap
	reused // a fragment of a later packet that has the same key
)

// add stores a fragment of n octets, of which b are captured.
//
// An exact copy of a fragment is a duplicate. The same place with other
// content, or anything else once the packet is complete, is a later packet
// with the same identification. All else that overlaps makes the packet
// unreadable, as hosts differ in which copy they believe (RFC 5722).
func (e *reassembly) add(offset, n int32, more bool, b []byte) outcome {
	contradiction := overlap
	if e.state == complete {
		contradiction = reused
	}
	end := offset + n
	i := len(e.parts)
	for i > 0 && e.parts[i-1].offset >= offset { // from the end: fragments come in order as a rule
		i--
	}
	if i < len(e.parts) && e.parts[i].offset == offset && e.parts[i].n == n {
		old := e.octets[e.parts[i].at:][:e.parts[i].captured]
		m := min(len(old), len(b))
		switch {
		case !bytes.Equal(old[:m], b[:m]):
			return reused
		case more == (e.total == end):
			return contradiction
		}
		return duplicate
	}
	switch {
	case i > 0 && e.parts[i-1].end() > offset,
		i < len(e.parts) && e.parts[i].offset < end,
		e.total >= 0 && (!more || end > e.total),
		!more && len(e.parts) > 0 && e.parts[len(e.parts)-1].end() > end,
		len(e.parts) == maxParts:
		return contradiction
	}
	e.parts = append(e.parts, part{})
	copy(e.parts[i+1:], e.parts[i:])
	e.parts[i] = part{offset: offset, n: n, at: int32(len(e.octets)), captured: int32(len(b))}
	e.octets = append(e.octets, b...)
	e.have += n
	if !more {
		e.total = end
	}
	return added
}

// assemble appends the packet to dst, up to the first octet that is not
// captured.
func (e *reassembly) assemble(dst []byte) []byte {
	for i := range e.parts {
		a := &e.parts[i]
		dst = append(dst, e.octets[a.at:][:a.captured]...)
		if a.captured < a.n {
			break
		}
	}
	return dst
}

// fragment takes one fragment, whose octets are at w.b. It goes on with the
// whole packet when this fragment completes it.
func (d *Decoder) fragment(w *walk, p *Packet, id uint32, offset int, more bool) step {
	if w.lost {
		return w.fail(FragmentIncomplete)
	}
	n := w.wire
	head := int(p.IPLen) - n
	limit := maxIPv4 - head
	if p.Version == 6 {
		head -= 8 // the fragment header is not part of the whole packet
		limit = maxIPv4
	}
	// Only the last fragment may end off a multiple of 8 octets, none is empty,
	// and no packet is larger than its length field can tell.
	if n == 0 || more && n&7 != 0 || offset+n > limit || p.Flags&LengthUnknown != 0 {
		return w.fail(BadIP)
	}
	key := fragKey{src: p.Src, dst: p.Dst, id: id, version: p.Version, network: d.networkKey(w)}
	key.point = w.pointKey()
	if p.Version == 4 {
		key.proto = w.proto
	}
	f := &d.frags
	for f.octets+len(w.b) > f.cfg.Octets && f.oldest != nil {
		d.drop(f.oldest)
	}
	e := f.entries[key]
	if e != nil && f.expired(e, w.time) {
		d.drop(e)
		e = nil
	}
	if e != nil {
		if e.state == overlapped {
			return w.fail(FragmentOverlap)
		}
	} else {
		e = d.begin(&key, w.time)
	}
	size := e.size()
	result := e.add(int32(offset), int32(n), more, w.b)
	if result == reused {
		d.drop(e)
		e = d.begin(&key, w.time)
		size = e.size()
		result = e.add(int32(offset), int32(n), more, w.b)
	}
	f.octets += e.size() - size
	switch result {
	case duplicate:
		return w.fail(FragmentDuplicate)
	case overlap:
		d.giveUp(e, FragmentOverlap)
		e.state = overlapped
		return w.fail(FragmentOverlap)
	}
	e.ce = e.ce || p.TOS&3 == 3
	if offset == 0 {
		e.head = head
		e.packet = *p
		e.walk = *w
		e.walk.b, e.walk.released = nil, 0 // lent, and not this packet's to settle
	}
	if e.have != e.total {
		e.held += 1 + w.released
		w.released = 0
		return w.fail(Held)
	}

	e.state = complete
	w.released += e.held
	e.held = 0
	f.whole = e.assemble(f.whole[:0])
	w.b, w.wire, w.proto = f.whole, int(e.total), e.walk.proto
	p.TTL, p.TOS, p.DF = e.packet.TTL, e.packet.TOS, e.packet.DF
	if e.ce && p.TOS&3 != 0 {
		p.TOS |= 3 // RFC 3168 section 5.3
	}
	p.IPLen = uint32(e.head + w.wire)
	p.Flags = p.Flags&^Truncated | Reassembled
	if len(w.b) < w.wire {
		p.Flags |= Truncated
	}
	return atProto
}

// giveUp settles the frames of a packet that will not be whole, tells Lost
// about it, and lets go of its octets.
func (d *Decoder) giveUp(e *reassembly, verdict Skip) {
	d.Settled[verdict] += e.held
	e.held = 0
	if d.Lost != nil && e.state == collecting && len(e.parts) > 0 && e.parts[0].offset == 0 {
		d.lost(e)
	}
	d.frags.octets -= e.size()
	e.octets, e.parts = nil, nil
}

// lost decodes the first fragment of a packet that is given up, as one that
// the capture cuts.
func (d *Decoder) lost(e *reassembly) {
	a := &e.parts[0]
	p, w := e.packet, e.walk
	w.lost = true
	w.b, w.wire = e.octets[a.at:][:a.captured], int(a.n)
	if e.total > 0 {
		w.wire = int(e.total)
	}
	p.IPLen = uint32(e.head + w.wire)
	p.Flags |= Truncated
	d.frags.lostWalk, d.frags.lostPacket = w, p // so that neither escapes
	if d.run(&d.frags.lostWalk, atProto, &d.frags.lostPacket) == OK {
		d.Lost(&d.frags.lostPacket)
	}
}

// drop ends a reassembly.
func (d *Decoder) drop(e *reassembly) {
	d.giveUp(e, FragmentIncomplete)
	d.frags.remove(e)
}

// expire drops what has waited, or was remembered, for too long at time now.
func (d *Decoder) expire(now int64) {
	for e := d.frags.oldest; e != nil && now-e.started > d.frags.timeout; e = d.frags.oldest {
		d.drop(e)
	}
}

// begin makes a new reassembly, at the cost of the oldest one where a bound is
// reached: of the same observation point if that one has its share.
func (d *Decoder) begin(key *fragKey, now int64) *reassembly {
	f := &d.frags
	if q := f.points[key.point]; q != nil && q.n >= f.cfg.PerPoint {
		d.drop(q.oldest)
	}
	if len(f.entries) >= f.cfg.Packets {
		d.drop(f.oldest)
	}
	return f.insert(key, now)
}
