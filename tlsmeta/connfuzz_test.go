package tlsmeta

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"

	"mirrorscope/pool"
)

// FuzzConn gives any octets in any pieces of both directions, with holes and
// ends between. in is a row of pieces: a control octet, a length octet, octets.
// What is taken from the budget stays within it and is given back; nothing is
// told to lie where nothing was.
func FuzzConn(f *testing.F) {
	seed := func(s *script, n int) {
		var in []byte
		for _, v := range cut(s.events, func(int) int { return n }) {
			c := byte(v.dir)
			if v.fin {
				c |= 2
			}
			in = append(append(in, c, byte(len(v.data))), v.data...)
		}
		f.Add(in, uint32(1<<16))
		f.Add(in, uint32(300))
		f.Add(in, uint32(1<<16+1)) // without the client's hello
	}
	for _, n := range []int{255, 60, 7} {
		seed(new(script).client(0, ch13).server(25*ms, flight13(sh13)...).client(34*ms, ccs, fin13, data).server(60*ms, nst13, data).fin(0, 1), n)
		seed(new(script).client(0, chEarly, ccs, data).server(25*ms, shPSK, ee, fin13, data).client(34*ms, eoed, fin13).fin(1, 1), n)
		seed(new(script).client(0, chEarly, data).server(25*ms, hrr, ccs).client(34*ms, chPSK).server(55*ms, shPSK, ee, fin13).client(64*ms, enc(90)).server(66*ms, data), n)
		seed(new(script).client(0, ch12).server(25*ms, hand(sh12, shd)).client(34*ms, hand(cke), ccs, fin12, data).server(58*ms, hand(ticket12), ccs, fin12), n)
		seed(new(script).client(0, ch12again).server(25*ms, hand(sh12echoed), ccs, fin12).client(34*ms, ccs, fin12).client(36*ms, alertRec(2, 20)), n)
	}
	f.Add([]byte{0, 13, 0x80, 25, 1, 3, 3, 0, 6, 0, 0, 0, 16, 0, 0xc0}, uint32(1000))
	f.Add([]byte("0\a\x16\x03000\x01\x002\x03000000"), uint32(1<<16+5)) // it goes on behind its end
	f.Add([]byte{0, 2, 0x80, 3, 0, 4, 1, 3, 3, 3}, uint32(1000))
	f.Fuzz(func(t *testing.T, in []byte, room uint32) {
		b := Room{Budget: &pool.Budget{Max: int64(room)}}
		slow := Room{Budget: &pool.Budget{Max: int64(room)}, unhurried: true}
		var x, twin Conn
		x.Init(0)
		twin.Init(0)
		if room&1 != 0 {
			x.Headless()
			twin.Headless()
		}
		at := int64(epoch)
		var sent, una [2]int64
		for len(in) >= 2 {
			c, n := in[0], int(in[1])
			in = in[2:]
			dir := int(c & 1)
			at += int64(c) * 1000
			s := Segment{Pos: base(dir) + sent[dir], Time: at, Acked: base(1-dir) + sent[1-dir], Una: base(dir) + una[dir], MSS: 1 + int64(c>>4)*100, Filled: c&16 != 0, Inferred: c&32 != 0}
			if c&64 != 0 {
				s.Acked = base(1-dir) + una[1-dir]
			} else {
				una[1-dir] = sent[1-dir]
			}
			switch {
			case c&4 != 0 && n > 0:
				s.Missing = int64(n) * 16
				sent[dir] += s.Missing
			default:
				n = min(n, len(in))
				s.Data, in = in[:n], in[n:]
				sent[dir] += int64(n)
			}
			if s.Missing > 0 || len(s.Data) > 0 {
				x.Feed(&b, dir, &s, int64(c>>3)*1e5)
				twin.Feed(&slow, dir, &s, int64(c>>3)*1e5)
				x.alike(t, &twin)
				if x.Over() && b.Used() != 0 {
					t.Fatalf("%d octets are taken, nothing more is read", b.Used())
				}
			}
			if c&8 != 0 {
				x.Again(dir, s.Pos-int64(n), s.Pos+int64(n)/2, at)
				twin.Again(dir, s.Pos-int64(n), s.Pos+int64(n)/2, at)
			}
			switch {
			case c&2 == 0:
			case c&1 != 0 && c&4 != 0:
				x.HalfClosed(dir, at)
				twin.HalfClosed(dir, at)
			default:
				x.Close(dir, at)
				twin.Close(dir, at)
			}
			if b.Used() < 0 || b.Used() > b.Max {
				t.Fatalf("%d of %d octets taken", b.Used(), b.Max)
			}
			for d, pos := range x.Data {
				if pos != 0 && (pos < base(d) || pos > base(d)+sent[d]) {
					t.Fatalf("data of %d from %d, %d octets came", d, pos-base(d), sent[d])
				}
			}
		}
		x.End(at&1 == 0, at)
		twin.End(at&1 == 0, at)
		x.Release(&b)
		twin.Release(&slow)
		x.alike(t, &twin)
		y := &x.Timing
		switch {
		case b.Used() != 0:
			t.Fatalf("%d octets stay taken", b.Used())
		case x.Info.Outcome == OutcomeNone:
			t.Fatal("no outcome")
		case y.End != 0 && (y.End < y.Start || y.Start != 0 && y.Start < epoch || y.End > at):
			t.Fatalf("from %d to %d", y.Start, y.End)
		case (y.End != 0) != (x.Info.Outcome == Completed || x.Info.Outcome == FailedAfterFinished):
			t.Fatalf("%v, ended at %d", x.Info.Outcome, y.End)
		case int(y.numLegs) > maxLegs:
			t.Fatalf("%d legs", int(y.numLegs))
		case x.Early().From > x.Early().End:
			t.Fatalf("early data in [%d, %d)", x.Early().From, x.Early().End)
		}
		if y.End != 0 && y.Start != 0 {
			network, client, server := y.Shares(0, 0)
			if client < 0 || server < 0 || network+client+server != y.End-y.Start {
				t.Fatalf("shares %d, %d, %d of %d", network, client, server, y.End-y.Start)
			}
		}
		was := x.told()
		x.End(true, at+1)
		x.Feed(&b, 0, &Segment{Pos: 1, Data: ch13, Time: at}, 0)
		if b.Used() != 0 || x.Info.Outcome != was.Info.Outcome {
			t.Fatal("it goes on behind its end")
		}
	})
}

// alike compares what is known of two connections, and where they are.
func (c *Conn) alike(t *testing.T, o *Conn) {
	t.Helper()
	a, b := *c.State, *o.State
	a.work, b.work = 0, 0
	if a != b || !reflect.DeepEqual(c.Info, o.Info) || (c.w == nil) != (o.w == nil) {
		t.Fatalf("%+v %+v, want\n%+v %+v", a, c.Info, b, o.Info)
	}
	if c.w == nil {
		return
	}
	v, w := *c.w, *o.w
	for i := range v.dirs { // where there is no present record, it does not matter what the latest was like
		x, y := &v.dirs[i], &w.dirs[i]
		if x.left == 0 {
			copy(x.hdr[x.nhdr:], y.hdr[x.nhdr:])
			if x.n, x.nal, x.alert = y.n, y.nal, y.alert; x.nhdr == 0 && !x.old {
				x.first = y.first
			}
		}
		x.buf, y.buf = 0, 0
	}
	if v != w {
		t.Fatalf("%+v, want\n%+v", v, w)
	}
}

// Records that lie whole in a segment are read as they are in pieces; and what one
// tells whose Info is shared is what others tell, and what it was shared as stays.
func TestConnWhole(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	whole := 0
	for range 20_000 {
		b := Room{Budget: &pool.Budget{Max: 1 << 16}}
		slow := Room{Budget: &pool.Budget{Max: 1 << 16}, unhurried: true}
		var x, twin Conn
		x.Init(0)
		twin.Init(0)
		many := Room{Budget: &pool.Budget{Max: 1 << 16}}
		state, told := *x.State, *x.Info
		s := [...]*script{
			new(script).client(0, ch13).server(25*ms, flight13(sh13)...).client(34*ms, ccs, fin13, data).server(60*ms, nst13, data),
			new(script).client(0, chEarly, ccs, data).server(25*ms, shPSK, ee, fin13, data).client(34*ms, eoed, fin13),
			new(script).client(0, chEarly, data).server(25*ms, hrr, ccs).client(34*ms, chPSK).server(55*ms, shPSK, ee, fin13).client(64*ms, enc(90)).server(66*ms, data),
			new(script).client(0, ch12).server(25*ms, hand(sh12, shd)).client(34*ms, hand(cke), ccs, fin12, data).server(58*ms, hand(ticket12), ccs, fin12),
			new(script).client(0, ch12again).server(25*ms, hand(sh12echoed), ccs, fin12).client(34*ms, ccs, fin12).client(36*ms, alertRec(2, 20)),
		}[rng.IntN(5)]
		var pos [2]int64
		for _, v := range cut(s.events, func(n int) int { return []int{n, n, n, 40, 300}[rng.IntN(5)] }) {
			p := Segment{Pos: base(v.dir) + pos[v.dir], Data: bytes.Clone(v.data), Time: v.at, Acked: base(1-v.dir) + pos[1-v.dir], MSS: 1448}
			if len(p.Data) > 0 && rng.IntN(20) == 0 {
				p.Data[rng.IntN(len(p.Data))] ^= 1 << rng.IntN(8)
			}
			if pos[v.dir] += int64(len(p.Data)); rng.IntN(40) == 0 {
				p.Missing, p.Data = int64(len(p.Data)), nil
			}
			if p.Missing == 0 && len(p.Data) == 0 {
				continue
			}
			if wholeRecord(p.Data) > 0 {
				whole++
			}
			x.Feed(&b, v.dir, &p, 5*ms)
			twin.Feed(&slow, v.dir, &p, 5*ms)
			x.alike(t, &twin)

			was, before := told, told
			var y Conn
			many.Share(&y, &state, &was)
			if y.Feed(&many, v.dir, &p, 5*ms); y.Changed() {
				told = *y.Info
			}
			y = many.Conn(&state, &told)
			x.alike(t, &y)
			if !reflect.DeepEqual(was, before) {
				t.Fatalf("%+v has become %+v", before, was)
			}
		}
	}
	if whole < 20_000 {
		t.Errorf("only %d segments begin with a whole record", whole)
	}
}

// Behind the handshake, a packet allocates nothing; nor does one of another
// handshake in the same Conn that holds no message.
func TestConnAllocs(t *testing.T) {
	b := Room{Budget: &pool.Budget{Max: 1 << 20}}
	record := rec(typeData, 16384)
	for _, tt := range []struct {
		name string
		s    *script
	}{
		{"1.3", new(script).client(0, ch13).server(25*ms, flight13(sh13)...).client(34*ms, ccs, fin13)},
		{"1.2", new(script).client(0, ch12).server(25*ms, hand(sh12, shd)).client(34*ms, hand(cke), ccs, fin12).server(58*ms, ccs, fin12)},
	} {
		for dir := range 2 {
			var x Conn
			x.Init(0)
			feedEvents(&x, &b, tt.s.events, 1448)
			if !x.Done() {
				t.Fatal("not done")
			}
			pos, off := base(dir)+tt.s.sent[dir], 0
			if n := testing.AllocsPerRun(1000, func() {
				n := min(1448, len(record)-off)
				x.Feed(&b, dir, &Segment{Pos: pos, Data: record[off : off+n], Time: pos, Una: pos, MSS: 1448}, 6e6)
				pos += int64(n)
				off = (off + n) % len(record)
			}); n != 0 {
				t.Errorf("%s: %v allocations per packet of application data in direction %d, want 0", tt.name, n, dir)
			}
		}
	}
}

func BenchmarkConn(b *testing.B) {
	for _, bb := range []struct {
		name string
		s    *script
	}{
		{"1.3", new(script).client(0, ch13).server(25*ms, flight13(sh13)...).client(34*ms, ccs, fin13, data)},
		{"1.2", new(script).client(0, ch12).server(25*ms, hand(sh12, shd)).client(34*ms, hand(cke), ccs, fin12).server(58*ms, ccs, fin12)},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			budget := Room{Budget: &pool.Budget{Max: 1 << 20}}
			var x Conn
			for b.Loop() {
				x.Init(0)
				feedEvents(&x, &budget, bb.s.events, 1448)
				x.Release(&budget)
			}
			if x.Info.Outcome != Completed {
				b.Fatal(x.Info.Outcome)
			}
		})
	}
}
