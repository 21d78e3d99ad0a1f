package flow

import (
	"bytes"
	"encoding/binary"

	"mirrorscope/packet"
)

// proof of a role by what only one role sends.
type proof struct {
	source DirectionSource // DirUnknown: none
	client bool            // the sender is the client
}

// maxProofPackets per direction are looked at for a proof.
const maxProofPackets = 256

// payloadRole looks for a proof in a packet's payload. The order of SSH
// banners, and who sent first, prove nothing.
func payloadRole(f *Flow, p *packet.Packet) proof {
	switch p.Proto {
	case packet.ProtoICMP:
		if p.Kind == packet.ICMPEcho {
			return proof{DirApp, p.ICMPType != 0 && p.ICMPType != 14 && p.ICMPType != 16} // RFC 792: the replies
		}
	case packet.ProtoICMPv6:
		if p.Kind == packet.ICMPEcho {
			return proof{DirApp, p.ICMPType != 129} // RFC 4443 section 4.2
		}
	}
	b := p.Payload
	if len(b) < 4 || f.sent[0].packets > maxProofPackets && f.sent[1].packets > maxProofPackets {
		return proof{}
	}
	switch p.Proto {
	case packet.ProtoTCP:
		return tcpRole(p, b)
	case packet.ProtoUDP:
		return udpRole(f, p, b)
	}
	return proof{}
}

func tcpRole(p *packet.Packet, b []byte) proof {
	// TLS record of type handshake (RFC 8446 section 5.1) with a hello in it.
	if b[0] == 22 && b[1] == 3 && len(b) > 5 {
		switch b[5] {
		case 1:
			return proof{DirTLS, true}
		case 2:
			return proof{DirTLS, false}
		}
	}
	switch {
	case bytes.HasPrefix(b, []byte("HTTP/1.")):
		return proof{DirApp, false}
	case httpRequest(b):
		return proof{DirApp, true}
	case bytes.HasPrefix(b, []byte("220 ")) || bytes.HasPrefix(b, []byte("220-")), // RFC 5321, RFC 959
		bytes.HasPrefix(b, []byte("* OK")), // RFC 9051
		bytes.HasPrefix(b, []byte("+OK ")): // RFC 1939
		return proof{DirApp, false}
	}
	if (p.SrcPort == 53 || p.DstPort == 53) && len(b) >= 14 && int(binary.BigEndian.Uint16(b))+2 >= 14 {
		return dnsRole(b[2:]) // RFC 7766: two octets of length in front
	}
	return proof{}
}

// methods of HTTP (RFC 9110 section 9.3, RFC 5789) and the HTTP/2 preface (RFC
// 9113 section 3.4).
var methods = [...]string{"GET ", "POST ", "HEAD ", "PUT ", "DELETE ", "OPTIONS ", "PATCH ", "CONNECT ", "TRACE ", "PRI * HTTP/2.0"}

func httpRequest(b []byte) bool {
	if b[0] < 'C' || b[0] > 'T' {
		return false
	}
	for _, m := range methods {
		if len(b) > len(m) && string(b[:len(m)]) == m {
			return m[0] == 'P' && m[1] == 'R' || b[len(m)] == '/' || b[len(m)] == '*' || bytes.Contains(b[:min(len(b), 512)], []byte(" HTTP/1."))
		}
	}
	return false
}

func udpRole(f *Flow, p *packet.Packet, b []byte) proof {
	if dnsPort(p.SrcPort) || dnsPort(p.DstPort) {
		if len(b) >= 12 {
			return dnsRole(b)
		}
		return proof{}
	}
	if dtlsHello(b) {
		return proof{DirTLS, true}
	}
	return quicRole(f, b)
}

// dtlsHello: a DTLS record with a ClientHello (RFC 6347 section 4).
func dtlsHello(b []byte) bool {
	return len(b) > 25 && b[0] == 22 && b[1] == 0xfe && b[2] >= 0xfd && b[3] == 0 && b[4] == 0 && b[13] == 1
}

// dnsRole reads the QR bit of a header that is plausible (RFC 1035 section
// 4.1.1): an opcode in use, and at least one question or answer.
func dnsRole(b []byte) proof {
	opcode := b[2] >> 3 & 15
	if opcode > 6 || binary.BigEndian.Uint16(b[4:])+binary.BigEndian.Uint16(b[6:]) == 0 {
		return proof{}
	}
	return proof{DirApp, b[2]&0x80 == 0}
}

// quicRole: the first packet of a flow is a QUIC Initial of a version in use,
// in a datagram of at least 1200 octets with a destination connection id of at
// least 8 (RFC 9000 sections 7.2 and 14.1, RFC 9369): a client's.
func quicRole(f *Flow, b []byte) proof {
	if len(b) < 6 || b[0]&0xc0 != 0xc0 || f.packets() != 1 {
		return proof{}
	}
	kind := b[0] >> 4 & 3
	switch binary.BigEndian.Uint32(b[1:]) {
	case 1:
		if kind != 0 {
			return proof{}
		}
	case 0x6b3343cf:
		if kind != 1 {
			return proof{}
		}
	default:
		return proof{}
	}
	if len(b) < 1200 || b[5] < 8 || b[5] > 20 {
		return proof{}
	}
	return proof{DirApp, true}
}
