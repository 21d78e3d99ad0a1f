package pipeline

import (
	"sync"

	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/path"
)

// batchLen is how many packets are handed over at a time.
const batchLen = 256

// itemKind says what a table is to do with a packet.
type itemKind uint8

const (
	isPacket itemKind = iota
	isQuote           // an ICMP error, for the flow that it quotes
	isLost            // a packet whose fragments did not all come
)

// batch carries packets from the reader to a shard, with the memory that their
// payloads alias. It goes back to the reader when the shard has done it.
type batch struct {
	packets [batchLen]packet.Packet
	kind    [batchLen]itemKind
	part    [batchLen]uint8
	n       int
	payload []byte

	do  func(*flow.Table) // not nil: no packets, but something for each table to do
	sec *second           // takes the records that they have then; nil: nobody does
}

// shard is the goroutine that owns the tables i, i+n, i+2n …
type shard struct {
	i, n    int
	in      chan *batch
	free    chan *batch
	filling *batch
	pending sync.WaitGroup // batches sent and not done
}

// depth of a shard's queue, in batches.
const depth = 4

func newShard(i, n int) *shard {
	s := &shard{i: i, n: n, in: make(chan *batch, depth), free: make(chan *batch, depth+2)}
	for range depth + 2 {
		s.free <- &batch{payload: make([]byte, 0, batchLen*256)}
	}
	s.filling = <-s.free
	return s
}

// add copies a packet and its payload into the batch being filled.
func (s *shard) add(p *packet.Packet, partition int, kind itemKind) {
	b := s.filling
	q := &b.packets[b.n]
	*q = *p
	if len(p.Payload) > 0 {
		start := len(b.payload)
		b.payload = append(b.payload, p.Payload...)
		q.Payload = b.payload[start:len(b.payload):len(b.payload)]
	}
	b.kind[b.n], b.part[b.n] = kind, uint8(partition)
	b.n++
	if b.n == batchLen {
		s.flush()
	}
}

// flush sends the batch being filled.
func (s *shard) flush() {
	if s.filling.n == 0 {
		return
	}
	s.pending.Add(1)
	s.in <- s.filling
	s.filling = <-s.free
}

// ask has each table of the shard do something, and gives their records to sec
// if it is not nil; the shard must be drained.
func (s *shard) ask(sec *second, do func(*flow.Table)) {
	b := s.filling
	b.sec, b.do = sec, do
	s.pending.Add(1)
	s.in <- b
	s.filling = <-s.free
}

// run ends when in closes.
func (s *shard) run(tables []*flow.Table, matchers []*path.Matcher) {
	var q packet.Quote
	for b := range s.in {
		for i := range b.n {
			t, p := tables[b.part[i]], &b.packets[i]
			switch b.kind[i] {
			case isPacket:
				t.Add(p)
			case isQuote:
				if packet.ParseQuote(p, &q) {
					t.Quote(p, &q)
				}
			case isLost:
				t.Lost(p)
			}
		}
		if b.do != nil {
			for i := s.i; i < len(tables); i += s.n {
				b.do(tables[i])
				if b.sec == nil {
					continue
				}
				tables[i].Take(&b.sec.records[i])
				if matchers != nil {
					b.sec.paths[i] = matchers[i].Take(b.sec.paths[i])
				}
			}
			if b.sec != nil {
				b.sec.wait.Done()
			}
		}
		b.n, b.sec, b.do, b.payload = 0, nil, nil, b.payload[:0]
		s.free <- b
		s.pending.Done()
	}
}

// second collects the records that the tables have at a barrier, or a piece of
// them. Its memory
// goes back to them with the next barrier that it serves.
type second struct {
	records [flow.Partitions]flow.Records
	paths   [flow.Partitions][]path.Connection
	wait    sync.WaitGroup // shards that have not answered
	health  *flow.Capture  // asked for with this second; nil as a rule
	failed  func()         // stops the reader: nobody takes the records
}
