package flow

import (
	"mirrorscope/packet"
)

// A Watcher compares the flows of one 5-tuple that several points recorded. Most
// connections are recorded at one point, whatever the number of points: of a young
// one that is the only flow of its 5-tuple nobody is told. It is unpaired: found by
// its 5-tuple, until another flow of that turns up at whatever point, or it is no
// longer young. Then it hatches, and the watcher is told of all its packets, late.
// One that ends before was never of interest.

// In the flags of an embryo.
const (
	isUnpaired = 1 << 14
	isQuiet    = 1 << 13 // nothing came since an interval told of it
	toldSYN    = 1 << 12 // an interval told of the SYN alone
)

func (e *embryo) unpaired() bool { return e.flags&isUnpaired != 0 }

// tuple is the hash of the 5-tuple, as Packet.Hash has it.
func (e *embryo) tuple() uint64 {
	src, dst := address(e.src()), address(e.dst())
	return packet.SymmetricHash(&src, &dst, e.srcPort(), e.dstPort(), packet.ProtoTCP, 0)
}

// tupleHash makes a place in the index of unpaired embryos of the hash of a 5-tuple,
// which anyone can tell.
func (t *Table) tupleHash(tuple uint64) uint64 { return fold(tuple^t.secret[2], t.secret[3]|1) }

// meets tells whether a flow of the 5-tuple of a packet is there, for one that is
// about to begin with it: then both are watched from their first packets on.
func (t *Table) meets(p *packet.Packet) bool {
	// Embryos whose hashes are alike in all bits that the index keeps are taken for
	// the same: one is watched for nothing.
	if n := t.unpaired.probable(t.tupleHash(p.Hash)); n != noFlow {
		t.hatch(n|isEmbryo, true)
		return true
	}
	return t.watcher.Watches(p.Hash)
}

// isolate makes a new embryo one that is unpaired.
func (t *Table) isolate(n uint32, e *embryo, p *packet.Packet) {
	e.flags |= isUnpaired
	t.unpaired.insert(t.tupleHash(p.Hash), n&^isEmbryo)
}

// meet takes an embryo out of those that are unpaired.
func (t *Table) meet(n uint32, e *embryo) {
	e.flags &^= isUnpaired
	if t.unpaired.gone {
		return
	}
	x := &t.expected[t.plan.done%len(t.expected)]
	h := x.tuple
	if x.n != n || h == 0 {
		h = t.tupleHash(e.tuple())
	}
	t.unpaired.remove(h, n&^isEmbryo)
}

// forgetUnpaired is meet for all.
func (t *Table) forgetUnpaired() {
	for _, s := range t.unpaired.slots {
		if s != 0 {
			t.flows.embryo(uint32(s&numberMask) - 1 | isEmbryo).flags &^= isUnpaired
		}
	}
	t.unpaired = index{}
}

// tellLate tells the watcher of a packet of a flow that relives it, if it was unpaired.
func (t *Table) tellLate(p *packet.Packet, dir int) {
	if t.telling != 0 {
		t.watcher.Late(t.telling-1, p, dir, t.clock)
	}
}
