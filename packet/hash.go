package packet

import (
	"encoding/binary"
	"math/bits"
)

// SymmetricHash hashes a 5-tuple so that both directions of a conversation
// give the same value. It is unkeyed and the same on every machine: it decides
// the partition, never a security property. kind is Packet.Kind.
func SymmetricHash(a, b *Addr, aPort, bPort uint16, proto, kind uint8) uint64 {
	x := mix(binary.LittleEndian.Uint64(a[:8]), binary.LittleEndian.Uint64(a[8:]), uint64(aPort))
	y := mix(binary.LittleEndian.Uint64(b[:8]), binary.LittleEndian.Uint64(b[8:]), uint64(bPort))
	return combine(x, y, proto, kind)
}

func combine(x, y uint64, proto, kind uint8) uint64 {
	// Sum and product-free combination are symmetric; equal ends do not cancel.
	s := x + y
	d := x ^ y
	hi, lo := bits.Mul64(s^0x9e3779b97f4a7c15, bits.RotateLeft64(d, 32)^0xd6e8feb86659fd93^uint64(proto)<<8^uint64(kind))
	return hi ^ lo
}

func mix(a, b, c uint64) uint64 {
	hi, lo := bits.Mul64(a^0xa0761d6478bd642f, b^0xe7037ed1a0b428db^c<<48^c)
	h := hi ^ lo
	hi, lo = bits.Mul64(h^0x8ebc6af09c88c6e3, c^0x589965cc75374cc3)
	return hi ^ lo ^ h
}

// mix4 is mix of a mapped IPv4 address, loaded as little-endian.
func mix4(ip uint32, c uint64) uint64 { return mix(0, 0xffff_0000|uint64(ip)<<32, c) }
