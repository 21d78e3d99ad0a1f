package table

import (
	"math"
	"strings"
	"testing"
	"unicode"
)

func TestUnits(t *testing.T) {
	for _, test := range []struct{ got, want string }{
		{count(0), "0"}, {count(999), "999"}, {count(1000), "1,000"}, {count(uint64(1234567)), "1,234,567"},
		{octets[int64](0), "0 B"}, {octets[int64](1023), "1023 B"}, {octets[int64](1024), "1.00 KiB"}, {octets[int64](12_595), "12.3 KiB"},
		{octets[int64](1023 * 1024), "1023 KiB"}, {octets[int64](1024*1024 - 1), "1.00 MiB"}, {octets[uint64](5 << 40), "5.00 TiB"},
		{octets[int64](-40), "-40 B"}, {octets[uint64](math.MaxUint64), "16.0 EiB"},
		{span(0), "<1 µs"}, {span(999), "<1 µs"}, {span(1000), "1.00 µs"}, {span(812_000), "812 µs"}, {span(999_600), "1.00 ms"},
		{span(12_345_678), "12.3 ms"}, {span(999.9e6), "1.00 s"}, {span(60e9), "60.0 s"}, {span(119.9e9), "120 s"}, {span(120e9), "2m00s"},
		{span(3599e9), "59m59s"}, {span(3600e9), "1h00m"}, {span(47.5 * 3600e9), "47h30m"}, {span(49 * 3600e9), "2d01h"}, {span(3e6 * 3600e9), "125,000d00h"},
		{perSecond(0.5, "packets"), "0.50 packets/s"}, {perSecond(99.97, "packets"), "100 packets/s"}, {perSecond(123456.7, "packets"), "123,457 packets/s"},
		{perSecond(999, "bit"), "999 bit/s"}, {perSecond(1.5e6, "bit"), "1.50 Mbit/s"}, {perSecond(3e15, "bit"), "3,000 Tbit/s"},
		{percent(0, 0), "0.0 %"}, {percent(1, 1_000_000), "<0.1 %"}, {percent(1, 8), "12.5 %"}, {percent(8, 8), "100.0 %"},
	} {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

func TestClean(t *testing.T) {
	got := clean("e\"t\x1b[31m\n\xff\u009b\u202eż →")
	if strings.ContainsFunc(got, func(r rune) bool { return unicode.IsControl(r) || r == '\u202e' }) {
		t.Errorf("%q may still command a terminal", got)
	}
	if want := "e\"t\uFFFD[31m\uFFFD\uFFFD\uFFFD\uFFFDż →"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
