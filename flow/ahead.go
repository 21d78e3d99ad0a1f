package flow

import (
	"encoding/binary"
	"unsafe"

	"mirrorscope/packet"
	"mirrorscope/pool"
	"mirrorscope/session"
	"mirrorscope/tcp"
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
	ends    pool.Lines // likewise, of flows

	sessions [BatchLen]sessionAhead
	crowds   [BatchLen]crowdAhead
}

// sessionAhead is a packet's session that refers to something.
type sessionAhead struct {
	store  *session.Store
	n      uint32
	client bool // has sent it
	says   bool // it has payload, or its end comes
}

// crowdAhead is much in flight that a packet may acknowledge.
type crowdAhead struct {
	store *tcp.Store
	n     uint32
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
	four  key4   // of TCP in IPv4
	flow  uint32 // + 1, that fetch found; 0 none
	slot  uint32 // of the index, where it did
	marks marks
	key   Key
}

// marks are the upper 16 bits of packet.Words.Head, and more.
type marks uint32

const (
	fromB    marks = packet.WordUpper >> 48
	tcp4     marks = packet.WordTCP4 >> 48
	notPlain marks = 0xff << (packet.WordOddShift - 48) // set in none that are plain: nothing in the packet itself keeps it from running
	keyed    marks = 1 << 16                            // key is set

	tableShift = 28 // the number of the table is above
)

// table is the number of the packet's table.
func (a *Ahead) table() int { return int(a.marks >> tableShift) }

// dir is 0 from A to B, 1 from B to A.
func (a *Ahead) dir() uint8 { return uint8(a.marks & fromB) }

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
	if k := &a.key; a.marks&keyed == 0 {
		setWord(k.A[:8], 0)
		setWord(k.A[8:], mapped|a.four.hosts<<32)
		setWord(k.B[:8], 0)
		setWord(k.B[8:], mapped|a.four.hosts>>32<<32)
		if littleEndian { // at once, as it is compared
			*(*uint64)(unsafe.Pointer(&k.PortA)), *(*uint64)(unsafe.Pointer(&k.Point)) = a.four.ends, a.four.where
		} else {
			k.PortA, k.PortB, k.Proto, k.Kind = uint16(a.four.ends), uint16(a.four.ends>>16), uint8(a.four.ends>>32), uint8(a.four.ends>>40)
			k.Point, k.Network = packet.PointID(a.four.where), packet.NetworkID(a.four.where>>32)
		}
		a.marks |= keyed
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
		var at [BatchLen]unsafe.Pointer
		b.fetch(tables, &at)
		b.warm(tables, &at)
	}
}

// fewFlows of a table, and of the other Partitions as many, lie in the caches
// anyway: nothing needs to be loaded ahead.
const fewFlows = 48

// atOnce is for how many packets loads are begun at a time: the memory works while
// the next ones are looked at.
const atOnce = 8

func (b *Batch) look(tables *[Partitions]*Table) {
	var at [pool.Together]uintptr
	for i, p := range b.packets {
		t, a := tables[Partition(p.Hash)], &b.ahead[uint(i)%BatchLen]
		if w := &p.Words; w.Head == 0 {
			a.look(p)
		} else {
			where := uint64(p.Point) | uint64(p.Network)<<32
			hash := keys.hash4(w.Hosts, w.Ends, where)
			a.four.hosts, a.four.ends, a.four.where = w.Hosts, w.Ends, where
			print := prints.numbers4(prints.head4(hash, p), p)
			if p.IPID == 0 && len(p.Payload) > 0 {
				print = prints.payload(print, p.Payload)
			}
			a.hash, a.print = hash, print
			a.flow, a.marks = 0, marks(w.Head>>48)|marks(Partition(p.Hash))<<tableShift
		}
		n := uint(i) % (pool.Together / 4)
		home := t.index.address(a.hash)
		at[4*n], at[4*n+1], at[4*n+2], at[4*n+3] = home, home+searched, t.copies.address(a.print), t.copies.ahead(i)
		if n == pool.Together/4-1 {
			pool.PrefetchEach(&at)
		}
	}
	if len(b.packets)%(pool.Together/4) > 0 {
		pool.PrefetchEach(&at) // those of before do no harm
	}
}

// look is that for what has no packet.Words.
func (a *Ahead) look(p *packet.Packet) {
	dir := a.key.of(p)
	a.flow, a.marks = 0, keyed|marks(dir)|marks(Partition(p.Hash))<<tableShift
	a.hash = keys.hash(&a.key)
	a.print = prints.fingerprint(a.hash, p, dir)
}

// fetch finds the flows that the packets are likely to belong to: at tells where they
// lie, as far as that is where their numbers say.
func (b *Batch) fetch(tables *[Partitions]*Table, at *[BatchLen]unsafe.Pointer) {
	for i := range b.packets {
		a := &b.ahead[uint(i)%BatchLen]
		t := tables[a.table()]
		n, slot := t.index.seek(a.hash)
		a.flow, a.slot = n+1, uint32(slot)
		switch {
		case !asleep(n):
			p := unsafe.Pointer(t.flows.at(n))
			at[uint(i)%BatchLen] = p
			b.lines.Add(p)
			b.ends.Add(unsafe.Add(p, flowEnd[a.marks&fromB]))
		case seedling(n): // or noFlow
			if n != noFlow {
				b.heads.Add(unsafe.Pointer(t.flows.seeds.at(n)))
				t.learned.lookAt(b.packets[i], a, &b.heads)
			} else if t.watcher != nil {
				b.heads.Add(t.unpaired.at(t.tupleHash(b.packets[i].Hash)))
			}
		case n&isEmbryo != 0:
			p := unsafe.Pointer(t.flows.embryo(n))
			at[uint(i)%BatchLen] = p
			b.heads.Add(p)
			if t.watcher != nil && answers(b.packets[i]) { // where nobody watches, it would be a seed
				t.learned.lookAt(b.packets[i], a, &b.heads)
			}
		default:
			b.heads.Add(unsafe.Pointer(t.flows.rested(n)))
		}
		if uint(i)%atOnce == atOnce-1 {
			b.heads.Fetch(1)
			b.lines.Fetch(flowHead)
			b.ends.Fetch(2)
		}
	}
	b.heads.Fetch(1)
	b.lines.Fetch(flowHead)
	b.ends.Fetch(2)
}

// answers tells whether a packet is a SYN-ACK.
func answers(p *packet.Packet) bool {
	return p.TCP.Flags&(packet.SYN|packet.ACK) == packet.SYN|packet.ACK
}

// warm begins to load what the flows of the packets hold beside themselves, or,
// where there is none, what one will be made in.
func (b *Batch) warm(tables *[Partitions]*Table, at *[BatchLen]unsafe.Pointer) {
	sessions, crowds := 0, 0
	for i := range b.packets {
		a := &b.ahead[uint(i)%BatchLen]
		t := tables[a.table()]
		switch n := a.flow - 1; {
		case !asleep(n):
			f, p := (*Flow)(at[uint(i)%BatchLen]), b.packets[i]
			if n := t.prefetch(f, int(a.dir()), &b.heads, &b.lines); n != 0 {
				x := &b.crowds[uint(crowds)%BatchLen]
				x.store, x.n = t.tcp, n
				crowds++
			}
			ends := f.class == closing || p.TCP.Flags&packet.FIN != 0
			if ends {
				b.heads.Add(unsafe.Pointer(&f.fins))
				b.heads.Add(unsafe.Add(unsafe.Pointer(f), flowRest[a.marks&fromB]))
			}
			if n := f.session; n != 0 {
				says := p.PayloadLen > 0 || ends
				t.sessions.Prefetch(n, says, &b.heads)
				if session.Refers(n) {
					x := &b.sessions[uint(sessions)%BatchLen]
					x.store, x.n, x.client, x.says = t.sessions, n, a.dir() == f.role.client, says
					sessions++
				}
			}
		case n == noFlow && a.marks&tcp4 != 0 && t.watcher == nil:
			b.heads.Add(t.flows.seeds.next())
		case n == noFlow && a.marks&tcp4 != 0:
			t.flows.embryos.prefetchFree(1)
		case n == noFlow:
			t.flows.prefetchFree()
		case seedling(n):
			t.flows.embryos.prefetchFree(1)
			t.flows.youths.PrefetchFree(youthUnits(0))
			t.learned.look(b.packets[i], a, &b.lines)
		case n&isEmbryo != 0:
			if e := (*embryo)(at[uint(i)%BatchLen]); e.grown() {
				if t.flows.prefetchYouth(e.behind, &b.heads); e.turns(b.packets[i]) {
					b.heads.Add(unsafe.Pointer(t.flows.link(n)))
				}
				if session.Greets(b.packets[i].Payload) { // it hatches
					t.flows.store.prefetchFree(flowLines + 1)
					t.tcp.PrefetchFree()
					t.sessions.PrefetchFree()
				}
			} else if t.watcher != nil && answers(b.packets[i]) {
				t.flows.youths.PrefetchFree(youthUnits(0))
				t.learned.look(b.packets[i], a, &b.lines)
			}
		default:
			t.flows.prefetchLines(n)
			t.flows.prefetchFree()
		}
		if uint(i)%atOnce == atOnce-1 {
			b.heads.Fetch(1)
			b.lines.Fetch(2)
		}
	}
	b.heads.Fetch(1)
	b.lines.Fetch(2)
	for i := range b.crowds[:crowds] {
		x := &b.crowds[i]
		x.store.PrefetchMore(x.n, &b.heads)
	}
	if sessions > 0 {
		b.warmSessions(sessions)
	}
	b.heads.Fetch(1)
}

// warmSessions begins to load what the first sessions of b refer to, which have
// come by now.
func (b *Batch) warmSessions(n int) {
	for i := range b.sessions[:n] {
		x := &b.sessions[i]
		if x.store.PrefetchMore(x.n, x.client, x.says, &b.heads); uint(i)%atOnce == atOnce-1 {
			b.heads.Fetch(1)
		}
	}
	b.heads.Fetch(1)
}

// prefetch begins to load what a flow holds beside itself and its session, for a packet
// in direction dir: one cache line of each of heads, two of each of lines. It gives what
// tcp.Store.Prefetch does.
func (t *Table) prefetch(f *Flow, dir int, heads, lines *pool.Lines) (crowd uint32) {
	if f.opening != 0 {
		lines.Add(unsafe.Pointer(t.openings.At(f.opening)))
	}
	if f.rare != 0 {
		lines.Add(unsafe.Pointer(t.rare.At(f.rare)))
	}
	return t.tcp.Prefetch(&f.tcp, dir, heads, lines)
}

// Add has the tables take the packets that were looked at.
func (b *Batch) Add(tables *[Partitions]*Table) {
	for i, p := range b.packets {
		a := &b.ahead[uint(i)%BatchLen]
		tables[a.table()].AddLooked(p, a)
	}
}

// AddOne has its table take the i-th of the packets that were looked at.
func (b *Batch) AddOne(tables *[Partitions]*Table, i int) {
	p := b.packets[i]
	tables[Partition(p.Hash)].AddLooked(p, &b.ahead[i])
}

// Add takes one packet, in record order. It keeps nothing that aliases it. The packet
// need not be from a Decoder: its Words are set.
func (t *Table) Add(p *packet.Packet) {
	p.SetWords()
	var b Batch
	one := [...]*packet.Packet{p}
	b.packets = one[:]
	var tables [Partitions]*Table
	tables[Partition(p.Hash)] = t
	b.look(&tables)
	t.AddLooked(p, &b.ahead[0])
}
