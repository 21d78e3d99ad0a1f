package flow

// end makes the record of a flow and forgets it.
func (t *Table) end(n uint32, release int64, reason EndReason) {
	if !seedling(n) {
		t.wheels[t.flows.class(n)].remove(n, &t.flows)
	}
	t.finish(n, release, reason)
}

// finish makes the record of a flow that is in no wheel any more, and forgets
// the flow.
func (t *Table) finish(n uint32, release int64, reason EndReason) {
	wait := false // young, until its interval closes
	if n&isEmbryo != 0 {
		young, unpaired, told := false, false, t.cfg.Interval == 0 || t.toldOf(n)
		wait = !told && (t.index.gone || t.mayWait() > 0)
		if !seedling(n) {
			e := t.flows.embryo(n)
			if young, unpaired = e.grown(), e.unpaired(); unpaired {
				t.meet(n, e)
			}
		}
		switch {
		case t.watcher != nil && !unpaired:
			n, wait = t.hatch(n, false), false // it is told of by number
		case !told && !wait && t.plan.closing && !t.full(t.perFlow):
			n = t.hatch(n, false) // it waits for the close as a flow
		case !told && !wait: // a second record tells of it at once
		case !young:
			t.finishLone(n, release, reason)
			return
		case t.finishShort(n, release, reason):
			return
		}
	}
	f := t.ending(n)
	t.decide(f)
	if more := t.endTalk(f, release, reason); f.snapshot != 0 && (more || f.tcp.Undecided(t.tcp)) {
		t.activate(n, f)
	}
	waits := !wait && t.lastInterval(n, f, release)
	r := t.out.Add()
	t.record(f, r, release, reason)
	t.said(f, r, reason)
	if t.watcher != nil {
		if t.watcher.End(n, r); r.Joined && t.cfg.Lends {
			r.Own()
		}
	}
	t.unlist(n, f)
	if len(t.candidates)+len(t.earlier) > 0 {
		delete(t.candidates, n)
		delete(t.earlier, n)
	}
	switch f.class = ended; {
	case wait:
		t.giveBack(f)
		t.leave(n, r)
	case !waits:
		t.forget(n, f)
	}
}

// forget gives back a flow that has ended, and what it holds.
func (t *Table) forget(n uint32, f *Flow) {
	t.giveBack(f)
	t.flows.put(n)
}

// giveBack gives back what a flow holds beside itself.
func (t *Table) giveBack(f *Flow) {
	if f.opening != 0 { // it was only looked at
		t.openings.Put(f.opening)
	}
	t.tcp.Release(&f.tcp)
	t.sessions.Release(f.session)
	if f.snapshot != 0 {
		t.snapshots.Put(f.snapshot &^ unlisted)
	}
	if f.rare != 0 {
		t.rare.Put(f.rare)
	}
}
