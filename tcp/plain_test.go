package tcp

import (
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"mirrorscope/packet"
)

// twins are one connection measured twice: plain packets take the short way in
// the first, and the whole way in the second.
type twins struct {
	c  [2]Conn
	o  [2]Opening
	st [2]*Store
}

func newTwins() *twins {
	w := &twins{st: [2]*Store{NewStore(DefaultConfig()), NewStore(DefaultConfig())}}
	w.st[1].whole = true
	for i := range w.c {
		w.c[i].Init()
	}
	return w
}

// add gives a packet to both, and fails where they differ in anything.
func (w *twins) add(t *testing.T, p *packet.Packet, dir int, without, alike bool) {
	t.Helper()
	var g [2]Segment
	for i := range w.c {
		c, o := &w.c[i], &w.o[i]
		if without {
			o = nil
		}
		c.AddTo(w.st[i], &g[i], p, dir, o, alike)
		client, _ := c.Client()
		c.Exchange(w.st[i], &g[i], dir, client)
	}
	for i := range w.c {
		w.c[i].flags &^= peerHeard // of this packet only, and not told by a plain one
	}
	c := w.c
	for i := range c {
		for j := range c[i].Dirs { // what was found of a trouble, by plain ones alone
			c[i].Dirs[j].has &^= isStill
			c[i].Dirs[j].still = 0
		}
	}
	if g[0] != g[1] || c[0] != c[1] || w.o[0] != w.o[1] {
		t.Fatalf("packet %+v:\nshort %+v\n      %+v\nwhole %+v\n      %+v", p, g[0], w.c[0], g[1], w.c[1])
	}
	for i := range w.c[0].Dirs {
		a, b := &w.c[0].Dirs[i], &w.c[1].Dirs[i]
		if a.flight != 0 { // flightIf would make one of a lone segment
			f, k := w.st[0].flight(a.flight), w.st[1].flight(b.flight)
			if *f != *k || f.crowded && *f.asCrowd() != *k.asCrowd() || !f.crowded && *f.asPair() != *k.asPair() {
				t.Fatalf("packet %+v:\nshort %+v\nwhole %+v", p, f, k)
			}
		}
		if x, y := w.st[0].rareIf(a), w.st[1].rareIf(b); x != nil && *x != *y {
			t.Fatalf("packet %+v:\nshort %+v\nwhole %+v", p, x, y)
		}
		if x, y := w.st[0].troubleIf(a), w.st[1].troubleIf(b); x != nil && !x.is(y) {
			t.Fatalf("packet %+v:\nshort %+v\nwhole %+v", p, x, y)
		}
	}
}

// is tells whether two troubles hold the same.
func (t *trouble) is(o *trouble) bool {
	x, y := *t, *o
	x.holes, x.sacked, x.repeats, y.holes, y.sacked, y.repeats = nil, nil, nil, nil, nil, nil
	x.acked, x.lacks, y.acked, y.lacks = 0, false, 0, false // bounds: see TestTrouble
	return reflect.DeepEqual(x, y) && slices.Equal(t.holes, o.holes) && slices.Equal(t.sacked, o.sacked) && slices.Equal(t.repeats, o.repeats)
}

// end compares what both report.
func (w *twins) end(t *testing.T, now int64) {
	t.Helper()
	var r [2]Report
	var few [2]Samples
	var x [2]*Distributions
	for i := range w.c {
		w.c[i].Report(w.st[i], &r[i], 0, true)
		if w.c[i].Samples(w.st[i], &few[i], 0) {
			x[i] = w.c[i].Distributions(w.st[i], 0)
		} else {
			x[i] = new(Spread).Distributions(&few[i])
		}
		w.st[i].Release(&w.c[i])
	}
	if r[0] != r[1] {
		t.Fatalf("short %+v\nwhole %+v", r[0], r[1])
	}
	if !reflect.DeepEqual(x[0], x[1]) {
		t.Fatalf("short %+v\nwhole %+v", x[0], x[1])
	}
}

// The short way of plain packets leads to the same as the whole way, in
// connections of all kinds, with a part of their packets changed.
func TestPlainIsWhole(t *testing.T) {
	for k := range numKinds {
		for seed := range uint64(20) {
			records := draw(k, seed).run().records
			for _, changes := range []int{0, 100, 5} { // one packet in so many
				r := rand.New(rand.NewPCG(seed, uint64(changes)))
				w := newTwins()
				now := int64(0)
				for i := range records {
					p := records[i].Packet
					alike := false
					if changes > 0 && r.IntN(changes) == 0 {
						alike = change(r, &p)
					}
					now = p.Now
					w.add(t, &p, records[i].w.from, changes > 0 && i > 20, alike)
				}
				w.end(t, now)
			}
		}
	}
}

// change alters something of a packet that plain looks at. It tells whether the
// packet is now one that is like the one before.
func change(r *rand.Rand, p *packet.Packet) (alike bool) {
	k := &p.TCP
	near := func() uint32 { return uint32(r.IntN(5)-2) << r.IntN(16) }
	switch r.IntN(12) {
	case 0:
		k.Seq += near()
	case 1:
		k.Ack += near()
	case 2:
		k.Flags ^= 1 << r.IntN(9)
	case 3:
		k.Window = uint16(r.IntN(3)) << r.IntN(15)
	case 4:
		k.Has ^= packet.HasTimestamps
	case 5:
		k.TSval += near()
	case 6:
		k.TSecr += near()
	case 7:
		p.IPID += uint16(r.IntN(70))
	case 8:
		p.PayloadLen = uint32(r.IntN(3)) << r.IntN(16)
	case 9:
		p.Version ^= 2 // 4 and 6
	case 10:
		p.Time += int64(r.IntN(3)-1) << r.IntN(32)
	case 11:
		return true
	}
	return false
}

// Most packets of a transfer and of exchanges are plain.
func TestMostArePlain(t *testing.T) {
	b := newBulk()
	if b.st.wholes != 0 {
		t.Errorf("%d packets of the opening took the whole way", b.st.wholes)
	}
	b.round()
	b.exchange()
	var g Segment
	before := b.st.wholes
	for dir, k := range []packet.TCP{{Flags: ack, Seq: b.seq, Ack: b.answered}, {Flags: psh, Seq: b.answered, Ack: b.seq + 100}} {
		k.Window, k.Has, k.TSval = 5000, packet.HasTimestamps, uint32(b.now/1e6)
		b.ids[dir]++
		p := packet.Packet{Time: b.now, Now: b.now, Version: 4, TTL: 64, IPID: b.ids[dir], PayloadLen: 100, TCP: k}
		b.c.AddTo(b.st, &g, &p, dir, &b.o, false)
		if b.st.wholes != before {
			t.Errorf("data of direction %d is not plain", dir)
		}
		p.TCP.Seq += 100
		p.PayloadLen = 0
		b.c.AddTo(b.st, &g, &p, dir, &b.o, false)
		if b.st.wholes != before {
			t.Errorf("the ACK of direction %d is not plain", dir)
		}
	}
}

// What was lost and sent again costs its connection the short way until it is
// acknowledged, and once more when it is forgotten.
func TestRepairedIsPlain(t *testing.T) {
	for _, before := range []bool{false, true} {
		b := newBulk()
		b.round()
		b.recovery(before)
		b.now -= 2e9
		b.round()
		wholes := b.st.wholes
		for range 5 {
			b.round()
		}
		if n := b.st.wholes - wholes; n > 2 {
			t.Errorf("before %v: %d packets behind the repair took the whole way", before, n)
		}
		if b.now += 2e9; b.c.Dirs[0].has&troubled == 0 {
			t.Errorf("before %v: the trouble is forgotten already", before)
		}
		b.round()
		if b.c.Dirs[0].has&troubled != 0 {
			t.Errorf("before %v: the trouble stays", before)
		}
	}
}

// Of several repeats the later one may be acknowledged first: an ACK that comes to the
// others is not plain yet.
func TestRepeatsApartAreWhole(t *testing.T) {
	w := newTwins()
	now, ids, next := epoch, [2]uint16{}, [2]uint32{1000, 5000}
	acked := [2]uint32{}
	put := func(dir int, flags uint16, seq, n uint32) {
		now += 1e6
		ids[dir]++
		p := packet.Packet{
			Time: now, Now: now, Version: 4, TTL: 64, IPID: ids[dir], PayloadLen: n,
			TCP: packet.TCP{Flags: flags, Seq: seq, Ack: acked[1-dir], Window: 50000, Has: packet.HasTimestamps, TSval: uint32(now / 1e6)},
		}
		w.add(t, &p, dir, false, false)
	}
	put(0, packet.SYN, next[0]-1, 0)
	acked[0] = next[0]
	put(1, packet.SYN|packet.ACK, next[1]-1, 0)
	acked[1] = next[1]
	put(0, packet.ACK, next[0], 0)
	for range 4 {
		put(0, packet.ACK, next[0], 1000)
		next[0] += 1000
	}
	put(0, packet.ACK, next[0]-2000, 1000)
	put(0, packet.ACK, next[0]-4000, 1000)
	for range 2 {
		acked[0] += 1000
		put(1, packet.ACK, next[1], 0)
		put(0, packet.ACK, next[0], 1000)
		next[0] += 1000
	}
	if tr := w.st[0].troubleIf(&w.c[0].Dirs[0]); tr == nil || len(tr.repeats) != 2 {
		t.Fatalf("%+v, want two repeats", tr)
	}
	acked[0] = next[0]
	put(1, packet.ACK, next[1], 0)
	put(0, packet.ACK, next[0], 1000)
	next[0] += 1000
	w.end(t, now)
}

// FuzzPlain does as FuzzConn, twice, with short conversations: the fuzzer is busy
// for minutes to make one of thousands of packets smaller.
func FuzzPlain(f *testing.F) {
	const most = 48 // packets
	for _, k := range []kind{planClean, planLoss, planLossReordered, planSlowReader, planMissed} {
		for seed := range uint64(3) {
			b := encode(draw(k, seed).run().records)
			f.Add(b[:min(len(b), most*fuzzPacket)])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newTwins()
		now := epoch
		for i := 0; len(b) >= fuzzPacket && i < most; i++ {
			p, dir, alike, without := decodeFuzz(&w.c[0], b[:fuzzPacket], &now)
			b = b[fuzzPacket:]
			w.add(t, &p, dir, without, alike)
		}
		w.end(t, now)
	})
}
