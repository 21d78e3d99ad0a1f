package table

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// count groups the digits of a number ≥ 0 by thousands.
func count[N int | int64 | uint64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// octets gives a size in powers of 1024, as IEC names them, with two or three
// digits.
func octets[N int64 | uint64](n N) string {
	if n < 1024 {
		return strconv.FormatInt(int64(n), 10) + " B"
	}
	v, unit := float64(n), -1
	for v >= 1023.5 { // what rounds to 1024 is one of the next unit
		v /= 1024
		unit++
	}
	return three(v) + " " + string("KMGTPE"[unit]) + "iB"
}

// span gives a duration with three digits and the unit that fits.
func span(ns float64) string {
	switch {
	case ns < 1e3:
		return "<1 µs"
	case ns < 999.5e3:
		return three(ns/1e3) + " µs"
	case ns < 999.5e6:
		return three(ns/1e6) + " ms"
	case ns < 120e9:
		return three(ns/1e9) + " s"
	}
	seconds := int64(ns/1e9 + 0.5)
	switch minutes, hours := seconds/60, seconds/3600; {
	case hours == 0:
		return fmt.Sprintf("%dm%02ds", minutes, seconds%60)
	case hours < 48:
		return fmt.Sprintf("%dh%02dm", hours, minutes%60)
	default:
		return fmt.Sprintf("%sd%02dh", count(hours/24), hours%24)
	}
}

// perSecond gives a rate: counted things as they are, bits in thousands.
func perSecond(v float64, unit string) string {
	prefix := ""
	if unit == "bit" {
		for _, p := range []string{"k", "M", "G", "T"} {
			if v < 999.5 {
				break
			}
			v, prefix = v/1000, p
		}
	}
	if v >= 999.5 {
		return count(uint64(v+0.5)) + " " + prefix + unit + "/s"
	}
	return three(v) + " " + prefix + unit + "/s"
}

// three gives at most three digits: 1.23, 12.3, 123.
func three(v float64) string {
	switch {
	case v < 9.995:
		return strconv.FormatFloat(v, 'f', 2, 64)
	case v < 99.95:
		return strconv.FormatFloat(v, 'f', 1, 64)
	}
	return strconv.FormatFloat(v, 'f', 0, 64)
}

// percent gives a share, and never says 0 % of something that is there.
func percent(part, whole uint64) string {
	return percentOf(float64(part) / float64(max(whole, 1)))
}

func percentOf(ratio float64) string {
	share := 100 * ratio
	if share > 0 && share < 0.1 {
		return "<0.1 %"
	}
	return strconv.FormatFloat(share, 'f', 1, 64) + " %"
}

// clean makes a name that comes from a capture file safe for a terminal:
// nothing that moves the cursor, starts a line or turns the direction of
// writing is left.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
