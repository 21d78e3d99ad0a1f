// Package viewjson writes a view of a capture as JSON, one object a line (RFC
// 8259, in UTF-8): conversations, TLS servers, names that DNS was asked for or
// HTTP endpoints, then the capture object.
//
// docs/reference/views.md is the contract. Names and units are those of records:
// durations in µs, and what is not known is absent.
package viewjson

import (
	"encoding/json"
	"io"
	"strings"
	"unicode"

	"mirrorscope/edge"
	"mirrorscope/enrich"
	"mirrorscope/flow"
	"mirrorscope/path"
	"mirrorscope/sink"
)

// Config says what to write.
type Config struct {
	Sort            edge.Order
	Limit           int         // the most rows; 0: all
	Edge            edge.Config // its View is what is written
	CertificateDays int         // certificates that expire within so many days of the capture's end are marked
}

// Writer folds records and writes rows in the end. It is owned by one goroutine.
type Writer struct {
	config  Config
	w       io.Writer
	names   sink.Names
	edges   *edge.Table
	namer   *enrich.Namer // nil: no tags are told
	capture func([]byte, *flow.Capture) []byte
	err     error
}

// New gives a Writer to w. names must know every number in the records; capture
// adds the capture object, as a line.
func New(w io.Writer, names sink.Names, c Config, capture func([]byte, *flow.Capture) []byte) *Writer {
	return &Writer{config: c, w: w, names: names, edges: edge.New(c.Edge), capture: capture}
}

// Write takes the records. Nothing is written yet.
func (w *Writer) Write(records []*flow.Record) error {
	w.edges.Add(records...)
	return nil
}

// WriteLones takes what is small of the records.
func (w *Writer) WriteLones(some []*flow.Lone) { w.edges.AddLones(some) }

// WritePath takes the path of a connection whose last record was just written.
func (w *Writer) WritePath(c *path.Connection) error {
	w.edges.AddPath(c)
	return nil
}

// Close writes the rows and the capture object. It does not close the writer
// below.
func (w *Writer) Close(c *flow.Capture) error {
	s := w.edges.Summary()
	switch w.config.Edge.View {
	case edge.ViewTLS:
		w.tls(s.TLS, c.Last)
	case edge.ViewDNS:
		w.dns(s.DNS)
	case edge.ViewHTTP:
		w.http(s.Endpoints)
	default:
		w.conversations(s)
	}
	if w.err != nil {
		return w.err
	}
	_, err := w.w.Write(w.capture(nil, c))
	return err
}

// line writes one object. Of several errors the first is kept.
func (w *Writer) line(object any) {
	if w.err != nil {
		return
	}
	e := json.NewEncoder(w.w)
	e.SetEscapeHTML(false)
	w.err = e.Encode(object)
}

// clean makes a name safe for a terminal, where JSON may be read as well.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}

// limited cuts rows to the first n, 0 for all.
func limited[T any](rows []T, n int) []T {
	if n > 0 && n < len(rows) {
		return rows[:n]
	}
	return rows
}
