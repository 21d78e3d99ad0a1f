package pipeline

import (
	"runtime"

	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/path"
)

// told is what only the records tell of the health of the input.
type told struct {
	connections, evicted uint64
	points               []toldPoint // by packet.PointID
}

type toldPoint struct{ missed, recorded int64 }

func (t *told) add(records []*flow.Record) {
	for _, r := range records {
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

// collect gives out the records of each second in order, each path after its
// last record, and the health that was asked for with them. After an error it
// only drains, so that nobody waits for it. With yield it lets the reader of a live
// source go first, time and again.
func collect(seconds <-chan *second, free chan<- *second, cfg *Config, yield bool, told *told, out func([]*flow.Record) error) error {
	var err error
	var order merger
	// By the record that they follow. It may leave a little later than its path
	// is known, so that what waits is a copy.
	paths := map[uint64]path.Connection{}
	var last path.Connection
	chunk := make([]*flow.Record, 0, outLen)
	lones := make([]*flow.Lone, 0, outLen)
	var whole *flow.Expander // of what is small, where nobody takes it so
	if cfg.Lone == nil {
		whole = flow.NewExpander(&cfg.Flow, cfg.Names)
	}
	for s := range seconds {
		s.wait.Wait()
		for i := range s.paths {
			for _, c := range s.paths[i] {
				paths[c.Last] = c
			}
		}
		order.begin(s.records[:])
		for err == nil {
			if whole == nil {
				if lones = order.nextLones(lones[:0]); len(lones) > 0 {
					told.addLones(lones)
					if err = cfg.Lone(lones); err != nil {
						s.failed()
					}
					continue
				}
			}
			if chunk = order.nextRecords(chunk[:0], whole); len(chunk) == 0 {
				break
			}
			for rest := chunk; len(rest) > 0 && err == nil; {
				n, found := upToPath(rest, paths, &last)
				some := rest[:n]
				rest = rest[n:]
				told.add(some)
				if err = out(some); err == nil && found {
					err = cfg.Paths(&last)
				}
			}
			if err != nil {
				s.failed()
			}
			for _, r := range chunk {
				r.Forget()
			}
			if yield {
				runtime.Gosched() // of one core the reader gets its part while there are many records
			}
		}
		for r, small := order.next(); r != nil || small != nil; r, small = order.next() { // nobody wants them
			if r != nil {
				r.Forget()
			}
		}
		if s.health != nil && err == nil {
			told.complete(s.health)
			if err = cfg.Health(s.health); err != nil {
				s.failed()
			}
		}
		s.health = nil
		free <- s
	}
	return err
}

// upToPath tells how many of the records come up to the next path, and takes it; all
// of them, where none is found.
func upToPath(records []*flow.Record, paths map[uint64]path.Connection, last *path.Connection) (n int, found bool) {
	if len(paths) == 0 {
		return len(records), false
	}
	for i, r := range records {
		if !r.Joined || r.Kind != flow.Connection {
			continue
		}
		if *last, found = paths[r.ID]; found {
			delete(paths, r.ID)
			return i + 1, true
		}
	}
	return len(records), false
}
