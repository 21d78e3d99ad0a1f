package daemon

import (
	"log/slog"
	"slices"

	"mirrorscope/flow"
)

// troubles tells the log when frames begin to get lost, place by place, and when
// that is over; and so of overload. It belongs to the collector.
type troubles struct {
	log    *slog.Logger
	last   map[string]uint64 // losses by place at the latest look
	losing map[string]uint64 // what there was when a place began to lose
	step   int
}

// look compares with the state an interval before.
func (t *troubles) look(c *flow.Capture) {
	for _, l := range c.Losses {
		before := t.last[l.Place]
		t.last[l.Place] = l.Frames
		began, losing := t.losing[l.Place]
		switch {
		case l.Frames > before && !losing:
			t.losing[l.Place] = before
			t.log.Warn("frames are lost", "place", l.Place, "frames", l.Frames-before)
		case l.Frames == before && losing:
			delete(t.losing, l.Place)
			t.log.Info("frames are no longer lost", "place", l.Place, "frames", l.Frames-began)
		}
	}
	switch {
	case c.Step > 0 && t.step == 0:
		t.log.Warn("overload: less is measured", "step", c.Step, "one_of", c.Sample)
	case c.Step == 0 && t.step > 0:
		t.log.Info("overload is over: everything is measured", "one_of", c.Sample)
	case c.Step != t.step:
		t.log.Info("overload", "step", c.Step, "one_of", c.Sample)
	}
	t.step = c.Step
}

// links tells the log when interfaces go down and come up. It belongs to the
// goroutine that looks each second.
type links struct {
	log  *slog.Logger
	down []string
}

func (l *links) look(down []string) {
	for _, name := range down {
		if !slices.Contains(l.down, name) {
			l.log.Warn("nothing can be received: the interface is down, or has vanished", "interface", name)
		}
	}
	for _, name := range l.down {
		if !slices.Contains(down, name) {
			l.log.Info("the interface is back", "interface", name)
		}
	}
	l.down = down
}
