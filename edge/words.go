package edge

import (
	"math"
	"strconv"
	"strings"

	"mirrorscope/tcp"
)

func noun(n int64, word string) string {
	if n == 1 {
		return word
	}
	if stem, ok := strings.CutSuffix(word, "y"); ok {
		return stem + "ies"
	}
	return word + "s"
}

func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// share gives a ratio in percent: whole ones, below ten with a decimal.
func share(ratio float64) string {
	switch p := 100 * ratio; {
	case p > 0 && p < 0.1:
		return "<0.1 %"
	case p < 9.95:
		return strconv.FormatFloat(p, 'f', 1, 64) + " %"
	case p < 100 && p >= 99.5:
		return ">99 %"
	default:
		return strconv.FormatFloat(p, 'f', 0, 64) + " %"
	}
}

func qualified(ns float64, state tcp.State) string {
	if state == tcp.Ambiguous {
		return "about " + duration(ns)
	}
	return bounded(ns, state == tcp.Bounded)
}

func bounded(ns float64, atMost bool) string {
	if atMost {
		return "at most " + duration(ns)
	}
	return duration(ns)
}

// duration gives two or three digits.
func duration(ns float64) string {
	v, unit := ns/1e3, "µs"
	switch {
	case ns >= 999.5e6:
		v, unit = ns/1e9, "s"
	case ns >= 999.5e3:
		v, unit = ns/1e6, "ms"
	case ns < 1e3:
		return "<1 µs"
	}
	digits := 0
	if v < 99.95 {
		digits = 1
	}
	if v < 9.995 {
		digits = 2
	}
	if v == math.Trunc(v) {
		digits = 0
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + " " + unit
}

// octets gives a size in powers of 1024, with two or three digits.
func octets(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10) + " B"
	}
	v, unit := float64(n), -1
	for v >= 1023.5 {
		v /= 1024
		unit++
	}
	digits := 0
	if v < 99.95 {
		digits = 1
	}
	if v < 9.995 {
		digits = 2
	}
	return strconv.FormatFloat(v, 'f', digits, 64) + " " + string("KMGTPE"[unit]) + "iB"
}
