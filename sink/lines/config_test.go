package lines

import (
	"bytes"
	"strings"
	"testing"

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
