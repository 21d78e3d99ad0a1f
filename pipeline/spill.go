package pipeline

import (
	"time"

	"mirrorscope/capture"
)

// spill sees to it that a live source of which little can wait does not become full
// while the reader has other things to do than to read it: the records of an interval
// take longer than such a ring lasts. It belongs to the reader.
type spill struct {
	src    capture.Spiller
	timer  *time.Timer
	latest time.Time
}

// spillEvery is after how long the source is asked to make room, time and again. The
// smallest rings last some milliseconds.
const spillEvery = time.Millisecond

// newSpill gives nil for a source that has no need of it.
func newSpill(src capture.Source) *spill {
	s, ok := src.(capture.Spiller)
	if !ok || !s.Spills() {
		return nil
	}
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &spill{src: s, timer: timer}
}

// between is called between two things that the reader does itself.
func (s *spill) between() {
	if now := time.Now(); now.Sub(s.latest) >= spillEvery {
		s.latest = now
		s.src.Spill(0)
	}
}

// offer sends to c.
func offer[T any](s *spill, c chan<- T, v T) {
	if s == nil {
		c <- v
		return
	}
	select {
	case c <- v:
		return
	default:
	}
	for {
		s.timer.Reset(spillEvery)
		select {
		case c <- v:
			s.timer.Stop()
			return
		case <-s.timer.C:
			s.src.Spill(0)
		}
	}
}

// await receives from c.
func await[T any](s *spill, c <-chan T) T {
	if s == nil {
		return <-c
	}
	select {
	case v := <-c:
		return v
	default:
	}
	for {
		s.timer.Reset(spillEvery)
		select {
		case v := <-c:
			s.timer.Stop()
			return v
		case <-s.timer.C:
			s.src.Spill(0)
		}
	}
}
