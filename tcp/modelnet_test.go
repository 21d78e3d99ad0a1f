package tcp

import (
	"math/rand/v2"

	"mirrorscope/packet"
)

// This file is the network of the model: virtual time, links that lose,
// reorder and duplicate, and the tap between them with its own faults.

// sim runs events in the order of their time; equal times keep their order.
type sim struct {
	now   int64 // ns
	queue []event
	n     uint64
	rng   *rand.Rand
}

type event struct {
	at int64
	n  uint64
	do func()
}

func (a *event) before(b *event) bool { return a.at < b.at || a.at == b.at && a.n < b.n }

// at lets do happen at a time.
func (s *sim) at(t int64, do func()) {
	s.n++
	q := append(s.queue, event{max(t, s.now), s.n, do})
	for i := len(q) - 1; i > 0; {
		up := (i - 1) / 2
		if !q[i].before(&q[up]) {
			break
		}
		q[i], q[up] = q[up], q[i]
		i = up
	}
	s.queue = q
}

// run lets everything happen that happens before the horizon.
func (s *sim) run(horizon int64) {
	for len(s.queue) > 0 && s.queue[0].at < horizon {
		e := s.queue[0]
		last := len(s.queue) - 1
		s.queue[0] = s.queue[last]
		s.queue[last] = event{}
		s.queue = s.queue[:last]
		for i := 0; ; {
			down := 2*i + 1
			if down >= last {
				break
			}
			if down+1 < last && s.queue[down+1].before(&s.queue[down]) {
				down++
			}
			if !s.queue[down].before(&s.queue[i]) {
				break
			}
			s.queue[i], s.queue[down] = s.queue[down], s.queue[i]
			i = down
		}
		s.now = e.at
		e.do()
	}
}

func (s *sim) chance(p float64) bool { return p > 0 && s.rng.Float64() < p }

// upTo gives 0 … n.
func (s *sim) upTo(n int64) int64 {
	if n <= 0 {
		return 0
	}
	return s.rng.Int64N(n + 1)
}

// timer fires once after it was set, unless it is stopped or set anew.
type timer struct {
	s       *sim
	fire    func()
	at      int64
	armed   bool
	pending int64 // earliest event of this timer in the queue; 0 none
}

func (t *timer) set(at int64) {
	t.at, t.armed = at, true
	if t.pending == 0 || at < t.pending {
		t.push(at)
	}
}

func (t *timer) push(at int64) {
	t.pending = at
	t.s.at(at, func() {
		if t.pending != at {
			return // an earlier event has taken over
		}
		t.pending = 0
		switch {
		case t.armed && t.at <= t.s.now:
			t.armed = false
			t.fire()
		case t.armed:
			t.push(t.at)
		}
	})
}

func (t *timer) stop() { t.armed = false }

// wire is a packet on its way. Positions count from the SYN of the host that
// sent them, which is at 0.
type wire struct {
	from         int
	flags        uint16
	lo, hi       int64 // sequence space, SYN and FIN included
	payload      int64
	ack          int64
	window       uint16
	sack         [4]span
	nsack        uint8
	tsval, tsecr uint32
	id           uint16
	copied       bool  // made by the network
	kept, probe  bool  // a keep-alive, a zero-window probe
	tx           *sent // of packets that occupy sequence space
	trigger      *sent // what this pure ACK answers at once, or nil
	reports      *sent // what its DSACK is for
}

// sent is one transmission of sequence space: what the sender meant by it, and
// what became of it.
type sent struct {
	span
	dir      int
	at       int64
	old      int64 // positions below were sent before
	payload  int64
	cause    Class // of a repeat; NumClasses for what is new
	passedAt int64 // the tap, first copy; 0 not
	arrived  int64 // at the receiver, first copy; 0 not
	at0      int64 // record time; 0 not recorded
	reported int64 // when the tap recorded the DSACK for it; 0 never
}

func (x *sent) isRepeat() bool { return x.lo < x.old }

// link carries packets one way. Its faults are chances per packet.
type link struct {
	s                     *sim
	delay, jitter         int64 // ns; jitter keeps the order
	service               int64 // ns that a full packet keeps the link busy
	loss                  float64
	more                  float64 // chance that the packet behind a lost one is lost, too
	reorder, duplicate    float64
	reorderBy, duplicate2 int64 // ns, at most
	spikeAt, spikeEnd     int64 // between them packets are delayed …
	spike                 int64 // … by so much

	free, last int64
	losing     bool
	drop       func(w *wire) bool // loses by plan
	to         func(w *wire)
}

func (l *link) send(w *wire) {
	start := max(l.s.now, l.free)
	l.free = start + l.service*(w.payload+80)/1500
	lost := l.s.chance(l.loss) || l.losing && l.s.chance(l.more)
	l.losing = lost
	if lost || l.drop != nil && l.drop(w) {
		return
	}
	at := l.free + l.delay + l.s.upTo(l.jitter)
	if l.s.now >= l.spikeAt && l.s.now < l.spikeEnd {
		at += l.spike
	}
	if l.s.chance(l.reorder) {
		at += 1 + l.s.upTo(l.reorderBy)
	} else {
		at = max(at, l.last+1)
		l.last = at
	}
	l.s.at(at, func() { l.to(w) })
	if l.s.chance(l.duplicate) {
		c := *w
		c.copied = true
		l.s.at(at+1+l.s.upTo(l.duplicate2), func() { l.to(&c) })
	}
}

// tap records what passes.
type tap struct {
	s       *sim
	miss    float64  // packets that the capture misses
	skew    [2]int64 // ns by which a direction is recorded late
	isn     [2]uint32
	hosts   [2]*host
	records []record
	passed  int
}

type record struct {
	packet.Packet
	w *wire
}

// pass sees a packet go by.
func (t *tap) pass(w *wire) {
	t.passed++
	if w.tx != nil && !w.copied {
		w.tx.passedAt = t.s.now
	}
	if t.s.chance(t.miss) {
		return
	}
	at := t.s.now + t.skew[w.from]
	if w.tx != nil && w.tx.at0 == 0 && !w.copied {
		w.tx.at0 = at
	}
	if w.reports != nil && w.reports.reported == 0 {
		w.reports.reported = at
	}
	t.records = append(t.records, record{t.packet(w, at), w})
}

const epoch = int64(1e15)

func (t *tap) packet(w *wire, at int64) packet.Packet {
	h := t.hosts[w.from]
	p := packet.Packet{
		Time: epoch + at, Now: epoch + at, Proto: packet.ProtoTCP, Version: 4, TTL: 64 - uint8(w.from), Position: 1, IPID: w.id,
		PayloadLen: uint32(w.payload), IPLen: uint32(w.payload) + 52, SrcPort: uint16(1000 + w.from), DstPort: uint16(1001 - w.from),
	}
	if h.cfg.ids == idsIPv6 {
		p.Version = 6
	}
	k := &p.TCP
	k.Flags, k.Window, k.HeaderLen = w.flags, w.window, 32
	k.Seq = t.isn[w.from] + uint32(w.lo)
	if w.flags&packet.ACK != 0 {
		k.Ack = t.isn[1-w.from] + uint32(w.ack)
	}
	if h.stamps && (w.flags&packet.SYN == 0 || h.cfg.stamps) {
		k.Has |= packet.HasTimestamps
		k.TSval, k.TSecr = w.tsval, w.tsecr
	}
	if w.flags&packet.SYN != 0 {
		k.Has |= packet.HasMSS | packet.HasWScale
		k.MSS, k.WScale = uint16(h.cfg.mss), h.cfg.wscale
		if h.cfg.sack {
			k.Has |= packet.HasSACKPermitted
		}
	}
	for i := range w.nsack {
		b := w.sack[i]
		k.Has |= packet.HasSACK
		k.SACK[i] = packet.SACK{Left: t.isn[1-w.from] + uint32(b.lo), Right: t.isn[1-w.from] + uint32(b.hi)}
	}
	k.NumSACK = w.nsack
	return p
}
