package pipeline

import (
	"mirrorscope/flow"
	"mirrorscope/path"
)

// told is what only the records tell of the health of the input.
type told struct {
	connections, evicted uint64
	points               []struct{ missed, recorded int64 } // by packet.PointID
}

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
	for int(r.Point) >= len(t.points) {
		t.points = append(t.points, struct{ missed, recorded int64 }{})
	}
	p := &t.points[r.Point]
	for i := range r.TCP.Sides {
		p.missed += r.TCP.Sides[i].Missed
		p.recorded += r.TCP.Sides[i].Recorded
	}
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
	for s := range seconds {
		s.wait.Wait()
		sorted := order.merge(s.records[:])
		for i := range s.paths {
			for _, c := range s.paths[i] {
				paths[c.Last] = c
			}
		}
		for len(sorted) > 0 && err == nil {
			var last path.Connection
			found := false
			chunk = chunk[:0]
			for !found && len(chunk) < outLen && len(sorted) > 0 {
				r := sorted[0].record
				sorted = sorted[1:]
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
		for _, x := range sorted { // nobody wants them
			x.record.Forget()
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
