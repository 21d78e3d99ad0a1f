package netlab

import "slices"

// intervals is a set of positions, as sorted [start, end) that do not touch.
// It is plain and slow: it is the truth that fast code is compared with.
type intervals [][2]int64

// add puts [start, end) into the set.
func (s *intervals) add(start, end int64) {
	if start >= end {
		return
	}
	var out intervals
	for _, i := range *s {
		if i[1] < start || end < i[0] {
			out = append(out, i)
			continue
		}
		start, end = min(start, i[0]), max(end, i[1])
	}
	out = append(out, [2]int64{start, end})
	slices.SortFunc(out, func(a, b [2]int64) int { return int(a[0] - b[0]) })
	*s = out
}

// within counts the positions of [start, end) that are in the set.
func (s intervals) within(start, end int64) int64 {
	var n int64
	for _, i := range s {
		n += max(0, min(end, i[1])-max(start, i[0]))
	}
	return n
}

// size counts all positions.
func (s intervals) size() int64 {
	var n int64
	for _, i := range s {
		n += i[1] - i[0]
	}
	return n
}
