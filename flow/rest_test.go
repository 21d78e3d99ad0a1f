package flow

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"mirrorscope/packet"
)

// Records are the same whether flows rest whenever they can, when it is of use, or
// never.
func TestRestAlike(t *testing.T) {
	for seed := range uint64(4) {
		for name, play := range map[string]func(set func(*Table)) *scene{
			"openings": func(set func(*Table)) *scene { return openings(t, seed, 1500, nil, set) },
			"lives":    func(set func(*Table)) *scene { return lives(t, seed, 4000, nil, set) },
			"intervals": func(set func(*Table)) *scene {
				return lives(t, seed, 1000, func(c *Config) { c.Interval = 10 * time.Second }, set)
			},
		} {
			awake := play(func(t *Table) { t.bed.awake = 1 << 30 })
			awake.end()
			for how, set := range map[string]func(*Table){"always": func(t *Table) { t.bed.always = true }, "closed": func(t *Table) { t.bed.awake = 0 }, "idle": func(t *Table) { t.bed.awake, t.bed.idle = 0, 1e7 }} {
				s := play(set)
				rested := s.table.flows.resting.n
				s.end()
				if (rested == 0) != (name == "intervals") && name != "openings" {
					t.Errorf("%s, %s: %d flows rested", name, how, rested)
				}
				if len(s.recs) != len(awake.recs) {
					t.Fatalf("%s, %s, seed %d: %d records, want %d", name, how, seed, len(s.recs), len(awake.recs))
				}
				for i := range awake.recs {
					if !reflect.DeepEqual(s.recs[i], awake.recs[i]) {
						t.Fatalf("%s, %s, seed %d: record %d is\n%+v, want\n%+v", name, how, seed, i, s.recs[i], awake.recs[i])
					}
				}
				if x := &s.table.flows; x.all() != 0 || x.beds.Octets() != 0 || x.restLines != 0 || s.table.index.used != 0 || s.table.held() != 0 {
					t.Fatalf("%s, %s: %d flows are left, %d lines, %d in the index, %d octets", name, how, x.all(), x.restLines, s.table.index.used, s.table.held())
				}
			}
		}
	}
}

// Where memory is short and flows rest or not, others are evicted, but each
// packet is in one record, and what flows take stays within bounds.
func TestRestTight(t *testing.T) {
	for _, always := range []bool{false, true} {
		sum := func(set func(*Table)) (packets int64) {
			s := lives(t, 1, 4000, nil, func(t *Table) {
				set(t)
				t.maxFlows = 6
			})
			if s.table.full(0) {
				t.Errorf("more than there is room for")
			}
			for _, r := range s.end() {
				packets += r.Sent[0].Packets + r.Sent[1].Packets + r.MirrorDuplicates + r.StrayPackets
			}
			return packets
		}
		got, want := sum(func(t *Table) { t.bed.always, t.bed.awake = always, 0 }), sum(func(t *Table) { t.bed.awake = 1 << 30 })
		if got < want*9/10 || got > want*11/10 {
			t.Errorf("always %v: %d packets, want about %d", always, got, want)
		}
	}
}

// lives plays connections and datagrams with all that may befall them: they
// begin and end, or are met in the middle, lose packets, repeat, come twice, are
// reset, begin anew, fall silent; in both versions of IP.
func lives(t *testing.T, seed uint64, n int, change func(*Config), set func(*Table)) *scene {
	rng := rand.New(rand.NewPCG(seed, 2))
	s := newScene(t, change)
	set(s.table)
	type conn struct {
		ends [2]host
		v6   bool
		udp  bool
		next [2]uint32
		got  [2]uint32
		said int
	}
	conns := make([]conn, 40)
	says := []string{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "\x16\x03\x01\x00\x05\x01\x00\x00\x01\x03", "220 ready\r\n", "hello", "x"}
	var latest packet.Packet
	for range n {
		switch rng.IntN(60) {
		case 0:
			s.now += rng.Int64N(400e9)
		case 1, 2, 3:
			s.now += rng.Int64N(3e9)
		default:
			s.now += rng.Int64N(20e6)
		}
		c := &conns[rng.IntN(len(conns))]
		if c.ends[0].addr == "" || rng.IntN(50) == 0 {
			*c = conn{ends: [2]host{{"10.0.0.7", uint16(40000 + rng.IntN(30))}, {"10.0.0.9", uint16(53 + rng.IntN(2)*390)}}, v6: rng.IntN(4) == 0, udp: rng.IntN(5) == 0}
			c.next = [2]uint32{rng.Uint32(), rng.Uint32()}
		}
		dir := rng.IntN(2)
		var p packet.Packet
		switch say := says[rng.IntN(len(says))]; {
		case c.udp:
			p = s.udp(c.ends[dir], c.ends[1-dir], say)
		case c.said == 0 && rng.IntN(4) != 0:
			p = s.tcp(c.ends[0], c.ends[1], "S", c.next[0], 0, "")
			p.TCP.Has, p.TCP.MSS = packet.HasMSS|packet.HasTimestamps, 1460
			c.next[0]++
		case c.said == 1:
			p = s.tcp(c.ends[1], c.ends[0], "SA", c.next[1], c.next[0], "")
			p.TCP.Has, p.TCP.MSS = packet.HasMSS|packet.HasTimestamps, 1460
			c.next[1]++
		default:
			flags := "A"
			switch rng.IntN(14) {
			case 0, 1, 2, 3, 4:
				say = ""
			case 5, 6:
				flags, say = "FA", ""
			case 7:
				if rng.IntN(3) == 0 {
					flags, say = "R", ""
				}
			}
			seq := c.next[dir]
			switch rng.IntN(12) {
			case 0:
				seq -= uint32(rng.IntN(60)) // again
			case 1:
				seq += uint32(rng.IntN(60)) // something was lost
			}
			p = s.tcp(c.ends[dir], c.ends[1-dir], flags, seq, c.got[1-dir], say)
			if rng.IntN(3) != 0 {
				p.TCP.Ack = c.next[1-dir]
				c.got[1-dir] = c.next[1-dir]
			}
			p.TCP.Has, p.TCP.TSval, p.TCP.TSecr = packet.HasTimestamps, uint32(s.now/1e6), uint32(s.now/1e6)-uint32(rng.IntN(50))
			c.next[dir] = seq + uint32(len(say))
			if flags == "FA" {
				c.next[dir]++
			}
		}
		c.said++
		if c.v6 {
			p.Version, p.Src[0], p.Dst[0] = 6, 32, 32
		}
		if rng.IntN(20) == 0 && latest.Version != 0 {
			p = latest
			p.Position++
		}
		latest = p
		p.Time = s.now
		if rng.IntN(15) == 0 {
			p.Time -= rng.Int64N(3e9)
		}
		if rng.IntN(40) == 0 {
			p.Flags |= packet.Truncated
		}
		s.put(p)
		switch rng.IntN(60) {
		case 0:
			s.collect()
		case 1:
			s.table.Lost(&p)
		case 2:
			e := packet.Packet{Time: s.now, Now: s.table.now, Src: packet.Addr{1}, Point: p.Point, Network: p.Network, Proto: packet.ProtoICMP, ICMPType: 3, ICMPCode: 1}
			s.table.Quote(&e, &packet.Quote{Src: p.Src, Dst: p.Dst, SrcPort: p.SrcPort, DstPort: p.DstPort, Proto: p.Proto, Seq: p.TCP.Seq, HasSeq: true})
		}
	}
	return s
}
