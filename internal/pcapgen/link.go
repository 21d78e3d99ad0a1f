package pcapgen

import (
	"encoding/binary"
	"net/netip"
)

var be = binary.BigEndian

// MAC is an Ethernet address.
type MAC [6]byte

// Ethernet is an Ethernet II header, or an 802.3 one where LLC follows: then
// the type field is a length.
type Ethernet struct {
	Dst, Src MAC
	Type     uint16 // 0: by the next layer
	Pad      bool   // pad to the 60 octets that a frame has at least, without FCS
	Trailer  []byte // behind everything (FCS, time stamp trailers)
}

func (l Ethernet) build(e env) []byte {
	h := make([]byte, 14, 14+len(e.payload))
	copy(h, l.Dst[:])
	copy(h[6:], l.Src[:])
	be.PutUint16(h[12:], lengthOrType(l.Type, e))
	h = e.prepend(h)
	if l.Pad && len(h) < 60 {
		h = append(h, make([]byte, 60-len(h))...)
	}
	return append(h, l.Trailer...)
}

// lengthOrType is typeOr for a field that is a length where LLC follows.
func lengthOrType(own uint16, e env) uint16 {
	if _, ok := e.next.(LLC); ok {
		return or(own, uint16(len(e.payload)))
	}
	return typeOr(own, e)
}

// typeOr gives own, or the EtherType of the layer behind where it is 0.
func typeOr(own uint16, e env) uint16 {
	if own != 0 {
		return own
	}
	return etherTypeOf(e.next)
}

// VLAN is one tag (IEEE 802.1Q); the header in front announces it by TPID.
type VLAN struct {
	ID       uint16 // 12 bits
	Priority uint8  // PCP, 3 bits
	DEI      bool
	TPID     uint16 // 0: 0x8100; also 0x88a8 (802.1ad), 0x9100
	Type     uint16 // of what follows; 0: by the next layer
}

func (l VLAN) build(e env) []byte {
	h := make([]byte, 4, 4+len(e.payload))
	tci := uint16(l.Priority)<<13 | l.ID&0xfff
	if l.DEI {
		tci |= 1 << 12
	}
	be.PutUint16(h, tci)
	be.PutUint16(h[2:], lengthOrType(l.Type, e))
	return e.prepend(h)
}

// LLC is an IEEE 802.2 header of 3 octets, with SNAP's 5 behind it where SNAP
// is set: then the next layer is announced by EtherType under the OUI.
type LLC struct {
	DSAP, SSAP, Control uint8 // with SNAP, 0 means aa, aa, 03
	SNAP                bool
	OUI                 [3]byte
	Type                uint16 // with SNAP; 0: by the next layer
}

func (l LLC) build(e env) []byte {
	if !l.SNAP {
		return e.prepend([]byte{l.DSAP, l.SSAP, l.Control})
	}
	h := []byte{or(l.DSAP, 0xaa), or(l.SSAP, 0xaa), or(l.Control, 3), l.OUI[0], l.OUI[1], l.OUI[2]}
	return e.prepend(be.AppendUint16(h, typeOr(l.Type, e)))
}

// CiscoMetadata is the header of EtherType 0x8909 that carries a security
// group tag.
type CiscoMetadata struct {
	SGT  uint16
	Type uint16 // of what follows; 0: by the next layer
}

func (l CiscoMetadata) build(e env) []byte {
	h := []byte{1, 1, 0, 1} // version 1; length 1 (in units of 4 octets); option: length 0, type 1 (SGT)
	h = be.AppendUint16(h, l.SGT)
	return e.prepend(be.AppendUint16(h, typeOr(l.Type, e)))
}

// ARP is an IPv4-over-Ethernet request or reply (RFC 826).
type ARP struct {
	Op                   uint16 // 0: 1, request; 2 reply
	SenderMAC, TargetMAC MAC
	Sender, Target       netip.Addr
}

func (l ARP) build(e env) []byte {
	h := []byte{0, 1, 8, 0, 6, 4}
	h = be.AppendUint16(h, or(l.Op, 1))
	h = append(h, l.SenderMAC[:]...)
	h = append(h, l.Sender.AsSlice()...)
	h = append(h, l.TargetMAC[:]...)
	return e.prepend(append(h, l.Target.AsSlice()...))
}

// MPLS is a label stack (RFC 3032), outermost label first. The bottom bit is
// set on the last entry unless another MPLS layer follows.
type MPLS struct {
	Labels      []uint32 // 20 bits each
	TC          uint8    // traffic class, 3 bits
	TTL         uint8    // 0: 64
	ControlWord bool     // 4 zero octets in front of a pseudowire's frame (RFC 4448)
}

func (l MPLS) build(e env) []byte {
	var h []byte
	_, more := e.next.(MPLS)
	for i, label := range l.Labels {
		entry := label<<12 | uint32(l.TC)<<9 | uint32(or(l.TTL, 64))
		if i == len(l.Labels)-1 && !more {
			entry |= 1 << 8
		}
		h = be.AppendUint32(h, entry)
	}
	if l.ControlWord {
		h = append(h, 0, 0, 0, 0)
	}
	return e.prepend(h)
}

// PPPoE is a session or discovery header (RFC 2516); PPP follows in a session.
type PPPoE struct {
	Session uint16
	Code    uint8 // 0: session data
	Length  *uint16
}

func (l PPPoE) build(e env) []byte {
	h := []byte{0x11, l.Code}
	h = be.AppendUint16(h, l.Session)
	return e.prepend(be.AppendUint16(h, override(l.Length, uint16(len(e.payload)))))
}

// PPP is the protocol field of a PPP frame (RFC 1661), with the address and
// control octets of RFC 1662 where Framed.
type PPP struct {
	Framed     bool
	Compressed bool   // protocol field of one octet (RFC 1661 section 6.5)
	Protocol   uint16 // 0: by the next layer
}

func (l PPP) build(e env) []byte {
	var h []byte
	if l.Framed {
		h = append(h, 0xff, 0x03)
	}
	p := l.Protocol
	if p == 0 {
		p = pppOf(e.next)
	}
	if l.Compressed {
		return e.prepend(append(h, byte(p)))
	}
	return e.prepend(be.AppendUint16(h, p))
}
