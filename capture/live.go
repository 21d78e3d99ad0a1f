package capture

import (
	"errors"
	"time"
)

// ErrIdle is what Next of a live Source gives when no frame is there for now.
// The Frame then holds nothing but Time: a clock, before which no further frame
// is to be expected, so that what is due by then can end.
var ErrIdle = errors.New("no frame for now")

// ErrRestart is what a Ring ends with when only opening it anew can help, as
// after its interface has vanished. What the ring held was given out before.
var ErrRestart = errors.New("the capture must be opened anew")

// Ring is one queue of a live capture, filled by the kernel. It never waits.
// Next, NextBatch, Horizon and Check belong to one goroutine; Stats and Fill may
// be called from any.
type Ring interface {
	// Next overwrites f with the next frame, if there is one. f.Data is lent
	// until the next call of this ring's Next or NextBatch. Frames come nearly in
	// order of time. f.Interface is left as it is.
	Next(f *Frame) bool

	// NextBatch overwrites fs from the front with the next frames, as Next does,
	// and tells how many. All of them are lent until the next call. It may give
	// fewer than there are, but none only where there is none.
	NextBatch(fs []Frame) int

	// Horizon is a time, ns since the Unix epoch, before which no frame can come
	// any more, judged when Next last gave none. now is the wall clock then.
	Horizon(now int64) int64

	// FD is what poll(2) waits for, with POLLIN.
	FD() int

	// Gather is how long to let frames gather, once the ring has run empty, before
	// FD is waited for, which would wake the reader for every few of them. It is
	// short enough for the ring not to become full, and 0 for not at all.
	Gather() time.Duration

	// Wake is called before waiting, where the kernel needs a kick to go on.
	Wake()

	// Check is called about each 100 ms. It mends what can be mended (an
	// interface that went down and came back) and counts it; its error ends the
	// capture once the ring is empty.
	Check(now int64) error

	// Fill is the share of the ring that waits to be read, 0 to 1.
	Fill() float64

	Stats() Stats
	Close() error
}

// Spiller is a Ring, or a Source that has such, of which little can wait.
type Spiller interface {
	// Spill moves frames that wait to memory in which more of them find room, as
	// long as there is any, so that the ring does not become full while its reader
	// is busy with something else: all of them if more than a share of the ring waits.
	// What the reader was lent stays lent. It belongs to the goroutine of Next, and
	// makes no system call but to wake a driver.
	Spill(share float64)

	// Spills tells whether there is such memory.
	Spills() bool
}

// Crowded is the share of a ring from which on frames do not wait in it while its reader
// takes others first.
const Crowded = 1.0 / 8

// Stats are counts of a ring since it was opened.
type Stats struct {
	Frames uint64 // given out
	Bytes  uint64 // of those, on the wire
	Losses []Loss // frames that came, and were not given out
	Events []Loss // what befell the ring, as rebinds
}

// Loss is a number of frames by the place where they were lost, in snake_case.
// The places of a source are always the same, those without a loss included.
type Loss struct {
	Place  string
	Frames uint64
}

// AddLosses adds counts to those of the same places, in order of appearance.
func AddLosses(sum []Loss, more ...Loss) []Loss {
next:
	for _, l := range more {
		for i := range sum {
			if sum[i].Place == l.Place {
				sum[i].Frames += l.Frames
				continue next
			}
		}
		sum = append(sum, l)
	}
	return sum
}
