package flow

import (
	"hash/fnv"
	"math/bits"

	"mirrorscope/packet"
)

// ids gives connections their Record.ID. It is the same in every run: it depends on
// names, not on the numbers that one run gave them. One goroutine owns it.
type ids struct {
	names    *packet.Names
	points   map[packet.PointID]uint64
	networks map[packet.NetworkID]uint64
	latest   placeHash
}

// placeHash is what an id has of an observation point and a network.
type placeHash struct {
	point   packet.PointID
	network packet.NetworkID
	known   bool
	hash    uint64
}

func newIDs(names *packet.Names) ids {
	return ids{names: names, points: make(map[packet.PointID]uint64), networks: make(map[packet.NetworkID]uint64)}
}

func (x *ids) of(k *Key, start int64) uint64 {
	if p := &x.latest; !p.known || p.point != k.Point || p.network != k.Network {
		*p = placeHash{k.Point, k.Network, true, x.place(k)}
	}
	tuple := packet.SymmetricHash(&k.A, &k.B, k.PortA, k.PortB, k.Proto, k.Kind)
	return mix64(mix64(x.latest.hash, tuple^0xe7037ed1a0b428db), uint64(start)^0x589965cc75374cc3)
}

func (x *ids) place(k *Key) uint64 {
	point, ok := x.points[k.Point]
	if !ok {
		point = hashString(x.names.PointName(k.Point))
		x.points[k.Point] = point
	}
	network, ok := x.networks[k.Network]
	if !ok {
		network = hashString(x.names.NetworkName(k.Network))
		x.networks[k.Network] = network
	}
	return point ^ network<<1
}

func mix64(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a^0xa0761d6478bd642f, b)
	return hi ^ lo
}

func hashString(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return h.Sum64()
}
