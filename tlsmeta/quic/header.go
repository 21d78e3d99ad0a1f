package quic

import "encoding/binary"

// kind of a packet with a long header (RFC 9000 section 17.2).
type kind uint8

const (
	unknownKind kind = iota // of a version that is not known here: only RFC 8999 holds
	initial
	zeroRTT
	handshake
	retry
	negotiation
)

// header is a long header. Its slices alias the datagram.
type header struct {
	kind       kind
	version    uint32
	dcid, scid []byte
	token      []byte // of an Initial; of a Retry, all but the integrity tag
	pn         int    // offset of the packet number
	end        int    // offset behind the packet; beyond the datagram's captured octets where it was cut
}

// maxCID is the longest connection id of the versions known (RFC 9000 section
// 17.2); minDCID the shortest that a client begins with (section 7.2).
const (
	maxCID  = 20
	minDCID = 8
)

// minDatagram is the least size of a datagram that carries a client's Initial
// (RFC 9000 section 14.1).
const minDatagram = 1200

// minProtected is the least that stands behind a packet number of one octet:
// the header protection sample begins four octets behind its start, and is 16
// octets long (RFC 9001 section 5.4.2).
const minProtected = 20

// varint reads a variable-length integer (RFC 9000 section 16). n is the octets
// it took, 0 if b ends inside.
func varint(b []byte) (v uint64, n int) {
	if len(b) == 0 {
		return 0, 0
	}
	n = 1 << (b[0] >> 6)
	if len(b) < n {
		return 0, 0
	}
	switch n {
	case 1:
		v = uint64(b[0] & 0x3f)
	case 2:
		v = uint64(binary.BigEndian.Uint16(b) & 0x3fff)
	case 4:
		v = uint64(binary.BigEndian.Uint32(b) & 0x3fffffff)
	default:
		v = binary.BigEndian.Uint64(b) & 0x3fffffffffffffff
	}
	return v, n
}

// parse reads the long header at the start of b. It is false where b ends
// inside the header, or a length in it contradicts the version. A packet of a
// version that is not known takes the whole datagram.
func (h *header) parse(b []byte) bool {
	*h = header{}
	if len(b) < 7 || b[0]&0x80 == 0 {
		return false
	}
	h.version = binary.BigEndian.Uint32(b[1:])
	var ok bool
	at := 5
	if h.dcid, at, ok = cid(b, at); !ok {
		return false
	}
	if h.scid, at, ok = cid(b, at); !ok {
		return false
	}
	h.pn, h.end = at, len(b)
	if h.version == 0 {
		h.kind = negotiation
		return true
	}
	p := protectionOf(h.version)
	if p == nil {
		return true
	}
	if len(h.dcid) > maxCID || len(h.scid) > maxCID {
		return false
	}
	h.kind = p.kind(b[0])
	switch h.kind {
	case retry:
		if len(b)-at < retryTag {
			return false
		}
		h.token = b[at : len(b)-retryTag]
		return true
	case initial:
		size, n := varint(b[at:])
		if n == 0 || size > uint64(len(b)-at-n) {
			return false
		}
		at += n
		h.token = b[at : at+int(size)]
		at += int(size)
	}
	size, n := varint(b[at:])
	if n == 0 || size < minProtected || size > 0xffff {
		return false
	}
	h.pn = at + n
	h.end = h.pn + int(size)
	return true
}

// hasLength tells the packets whose end is not simply that of the datagram.
func (h *header) hasLength() bool {
	return h.kind == initial || h.kind == zeroRTT || h.kind == handshake
}

// cid reads a connection id with its length in front.
func cid(b []byte, at int) (id []byte, next int, ok bool) {
	if at >= len(b) {
		return nil, 0, false
	}
	next = at + 1 + int(b[at])
	if next > len(b) {
		return nil, 0, false
	}
	return b[at+1 : next], next, true
}

// reserved tells the versions that are only there to be refused (RFC 9000
// section 15).
func reserved(version uint32) bool { return version&0x0f0f0f0f == 0x0a0a0a0a }

// Probe tells whether a datagram begins a flow of QUIC, whatever its ports: a
// packet with a long header of a version known here whose lengths fit the
// datagram, a Version Negotiation packet, or a client's packet of a version
// that is reserved for being refused, which fills a datagram of at least 1200
// octets. b may be cut behind the first header.
func Probe(b []byte) bool {
	var h header
	if !h.parse(b) {
		return false
	}
	switch h.kind {
	case negotiation:
		return probeNegotiation(b, &h)
	case unknownKind:
		// The fixed bit and the type are those of version 1.
		return b[0]&0xf0 == 0xc0 && reserved(h.version) && len(b) >= minDatagram &&
			len(h.dcid) >= minDCID && len(h.dcid) <= maxCID && len(h.scid) <= maxCID
	}
	if b[0]&0x40 == 0 || len(h.dcid)+len(h.scid) == 0 {
		return false
	}
	if h.kind == zeroRTT && len(h.dcid) < minDCID || h.kind == retry && len(h.token) == 0 {
		return false
	}
	// What follows in the datagram is a packet again, or padding.
	return h.end >= len(b) || b[h.end] == 0 || b[h.end]&0xc0 != 0
}

// probeNegotiation wants a list of versions, one of them known or reserved, and
// nothing else (RFC 9000 section 17.2.1).
func probeNegotiation(b []byte, h *header) bool {
	list := b[h.pn:]
	if len(list) == 0 || len(list)%4 != 0 || len(list) > 4*maxVersions || len(h.dcid)+len(h.scid) == 0 ||
		len(h.dcid) > maxCID || len(h.scid) > maxCID {
		return false
	}
	for ; len(list) > 0; list = list[4:] {
		if v := binary.BigEndian.Uint32(list); protectionOf(v) != nil || reserved(v) {
			return true
		}
	}
	return false
}
