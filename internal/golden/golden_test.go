package golden

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestDiff(t *testing.T) {
	for _, tc := range []struct{ name, want, got, line string }{
		{"equal", "a\nb\n", "a\nb\n", ""},
		{"changed", "a\nb\nc\n", "a\nB\nc\n", "line 2"},
		{"cut", "a\nb\n", "a\n", "line 2"},
		{"longer", "a\n", "a\nb\n", "line 2"},
		{"no newline at the end", "a\n", "a", "line 1"},
		{"empty", "a\n", "", "line 1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := diff([]byte(tc.want), []byte(tc.got))
			if (tc.line == "") != (d == "") || !strings.HasPrefix(d, tc.line) {
				t.Errorf("diff = %q, want it to tell %q", d, tc.line)
			}
		})
	}
}

// recorder takes the failures of a test under test.
type recorder struct {
	testing.TB
	errors []string
}

func (r *recorder) Helper() {}
func (r *recorder) Errorf(format string, args ...any) {
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func TestEqualAndUpdate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "want.txt")
	*update = true
	Equal(t, path, []byte("one\n"))
	*update = false
	if b, err := os.ReadFile(path); err != nil || string(b) != "one\n" {
		t.Fatalf("after -update: %q, %v", b, err)
	}

	var r recorder
	Equal(&r, path, []byte("one\n"))
	if len(r.errors) != 0 {
		t.Errorf("equal content fails: %v", r.errors)
	}
	Equal(&r, path, []byte("two\n"))
	if len(r.errors) != 1 || !strings.Contains(r.errors[0], path) {
		t.Errorf("other content gives %q, want one error that names the file", r.errors)
	}
}
