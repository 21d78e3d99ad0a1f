package flow

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/bits"
	"unsafe"

	"mirrorscope/packet"
)

// Key identifies a flow: observation point, network, and the innermost
// 5-tuple with its ends in a fixed order, so that both directions have the
// same key. It holds no pointers.
type Key struct {
	A, B         packet.Addr // A:PortA ≤ B:PortB
	PortA, PortB uint16
	Proto        uint8
	Kind         uint8 // packet.ICMPEcho, ICMPOther, or 0
	_            [2]uint8
	Point        packet.PointID
	Network      packet.NetworkID
}

// keyOf gives the key of a packet and its direction: 0 from A to B, 1 from B
// to A.
func keyOf(p *packet.Packet) (k Key, dir int) {
	dir = k.of(p)
	return k, dir
}

// of sets the key of a packet and gives its direction.
func (k *Key) of(p *packet.Packet) int {
	k.Proto, k.Kind, k.Point, k.Network = p.Proto, p.Kind, p.Point, p.Network
	return k.setEnds(&p.Src, &p.Dst, p.SrcPort, p.DstPort)
}

// order puts the ends in order and tells whether they were swapped.
func (k *Key) order() int {
	a, b := k.A, k.B
	return k.setEnds(&a, &b, k.PortA, k.PortB)
}

// setEnds sets the ends, in order, and tells whether they were swapped. It has no
// branches: nobody can guess the direction of the next packet.
func (k *Key) setEnds(a, b *packet.Addr, portA, portB uint16) int {
	a0, a1, b0, b1 := word(a[:8]), word(a[8:]), word(b[:8]), word(b[8:])
	// Whether b - a is negative, as numbers of 144 bits.
	_, less := bits.Sub64(uint64(portB), uint64(portA), 0)
	_, less = bits.Sub64(bits.ReverseBytes64(b1), bits.ReverseBytes64(a1), less)
	_, less = bits.Sub64(bits.ReverseBytes64(b0), bits.ReverseBytes64(a0), less)
	swap := -less
	x0, x1, x := (a0^b0)&swap, (a1^b1)&swap, (portA^portB)&uint16(swap)
	setWord(k.A[:8], a0^x0)
	setWord(k.A[8:], a1^x1)
	setWord(k.B[:8], b0^x0)
	setWord(k.B[8:], b1^x1)
	k.PortA, k.PortB = portA^x, portB^x
	return int(less)
}

// pair gives the hosts, which are in order.
func (k *Key) pair() pair { return pair{a: k.A, b: k.B, point: k.Point, network: k.Network} }

// equal compares word by word.
func (k *Key) equal(l *Key) bool {
	a, b := (*[6]uint64)(unsafe.Pointer(k)), (*[6]uint64)(unsafe.Pointer(l))
	return (a[0]^b[0])|(a[1]^b[1])|(a[2]^b[2])|(a[3]^b[3])|(a[4]^b[4])|(a[5]^b[5]) == 0
}

// compare orders keys for the output.
func (k *Key) compare(l *Key) int {
	switch {
	case k.A != l.A:
		return bytes.Compare(k.A[:], l.A[:])
	case k.B != l.B:
		return bytes.Compare(k.B[:], l.B[:])
	case k.PortA != l.PortA:
		return int(k.PortA) - int(l.PortA)
	case k.PortB != l.PortB:
		return int(k.PortB) - int(l.PortB)
	case k.Proto != l.Proto:
		return int(k.Proto) - int(l.Proto)
	case k.Kind != l.Kind:
		return int(k.Kind) - int(l.Kind)
	case k.Point != l.Point:
		return cmp.Compare(k.Point, l.Point)
	}
	return cmp.Compare(k.Network, l.Network)
}

func word(b []byte) uint64 { return binary.LittleEndian.Uint64(b) }

func setWord(b []byte, w uint64) { binary.LittleEndian.PutUint64(b, w) }
