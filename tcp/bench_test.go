package tcp

import (
	"testing"

	"mirrorscope/packet"
)

// bulk makes the packets of a long transfer, one after another, for ever: the
// client sends, the server acknowledges every second segment.
type bulk struct {
	c        Conn
	o        Opening
	st       *Store
	p        packet.Packet
	now      int64
	seq, una uint32 // of the client's data
	answered uint32 // next of the server's
	ids      [2]uint16
	tape     *tape // takes the packets, if there is one
}

const (
	benchMSS = 1448
	benchRTT = 1_000_000 // ns
)

func newBulk() *bulk {
	b := &bulk{st: NewStore(DefaultConfig()), now: epoch}
	b.c.Init()
	b.open()
	return b
}

func (b *bulk) send(dir int, k packet.TCP, n uint32) {
	b.now += 5000
	b.ids[dir]++
	k.Window = 5000
	k.Has |= packet.HasTimestamps
	k.TSval, k.TSecr = uint32(b.now/1e6), uint32((b.now-benchRTT)/1e6)
	b.p = packet.Packet{Time: b.now, Now: b.now, Proto: packet.ProtoTCP, Version: 4, TTL: 64, Position: 1, IPID: b.ids[dir], PayloadLen: n, TCP: k}
	if b.tape != nil {
		b.tape.packets, b.tape.dirs = append(b.tape.packets, b.p), append(b.tape.dirs, dir)
		return
	}
	b.c.follow(b.st, &b.p, dir, 0, &b.o, false)
}

func (b *bulk) data() {
	b.send(0, packet.TCP{Flags: ack, Seq: b.seq, Ack: b.answered}, benchMSS)
	b.seq += benchMSS
}

func (b *bulk) lose() { b.seq += benchMSS }

func (b *bulk) ack(to uint32) {
	b.una = to
	b.send(1, packet.TCP{Flags: ack, Seq: b.answered, Ack: to}, 0)
}

// sacks acknowledges una, and [left, right) selectively.
func (b *bulk) sacks(left, right uint32) {
	b.send(1, packet.TCP{Flags: ack, Seq: b.answered, Ack: b.una, Has: packet.HasSACK, NumSACK: 1, SACK: [4]packet.SACK{{Left: left, Right: right}}}, 0)
}

func (b *bulk) again(seq uint32) {
	b.send(0, packet.TCP{Flags: ack, Seq: seq, Ack: b.answered}, benchMSS)
}

// round is a window of 20 segments and its ACKs.
func (b *bulk) round() {
	first := b.seq
	for range 20 {
		b.data()
	}
	b.now += benchRTT
	for i := range uint32(10) {
		b.ack(first + (i+1)*2*benchMSS)
	}
}

// recovery is a window in which the first segment is lost: before the point
// where it would be recorded, or behind it.
func (b *bulk) recovery(before bool) {
	first := b.seq
	if before {
		b.lose()
	} else {
		b.data()
	}
	for range 19 {
		b.data()
	}
	b.now += benchRTT
	for i := range uint32(19) {
		b.sacks(first+benchMSS, first+(i+2)*benchMSS)
	}
	b.now += benchRTT / 4
	b.again(first)
	b.now += benchRTT
	b.ack(b.seq)
	b.now += 2e9 // all is settled
}

// tail is a segment that a timer repeats, and the DSACK for it.
func (b *bulk) tail() {
	first := b.seq
	b.data()
	b.now += 250e6
	b.again(first)
	b.now += benchRTT
	b.una = b.seq
	b.sacks(first, b.seq)
	b.now += 2e9
}

// exchange is a request and its answer.
func (b *bulk) exchange() {
	b.data()
	b.now += benchRTT
	b.send(1, packet.TCP{Flags: psh, Seq: b.answered, Ack: b.seq}, 500)
	b.una = b.seq
	b.answered += 500
}

// open makes the packets of a handshake, shut those of a close.
func (b *bulk) open() {
	options := packet.HasMSS | packet.HasWScale | packet.HasSACKPermitted | packet.HasTimestamps
	b.send(0, packet.TCP{Flags: syn, Seq: 999, MSS: 1460, WScale: 7, Has: options}, 0)
	b.now += benchRTT / 2
	b.send(1, packet.TCP{Flags: synack, Seq: 4999, Ack: 1000, MSS: 1460, WScale: 7, Has: options}, 0)
	b.now += benchRTT / 2
	b.seq, b.una, b.answered = 1000, 1000, 5000
	b.send(0, packet.TCP{Flags: ack, Seq: 1000, Ack: 5000}, 0)
}

func (b *bulk) shut() {
	b.send(0, packet.TCP{Flags: ack | packet.FIN, Seq: b.seq, Ack: b.answered}, 0)
	b.now += benchRTT / 2
	b.send(1, packet.TCP{Flags: ack | packet.FIN, Seq: b.answered, Ack: b.seq + 1}, 0)
	b.now += benchRTT / 2
	b.send(0, packet.TCP{Flags: ack, Seq: b.seq + 1, Ack: b.answered + 1}, 0)
}

// A connection in any steady state allocates nothing.
func TestAllocs(t *testing.T) {
	for _, tt := range []struct {
		name    string
		repeats int64 // in each
		do      func(b *bulk)
	}{
		{"data and ACKs", 0, (*bulk).round},
		{"loss before, SACK, repeat", 1, func(b *bulk) { b.recovery(true) }},
		{"loss behind, SACK, repeat", 1, func(b *bulk) { b.recovery(false) }},
		{"needless timer repeat, DSACK", 1, (*bulk).tail},
		{"exchange", 0, (*bulk).exchange},
		{"all of them", 3, func(b *bulk) { b.round(); b.recovery(true); b.recovery(false); b.tail(); b.exchange() }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBulk()
			for range 100 {
				tt.do(b)
			}
			if n := testing.AllocsPerRun(200, func() { tt.do(b) }); n != 0 {
				t.Errorf("%v allocations, want 0", n)
			}
			var r Report
			b.c.Report(b.st, &r, 0, true)
			sound(t, &r)
			if got, want := r.Sides[0].Retransmits.Packets, tt.repeats*301; got != want { // AllocsPerRun makes one run more
				t.Errorf("%d repeats, want %d", got, want)
			}
		})
	}
}

// A store that has served connections serves others without allocating.
func TestStoreAllocs(t *testing.T) {
	b := newBulk()
	life := func() {
		b.c.Init()
		b.o = Opening{}
		b.seq, b.una, b.answered = 1000, 1000, 5000
		b.recovery(true)
		b.round()
		b.st.Release(&b.c)
	}
	life()
	if n := testing.AllocsPerRun(100, life); n != 0 {
		t.Errorf("%v allocations a connection, want 0", n)
	}
	if n := b.st.inUse(); n != 0 {
		t.Errorf("%d values in use after Release", n)
	}
}

// tape is a connection that is played again and again: making its packets takes
// as long as measuring them.
type tape struct {
	packets []packet.Packet
	dirs    []int
}

// taped records a handshake and what follows.
func taped(times int, do func(*bulk)) *tape {
	b := &bulk{now: epoch, tape: new(tape)}
	b.open()
	for range times {
		do(b)
	}
	return b.tape
}

// play gives the packets of a tape to a connection.
func (t *tape) play(st *Store, c *Conn, o *Opening) {
	c.Init()
	*o = Opening{}
	for i := range t.packets {
		c.follow(st, &t.packets[i], t.dirs[i], 0, o, false)
	}
}

// The benchmarks count time per packet.
func BenchmarkData(b *testing.B)      { bench(b, taped(40, (*bulk).round)) }
func BenchmarkRecovery(b *testing.B)  { bench(b, taped(20, func(x *bulk) { x.recovery(true) })) }
func BenchmarkRepeat(b *testing.B)    { bench(b, taped(100, (*bulk).tail)) }
func BenchmarkExchange(b *testing.B)  { bench(b, taped(200, (*bulk).exchange)) }
func BenchmarkHandshake(b *testing.B) { bench(b, taped(0, nil)) }
func BenchmarkLife(b *testing.B)      { bench(b, taped(1, life)) }

// life is a connection of 12 packets, handshake included.
func life(x *bulk) {
	for range 2 {
		x.exchange()
		x.send(0, packet.TCP{Flags: ack, Seq: x.seq, Ack: x.answered}, 0)
	}
	x.shut()
}

// BenchmarkReport is the report of such a connection.
func BenchmarkReport(b *testing.B) {
	x := newBulk()
	life(x)
	var r Report
	for b.Loop() {
		x.c.Report(x.st, &r, 0, true)
	}
}

// BenchmarkCold takes turns between more connections than caches hold.
func BenchmarkCold(b *testing.B) {
	st := NewStore(DefaultConfig())
	t := taped(1, life)
	conns := make([]Conn, 1<<16)
	b.ResetTimer()
	n := 0
	for i := 0; i < b.N; i += len(conns) {
		for k := range t.packets {
			for at := range uint32(1 << 16) {
				c := &conns[at*0x9e3779b1>>16] // each once, in no order
				if k == 0 {
					c.Init()
				}
				c.follow(st, &t.packets[k], t.dirs[k], 0, nil, false)
				n++
			}
		}
		for at := range conns {
			st.Release(&conns[at])
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/packet")
}

func bench(b *testing.B, t *tape) {
	st := NewStore(DefaultConfig())
	var c Conn
	var o Opening
	b.ReportAllocs()
	for b.Loop() {
		t.play(st, &c, &o)
		st.Release(&c)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(t.packets)), "ns/packet")
}

// BenchmarkSACK measures SACKs alone, at most 64 blocks apart.
func BenchmarkSACK(b *testing.B) {
	x := newBulk()
	b.ReportAllocs()
	for b.Loop() {
		first := x.seq
		x.lose()
		for range 128 {
			x.data()
		}
		x.now += benchRTT
		for i := range uint32(64) {
			x.sacks(first+(2*i+1)*benchMSS, first+(2*i+2)*benchMSS)
		}
		x.ack(x.seq)
		x.now += 2e9
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/193, "ns/packet")
}
