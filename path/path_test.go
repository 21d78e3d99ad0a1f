package path_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"mirrorscope/flow"
	"mirrorscope/internal/pcapgen"
	"mirrorscope/tcp"
)

const ms = time.Millisecond

// threeTaps are on a path of 10 ms.
var threeTaps = []time.Duration{2 * ms, 5 * ms, 9 * ms}

// faulty is a random connection over three taps, two of whose clocks are off.
func faulty(seed uint64) (r *rand.Rand, rec pcapgen.Recording, taps []tap) {
	r = rand.New(rand.NewPCG(seed, 1))
	c := conn(threeTaps...)
	c.Fates = randomFates(r, r.IntN(6), 4)
	off := func() time.Duration { return time.Duration(r.IntN(600_000)-300_000) * time.Microsecond }
	return r, c.Record(), []tap{{name: "a"}, {name: "b", clock: off()}, {name: "c", clock: off()}}
}

// Losses, reordering and clocks that are off by up to 300 ms: each loss is
// found on its segment, the round trips and the order are exact. Only of a
// repeat that was needless nothing can tell.
func TestLossOnItsSegment(t *testing.T) {
	total, needless := int64(0), int64(0)
	for seed := range uint64(300) {
		_, rec, taps := faulty(seed)
		all := journal(&rec)
		x := replay(t, record(taps, rec), 2)
		p := x.one(t)
		if got := x.points(p); !slices.Equal(got, []string{"a", "b", "c"}) || p.Order.State != tcp.Measured || p.Joined.State != tcp.Measured {
			t.Fatalf("seed %d: order %v %v", seed, got, p.Order)
		}
		for i, rtt := range []time.Duration{6 * ms, 8 * ms} {
			s := &p.Segments[i]
			if s.RTT.State != tcp.Measured || s.RTT.Min != int64(rtt) || s.RTT.P50 < 0.98*float64(rtt) {
				t.Errorf("seed %d segment %d: round trip %+v, want %v", seed, i, s.RTT, rtt)
			}
			offset := int64(taps[i+1].clock - taps[i].clock)
			if !s.HasOffset || offset < s.OffsetMin || offset > s.OffsetMax || s.OffsetMax-s.OffsetMin != int64(rtt) {
				t.Errorf("seed %d segment %d: clocks %d to %d apart, want %d", seed, i, s.OffsetMin, s.OffsetMax, offset)
			}
			for side := range s.Loss {
				l, want := &s.Loss[side], lossBetween(all, i, pcapgen.Side(side))
				total += want
				if l.Lost != want {
					needless += want - l.Lost
					if l.Lost > want || l.Lost+l.Unlocated < want {
						t.Errorf("seed %d segment %d side %d: %+v, want %d lost", seed, i, side, *l, want)
					}
				}
				if l.State != tcp.Measured {
					t.Errorf("seed %d segment %d side %d: %+v", seed, i, side, *l)
				}
			}
		}
		for i := range p.Points {
			if p.Points[i].Missed != [2]int64{} {
				t.Errorf("seed %d: point %d is said to have missed %v", seed, i, p.Points[i].Missed)
			}
		}
	}
	if total < 100 || needless*50 > total {
		t.Errorf("%d of %d lost packets not found", needless, total)
	}
}

// What the captures miss is told apart from what the network loses.
func TestCaptureLossIsNoNetworkLoss(t *testing.T) {
	for _, test := range []struct{ rate, wrong float64 }{{0.01, 0.002}, {0.05, 0.005}} {
		var missed, said, lost, wrong int64
		for seed := range uint64(300) {
			r, rec, taps := faulty(seed)
			gone := map[[3]uint16]bool{}
			for i := range taps {
				taps[i].misses = func(p *pcapgen.Recorded) bool {
					miss := r.Float64() < test.rate
					if miss {
						gone[[3]uint16{uint16(p.Tap), uint16(p.From), binary.BigEndian.Uint16(p.Data[4:])}] = true
					}
					return miss
				}
			}
			p := replay(t, record(taps, rec), 2).one(t)
			wantMissed, wantLost := expected(journal(&rec), func(s *sent, i int) bool { return gone[[3]uint16{uint16(i), uint16(s.from), s.id}] })
			for i := range p.Points {
				for side := range 2 {
					missed += wantMissed[i][side]
					said += p.Points[i].Missed[side]
				}
			}
			for i := range p.Segments {
				for side, l := range p.Segments[i].Loss {
					lost += wantLost[i][side]
					wrong += max(0, l.Lost-wantLost[i][side])
					doubt := p.Points[i].Missed[side]+p.Points[i+1].Missed[side] > 0
					if doubt && (l.State != tcp.Ambiguous || l.Reasons&tcp.CaptureLoss == 0) {
						t.Errorf("rate %v seed %d: packets were missed, but the loss is %v", test.rate, seed, l.Quality)
					}
				}
			}
		}
		t.Logf("rate %v: %d packets missed, %d found; %d lost, %d missed ones called lost", test.rate, missed, said, lost, wrong)
		if float64(wrong) > test.wrong*float64(missed) || float64(said) > 1.02*float64(missed) || float64(said) < 0.98*float64(missed) {
			t.Errorf("rate %v: %d missed, %d found, %d of them called lost", test.rate, missed, said, wrong)
		}
	}
}

// expected gives what can be known of packets that taps did or did not record:
// those that a tap farther on recorded, or that arrived, were missed.
func expected(all []*sent, gone func(*sent, int) bool) (missed, lost [3][2]int64) {
	for _, s := range all {
		way := []int{0, 1, 2}
		if s.from == pcapgen.Server {
			slices.Reverse(way)
		}
		farthest := -1
		for n, i := range way {
			if s.taps[i] && !gone(s, i) {
				farthest = n
			}
		}
		for n, i := range way {
			switch {
			case farthest < 0:
			case n < farthest && gone(s, i), n > farthest && s.space && s.taps[i]:
				missed[i][s.from]++
			case n > farthest && s.space:
				lost[min(i, way[n-1])][s.from]++
				farthest = -1
			}
		}
	}
	return missed, lost
}

// The totals of three taps are those of one.
func TestTotalsOfOneTap(t *testing.T) {
	for seed := range uint64(50) {
		_, rec, taps := faulty(seed)
		for i := range taps {
			taps[i].clock = 0
		}
		p := replay(t, record(taps, rec), 1).one(t)
		for side := range p.Primary {
			only := slices.Clone(taps)
			for i := range only {
				if i != p.Primary[side] {
					only[i].misses = func(*pcapgen.Recorded) bool { return true }
				}
			}
			single := replay(t, record(only, rec), 1)
			if len(single.records) != 1 || len(single.paths) != 0 {
				t.Fatalf("seed %d: %d records and %d paths of one tap", seed, len(single.records), len(single.paths))
			}
			if got, want := p.Sent[side], single.records[0].Sent[side]; got != want {
				t.Errorf("seed %d: side %d sent %+v, at tap %d alone %+v", seed, side, got, p.Primary[side], want)
			}
		}
		for i := range rec.Truths {
			for side, v := range [2]pcapgen.Volume{rec.Truths[i].ClientSent, rec.Truths[i].ServerSent} {
				if i == p.Primary[side] && p.Sent[side] != (flow.Volume{Packets: v.Packets, Bytes: v.Bytes, PayloadBytes: v.PayloadBytes}) {
					t.Errorf("seed %d: side %d sent %+v, in truth %+v", seed, side, p.Sent[side], v)
				}
			}
		}
	}
}

// Where nothing was lost, each side counts at the point nearest to it.
func TestPrimaryIsNearestTheSender(t *testing.T) {
	taps := []tap{{name: "a"}, {name: "b"}, {name: "c"}}
	if p := replay(t, record(taps, conn(threeTaps...).Record()), 1).one(t); p.Primary != [2]int{0, 2} {
		t.Errorf("primaries %v, want 0 and 2", p.Primary)
	}
	c := conn(threeTaps...)
	c.Fates = []pcapgen.Fate{{From: pcapgen.Client, Kind: pcapgen.DataPacket, N: 0, Where: 1}}
	for i := range taps {
		taps[i].misses = func(p *pcapgen.Recorded) bool { // a never records the second request
			return p.Tap == 0 && p.From == pcapgen.Client && len(p.Data) > 1000
		}
	}
	if p := replay(t, record(taps, c.Record()), 1).one(t); p.Primary != [2]int{1, 2} {
		t.Errorf("primaries %v: the first point lacks the client's data", p.Primary)
	}
}

// Names are nothing but names, and so is the order of the interfaces.
func TestNamesAreOnlyNames(t *testing.T) {
	for seed := range uint64(30) {
		_, rec, taps := faulty(seed)
		x := replay(t, record(taps, rec), 2)
		turned := pcapgen.Recording{Truths: rec.Truths}
		for _, p := range rec.Packets {
			p.Tap = 2 - p.Tap
			turned.Packets = append(turned.Packets, p)
		}
		slices.Reverse(taps)
		y := replay(t, record(taps, turned), 2)
		a, b := *x.one(t), *y.one(t)
		if !slices.Equal(x.points(&a), y.points(&b)) {
			t.Errorf("seed %d: points %v and %v", seed, x.points(&a), y.points(&b))
		}
		for i := range a.Points {
			a.Points[i].ID, b.Points[i].ID = 0, 0
		}
		if !reflect.DeepEqual(a, b) {
			t.Errorf("seed %d:\n%+v\n%+v", seed, a, b)
		}
	}
}

// The number of shards changes nothing, and each path follows the last record
// of its connection.
func TestOrderOfTheOutput(t *testing.T) {
	var recs []pcapgen.Recording
	for i := range 60 {
		r := rand.New(rand.NewPCG(uint64(i), 7))
		c := conn(threeTaps...)
		c.Client = addrPort(fmt.Sprintf("10.1.0.%d:%d", 1+i%5, 40000+i))
		c.Start += int64(i) * 100e6
		c.Fates = randomFates(r, r.IntN(4), 4)
		recs = append(recs, c.Record())
	}
	taps := []tap{{name: "a"}, {name: "b", clock: 100 * ms}, {name: "c", clock: -100 * ms}}
	var first *result
	for _, shards := range []int{1, 3, 8, 64} {
		x := replay(t, record(taps, recs...), shards)
		if first == nil {
			first = x
		}
		if !reflect.DeepEqual(x.order, first.order) || !reflect.DeepEqual(x.paths, first.paths) {
			t.Errorf("%d shards give another output", shards)
		}
	}
	if len(first.paths) != 60 {
		t.Fatalf("%d paths, want 60", len(first.paths))
	}
	for i := range first.paths {
		p := &first.paths[i]
		at := slices.Index(first.order, p.ID)
		if at == 0 || first.order[at-1] != p.Last {
			t.Errorf("path %d does not follow %x", i, p.Last)
		}
		for _, q := range p.Points {
			if n := slices.Index(first.order, q.Flow); n < 0 || n > at {
				t.Errorf("path %d comes before a record of its own", i)
			}
		}
	}
	for i := range first.records {
		if !first.records[i].Joined {
			t.Errorf("record %d is not marked", i)
		}
	}
}

// A clock that runs 50 ppm fast makes the offset wander by 5 ms in 100 s, which
// must not shorten the round trip.
func TestClocksThatDrift(t *testing.T) {
	c := conn(2*ms, 5*ms)
	c.Turns = nil
	for range 100 {
		c.Turns = append(c.Turns, pcapgen.Turn{Pause: time.Second, Request: make([]byte, 100), Think: ms, Response: make([]byte, 5000)})
	}
	rec := c.Record()
	for i := range rec.Packets {
		if p := &rec.Packets[i]; p.Tap == 1 {
			p.Time += (p.Time - sceneStart) / 20_000
		}
	}
	p := replay(t, record([]tap{{name: "a"}, {name: "b"}}, rec), 1).one(t)
	if got := p.Segments[0].RTT; got.State != tcp.Measured || got.Min < int64(5400*time.Microsecond) || got.Min > int64(6*ms) {
		t.Errorf("round trip %+v, want 6 ms", got)
	}
	end := rec.Packets[len(rec.Packets)-1].Time - sceneStart
	if s := &p.Segments[0]; !s.HasOffset || s.OffsetMin > end/20_000 || s.OffsetMax < end/20_000-int64(ms)/2 {
		t.Errorf("clocks are %d to %d apart at the end, want %d", s.OffsetMin, s.OffsetMax, end/20_000)
	}
}
