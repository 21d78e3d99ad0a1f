package flow

import (
	"encoding/binary"
	"math/bits"
	"unsafe"

	"mirrorscope/packet"
	"mirrorscope/pool"
)

// BatchLen is for how many packets tables look ahead at a time: enough to hide
// that memory is slow, and few enough to stay in the first cache.
const BatchLen = 64

// Batch is a number of packets, each for the table of its Partition. The tables
// look at all of them before they take the first one: the memory that it needs is
// on its way then. A Batch is used again and again.
type Batch struct {
	packets [BatchLen]*packet.Packet
	ahead   [BatchLen]Ahead
	n       int
	lines   pool.Lines
}

// Put adds a packet, one of at most BatchLen. It must stay as it is until the
// tables have it.
func (b *Batch) Put(p *packet.Packet) {
	b.packets[uint(b.n)%BatchLen] = p
	b.n++
}

// Ahead is what looking ahead at a packet leaves for AddLooked. It is used
// again for the next batch, holds no pointers, and promises nothing: between
// Look and AddLooked flows begin, end and move, so AddLooked asks again.
type Ahead struct {
	hash  uint64 // of the index, keyed
	print uint64 // fingerprint of the packet
	four  key4   // of a packet of IPv4
	flow  uint32 // + 1, that fetch found; 0 none
	dir   uint8
	plain bool // nothing in the packet itself keeps it from running, and it is IPv4
	keyed bool // key is set
	key   Key
}

// key4 is what a Key of IPv4 says, in three words that lie in the Key like this.
type key4 struct {
	hosts uint64 // the addresses, that of Key.A in the lower half
	ends  uint64 // from PortA on
	where uint64 // Point and Network
}

// full gives the whole key of a packet that was looked at.
func (a *Ahead) full(p *packet.Packet) *Key {
	if !a.keyed {
		a.key.of(p)
		a.keyed = true
	}
	return &a.key
}

// Look has the tables look at the packets: at their keys, the hashes of those
// and their fingerprints; then they begin to load the places where their flows are
// found, and packets like them; then the flows; then what those hold beside
// themselves, or, where there is none, what one will be made in.
func (b *Batch) Look(tables *[Partitions]*Table) {
	b.look(tables)
	b.lines.Fetch(1)
	if n := min(b.n, BatchLen); n > 0 && tables[Partition(b.packets[0].Hash)].flows.all() > fewFlows {
		b.fetch(tables)
		b.lines.Fetch(flowLines)
		for i, p := range b.packets[:n] {
			tables[Partition(p.Hash)].warm(&b.ahead[i], &b.lines)
		}
		b.lines.Fetch(2)
	}
}

// fewFlows of a table, and of the other Partitions as many, lie in the caches
// anyway: nothing needs to be loaded ahead.
const fewFlows = 48

func (b *Batch) look(tables *[Partitions]*Table) {
	for i, p := range b.packets[:min(b.n, BatchLen)] {
		t, a := tables[Partition(p.Hash)], &b.ahead[i]
		if p.Version != 4 {
			a.keyed, a.plain, a.dir = true, false, uint8(a.key.of(p))
			a.hash = keys.hash(&a.key)
			a.print = prints.fingerprint(a.hash, p, int(a.dir))
		} else {
			// As Key.setEnds and secret.hash have it, with less around it.
			x, y := binary.LittleEndian.Uint32(p.Src[12:]), binary.LittleEndian.Uint32(p.Dst[12:])
			src, dst := uint64(p.SrcPort), uint64(p.DstPort)
			_, less := bits.Sub64(uint64(bits.ReverseBytes32(y))<<16|dst, uint64(bits.ReverseBytes32(x))<<16|src, 0)
			hosts, ports := uint64(x)|uint64(y)<<32, src|dst<<16
			swap := int(less) << 5
			hosts, ports = bits.RotateLeft64(hosts, swap), uint64(bits.RotateLeft32(uint32(ports), swap>>1))
			ends := ports | uint64(p.Proto)<<32 | uint64(p.Kind)<<40
			where := uint64(p.Point) | uint64(p.Network)<<32
			hash := keys.hash4(hosts, ends, where)
			a.four.hosts, a.four.ends, a.four.where = hosts, ends, where
			a.hash, a.dir, a.keyed = hash, uint8(less), false
			if p.Proto == packet.ProtoTCP && p.IPID != 0 {
				c := &p.TCP
				a.print = prints.segment(hash, p, less)
				a.plain = uint32(c.Flags)&uint32(packet.SYN|packet.FIN|packet.RST)|uint32(p.Flags&(packet.HeaderCut|packet.BadHeader)) == 0 && p.TOS&3 != 3
			} else {
				a.print, a.plain = prints.fingerprint(hash, p, int(less)), false
			}
		}
		b.lines.Add(t.index.at(a.hash))
		b.lines.Add(unsafe.Pointer(t.copies.bucket(a.print)))
	}
}

// fetch finds the flows that the packets are likely to belong to.
func (b *Batch) fetch(tables *[Partitions]*Table) {
	for i, p := range b.packets[:min(b.n, BatchLen)] {
		t, a := tables[Partition(p.Hash)], &b.ahead[i]
		n, ok := t.index.probable(a.hash)
		if !ok {
			a.flow = 0
			continue
		}
		if a.flow = n + 1; asleep(n) {
			t.flows.prefetch(n)
		} else {
			b.lines.Add(unsafe.Pointer(t.flows.at(n)))
		}
	}
}

// warm begins to load what the flow of a packet holds beside itself.
func (t *Table) warm(a *Ahead, lines *pool.Lines) {
	n := a.flow - 1
	if a.flow == 0 || asleep(n) {
		t.flows.prefetchFree()
		t.flows.embryos.prefetchFree(1)
		if a.flow != 0 {
			t.flows.prefetchMore(n)
		}
		return
	}
	f := t.flows.at(n)
	if f.opening != 0 {
		lines.Add(unsafe.Pointer(t.openings.At(f.opening)))
	}
	if f.rare != 0 {
		lines.Add(unsafe.Pointer(t.rare.At(f.rare)))
	}
	if f.session != 0 {
		t.sessions.Prefetch(f.session)
	}
	t.tcp.Prefetch(&f.tcp, lines)
}

// Add has the tables take the packets that were looked at, and empties the batch.
func (b *Batch) Add(tables *[Partitions]*Table) {
	for i, p := range b.packets[:min(b.n, BatchLen)] {
		tables[Partition(p.Hash)].AddLooked(p, &b.ahead[i])
	}
	b.n = 0
}

// AddOne has its table take the i-th of the packets that were looked at.
func (b *Batch) AddOne(tables *[Partitions]*Table, i int) {
	p := b.packets[i]
	tables[Partition(p.Hash)].AddLooked(p, &b.ahead[i])
}

// Empty forgets the packets.
func (b *Batch) Empty() { b.n = 0 }

// Add takes one packet, in record order. It keeps nothing that aliases it.
func (t *Table) Add(p *packet.Packet) {
	var b Batch
	b.Put(p)
	var tables [Partitions]*Table
	tables[Partition(p.Hash)] = t
	b.look(&tables)
	t.AddLooked(p, &b.ahead[0])
}
