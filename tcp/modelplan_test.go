package tcp

import (
	"math/rand/v2"
	"slices"

	"mirrorscope/packet"
)

// kind of a plan: which faults it may hold.
type kind int

const (
	planClean kind = iota
	planReordered
	planDuplicated
	planSkewed
	planMissed // capture loss alone
	planLoss   // anywhere on the path, ACKs included
	planBurst
	planLossReordered
	planSpike       // the path stalls behind the tap: timers fire for nothing
	planSpikeBefore // or before it, so that what is repeated passes with its repeats
	planSlowReader
	planKeepAlive
	planLossMissed
	planTails // request and response with loss before the tap
	planLossSkewed
	planMidstream // the capture begins late
	planOneSided  // it holds one direction alone
	numKinds
)

func (k kind) String() string {
	return [...]string{
		"clean", "reordered", "duplicated", "skewed", "capture loss", "loss", "burst loss", "loss and reordering", "stalls behind", "stalls before", "slow reader",
		"keep-alive", "loss and capture loss", "lost tails",
		"loss and skew", "mid-stream", "one-sided",
	}[k]
}

// plan is everything that a run of the model depends on, but for its seed.
type plan struct {
	kind    kind
	seed    uint64
	hosts   [2]hostConfig
	links   [4]link // client to tap, tap to server, server to tap, tap to client
	miss    float64
	skew    [2]int64
	turns   int
	request int64
	answer  int64
	think   int64 // ns
	idle    int64 // ns between an answer and the next request
	both    bool  // instead of turns, both write at once
	isn     [2]uint32
}

func pick[T any](rng *rand.Rand, from ...T) T { return from[rng.IntN(len(from))] }

// draw makes the plan of a seed.
func draw(k kind, seed uint64) plan {
	rng := rand.New(rand.NewPCG(seed, uint64(k)))
	p := plan{kind: k, seed: seed, isn: [2]uint32{rng.Uint32(), rng.Uint32()}}
	if rng.IntN(4) == 0 { // wraps early
		p.isn = [2]uint32{-uint32(rng.IntN(20000)), -uint32(rng.IntN(20000))}
	}
	for i := range p.hosts {
		p.hosts[i] = hostConfig{
			mss: pick(rng, int64(1460), 1460, 1460, 1220, 536), wscale: pick(rng, uint8(7), 8, 2), sack: true, dsack: true, stamps: rng.IntN(4) > 0,
			rack: rng.IntN(4) > 0, tlp: rng.IntN(4) > 0, merge: rng.IntN(2) > 0, ids: idMode(rng.IntN(5)), buffer: pick(rng, int64(64<<10), 256<<10, 200<<10),
			delack: 40e6, rtoMin: 200e6, cubic: rng.IntN(2) > 0, window: 10,
		}
	}
	p.hosts[1].mss = p.hosts[0].mss
	if rng.IntN(5) == 0 {
		p.hosts[rng.IntN(2)].sack = false
	}
	if rng.IntN(3) > 0 {
		p.hosts[1].stamps = p.hosts[0].stamps
	}
	delay := pick(rng, int64(100e3), 500e3, 2e6, 10e6, 40e6)
	near := rng.Float64()
	for i := range p.links {
		d := float64(delay)
		if i == 0 || i == 3 {
			d *= 1 - near
		} else {
			d *= near
		}
		p.links[i] = link{delay: 10e3 + int64(d), jitter: pick(rng, int64(0), 5e3, int64(d)/20), service: pick(rng, int64(1200), 12e3, 120e3)}
	}
	switch rng.IntN(4) {
	case 0: // up
		p.turns, p.request, p.answer = 1, int64(10e3+rng.IntN(300e3)), int64(1+rng.IntN(500))
	case 1: // down
		p.turns, p.request, p.answer = 1, int64(1+rng.IntN(1200)), int64(10e3+rng.IntN(300e3))
	case 2: // turns
		p.turns, p.request, p.answer = 2+rng.IntN(20), int64(1+rng.IntN(3000)), int64(1+rng.IntN(20e3))
	default:
		p.both, p.request, p.answer = true, int64(5e3+rng.IntN(150e3)), int64(5e3+rng.IntN(150e3))
	}
	p.think = pick(rng, int64(50e3), 300e3, 3e6, 20e6, 300e6)
	p.idle = pick(rng, int64(0), 1e6, 30e6)
	rtt := 4*10e3 + 2*delay
	each := func(f func(l *link)) {
		for i := range p.links {
			f(&p.links[i])
		}
	}
	some := func(f func(l *link)) { f(&p.links[rng.IntN(4)]) }
	switch k {
	case planReordered:
		by := int64(float64(rtt) * (0.05 + 0.4*rng.Float64()))
		each(func(l *link) { l.reorder, l.reorderBy = 0.01+0.05*rng.Float64(), by/2 })
	case planDuplicated:
		each(func(l *link) { l.duplicate, l.duplicate2 = 0.02, pick(rng, int64(20e3), 400e3, 15e6) })
		for i := range p.hosts {
			if p.hosts[i].ids == idsZero || p.hosts[i].ids == idsIPv6 { // an age beyond a tick is a repeat by definition
				each(func(l *link) { l.duplicate2 = min(l.duplicate2, 500e3, rtt/3) })
			}
		}
	case planSkewed:
		p.skew[rng.IntN(2)] = rng.Int64N(3e6)
	case planMissed:
		p.miss = pick(rng, 0.01, 0.05)
	case planLoss:
		some(func(l *link) { l.loss = 0.03 })
		each(func(l *link) { l.loss += 0.02 * rng.Float64() })
	case planBurst:
		some(func(l *link) { l.loss, l.more = 0.01+0.01*rng.Float64(), 0.5+0.4*rng.Float64() })
	case planLossReordered:
		each(func(l *link) { l.loss = 0.02 * rng.Float64() })
		each(func(l *link) { l.reorder, l.reorderBy = 0.02*rng.Float64(), int64(float64(rtt)*0.3*rng.Float64()) })
	case planSpike, planSpikeBefore:
		i := 1 + 2*rng.IntN(2)
		if k == planSpikeBefore {
			i--
		}
		l := &p.links[i]
		l.spikeAt = 3*rtt + rng.Int64N(20*rtt)
		l.spikeEnd = l.spikeAt + rtt + rng.Int64N(300e6)
		l.spike = rtt + 250e6 + rng.Int64N(600e6)
	case planSlowReader:
		i := rng.IntN(2)
		p.hosts[i].buffer = 16 << 10
		p.hosts[i].readEvery, p.hosts[i].readChunk = 50e6+rng.Int64N(400e6), 8<<10
		p.turns, p.both, p.request, p.answer = 1, false, 1+rng.Int64N(1000), 1+rng.Int64N(1000)
		if i == 0 {
			p.answer = 60e3
		} else {
			p.request = 60e3
		}
	case planKeepAlive:
		p.hosts[rng.IntN(2)].keepAlive = 2e9
		p.turns, p.both, p.request, p.answer = 3, false, 1+rng.Int64N(3000), 1+rng.Int64N(3000)
		p.idle = 9e9
	case planLossMissed:
		each(func(l *link) { l.loss = 0.02 * rng.Float64() })
		p.miss = 0.01
	case planLossSkewed:
		each(func(l *link) { l.loss = 0.02 * rng.Float64() })
		p.skew[rng.IntN(2)] = rng.Int64N(3e6)
	case planMidstream, planOneSided:
		each(func(l *link) { l.loss = 0.01 * rng.Float64() })
	case planTails:
		p.turns, p.both, p.request, p.answer = 30, false, 1+rng.Int64N(1400), 1+rng.Int64N(6000)
		p.links[0].loss, p.links[2].loss = 0.03, 0.03
		for i := range p.hosts {
			p.hosts[i].ids = idsCount
		}
		p.idle = pick(rng, int64(0), 1e6, 100e6)
	}
	return p
}

// horizon ends a run that does not end by itself.
const horizon = int64(400e9)

// result is what a run gave: what the tap recorded, and the truth.
type result struct {
	plan
	records []record // in the order of their time
	sent    []*sent  // by both, in the order of sending
	hosts   [2]*host
	ran     [2]int // turns: requests that reached the server's application, answers that reached the client's
}

// run plays a plan.
func (p plan) run() *result {
	s := &sim{rng: rand.New(rand.NewPCG(p.seed, 77))}
	r := &result{plan: p}
	t := &tap{s: s, miss: p.miss, skew: p.skew, isn: p.isn}
	for i := range r.hosts {
		r.hosts[i] = newHost(s, i, p.hosts[i], &r.sent)
	}
	c, v := r.hosts[0], r.hosts[1]
	c.peer, v.peer = v, c
	t.hosts = r.hosts
	links := make([]*link, len(p.links))
	for i := range p.links {
		l := p.links[i]
		l.s = s
		links[i] = &l
	}
	c.out, v.out = links[0].send, links[2].send
	links[0].to = func(w *wire) { t.pass(w); links[1].send(w) }
	links[2].to = func(w *wire) { t.pass(w); links[3].send(w) }
	links[1].to, links[3].to = v.receive, c.receive
	r.apps(s, c, v)
	s.at(s.upTo(3e6), c.connect)
	s.run(horizon)
	r.records = byTime(t.records)
	switch p.kind {
	case planMidstream:
		r.records = r.records[5+s.rng.IntN(max(len(r.records)/2-5, 1)):]
	case planOneSided:
		side := s.rng.IntN(2)
		r.records = slices.DeleteFunc(r.records, func(x record) bool { return x.w.from != side })
	}
	return r
}

// apps lets the client ask and the server answer, or both write at once.
func (r *result) apps(s *sim, c, v *host) {
	const wake = 20e3 // ns until the application runs; the handshake's ACK leaves before
	if r.both {
		c.connected = func() { s.at(s.now+wake, func() { c.write(r.request); c.close() }) }
		v.connected = func() { s.at(s.now+wake, func() { v.write(r.answer); v.close() }) }
		return
	}
	c.connected = func() { s.at(s.now+wake, func() { c.write(r.request) }) }
	v.readable = func() {
		if v.finGot && !v.fin {
			v.close()
		}
		if r.ran[0] < r.turns && v.got() >= int64(r.ran[0]+1)*r.request {
			r.ran[0]++
			s.at(s.now+r.think, func() { v.write(r.answer) })
		}
	}
	c.readable = func() {
		if r.ran[1] < r.turns && c.got() >= int64(r.ran[1]+1)*r.answer {
			r.ran[1]++
			if r.ran[1] == r.turns {
				s.at(s.now+r.idle, c.close)
				return
			}
			s.at(s.now+r.idle, func() { c.write(r.request) })
		}
	}
}

// byTime sorts by record time; equal times keep their order.
func byTime(recs []record) []record {
	for i := 1; i < len(recs); i++ {
		for j := i; j > 0 && recs[j].Time < recs[j-1].Time; j-- {
			recs[j], recs[j-1] = recs[j-1], recs[j]
		}
	}
	return recs
}

// measured is what the engine made of a capture.
type measured struct {
	Conn
	o       Opening
	st      *Store
	report  Report
	class   map[*sent]Class // of each packet that was counted as a repeat
	falsely []*wire         // counted as repeats of what was not sent before
	alike   map[*sent]bool  // repeats that the flow table takes for copies: nothing in them differs from the original
}

// likeKey is what a packet shares with its copy.
type likeKey struct {
	from int
	k    packet.TCP
	n    uint32
	id   uint16
}

// measure gives a capture to the engine as the flow table would: what comes
// again too soon for any host is dropped as a mirror's copy, what comes again
// later is marked alike.
func measure(recs []record, client int) *measured {
	m := &measured{st: NewStore(DefaultConfig()), class: map[*sent]Class{}, alike: map[*sent]bool{}}
	m.Init()
	seen := map[likeKey]int64{}
	now := int64(0)
	for i := range recs {
		p := &recs[i].Packet
		w := recs[i].w
		now = max(now, p.Time)
		dir := w.from
		if client == 1 {
			dir = 1 - dir
		}
		key := likeKey{from: dir, k: p.TCP, n: p.PayloadLen, id: p.IPID}
		last, ok := seen[key]
		seen[key] = p.Time
		alike := false
		if ok && p.Time-last < 1e9 {
			weak := p.IPID == 0 && p.TCP.Has&packet.HasTimestamps == 0 && p.PayloadLen <= 1 && p.TCP.Flags&(packet.SYN|packet.FIN) == 0
			fast, tick := int64(5e6), int64(1e6)
			rtt := m.MinRTT()
			if rtt > 0 {
				tick = min(tick, rtt)
			}
			if p.IPID == 0 && p.TCP.Has&packet.HasTimestamps == 0 {
				rtt = m.KnownRTT()
			}
			if rtt > 0 {
				fast = min(fast, rtt/2)
			}
			age := p.Time - last
			alike = !weak && (age < fast || p.IPID != 0 || age < tick)
			if alike && w.tx != nil && !w.copied {
				m.alike[w.tx] = true
			}
			if !weak && age < fast {
				continue
			}
		}
		d := &m.Dirs[dir]
		before := tallyOf(m.st, d)
		m.follow(m.st, p, dir, client, &m.o, alike)
		after := tallyOf(m.st, d)
		if after.packets > before.packets {
			for c := range NumClasses {
				if after.byClass[c] > before.byClass[c] {
					m.class[w.tx] = c
				}
			}
			if w.tx == nil || w.copied || !w.tx.isRepeat() {
				m.falsely = append(m.falsely, w)
			}
		}
	}
	m.Report(m.st, &m.report, client, true)
	return m
}

func tallyOf(st *Store, d *Dir) tally {
	if y := st.tallyIf(d); y != nil {
		return *y
	}
	return tally{}
}
