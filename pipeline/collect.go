package pipeline

import (
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

func (t *told) add(r *flow.Record) {
	if r.Kind != flow.Connection {
		return
	}
	t.connections++
	if r.EndReason == flow.EndLackOfResources {
		t.evicted++
	}
	if !r.HasTCP {
		return
	}
	p := t.point(r.Point)
	for i := range r.TCP.Sides {
		p.missed += r.TCP.Sides[i].Missed
		p.recorded += r.TCP.Sides[i].Recorded
	}
}

// addLone is add for what is small.
func (t *told) addLone(l *flow.Lone) {
	t.connections++
	if l.EndReason() == flow.EndLackOfResources {
		t.evicted++
	}
	t.point(l.Point()).recorded += flow.RecordedLone
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
// only drains, so that nobody waits for it.
func collect(seconds <-chan *second, free chan<- *second, cfg *Config, told *told, out func([]*flow.Record) error) error {
	var err error
	var order merger
	// By the record that they follow. It may leave a little later than its path
	// is known, so that what waits is a copy.
	paths := map[uint64]path.Connection{}
	chunk := make([]*flow.Record, 0, outLen)
	lones := make([]*flow.Lone, 0, outLen)
	for s := range seconds {
		s.wait.Wait()
		for i := range s.paths {
			for _, c := range s.paths[i] {
				paths[c.Last] = c
			}
		}
		order.begin(s.records[:])
		r, small := order.next()
		for (r != nil || small != nil) && err == nil {
			if small != nil {
				for lones = lones[:0]; small != nil && len(lones) < outLen; r, small = order.next() {
					lones = append(lones, small)
					told.addLone(small)
				}
				if err = cfg.Lone(lones); err != nil {
					s.failed()
				}
				continue
			}
			var last path.Connection
			found := false
			for chunk = chunk[:0]; r != nil && !found && len(chunk) < outLen; r, small = order.next() {
				chunk = append(chunk, r)
				told.add(r)
				if r.Joined && r.Kind == flow.Connection {
					if last, found = paths[r.ID]; found {
						delete(paths, r.ID)
					}
				}
			}
			if err = out(chunk); err == nil && found {
				err = cfg.Paths(&last)
			}
			if err != nil {
				s.failed()
			}
			for _, r := range chunk {
				r.Forget()
			}
		}
		for ; r != nil || small != nil; r, small = order.next() { // nobody wants them
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
