package record

import (
	"encoding/binary"

	"mirrorscope/capture"
	"mirrorscope/packet"
)

// Fragments do not tell ports, but for the first one. Each is kept, cut to its
// headers, if the first of its packet matches; what comes before that one waits.

// maxPieces bounds the fragments that wait, and the packets that are remembered.
const maxPieces = 1024

// pieceKey names the packet that a fragment is of: what its IP header says, where
// that stands right in front of the fragment.
type pieceKey struct {
	version, proto uint8
	id             uint32
	addrs          [32]byte
}

// piece is a fragment that waits, cut to its headers.
type piece struct {
	key   pieceKey
	at    int64
	wire  int
	iface uint32
	link  capture.LinkType
	data  []byte
}

// pieces are those that wait, and what was decided of packets.
type pieces struct {
	waiting []piece
	decided map[pieceKey]bool // whether it matches
	order   []pieceKey        // of decided, the oldest first
}

// piece takes a frame with a fragment. p is the packet that it completes, or nil.
func (r *Ring) piece(f *capture.Frame, p *packet.Packet) {
	n, key, ok := r.cutter.fragment(f)
	if !ok { // whole, though it looks like a fragment (RFC 6946)
		if p != nil && r.filter.Match(p) {
			r.put(f.Data[:min(r.cutter.shortest(f), maxHeaders)], f.Time, f.WireLen, f.Interface, f.Link)
		}
		return
	}
	matches, known := r.pieces.decided[key]
	switch {
	case r.cutter.isFirst:
		matches, known = r.filter.Match(&r.cutter.first), true
		r.decide(key, matches)
	case !known && p != nil:
		matches, known = r.filter.Match(p), true
		r.decide(key, matches)
	}
	if !known {
		if len(r.pieces.waiting) == maxPieces {
			r.pieces.waiting = append(r.pieces.waiting[:0], r.pieces.waiting[1:]...)
		}
		r.pieces.waiting = append(r.pieces.waiting, piece{key, f.Time, f.WireLen, f.Interface, f.Link, append([]byte(nil), f.Data[:n]...)})
		return
	}
	if matches {
		r.put(f.Data[:n], f.Time, f.WireLen, f.Interface, f.Link)
	}
}

// decide remembers whether a packet matches, and lets its fragments go.
func (r *Ring) decide(key pieceKey, matches bool) {
	x := &r.pieces
	if x.decided == nil {
		x.decided = make(map[pieceKey]bool)
	}
	if _, ok := x.decided[key]; !ok {
		if len(x.order) == maxPieces {
			delete(x.decided, x.order[0])
			x.order = append(x.order[:0], x.order[1:]...)
		}
		x.order = append(x.order, key)
	}
	x.decided[key] = matches
	kept := x.waiting[:0]
	for _, w := range x.waiting {
		switch {
		case w.key != key:
			kept = append(kept, w)
		case matches:
			r.put(w.data, w.at, w.wire, w.iface, w.link)
		}
	}
	clear(x.waiting[len(kept):])
	x.waiting = kept
}

// fragment gives the octets of a frame's headers, and of which packet it holds a
// fragment. x.isFirst tells of the first one, and x.first is what that is of the
// packet. ok is false where the decoder takes the frame for no fragment.
func (x *cutter) fragment(f *capture.Frame) (n int, key pieceKey, ok bool) {
	x.isFirst = false
	if x.decode(f, len(f.Data), &x.whole) != packet.Held {
		return 0, key, false
	}
	n = x.search(len(f.Data), func(n int) bool { return x.decode(f, n, &x.part) == packet.Held })
	h, ok := headerIn(f.Data[:n])
	if !ok || h.offset != 0 {
		return min(n, maxHeaders), h.key, true
	}
	// As if the packet had not been cut into fragments, but by the capture.
	g := *f
	x.uncut = append(x.uncut[:0], f.Data...)
	g.Data = x.uncut
	g.WireLen += h.mend(g.Data, n)
	if x.decode(&g, len(g.Data), &x.first) == packet.OK {
		x.first.Payload = nil
		x.isFirst = true
		n = x.search(len(g.Data), func(n int) bool { return x.decode(&g, n, &x.part) == packet.OK && same(&x.part, &x.first) })
	}
	return min(n, maxHeaders), h.key, true
}

// header is the IP header of a fragment.
type header struct {
	key    pieceKey
	at     int // where it begins
	offset int // of the fragment, octets
}

// headerIn finds the IP header that b ends with: of IPv4, or of IPv6 up to its
// fragment header.
func headerIn(b []byte) (h header, ok bool) {
	be := binary.BigEndian
	for n := ipv4Header; n <= min(60, len(b)); n += 4 {
		if v := b[len(b)-n:]; v[0] == byte(0x40|n/4) && be.Uint16(v[6:])&0x3fff != 0 { // more of them, or an offset
			h.at, h.offset = len(b)-n, int(be.Uint16(v[6:])&0x1fff)<<3
			h.key.version, h.key.proto, h.key.id = 4, v[9], uint32(be.Uint16(v[4:]))
			copy(h.key.addrs[:], v[12:20])
			return h, true
		}
	}
	for at := len(b) - ipv6Header - fragmentHeader; at >= 0; at -= 8 {
		if v := b[at:]; v[0]>>4 == 6 && leadsToEnd(v) {
			last := b[len(b)-fragmentHeader:]
			h.at, h.offset = at, int(be.Uint16(last[2:])&^7)
			h.key.version, h.key.id = 6, be.Uint32(last[4:])
			copy(h.key.addrs[:], v[8:40])
			return h, true
		}
	}
	return h, false
}

const (
	ipv4Header     = 20 // octets, without options
	ipv6Header     = 40
	fragmentHeader = 8  // RFC 8200 section 4.5
	nextFragment   = 44 // its number
)

// leadsToEnd tells whether the headers that an IPv6 header begins end b, with a
// fragment header.
func leadsToEnd(b []byte) bool {
	next, at := b[6], ipv6Header
	for next != nextFragment && at+fragmentHeader < len(b) {
		next, at = b[at], at+8+8*int(b[at+1])
	}
	return next == nextFragment && at+fragmentHeader == len(b)
}

// mend makes b, the frame of a first fragment whose headers end at end, one of a
// packet that is whole, as long as UDP says where it is UDP. more is what it is
// longer by.
func (h *header) mend(b []byte, end int) (more int) {
	be := binary.BigEndian
	v := b[h.at:]
	length, proto, fixed := v[2:4], h.key.proto, 0
	if h.key.version == 4 {
		be.PutUint16(v[6:], 0)
	} else {
		length, proto, fixed = v[4:6], b[end-fragmentHeader], ipv6Header
		be.PutUint16(b[end-fragmentHeader+2:], 0)
	}
	if proto != packet.ProtoUDP || len(b) < end+6 {
		return 0
	}
	was, now := int(be.Uint16(length)), end-h.at-fixed+int(be.Uint16(b[end+4:]))
	if now <= was || now > 1<<16-1 {
		return 0
	}
	be.PutUint16(length, uint16(now))
	return now - was
}
