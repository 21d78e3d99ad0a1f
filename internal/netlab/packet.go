package netlab

import (
	"encoding/binary"
	"net/netip"
)

// TCP flags.
const (
	fin = 1 << iota
	syn
	rst
	psh
	ack
)

// header is what the lab reads of a frame that a kernel sent.
type header struct {
	src, dst netip.AddrPort
	seq, ack uint32
	flags    uint8
	window   uint16
	payload  int // octets
	dataAt   int // offset of the payload in the frame
	ttlAt    int // offset of the TTL or hop limit in the frame
	v6       bool
}

const ethernetSize = 14

// parse reads an Ethernet frame with TCP over IPv4, or over IPv6 without
// extension headers. Hosts of the lab send nothing else over TCP.
func parse(frame []byte) (h header, ok bool) {
	if len(frame) < ethernetSize+20 {
		return h, false
	}
	ip := frame[ethernetSize:]
	var segment []byte
	var segmentAt int // in the frame
	switch binary.BigEndian.Uint16(frame[12:]) {
	case 0x0800:
		size := int(ip[0]&15) * 4
		total := int(binary.BigEndian.Uint16(ip[2:]))
		if ip[9] != 6 || size < 20 || total < size || total > len(ip) {
			return h, false
		}
		h.src, h.dst = endpoint(ip[12:16]), endpoint(ip[16:20])
		h.ttlAt = ethernetSize + 8
		segment, segmentAt = ip[size:total], ethernetSize+size
	case 0x86dd:
		if len(ip) < 40 || ip[6] != 6 {
			return h, false
		}
		total := 40 + int(binary.BigEndian.Uint16(ip[4:]))
		if total > len(ip) {
			return h, false
		}
		h.v6 = true
		h.src, h.dst = endpoint(ip[8:24]), endpoint(ip[24:40])
		h.ttlAt = ethernetSize + 7
		segment, segmentAt = ip[40:total], ethernetSize+40
	default:
		return h, false
	}
	if len(segment) < 20 {
		return h, false
	}
	size := int(segment[12]>>4) * 4
	if size < 20 || size > len(segment) {
		return h, false
	}
	h.src = netip.AddrPortFrom(h.src.Addr(), binary.BigEndian.Uint16(segment))
	h.dst = netip.AddrPortFrom(h.dst.Addr(), binary.BigEndian.Uint16(segment[2:]))
	h.seq = binary.BigEndian.Uint32(segment[4:])
	h.ack = binary.BigEndian.Uint32(segment[8:])
	h.flags = segment[13]
	h.window = binary.BigEndian.Uint16(segment[14:])
	h.payload = len(segment) - size
	h.dataAt = segmentAt + size
	return h, true
}

func endpoint(b []byte) netip.AddrPort {
	a, _ := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a, 0)
}

// space is the sequence space the segment occupies.
func (h *header) space() int64 {
	n := int64(h.payload)
	if h.flags&syn != 0 {
		n++
	}
	if h.flags&fin != 0 {
		n++
	}
	return n
}

// Kind says what a packet is for the sender's count of packets.
type Kind uint8

const (
	SYN    Kind = iota // without ACK
	SYNACK             //
	Data               // any payload after the handshake; a FIN may ride on it
	FIN                // without payload
	RST                //
	Probe              // no payload, one octet before what was sent: keep-alive and window probe
	ACK                // all else
	numKinds
)

func (k Kind) String() string {
	return [...]string{"syn", "synack", "data", "fin", "rst", "probe", "ack"}[k]
}

// MarshalText writes the kind's name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

func (h *header) kind() Kind {
	switch {
	case h.flags&rst != 0:
		return RST
	case h.flags&(syn|ack) == syn|ack:
		return SYNACK
	case h.flags&syn != 0:
		return SYN
	case h.payload > 0:
		return Data
	case h.flags&fin != 0:
		return FIN
	}
	return ACK
}

// decrementTTL is what a router does to a packet: one less, and the IPv4
// header checksum adjusted (RFC 1624).
func decrementTTL(frame []byte, h *header) {
	frame[h.ttlAt]--
	if h.v6 {
		return
	}
	sum := frame[ethernetSize+10 : ethernetSize+12]
	c := uint32(^binary.BigEndian.Uint16(sum)) + 0xffff - 0x0100 // one's complement: minus 0x0100
	c = c&0xffff + c>>16
	binary.BigEndian.PutUint16(sum, ^uint16(c))
}
