package flow

import (
	"math/bits"
	"unsafe"

	"mirrorscope/packet"
	"mirrorscope/pool"
)

// Ahead is what looking ahead at a packet leaves for AddLooked. It is used
// again for the next batch, holds no pointers, and promises nothing: between
// Look and AddLooked flows begin, end and move, so AddLooked asks again.
type Ahead struct {
	key   Key
	hash  uint64 // of the index, keyed
	print uint64 // fingerprint of the packet
	flow  uint32 // + 1, that Fetch found; 0 none
	dir   uint8
}

// Look prepares the adding of a packet: its key, the hash of that, its
// fingerprint, and loads of the places where its flow is found, and packets like
// it. Whoever has a batch calls Look for all of it, then Fetch for all, then Warm,
// then AddLooked.
func (t *Table) Look(p *packet.Packet, a *Ahead) {
	hash, dir := t.secret.keyOf(p, &a.key)
	a.hash, a.dir = hash, uint8(dir)
	a.print = t.copies.secret.fingerprint(hash, p, dir)
	pool.Prefetch2(t.index.at(hash), unsafe.Pointer(t.copies.bucket(a.print)))
}

// keyOf sets the key of a packet, and gives its hash and its direction. For
// those of IPv4 it does so at once.
func (s *secret) keyOf(p *packet.Packet, k *Key) (hash uint64, dir int) {
	a, b := word(p.Src[8:]), word(p.Dst[8:])
	if word(p.Src[:8])|word(p.Dst[:8])|uint64((uint32(a)^mapped)|(uint32(b)^mapped)) != 0 {
		dir = k.of(p)
		return s.hash(k), dir
	}
	src, dst := uint64(p.SrcPort), uint64(p.DstPort)
	_, less := bits.Sub64(uint64(bits.ReverseBytes32(uint32(b>>32)))<<16|dst, uint64(bits.ReverseBytes32(uint32(a>>32)))<<16|src, 0)
	x, y := (a^b)&-less, (src^dst)&-less
	a, b, src, dst = a^x, b^x, src^y, dst^y
	setWord(k.A[:8], 0)
	setWord(k.A[8:], a)
	setWord(k.B[:8], 0)
	setWord(k.B[8:], b)
	k.PortA, k.PortB, k.Proto, k.Kind, k.Point, k.Network = uint16(src), uint16(dst), p.Proto, p.Kind, p.Point, p.Network
	ends := src | dst<<16 | uint64(p.Proto)<<32 | uint64(p.Kind)<<40
	return s.hash4(a, b, ends, uint64(p.Point)|uint64(p.Network)<<32), int(less)
}

// fewFlows of a table, and of the other Partitions as many, lie in the caches
// anyway: nothing needs to be loaded ahead.
const fewFlows = 48

// Fetch begins to load what of the flow the packet will need.
func (t *Table) Fetch(a *Ahead) {
	a.flow = 0
	if t.flows.live > fewFlows {
		t.fetch(a)
	}
}

func (t *Table) fetch(a *Ahead) {
	n, ok := t.index.probable(a.hash)
	if !ok {
		return
	}
	a.flow = n + 1
	t.flows.prefetch(n)
}

// Warm begins to load what the flow holds beside itself, or, where there is
// none, what one will be made in.
func (t *Table) Warm(a *Ahead) {
	if t.flows.all() > fewFlows {
		t.warm(a)
	}
}

func (t *Table) warm(a *Ahead) {
	n := a.flow - 1
	switch {
	case a.flow == 0 || asleep(n):
		t.flows.prefetchFree()
		t.flows.embryos.prefetchFree(1)
		if a.flow != 0 && n&isResting != 0 {
			t.flows.prefetchLines(n)
		}
	default:
		f := t.flows.at(n)
		if f.opening != 0 {
			pool.Prefetch(unsafe.Pointer(t.openings.At(f.opening)), 2)
		}
		if f.session != 0 {
			t.sessions.Prefetch(f.session)
		}
		t.tcp.Prefetch(&f.tcp)
	}
}

// Add takes one packet, in record order. It keeps nothing that aliases it.
func (t *Table) Add(p *packet.Packet) {
	var a Ahead
	t.Look(p, &a)
	t.AddLooked(p, &a)
}
