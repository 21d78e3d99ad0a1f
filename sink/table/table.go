// Package table shows conversations, or another view of the capture, to people:
// the top rows, a line each, and below them what stands out and the health of
// the capture on one screen.
//
// Sizes are in KiB, MiB … (1024), rates and counts in thousands. Names out of
// capture files are made safe for the terminal. Nothing is cut where the output
// is not a terminal.
package table

import (
	"io"
	"strings"

	"mirrorscope/edge"
	"mirrorscope/enrich"
	"mirrorscope/flow"
	"mirrorscope/path"
	"mirrorscope/sink"
)

// Config says what to show and how.
type Config struct {
	Input  []string // what was read, as the user named it
	Sort   edge.Order
	Limit  int         // the most rows shown; 0: all
	Width  int         // cells of the terminal; 0: not a terminal, nothing is cut
	Colour bool        // failures in red
	Edge   edge.Config // its View is what is shown

	CertificateDays int // certificates that expire within so many days of the capture's end are listed
}

// Writer folds records and shows them in the end. It is owned by one goroutine.
type Writer struct {
	config Config
	w      io.Writer
	names  sink.Names
	edges  *edge.Table

	resolver *enrich.Resolver // nil: addresses have no names
	networks bool             // there are several
	last     int64            // time of the latest packet, ns
}

// New gives a Writer to w. names must know every number in the records.
func New(w io.Writer, names sink.Names, c Config) *Writer {
	return &Writer{config: c, w: w, names: names, edges: edge.New(c.Edge)}
}

// Write takes the records. Nothing is shown yet.
func (t *Writer) Write(records []*flow.Record) error {
	t.edges.Add(records...)
	return nil
}

// WriteLones takes what is small of the records.
func (t *Writer) WriteLones(some []*flow.Lone) { t.edges.AddLones(some) }

// WritePath takes the path of a connection whose last record was just written.
func (t *Writer) WritePath(c *path.Connection) error {
	t.edges.AddPath(c)
	return nil
}

// Close shows the view and the health of the capture. It does not
// close the writer below.
func (t *Writer) Close(c *flow.Capture) error {
	s := t.edges.Summary()
	common := s.Common()
	t.networks, t.last = common.Networks, c.Last
	var b strings.Builder
	switch t.config.Edge.View {
	case edge.ViewTLS:
		t.tls(&b, s.TLS, c)
	case edge.ViewDNS:
		t.dns(&b, s.DNS, c)
	case edge.ViewHTTP:
		t.http(&b, s.Endpoints, c)
	default:
		t.conversations(&b, s, common)
	}
	b.WriteByte('\n')
	t.health(&b, conversationsOf(s), c)
	_, err := io.WriteString(t.w, b.String())
	return err
}
