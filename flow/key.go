package flow

import (
	"bytes"
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
func keyOf(p *packet.Packet) (Key, int) {
	k := Key{
		A: p.Src, B: p.Dst, PortA: p.SrcPort, PortB: p.DstPort, Proto: p.Proto, Kind: p.Kind, Point: p.Point, Network: p.Network,
	}
	return k, k.order()
}

// equal compares word by word.
func (k *Key) equal(l *Key) bool {
	a, b := (*[6]uint64)(unsafe.Pointer(k)), (*[6]uint64)(unsafe.Pointer(l))
	return (a[0]^b[0])|(a[1]^b[1])|(a[2]^b[2])|(a[3]^b[3])|(a[4]^b[4])|(a[5]^b[5]) == 0
}

// order puts the ends in order and tells whether they were swapped.
func (k *Key) order() int {
	c := bytes.Compare(k.A[:], k.B[:])
	if c < 0 || c == 0 && k.PortA <= k.PortB {
		return 0
	}
	k.A, k.B = k.B, k.A
	k.PortA, k.PortB = k.PortB, k.PortA
	return 1
}

// compare orders keys for the output.
func (k *Key) compare(l *Key) int {
	for _, c := range [...]int{
		bytes.Compare(k.A[:], l.A[:]), bytes.Compare(k.B[:], l.B[:]), int(k.PortA) - int(l.PortA), int(k.PortB) - int(l.PortB),
		int(k.Proto) - int(l.Proto), int(k.Kind) - int(l.Kind), int(k.Point) - int(l.Point), int(k.Network) - int(l.Network),
	} {
		if c != 0 {
			return c
		}
	}
	return 0
}
