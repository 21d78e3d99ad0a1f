package tlsmeta

import "encoding/binary"

// Content types of records that only DTLS has.
const (
	typeCID = 25 // RFC 9146: the type is encrypted
	typeACK = 26 // RFC 9147 section 7
)

// dtlsRecord is one record of a datagram. Its body aliases it.
type dtlsRecord struct {
	typ     uint8 // 0 with a unified header, where it is encrypted
	epoch   uint16
	unified bool // DTLS 1.3; of the epoch only the two low bits are known
	body    []byte
}

// nextDTLS splits the first record off a datagram: with the header of RFC 6347
// section 4.1, that of RFC 9146 section 4, or the unified one of RFC 9147 section
// 4. cid is the length of the connection id in this direction, -1 where it is not
// known: a record that has one goes to the end of the datagram then, for where
// its length stands is not known. It is false where there is no record.
func nextDTLS(b []byte, cid int) (r dtlsRecord, rest []byte, ok bool) {
	if len(b) > 0 && b[0]>>5 == 1 {
		return nextUnified(b, cid)
	}
	if len(b) < 13 || b[0] < typeCCS || b[0] > typeACK || !isDTLSVersion(binary.BigEndian.Uint16(b[1:])) {
		return r, nil, false
	}
	r.typ, r.epoch = b[0], binary.BigEndian.Uint16(b[3:])
	at := 11
	if r.typ == typeCID {
		if cid < 0 {
			r.body = b[at:]
			return r, nil, true
		}
		at += cid
	}
	return r.split(b, at)
}

// nextUnified is nextDTLS for the header 001CSLEE.
func nextUnified(b []byte, cid int) (r dtlsRecord, rest []byte, ok bool) {
	r.unified, r.epoch = true, uint16(b[0]&3)
	at := 2
	if b[0]&8 != 0 { // 16-bit sequence number
		at++
	}
	if b[0]&16 != 0 { // connection id
		if cid < 0 {
			r.body = b[1:]
			return r, nil, true
		}
		at += cid
	}
	if b[0]&4 != 0 { // length
		return r.split(b, at)
	}
	if at > len(b) {
		return r, nil, false
	}
	r.body = b[at:]
	return r, nil, true
}

// split cuts the body out, behind its length at a position.
func (r dtlsRecord) split(b []byte, at int) (dtlsRecord, []byte, bool) {
	if len(b) < at+2 {
		return r, nil, false
	}
	end := at + 2 + int(binary.BigEndian.Uint16(b[at:]))
	if end > len(b) {
		return r, nil, false
	}
	r.body = b[at+2 : end]
	return r, b[end:], true
}

// isDTLSVersion tells whether a record may have this version: DTLS 1.0 or 1.2,
// which 1.3 has, too, or 1.0 as OpenSSL had it before the RFC.
func isDTLSVersion(v uint16) bool { return v == 0xfeff || v == 0xfefd || v == 0x0100 }

// fragment is a part of a handshake message (RFC 6347 section 4.2.2).
type fragment struct {
	typ           uint8
	seq           uint16 // of the message
	total, offset int
	body          []byte
}

// nextFragment splits the first fragment off a record.
func nextFragment(b []byte) (f fragment, rest []byte, ok bool) {
	if len(b) < 12 {
		return f, nil, false
	}
	f.typ = b[0]
	f.total = int(binary.BigEndian.Uint32(b) & 0xffffff)
	f.seq = binary.BigEndian.Uint16(b[4:])
	f.offset = int(binary.BigEndian.Uint32(b[5:]) & 0xffffff)
	n := int(binary.BigEndian.Uint32(b[8:]) & 0xffffff)
	if 12+n > len(b) || f.offset+n > f.total {
		return f, nil, false
	}
	f.body = b[12 : 12+n]
	return f, b[12+n:], true
}

// IsDTLS tells whether b, the payload of a datagram, is one or more records of
// DTLS from its first octet to its last, and the first one is such as DTLS sends:
// a handshake message in the clear or what is encrypted later. Datagrams of DTLS
// 1.3 behind its hellos have too little that is fixed, and are not recognised.
func IsDTLS(b []byte) bool {
	r, rest, ok := nextDTLS(b, -1)
	if !ok || r.unified || len(r.body) == 0 {
		return false
	}
	switch {
	case r.typ == typeHandshake && r.epoch == 0:
		f, more, ok := nextFragment(r.body)
		if !ok || f.typ > msgFinished && f.typ != 22 && f.typ != 23 || f.total > maxHello { // 22: RFC 6066, 23: RFC 4680
			return false
		}
		for ok && len(more) > 0 {
			_, more, ok = nextFragment(more)
		}
		if !ok {
			return false
		}
	case r.typ == typeCCS:
		if len(r.body) != 1 && r.epoch == 0 {
			return false
		}
	case r.typ == typeAlert && r.epoch == 0:
		if len(r.body) != 2 || r.body[0] != AlertWarning && r.body[0] != AlertFatal {
			return false
		}
	case r.epoch == 0:
		return false
	}
	for len(rest) > 0 {
		if _, rest, ok = nextDTLS(rest, -1); !ok {
			return false
		}
	}
	return true
}
