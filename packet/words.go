package packet

import (
	"encoding/binary"
	"math/bits"
)

// Words is what is asked of every packet of TCP in IPv4 first, put together from its
// other fields: which flow it is of, and what of its headers tells it from others. It
// is zero for all other packets.
type Words struct {
	// Hosts are the addresses, each as its octets are loaded as little-endian. The lower
	// half has that of the lower end; ends are ordered by address and port, as numbers.
	Hosts uint64
	// Ends are the ports, the lower end's first, 16 bits each, and above them ProtoTCP.
	Ends uint64
	// Head has IPID, above it TCP.Window and TCP.Flags, 16 bits each, then WordUpper and
	// WordTCP4, and in the highest octet what keeps the packet from being plain: 0 if it
	// neither begins nor ends a connection, its header is whole, and no router has
	// marked it (RFC 3168).
	Head uint64
}

const (
	WordUpper    = 1 << 48 // the upper end has sent it
	WordTCP4     = 1 << 49 // set in all
	WordOddShift = 56      // what is above is 0 in plain ones

	oddFlags  = SYN | FIN | RST
	oddMarked = 1 << 3
	oddCut    = 1 << 4
)

// SetWords sets Words by the other fields, as Decode does.
func (p *Packet) SetWords() {
	p.Words = Words{}
	if p.Version != 4 || p.Proto != ProtoTCP || p.Kind != 0 {
		return
	}
	odd := uint64(p.TCP.Flags & oddFlags)
	if p.TOS&3 == 3 {
		odd |= oddMarked
	}
	if p.Flags&(HeaderCut|BadHeader) != 0 {
		odd |= oddCut
	}
	head := uint64(p.IPID) | uint64(p.TCP.Window)<<16 | uint64(p.TCP.Flags)<<32
	hosts := uint64(binary.LittleEndian.Uint32(p.Src[12:])) | uint64(binary.LittleEndian.Uint32(p.Dst[12:]))<<32
	p.Words.set(hosts, uint32(p.SrcPort)|uint32(p.DstPort)<<16, head, odd)
}

// set puts together what a packet says, but for the order of its ends; the source is in
// the lower halves.
func (w *Words) set(hosts uint64, ports uint32, head, odd uint64) {
	// No branch here depends on the direction: nobody can guess that of the next packet.
	ordered := bits.ReverseBytes64(hosts)
	swapped := bits.RotateLeft64(ordered, 32)
	upper := uint64(0)
	if swapped < ordered {
		upper = 1
	}
	if swapped == ordered && ports>>16 < ports&0xffff {
		upper = 1
	}
	w.Hosts = bits.RotateLeft64(hosts, int(upper<<5))
	w.Ends = uint64(bits.RotateLeft32(ports, int(upper<<4))) | ProtoTCP<<32
	w.Head = head | upper<<48 | WordTCP4 | odd<<WordOddShift
}
