package pipeline

import (
	"runtime"
	"unsafe"

	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/path"
	"mirrorscope/pool"
	"mirrorscope/session"
)

// recordsAhead is how many records before it is read one is loaded, and phasesAhead what is beside
// it: so many cache lines.
const (
	recordsAhead, recordLines = 8, (int(unsafe.Sizeof(flow.Record{})) + 63) / 64
	phasesAhead, phasesLines  = 4, (int(unsafe.Sizeof(session.Phases{})) + 63) / 64
)

// ahead begins to load what will be read of the records that follow the first one.
func ahead(records []*flow.Record) {
	if len(records) > recordsAhead {
		pool.Prefetch(unsafe.Pointer(records[recordsAhead]), recordLines)
	}
	if len(records) > phasesAhead {
		if p := records[phasesAhead].Phases; p != nil {
			pool.Prefetch(unsafe.Pointer(p), phasesLines)
		}
	}
}

// told is what only the records tell of the health of the input.
type told struct {
	connections, evicted uint64
	points               []toldPoint // by packet.PointID
}

type toldPoint struct{ missed, recorded int64 }

// add takes records in order. far tells that they were made by another core.
func (t *told) add(records []*flow.Record, far bool) {
	for i, r := range records {
		if far {
			ahead(records[i:])
		}
		if r.Kind != flow.Connection {
			continue
		}
		t.connections++
		if r.EndReason == flow.EndLackOfResources {
			t.evicted++
		}
		if !r.HasTCP {
			continue
		}
		p := t.point(r.Point)
		for i := range r.TCP.Sides {
			p.missed += r.TCP.Sides[i].Missed
			p.recorded += r.TCP.Sides[i].Recorded
		}
	}
}

// addLones is add for what is small.
func (t *told) addLones(lones []*flow.Lone) {
	t.connections += uint64(len(lones))
	for _, l := range lones {
		if l.EndReason() == flow.EndLackOfResources {
			t.evicted++
		}
		t.point(l.Point()).recorded += flow.RecordedLone
	}
}

func (t *told) point(id packet.PointID) *toldPoint {
	for int(id) >= len(t.points) {
		t.points = append(t.points, toldPoint{})
	}
	return &t.points[id]
}

func (t *told) complete(c *flow.Capture) {
	c.Connections, c.Evicted = t.connections, t.evicted
	for i := range c.Points {
		if p := &c.Points[i]; int(p.ID) < len(t.points) {
			p.Missed, p.Recorded = t.points[p.ID].missed, t.points[p.ID].recorded
		}
	}
}

// outLen is how many records are given out at a time.
const outLen = 256

// collector gives out the records of each second in order, each path after its
// last record, and the health that was asked for with them. After an error it
// only drains, so that nobody waits for it.
type collector struct {
	cfg   *Config
	out   func([]*flow.Record) error
	far   bool // the records come from another goroutine
	yield bool // the reader of a live source goes first, time and again
	told  told
	err   error // of out and those like it

	order  merger
	chunk  []*flow.Record
	lones  []*flow.Lone
	whole  *flow.Expander             // of what is small, where nobody takes it so
	paths  map[uint64]path.Connection // by the record that they follow; it may leave a little later, so that what waits is a copy
	latest path.Connection            // scratch
}

func newCollector(cfg *Config, out func([]*flow.Record) error) *collector {
	c := &collector{
		cfg: cfg, out: out, paths: map[uint64]path.Connection{},
		chunk: make([]*flow.Record, 0, outLen), lones: make([]*flow.Lone, 0, outLen),
	}
	if cfg.Lone == nil {
		c.whole = flow.NewExpander(&cfg.Flow, cfg.Names)
	}
	return c
}

// run takes seconds until there are no more, each when its shards have answered, and
// gives them back.
func (c *collector) run(seconds <-chan *second, free chan<- *second) error {
	for s := range seconds {
		s.wait.Wait()
		c.take(s)
		free <- s
	}
	return c.err
}

// take gives out what is in a second.
func (c *collector) take(s *second) {
	for i := range s.paths {
		for _, p := range s.paths[i] {
			c.paths[p.Last] = p
		}
	}
	failed := c.err != nil
	c.order.begin(s.records[:])
	for c.err == nil && c.some() {
		if c.yield {
			runtime.Gosched() // of one core the reader gets its part while there are many records
		}
	}
	for r, small := c.order.next(); r != nil || small != nil; r, small = c.order.next() { // nobody wants them
		if r != nil {
			r.Forget()
		}
	}
	if s.health != nil && c.err == nil {
		c.told.complete(s.health)
		c.err = c.cfg.Health(s.health)
	}
	s.health = nil
	if c.err != nil && !failed {
		s.failed()
	}
}

// some gives out the next records, of one kind; there are none, where it tells so.
func (c *collector) some() bool {
	if c.whole == nil {
		if c.lones = c.order.nextLones(c.lones[:0]); len(c.lones) > 0 {
			c.told.addLones(c.lones)
			c.err = c.cfg.Lone(c.lones)
			return true
		}
	}
	if c.chunk = c.order.nextRecords(c.chunk[:0], c.whole); len(c.chunk) == 0 {
		return false
	}
	for rest := c.chunk; len(rest) > 0 && c.err == nil; {
		n, found := upToPath(rest, c.paths, &c.latest)
		part := rest[:n]
		rest = rest[n:]
		c.told.add(part, c.far)
		if c.err = c.out(part); c.err == nil && found {
			c.err = c.cfg.Paths(&c.latest)
		}
	}
	for _, r := range c.chunk {
		r.Forget()
	}
	return true
}

// upToPath tells how many of the records come up to the next path, and takes it; all
// of them, where none is found.
func upToPath(records []*flow.Record, paths map[uint64]path.Connection, last *path.Connection) (n int, found bool) {
	if len(paths) == 0 {
		return len(records), false
	}
	for i, r := range records {
		if r.Kind != flow.Connection {
			continue
		}
		if *last, found = paths[r.ID]; found {
			delete(paths, r.ID)
			return i + 1, true
		}
	}
	return len(records), false
}
