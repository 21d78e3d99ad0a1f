package flow

import (
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"mirrorscope/packet"
)

// named is the question for a name, and the answer of a name server that gives it to an address.
func named(t *testing.T, name string, addr [4]byte) (ask, answer string) {
	t.Helper()
	question := dnsmessage.Question{Name: dnsmessage.MustNewName(name), Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}
	m := dnsmessage.Message{Header: dnsmessage.Header{ID: 7}, Questions: []dnsmessage.Question{question}}
	q, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	m.Header.Response = true
	m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: question.Name, Type: question.Type, Class: question.Class, TTL: 60}, Body: &dnsmessage.AResource{A: addr}}}
	b, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return string(q), string(b)
}

// shortLives plays connections that are short, or never come to be, through several
// intervals. It tells how many youths waited for the close of one at most, and how many
// seeds an interval had told of.
func shortLives(t *testing.T, seed uint64, n int, set func(*Table)) (s *scene, waited, told int) {
	s = newScene(t, func(c *Config) { c.Interval = 10 * time.Second })
	set(s.table)
	rng := rand.New(rand.NewPCG(seed, 0))
	type step struct {
		at time.Duration
		do func()
	}
	var steps []step
	for i := range n {
		c, v := host{"10.1.0.7", uint16(20000 + i)}, srv
		if i%3 == 0 {
			v = host{"10.0.0.77", 9}
		}
		at := time.Duration(rng.Int64N(int64(45 * time.Second)))
		plan := func(flags string, back bool, seq, ack uint32, payload string) {
			steps = append(steps, step{at, func() {
				from, to := c, v
				if back {
					from, to = v, c
				}
				p := s.tcp(from, to, flags, seq, ack, payload)
				p.IPID = 0
				s.add(p)
			}})
			at += time.Duration(rng.ExpFloat64() * float64(20*time.Millisecond))
			if rng.IntN(12) == 0 {
				at += time.Duration(rng.Int64N(int64(8 * time.Second)))
			}
		}
		plan("S", false, 1000, 0, "")
		switch rng.IntN(8) {
		case 0: // nobody answers
			continue
		case 1:
			plan("S", false, 1000, 0, "")
		case 2:
			plan("RA", true, 0, 1001, "")
			continue
		}
		plan("SA", true, 5000, 1001, "")
		plan("A", false, 1001, 5001, "")
		plan("PA", false, 1001, 5001, "\x00\x01 something that nobody reads")
		plan("PA", true, 5001, 1031, "\x00\x01 and what is said to that")
		if rng.IntN(4) > 0 {
			plan("FA", false, 1031, 5028, "")
			plan("FA", true, 5028, 1032, "")
			plan("A", false, 1032, 5029, "")
		}
	}
	for _, at := range []time.Duration{3 * time.Second, 17 * time.Second} { // what is learned late is no name of what began before
		asker, server := host{"10.1.0.7", 5999}, host{"10.0.0.2", 53}
		ask, answer := named(t, "late.example.", [4]byte{10, 0, 0, 77})
		steps = append(steps, step{at, func() { s.add(s.udp(asker, server, ask)).add(s.udp(server, asker, answer)) }})
	}
	for len(steps) > 0 { // in order of time, those of the same time in order
		k := 0
		for i := range steps {
			if steps[i].at < steps[k].at {
				k = i
			}
		}
		s.at(steps[k].at)
		steps[k].do()
		steps = append(steps[:k], steps[k+1:]...)
		waited = max(waited, len(s.table.gone))
		if x := &s.table.flows.seeds; x.live > 0 && s.table.told(x.seen(x.first())) {
			told++
		}
		if rng.IntN(20) == 0 {
			s.collect()
		}
	}
	return s, waited, told
}

// Intervals tell the same whether connections are young or not: of those that end within
// one, of those that never come to be, and of those that do so intervals later.
func TestToldAlike(t *testing.T) {
	for seed := range uint64(6) {
		want, waited, told := shortLives(t, seed, 250, func(t *Table) { t.fullGrown = true })
		if want.end(); waited != 0 || told != 0 {
			t.Fatalf("%d youths waited, %d seeds were told, where all are full grown", waited, told)
		}
		got, waited, told := shortLives(t, seed, 250, func(*Table) {})
		if got.end(); waited < 5 || told < 5 {
			t.Errorf("seed %d: %d youths waited, %d seeds were told", seed, waited, told)
		}
		compareScenes(t, "short lives", seed, got, want)
		names := 0
		for i := range got.recs {
			if got.recs[i].Ends[Server].Name != "" {
				names++
			}
		}
		if names == 0 {
			t.Error("no names")
		}
		// Where none may wait, each is told of at once, and nothing else changes but the order of what is equal.
		none, waited, _ := shortLives(t, seed, 250, func(t *Table) { t.maxIntervals = 0 })
		if none.end(); waited != 0 || len(none.recs) != len(want.recs) {
			t.Errorf("seed %d: %d youths waited where there is no room; %d records, want %d", seed, waited, len(none.recs), len(want.recs))
		}
	}
}

// Where memory is short, each packet is in one connection and in one interval all the same.
func TestToldTight(t *testing.T) {
	for seed := range uint64(6) {
		for _, room := range []int{0, 3, 1000} {
			var packets int64
			s, _, _ := shortLives(t, seed, 400, func(t *Table) { t.maxFlows, t.maxIntervals = 12, room })
			s.end()
			var sum [numKinds][2]int64
			evicted := 0
			for i := range s.recs {
				r := &s.recs[i]
				for side := range r.Sent {
					sum[r.Kind][side] += r.Sent[side].Packets
				}
				if r.Kind == Interval && (r.IntervalEnd-r.IntervalStart != 10e9 || r.Start >= r.IntervalEnd || r.End < r.IntervalStart) {
					t.Errorf("seed %d: an interval from %d to %d of a connection from %d to %d", seed, r.IntervalStart, r.IntervalEnd, r.Start, r.End)
				}
				if r.EndReason == EndLackOfResources {
					evicted++
				}
			}
			for _, p := range s.learned.Points() {
				packets += int64(p.Packets) - int64(p.MirrorDuplicates)
			}
			if sum[Connection] != sum[Interval] || sum[Connection][0]+sum[Connection][1] != packets || evicted == 0 {
				t.Errorf("seed %d, room for %d: %d packets in connections and %d in intervals, of %d; %d evicted", seed, room, sum[Connection], sum[Interval], packets, evicted)
			}
			if x := &s.table.flows; x.all() != 0 || x.youths.Octets() != 0 || s.table.index.used != 0 || s.table.held() != 0 || s.table.snapshots.InUse() != 0 || len(s.table.gone)+len(s.table.goneNames) != 0 {
				t.Errorf("seed %d: %d flows are left, %d octets of youths, %d in the index, %d octets, %d snapshots, %d have gone", seed, x.all(), x.youths.Octets(), s.table.index.used, s.table.held(), s.table.snapshots.InUse(), len(s.table.gone))
			}
		}
	}
}

// Where as many are young as there is room for, the close of an interval and the end of the
// input make records piece by piece all the same.
func TestToldPieces(t *testing.T) {
	for _, handshake := range []bool{false, true} {
		s := newScene(t, func(c *Config) { c.Interval, c.Memory = 10*time.Second, minMemory })
		for i := range 6000 {
			c := host{"10.1.0.1", uint16(1024 + i)}
			at := 9*time.Second + time.Duration(i)*100*time.Microsecond
			s.at(at).add(s.tcp(c, srv, "S", 1, 0, ""))
			if handshake {
				s.at(at + 30*time.Microsecond).add(s.tcp(srv, c, "SA", 1, 2, ""))
				s.at(at + 60*time.Microsecond).add(s.tcp(c, srv, "A", 2, 2, ""))
			}
			if i%100 == 0 {
				s.collect()
			}
		}
		if x := &s.table.flows; handshake && x.embryos.live < 100 || !handshake && x.seeds.live < 1000 {
			t.Fatalf("%d youths and %d seeds prove nothing", x.embryos.live, x.seeds.live)
		}
		s.at(10500 * time.Millisecond).add(s.udp(host{"10.0.0.2", 99}, host{"10.0.0.3", 99}, "the interval has closed"))
		s.end()
		if s.most > 500 {
			t.Errorf("handshakes %v: %d records at a time", handshake, s.most)
		}
	}
}

// What the health of a sensor says of its memory is what decides who is evicted: a table
// that is full says so, whatever it is full of.
func TestFill(t *testing.T) {
	for name, interval := range map[string]time.Duration{"without intervals": 0, "with": 10 * time.Second} {
		s := newScene(t, func(c *Config) { c.Interval, c.Memory = interval, minMemory })
		s.table.maxFlows = 40
		for i := 0; !s.table.full(s.table.perFlow); i++ {
			s.open(time.Duration(i)*time.Millisecond, host{"10.1.0.1", uint16(1024 + i)}, srv, 1, 1)
			if i > 4000 {
				t.Fatalf("%s: never full", name)
			}
		}
		if got := s.table.Counts().Fill; got < 0.9 || got > 1 {
			t.Errorf("%s: filled by %v", name, got)
		}
		if s.table.flows.embryos.live == 0 {
			t.Errorf("%s: nobody is young", name)
		}
	}
}

// Intervals tell the same of connections of all kinds, whether these are young or not, up to
// the close and beyond it, summed up or relived.
func TestMarkedAlike(t *testing.T) {
	briefs, total := uint64(0), 0
	for seed := range uint64(12) {
		for what, change := range asked {
			for _, calm := range []bool{true, false} {
				play := func(set func(*Table)) *scene {
					change := func(c *Config) {
						if c.Interval = time.Second; seed%4 == 3 {
							c.Interval = 4 * time.Second
						}
						if change != nil {
							change(c)
						}
					}
					if calm {
						return playCalm(t, rand.NewPCG(seed, 13), 3000, seed%3 == 2, change, set)
					}
					s := playBeginnings(t, seed, 1500, change, set, false)
					s.end()
					return s
				}
				s, old := play(func(*Table) {}), play(func(t *Table) { t.fullGrown = true })
				compareScenes(t, what, seed, s, old)
				compareScenes(t, what+", relived", seed, play(func(t *Table) { t.reliving = true }), old)
				briefs += s.table.briefs
				total += len(s.recs)
			}
		}
	}
	t.Logf("%d of %d records were summed up", briefs, total)
	if briefs < uint64(total)/8 {
		t.Errorf("%d of %d records were summed up", briefs, total)
	}
}

// What is odd of a SYN is told with it, once: whether its answer comes before the close of
// the interval or behind it, of a seed, and of what is none since another came at its time.
func TestToldSYN(t *testing.T) {
	const ms = time.Millisecond
	play := func(grown bool) *scene {
		s := newScene(t, func(c *Config) { c.Interval = time.Second })
		s.table.fullGrown = grown
		put := func(at time.Duration, i int, back bool, flags string, seq, ack uint32, payload string) {
			from, to := host{"10.1.0.1", uint16(2000 + i)}, host{"10.0.0.9", 9999}
			if back {
				from, to = to, from
			}
			p := s.at(at).tcp(from, to, flags, seq, ack, payload)
			p.IPID = uint16(seq)
			if flags[0] == 'S' {
				p.TCP.HeaderLen, p.TCP.Has, p.TCP.MSS, p.IPLen = 24, packet.HasMSS, 1460, 44
			}
			if flags == "S" {
				p.TOS, p.Flags = 3, p.Flags|packet.Truncated
			}
			s.add(p)
		}
		const n = 8
		when := func(i int, at time.Duration) time.Duration { // every other one at the time of the one before
			return at + time.Duration(i/2)*ms
		}
		for i := range n {
			put(when(i, 100*ms), i, false, "S", 10, 0, "")
		}
		for round, at := range []time.Duration{500 * ms, 1500 * ms} {
			for i := range n {
				if i>>1&1 == round {
					put(when(i, at), i, true, "SA", 70, 11, "")
				}
			}
			for i := range n {
				if i>>1&1 == round && i>>2 == 0 {
					put(when(i, at+100*ms), i, false, "A", 11, 71, "")
				}
			}
		}
		for i := range n {
			if i>>2 != 0 {
				put(when(i, 2500*ms), i, false, "A", 11, 71, "")
			}
		}
		for i := range n {
			put(when(i, 2600*ms), i, false, "PA", 11, 71, "\x00\x01 something that nobody reads")
		}
		if x := &s.table.flows; !grown && (x.live != 0 || x.embryos.live != n) {
			t.Errorf("%d flows, %d embryos, want %d that are young", x.live, x.embryos.live, n)
		}
		s.end()
		return s
	}
	s := play(false)
	compareScenes(t, "SYNs", 0, s, play(true))
	if s.table.briefs < 16 {
		t.Errorf("%d records were summed up", s.table.briefs)
	}
}
