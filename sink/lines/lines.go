// Package lines puts lines (JSON records, or any other) out from where nothing
// may wait: a slow disk, a full one, or a pipe that nobody reads costs lines,
// which are counted, and never a packet.
//
// A File writes rotated files, a Stream writes to any io.Writer, as standard
// output. Both are a queue in memory with one goroutine behind it. Write copies
// and returns; what finds no room is dropped and counted, by reason:
//
//	Write ──copy──► half of the queue that fills ──swap──► half that is written ──► file or stream
//	                    │ no room: dropped                     │ error: tried again until it works
//
// Lines are put out whole, in the order of the calls, or not at all. While
// writing fails, the queue holds what it can and the goroutine tries again, at
// growing distances up to 5 s, for as long as it takes; it needs no help to
// recover.
package lines

import (
	"bytes"
	"context"
	"io"
	"time"
)

// Writer is what a File and a Stream have in common.
type Writer interface {
	// Write takes whole lines. The line end of the last one is added where it is
	// missing. It never waits for what is behind the queue, keeps no reference to
	// p, and always gives len(p), nil, so that it serves as io.Writer: what
	// is lost is in Stats. Any goroutine may call it.
	io.Writer
	Stats() Stats
	// Reopen opens the output anew, as after something else has renamed the
	// file. It returns at once.
	Reopen()
	// Close writes what is queued and ends the goroutine. When ctx ends first,
	// the rest is dropped, counted, and told in the error.
	Close(ctx context.Context) error
}

// Reason says why lines were dropped.
type Reason uint8

const (
	QueueFull  Reason = iota // lines came faster than they could be written
	WriteError               // there was no room either, as writing had failed for some time
	Closed                   // they came after Close, or were left when its time had passed
	NumReasons
)

var reasonNames = [NumReasons]string{"queue_full", "write_error", "closed"}

// String gives the name that metrics use.
func (r Reason) String() string {
	if r < NumReasons {
		return reasonNames[r]
	}
	return "unknown"
}

// Count is a number of lines and of the octets in them, line ends included.
type Count struct{ Lines, Bytes uint64 }

func (c *Count) add(b []byte) {
	c.Lines += uint64(bytes.Count(b, newline))
	c.Bytes += uint64(len(b))
}

var newline = []byte{'\n'}

// Stats are counts since the Writer was made, and its state. Every line that
// Write took is in exactly one of Written, Dropped and Queued.
type Stats struct {
	Written Count             // handed over to the system; see File on when that is on disk
	Dropped [NumReasons]Count // by reason
	Queued  Count             // waiting to be written
	Limit   int               // octets that Queued can hold at most

	// Failing is why nothing can be written at the moment, since when; nil when
	// all is well.
	Failing error
	Since   time.Time

	// LastError is the latest of all that went wrong, recovered or not, with its
	// time. It may also be about compressing or removing old files, which is in
	// the way of nothing.
	LastError     error
	LastErrorTime time.Time
	Errors        uint64 // how many there were

	Files FileStats // of a File
}

// Lost is what was dropped for any reason.
func (s *Stats) Lost() (c Count) {
	for _, d := range s.Dropped {
		c.Lines += d.Lines
		c.Bytes += d.Bytes
	}
	return c
}
