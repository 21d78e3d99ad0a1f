package jsonl

import (
	"io"

	"mirrorscope/edge/group"
	"mirrorscope/flow"
	"mirrorscope/path"
	"mirrorscope/sink"
)

// Conversations turns windows of grouped connections into lines.
type Conversations struct{ fields []sink.GroupField }

// NewConversations gives one for rows with values of keys.
func NewConversations(keys []group.Key) *Conversations {
	return &Conversations{sink.GroupFields(keys)}
}

// AppendWindow adds a conversation object and the end of the line for each row,
// Other last.
func (c *Conversations) AppendWindow(dst []byte, w *group.Window) []byte {
	for _, r := range w.All() {
		dst = c.appendRow(dst, sink.GroupedOf(w, r))
	}
	return dst
}

// appendRow adds one object. What is not known is absent, and so is an object with
// nothing in it.
func (c *Conversations) appendRow(dst []byte, g *sink.Grouped) []byte {
	var open []string // objects that the line is in
	dst = append(dst, '{')
	for i := range c.fields {
		f := &c.fields[i]
		start := len(dst)
		depth := 0
		for depth < len(open) && depth < len(f.Path)-1 && open[depth] == f.Path[depth] {
			depth++
		}
		for range open[depth:] {
			dst = append(dst, '}')
		}
		for _, name := range f.Path[depth : len(f.Path)-1] {
			dst = append(appendString(comma(dst), name), `:{`...)
		}
		dst = append(appendString(comma(dst), f.Path[len(f.Path)-1]), ':')
		before := len(dst)
		if f.Text != nil {
			if text := f.Text(g); text != "" {
				dst = appendString(dst, text)
			}
		} else {
			dst = f.Append(dst, g)
		}
		if len(dst) == before { // not known
			dst = dst[:start]
			continue
		}
		open = append(open[:depth], f.Path[depth:len(f.Path)-1]...)
	}
	for range open {
		dst = append(dst, '}')
	}
	return append(dst, "}\n"...)
}

// comma separates a field from the one before it.
func comma(dst []byte) []byte {
	if dst[len(dst)-1] == '{' {
		return dst
	}
	return append(dst, ',')
}

// Grouped writes records, and between them conversation objects at each window's
// end.
type Grouped struct {
	*Writer
	table     *group.Table
	rows      *Conversations
	intervals bool // interval records are written, too
}

// NewGrouped gives one to w. build makes the table, which gives its windows to emit.
// Without intervals, interval records count and are not written.
func NewGrouped(w io.Writer, names sink.Names, intervals bool, build func(emit func(*group.Window)) *group.Table) *Grouped {
	g := &Grouped{Writer: New(w, names), intervals: intervals}
	g.table = build(func(w *group.Window) { g.buf = g.rows.AppendWindow(g.buf, w) })
	g.rows = NewConversations(g.table.Keys())
	return g
}

// Write writes the records, in order, and holds none of them back.
func (g *Grouped) Write(records []*flow.Record) error {
	for _, r := range records {
		g.table.Add(r)
		if r.Kind == flow.Connection || g.intervals {
			g.buf = g.enc.AppendRecord(g.buf, r)
		}
		if len(g.buf) >= flushAt {
			if err := g.flush(); err != nil {
				return err
			}
		}
	}
	return g.flush()
}

// WritePath writes the path of a connection whose last record was just written.
func (g *Grouped) WritePath(c *path.Connection) error {
	g.table.AddPath(c)
	return g.Writer.WritePath(c)
}

// Close writes the last window and the capture object. It does not close the writer
// below.
func (g *Grouped) Close(c *flow.Capture) error {
	g.table.Close()
	n := g.table.Counts()
	c.Events = append(c.Events, n.Events()...)
	return g.Writer.Close(c)
}
