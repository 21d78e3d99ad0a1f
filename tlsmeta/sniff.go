package tlsmeta

import "encoding/binary"

// Match is whether octets are what they were compared with.
type Match uint8

const (
	MatchNo   Match = iota
	MatchMore       // so far they are: more octets decide
	MatchYes
)

const (
	maxPlaintext = 1 << 14 // octets of a plaintext record (RFC 8446 section 5.1)
	maxHello     = 1 << 17 // octets of a ClientHello that is believed; hybrid key shares and tickets stay far below
	minHello     = 2 + 32 + 1 + 2 + 2 + 1 + 1
)

// IsClientHello tells whether b begins a TLS record of type handshake with a
// ClientHello in it. It needs 11 octets: record header, handshake header and
// version, or the whole of a shorter record. It is strict enough to find TLS on
// any port.
func IsClientHello(b []byte) bool { return MatchClientHello(b) == MatchYes }

// MatchClientHello is IsClientHello for octets that may go on.
func MatchClientHello(b []byte) Match {
	in := func(i int, low, high byte) bool { return len(b) <= i || low <= b[i] && b[i] <= high }
	if !in(0, typeHandshake, typeHandshake) || !in(1, 3, 3) || !in(2, 0, 4) {
		return MatchNo
	}
	if len(b) < 5 {
		if !in(3, 0, maxPlaintext>>8) {
			return MatchNo
		}
		return MatchMore
	}
	record := int(binary.BigEndian.Uint16(b[3:]))
	if record == 0 || record > maxPlaintext {
		return MatchNo
	}
	b = b[5:]
	if !in(0, msgClientHello, msgClientHello) {
		return MatchNo
	}
	if record < 6 { // a message in small pieces: only the record's octets can be looked at
		b = b[:min(len(b), record)]
	}
	if !in(1, 0, maxHello>>16) || !in(4, 3, 3) || !in(5, 0, 4) {
		return MatchNo
	}
	if len(b) >= 4 {
		if n := int(binary.BigEndian.Uint32(b) & 0xffffff); n < minHello || n > maxHello {
			return MatchNo
		}
	}
	if len(b) < min(record, 6) {
		return MatchMore
	}
	return MatchYes
}
