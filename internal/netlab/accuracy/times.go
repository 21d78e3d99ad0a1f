package accuracy

import (
	"math"
	"slices"

	"mirrorscope/internal/netlab"
)

// exactTimes is the tolerance of times that are differences of two packets'.
var exactTimes = near(100, 0.01)

// handshake takes any pair of SYN and SYN-ACK for the server's half.
func handshake(c *view, s *Score) {
	if !c.whole() {
		return
	}
	if want := c.truth.Handshake.Client; want != nil {
		s.number(c.where(0), c.got.Handshake.Client, *want, exactTimes)
	}
	if want := c.truth.Handshake.Server; want != nil {
		got, nearest := c.got.Handshake.Server, *want
		for _, us := range c.truth.Handshake.Answers {
			if math.Abs(got.V-us) < math.Abs(got.V-nearest) {
				nearest = us
			}
		}
		s.number(c.where(1), got, nearest, exactTimes)
	}
}

func setup(c *view, s *Score) {
	if want := c.truth.Handshake.Setup; c.whole() && want != nil {
		s.number(c.where(2), c.got.Handshake.Setup, *want, exactTimes)
	}
}

// base takes any value between the shortest round trip of all packets and the
// shortest of data: tools differ in whether the handshake counts.
func base(c *view, s *Score) {
	for side, want := range c.truth.RTT {
		if !c.whole() || want.Min == nil {
			continue
		}
		high := *want.Min
		if want.DataMin != nil {
			high = *want.DataMin
		}
		got := c.got.RTT[side].Min
		nearest := min(max(got.V, *want.Min), high)
		s.number(c.where(side), got, nearest, exactTimes)
	}
}

func turns(c *view, s *Score) {
	if c.turns > 0 && c.whole() {
		s.number(c.where(2), c.got.Response.Turns, float64(c.turns), equal)
	}
}

// response takes a time between the server's own and what can be known at the
// tap: that between the two packets there, less the base of the round trip,
// which may be that of all packets or that of data. They differ by as much as
// the round trip of that turn was above its base. A turn whose request was
// repeated has no time that all would agree on.
func response(c *view, s *Score) {
	rtt := c.truth.RTT[netlab.FromServer]
	if rtt.Min == nil {
		return
	}
	high := *rtt.Min
	if rtt.DataMin != nil {
		high = *rtt.DataMin
	}
	c.responseTimes(*rtt.Min, high, s)
}

// responseTimes allows for a base of the round trip between two.
func (c *view) responseTimes(low, high float64, s *Score) {
	var least, most []float64
	for _, turn := range c.truth.Response {
		if turn.Repeat || turn.Early {
			continue
		}
		if turn.Raw == nil {
			return
		}
		least = append(least, min(turn.Server, max(0, *turn.Raw-high)))
		most = append(most, max(turn.Server, *turn.Raw-low))
	}
	c.distribution(least, most, s)
}

// serverTime compares with the server's own time.
func serverTime(c *view, s *Score) {
	var took []float64
	for _, turn := range c.truth.Response {
		if !turn.Repeat && !turn.Early {
			took = append(took, turn.Server)
		}
	}
	c.distribution(took, took, s)
}

// distribution compares least, median and most, each between the same of two
// lists. The median allows for the width of a histogram's bucket, 2.2 %.
func (c *view) distribution(low, high []float64, s *Score) {
	if c.turns == 0 || !c.whole() || len(low) == 0 {
		return
	}
	low, high = slices.Sorted(slices.Values(low)), slices.Sorted(slices.Values(high))
	for _, q := range []struct {
		name  string
		got   Value
		at    int
		share float64
	}{
		{"least", c.got.Response.Min, 0, 0.01},
		{"median", c.got.Response.Median, (len(low) - 1) / 2, 0.032},
		{"most", c.got.Response.Max, len(low) - 1, 0.01},
	} {
		nearest := min(max(q.got.V, low[q.at]), high[q.at])
		s.number(c.where(2)+", "+q.name, q.got, nearest, near(300, q.share))
	}
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
