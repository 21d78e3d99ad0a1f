package pcapgen

import "encoding/binary"

// LinuxSLL is the header of link type 113, Linux cooked capture v1.
type LinuxSLL struct {
	PacketType uint16 // 0 to us … 4 from us
	ARPHRD     uint16 // 0: 1, Ethernet
	Addr       MAC
	Protocol   uint16 // 0: by the next layer
}

func (l LinuxSLL) build(e env) []byte {
	h := be.AppendUint16(nil, l.PacketType)
	h = be.AppendUint16(h, or(l.ARPHRD, 1))
	h = be.AppendUint16(h, 6)
	h = append(h, l.Addr[:]...)
	h = append(h, 0, 0)
	return e.prepend(be.AppendUint16(h, typeOr(l.Protocol, e)))
}

// SLL2 is the header of link type 276, Linux cooked capture v2.
type SLL2 struct {
	PacketType uint8
	ARPHRD     uint16 // 0: 1, Ethernet
	Interface  uint32 // index
	Addr       MAC
	Protocol   uint16 // 0: by the next layer
}

func (l SLL2) build(e env) []byte {
	h := be.AppendUint16(nil, typeOr(l.Protocol, e))
	h = append(h, 0, 0)
	h = be.AppendUint32(h, l.Interface)
	h = be.AppendUint16(h, or(l.ARPHRD, 1))
	h = append(h, l.PacketType, 6)
	h = append(h, l.Addr[:]...)
	return e.prepend(append(h, 0, 0))
}

// Null is the header of link type 0, BSD loopback: the address family in the
// byte order of the system that wrote it.
type Null struct {
	BigEndian bool
	Family    uint32 // 0: 2 for IPv4, Inet6 for IPv6
	Inet6     uint32 // 0: 30 (Darwin); 24 NetBSD and OpenBSD, 28 FreeBSD, 10 Linux
}

func (l Null) build(e env) []byte {
	f := or(l.Family, familyOf(e.next, or(l.Inet6, 30)))
	if l.BigEndian {
		return e.prepend(be.AppendUint32(nil, f))
	}
	return e.prepend(binary.LittleEndian.AppendUint32(nil, f))
}

// Loop is the header of link type 108, OpenBSD loopback: network byte order.
type Loop struct {
	Family uint32 // 0: 2 for IPv4, 24 for IPv6
}

func (l Loop) build(e env) []byte {
	return e.prepend(be.AppendUint32(nil, or(l.Family, familyOf(e.next, 24))))
}

// NFLOG is the header of link type 239: netfilter's log message. The packet
// stands in the payload TLV, behind a packet header TLV and a prefix.
type NFLOG struct {
	Family uint8 // 0: 2 for IPv4, 10 for IPv6
	Group  uint16
	Prefix string
}

// TLV types of NFLOG (nfnetlink_log.h). TLVs are in host order: here that of a
// little-endian machine.
const (
	nfulaPacketHeader = 1
	nfulaPayload      = 9
	nfulaPrefix       = 10
)

func (l NFLOG) build(e env) []byte {
	h := []byte{or(l.Family, uint8(familyOf(e.next, 10))), 0}
	h = be.AppendUint16(h, l.Group)
	h = appendNFTLV(h, nfulaPacketHeader, []byte{0, 0, 3, 0})
	h = appendNFTLV(h, nfulaPrefix, append([]byte(l.Prefix), 0))
	return appendNFTLV(h, nfulaPayload, e.payload)
}

func appendNFTLV(b []byte, typ uint16, v []byte) []byte {
	b = binary.LittleEndian.AppendUint16(b, uint16(4+len(v)))
	b = binary.LittleEndian.AppendUint16(b, typ)
	b = append(b, v...)
	for len(b)%4 != 0 { // header and all TLVs before are multiples of 4
		b = append(b, 0)
	}
	return b
}
