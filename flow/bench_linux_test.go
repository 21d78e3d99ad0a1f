package flow

import (
	"encoding/binary"
	"math/rand/v2"
	"syscall"
	"testing"

	"mirrorscope/packet"
)

// crowd plays connections of twelve packets, so many of them open at a time,
// over all partitions and in batches, as a shard does.
type crowd struct {
	learned *Learned
	tables  []*Table
	rng     *rand.Rand
	open    []actor
	serial  uint32
	now     int64
	second  int64
	lonely  bool // SYNs alone
	stay    bool // the fifth packet comes again and again
	blind   bool // no looking ahead
	taken   Records
	turn    int // of the tables to give their records
	records int

	packets [256]packet.Packet
	at      [256]*packet.Packet
	some    Batch
}

// actor is one connection, and how far it has come.
type actor struct {
	id       uint32
	step     uint8
	cli, srv uint32
}

func newCrowd(open int, memory int64) *crowd {
	cfg := DefaultConfig()
	cfg.Memory = memory
	c := &crowd{learned: NewLearned(cfg), rng: rand.New(rand.NewPCG(1, 2)), now: sceneStart, second: sceneStart / 1e9}
	for range Partitions {
		c.tables = append(c.tables, NewTable(cfg, c.learned, new(packet.Names)))
	}
	c.open = make([]actor, open)
	for i := range c.open {
		c.begin(&c.open[i])
	}
	return c
}

func (c *crowd) begin(a *actor) {
	c.serial++
	*a = actor{id: c.serial, cli: c.serial * 7919, srv: c.serial * 104729}
}

// script is the direction, the flags and the length of each packet.
var script = [...]struct {
	dir, flags uint16
	n          uint32
}{
	{0, packet.SYN, 0}, {1, packet.SYN | packet.ACK, 0}, {0, packet.ACK, 0}, {0, packet.ACK | packet.PSH, 100}, {1, packet.ACK, 0}, {1, packet.ACK, 1200},
	{1, packet.ACK | packet.PSH, 700}, {0, packet.ACK, 0}, {0, packet.ACK | packet.FIN, 0}, {1, packet.ACK, 0}, {1, packet.ACK | packet.FIN, 0}, {0, packet.ACK, 0},
}

// next is the next packet of a connection.
func (c *crowd) next(a *actor, p *packet.Packet) {
	s := &script[a.step]
	*p = packet.Packet{
		Time: c.now, Now: c.now, SrcPort: uint16(20000 + a.id%40000), DstPort: 443, Proto: packet.ProtoTCP, Version: 4, TTL: 64, Point: 1, Network: 1, Path: 1, Position: 77,
		IPLen: 40 + s.n, PayloadLen: s.n, IPID: uint16(c.rng.Uint32()),
	}
	p.Src[10], p.Src[11], p.Dst[10], p.Dst[11] = 255, 255, 255, 255
	binary.BigEndian.PutUint32(p.Src[12:], 10<<24+a.id>>3)
	binary.BigEndian.PutUint32(p.Dst[12:], 192<<24+a.id%5000)
	p.TCP = packet.TCP{Flags: s.flags, Window: 8000, HeaderLen: 20, Seq: a.cli, Ack: a.srv}
	if s.flags&packet.SYN != 0 {
		p.TCP.MSS, p.TCP.WScale, p.TCP.Has = 1460, 7, packet.HasMSS|packet.HasWScale|packet.HasSACKPermitted
	}
	ours := &a.cli
	if s.dir == 1 {
		p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, p.DstPort, p.SrcPort
		p.TCP.Seq, p.TCP.Ack = a.srv, a.cli
		ours = &a.srv
	}
	if *ours += s.n; s.flags&(packet.SYN|packet.FIN) != 0 {
		*ours++
	}
	p.Hash = packet.SymmetricHash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto, p.Kind)
	switch {
	case c.lonely:
		c.begin(a)
	case c.stay && a.step == 5:
	default:
		if a.step++; int(a.step) == len(script) {
			c.begin(a)
		}
	}
}

// batch makes the next 256 packets.
func (c *crowd) batch() {
	for i := range c.packets {
		c.now += 1000
		c.next(&c.open[c.rng.IntN(len(c.open))], &c.packets[i])
	}
}

// take gives the batch to the tables.
func (c *crowd) take() {
	if c.blind {
		for i := range c.packets {
			c.tables[Partition(c.packets[i].Hash)].Add(&c.packets[i])
		}
	} else {
		for i := range c.packets {
			c.at[i] = &c.packets[i]
		}
		for at := c.at[:]; len(at) > 0; at = at[BatchLen:] {
			c.some.Hold(at[:BatchLen])
			c.some.Look((*[Partitions]*Table)(c.tables))
			c.some.Add((*[Partitions]*Table)(c.tables))
		}
	}
	if s := c.now / 1e9; s != c.second {
		c.learned.Merge(c.tables, c.second*1e9, s*1e9)
		c.second = s
		for _, t := range c.tables {
			t.PlanExpire(s * 1e9)
			t.Step(Last())
		}
	}
	for _, t := range c.tables[c.turn : c.turn+8] { // each comes by after some batches
		t.Take(&c.taken)
		c.records += c.taken.Len() + c.taken.Lones()
	}
	c.turn = (c.turn + 8) % len(c.tables)
}

// processTime is the time that the process has had a processor, ns.
func processTime() int64 {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return r.Utime.Nano() + r.Stime.Nano()
}

// What a packet costs where there are so many connections that the caches do
// not hold them. "make" is what making the packets costs, which is in all others.
func BenchmarkCrowd(b *testing.B) {
	for _, bb := range []struct {
		name string
		open int
		set  func(*crowd)
	}{
		{"make", 65536, nil},
		{"short", 65536, func(*crowd) {}},
		{"short/blind", 65536, func(c *crowd) { c.blind = true }},
		{"long", 500_000, func(c *crowd) { c.stay = true }},
		{"long/blind", 500_000, func(c *crowd) { c.stay, c.blind = true, true }},
		{"flood", 65536, func(c *crowd) { c.lonely = true }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			if b.N == 1 {
				return // only to find out how often
			}
			c := newCrowd(bb.open, 1<<30)
			take := func() {}
			if bb.set != nil {
				bb.set(c)
				take = c.take
			}
			for range 16 * bb.open / 256 {
				c.batch()
				take()
			}
			b.ReportAllocs()
			b.ResetTimer()
			before := processTime()
			for i := 0; i < b.N; i += len(c.packets) {
				c.batch()
				take()
			}
			b.ReportMetric(float64(processTime()-before)/float64(b.N), "cpu-ns/op")
			b.ReportMetric(float64(c.records), "records")
		})
	}
}
