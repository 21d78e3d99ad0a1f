// Package csv writes connection records as comma-separated values: a header
// line, then one line a connection, with the fields of
// docs/reference/record.md flattened. "_" joins nested names, ";" joins lists,
// an absent value is an empty cell, and the columns are always the same, but for
// those of tags, which are there where tags are configured.
//
// Quoting is that of RFC 4180. Lines end in a line feed alone, not CR LF: cut,
// sort and awk would take the CR for a part of the last column, and every
// reader of RFC 4180 takes both.
package csv

import (
	"io"
	"slices"
	"unicode"
	"unicode/utf8"

	"mirrorscope/enrich"
	"mirrorscope/flow"
	"mirrorscope/packet"
	"mirrorscope/sink"
)

// flushAt is the number of octets after which a Writer writes.
const flushAt = 64 << 10

// Writer writes records. It is owned by one goroutine.
type Writer struct {
	w        io.Writer
	names    sink.Names
	points   map[packet.PointID]sink.Point // as looked up; Names bounds both maps
	networks map[packet.NetworkID]string
	groups   []group
	namer    *enrich.Namer // nil: no tags are told
	row      row
	header   bool // was written
	buf      []byte
}

// New gives a Writer to w. names must know every number in the records.
func New(w io.Writer, names sink.Names) *Writer {
	return &Writer{w: w, names: names, points: map[packet.PointID]sink.Point{}, networks: map[packet.NetworkID]string{}, groups: groups[:]}
}

// Name has the records tell the tags of both ends, in columns behind all others. It
// is called before anything is written.
func (w *Writer) Name(n *enrich.Namer) {
	w.namer, w.groups = n, append(slices.Clone(w.groups), group{always, tagColumns})
}

// Write writes the connections among the records, in order, and holds none of
// them back. Intervals are left out: summed with the connections they would
// count everything twice.
func (w *Writer) Write(records []*flow.Record) error {
	w.start()
	for i := range records {
		if records[i].Kind != flow.Connection {
			continue
		}
		w.append(records[i])
		if len(w.buf) >= flushAt {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return w.flush()
}

// Close writes the header if nothing was written yet; there is no place for
// the capture in this format. It does not close the writer below.
func (w *Writer) Close(*flow.Capture) error {
	w.start()
	return w.flush()
}

func (w *Writer) start() {
	if w.header {
		return
	}
	w.header = true
	for i := range w.groups {
		for _, c := range w.groups[i].columns {
			w.buf = append(append(w.buf, c.name...), ',')
		}
	}
	w.endLine()
}

func (w *Writer) append(r *flow.Record) {
	point, ok := w.points[r.Point]
	if !ok {
		point = sink.PointOf(w.names, r.Point)
		w.points[r.Point] = point
	}
	network, ok := w.networks[r.Network]
	if !ok {
		network = w.names.NetworkName(r.Network)
		w.networks[r.Network] = network
	}
	w.row = row{Record: r, point: point, path: w.names.Path(r.Path), network: network}
	if w.namer != nil {
		w.row.tags = w.namer.Record(r).Tags
	}
	for i := range w.groups {
		g := &w.groups[i]
		if !g.there(&w.row) {
			for range g.columns {
				w.buf = append(w.buf, ',')
			}
			continue
		}
		for c := range g.columns {
			w.buf = append(g.columns[c].append(w.buf, &w.row), ',')
		}
	}
	w.endLine()
}

// endLine ends a line whose last cell has a comma behind it.
func (w *Writer) endLine() { w.buf[len(w.buf)-1] = '\n' }

func (w *Writer) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	_, err := w.w.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

// appendText adds a text as a cell. Invalid UTF-8 and control characters become
// U+FFFD, so that a record is one line and a terminal is safe from it.
func appendText(dst []byte, s string) []byte {
	start := len(dst)
	dst, quote := escape(append(dst, '"'), s, false)
	return quoted(dst, start, quote)
}

// appendList adds n texts as a cell, with ";" between them. One within an item
// becomes "%3B".
func appendList(dst []byte, r *row, n int, item func(*row, int) string) []byte {
	start, quote := len(dst), false
	dst = append(dst, '"')
	for i := range n {
		var q bool
		dst, q = escape(separate(dst, i > 0), item(r, i), true)
		quote = quote || q
	}
	return quoted(dst, start, quote)
}

// escape adds a text as it stands between quotes, and tells whether it needs
// them.
func escape(dst []byte, s string, item bool) (_ []byte, quote bool) {
	for _, r := range s {
		switch {
		case r == ';' && item:
			dst = append(dst, "%3B"...)
			continue
		case r == '"':
			quote = true
			dst = append(dst, '"')
		case r == ',':
			quote = true
		case unicode.IsControl(r):
			r = utf8.RuneError
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst, quote
}

// quoted ends a cell that began with a quote, or takes that away.
func quoted(dst []byte, start int, quote bool) []byte {
	if quote {
		return append(dst, '"')
	}
	return append(dst[:start], dst[start+1:]...)
}
