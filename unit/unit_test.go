package unit

import (
	"testing"
	"time"
)

func TestSize(t *testing.T) {
	for _, test := range []struct {
		text string
		want Size
		back string
	}{
		{"0", 0, "0"}, {"1", 1, "1"}, {"65536", 65536, "64KiB"}, {"64KiB", 65536, "64KiB"}, {"64K", 65536, "64KiB"}, {"64KB", 65536, "64KiB"},
		{"1.5GiB", 3 << 29, "1536MiB"}, {"2 TiB", 2 << 40, "2TiB"}, {"10B", 10, "10"},
		{"", -1, ""}, {"-1", -1, ""}, {"x", -1, ""}, {"1PiB", -1, ""}, {"1Kx", -1, ""}, {"9000000TiB", -1, ""}, {"NaN", -1, ""}, {"1KiBB", -1, ""},
	} {
		s := Size(-1)
		err := s.UnmarshalText([]byte(test.text))
		if s != test.want || (err != nil) != (test.want < 0) {
			t.Errorf("%q = %d, %v", test.text, s, err)
		}
		if back, _ := test.want.MarshalText(); err == nil && string(back) != test.back {
			t.Errorf("%q is written %s, want %s", test.text, back, test.back)
		}
	}
}

func TestDuration(t *testing.T) {
	for _, test := range []struct {
		text string
		want time.Duration
		back string
	}{
		{"0s", 0, "0s"}, {"90s", 90 * time.Second, "1m30s"}, {"60m", time.Hour, "1h"}, {"1h30m", 90 * time.Minute, "1h30m"}, {"10m", 10 * time.Minute, "10m"},
		{"1h0m5s", time.Hour + 5*time.Second, "1h0m5s"}, {"24h", 24 * time.Hour, "24h"}, {"1500ms", 1500 * time.Millisecond, "1.5s"}, {"20s", 20 * time.Second, "20s"},
	} {
		var d Duration
		if err := d.UnmarshalText([]byte(test.text)); err != nil || d != Duration(test.want) || d.String() != test.back {
			t.Errorf("%q = %v, %v, want %s", test.text, d, err, test.back)
		}
	}
	var d Duration
	if err := d.UnmarshalText([]byte("10")); err == nil {
		t.Error("a number alone is taken for a duration")
	}
}

func TestSizeFlag(t *testing.T) {
	for in, want := range map[string]int64{
		"1024": 1024, "1KiB": 1024, "512MiB": 512 << 20, "2G": 2 << 30, "2GB": 2 << 30, "2gb": 2 << 30, "1.5 GiB": 3 << 29, "1TiB": 1 << 40, "7B": 7,
	} {
		var s Size
		if err := s.Set(in); err != nil || int64(s) != want {
			t.Errorf("%q is %d, %v, want %d", in, s, err, want)
		}
		var again Size
		if err := again.Set(s.String()); err != nil || again != s {
			t.Errorf("%q is shown as %q, which is %d, %v", in, s.String(), again, err)
		}
	}
	for _, in := range []string{"", "x", "0", "-1", "1X", "1KiBB", "MiB", "1e30", "NaN", "9999999999TiB", "1 M 2"} {
		var s Size
		if err := s.Set(in); err == nil {
			t.Errorf("%q is taken for %d", in, s)
		}
	}
}
