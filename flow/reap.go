package flow

import (
	"math"
	"math/bits"

	"mirrorscope/packet"
	"mirrorscope/pool"
)

// planSeeds plans the end of the seeds that came by a time, ns. Those that came by
// ripe are due; the others are open when the input ends.
func (t *Table) planSeeds(by, ripe int64) {
	t.plan.seeds, t.plan.ripe = t.flows.seeds.until(by), ripe
}

// sown is when a seed came that is due at a time, ns. Both are at the beginning of time
// at the soonest.
func (t *Table) sown(due int64) int64 { return max(due, 0) - t.wheels[halfOpen].timeout }

// seedMark is the place of the record of the k-th seed of the plan.
func (t *Table) seedMark(k int) Mark {
	s := &t.flows.seeds
	n := s.nth(k)
	time := s.seen(n)
	return Mark{t.seedRelease(time), Connection, time, s.key(s.at(n))}
}

// seedRelease is the release of a seed of the plan, by its time.
func (t *Table) seedRelease(time int64) int64 {
	if time > t.plan.ripe {
		return EndOfInput
	}
	return t.wheels[halfOpen].due(time)
}

// small tells whether all records of seeds are Lones.
func (t *Table) small() bool {
	return t.watcher == nil && t.cfg.Interval == 0 && t.learned.names.Len() == 0
}

// reap makes the records of the seeds of the plan up to the mark.
func (t *Table) reap(cut *Mark) {
	s, small := &t.flows.seeds, t.small()
	for t.plan.seeds > 0 {
		row := s.tail
		which, open := t.reapable(cut)
		if which == 0 {
			return
		}
		t.plan.seeds -= bits.OnesCount64(which)
		if small {
			t.reapRow(row, which, open)
			continue
		}
		r := s.row(row)
		for m := which; m != 0; m &= m - 1 {
			i := bits.TrailingZeros64(m)
			reason := EndForced
			if !open {
				reason = EndIdleTimeout
			}
			t.finish(s.number(row, i), t.seedRelease(r.time(i)), reason)
		}
	}
}

// reapable gives the seeds of the first row whose records lie before the mark: of
// those that are due, or, if there are none, of those that are open.
func (t *Table) reapable(cut *Mark) (which uint64, open bool) {
	p, s := &t.plan, &t.flows.seeds
	r := s.row(s.tail)
	open = r.time(bits.TrailingZeros64(r.alive)) > p.ripe
	// Those that came before limit do, those that came at limit perhaps.
	limit, last := int64(math.MaxInt64), int64(math.MaxInt64)
	switch {
	case !open && cut.release != EndOfInput:
		limit, last = max(cut.release, 0)-t.wheels[halfOpen].timeout, p.ripe
	case !open:
		last = p.ripe
	case cut.release != EndOfInput:
		return 0, true
	case cut.kind == Connection:
		limit = cut.start
	}
	m := r.alive
	for left := p.seeds; m != 0 && left > 0; left-- {
		i := bits.TrailingZeros64(m) % rowLen
		if time := r.time(i); time >= limit || time > last {
			if time > limit || time > last {
				break
			}
			if mark := (Mark{t.seedRelease(time), Connection, time, s.key(&r.seeds[i])}); mark.compare(cut) > 0 {
				break
			}
		}
		m &= m - 1
	}
	return r.alive ^ m, open
}

// reapRow makes the records of seeds of a row, as Lone, and forgets those.
func (t *Table) reapRow(row uint32, which uint64, open bool) {
	s := &t.flows.seeds
	r := s.row(row)
	var hashes [rowLen]uint64
	if !t.index.gone {
		for m := which; m != 0; m &= m - 1 {
			i := bits.TrailingZeros64(m) % rowLen
			hashes[i] = s.hash(&r.seeds[i], t.secret)
			pool.Prefetch(t.index.at(hashes[i]), 1)
		}
	}
	for m := which; m != 0; m &= m - 1 {
		l := t.out.addLone()
		i := bits.TrailingZeros64(m) % rowLen
		s.lone(&r.seeds[i], r.time(i), l)
		t.serial++
		l.serial, l.release, l.reason, l.outcome = t.serial, EndOfInput, EndForced, OutcomeNone
		if !open {
			l.release, l.reason = t.wheels[halfOpen].due(l.time), EndIdleTimeout
			t.judge(l)
		}
	}
	if !t.index.gone {
		for m := which; m != 0; m &= m - 1 {
			i := bits.TrailingZeros64(m) % rowLen
			t.index.remove(hashes[i], s.number(row, i))
		}
	}
	s.clear(row, which)
}

// lone fills in what a Lone has of a seed that came at a time, ns.
func (s *seeds) lone(e *seed, time int64, l *Lone) {
	w := &s.forms[e.form]
	l.time, l.src, l.dst, l.srcPort, l.dstPort, l.point, l.network, l.path = time, e.src, e.dst, e.srcPort, e.dstPort, w.point, w.network, w.path
	l.flags, l.mss, l.has = w.flags, w.mss, packet.TCPOptions(w.options)
	l.ipLen, l.wscale, l.trafc = w.ipLen, w.wscale, w.trafc
}
