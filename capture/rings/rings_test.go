//go:build linux

package rings

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorscope/capture"
)

// fake is a ring whose frames become visible bit by bit.
type fake struct {
	frames  []int64 // times
	rng     *rand.Rand
	shy     float64 // how often it has nothing for now
	err     error   // of Check
	closed  bool
	given   uint64
	stopped bool
	gather  time.Duration
	lent    [64][8]byte
}

func (r *fake) Next(f *capture.Frame) bool {
	clear(r.lent[:]) // what was lent is gone
	return r.lend(f, 0)
}

func (r *fake) NextBatch(fs []capture.Frame) (n int) {
	clear(r.lent[:])
	for n < min(len(fs), len(r.lent)) && r.lend(&fs[n], n) {
		n++
	}
	return n
}

// lend gives the next frame, whose octets are its time.
func (r *fake) lend(f *capture.Frame, place int) bool {
	if len(r.frames) == 0 || r.rng.Float64() < r.shy {
		return false
	}
	data := r.lent[place][:]
	binary.NativeEndian.PutUint64(data, uint64(r.frames[0]))
	*f = capture.Frame{Data: data, Time: r.frames[0], WireLen: 60, Link: capture.LinkEthernet}
	r.frames = r.frames[1:]
	r.given++
	return true
}

// Horizon: the next frame can come at any time, but not before its own.
func (r *fake) Horizon(now int64) int64 {
	if len(r.frames) == 0 {
		return now
	}
	return r.frames[0]
}

func (r *fake) FD() int               { return -1 }
func (r *fake) Wake()                 {}
func (r *fake) Gather() time.Duration { return r.gather }
func (r *fake) Check(int64) error     { return r.err }
func (r *fake) Fill() float64         { return float64(len(r.frames)) / 1000 }
func (r *fake) Close() error          { r.closed = true; return nil }
func (r *fake) Stats() capture.Stats {
	return capture.Stats{Frames: r.given, Bytes: 60 * r.given, Losses: []capture.Loss{{Place: "ring_full", Frames: 3}}, Events: []capture.Loss{{Place: "rebinds", Frames: 1}}}
}

func open(t *testing.T, rings ...*fake) *Source {
	t.Helper()
	faces := []Interface{{Name: "a"}, {Name: "b", Losses: func() []capture.Loss {
		return []capture.Loss{{Place: "nic_rx_dropped", Frames: 7}, {Place: "ring_full", Frames: 1}}
	}}}
	for i, r := range rings {
		if r.rng == nil {
			r.rng = rand.New(rand.NewPCG(uint64(i), 1))
		}
		f := &faces[i%2]
		f.Rings = append(f.Rings, r)
	}
	for i := range faces {
		f := &faces[i]
		f.Stop = func() error {
			for _, r := range f.Rings {
				r.(*fake).stopped = true
			}
			return nil
		}
		f.Close = func() error {
			for _, r := range f.Rings {
				_ = r.Close()
			}
			return nil
		}
	}
	s, err := New(faces...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Whenever the rings show their frames, these come in order of time, all of
// them, each with its interface.
func TestOrder(t *testing.T) {
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 7))
		var rings []*fake
		var want []int64
		for range 1 + rng.IntN(5) {
			r := &fake{rng: rng, shy: rng.Float64() / 2}
			for range rng.IntN(60) {
				r.frames = append(r.frames, 1+rng.Int64N(1e6))
			}
			slices.Sort(r.frames)
			want = append(want, r.frames...)
			rings = append(rings, r)
		}
		slices.Sort(want)
		s := open(t, rings...)
		s.Stop()
		var got []int64
		batch := make([]capture.Frame, 1+rng.IntN(100))
		for {
			var n int
			var err error
			if rng.IntN(2) == 0 {
				n, err = s.NextBatch(batch)
			} else if err = s.Next(&batch[0]); err == nil {
				n = 1
			}
			if errors.Is(err, capture.ErrIdle) {
				continue
			}
			if err != nil {
				if err != io.EOF {
					t.Fatal(err)
				}
				break
			}
			if n == 0 {
				t.Fatal("neither a frame nor an error")
			}
			for _, f := range batch[:n] {
				if int64(binary.NativeEndian.Uint64(f.Data)) != f.Time {
					t.Fatalf("seed %d: the octets of a frame of a batch of %d are not there any more", seed, n)
				}
				got = append(got, f.Time)
			}
		}
		if !slices.Equal(got, want) {
			t.Fatalf("seed %d, %d rings: %d frames of %d, in order: %v", seed, len(rings), len(got), len(want), slices.IsSorted(got))
		}
		for _, r := range rings {
			if !r.stopped {
				t.Error("a ring was not stopped")
			}
		}
	}
}

// The frames of all rings come in the order in which they would come one after
// the other, those of the same time by the number of the ring.
func TestBatchOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		lists := make([][]int64, 3)
		for i := range lists {
			for range rng.IntN(200) {
				lists[i] = append(lists[i], 1+rng.Int64N(50))
			}
			slices.Sort(lists[i])
		}
		var rings, again []*fake
		for _, l := range lists {
			rings, again = append(rings, &fake{frames: l}), append(again, &fake{frames: l})
		}
		all := func(s *Source, n int) (order []string) {
			s.Stop()
			fs := make([]capture.Frame, n)
			for {
				k, err := s.NextBatch(fs)
				if err == io.EOF {
					return order
				}
				for _, f := range fs[:k] {
					order = append(order, fmt.Sprint(f.Time, f.Interface))
				}
			}
		}
		if one, many := all(open(t, rings...), 1), all(open(t, again...), 40); !slices.Equal(one, many) {
			t.Fatalf("one after the other\n%v\nin batches\n%v", one, many)
		}
	}
}

// A ring that has given frames is let alone for a while, and not longer: then
// it is waited for.
func TestGather(t *testing.T) {
	r := &fake{gather: 30 * time.Millisecond}
	s := open(t, r)
	var f capture.Frame
	frame := func() {
		t.Helper()
		if err := s.Next(&f); err != nil {
			t.Fatal(err)
		}
	}
	r.frames = []int64{1}
	frame()
	start := time.Now()
	time.AfterFunc(time.Millisecond, s.Stop) // wakes it at once, also while frames gather
	err := s.Next(&f)
	for errors.Is(err, capture.ErrIdle) {
		err = s.Next(&f)
	}
	if err != io.EOF {
		t.Error(err)
	}
	if took := time.Since(start); took > idleWait {
		t.Errorf("the end came after %v", took)
	}

	s = open(t, r)
	r.frames = []int64{2}
	frame()
	start = time.Now()
	if err := s.Next(&f); !errors.Is(err, capture.ErrIdle) {
		t.Error(err)
	}
	if took := time.Since(start); took < idleWait+r.gather/2 {
		t.Errorf("idle after %v: frames did not gather", took)
	}
	start = time.Now()
	if err := s.Next(&f); !errors.Is(err, capture.ErrIdle) {
		t.Error(err)
	}
	if took := time.Since(start); took > idleWait+idleWait/2 {
		t.Errorf("idle again after %v: the ring was let alone with nothing in it", took)
	}
}

// Without frames the clock goes on, and never back.
func TestIdle(t *testing.T) {
	s := open(t, &fake{}, &fake{frames: []int64{time.Now().UnixNano()}})
	var f capture.Frame
	if err := s.Next(&f); err != nil || f.Interface != 1 {
		t.Fatalf("%v, interface %d: want the frame of the second one", err, f.Interface)
	}
	last := f.Time
	for range 3 {
		before := time.Now().UnixNano()
		if err := s.Next(&f); !errors.Is(err, capture.ErrIdle) {
			t.Fatalf("error %v, want ErrIdle", err)
		}
		if f.Time < last || f.Time < before || f.Time > time.Now().UnixNano() || f.Data != nil {
			t.Errorf("clock %d after %d, called at %d", f.Time, last, before)
		}
		last = f.Time
		if s.Beat() < before {
			t.Error("no heartbeat")
		}
	}
}

// A frame waits as long as another ring may have an earlier one.
func TestHeldBack(t *testing.T) {
	late := time.Now().Add(30 * time.Millisecond).UnixNano()
	s := open(t, &fake{frames: []int64{late}}, &fake{}) // the second one's horizon is the clock
	var f capture.Frame
	if err := s.Next(&f); err != nil || f.Time != late {
		t.Fatalf("%v, time %d", err, f.Time)
	}
	if now := time.Now().UnixNano(); now < late {
		t.Errorf("given out %d ns before the other ring could be known to have nothing earlier", late-now)
	}
}

// A ring that cannot go on ends the capture when all rings are empty.
func TestFailedRing(t *testing.T) {
	gone := errors.New("gone")
	broken, other := &fake{frames: []int64{5, 6}, err: gone}, &fake{frames: []int64{1, 7}}
	s := open(t, broken, other)
	var f capture.Frame
	var got []int64
	var err error
	for {
		if err = s.Next(&f); err == nil {
			got = append(got, f.Time)
		} else if !errors.Is(err, capture.ErrIdle) {
			break
		}
	}
	if !errors.Is(err, gone) || !slices.Equal(got, []int64{1, 5, 6, 7}) || !other.stopped {
		t.Errorf("error %v, frames %v, stopped %v", err, got, other.stopped)
	}
}

// What befell an interface is told once, however many rings it has.
func TestFailedOnce(t *testing.T) {
	var list []*fake
	for range 4 {
		list = append(list, &fake{err: fmt.Errorf("it is down: %w", capture.ErrRestart)})
	}
	list = append(list, &fake{err: errors.New("another thing")})
	s := open(t, list...) // of two interfaces
	var f capture.Frame
	err := capture.ErrIdle
	for errors.Is(err, capture.ErrIdle) {
		err = s.Next(&f)
	}
	if !errors.Is(err, capture.ErrRestart) || strings.Count(err.Error(), "a: it is down") != 1 || strings.Count(err.Error(), "is down") != 2 || !strings.Contains(err.Error(), "another thing") {
		t.Errorf("error %v", err)
	}
}

// A clock that is set back ends the capture: it must begin anew.
func TestClockSetBack(t *testing.T) {
	s := open(t, &fake{frames: []int64{1}})
	var f capture.Frame
	if err := s.Next(&f); err != nil {
		t.Fatal(err)
	}
	s.ahead = int64(time.Second) // as if the clock had been set back by a second
	if err := s.Next(&f); !errors.Is(err, capture.ErrIdle) {
		t.Errorf("a second: %v, want it to go on", err)
	}
	s.ahead = int64(time.Hour)
	err := s.Next(&f)
	for errors.Is(err, capture.ErrIdle) {
		err = s.Next(&f)
	}
	if !errors.Is(err, capture.ErrRestart) || !strings.Contains(err.Error(), "set back by 1h0m0s") {
		t.Errorf("an hour: %v", err)
	}
	s.Stop()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	s.Stop() // after Close: nothing to wake
}

func TestSums(t *testing.T) {
	a, b := &fake{frames: make([]int64, 250)}, &fake{frames: make([]int64, 500)}
	s := open(t, a, b)
	want := []capture.Loss{{Place: "ring_full", Frames: 7}, {Place: "nic_rx_dropped", Frames: 7}}
	if got := s.Losses(); !slices.Equal(got, want) {
		t.Errorf("losses %v, want %v", got, want)
	}
	if got := s.Events(); !slices.Equal(got, []capture.Loss{{Place: "rebinds", Frames: 2}}) {
		t.Errorf("events %v", got)
	}
	if got := s.Fill(); got != 0.5 {
		t.Errorf("fill %v, want that of the fullest", got)
	}
	var f capture.Frame
	for range 10 {
		if err := s.Next(&f); err != nil {
			t.Fatal(err)
		}
	}
	if frames, octets := s.Received(); frames < 10 || octets != 60*frames {
		t.Errorf("received %d frames, %d octets", frames, octets)
	}
	if _, err := New(); err == nil {
		t.Error("a source without interfaces")
	}
}

func TestNextAllocs(t *testing.T) {
	a, b := &fake{frames: make([]int64, 50_000)}, &fake{frames: make([]int64, 50_000)}
	s := open(t, a, b)
	var f capture.Frame
	if n := testing.AllocsPerRun(20_000, func() { _ = s.Next(&f) }); n != 0 {
		t.Errorf("%v allocations per frame", n)
	}
}

func BenchmarkNext(b *testing.B) {
	for _, n := range []int{1, 4} {
		b.Run(map[int]string{1: "1 ring", 4: "4 rings"}[n], func(b *testing.B) {
			var face Interface
			for range n {
				face.Rings = append(face.Rings, &endless{})
			}
			s, err := New(face)
			if err != nil {
				b.Fatal(err)
			}
			fs := make([]capture.Frame, 64)
			for i := 0; i < b.N; {
				n, _ := s.NextBatch(fs)
				i += n
			}
		})
	}
}

// endless always has a frame.
type endless struct {
	fake
	t int64
}

func (r *endless) NextBatch(fs []capture.Frame) int {
	for i := range fs {
		r.t++
		fs[i] = capture.Frame{Time: r.t}
	}
	return len(fs)
}

// small is a ring of which little can wait.
type small struct {
	endless
	spills bool
	shares []float64 // that Spill was called with
}

func (r *small) Spills() bool        { return r.spills }
func (r *small) Spill(share float64) { r.shares = append(r.shares, share) }

// Rings that need it are asked to make room, and of several also while frames of others are
// given out.
func TestSpill(t *testing.T) {
	for _, rings := range [][]*small{{{}}, {{spills: true}}, {{spills: true}, {}, {spills: true}}} {
		face := Interface{Name: "a"}
		for _, r := range rings {
			face.Rings = append(face.Rings, r)
		}
		s, err := New(face)
		if err != nil {
			t.Fatal(err)
		}
		if s.Spills() != (len(rings) > 1 || rings[0].spills) {
			t.Errorf("%d rings, spills %v: told %v", len(rings), rings[0].spills, s.Spills())
		}
		fs := make([]capture.Frame, 64)
		for n := 0; n < 10*spillEvery; {
			k, err := s.NextBatch(fs)
			if err != nil {
				t.Fatal(err)
			}
			n += k
		}
		for i, r := range rings {
			if asked := len(r.shares); len(rings) > 1 && r.spills && asked < 8 || asked > 0 && (len(rings) == 1 || !r.spills) {
				t.Errorf("ring %d of %d, spills %v: asked %d times in 10 rounds", i, len(rings), r.spills, asked)
			}
			r.shares = nil
		}
		s.Spill(0)
		for i, r := range rings {
			if r.spills != slices.Equal(r.shares, []float64{0}) {
				t.Errorf("ring %d of %d, spills %v: asked with %v", i, len(rings), r.spills, r.shares)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
