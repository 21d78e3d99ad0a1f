package accuracy

import (
	"slices"

	"mirrorscope/internal/netlab"
)

// exactTimes is the tolerance of times that are differences of two packets'.
var exactTimes = near(100, 0.01)

func handshake(c *view, s *Score) {
	if !c.whole() {
		return
	}
	for side, want := range []*float64{c.truth.Handshake.Client, c.truth.Handshake.Server} {
		if want != nil {
			s.number(c.where(side), []Value{c.got.Handshake.Client, c.got.Handshake.Server}[side], *want, exactTimes)
		}
	}
}

func setup(c *view, s *Score) {
	if want := c.truth.Handshake.Setup; c.whole() && want != nil {
		s.number(c.where(2), c.got.Handshake.Setup, *want, exactTimes)
	}
}

func base(c *view, s *Score) {
	for side, want := range c.truth.RTT {
		if c.whole() && want.Min != nil {
			s.number(c.where(side), c.got.RTT[side].Min, *want.Min, exactTimes)
		}
	}
}

// median allows for the width of a histogram's bucket, 2.2 %, beside the 1 %.
func median(c *view, s *Score) {
	for side, want := range c.truth.RTT {
		if c.whole() && want.Samples >= 20 {
			s.number(c.where(side), c.got.RTT[side].Median, *want.Median, near(100, 0.032))
		}
	}
}

func turns(c *view, s *Score) {
	if c.turns > 0 && c.whole() {
		s.number(c.where(2), c.got.Response.Turns, float64(c.turns), equal)
	}
}

func response(c *view, s *Score) {
	if c.turns == 0 || !c.whole() || len(c.truth.Response) == 0 {
		return
	}
	times := slices.Sorted(slices.Values(c.truth.Response))
	within := near(300, 0.01)
	s.number(c.where(2)+", least", c.got.Response.Min, times[0], within)
	s.number(c.where(2)+", median", c.got.Response.Median, times[(len(times)-1)/2], near(300, 0.032))
	s.number(c.where(2)+", most", c.got.Response.Max, times[len(times)-1], within)
}

func zeroWindow(c *view, side int, t netlab.SideTruth, _ Side, s *Score) {
	if c.whole() && t.ZeroWindows > 0 {
		s.number(c.where(side), c.got.ZeroTime[side], float64(t.ZeroTime)/1000, near(1, 0))
	}
}

// outcome compares names; the number is 1 where they agree.
func outcome(c *view, s *Score) {
	if !c.whole() || c.outcome == "" {
		return
	}
	got := Value{Known: c.got.Outcome != "", Sure: true}
	if c.got.Outcome == c.outcome {
		got.V = 1
	}
	s.number(c.where(2)+", "+c.got.Outcome, got, 1, equal)
}
