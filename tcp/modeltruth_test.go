package tcp

import (
	"cmp"
	"slices"
)

// truth is what the model knows of one direction, as far as it can be seen
// at the tap.
type truth struct {
	packets, bytes          int64 // repeats recorded whose octets lie below what was recorded
	spurious, before, after int64
	silent                  int64 // of spurious: nothing that the tap recorded can tell
	tails                   int64 // repeats recorded that look new, at least 8 packets into the direction
	early                   int64 // … before that
	data                    int64 // packets recorded that occupy sequence space
	missed, unique          int64 // octets acknowledged and never recorded; recorded
	shut                    int64 // times that this side closed its window
	shutFor                 int64 // ns
	half                    int64 // smallest time from data to the ACK that it caused at once, ns; 0 none
	kept, probes            int64 // keep-alives and zero-window probes recorded
	repeats                 []*sent
}

// judge finds the truth of both directions, of what can be seen. A repeat that
// is alike to its original in all that is recorded cannot be told from a copy.
// One of what was sent before the capture began may be recognised or not.
func (r *result) judge(m *measured) [2]truth {
	var ts [2]truth
	var hi, una [2]int64
	var rec [2][]span
	var n [2]int
	first := [2]int64{-1, -1}
	seen := map[*sent]bool{}
	var shutAt [2]int64
	last := int64(0)
	for i := range r.records {
		w := r.records[i].w
		at := r.records[i].Time
		last = max(last, at)
		if shut := &shutAt[w.from]; w.flags&syn == 0 && (w.window == 0) != (*shut != 0) {
			if *shut == 0 {
				ts[w.from].shut++
				*shut = at
			} else {
				ts[w.from].shutFor += at - *shut
				*shut = 0
			}
		}
		if w.flags&ack != 0 {
			una[1-w.from] = max(una[1-w.from], w.ack)
			if first[1-w.from] < 0 {
				first[1-w.from], hi[1-w.from] = w.ack, w.ack
			}
		}
		if x := w.trigger; x != nil && x.at0 > 0 && !w.copied {
			if d := r.records[i].Time - epoch - x.at0; d > 0 && (ts[x.dir].half == 0 || d < ts[x.dir].half) {
				ts[x.dir].half = d
			}
		}
		d := w.from
		n[d]++
		if w.kept {
			ts[d].kept++
		}
		if w.probe {
			ts[d].probes++
		}
		if w.tx == nil {
			if first[d] >= 0 && w.flags&ack != 0 {
				hi[d] = max(hi[d], w.lo) // a bare ACK tells how far its sender has come
			}
			continue
		}
		if first[d] < 0 {
			first[d] = w.lo
		}
		rec[d] = append(rec[d], span{w.lo, w.hi})
		if seen[w.tx] {
			continue // the network's copy
		}
		seen[w.tx] = true
		ts[d].data++
		x := w.tx
		switch {
		case !x.isRepeat(), m.alike[x]:
		case x.lo < first[d] && !m.counted(x):
		case x.lo < hi[d] || x.lo < first[d]:
			ts[d].packets++
			ts[d].repeats = append(ts[d].repeats, x)
			end := min(x.hi, x.old, hi[d])
			ts[d].bytes += max(min(end-x.lo, x.payload), 0)
			needless, hidden := r.before(x)
			switch {
			case x.lo < first[d]: // nor where the original was lost
			case needless:
				ts[d].spurious++
				if x.reported == 0 && una[d] < min(x.hi, x.old) {
					ts[d].silent++
				}
			case hidden:
				ts[d].before++
			default:
				ts[d].after++
			}
		case n[d] > 8:
			ts[d].tails++
		default:
			ts[d].early++
		}
		hi[d] = max(hi[d], x.hi)
	}
	for d := range ts {
		if shutAt[d] != 0 {
			ts[d].shutFor += last - shutAt[d]
		}
		if first[d] < 0 {
			continue
		}
		ts[d].unique = covered(rec[d], 0, 1<<62)
		ts[d].missed = max(una[d]-first[d], 0) - covered(rec[d], first[d], una[d])
	}
	return ts
}

// before tells of a repeat whether most of it had reached, or was to reach,
// the receiver by an earlier transmission, and whether none of these was seen
// to pass the tap.
func (r *result) before(x *sent) (needless, hidden bool) {
	var arrived, passed []span
	end := min(x.hi, x.old)
	for _, e := range r.sent {
		if e == x {
			break
		}
		if e.dir != x.dir || e.lo >= end || e.hi <= x.lo {
			continue
		}
		if e.arrived > 0 {
			arrived = append(arrived, e.span)
		}
		if e.passedAt > 0 && e.passedAt < x.passedAt {
			passed = append(passed, e.span)
		}
	}
	n := end - x.lo
	return 2*covered(arrived, x.lo, end) > n, 2*covered(passed, x.lo, end) < n
}

// counted tells whether the engine took a transmission for a repeat.
func (m *measured) counted(x *sent) bool { _, ok := m.class[x]; return ok }

// covered is how many positions of [lo, hi) the spans hold.
func covered(spans []span, lo, hi int64) int64 {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Compare(a.lo, b.lo) })
	n, at := int64(0), lo
	for _, s := range spans {
		l, h := max(s.lo, at), min(s.hi, hi)
		if h > l {
			n += h - l
			at = h
		}
	}
	return n
}

// rate is how often a verdict agreed with the truth.
type rate struct{ n, wrong int64 }

func (r *rate) add(n, wrong int64) {
	r.n += n
	r.wrong += min(wrong, n)
}

func (r rate) share() float64 {
	if r.n == 0 {
		return 1
	}
	return 1 - float64(r.wrong)/float64(r.n)
}

func abs(n int64) int64 { return max(n, -n) }
