package pipeline

import (
	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/path"
)

// watch decides whether the tables are watched for connections that several
// observation points record, which would cost time for nothing where there is
// one point: so it waits for a second interface or point. A mirror's tunnel is
// seldom alone: with one the tables are watched from the start, and no longer
// than it takes for a second one to show up.
type watch struct {
	matchers []*path.Matcher // by partition; nil: nobody asks
	tables   []*flow.Table
	on       bool
	several  bool  // interfaces or points
	until    int64 // ns; while there is one point
}

// start makes the matchers, with the part of the tables' memory that they leave.
func (w *watch) start(memory int64, tables []*flow.Table) {
	c := path.DefaultConfig()
	c.Memory = memory / 8
	w.tables = tables
	for range tables {
		w.matchers = append(w.matchers, path.NewMatcher(c))
	}
}

// firstPoint is the number of the first point.
const firstPoint packet.PointID = 1

// waits tells whether any packet may yet be due.
func (w *watch) waits() bool { return !w.several && w.matchers != nil }

// due tells whether the packet that comes next turns the watch on or off. The
// answer follows from what was read so far, so it is the same for any number
// of shards.
func (w *watch) due(p *packet.Packet, faces int) bool {
	if !w.waits() {
		return false
	}
	w.several = p.Point != firstPoint || faces > 1
	return w.several && !w.on || w.on && !w.several && p.Now > w.until
}

// begin turns the watch on if the first point is a tunnel's.
func (w *watch) begin(first packet.PointKey, now int64) {
	if w.matchers != nil && first.Kind != packet.NoTunnel {
		w.until = now + int64(path.DefaultConfig().Window)
		w.turn()
	}
}

// turn turns the watch on or off. No shard may have packets then.
func (w *watch) turn() {
	w.on = !w.on
	for i, t := range w.tables {
		if w.on {
			t.Watch(w.matchers[i])
		} else {
			t.Watch(nil)
			w.matchers[i].Reset()
		}
	}
}
