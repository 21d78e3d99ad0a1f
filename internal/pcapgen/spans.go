package pcapgen

// span is [from, to) of a direction's sequence space, counted from its SYN.
type span struct{ from, to int64 }

// spans is a set of octets: sorted, apart.
type spans []span

// add gives the set with x in it.
func (s spans) add(x span) spans {
	var out spans
	for _, y := range s {
		switch {
		case y.to < x.from:
			out = append(out, y)
		case y.from > x.to:
			out = append(out, x)
			x = y
		default:
			x = span{min(x.from, y.from), max(x.to, y.to)}
		}
	}
	return append(out, x)
}

// has tells whether all of x is in the set.
func (s spans) has(x span) bool {
	for _, y := range s {
		if y.from <= x.from && x.to <= y.to {
			return true
		}
	}
	return false
}

// meets tells whether any of x is in the set.
func (s spans) meets(x span) bool {
	for _, y := range s {
		if y.from < x.to && x.from < y.to {
			return true
		}
	}
	return false
}

// above gives the set without what lies before n.
func (s spans) above(n int64) spans {
	var out spans
	for _, y := range s {
		if y.to > n {
			out = append(out, span{max(y.from, n), y.to})
		}
	}
	return out
}

// size is the number of octets in the set.
func (s spans) size() (n int64) {
	for _, y := range s {
		n += y.to - y.from
	}
	return n
}

// top is the end of the highest octet, 0 for none.
func (s spans) top() int64 {
	if len(s) == 0 {
		return 0
	}
	return s[len(s)-1].to
}

// gap gives the next octets from n on that are not in the set, at most size of
// them and none from limit on.
func (s spans) gap(n, size, limit int64) (span, bool) {
	for _, y := range s {
		if n < y.from {
			limit = min(limit, y.from)
			break
		}
		n = max(n, y.to)
	}
	x := span{n, min(n+size, limit)}
	return x, x.from < x.to
}
