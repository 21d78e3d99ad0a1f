package tcp

import (
	"fmt"
	"os"
	"strconv"
	"testing"
)

// seeds is how many plans of each kind are played. TCP_MODEL_SEEDS asks for
// more.
func seeds(t *testing.T, usual int) uint64 {
	if s := os.Getenv("TCP_MODEL_SEEDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("TCP_MODEL_SEEDS: %v", err)
		}
		return uint64(n)
	}
	return uint64(usual)
}

// card is what the plans of one kind came to.
type card struct {
	kind                                    kind
	runs                                    int
	data, repeats, octets                   int64
	inexact                                 int // directions in which the counted packets or octets are not the truth
	falsely                                 int // packets counted as repeats that are none
	sums                                    int // directions whose parts do not sum up
	probes                                  int // directions with other counts of keep-alives or zero-window probes
	spurious, place, class, timer           rate
	told                                    rate // wrong: probe and timer left open
	rtt, handshake, think, thinkWhy, missed rate
	missed20, volume                        rate
	tails                                   rate              // wrong: not inferred
	inferredFalsely, inferredShared         int64             // by hosts that count for this connection alone, and for others, too
	worst                                   map[string]string // first failure of each column, to reproduce it
}

// note keeps the first failure of a column.
func (c *card) note(column string, seed uint64, format string, args ...any) {
	if c.worst[column] == "" {
		c.worst[column] = fmt.Sprintf("seed %d: ", seed) + fmt.Sprintf(format, args...)
	}
}

func (c *card) take(r *result, m *measured, ts *[2]truth) {
	c.runs++
	c.falsely += len(m.falsely)
	if len(m.falsely) > 0 {
		w := m.falsely[0]
		c.note("falsely", r.seed, "%d of them, first from %d [%d,%d)", len(m.falsely), w.from, w.lo, w.hi)
	}
	for d := range ts {
		c.direction(r, m, &ts[d], d)
	}
	c.times(r, m, ts)
}

func (c *card) direction(r *result, m *measured, t *truth, d int) {
	x := &m.report.Sides[d].Retransmits
	c.data += t.data
	c.repeats += t.packets
	c.octets += t.bytes
	if x.Packets != t.packets || x.Bytes != t.bytes {
		c.inexact++
		c.note("inexact", r.seed, "direction %d: %d packets, %d octets counted; %d, %d sent", d, x.Packets, x.Bytes, t.packets, t.bytes)
	}
	classes := int64(0)
	for _, n := range x.ByClass {
		classes += n
	}
	if x.SpuriousPackets+x.LostBefore+x.LostAfter+x.Unlocated != x.Packets || classes != x.Packets {
		c.sums++
		c.note("sums", r.seed, "direction %d: %+v", d, *x)
	}
	if k, z := m.report.Sides[d].KeepAlives, m.report.Sides[1-d].ZeroWindow.Probes; k != t.kept || z != t.probes {
		c.probes++
		c.note("probes", r.seed, "direction %d: %d keep-alives, %d probes; truth %d, %d", d, k, z, t.kept, t.probes)
	}
	ds, db, da := abs(x.SpuriousPackets-t.spurious), abs(x.LostBefore-t.before), abs(x.LostAfter-t.after)
	if told := r.hosts[d].sack && r.hosts[1-d].cfg.dsack || r.hosts[d].stamps; told {
		c.spurious.add(t.packets, max(ds-t.silent, 0))
	}
	if ds > t.silent {
		c.note("spurious", r.seed, "direction %d: %d of %d, truth %d", d, x.SpuriousPackets, x.Packets, t.spurious)
	}
	moved := max(db+da+x.Unlocated-ds, 0) / 2
	c.place.add(t.before+t.after, moved)
	if moved > 0 {
		c.note("place", r.seed, "direction %d: before %d after %d unlocated %d, truth %d %d", d, x.LostBefore, x.LostAfter, x.Unlocated, t.before, t.after)
	}
	for _, s := range t.repeats {
		got, ok := m.class[s]
		if !ok {
			continue
		}
		c.classOf(r.seed, s, got)
	}
	found := min(x.Inferred, t.tails)
	if r.plan.hosts[d].ids == idsCount {
		c.tails.add(t.tails, t.tails-found)
		if found < t.tails {
			c.note("tails", r.seed, "direction %d: %d inferred, truth %d", d, x.Inferred, t.tails)
		}
	}
	if extra := x.Inferred - t.tails - t.early; extra > 0 {
		column := "inferred"
		if r.plan.hosts[d].ids == idsShared {
			c.inferredShared += extra
			column = "inferred shared"
		} else {
			c.inferredFalsely += extra
		}
		c.note(column, r.seed, "direction %d: %d inferred, truth %d, identifications of kind %d", d, x.Inferred, t.tails, r.plan.hosts[d].ids)
	}
	if side := &m.report.Sides[d]; t.unique > 0 && r.kind != planMidstream { // what was in flight when the capture began is neither
		off := abs(side.Missed - t.missed)
		c.missed.add(1, off)
		if off > 0 {
			c.note("missed", r.seed, "direction %d: %d octets, truth %d", d, side.Missed, t.missed)
		}
		wrong := int64(0)
		if side.Recorded != t.unique || side.ZeroWindow.Episodes != t.shut || side.ZeroWindow.Time != t.shutFor {
			wrong = 1
			c.note("volume", r.seed, "direction %d: %d octets recorded, %+v; truth %d, %d for %d", d, side.Recorded, side.ZeroWindow, t.unique, t.shut, t.shutFor)
		}
		c.volume.add(1, wrong)
		if 200*t.missed > t.missed+t.unique {
			wrong := int64(0)
			if 5*off > t.missed {
				wrong = 1
				c.note("missed20", r.seed, "direction %d: %d octets, truth %d", d, m.report.Sides[d].Missed, t.missed)
			}
			c.missed20.add(1, wrong)
		}
	}
}

// trigger of a class: 1 what was delivered, 2 a timer, 0 neither.
func trigger(c Class) int {
	switch c {
	case ClassFast, ClassRecovery, ClassLostRetransmission:
		return 1
	case ClassTLP, ClassRTO, ClassRTORecovery, ClassTimer:
		return 2
	}
	return 0
}

func (c *card) classOf(seed uint64, s *sent, got Class) {
	switch want := trigger(s.cause); {
	case want == 0 || got == s.cause:
		if s.cause != got {
			c.class.add(1, 1)
			c.note("class", seed, "at %d [%d,%d) %v, truth %v", s.at, s.lo, s.hi, got, s.cause)
			return
		}
		c.class.add(1, 0)
	default:
		wrong := int64(0)
		if trigger(got) != want {
			wrong = 1
			c.note("class", seed, "at %d [%d,%d) %v, truth %v", s.at, s.lo, s.hi, got, s.cause)
		}
		c.class.add(1, wrong)
	}
	if s.cause == ClassTLP || s.cause == ClassRTO {
		wrong, open := int64(0), int64(0)
		switch got {
		case s.cause:
		case ClassTimer:
			open = 1
		default:
			wrong = 1
			c.note("timer", seed, "at %d [%d,%d) %v, truth %v", s.at, s.lo, s.hi, got, s.cause)
		}
		c.timer.add(1, wrong)
		c.told.add(1, open)
	}
}

// nearly is the error that a time may have: a floor, or 1 %.
func nearly(d, floor int64) int64 { return max(floor, d/100) }

// times checks what was timed against what the links allow.
func (c *card) times(r *result, m *measured, ts *[2]truth) {
	if r.skew != [2]int64{} || r.kind == planSpike || r.kind == planSpikeBefore || r.kind == planOneSided {
		return
	}
	slack := int64(0) // what the links may add to a half, beside queues
	for i := range r.links {
		l := &r.links[i]
		slack += l.jitter + l.reorderBy + 2*l.service
	}
	h := m.o.Result(m.st, &m.Conn)
	var copies [2]uint32
	for i := range r.records {
		if w := r.records[i].w; w.flags&syn != 0 && !w.copied && !m.alike[w.tx] {
			copies[w.from]++
		}
	}
	if r.kind != planMidstream && copies != [2]uint32{h.SYNs, h.SYNACKs} && r.kind != planDuplicated {
		c.sums++
		c.note("sums", r.seed, "%d SYNs, %d SYN-ACKs; truth %d", h.SYNs, h.SYNACKs, copies)
	}
	halves := [2]int64{h.Client, h.Server}
	for d := range 2 {
		least := r.links[0].delay + r.links[3].delay
		if d == 1 {
			least = r.links[1].delay + r.links[2].delay
		}
		if half := ts[1-d].half; half > 0 && m.report.Sides[d].RTT.State == Measured {
			got := m.report.Sides[d].RTT.Min
			wrong := int64(0)
			if got < least || got > half+nearly(half, 100e3) {
				wrong = 1
				c.note("rtt", r.seed, "half of side %d: %d, truth %d, at least %d", d, got, half, least)
			}
			c.rtt.add(1, wrong)
		}
		if h.State == Measured && halves[d] >= 0 {
			wrong := int64(0)
			if halves[d] < least-nearly(least, 100e3) || halves[d] > least+slack+nearly(least, 100e3) {
				wrong = 1
				c.note("handshake", r.seed, "half of side %d: %d, at least %d, slack %d", d, halves[d], least, slack)
			}
			c.handshake.add(1, wrong)
		}
	}
	if x := &m.report.Response; !r.both && x.State == Measured {
		segments := r.request/r.plan.hosts[0].mss + 1
		tol := nearly(r.think, 300e3)
		wrong := int64(0)
		if x.Min < r.think-tol-slack || x.Max > r.think+tol+slack+segments*r.links[1].service {
			wrong = 1
		}
		if x.Reasons == 0 {
			c.think.add(1, wrong)
		} else {
			c.thinkWhy.add(1, wrong)
		}
		if wrong > 0 {
			c.note(fmt.Sprintf("think%d", x.Reasons), r.seed, "%d…%d in %d turns, truth %d", x.Min, x.Max, x.Measured, r.think)
		}
	}
}

func playAll(t *testing.T, k kind, n uint64) *card {
	c := &card{kind: k, worst: map[string]string{}}
	for seed := range n {
		r := draw(k, seed).run()
		m := measure(r.records, 0)
		ts := r.judge(m)
		c.take(r, m, &ts)
		m.o.Release(m.st)
		m.st.Release(&m.Conn)
		if n := m.st.inUse(); n != 0 {
			t.Fatalf("%v, seed %d: %d values in use after Release", k, seed, n)
		}
	}
	return c
}

// floor is what the plans of a kind must reach. The zero value asks for
// perfection of the counts.
type floor struct {
	inexact, falsely, probes       float64 // directions, packets, directions per run, at most
	spurious, place, class         float64 // shares, at least
	timer, told, rtt, think, tails float64
	volume                         float64 // 0: all but 1 in 1000
}

// floors by kind of plan. The aim is exact counts, 0.98 for spurious and place,
// 0.95 for class, 0.85 for the probe against the timer with the rest left open
// (told), 0.75 for tails and fewer than 1e-4 false inferences a packet; what is
// below that is what the engine reaches.
var floors = [numKinds]floor{
	planClean:         {spurious: 1, place: 1, class: 1, rtt: 1, think: 1},
	planReordered:     {spurious: 0.98, place: 0.98, class: 0.90, rtt: 0.99, think: 1, inexact: 0.01, falsely: 0.01},
	planDuplicated:    {spurious: 0.98, place: 0.98, class: 0.50, rtt: 0.99, think: 1},
	planSkewed:        {spurious: 1, place: 1, class: 1},
	planMissed:        {spurious: 1, place: 1, class: 1, rtt: 0.99, think: 0.97},
	planLoss:          {spurious: 0.98, place: 0.98, class: 0.95, timer: 0.88, told: 0.55, rtt: 0.97, think: 0.98, inexact: 0.03},
	planBurst:         {spurious: 0.98, place: 0.98, class: 0.95, timer: 0.93, told: 0.8, rtt: 0.98, think: 0.97, inexact: 0.01, volume: 0.99},
	planLossReordered: {spurious: 0.98, place: 0.98, class: 0.95, timer: 0.9, told: 0.65, rtt: 0.98, think: 0.98, inexact: 0.03, falsely: 0.01},
	planSpike:         {spurious: 0.98, place: 1, class: 0.95, timer: 0.95, told: 0.8},
	planSpikeBefore:   {spurious: 0.98, place: 1, class: 0.3, timer: 0.3, told: 0.6}, // nothing that passes tells of the time that went by
	planSlowReader:    {spurious: 1, place: 1, class: 1, rtt: 0.99, think: 1},
	planKeepAlive:     {spurious: 1, place: 1, class: 1, rtt: 0.99, think: 1},
	planLossMissed:    {spurious: 0.98, place: 0, class: 0.93, timer: 0.93, told: 0.6, rtt: 0.98, think: 0.95, inexact: 0.02}, // place: rightly unlocated where the capture loses, too
	planTails:         {spurious: 0.98, place: 0.98, class: 0.95, timer: 0.97, told: 0.6, rtt: 0.99, think: 0.92, tails: 0.80, inexact: 0.02},
	planLossSkewed:    {spurious: 0.87, place: 0.92, class: 0.80, timer: 0.8, told: 0.6, inexact: 0.15},
	planMidstream:     {spurious: 0.98, place: 0.93, class: 0.88, timer: 0.85, told: 0.5, rtt: 0.97, think: 0.97, inexact: 0.15}, // a hole with the round trip unknown is a guess
	planOneSided:      {spurious: 0.95, inexact: 0.06},                                                                           // nobody tells of losses, nor of causes
}

// TestModel plays plans of every kind and holds the engine's verdicts to the
// model's truth.
func TestModel(t *testing.T) {
	n := seeds(t, 200)
	t.Logf("%-22s %7s %7s %7s %7s %8s %6s %6s %6s %8s %6s %6s %6s %6s %6s %s", "plan", "data", "repeats", "inexact", "falsely", "spurious", "place",
		"class", "timer", "told", "rtt", "think", "think?", "missed", "tails", "falsely inferred (shared counter)")
	for k := range numKinds {
		c := playAll(t, k, n)
		t.Logf("%-22s %7d %7d %7d %7d %8.4f %6.4f %6.4f %6.4f %8.4f %6.4f %6.4f %6.4f %6.4f %6.4f %d (%d)", k, c.data, c.repeats, c.inexact, c.falsely,
			c.spurious.share(), c.place.share(), c.class.share(), c.timer.share(), c.told.share(), c.rtt.share(), c.think.share(), c.thinkWhy.share(),
			c.missed.share(), c.tails.share(), c.inferredFalsely, c.inferredShared)
		f := &floors[k]
		atMost := func(column string, got, most float64) {
			if got > most {
				t.Errorf("%v: %s %v, want at most %v; %s", k, column, got, most, c.worst[column])
			}
		}
		atLeast := func(column string, r rate, least float64) {
			if r.share() < least {
				t.Errorf("%v: %s right in %v, want %v; %s", k, column, r.share(), least, c.worst[column])
			}
		}
		runs := float64(c.runs)
		atMost("inexact", float64(c.inexact)/runs, f.inexact)
		atMost("falsely", float64(c.falsely)/runs, f.falsely)
		atMost("sums", float64(c.sums), 0)
		atMost("probes", float64(c.probes)/runs, f.probes)
		atMost("inferred", float64(c.inferredFalsely)/float64(c.data), 2e-4)
		atMost("inferred shared", float64(c.inferredShared)/float64(c.data), 1e-2)
		atLeast("spurious", c.spurious, f.spurious)
		atLeast("place", c.place, f.place)
		atLeast("class", c.class, f.class)
		atLeast("timer", c.timer, f.timer)
		atLeast("told", c.told, f.told)
		atLeast("rtt", c.rtt, f.rtt)
		atLeast("handshake", c.handshake, 0.999) // a copy of a SYN-ACK, or a later ACK when the first was missed, can deceive it
		atLeast("think0", c.think, f.think)
		if f.volume == 0 {
			f.volume = 0.999
		}
		atLeast("missed", c.missed, min(f.volume, 0.999))
		atLeast("volume", c.volume, f.volume)
		atLeast("missed20", c.missed20, 0.998)
		atLeast("tails", c.tails, f.tails)
	}
}
