package pcapgen

// ICMP types and codes used here (RFC 792).
const (
	EchoReply       = 0
	Unreachable     = 3
	EchoRequest     = 8
	TimeExceeded    = 11
	HostUnreachable = 1 // code of Unreachable
	PortUnreachable = 3 // code of Unreachable
	FragNeeded      = 4 // code of Unreachable; Seq is the next hop's MTU
)

// ICMPv6 types used here (RFC 4443).
const (
	Unreachable6  = 1
	PacketTooBig6 = 2 // ID and Seq are the MTU
	TimeExceeded6 = 3
	EchoRequest6  = 128
	EchoReply6    = 129
)

// ICMP is an ICMP header of 8 octets (RFC 792): an echo, or an error with the
// packet it quotes as Payload (see Quote).
type ICMP struct {
	Type, Code uint8
	ID, Seq    uint16 // octets 4 to 7
	Checksum   *uint16
}

func (l ICMP) build(e env) []byte {
	b := e.prepend(icmpHeader(l.Type, l.Code, l.ID, l.Seq))
	be.PutUint16(b[2:], override(l.Checksum, ^fold(sum(0, b))))
	return b
}

// ICMPv6 is the same for IPv6, with a pseudo-header in the checksum (RFC 4443).
type ICMPv6 ICMP

func (l ICMPv6) build(e env) []byte {
	b := e.prepend(icmpHeader(l.Type, l.Code, l.ID, l.Seq))
	s, _ := e.pseudo(58, len(b))
	be.PutUint16(b[2:], override(l.Checksum, ^fold(sum(s, b))))
	return b
}

func icmpHeader(typ, code uint8, id, seq uint16) []byte {
	return be.AppendUint16(be.AppendUint16([]byte{typ, code, 0, 0}, id), seq)
}

// Quote gives the part of an IPv4 packet that an ICMP error quotes at least:
// the header and 8 octets (RFC 792).
func Quote(packet []byte) Payload {
	n := int(packet[0]&15)*4 + 8
	return Payload(packet[:min(n, len(packet))])
}
