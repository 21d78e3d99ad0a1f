package bpf

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"mirrorscope/internal/needs"
)

// TestGenerated makes the objects anew and compares them with the committed
// ones, octet by octet.
func TestGenerated(t *testing.T) {
	t.Parallel()
	needs.Tool(t, "clang-14")
	needs.Tool(t, "llvm-strip-14")
	needs.Tool(t, "go")
	dir, made := t.TempDir(), 0
	for _, file := range []string{"gen.go", "gen_test.go"} {
		text, err := os.ReadFile(file)
		check(t, err)
		for line := range strings.Lines(string(text)) {
			command, ok := strings.CutPrefix(line, "//go:generate ")
			if !ok {
				continue
			}
			args := strings.Fields(strings.Replace(command, "/bpf2go ", "/bpf2go -output-dir "+dir+" ", 1))
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Env = append(os.Environ(), "GOPACKAGE=bpf", "GOFILE="+file)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", command, err, out)
			}
			made++
		}
	}
	files, err := os.ReadDir(dir)
	check(t, err)
	if made == 0 || len(files) != 4*made {
		t.Fatalf("%d commands made %d files", made, len(files))
	}
	for _, f := range files {
		want, err := os.ReadFile(filepath.Join(dir, f.Name()))
		check(t, err)
		if got, err := os.ReadFile(f.Name()); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the sources give (%v): run scripts/generate-bpf", f.Name(), err)
		}
	}
}
