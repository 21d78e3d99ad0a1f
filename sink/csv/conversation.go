package csv

import (
	"io"
	"strings"

	grouping "mirrorscope/edge/group"
	"mirrorscope/flow"
	"mirrorscope/path"
	"mirrorscope/sink"
)

// Grouped writes a line for each row of each window of grouped connections, and no
// records: the fields of conversation objects, flattened. Lists and objects are left
// out.
type Grouped struct {
	w      io.Writer
	table  *grouping.Table
	fields []sink.GroupField
	buf    []byte
}

// NewGrouped gives one to w. build makes the table, which gives its windows to emit.
func NewGrouped(w io.Writer, build func(emit func(*grouping.Window)) *grouping.Table) *Grouped {
	g := &Grouped{w: w}
	g.table = build(g.window)
	for _, f := range sink.GroupFields(g.table.Keys()) {
		if !f.List {
			g.fields = append(g.fields, f)
		}
	}
	for _, f := range g.fields {
		g.buf = append(appendText(g.buf, strings.Join(f.Path, "_")), ',')
	}
	g.buf[len(g.buf)-1] = '\n'
	return g
}

func (g *Grouped) window(w *grouping.Window) {
	for _, r := range w.All() {
		x := sink.GroupedOf(w, r)
		for i := range g.fields {
			f := &g.fields[i]
			if f.Text != nil {
				g.buf = appendText(g.buf, f.Text(x))
			} else {
				start := len(g.buf)
				g.buf = f.Append(g.buf, x)
				if cell := g.buf[start:]; len(cell) > 1 && cell[0] == '"' { // a time
					g.buf = append(g.buf[:start], cell[1:len(cell)-1]...)
				}
			}
			g.buf = append(g.buf, ',')
		}
		g.buf[len(g.buf)-1] = '\n'
	}
}

// Write takes the records, and writes the windows that have ended.
func (g *Grouped) Write(records []*flow.Record) error {
	for _, r := range records {
		g.table.Add(r)
		if len(g.buf) >= flushAt {
			if err := g.flush(); err != nil {
				return err
			}
		}
	}
	return g.flush()
}

// WritePath takes the path of a connection whose last record was just written.
func (g *Grouped) WritePath(c *path.Connection) error {
	g.table.AddPath(c)
	return nil
}

// Close writes the last window. It does not close the writer below.
func (g *Grouped) Close(*flow.Capture) error {
	g.table.Close()
	return g.flush()
}

func (g *Grouped) flush() error {
	if len(g.buf) == 0 {
		return nil
	}
	_, err := g.w.Write(g.buf)
	g.buf = g.buf[:0]
	return err
}
