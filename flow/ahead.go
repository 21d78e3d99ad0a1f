package flow

import (
	"encoding/binary"
	"math/bits"
	"unsafe"

	"mirrorscope/packet"
	"mirrorscope/pool"
	"mirrorscope/session"
)

// BatchLen is for how many packets tables look ahead at a time: enough to hide
// that memory is slow, and few enough to stay in the first cache.
const BatchLen = 64

// Batch is a number of packets, each for the table of its Partition. The tables
// look at all of them before they take the first one: the memory that it needs is
// on its way then. A Batch is used again and again.
type Batch struct {
	packets []*packet.Packet // at most BatchLen
	ahead   [BatchLen]Ahead
	lines   pool.Lines // to be loaded
	heads   pool.Lines // likewise

	sessions [BatchLen]sessionAhead
}

// sessionAhead is a packet's session that refers to something.
type sessionAhead struct {
	store   *session.Store
	n       uint32
	payload bool
}

// Hold makes b a batch of packets, of at most BatchLen. They must stay as they
// are until the tables have them.
func (b *Batch) Hold(packets []*packet.Packet) { b.packets = packets[:min(len(packets), BatchLen)] }

// Ahead is what looking ahead at a packet leaves for AddLooked. It is used
// again for the next batch, holds no pointers, and promises nothing: between
// Look and AddLooked flows begin, end and move, so AddLooked asks again.
type Ahead struct {
	hash  uint64 // of the index, keyed
	print uint64 // fingerprint of the packet
	four  key4   // of a packet of IPv4
	flow  uint32 // + 1, that fetch found; 0 none
	dir   uint8
	tcp4  bool // TCP in IPv4
	plain bool // and nothing in the packet itself keeps it from running
	keyed bool // key is set
	key   Key
}

// key4 is what a Key of IPv4 says, in three words that lie in the Key like this.
type key4 struct {
	hosts uint64 // the addresses, that of Key.A in the lower half
	ends  uint64 // from PortA on
	where uint64 // Point and Network
}

// is tells whether a key is four.
func (k *Key) is(four *key4) bool {
	return littleEndian && binary.LittleEndian.Uint32(k.A[12:]) == uint32(four.hosts) && binary.LittleEndian.Uint32(k.B[12:]) == uint32(four.hosts>>32) &&
		*(*uint64)(unsafe.Pointer(&k.PortA)) == four.ends && *(*uint64)(unsafe.Pointer(&k.Point)) == four.where
}

// full gives the whole key of a packet that was looked at.
func (a *Ahead) full() *Key {
	if k := &a.key; !a.keyed {
		setWord(k.A[:8], 0)
		setWord(k.A[8:], mapped|a.four.hosts<<32)
		setWord(k.B[:8], 0)
		setWord(k.B[8:], mapped|a.four.hosts>>32<<32)
		k.PortA, k.PortB, k.Proto, k.Kind = uint16(a.four.ends), uint16(a.four.ends>>16), uint8(a.four.ends>>32), uint8(a.four.ends>>40)
		k.Point, k.Network = packet.PointID(a.four.where), packet.NetworkID(a.four.where>>32)
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
	if len(b.packets) > 0 && tables[Partition(b.packets[0].Hash)].flows.all() > fewFlows {
		b.fetch(tables)
		b.warm(tables)
	}
}

// fewFlows of a table, and of the other Partitions as many, lie in the caches
// anyway: nothing needs to be loaded ahead.
const fewFlows = 48

// atOnce is for how many packets loads are begun at a time: the memory works while
// the next ones are looked at.
const atOnce = 8

func (b *Batch) look(tables *[Partitions]*Table) {
	for i, p := range b.packets {
		t, a := tables[Partition(p.Hash)], &b.ahead[i%BatchLen]
		a.flow = 0
		if p.Version != 4 {
			a.keyed, a.tcp4, a.dir = true, false, uint8(a.key.of(p))
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
			if a.tcp4 = p.Proto == packet.ProtoTCP; a.tcp4 {
				// As secret.segment has it.
				c := &p.TCP
				header := less<<48 | uint64(p.IPID) | uint64(c.Flags)<<32 | uint64(c.Window)<<16
				h := fold(header^hash^prints[0], (uint64(p.PayloadLen)<<32|uint64(p.IPLen))^prints[1])
				a.print = h ^ fold((uint64(c.Seq)<<32|uint64(c.Ack))^prints[2], (uint64(c.TSval)<<32|uint64(c.TSecr))^prints[3])
				if p.IPID == 0 && len(p.Payload) > 0 {
					a.print = prints.payload(a.print, p.Payload)
				}
				a.plain = c.Flags&(packet.SYN|packet.FIN|packet.RST)|uint16(p.Flags&(packet.HeaderCut|packet.BadHeader)) == 0 && p.TOS&3 != 3
			} else {
				a.print = prints.fingerprint(hash, p, int(less))
			}
		}
		b.lines.Add(t.index.at(a.hash))
		if b.lines.Add(unsafe.Pointer(t.copies.bucket(a.print))); i%atOnce == atOnce-1 {
			b.lines.Fetch(1)
		}
	}
	b.lines.Fetch(1)
}

// fetch finds the flows that the packets are likely to belong to.
func (b *Batch) fetch(tables *[Partitions]*Table) {
	for i, p := range b.packets {
		t, a := tables[Partition(p.Hash)], &b.ahead[i%BatchLen]
		n, ok := t.index.probable(a.hash)
		switch {
		case !ok:
			n = noFlow
		case !asleep(n):
			b.lines.Add(unsafe.Pointer(t.flows.at(n)))
		case seedling(n):
			b.heads.Add(unsafe.Pointer(t.flows.seeds.at(n)))
		case n&isEmbryo != 0:
			b.heads.Add(unsafe.Pointer(t.flows.embryo(n)))
		default:
			b.heads.Add(unsafe.Pointer(t.flows.rested(n)))
		}
		if a.flow = n + 1; i%atOnce == atOnce-1 {
			b.heads.Fetch(1)
			b.lines.Fetch(flowLines)
		}
	}
	b.heads.Fetch(1)
	b.lines.Fetch(flowLines)
}

// warm begins to load what the flows of the packets hold beside themselves, or,
// where there is none, what one will be made in.
func (b *Batch) warm(tables *[Partitions]*Table) {
	sessions := 0
	for i, p := range b.packets {
		t, a := tables[Partition(p.Hash)], &b.ahead[i%BatchLen]
		switch n := a.flow - 1; {
		case n == noFlow && a.tcp4:
			b.lines.Add(t.flows.seeds.next())
		case n == noFlow:
			t.flows.prefetchFree()
		case seedling(n):
			t.flows.embryos.prefetchFree(1)
		case n&isEmbryo != 0:
			t.flows.prefetchMore(n)
		case asleep(n):
			t.flows.prefetchMore(n)
			t.flows.prefetchFree()
		default:
			f := t.flows.at(n)
			t.prefetch(f, &b.lines)
			if session.Refers(f.session) {
				b.sessions[sessions%BatchLen] = sessionAhead{t.sessions, f.session, p.PayloadLen > 0}
				sessions++
			}
		}
		if i%atOnce == atOnce-1 {
			b.lines.Fetch(2)
		}
	}
	b.lines.Fetch(2)
	if sessions > 0 {
		b.warmSessions(sessions)
	}
}

// warmSessions begins to load what the first sessions of b refer to, which have
// come by now.
func (b *Batch) warmSessions(n int) {
	for i := range b.sessions[:n] {
		x := &b.sessions[i]
		if x.store.PrefetchMore(x.n, x.payload, &b.lines); i%atOnce == atOnce-1 {
			b.lines.Fetch(2)
		}
	}
	b.lines.Fetch(2)
}

// prefetch begins to load what a flow holds beside itself.
func (t *Table) prefetch(f *Flow, lines *pool.Lines) {
	if f.opening != 0 {
		lines.Add(unsafe.Pointer(t.openings.At(f.opening)))
	}
	if f.rare != 0 {
		lines.Add(unsafe.Pointer(t.rare.At(f.rare)))
	}
	if f.session != 0 {
		t.sessions.Prefetch(f.session, lines)
	}
	t.tcp.Prefetch(&f.tcp, lines)
}

// Add has the tables take the packets that were looked at.
func (b *Batch) Add(tables *[Partitions]*Table) {
	for i, p := range b.packets {
		tables[Partition(p.Hash)].AddLooked(p, &b.ahead[i%BatchLen])
	}
}

// AddOne has its table take the i-th of the packets that were looked at.
func (b *Batch) AddOne(tables *[Partitions]*Table, i int) {
	p := b.packets[i]
	tables[Partition(p.Hash)].AddLooked(p, &b.ahead[i])
}

// Add takes one packet, in record order. It keeps nothing that aliases it.
func (t *Table) Add(p *packet.Packet) {
	var b Batch
	one := [...]*packet.Packet{p}
	b.packets = one[:]
	var tables [Partitions]*Table
	tables[Partition(p.Hash)] = t
	b.look(&tables)
	t.AddLooked(p, &b.ahead[0])
}
