package flow

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"mirrorscope/packet"
)

// conversations plays connections of a few hosts that come and go, with all that
// keeps a packet from running: repeats, holes, copies, ends and beginnings in the
// middle of others, marks of congestion, cut headers, silence, other clocks.
func conversations(t *testing.T, seed uint64, n int, change func(*Config), set func(*Table)) *scene {
	rng := rand.New(rand.NewPCG(seed, 2))
	s := newScene(t, change)
	set(s.table)
	type end struct{ seq uint32 }
	var conns [6]struct {
		ends   [2]end
		opened int // packets of the handshake that were sent
	}
	payloads := []string{"", "", "\xfe\xfe\xfe\xfe", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd", "\x17\x03\x03\x00\x02ab", string(make([]byte, 1448))}
	var latest packet.Packet
	for range n {
		switch rng.IntN(60) {
		case 0:
			s.now += rng.Int64N(400e9)
		case 1:
			s.now += rng.Int64N(3e9)
		default:
			s.now += rng.Int64N(4e6)
		}
		i := rng.IntN(len(conns))
		c := &conns[i]
		hosts := [2]host{{"10.0.0.7", uint16(51234 + i)}, {"10.0.0.9", []uint16{443, 80, 9999}[i%3]}}
		dir, flags, payload := rng.IntN(2), "A", ""
		switch {
		case c.opened < 3 && rng.IntN(12) > 0:
			dir, flags = c.opened%2, [...]string{"S", "SA", "A"}[c.opened]
			c.opened++
			if dir == 0 && flags == "S" {
				c.ends = [2]end{{seq: rng.Uint32()}, {seq: rng.Uint32()}}
			}
		case rng.IntN(120) == 0:
			flags, c.opened = []string{"FA", "R", "RA", "S", "SA"}[rng.IntN(5)], rng.IntN(4)
		default:
			payload = payloads[rng.IntN(len(payloads))]
		}
		p := s.tcp(hosts[dir], hosts[1-dir], flags, c.ends[dir].seq, c.ends[1-dir].seq, payload)
		c.ends[dir].seq += p.PayloadLen
		if flags != "A" && flags != "R" && flags != "RA" {
			c.ends[dir].seq++
		}
		if rng.IntN(3) > 0 {
			p.IPID = uint16(rng.IntN(2) * 7)
		}
		switch rng.IntN(40) {
		case 0:
			p.TCP.Seq -= uint32(rng.IntN(3000))
		case 1:
			p.TCP.Seq += uint32(rng.IntN(3000))
		case 2:
			p.TCP.Ack += uint32(rng.IntN(3000)) - 1500
		case 3:
			p.TOS = 3
		case 4:
			p.Payload = p.Payload[:min(len(p.Payload), 10)]
			p.Flags |= packet.Truncated
		case 5:
			p.Flags |= packet.HeaderCut
		case 6:
			p.Flags |= packet.BadHeader
		case 7:
			p.TCP.Window = 0
		case 8, 9, 10:
			if latest.PayloadLen > 0 {
				p = latest
				p.TTL -= uint8(rng.IntN(2))
				p.Position += uint32(rng.IntN(2))
				p.IPID += uint16(rng.IntN(2))
				p.Hash = 0
			}
		case 11:
			p.TCP.Flags |= packet.PSH | packet.URG
		}
		latest = p
		p.Time = s.now
		if rng.IntN(30) == 0 {
			p.Time -= rng.Int64N(2e9)
		}
		s.put(p)
		if rng.IntN(100) == 0 {
			s.collect()
		}
	}
	return s
}

// witness notes what a Watcher is told.
type witness struct{ told []sighting }

type sighting struct {
	n, seq     uint32
	time       int64
	dir        int
	end, drain bool
}

func (w *witness) Packet(n uint32, p *packet.Packet, dir int) {
	w.told = append(w.told, sighting{n: n, seq: p.TCP.Seq, time: p.Time, dir: dir})
}

func (w *witness) End(n uint32, _ *Record) { w.told = append(w.told, sighting{n: n, end: true}) }

// Watches: whatever begins is watched at once.
func (w *witness) Watches(uint64) bool { return true }

func (w *witness) Late(uint32, *packet.Packet, int, int64) { panic("nothing is told late") }

func (w *witness) Told() { panic("nothing is told late") }

func (w *witness) Drain(now int64) { w.told = append(w.told, sighting{time: now, drain: true}) }

// A Watcher is told the same whether packets run or not.
func TestRunWatched(t *testing.T) {
	for seed := range uint64(10) {
		var quick, slow witness
		a := conversations(t, seed, 3000, nil, func(t *Table) { t.Watch(&quick) })
		a.end()
		b := conversations(t, seed, 3000, nil, func(t *Table) { t.Watch(&slow); t.unhurried = true })
		b.end()
		if !reflect.DeepEqual(quick.told, slow.told) || !reflect.DeepEqual(a.recs, b.recs) {
			t.Fatalf("seed %d: told %d times, with %d records; want %d, %d", seed, len(quick.told), len(a.recs), len(slow.told), len(b.recs))
		}
	}
}

// Records are the same whether packets run or not.
func TestRunAlike(t *testing.T) {
	for seed := range uint64(40) {
		for _, interval := range []time.Duration{0, 10 * time.Second} {
			change := func(c *Config) { c.Interval = interval }
			quick := conversations(t, seed, 3000, change, func(*Table) {})
			quick.end()
			slow := conversations(t, seed, 3000, change, func(t *Table) { t.unhurried = true })
			slow.end()
			if len(quick.recs) != len(slow.recs) {
				t.Fatalf("seed %d: %d records, want %d", seed, len(quick.recs), len(slow.recs))
			}
			for i := range slow.recs {
				if !reflect.DeepEqual(quick.recs[i], slow.recs[i]) {
					t.Fatalf("seed %d: record %d is\n%+v, want\n%+v", seed, i, quick.recs[i], slow.recs[i])
				}
			}
			if a, b := quick.learned.Points(), slow.learned.Points(); !reflect.DeepEqual(a, b) {
				t.Fatalf("seed %d: %+v, want %+v", seed, a, b)
			}
		}
	}
}
