package lines

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// The default configuration is good, and is read back as it is written.
func TestDefaultConfig(t *testing.T) {
	c := DefaultFileConfig()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
	text, err := toml.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"rotate_size = '256MiB'", "rotate_after = '1h'", "compress = 'zstd'", "# The file that is being written", "keep_files = 128"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	var back FileConfig
	if err := toml.NewDecoder(bytes.NewReader(text)).DisallowUnknownFields().Decode(&back); err != nil || back != c {
		t.Errorf("read back as %+v, %v", back, err)
	}
}

// Every bad field is told at once, by the name that the file has for it.
func TestValidate(t *testing.T) {
	c := FileConfig{Directory: "relative", Name: "../x", RotateSize: 100, RotateAfter: 5, KeepFiles: -1, KeepSize: -1, Compress: 9, Queue: 7}
	err := c.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, field := range []string{"directory:", "name:", "rotate_size:", "rotate_after:", "keep_files:", "keep_size:", "compress:", "queue:"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("no word of %s in %q", field, err)
		}
	}
	if lines := strings.Count(err.Error(), "\n") + 1; lines != 8 {
		t.Errorf("%d lines in %q", lines, err)
	}
	if _, err := OpenFile(c); err == nil {
		t.Error("OpenFile takes it")
	}
	if _, err := OpenFile(DefaultFileConfig()); err == nil {
		t.Error("OpenFile takes one without a directory")
	}
}

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
