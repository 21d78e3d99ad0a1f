package tlsmeta

import "encoding/binary"

// versionSSLv2 is what the hellos of SSL 2.0 have as version.
const versionSSLv2 = 0x0002

// IsSSLv2Hello tells whether b begins a CLIENT-HELLO in the form of SSLv2 (RFC
// 5246 appendix E.2), which may offer SSL 2.0 itself or up to TLS 1.2. It needs
// 11 octets.
func IsSSLv2Hello(b []byte) bool { return MatchSSLv2Hello(b) == MatchYes }

// MatchSSLv2Hello is IsSSLv2Hello for octets that may go on.
func MatchSSLv2Hello(b []byte) Match {
	if len(b) > 0 && b[0]&0x80 == 0 || len(b) > 2 && b[2] != msgClientHello {
		return MatchNo
	}
	if len(b) > 4 {
		if v := binary.BigEndian.Uint16(b[3:]); v != versionSSLv2 && (v < 0x0300 || v > 0x0303) {
			return MatchNo
		}
	}
	if len(b) < 11 {
		return MatchMore
	}
	kinds, session, challenge := sslv2Lengths(b[5:])
	if kinds == 0 || kinds%3 != 0 || session != 0 && session != 16 || challenge < 16 || challenge > 32 ||
		9+kinds+session+challenge != sslv2Record(b) {
		return MatchNo
	}
	return MatchYes
}

// sslv2Record is the length of a record with a header of two octets.
func sslv2Record(b []byte) int { return int(binary.BigEndian.Uint16(b) & 0x7fff) }

// sslv2Lengths reads three 16-bit lengths.
func sslv2Lengths(b []byte) (x, y, z int) {
	return int(binary.BigEndian.Uint16(b)), int(binary.BigEndian.Uint16(b[2:])), int(binary.BigEndian.Uint16(b[4:]))
}

// ParseSSLv2Hello reads a record with an SSLv2 CLIENT-HELLO into h, which is
// overwritten and whose slices alias b. n is the octets of the record with its
// header. The error is ErrShort if b ends inside it and ErrMalformed if it is
// something else.
func ParseSSLv2Hello(b []byte, h *ClientHello) (n int, err error) {
	switch MatchSSLv2Hello(b) {
	case MatchNo:
		return 0, ErrMalformed
	case MatchMore:
		return 0, ErrShort
	}
	if n = 2 + sslv2Record(b); n > len(b) {
		return 0, ErrShort
	}
	kinds, session, _ := sslv2Lengths(b[5:])
	body := b[11:n]
	*h = ClientHello{
		SSLv2:       true,
		Version:     binary.BigEndian.Uint16(b[3:]),
		CipherKinds: body[:kinds],
		SessionID:   body[kinds : kinds+session],
		Random:      body[kinds+session:],
	}
	return n, nil
}

// ParseSSLv2ServerHello reads a record with the SERVER-HELLO of SSL 2.0 into h;
// n, err and the memory are as with ParseSSLv2Hello. The cipher is chosen by
// the client later.
func ParseSSLv2ServerHello(b []byte, h *ServerHello) (n int, err error) {
	if len(b) > 0 && b[0]&0x80 == 0 || len(b) > 2 && b[2] != 4 || len(b) > 3 && b[3] > 1 {
		return 0, ErrMalformed
	}
	if len(b) < 13 {
		return 0, ErrShort
	}
	certificate, kinds, id := sslv2Lengths(b[7:])
	if binary.BigEndian.Uint16(b[5:]) != versionSSLv2 || kinds%3 != 0 || id > 32 || 11+certificate+kinds+id != sslv2Record(b) {
		return 0, ErrMalformed
	}
	if n = 2 + sslv2Record(b); n > len(b) {
		return 0, ErrShort
	}
	*h = ServerHello{
		LegacyVersion: versionSSLv2,
		Version:       versionSSLv2,
		SessionHit:    b[3] == 1,
		Certificate:   b[13 : 13+certificate],
		Random:        b[13+certificate+kinds : n], // the connection id
	}
	return n, nil
}
