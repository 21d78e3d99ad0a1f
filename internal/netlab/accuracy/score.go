package accuracy

import (
	"fmt"
	"math"
)

// Score is how one tool did in one row.
type Score struct {
	N        int     // what there was to get right
	Exact    int     // within the tolerance of the row
	Withheld int     // not said, or not claimed
	Worst    float64 // error of a claim, in the unit of the row
	Wrong    int     // claimed and not so; N = Exact + Withheld + Wrong
	Misses   []Miss  // what was wrong or withheld
}

// Miss is something that a tool did not get right.
type Miss struct {
	Where     string
	Withheld  bool
	Got, Want float64
}

func (m Miss) String() string {
	if m.Withheld {
		return fmt.Sprintf("%s: withheld (%g), in truth %g", m.Where, m.Got, m.Want)
	}
	return fmt.Sprintf("%s: %g, in truth %g", m.Where, m.Got, m.Want)
}

// number compares one number.
func (s *Score) number(where string, got Value, want float64, within func(got, want float64) bool) {
	s.N++
	switch {
	case got.Known && within(got.V, want):
		s.Exact++
		s.Worst = max(s.Worst, math.Abs(got.V-want))
	case !got.Known || !got.Sure:
		s.Withheld++
		s.Misses = append(s.Misses, Miss{where, true, got.V, want})
	default:
		s.wrong(1, Miss{where, false, got.V, want}, math.Abs(got.V-want))
	}
}

// share compares n things of which only numbers are known: exact and withheld
// of them, the rest wrong.
func (s *Score) share(where string, n, exact, withheld int, got, want float64) {
	s.N += n
	s.Exact += exact
	s.Withheld += withheld
	if withheld > 0 {
		s.Misses = append(s.Misses, Miss{where, true, got, want})
	}
	if wrong := n - exact - withheld; wrong > 0 {
		s.wrong(wrong, Miss{where, false, got, want}, float64(wrong))
	}
}

func (s *Score) wrong(n int, m Miss, by float64) {
	s.Wrong += n
	s.Misses = append(s.Misses, m)
	s.Worst = max(s.Worst, by)
}

// Right is the share of claims that are right, 1 without claims.
func (s *Score) Right() float64 {
	if s.Exact+s.Wrong == 0 {
		return 1
	}
	return float64(s.Exact) / float64(s.Exact+s.Wrong)
}

// Found is the share of everything that was claimed and right, 1 of nothing.
func (s *Score) Found() float64 {
	if s.N == 0 {
		return 1
	}
	return float64(s.Exact) / float64(s.N)
}

// equal is the tolerance of counts.
func equal(got, want float64) bool { return got == want }

// near is a tolerance of at least so many µs, and a share of the value.
func near(us, share float64) func(got, want float64) bool {
	return func(got, want float64) bool { return math.Abs(got-want) <= max(us, share*want) }
}
