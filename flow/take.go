package flow

import "mirrorscope/packet"

// add is AddLooked for whatever packet.
func (t *Table) add(p *packet.Packet, a *Ahead) {
	t.now = max(t.now, p.Now)
	t.unchecked++
	n, found := t.index.find(a.hash, a.full(), &t.flows)
	point := t.report.point(p.Point)
	point.Packets++
	point.Bytes += uint64(p.IPLen)
	t.report.damaged(p.Flags)

	e := t.recall(p, a.print)
	if found && n&isEmbryo != 0 && e == nil && a.marks&tcp4 != 0 && t.lives(n, p, a) {
		t.counted()
		return
	}
	t.take(n, found, p, a, e)
}

// take counts a packet of flow n, if that is found, or of one that begins with
// it, or of none. e is the one like it just before, or nil: then it is remembered.
func (t *Table) take(n uint32, found bool, p *packet.Packet, a *Ahead, e *seenCopy) {
	if t.fresh == 0 {
		t.fresh = t.lively()
	}
	var f *Flow
	if found {
		if asleep(n) {
			n = t.wake(n)
		}
		f = t.flows.at(n)
	}
	dir, like := int(a.dir()), noLikeness
	if e != nil {
		like = t.alike(e, f, p, dir)
	}
	switch {
	case f != nil && like == noLikeness && t.runs(f, p):
		t.run(n, f, p, dir)
	case like == mirrorCopy:
		t.report.last.MirrorDuplicates++
		t.copied(n, f, p, dir)
		return
	case !t.place(n, f, p, a, like):
		return
	}
	t.counted()
}

// counted looks now and then, behind a packet, whether there is still room.
func (t *Table) counted() {
	if t.packets++; t.packets%checkEvery == 0 {
		t.lookForRoom()
	}
}

func (t *Table) lookForRoom() {
	for t.flows.all() > 1 && t.overgrown() {
		t.evict() // what was open has grown
	}
	t.restIdle()
}

// copied takes note of a mirror's copy of a packet of flow n, if that is there.
func (t *Table) copied(n uint32, f *Flow, p *packet.Packet, dir int) {
	if f == nil {
		return
	}
	t.rareOf(f).mirrorDups++
	t.activate(n, f)
	if o := t.opening(f); o != nil {
		o.Copy(t.tcp, &f.tcp, p, dir)
	}
	t.settle(n, f)
}

// place counts a packet into the flow that it belongs to: n, which its key
// names, or, if f is nil, none yet, or a new one. It is false if it belongs to none.
func (t *Table) place(n uint32, f *Flow, p *packet.Packet, a *Ahead, like likeness) bool {
	dir, found := int(a.dir()), f != nil
	if found && t.now >= t.due(f) {
		t.end(n, t.due(f), EndIdleTimeout)
		found = false
	}
	if found && p.Proto == packet.ProtoTCP && p.Flags&(packet.HeaderCut|packet.BadHeader) == 0 {
		var v continuity
		switch n, v = t.generation(n, p, dir); v {
		case strayed:
			return false
		case undecided:
			like = candidateSYN
		}
	}
	if !found {
		if p.Proto == packet.ProtoTCP {
			met := t.watcher != nil && t.meets(p)
			if like == noLikeness && t.conceive(a.hash, p, met) {
				return true
			}
		}
		n = t.open(a.full(), a.hash, p, dir)
	}
	f = t.flows.at(n)
	t.update(n, f, p, dir, like)
	t.settle(n, f)
	return true
}
