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
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags=grpcnotrace", "-o", bin, "./cmd/sensor")
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
	// All methods of all clients of clouds make it twice as large: see the Makefile.
	if info, err := os.Stat(bin); err != nil || info.Size() > 80<<20 {
		t.Errorf("the binary: %v, %v; want less than 80 MiB: something calls methods by name, so that the linker keeps all", info.Size(), err)
	}
	// A static file has no dynamic section, which ImportedLibraries reports
	// as no libraries.
	if libs, err := f.ImportedLibraries(); err == nil && len(libs) > 0 {
		t.Errorf("the binary needs shared libraries: %q", libs)
	}
}
