package daemon

import (
	"time"

	"mirrorscope/edge/group"
	"mirrorscope/flow"
	"mirrorscope/path"
	"mirrorscope/sink"
	"mirrorscope/sink/jsonl"
)

// groups writes what connections that are grouped did in each interval. It belongs
// to the collector of the pipeline, as output does. nil: nothing is grouped.
type groups struct {
	table *group.Table
	lines *jsonl.Conversations
	buf   []byte // of intervals that have ended, until they are taken
}

// wantsGroups tells whether connections are grouped, and that is written.
func (c *Config) wantsGroups() bool { return c.Conversations.Enable && c.written() }

// written tells whether records are.
func (c *Config) written() bool { return c.Output.Stdout || c.Output.File.Directory != "" }

// groups is the configuration of the table, bounded by the memory of the tables of
// connections: it takes no more than about half of that.
func (c *Config) groups(tables int64) group.Config {
	g := c.Conversations
	g.Interval = time.Duration(c.Measure.Interval)
	g.Window = g.Interval
	g.Connections = int(min(int64(g.Connections), max(tables>>12, 1)))
	g.Samples = int(min(int64(g.Samples), max(tables>>7, 1)))
	return g
}

// groupMemory is what the table may hold.
func groupMemory(c group.Config) int64 {
	const row, connection, sample = 3000, 1000, 16 // octets; of rows there may be twice as many for a moment
	return 2*int64(c.Rows)*row + int64(c.Connections)*connection + int64(c.Samples)*sample
}

// newGroups gives one for records that tags has the names of.
func newGroups(c group.Config, tags group.Tags) *groups {
	g := new(groups)
	protocol := func(p uint8) string { return string(sink.AppendProtocol(nil, p)) }
	g.table = group.New(c, tags, protocol, func(w *group.Window) { g.buf = g.lines.AppendWindow(g.buf, w) })
	g.lines = jsonl.NewConversations(g.table.Keys())
	return g
}

func (g *groups) add(r *flow.Record) {
	if g != nil {
		g.table.Add(r)
	}
}

func (g *groups) addPath(c *path.Connection) {
	if g != nil {
		g.table.AddPath(c)
	}
}

// advance ends the intervals that have ended by a time of the input, ns; 0: the
// input has ended.
func (g *groups) advance(at int64) {
	switch {
	case g == nil:
	case at == 0:
		g.table.Close()
	default:
		g.table.Advance(at)
	}
}

// take adds the lines of the intervals that have ended.
func (g *groups) take(dst []byte) []byte {
	if g == nil {
		return dst
	}
	dst = append(dst, g.buf...)
	g.buf = g.buf[:0]
	return dst
}

// events are its counts.
func (g *groups) events() []flow.Loss {
	if g == nil {
		return nil
	}
	n := g.table.Counts()
	return n.Events()
}
