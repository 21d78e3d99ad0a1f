package flow

import (
	"reflect"
	"testing"
	"time"

	"mirrorscope/packet"
)

// However few records are made at a time, they are the same in the same order;
// and those of an interval that ended before its close come with it.
func TestPieces(t *testing.T) {
	play := func(piece int) []Record {
		s := newScene(t, func(c *Config) { c.Interval = 2 * time.Second })
		s.piece = piece
		for i := range 4000 {
			s.at(time.Duration(i) * 1700 * time.Microsecond)
			c := host{"10.1.0.1", uint16(20000 + i%700)}
			switch i % 5 {
			case 0:
				s.add(s.udp(c, host{"10.0.0.9", 53}, "x"))
			case 1:
				s.add(s.tcp(c, srv, "S", uint32(i), 0, "")).add(s.tcp(srv, c, "RA", 0, uint32(i)+1, ""))
			default:
				s.add(s.tcp(c, srv, "PA", uint32(i), 901, "GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
			}
			if i%300 == 0 {
				s.collect()
			}
		}
		s.end()
		for i := range s.recs {
			s.recs[i].serial = 0
		}
		return s.recs
	}
	want := play(1 << 20)
	intervals := 0
	for i := range want {
		if want[i].Kind == Interval {
			intervals++
		}
		if i > 0 && Compare(&want[i-1], &want[i]) > 0 {
			t.Fatalf("record %d is out of order", i)
		}
	}
	if intervals < 1000 || len(want)-intervals < 500 {
		t.Fatalf("%d records, %d of them of intervals, prove nothing", len(want), intervals)
	}
	for _, piece := range []int{1, 3, 100} {
		got := play(piece)
		if len(got) != len(want) {
			t.Fatalf("%d at a time: %d records, want %d", piece, len(got), len(want))
		}
		for i := range got {
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Fatalf("%d at a time: record %d is %+v, want %+v", piece, i, got[i], want[i])
			}
		}
	}
}

// What waits for the close of an interval is bounded: beyond that an interval
// record leaves with its connection. Nothing gets lost.
func TestIntervalsWithoutRoom(t *testing.T) {
	s := newScene(t, func(c *Config) { c.Interval, c.Memory = 10*time.Second, minMemory })
	const n = 20_000
	for i := range n {
		s.at(time.Duration(i) * 100 * time.Microsecond) // two seconds
		c := host{"10.1.0.1", uint16(1024 + i)}
		s.add(s.tcp(c, srv, "S", 1, 0, ""))
		if got := s.table.intervals.Len(); got > s.table.maxIntervals {
			t.Fatalf("%d interval records wait, want %d at most", got, s.table.maxIntervals)
		}
		if got, most := len(s.table.active), 4*s.table.maxFlows+64; got > most {
			t.Fatalf("%d flows are listed for the interval, want %d at most", got, most)
		}
		if i%500 == 0 {
			s.collect()
		}
	}
	s.end()
	var packets [numKinds]int64
	for i := range s.recs {
		r := &s.recs[i]
		packets[r.Kind] += r.Sent[Client].Packets
		if r.Kind == Interval && (r.IntervalStart != sceneStart || r.IntervalEnd != sceneStart+10e9) {
			t.Fatalf("interval from %d to %d", r.IntervalStart, r.IntervalEnd)
		}
		if i > 0 && Compare(&s.recs[i-1], r) > 0 {
			t.Fatalf("record %d is out of order: released at %d behind %d", i, r.Release, s.recs[i-1].Release)
		}
	}
	if packets[Connection] != n || packets[Interval] != n {
		t.Errorf("%d packets in connections and %d in intervals, want %d", packets[Connection], packets[Interval], n)
	}
}

// No piece is larger than was asked for, but for what a table has ready.
func TestCut(t *testing.T) {
	cfg := DefaultConfig()
	l := NewLearned(cfg)
	tables := make([]*Table, 4)
	s := &scene{t: t, now: sceneStart}
	for i := range tables {
		tables[i] = NewTable(cfg, l, new(packet.Names))
		for k := range 100 * i * i { // 0, 100, 400, 900
			p := s.udp(host{"10.1.0.1", uint16(1024 + k)}, host{"10.0.0.9", 99}, "x")
			p.Time = sceneStart + int64(k%50)*1000
			p.Now = max(p.Time, tables[i].now)
			tables[i].Add(&p)
		}
		tables[i].PlanFlush(sceneStart + 1e9)
	}
	total, last := 0, Mark{}
	for more := true; more; {
		var cut Mark
		cut, more = Cut(tables, 40)
		made := 0
		for _, table := range tables {
			var r Records
			table.Step(cut)
			table.Take(&r)
			for i := range r.Len() {
				if !last.before(r.At(i)) || cut.before(r.At(i)) {
					t.Fatal("a record of another piece")
				}
			}
			made += r.Len()
		}
		if made == 0 || made > 40 {
			t.Fatalf("a piece of %d records, want 1 to 40", made)
		}
		total += made
		last = cut
	}
	if total != 1400 {
		t.Errorf("%d records, want 1400", total)
	}
}
