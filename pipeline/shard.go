package pipeline

import (
	"sync"
	"sync/atomic"
	"unsafe"

	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/path"
	"mirrorscope/pool"
)

const (
	// aheadLen is for how many packets the tables look ahead at a time.
	aheadLen = flow.BatchLen
	// sharedAhead is that where shards are goroutines: of more packets, which are loaded too, the
	// nearest cache has lost the first when the last come.
	sharedAhead = 16
	// handLen is how many packets a batch has for each shard that shares it, and
	// mostHandLen how many at most: what a goroutine does between two hand-overs takes much
	// longer than waking it.
	handLen     = 512
	mostHandLen = 1 << 11
)

// batchLen is how many packets are handed over at a time. One shard works where
// the reader does: nothing is handed over.
func batchLen(shards int) int {
	if shards == 1 {
		return aheadLen
	}
	return min(handLen*shards, mostHandLen)
}

// itemKind says what a table is to do with a packet.
type itemKind uint8

const (
	isPacket itemKind = iota
	isQuote           // an ICMP error, for the flow that it quotes
	isLost            // a packet whose fragments did not all come
)

// batch carries packets from the reader to the shards, in order. The reader
// decodes into it; shards only read it, and the last one gives it back.
type batch struct {
	packets []packet.Packet
	at      []*packet.Packet // where packets are
	kind    []itemKind
	n       int
	odd     bool                   // some are no isPacket
	payload []byte                 // what payloads alias that the source does not keep
	lists   [][]uint16             // by shard: its packets; nil where there is one shard, which has all
	shard   [flow.Partitions]uint8 // whose each partition is
	users   atomic.Int32
}

func newBatch(shards int) *batch {
	n := batchLen(shards)
	b := &batch{packets: make([]packet.Packet, n), kind: make([]itemKind, n)}
	if shards > 1 {
		b.lists = make([][]uint16, shards)
	}
	for i := range b.lists {
		b.lists[i] = make([]uint16, 0, n)
	}
	for i := range b.shard {
		b.shard[i] = uint8(i % max(shards, 1))
	}
	for i := range b.packets {
		b.at = append(b.at, &b.packets[i])
	}
	return b
}

// next is where the next packet is decoded to; it counts once it is put.
func (b *batch) next() *packet.Packet { return &b.packets[b.n] }

// count adds the packet that was decoded to next, where there is one shard and
// its payload stays. It tells whether the batch is full.
func (b *batch) count() bool {
	b.n++
	return b.n == len(b.packets)
}

// ownAhead is how many packets before it is written a packet's place is asked for, and
// ownPayload how many octets before a payload's is.
const ownAhead, ownPayload = 16, 512

// own begins to load what will be written ownAhead packets behind packet i: shards have read it, so
// that it is in the caches of other cores.
func (b *batch) own(i int) {
	if i += ownAhead; i < len(b.packets) {
		pool.PrefetchWrite(unsafe.Pointer(&b.packets[i]), packetLines)
	}
}

// ownBehind is own for what will be written behind payload.
func ownBehind(payload []byte) {
	if i := len(payload) + ownPayload; i < cap(payload) {
		pool.PrefetchWrite(unsafe.Pointer(&payload[:cap(payload)][i]), 1)
	}
}

// keep adds n packets that were decoded to next and behind it, at most ownAhead, with copies of their
// payload.
func (b *batch) keep(n int) {
	payload := b.payload
	for i := b.n; i < b.n+n; i++ {
		p := &b.packets[i]
		if b.own(i); len(p.Payload) > 0 {
			start := len(payload)
			payload = append(payload, p.Payload...)
			p.Payload = payload[start:len(payload):len(payload)]
			ownBehind(payload)
		}
		to := &b.lists[b.shard[flow.Partition(p.Hash)%flow.Partitions]]
		*to = append(*to, uint16(i))
	}
	b.n, b.payload = b.n+n, payload
}

// packetLines is how many cache lines of a packet are needed where it has no SACK.
const packetLines = int(unsafe.Offsetof(packet.Packet{}.TCP)+unsafe.Offsetof(packet.TCP{}.SACK)+63) / 64

const packetSize = int(unsafe.Sizeof(packet.Packet{}))

// put adds a packet, which is copied unless it is at next already, with its
// payload if keep is set. It tells whether the batch is full.
func (b *batch) put(p *packet.Packet, partition int, kind itemKind, keep bool) bool {
	q := b.next()
	if p != q {
		*q = *p
	}
	if keep && len(p.Payload) > 0 {
		start := len(b.payload)
		b.payload = append(b.payload, p.Payload...)
		q.Payload = b.payload[start:len(b.payload):len(b.payload)]
	}
	if kind != isPacket {
		b.odd, b.kind[b.n] = true, kind
	}
	if b.lists != nil {
		to := &b.lists[b.shard[partition%flow.Partitions]]
		*to = append(*to, uint16(b.n))
	}
	b.n++
	return b.n == len(b.packets)
}

// clear empties the batch.
func (b *batch) clear() {
	if b.odd {
		clear(b.kind)
		b.odd = false
	}
	b.n, b.payload = 0, b.payload[:0]
	for i := range b.lists {
		b.lists[i] = b.lists[i][:0]
	}
}

// work is what a shard is sent: packets, or something for each table to do.
type work struct {
	batch *batch
	do    func(*flow.Table)
	sec   *second         // takes the records that they have then; nil: nobody does
	done  chan<- struct{} // if not nil, is told when the shard has come so far
}

// shard owns the tables i, i+n, i+2n … Where it is alone, the reader calls it;
// otherwise it is a goroutine.
type shard struct {
	i, n     int
	tables   *[flow.Partitions]*flow.Table // all of them
	matchers []*path.Matcher
	at       [aheadLen]*packet.Packet // scratch
	some     flow.Batch
	lines    pool.Lines
	in       chan work // nil where the reader calls
	spill    *spill    // of the reader; nil: there is none
}

// depth of the queue of batches.
const depth = 4

func newShard(i, n int, tables []*flow.Table, spill *spill) *shard {
	s := &shard{i: i, n: n, tables: (*[flow.Partitions]*flow.Table)(tables), spill: spill}
	if n > 1 {
		s.in = make(chan work, depth)
	}
	return s
}

// send has the shard do w; the reader goes on meanwhile, if it can.
func (s *shard) send(w work) {
	if s.in == nil {
		s.work(&w)
		return
	}
	offer(s.spill, s.in, w)
}

// run ends when in closes.
func (s *shard) run(free chan<- *batch) {
	for w := range s.in {
		s.work(&w)
		if b := w.batch; b != nil && b.users.Add(-1) == 0 {
			b.clear()
			free <- b
		}
		if w.done != nil {
			w.done <- struct{}{}
		}
	}
}

func (s *shard) work(w *work) {
	if w.batch != nil {
		s.add(w.batch)
		return
	}
	if w.do == nil {
		return
	}
	for i := s.i; i < len(s.tables); i += s.n {
		w.do(s.tables[i])
		if s.spill != nil && s.in == nil {
			s.spill.between()
		}
		if w.sec == nil {
			continue
		}
		s.tables[i].Take(&w.sec.records[i])
		if s.matchers != nil {
			w.sec.paths[i] = s.matchers[i].Take(w.sec.paths[i])
		}
	}
	if w.sec != nil {
		w.sec.wait.Done()
	}
}

// add gives the tables the shard's packets of a batch, in order. A quote is for
// another table than its packet is, perhaps another shard's: only packets are
// looked at.
func (s *shard) add(b *batch) {
	if b.lists == nil {
		if b.odd {
			s.addOdd(b, nil, b.n)
		} else {
			s.addAll(b.at[:b.n])
		}
		return
	}
	// Packets come from the caches of another core. When it is their turn, what was done for those
	// before them has taken the nearest cache.
	list := b.lists[s.i]
	pool.PrefetchItemsSoon(unsafe.Pointer(&b.packets[0]), packetSize, list[:min(len(list), sharedAhead)], packetLines)
	for len(list) > 0 {
		some := list[:min(len(list), sharedAhead)]
		list = list[len(some):]
		pool.PrefetchItems(unsafe.Pointer(&b.packets[0]), packetSize, some, packetLines)
		pool.PrefetchItemsSoon(unsafe.Pointer(&b.packets[0]), packetSize, list[:min(len(list), sharedAhead)], packetLines)
		if b.odd {
			s.addOdd(b, some, len(some))
			continue
		}
		for i, at := range some {
			p := &b.packets[at]
			if s.at[i] = p; len(p.Payload) > 0 {
				s.lines.Add(unsafe.Pointer(unsafe.SliceData(p.Payload)))
			}
		}
		s.lines.Fetch(1)
		s.addAll(s.at[:len(some)])
	}
}

// addAll is add for packets that are such.
func (s *shard) addAll(packets []*packet.Packet) {
	s.some.Hold(packets)
	s.some.Look(s.tables)
	s.some.Add(s.tables)
}

// addOdd is add for n packets and what is none, at most aheadLen: those of a list,
// or, where that is nil, the first ones.
func (s *shard) addOdd(b *batch, list []uint16, n int) {
	in := func(i int) int {
		if list != nil {
			return int(list[i])
		}
		return i
	}
	packets := 0
	for i := range n {
		if i = in(i); b.kind[i] == isPacket {
			s.at[packets] = b.at[i]
			packets++
		}
	}
	s.some.Hold(s.at[:packets])
	s.some.Look(s.tables)
	packets = 0
	for i := range n {
		if i = in(i); b.kind[i] == isPacket {
			s.some.AddOne(s.tables, packets)
			packets++
		} else {
			s.take(b.at[i], b.kind[i])
		}
	}
}

// take does with what is no packet what its kind says.
func (s *shard) take(p *packet.Packet, kind itemKind) {
	switch kind {
	case isQuote:
		var q packet.Quote
		if packet.ParseQuote(p, &q) {
			s.tables[flow.Partition(q.Hash)].Quote(p, &q)
		}
	case isLost:
		s.tables[flow.Partition(p.Hash)].Lost(p)
	}
}

// second collects the records that the tables have at a barrier, or a piece of
// them. Its memory goes back to them with the next barrier that it serves.
type second struct {
	records [flow.Partitions]flow.Records
	paths   [flow.Partitions][]path.Connection
	wait    sync.WaitGroup // shards that have not answered
	health  *flow.Capture  // asked for with this second; nil as a rule
	failed  func()         // stops the reader: nobody takes the records
}
