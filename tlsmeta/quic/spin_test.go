package quic

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"mirrorscope/pool"
)

const ms = int64(time.Millisecond)

// spinPlan is a made connection of two ends with an observation point between
// them. Times are ns.
type spinPlan struct {
	halves [2]int64 // one way, from the point to the client and to the server
	jitter int64    // added to a way at random, without overtaking
	gap    [2]int64 // between packets of each side; 0: it only answers
	bits   [2]func(r *rand.Rand, honest bool, cid byte) bool
	newCID int     // each side takes another connection id after so many packets
	late   float64 // share of packets that take another two ms on either way, and are overtaken
	lost   float64 // share that is lost in front of the point
	pause  int64   // between turns, where one side only answers
	until  int64   // nothing is sent behind
}

// Ends that take part, and the ways of not doing so (RFC 9000 section 17.4).
func honestBit(_ *rand.Rand, honest bool, _ byte) bool { return honest }
func coinBit(r *rand.Rand, _ bool, _ byte) bool        { return r.IntN(2) == 1 }
func constantBit(*rand.Rand, bool, byte) bool          { return true }
func cidBit(_ *rand.Rand, _ bool, cid byte) bool       { return hash([]byte{cid, 7})&1 == 1 }

type spinEvent struct {
	at     int64
	side   int // who sent it
	number int
	bit    bool
	cid    byte
	kind   byte // 0 sent, 1 at the point, 2 received
}

// run plays the plan into a Conn.
func (p *spinPlan) run(seed uint64, c *Conn, budget *pool.Budget) {
	r := rand.New(rand.NewPCG(seed, 3))
	var q []spinEvent
	push := func(e spinEvent) {
		at, _ := slices.BinarySearchFunc(q, e, func(a, b spinEvent) int {
			if c := cmp.Compare(a.at, b.at); c != 0 {
				return c
			}
			return -1
		})
		q = slices.Insert(q, at, e)
	}
	var spinning [2]bool // what an honest end sends now
	highest := [2]int{-1, -1}
	var sent [2]int
	var lastAt [2][2]int64
	for side := range 2 {
		if p.gap[side] > 0 {
			push(spinEvent{at: 1 + int64(side), side: side})
		}
	}
	payload := make([]byte, 40)
	for len(q) > 0 {
		e := q[0]
		q = q[1:]
		switch e.kind {
		case 0:
			if e.at > p.until {
				continue
			}
			e.number = sent[e.side]
			sent[e.side]++
			if p.newCID > 0 {
				e.cid = byte(e.number / p.newCID)
				if e.number%p.newCID == 0 {
					spinning[e.side] = false
				}
			}
			e.bit = p.bits[e.side](r, spinning[e.side], e.cid)
			if p.gap[e.side] > 0 {
				next := e
				next.at += p.gap[e.side]/2 + r.Int64N(p.gap[e.side])
				push(next)
			}
			if r.Float64() < p.lost {
				continue
			}
			way := p.halves[e.side]
			if r.Float64() < p.late {
				way += 2 * ms
				e.at += way
			} else {
				if p.jitter > 0 {
					way += r.Int64N(p.jitter)
				}
				e.at = max(e.at+way, lastAt[e.side][0]+1)
				lastAt[e.side][0] = e.at
			}
			e.kind = 1
			push(e)
		case 1:
			payload[0] = 0x40 | byte(r.IntN(32))&0x1f
			if e.bit {
				payload[0] |= 0x20
			}
			payload[1] = e.cid
			c.Datagram(e.side, payload, len(payload), e.at, budget)
			way := p.halves[1-e.side]
			if p.jitter > 0 {
				way += r.Int64N(p.jitter)
			}
			e.at = max(e.at+way, lastAt[e.side][1]+1)
			lastAt[e.side][1] = e.at
			e.kind = 2
			push(e)
		case 2:
			me := 1 - e.side
			if e.number > highest[e.side] {
				highest[e.side] = e.number
				spinning[me] = e.bit == (me == server)
			}
			if p.gap[me] == 0 {
				push(spinEvent{at: e.at + 1000 + p.pause, side: me})
			}
		}
	}
}

// spinning is a Conn behind its handshake, with connection ids of one octet.
func spinning() *Conn {
	return &Conn{role: 1, proved: true, over: true, cidLen: [2]uint8{2, 2}}
}

func TestSpin(t *testing.T) {
	honest := [2]func(*rand.Rand, bool, byte) bool{honestBit, honestBit}
	with := func(side int, f func(*rand.Rand, bool, byte) bool) [2]func(*rand.Rand, bool, byte) bool {
		b := honest
		b[side] = f
		return b
	}
	dense := [2]int64{ms, ms}
	download := [2]int64{4 * ms, ms / 10}
	halves := [2]int64{5 * ms, 15 * ms}
	for _, tc := range []struct {
		name  string
		plan  spinPlan
		known bool
		doubt bool  // the round trip may be withheld
		slack int64 // of the least, in ms: until a packet is sent that shows the flank
	}{
		{"dense", spinPlan{halves: halves, gap: dense, bits: honest}, true, false, 4},
		{"dense with jitter", spinPlan{halves: halves, gap: dense, bits: honest, jitter: 6 * ms}, true, false, 24},
		{"download", spinPlan{halves: halves, gap: download, bits: honest}, true, false, 10},
		{"point beside the server", spinPlan{halves: [2]int64{20 * ms, 10_000}, gap: download, bits: honest}, true, false, 10},
		{"point beside the client", spinPlan{halves: [2]int64{10_000, 20 * ms}, gap: download, bits: honest}, true, false, 10},
		{"a tenth overtaken", spinPlan{halves: halves, gap: dense, bits: honest, late: 0.1}, true, false, 6},
		{"overtaken beside the server", spinPlan{halves: [2]int64{20 * ms, 10_000}, gap: [2]int64{ms / 5, ms / 10}, bits: honest, late: 0.02}, true, false, 6},
		{"a tenth lost", spinPlan{halves: halves, gap: dense, bits: honest, lost: 0.1}, true, false, 4},
		{"in turns", spinPlan{halves: halves, gap: [2]int64{80 * ms, 0}, bits: honest}, true, false, 90},
		{"new connection ids", spinPlan{halves: halves, gap: dense, bits: honest, newCID: 1000}, true, true, 4},

		{"new connection ids all the time", spinPlan{halves: halves, gap: dense, bits: honest, newCID: 200}, false, false, 0},
		{"client draws", spinPlan{halves: halves, gap: dense, bits: with(client, coinBit)}, false, false, 0},
		{"server draws", spinPlan{halves: halves, gap: dense, bits: with(server, coinBit)}, false, false, 0},
		{"both draw", spinPlan{halves: halves, gap: dense, bits: [2]func(*rand.Rand, bool, byte) bool{coinBit, coinBit}}, false, false, 0},
		{"client draws, in turns", spinPlan{halves: halves, gap: [2]int64{60 * ms, 0}, bits: with(client, coinBit)}, false, false, 0},
		{"server draws, in turns", spinPlan{halves: halves, gap: [2]int64{60 * ms, 0}, bits: with(server, coinBit)}, false, false, 0},
		{"client draws, download", spinPlan{halves: halves, gap: download, bits: with(client, coinBit)}, false, false, 0},
		{"server draws, download", spinPlan{halves: halves, gap: download, bits: with(server, coinBit)}, false, false, 0},
		{"client draws, long path", spinPlan{halves: [2]int64{100 * ms, 100 * ms}, gap: dense, bits: with(client, coinBit)}, false, false, 0},
		{"client constant", spinPlan{halves: halves, gap: dense, bits: with(client, constantBit)}, false, false, 0},
		{"server constant", spinPlan{halves: halves, gap: dense, bits: with(server, constantBit)}, false, false, 0},
		{"client draws by connection id", spinPlan{halves: halves, gap: dense, bits: with(client, cidBit), newCID: 40}, false, false, 0},
		{"server draws by connection id", spinPlan{halves: halves, gap: dense, bits: with(server, cidBit), newCID: 40}, false, false, 0},
		{"too short", spinPlan{halves: halves, gap: dense, bits: honest, until: 100 * ms}, false, false, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			wrong, known := 0, 0
			for seed := range uint64(20) {
				plan := tc.plan
				if plan.until == 0 {
					plan.until = 3000 * ms
				}
				c, budget := spinning(), pool.Budget{Max: 1 << 20}
				plan.run(seed, c, &budget)
				s := c.Report(true).Spin
				if s.Known != tc.known && (s.Known || !tc.doubt) {
					wrong++
					t.Errorf("seed %d: %+v: late %d and %d of %d and %d", seed, s, c.spin.sides[0].contrary, c.spin.sides[1].contrary, c.spin.sides[0].pairs, c.spin.sides[1].pairs)
					continue
				}
				known += int(min(s.Samples, 1))
				if s.Known {
					if msg := plan.compare(s, tc.slack*ms); msg != "" {
						t.Errorf("seed %d: %s", seed, msg)
						wrong++
					}
				} else if s.Min|s.P50|s.ClientMin|s.ServerMin|s.Samples != 0 {
					t.Errorf("seed %d: figures of a round trip that is not known: %+v", seed, s)
				}
				if wrong > 3 {
					t.FailNow()
				}
				c.Reset()
				if budget.Used() != 0 {
					t.Fatalf("%d octets are not given back", budget.Used())
				}
			}
			if tc.known && known < 10 {
				t.Errorf("the round trip was withheld %d times of 20", 20-known)
			}
		})
	}
}

// compare says how a result contradicts the plan: nothing is shorter than the
// path, and the least is not much longer.
func (p *spinPlan) compare(s Spin, slack int64) string {
	path := 2 * (p.halves[0] + p.halves[1])
	early := int64(0) // a packet that comes late shortens the time to the next
	if p.late > 0 {
		early = 3 * ms
	}
	switch {
	case s.Min < path-early || s.Min > path+slack:
		return fmt.Sprintf("least %v, path %v", time.Duration(s.Min), time.Duration(path))
	case s.P50 < s.Min || s.P50 > path+4*slack:
		return fmt.Sprintf("median %v, path %v", time.Duration(s.P50), time.Duration(path))
	case s.ClientMin < 2*p.halves[client]-early || s.ClientMin > 2*p.halves[client]+slack:
		return fmt.Sprintf("client half %v, path %v", time.Duration(s.ClientMin), time.Duration(2*p.halves[client]))
	case s.ServerMin < 2*p.halves[server]-early || s.ServerMin > 2*p.halves[server]+slack:
		return fmt.Sprintf("server half %v, path %v", time.Duration(s.ServerMin), time.Duration(2*p.halves[server]))
	}
	return ""
}

// TestSpinPauses: an application that talks in turns, with pauses, shows the
// pauses. The handshake tells that they are no round trip.
func TestSpinPauses(t *testing.T) {
	plan := spinPlan{halves: [2]int64{5 * ms, 5 * ms}, gap: [2]int64{2000 * ms, 0}, bits: [2]func(*rand.Rand, bool, byte) bool{honestBit, honestBit}, until: 100_000 * ms}
	c, budget := spinning(), pool.Budget{Max: 1 << 20}
	plan.run(1, c, &budget)
	if s := c.Report(true).Spin; !s.Known || s.Min < 500*ms {
		t.Errorf("without a handshake: %+v", s)
	}
	c.info.ClientInitial, c.info.ServerInitial, c.info.ClientAnswer = 1, 1+10*ms, 1+20*ms
	c.times.asked = [2]int64{client: 1 + 10*ms, server: 1}
	if s := c.Report(true).Spin; s.Known {
		t.Errorf("with a handshake of 20 ms: %+v", s)
	}
}

// TestSpinMemory: without room for samples nothing is known.
func TestSpinMemory(t *testing.T) {
	plan := spinPlan{halves: [2]int64{5 * ms, 5 * ms}, gap: [2]int64{ms, ms}, bits: [2]func(*rand.Rand, bool, byte) bool{honestBit, honestBit}, until: 1500 * ms}
	c, budget := spinning(), pool.Budget{Max: 100}
	plan.run(1, c, &budget)
	if s := c.Report(true).Spin; s.Known || s.Edges < 100 || budget.Refused == 0 {
		t.Errorf("%+v, refused %d", s, budget.Refused)
	}
}

func TestShortAllocs(t *testing.T) {
	c, budget := spinning(), pool.Budget{Max: 1 << 20}
	plan := spinPlan{halves: [2]int64{5 * ms, 5 * ms}, gap: [2]int64{ms, ms}, bits: [2]func(*rand.Rand, bool, byte) bool{honestBit, honestBit}, until: 500 * ms}
	plan.run(1, c, &budget)
	if c.spin.samples == nil {
		t.Fatal("no samples: the case is not the one meant")
	}
	b, at, n := make([]byte, 100), int64(1e12), 0
	b[0] = 0x40
	if allocs := testing.AllocsPerRun(2000, func() {
		at += 5 * ms
		n++
		if n%2 == 0 {
			b[0] ^= 0x20
		}
		c.Datagram(n%2, b, len(b), at, &budget)
	}); allocs != 0 {
		t.Errorf("%v allocations for a short header, want 0", allocs)
	}
	if s := c.Report(true); s.Spin.Samples < 1000 {
		t.Errorf("%d samples: the case is not the one meant", s.Spin.Samples)
	}
	// Behind the handshake long headers are only counted.
	long := unhex(t, samples1[client])
	if allocs := testing.AllocsPerRun(1000, func() { c.Datagram(0, long, len(long), at, &budget) }); allocs != 0 {
		t.Errorf("%v allocations for an Initial behind the handshake, want 0", allocs)
	}
}

func BenchmarkShort(b *testing.B) {
	c, budget := spinning(), pool.Budget{Max: 1 << 20}
	d := make([]byte, 1200)
	d[0] = 0x40
	b.ReportAllocs()
	for i := range b.N {
		if i%64 == 0 {
			d[0] ^= 0x20
		}
		c.Datagram(i&1, d, len(d), int64(i)*1000, &budget)
	}
}

func BenchmarkHandshake(b *testing.B) {
	ask, answer := unhex(b, samples1[client]), unhex(b, samples1[server])
	var c Conn
	budget := pool.Budget{Max: 1 << 20}
	b.ReportAllocs()
	for range b.N {
		c.Datagram(0, ask, len(ask), 1, &budget)
		c.Datagram(1, answer, len(answer), 2, &budget)
		c.Reset()
	}
}
