package lines

import (
	"io"
	"time"

	"mirrorscope/unit"
)

// Stream writes lines to an io.Writer that may be slow, as a pipe that another
// program reads. Where w may be a broken pipe on standard output the program
// must ignore SIGPIPE, or the Go runtime ends it.
//
// A w that never returns from Write keeps the goroutine beyond Close.
type Stream struct{ *pump }

var _ Writer = (*Stream)(nil)

// NewStream puts a queue of size octets before w, which it does not close. name
// is what its errors call it.
func NewStream(name string, w io.Writer, size unit.Size) *Stream {
	s := &Stream{newPump(name, streamTarget{w}, int(size))}
	go s.run()
	return s
}

// streamTarget goes on after an error with the next octet, be it within a line.
type streamTarget struct{ w io.Writer }

func (s streamTarget) write(p []byte) (int, error) {
	n, err := s.w.Write(p)
	n = max(0, min(n, len(p)))
	if n < len(p) && err == nil {
		err = io.ErrShortWrite
	}
	return n, err
}

func (streamTarget) idle(time.Time) (time.Time, error) { return time.Time{}, nil }
func (streamTarget) reopen() error                     { return nil }
func (streamTarget) close() error                      { return nil }
