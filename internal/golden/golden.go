// Package golden compares what a test made with a file that holds what is
// right, and rewrites the file when the test runs with -update:
//
//	go test ./flow -update
//
// The commit that changes a golden file says why the right answer changed.
package golden

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

// Equal fails the test unless got equals the file at path, and tells the first
// line that differs. With -update it writes the file instead.
func Equal(t testing.TB, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (run with -update to write it)", err)
	}
	if d := diff(want, got); d != "" {
		t.Errorf("%s: %s\n(run with -update to accept)", path, d)
	}
}

// diff describes the first line in which want and got differ, or is empty.
func diff(want, got []byte) string {
	if bytes.Equal(want, got) {
		return ""
	}
	w, g := bytes.SplitAfter(want, []byte("\n")), bytes.SplitAfter(got, []byte("\n"))
	i := 0
	for i < len(w) && i < len(g) && bytes.Equal(w[i], g[i]) {
		i++
	}
	return fmt.Sprintf("line %d of %d wanted, %d got:\nwant %s\ngot  %s", i+1, len(w), len(g), line(w, i), line(g, i))
}

// line quotes line i, or says that there is none.
func line(lines [][]byte, i int) string {
	if i >= len(lines) || len(lines[i]) == 0 {
		return "(end of file)"
	}
	return fmt.Sprintf("%q", lines[i])
}
