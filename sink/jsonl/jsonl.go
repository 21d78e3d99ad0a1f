// Package jsonl writes records as JSON, one object a line (RFC 8259, in UTF-8).
//
// docs/reference/record.md is the contract: names, units, order. A value that
// is not known is absent; a count that was really zero is there as 0.
//
// Encoding appends to the caller's memory, uses no reflection and, once every
// observation point and path was met, allocates nothing. An Encoder or Writer is
// owned by one goroutine.
package jsonl

import (
	"io"

	"mirrorscope/flow"
	"mirrorscope/sink"
)

// flushAt is the number of octets after which a Writer writes.
const flushAt = 64 << 10

// Writer writes records and at the end the capture object.
type Writer struct {
	w   io.Writer
	enc *Encoder
	buf []byte
}

// New gives a Writer to w. names must know every number in the records.
func New(w io.Writer, names sink.Names) *Writer {
	return &Writer{w: w, enc: NewEncoder(names)}
}

// Write writes the records, in order, and holds none of them back.
func (w *Writer) Write(records []*flow.Record) error {
	for i := range records {
		w.buf = w.enc.AppendRecord(w.buf, records[i])
		if len(w.buf) >= flushAt {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return w.flush()
}

// Close writes the capture object. It does not close the writer below.
func (w *Writer) Close(c *flow.Capture) error {
	w.buf = w.enc.AppendCapture(w.buf, c)
	return w.flush()
}

func (w *Writer) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	_, err := w.w.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}
