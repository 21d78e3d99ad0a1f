package dnsmeta

import "encoding/binary"

var be = binary.BigEndian

// Header (RFC 1035 section 4.1.1).
const (
	headerLen = 12
	flagQR    = 0x8000
	flagTC    = 0x0200
	flagRD    = 0x0100
)

// Response codes (RFC 6895 section 2.3).
const (
	rcodeNoError  = 0
	rcodeServFail = 2
	rcodeNXDomain = 3
)

// Record types and classes (RFC 1035 sections 3.2.2 and 3.2.4, RFC 3596, RFC
// 6891).
const (
	typeA     = 1
	typeCNAME = 5
	typeAAAA  = 28
	typeOPT   = 41
	typeANY   = 255
	classIN   = 1
)

// maxRecords bounds the records kept of a message.
const maxRecords = 64

// record is a record of class IN with an address or a CNAME. Offsets are into
// the message.
type record struct {
	owner, data uint16
	typ         uint16
	ttl         uint32 // s
}

// message is what is read of one message. It is reused; b is lent.
type message struct {
	b      []byte
	id     uint16
	flags  uint16
	rcode  uint16 // with the upper bits of EDNS
	counts [4]uint16

	text []byte // of the first question's name; memory of its own
	typ  uint16 // of the first question
	next int    // offset behind what was read last

	answers int      // offset of the answer section
	records []record // of the answers, and of additional records when asked for
}

func (m *message) response() bool { return m.flags&flagQR != 0 }
func (m *message) opcode() uint8  { return uint8(m.flags >> 11 & 15) }

// start reads the header and the first question, if there is one.
func (m *message) start(b []byte) reading {
	if len(b) > 0xffff {
		b = b[:0xffff]
	}
	m.b, m.text, m.typ, m.records, m.answers = b, m.text[:0], 0, m.records[:0], len(b)
	if len(b) < headerLen {
		m.flags = 0
		return short
	}
	m.id, m.flags = be.Uint16(b), be.Uint16(b[2:])
	m.rcode = m.flags & 15
	for i := range m.counts {
		m.counts[i] = be.Uint16(b[4+2*i:])
	}
	if !plausible(b) {
		return bad
	}
	m.next = headerLen
	if m.counts[0] == 0 {
		return whole
	}
	return m.question()
}

// question reads the next question.
func (m *message) question() (r reading) {
	m.text, m.next, r = appendName(m.text[:0], m.b, m.next)
	switch {
	case r != whole:
		m.text = m.text[:0]
		return r
	case m.next+4 > len(m.b):
		m.text = m.text[:0]
		return short
	}
	m.typ = be.Uint16(m.b[m.next:])
	m.next += 4
	return whole
}

// maxCount is more than the records that fit into a message: each has at least
// 11 octets.
const maxCount = 0xffff / 11

// plausible tells whether b may start with a header: an opcode in use (RFC
// 6895 section 2.2), numbers of records that fit, and a question, an answer, or
// an error or truncation that explains why there is none.
func plausible(b []byte) bool {
	if len(b) < headerLen {
		return false
	}
	var n [4]uint16
	for i := range n {
		if n[i] = be.Uint16(b[4+2*i:]); n[i] > maxCount {
			return false
		}
	}
	response := b[2]&0x80 != 0
	switch opcode := b[2] >> 3 & 15; {
	case opcode == 3 || opcode > 6:
		return false
	case response && (b[3]&15 != 0 || b[2]&2 != 0): // an rcode, or TC
		return true
	case opcode == 6:
		return n == [4]uint16{} // RFC 8490 section 5.4
	case opcode == 5:
		return n[0] == 1 || response // RFC 2136 section 2.3
	}
	// A query that asks for nothing but a cookie has an OPT record (RFC 7873
	// section 5.4).
	return n[0] != 0 || n[1] != 0 || n[3] != 0
}

// rest reads the sections of a response behind the first question: the records
// that name addresses, and the extended rcode. additional tells whether
// addresses of additional records count.
func (m *message) rest(additional bool) reading {
	b, off := m.b, m.next
	var r reading
	for i := 1; i < int(m.counts[0]); i++ {
		if off, r = skipName(b, off); r != whole {
			return r
		}
		if off += 4; off > len(b) {
			return short
		}
	}
	m.answers = off
	for section := 1; section < 4; section++ {
		for range m.counts[section] {
			owner := off
			if off, r = skipName(b, off); r != whole {
				return r
			}
			if off+10 > len(b) {
				return short
			}
			typ, class, ttl := be.Uint16(b[off:]), be.Uint16(b[off+2:]), be.Uint32(b[off+4:])
			length := int(be.Uint16(b[off+8:]))
			data := off + 10
			if off = data + length; off > len(b) {
				return short
			}
			if typ == typeOPT && section == 3 {
				m.rcode = m.flags&15 | uint16(ttl>>24)<<4 // RFC 6891 section 6.1.3
				continue
			}
			// The upper bit of the class is mDNS's cache-flush bit.
			if section != 1 && (section != 3 || !additional) || class&0x7fff != classIN || len(m.records) == maxRecords {
				continue
			}
			switch {
			case typ == typeA && length != 4, typ == typeAAAA && length != 16:
				return bad
			case typ == typeA, typ == typeAAAA, typ == typeCNAME:
				if ttl > 1<<31-1 {
					ttl = 0 // RFC 2181 section 8
				}
				m.records = append(m.records, record{uint16(owner), uint16(data), typ, ttl})
			}
		}
	}
	return whole
}
