package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mirrorscope/internal/pcapgen/workload"
)

func TestRun(t *testing.T) {
	for _, format := range []string{"pcap", "pcapng"} {
		path := filepath.Join(t.TempDir(), "w1")
		if err := run([]string{"-workload", "w1", "-flows", "50", "-seed", "3", "-format", format, "-o", path}, io.Discard, os.Stderr); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var truth workload.Truth
		if err := json.Unmarshal(b, &truth); err != nil {
			t.Fatal(err)
		}
		if truth.Packets != 600 || truth.Seed != 3 {
			t.Errorf("truth %+v", truth)
		}
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := run([]string{"-workload", "w1", "-flows", "50", "-seed", "3", "-format", format, "-o", "-"}, &out, os.Stderr); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), file) || int64(len(file)) < truth.Bytes {
			t.Errorf("%s: %d octets on standard output, %d in the file, %d octets of frames", format, out.Len(), len(file), truth.Bytes)
		}
	}
}

func TestUsage(t *testing.T) {
	for _, args := range []string{"", "-workload w1", "-workload w9 -o x", "-workload w1 -o x -format tar", "-workload w1 -o x extra", "-workload w1 -o x -flows -1", "-what"} {
		err := run(strings.Fields(args), io.Discard, devNull(t))
		var usage usageError
		if !errors.As(err, &usage) {
			t.Errorf("pcapgen %s: error %v, want one of usage", args, err)
		}
	}
	if err := run([]string{"-workload", "w1", "-flows", "1", "-o", filepath.Join(t.TempDir(), "no", "such", "folder")}, io.Discard, devNull(t)); err == nil {
		t.Error("no error for a file that cannot be created")
	}
}

func devNull(t *testing.T) *os.File {
	t.Helper()
	f, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}
