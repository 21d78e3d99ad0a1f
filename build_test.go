package mirrorscope_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
)

// TestStatic builds the command as it is delivered and looks for what would
// tie it to one machine: a dynamic loader or a shared library.
func TestStatic(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("looks into an ELF file, which is what linux builds")
	}
	bin := filepath.Join(t.TempDir(), "sensor")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", bin, "./cmd/sensor")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := elf.Open(bin)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Error("the binary asks for a dynamic loader")
		}
	}
	// A static file has no dynamic section, which ImportedLibraries reports
	// as no libraries.
	if libs, err := f.ImportedLibraries(); err == nil && len(libs) > 0 {
		t.Errorf("the binary needs shared libraries: %q", libs)
	}
}
