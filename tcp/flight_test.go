package tcp

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// plainFlight is a flight of slices, as it is described.
type plainFlight struct {
	segs  []segment
	marks []mark // latest last
}

// mark is the first use of a TSval.
type mark struct {
	segment
	tsval uint32
	open  bool // no echo was taken
}

func (f *plainFlight) sent(end, at int64) {
	if len(f.segs) == maxSegs {
		var kept []segment
		for i, s := range f.segs {
			if i%2 == 1 || i >= maxSegs-maxSegs/4 {
				kept = append(kept, s)
			}
		}
		f.segs = kept
	}
	f.segs = append(f.segs, segment{end, at})
}

func (f *plainFlight) stamp(tsval uint32, end, at int64) {
	if n := len(f.marks); n > 0 && !After(tsval, f.marks[n-1].tsval) {
		return
	}
	f.marks = append(f.marks, mark{segment{end, at}, tsval, true})
	f.marks = f.marks[max(len(f.marks)-maxMarks, 0):]
}

func (f *plainFlight) echo(tsecr uint32, ack int64) (int64, bool) {
	for i := range f.marks {
		if m := &f.marks[i]; m.open && m.tsval == tsecr {
			m.open = false
			return m.at, ack >= m.end
		}
	}
	return 0, false
}

func (f *plainFlight) acked(ack int64) (at int64, exact bool) {
	i := slices.IndexFunc(f.segs, func(s segment) bool { return s.end > ack })
	if i < 0 {
		i = len(f.segs)
	}
	if i == 0 {
		return 0, false
	}
	last := f.segs[i-1]
	f.segs = f.segs[i:]
	return last.at, last.end == ack
}

func TestFlight(t *testing.T) {
	r := rand.New(rand.NewPCG(17, 18))
	st := NewStore(DefaultConfig())
	for range 2000 {
		var d Dir
		f := st.flightOf(&d)
		var plain plainFlight
		end, at, una, ts, most := int64(firstPos), epoch, int64(firstPos), r.Uint32(), 1+r.IntN(120)
		for range 300 {
			at += r.Int64N(1e6) + 1
			if len(plain.segs) < most && r.IntN(3) > 0 {
				end += 1 + r.Int64N(1448)
				if d.packets++; f.crowded && (f.first+f.n)%maxSegs != uint8(d.packets%maxSegs) {
					t.Fatal("the place of a segment is not the one that is loaded ahead")
				}
				f = st.put(&d, f, end, at)
				plain.sent(end, at)
				ts += uint32(r.IntN(3))
				st.stamp(&d, f, ts, end, at)
				f = st.flight(d.flight)
				plain.stamp(ts, end, at)
				continue
			}
			una += r.Int64N(end - una + 1)
			if r.IntN(4) == 0 && len(plain.segs) > 0 {
				una = plain.segs[r.IntN(len(plain.segs))].end
			}
			if r.IntN(10) == 0 {
				una = end
			}
			echo := ts - uint32(r.IntN(6))
			at1, ok1 := f.echo(echo, una)
			at2, ok2 := plain.echo(echo, una)
			if at1 != at2 || ok1 != ok2 {
				t.Fatalf("echo: %d %v, want %d %v", at1, ok1, at2, ok2)
			}
			at1, ok1 = f.acked(una)
			at2, ok2 = plain.acked(una)
			if at1 != at2 || ok1 != ok2 || int(f.n) != len(plain.segs) {
				t.Fatalf("acked: %d %v, %d left, want %d %v, %d", at1, ok1, f.n, at2, ok2, len(plain.segs))
			}
			if len(plain.segs) > 0 {
				if s := plain.segs[r.IntN(len(plain.segs))]; f.sentAt(s.end-1) != s.at {
					t.Fatalf("sent at %d, want %d", f.sentAt(s.end-1), s.at)
				}
			}
		}
		st.freeFlight(&d)
		if st.inUse() != 0 {
			t.Fatalf("%d values in use", st.inUse())
		}
	}
}
