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
	Wrong    []Miss  // what was claimed and is not so; N = Exact + Withheld + those
	wrong    int
}

// Miss is one claim that is wrong.
type Miss struct {
	Where     string
	Got, Want float64
}

func (m Miss) String() string { return fmt.Sprintf("%s: %g, in truth %g", m.Where, m.Got, m.Want) }

// number compares one number.
func (s *Score) number(where string, got Value, want float64, within func(got, want float64) bool) {
	s.N++
	switch {
	case got.Known && within(got.V, want):
		s.Exact++
		s.Worst = max(s.Worst, math.Abs(got.V-want))
	case !got.Known || !got.Sure:
		s.Withheld++
	default:
		s.miss(1, Miss{where, got.V, want}, math.Abs(got.V-want))
	}
}

// share compares n things of which only numbers are known: exact and withheld
// of them, the rest wrong.
func (s *Score) share(where string, n, exact, withheld int, got, want float64) {
	s.N += n
	s.Exact += exact
	s.Withheld += withheld
	if wrong := n - exact - withheld; wrong > 0 {
		s.miss(wrong, Miss{where, got, want}, float64(wrong))
	}
}

func (s *Score) miss(n int, m Miss, by float64) {
	s.wrong += n
	s.Wrong = append(s.Wrong, m)
	s.Worst = max(s.Worst, by)
}

// Rate is the share of claims that are right, 1 without claims.
func (s *Score) Rate() float64 {
	if s.Exact+s.wrong == 0 {
		return 1
	}
	return float64(s.Exact) / float64(s.Exact+s.wrong)
}

// equal is the tolerance of counts.
func equal(got, want float64) bool { return got == want }

// near is a tolerance of at least so many µs, and a share of the value.
func near(us, share float64) func(got, want float64) bool {
	return func(got, want float64) bool { return math.Abs(got-want) <= max(us, share*want) }
}
