package path

import (
	"mirrorscope/histogram"
)

// pair compares two sights of a connection, from the packets that both
// recorded. A difference is the record time at b less that at a, by direction.
// Differences of both directions taken together are free of the offset between
// the clocks: diff[0] - diff[1] is a round trip between the points, positive if
// packets of direction 0 come to a first.
type pair struct {
	a, b    uint32 // sights
	next    uint32 // pair of the same connection
	hist    uint32
	matched [2]uint32
	diff    [2]int64 // latest
	diffAt  [2]int64 // record time at a then
	since   [2]int64 // record time of the first match, at a and at b

	low, high   [2]int64 // in the running window
	inWindow    [2]uint32
	windowStart int64
	smallest    [2]int64 // round trip of the best window, if a or b comes first in direction 0
	windows     uint32   // that had both directions
	last        struct { // such window
		low, high [2]int64
	}

	lowest, highest [2]int64 // ever
	positive        uint32   // samples in which a came first in direction 0 …
	negative        uint32
	ttl             [2]ttlOrder
	lastDir         uint8
}

// ttlOrder collects which of two sights had the lower TTL in a direction.
type ttlOrder uint8

const (
	lowerAtA ttlOrder = 1 << iota
	lowerAtB
)

// windowLength is how long two clocks are taken to run alike: 10 s, WIN. Rates
// differ by some 10 ppm, so a window costs up to 100 µs of error where a whole
// life could cost any number.
const windowLength = 10_000_000_000

// add takes the two records of a packet.
func (p *pair) add(a, b *sight, dir uint8, hist *histogram.Histogram) {
	ta, tb := a.at, b.at
	if p.matched[0]+p.matched[1] == 0 {
		p.since = [2]int64{ta, tb}
		p.windowStart = ta
		p.lastDir = dir
	}
	d := tb - ta
	if ta-p.windowStart >= windowLength || ta < p.windowStart-windowLength {
		p.closeWindow()
		p.windowStart = ta
	}
	widen(&p.low[dir], &p.high[dir], d, p.inWindow[dir] == 0)
	widen(&p.lowest[dir], &p.highest[dir], d, p.matched[dir] == 0)
	p.inWindow[dir]++
	p.matched[dir]++
	p.diff[dir], p.diffAt[dir] = d, ta
	switch {
	case a.ttl < b.ttl:
		p.ttl[dir] |= lowerAtA
	case b.ttl < a.ttl:
		p.ttl[dir] |= lowerAtB
	}
	if dir != p.lastDir {
		p.lastDir = dir
		p.sample(hist)
	}
}

func widen(low, high *int64, d int64, first bool) {
	if first {
		*low, *high = d, d
		return
	}
	*low, *high = min(*low, d), max(*high, d)
}

// sample takes a round trip out of the latest packet of each direction.
func (p *pair) sample(hist *histogram.Histogram) {
	if gap := p.diffAt[0] - p.diffAt[1]; gap > windowLength || gap < -windowLength {
		return
	}
	x := p.diff[0] - p.diff[1]
	switch {
	case x > 0:
		p.positive++
	case x < 0:
		p.negative++
		x = -x
	}
	hist.Add(x)
}

// closeWindow keeps the round trip of the running window, if it is the best.
func (p *pair) closeWindow() {
	if p.inWindow[0] > 0 && p.inWindow[1] > 0 {
		x := [2]int64{p.low[0] - p.high[1], p.low[1] - p.high[0]}
		for i := range x {
			if p.windows == 0 || x[i] < p.smallest[i] {
				p.smallest[i] = x[i]
			}
		}
		p.windows++
		p.last.low, p.last.high = p.low, p.high
	}
	p.inWindow = [2]uint32{}
}

// finish ends the last window. Without one that had both directions the whole
// life is one.
func (p *pair) finish() {
	p.closeWindow()
	if p.windows == 0 && p.matched[0] > 0 && p.matched[1] > 0 {
		p.low, p.high, p.inWindow = p.lowest, p.highest, p.matched
		p.closeWindow()
	}
}

// separable is the difference of halves from which on it tells the order of
// two points: two record times of a capture with a resolution of 1 µs.
const separable = 2000

// nearer tells which of two sights packets of direction 0 come to first: 1 for
// a, -1 for b, 0 when nothing tells. contradicted: the TTLs say otherwise.
func (p *pair) nearer() (first int, contradicted bool) {
	byTTL := 0
	for dir, sign := range [2]int{1, -1} {
		switch p.ttl[dir] {
		case lowerAtB:
			byTTL += sign
		case lowerAtA:
			byTTL -= sign
		}
	}
	byTTL = max(-1, min(byTTL, 1))
	switch {
	case p.windows > 0 && p.smallest[0] > separable:
		first = 1
	case p.windows > 0 && p.smallest[1] > separable:
		first = -1
	case p.windows > 0 && p.positive > 8*p.negative && p.positive >= 8 && p.highest[0]-p.lowest[1] > separable:
		first = 1
	case p.windows > 0 && p.negative > 8*p.positive && p.negative >= 8 && p.highest[1]-p.lowest[0] > separable:
		first = -1
	default:
		return byTTL, false
	}
	return first, byTTL == -first
}

// expected is the difference that the next packet of a direction should have.
func (p *pair) expected(dir uint8) int64 {
	switch {
	case p == nil:
		return 0
	case p.matched[dir] > 0:
		return p.diff[dir]
	}
	return p.diff[1-dir]
}

// joined tells whether the matches prove that both saw one connection: three
// packets, of both directions where both record both; or, of a smaller sight,
// all.
func (p *pair) joined(a, b *sighting) bool {
	n := p.matched[0] + p.matched[1]
	if n >= min(a.packets[0]+a.packets[1], b.packets[0]+b.packets[1]) {
		return true
	}
	for dir := range p.matched {
		if p.matched[dir] == 0 && a.packets[dir] > 0 && b.packets[dir] > 0 {
			return false
		}
	}
	return n >= minMatches
}

// minMatches is how many packets prove that two sights are of one connection.
const minMatches = 3
