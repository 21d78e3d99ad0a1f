package path

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"mirrorscope/flow"
	"mirrorscope/packet"
)

// shot is one packet as one point records it.
type shot struct {
	at    int64
	point int
	seq   uint32 // tells the packet
	dir   int
}

func (s shot) packet() packet.Packet {
	p := packet.Packet{
		Time: s.at, Src: packet.Addr{15: 1}, Dst: packet.Addr{15: 2}, SrcPort: 1, DstPort: 2, Proto: packet.ProtoTCP, Version: 4, TTL: 64,
		Point: packet.PointID(s.point + 1), Network: 1, PayloadLen: 10, IPLen: 50, IPID: uint16(s.seq),
	}
	p.TCP = packet.TCP{Seq: 10 * s.seq, Ack: 1, Flags: packet.ACK, Window: 100}
	if s.dir == 1 {
		p.Src, p.Dst, p.SrcPort, p.DstPort = p.Dst, p.Src, 2, 1
	}
	p.Hash = packet.SymmetricHash(&p.Src, &p.Dst, p.SrcPort, p.DstPort, p.Proto, 0)
	return p
}

// play gives shots to a matcher, each point's to the flow of its number.
func play(m *Matcher, shots []shot) {
	now := int64(math.MinInt64)
	for _, s := range shots {
		now = max(now, s.at)
		p := s.packet()
		p.Now = now
		m.Packet(uint32(s.point), &p, s.dir)
	}
}

// finish ends the flows of some points, and gives what was joined.
func finish(m *Matcher, points int) []Connection {
	m.Drain(m.now)
	for i := range points {
		r := flow.Record{ID: uint64(i + 1), Release: math.MaxInt64, Point: packet.PointID(i + 1), Proto: packet.ProtoTCP, Start: int64(i)}
		r.Sent = [2]flow.Volume{{Packets: 1}, {Packets: 1}}
		m.End(uint32(i), &r)
	}
	return m.Take(nil)
}

// compared is what a pair of points makes of a direction.
type compared struct {
	n         uint32
	low, high int64
}

// model compares every record with every other, among all that there are.
func model(shots []shot, window int64) (pairs map[[3]int]compared, matched [2]uint32) {
	pairs = map[[3]int]compared{}
	byPacket := map[[2]uint32][]shot{}
	for _, s := range shots {
		k := [2]uint32{s.seq, uint32(s.dir)}
		byPacket[k] = append(byPacket[k], s)
	}
	for _, all := range byPacket {
		for len(all) > 0 {
			n := 1
			for n < len(all) && all[n].at-all[0].at < window {
				n++
			}
			for i, a := range all[:n] {
				for _, b := range all[i+1 : n] {
					x, y := a, b
					if x.point > y.point {
						x, y = y, x
					}
					k := [3]int{x.point, y.point, x.dir}
					d := y.at - x.at
					c, ok := pairs[k]
					if !ok {
						c.low, c.high = d, d
					}
					pairs[k] = compared{c.n + 1, min(c.low, d), max(c.high, d)}
				}
			}
			if n > 1 {
				matched[all[0].dir]++
			}
			all = all[n:]
		}
	}
	return pairs, matched
}

// shots makes records of packets at some points out of the fuzzer's octets:
// which point misses which packet, and when each records it.
func shots(data []byte, points int) []shot {
	var out []shot
	at := int64(1e18)
	for i := 0; i+points <= len(data); i += points {
		at += int64(data[i]) * 3e6
		for p := range points {
			b := data[i+p]
			if b%8 == 0 {
				continue
			}
			out = append(out, shot{at: at + int64(b)*3e6 + int64(p)*1e3, point: p, seq: uint32(i), dir: int(b>>6) & 1 & int(data[i])})
		}
		for j := len(out) - 1; j >= 0 && out[j].seq == uint32(i); j-- {
			out[j].dir = int(data[i]) & 1
		}
	}
	slices.SortStableFunc(out, func(a, b shot) int { return int(a.at - b.at) })
	return out
}

func FuzzMatcher(f *testing.F) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, n := range []int{30, 300, 3000} {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const points = 3
		all := shots(data, points)
		m := NewMatcher(DefaultConfig())
		play(m, all)
		want, matched := model(all, m.window)
		got := map[[3]int]compared{}
		var gotMatched [2]uint32
		seen := map[uint32]bool{}
		for _, number := range m.byFlow {
			if number == 0 || seen[m.sights.At(number).conn] {
				continue
			}
			seen[m.sights.At(number).conn] = true
			c := m.conns.At(m.sights.At(number).conn)
			for dir := range gotMatched {
				gotMatched[dir] += c.matched[dir]
			}
			for i := c.pairs; i != 0; {
				p := m.pairs.At(i)
				a, b := int(m.sights.At(p.a).point)-1, int(m.sights.At(p.b).point)-1
				for dir := range p.matched {
					x := compared{p.matched[dir], p.lowest[dir], p.highest[dir]}
					if a > b {
						x.low, x.high = -x.high, -x.low
					}
					if x.n > 0 {
						got[[3]int{min(a, b), max(a, b), dir}] = x
					}
				}
				i = p.next
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) || gotMatched != matched {
			t.Errorf("pairs (points, direction: packets, differences)\n%v, matched %v; the model has\n%v, %v", got, gotMatched, want, matched)
		}
		finish(m, points)
		empty(t, m)
	})
}

// FuzzManyPoints breaks no invariant with more points than are followed, whose
// connections are joined in any order.
func FuzzManyPoints(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
	f.Fuzz(func(t *testing.T, data []byte) {
		const points = 10
		all := shots(data, points)
		c := DefaultConfig()
		c.Memory = 1 << 20
		m := NewMatcher(c)
		play(m, all)
		var sent [points]int64
		for _, s := range all {
			sent[s.point]++
		}
		for _, x := range finish(m, points) {
			if len(x.Points) < 2 || len(x.Points) > maxPoints || len(x.Segments) != len(x.Points)-1 {
				t.Errorf("%d points, %d segments", len(x.Points), len(x.Segments))
			}
			total := int64(len(all))
			for _, p := range x.Points {
				if n := p.Missed[0] + p.Missed[1] + sent[p.ID-1]; n > total {
					t.Errorf("point %d missed %v of %d packets", p.ID, p.Missed, total)
				}
			}
			if x.Matched[0]+x.Matched[1] > total/2 {
				t.Errorf("%v of %d records matched", x.Matched, total)
			}
		}
		empty(t, m)
	})
}

// empty demands that a matcher whose flows have all ended holds nothing.
func empty(t *testing.T, m *Matcher) {
	t.Helper()
	for name, n := range map[string]int{
		"sights": m.sights.InUse(), "conns": m.conns.InUse(), "pairs": m.pairs.InUse(), "tallies": m.tallies.InUse(), "histograms": m.hists.InUse(),
		"tuples": len(m.byTuple), "recent packets": int(m.recent.head - m.recent.tail),
	} {
		if n != 0 {
			t.Errorf("%d %s are left", n, name)
		}
	}
}

// stream makes packets of one connection of n points forever, 0.1 ms apart, one
// in fifty of them lost between the points and repeated later.
func stream(n int) func(m *Matcher) {
	at, seq := int64(1e18), uint32(0)
	var p packet.Packet
	return func(m *Matcher) {
		seq++
		at += 1e5
		s := seq
		if seq%50 == 20 {
			s = seq - 10
		}
		for point := range n {
			if seq%50 == 10 && point > 0 {
				break
			}
			p = shot{at: at + int64(point)*1e4, point: point, seq: s, dir: int(seq>>2) & 1}.packet()
			p.IPID = uint16(seq)
			p.Now = p.Time
			m.Packet(uint32(point), &p, int(seq>>2)&1)
		}
	}
}

func TestPacketAllocs(t *testing.T) {
	for _, points := range []int{1, 2, 4} {
		m := NewMatcher(DefaultConfig())
		step := stream(points)
		for range 50_000 {
			step(m)
		}
		if n := testing.AllocsPerRun(10_000, func() { step(m) }); n != 0 {
			t.Errorf("%d points: %v allocations per packet, want 0", points, n)
		}
	}
}

// A flood of packets that are all alike neither fills the index nor slows it.
func TestPacketsAllAlike(t *testing.T) {
	m := NewMatcher(DefaultConfig())
	p := shot{at: 1e18, seq: 1}.packet()
	p.Now = p.Time
	for range 100_000 {
		m.Packet(0, &p, 0)
	}
	p.Point++
	for range 100_000 {
		m.Packet(1, &p, 0)
	}
	n := 0
	for w := m.recent.search(prints.fingerprint(&p, 0)); ; n++ {
		if e, _ := m.recent.next(&w); e == nil {
			break
		}
	}
	if n > maxAlike {
		t.Errorf("the index has %d packets that are alike", n)
	}
	if m.Counts().Forgotten == 0 {
		t.Error("what was not remembered is not counted")
	}
	finish(m, 2)
	empty(t, m)
}

// Memory holds: packets leave early and are counted, flows are refused.
func TestMemoryIsBounded(t *testing.T) {
	c := DefaultConfig()
	c.Memory = flow.Partitions * 64 << 10
	m := NewMatcher(c)
	for i := range uint32(100_000) {
		p := shot{at: 1e18, point: 0, seq: i}.packet()
		p.SrcPort = uint16(i % 1000)
		p.Now = p.Time
		m.Packet(i%1000, &p, 0)
	}
	if n := len(m.recent.ring)*octetsPerEntry + len(m.repeats.ring)*48; n > 64<<10 {
		t.Errorf("recent packets take %d octets of %d", n, 64<<10)
	}
	if m.sights.InUse() > m.maxSeen || m.Counts().Unwatched == 0 {
		t.Errorf("%d flows are watched, %d refused", m.sights.InUse(), m.Counts().Unwatched)
	}
}

func BenchmarkPacket(b *testing.B) {
	for _, points := range []int{1, 2, 4} {
		b.Run(fmt.Sprint(points), func(b *testing.B) {
			m := NewMatcher(DefaultConfig())
			step := stream(points)
			b.ReportAllocs()
			for b.Loop() {
				step(m)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*points), "ns/packet")
		})
	}
}
