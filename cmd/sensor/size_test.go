package main

import "testing"

func TestSize(t *testing.T) {
	for in, want := range map[string]int64{
		"1024": 1024, "1KiB": 1024, "512MiB": 512 << 20, "2G": 2 << 30, "2GB": 2 << 30, "2gb": 2 << 30, "1.5 GiB": 3 << 29, "1TiB": 1 << 40, "7B": 7,
	} {
		var s size
		if err := s.Set(in); err != nil || int64(s) != want {
			t.Errorf("%q is %d, %v, want %d", in, s, err, want)
		}
		var again size
		if err := again.Set(s.String()); err != nil || again != s {
			t.Errorf("%q is shown as %q, which is %d, %v", in, s.String(), again, err)
		}
	}
	for _, in := range []string{"", "x", "0", "-1", "1X", "1KiBB", "MiB", "1e30", "NaN", "9999999999TiB", "1 M 2"} {
		var s size
		if err := s.Set(in); err == nil {
			t.Errorf("%q is taken for %d", in, s)
		}
	}
}
