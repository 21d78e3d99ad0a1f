package stream

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"mirrorscope/pool"
)

// seg is a segment as pushed: of the octets a, b, c … from pos on; cut is how
// many of them were not captured.
type seg struct {
	pos, n, cut int
	at          int64
}

func buffers(room int64) *Buffers { return &Buffers{Budget: &pool.Budget{Max: room}} }

func letter(pos int) byte { return 'a' + byte(pos%26) }

func octets(pos, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = letter(pos + i)
	}
	return b
}

// play pushes segments and writes down what comes out: octets as letters,
// missing ones as dots, with the times where they change.
func play(s *Stream, b *Buffers, segs ...seg) string {
	var out strings.Builder
	last := int64(-1)
	for _, g := range segs {
		s.Push(b, int64(g.pos), octets(g.pos, g.n-g.cut), int64(g.n), g.at, 0, 0)
		var c Chunk
		for s.Next(b, &c, 0) {
			if c.Time != last {
				out.WriteString("|")
				last = c.Time
			}
			out.Write(c.Data)
			out.WriteString(strings.Repeat(".", int(c.Missing)))
		}
	}
	return out.String()
}

func TestStream(t *testing.T) {
	for _, tt := range []struct {
		name string
		segs []seg
		want string
	}{
		{"in order", []seg{{0, 3, 0, 1}, {3, 2, 0, 2}}, "|abc|de"},
		{"repeated", []seg{{0, 3, 0, 1}, {0, 3, 0, 2}, {3, 1, 0, 3}}, "|abc|d"},
		{"repeated with more", []seg{{0, 3, 0, 1}, {1, 4, 0, 2}}, "|abc|de"},
		{"early: its time is that of what fills the hole", []seg{{0, 2, 0, 1}, {4, 2, 0, 2}, {2, 2, 0, 3}}, "|ab|cdef"},
		{"two holes", []seg{{0, 1, 0, 1}, {2, 1, 0, 2}, {4, 1, 0, 3}, {1, 1, 0, 4}, {3, 1, 0, 5}}, "|a|bc|de"},
		{"early twice", []seg{{0, 1, 0, 1}, {2, 2, 0, 2}, {2, 2, 0, 3}, {3, 3, 0, 4}, {1, 1, 0, 5}}, "|a|bcdef"},
		{"what fills the hole goes beyond what waits", []seg{{0, 1, 0, 1}, {2, 1, 0, 2}, {1, 4, 0, 3}}, "|a|bcde"},
		{"cut", []seg{{0, 4, 2, 1}, {4, 2, 0, 2}}, "|ab..|ef"},
		{"cut while early", []seg{{0, 1, 0, 1}, {2, 3, 1, 2}, {5, 1, 0, 2}, {1, 1, 0, 3}}, "|a|bcd.f"},
		{"begins in the middle", []seg{{100, 2, 0, 1}, {102, 1, 0, 2}}, "|wx|y"},
	} {
		var s Stream
		b := buffers(1 << 20)
		if tt.name != "begins in the middle" {
			s.Start(0)
		}
		if got := play(&s, b, tt.segs...); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		if s.Waiting() || b.Budget.Used() != 0 {
			t.Errorf("%s: %d octets are still taken", tt.name, b.Budget.Used())
		}
	}
}

// Where there is no room, the hole is told of and nothing else is lost.
func TestStreamNoRoom(t *testing.T) {
	var s Stream
	s.Start(0)
	b := buffers(100)
	got := play(&s, b, seg{0, 2, 0, 1}, seg{4, 2, 0, 2}, seg{8, 100, 0, 3})
	if want := "|ab|..|ef|.." + string(octets(8, 100)); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if b.Budget.Refused != 1 || b.Budget.Used() != 0 {
		t.Errorf("%d refused, %d taken", b.Budget.Refused, b.Budget.Used())
	}
}

func TestStreamGiveUp(t *testing.T) {
	var s Stream
	s.Start(0)
	b := buffers(1 << 20)
	play(&s, b, seg{0, 1, 0, 1}, seg{3, 1, 0, 2}, seg{6, 1, 0, 3})
	if s.Overdue(b, 600, 2, 500) || s.Overdue(b, 400, 9, 500) || !s.Overdue(b, 600, 3, 500) {
		t.Error("when a hole is overdue")
	}
	s.GiveUp(700)
	var c Chunk
	var got []byte
	for s.Next(b, &c, 0) {
		got = append(append(got, c.Data...), strings.Repeat(".", int(c.Missing))...)
	}
	if string(got) != "..d..g" || b.Budget.Used() != 0 {
		t.Errorf("%s, %d octets taken", got, b.Budget.Used())
	}
}

// What acknowledges octets that the other direction has not got to waits for
// them, and keeps its own time.
func TestStreamGate(t *testing.T) {
	var s Stream
	s.Start(0)
	b := buffers(1 << 20)
	var c Chunk
	s.Push(b, 0, octets(0, 2), 2, 5, 100, 50)
	s.Push(b, 2, octets(2, 2), 2, 6, 100, 50)
	if s.Next(b, &c, 50) {
		t.Fatalf("%+v was given before what it answers", c)
	}
	if p := s.Awaits(b, 400, 50, 500); p != 0 {
		t.Errorf("overdue after 395 ns: %d", p)
	}
	if p := s.Awaits(b, 600, 50, 500); p != 100 {
		t.Errorf("awaits %d, want 100", p)
	}
	if !s.Next(b, &c, 100) || c.Pos != 0 || c.Time != 5 || c.Filled || !s.Next(b, &c, 100) || c.Pos != 2 || c.Time != 6 || s.Next(b, &c, 100) || b.Budget.Used() != 0 {
		t.Errorf("%+v, %d taken", c, b.Budget.Used())
	}
	s.Push(b, 4, octets(4, 1), 1, 7, 100, 100)
	if !s.Next(b, &c, 100) || c.Pos != 4 || c.Time != 7 {
		t.Errorf("%+v", c)
	}
}

// Any order of any segments gives all octets once, in order, whatever the
// budget allows: those that were never given are told as missing.
func FuzzStream(f *testing.F) {
	f.Add(uint64(1), uint16(50), uint16(2000))
	f.Add(uint64(7), uint16(300), uint16(0))
	f.Add(uint64(9), uint16(200), uint16(300))
	f.Fuzz(func(t *testing.T, seed uint64, segments, room uint16) {
		rng := rand.New(rand.NewPCG(seed, 1))
		var s Stream
		s.Start(0)
		b := buffers(int64(room))
		next := int64(0)
		end := 0
		seen := map[int64]bool{}
		for i := range int(segments % 400) {
			pos := max(0, end+rng.IntN(60)-30)
			n := rng.IntN(40)
			cut := 0
			if rng.IntN(5) == 0 {
				cut = rng.IntN(n + 1)
			}
			end = max(end, pos+n)
			for k := pos; k < pos+n-cut; k++ {
				seen[int64(k)] = true
			}
			gate := int64(i)
			s.Push(b, int64(pos), octets(pos, n-cut), int64(n), int64(i), int64(rng.IntN(i+3)), gate)
			if rng.IntN(20) == 0 {
				s.GiveUp(int64(i))
			}
			var c Chunk
			for s.Next(b, &c, gate) {
				if c.Pos != next || len(c.Data) > 0 && c.Missing > 0 || c.End() == next {
					t.Fatalf("chunk %+v at %d", c, next)
				}
				if !bytes.Equal(c.Data, octets(int(c.Pos), len(c.Data))) {
					t.Fatalf("octets of another place at %d", next)
				}
				for k := range c.Data {
					if !seen[c.Pos+int64(k)] {
						t.Fatalf("octet %d was never recorded", c.Pos+int64(k))
					}
				}
				next = c.End()
			}
			if b.Budget.Used() > b.Budget.Max || !s.Waiting() && b.Budget.Used() != 0 {
				t.Fatalf("%d of %d taken", b.Budget.Used(), b.Budget.Max)
			}
		}
		s.Reset(b)
		if b.Budget.Used() != 0 {
			t.Fatalf("%d octets stay taken", b.Budget.Used())
		}
	})
}

// A packet in order, and one out of order, allocate nothing once the lists have
// grown.
func TestStreamAllocs(t *testing.T) {
	var s Stream
	s.Start(0)
	b := buffers(1 << 20)
	data := octets(0, 1000)
	pos := int64(0)
	var c Chunk
	push := func(p int64) {
		s.Push(b, p, data, 1000, p, 0, 0)
		for s.Next(b, &c, 0) {
		}
	}
	round := func() {
		push(pos)
		push(pos + 2000)
		push(pos + 1000)
		pos += 3000
	}
	round()
	if n := testing.AllocsPerRun(1000, round); n != 0 {
		t.Errorf("%v allocations per round, want 0", n)
	}
}

func BenchmarkInOrder(b *testing.B) {
	var s Stream
	s.Start(0)
	budget := buffers(1 << 20)
	data := octets(0, 1448)
	var c Chunk
	pos := int64(0)
	for b.Loop() {
		s.Push(budget, pos, data, 1448, pos, 0, 0)
		for s.Next(budget, &c, 0) {
		}
		pos += 1448
	}
}

// What passes comes out as by Push and Next, and leaves the same behind.
func TestPass(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	passed := 0
	for range 2000 {
		var quick, slow Stream
		b, c := buffers(300), buffers(300)
		if rng.IntN(4) > 0 {
			quick.Start(0)
			slow.Start(0)
		}
		pos := int64(0)
		for at := range int64(30) {
			from, n, gate, acked := pos, rng.IntN(20), int64(rng.IntN(50)), int64(rng.IntN(20))
			switch rng.IntN(8) {
			case 0:
				from += int64(rng.IntN(30))
			case 1:
				from = max(0, from-int64(rng.IntN(30)))
			}
			pos = max(pos, from+int64(n))
			data := octets(int(from), n)
			switch rng.IntN(12) {
			case 0:
				data = data[:n/2]
			case 1:
				data = append(data, 'x')
			}
			var got, want []Chunk
			var k Chunk
			if quick.Pass(b, &k, from, data, int64(n), at, acked, gate) {
				passed++
				got = append(got, k)
			} else {
				quick.Push(b, from, data, int64(n), at, acked, gate)
			}
			for quick.Next(b, &k, gate) {
				got = append(got, k)
			}
			slow.Push(c, from, data, int64(n), at, acked, gate)
			for slow.Next(c, &k, gate) {
				want = append(want, k)
			}
			if !reflect.DeepEqual(got, want) || quick != slow || b.Budget.Used() != c.Budget.Used() {
				t.Fatalf("%+v, want %+v; left %+v, want %+v", got, want, quick, slow)
			}
			if rng.IntN(10) == 0 {
				quick.GiveUp(at)
				slow.GiveUp(at)
			}
		}
	}
	if passed < 1000 {
		t.Errorf("%d segments passed", passed)
	}
}
