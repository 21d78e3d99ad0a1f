package live

import (
	"math"

	"mirrorscope/flow"
	"mirrorscope/packet"
)

// States of a capture, the worst that holds.
const (
	StateOK      = "ok"
	StateReduced = "reduced" // the sensor leaves out payload or connections, because it could not keep up
	StateLossy   = "lossy"   // packets were lost on their way into the sensor
)

// Capture is the health of the input. What is recent is of the window, the rest
// since the sensor runs.
type Capture struct {
	State string `json:"state"`

	Packets       uint64            `json:"packets"`                 // frames read
	Bytes         uint64            `json:"bytes"`                   // … on the wire
	PacketsPerSec *float64          `json:"packets_per_s,omitempty"` // since the Top before, as the other
	BytesPerSec   *float64          `json:"bytes_per_s,omitempty"`
	Losses        map[string]uint64 `json:"losses"`         // frames by the place where they were lost
	Recent        map[string]uint64 `json:"recent_losses"`  // … places without one left out
	Skipped       map[string]uint64 `json:"recent_skipped"` // frames that were read and gave no packet, by the reason
	Shed          uint64            `json:"recent_payload_shed_packets"`
	Evicted       uint64            `json:"recent_evicted_connections"`
}

// seen is the state of the input at one time.
type seen struct {
	at      int64
	capture flow.Capture
	mirror  uint64 // frames that the mirror's own numbers show to be missing
}

// health keeps the state of the input over the window.
type health struct{ seen []seen }

// add takes the state at a time, and forgets what is older than the window.
func (h *health) add(at, window int64, c *flow.Capture) {
	s := seen{at: at, capture: *c}
	for i := range c.Points {
		s.mirror += c.Points[i].Sequence.Lost
	}
	s.capture.Points, s.capture.Errors, s.capture.UnknownLinks = nil, nil, nil
	h.seen = append(h.seen, s)
	for len(h.seen) > 2 && h.seen[1].at <= at-window {
		h.seen = h.seen[1:]
	}
}

// lossMirror is the place of frames that a mirror sent, by its own numbers, and
// that did not come.
const lossMirror = "mirror"

// losses lists them by place.
func (s *seen) losses() map[string]uint64 {
	m := map[string]uint64{}
	for _, l := range s.capture.Losses {
		m[l.Place] += l.Frames
	}
	if s.mirror > 0 {
		m[lossMirror] += s.mirror
	}
	return m
}

func (h *health) capture() Capture {
	c := Capture{State: StateOK, Losses: map[string]uint64{}, Recent: map[string]uint64{}, Skipped: map[string]uint64{}}
	if len(h.seen) == 0 {
		return c
	}
	last, first := &h.seen[len(h.seen)-1], &h.seen[0]
	x := &last.capture
	c.Packets, c.Bytes, c.Losses = x.Packets, x.Bytes, last.losses()
	if len(h.seen) == 1 {
		first = new(seen) // all is recent
	} else if before := &h.seen[len(h.seen)-2]; last.at > before.at {
		s := float64(last.at-before.at) / 1e9
		c.PacketsPerSec = new(perSecond(x.Packets-before.capture.Packets, s))
		c.BytesPerSec = new(perSecond(x.Bytes-before.capture.Bytes, s))
	}
	was := first.losses()
	for place, n := range c.Losses {
		if n > was[place] {
			c.Recent[place] = n - was[place]
		}
	}
	for why := packet.OK + 1; why < packet.NumSkips; why++ {
		if n := x.Skipped[why] - first.capture.Skipped[why]; why != packet.Held && n > 0 {
			c.Skipped[why.String()] = n
		}
	}
	c.Shed = x.PayloadShed - first.capture.PayloadShed
	c.Evicted = x.Evicted - first.capture.Evicted
	return c
}

func perSecond(n uint64, s float64) float64 { return math.Round(float64(n)/s*10) / 10 }

// missedWarn is the share of TCP's data from which on the capture counts as
// lossy: losses are not located any more then.
const missedWarn = 0.001

// judge tells the state.
func (c *Capture) judge(t *Top) {
	switch {
	case len(c.Recent) > 0, t.LossRatio != nil && float64(*t.LossRatio) > missedWarn:
		c.State = StateLossy
	case c.Shed > 0, c.Skipped[packet.Unsampled.String()] > 0 && t.Sampled > 1:
		c.State = StateReduced
	}
}
