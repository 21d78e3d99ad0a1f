package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"mirrorscope/internal/needs"
)

// testVersion is that of the packages that tests look at.
const testVersion = "0.1.0"

// built are the packages for this machine's architecture.
type built struct {
	dir      string
	deb, rpm string // paths
}

var made struct {
	once sync.Once
	built
	err error
	out []byte
}

// build makes packages, once for all tests. They end with TestMain.
func build(t *testing.T) built {
	t.Helper()
	made.once.Do(func() {
		if made.dir, made.err = os.MkdirTemp("", "mirrorscope-packages-"); made.err != nil {
			return
		}
		cmd := exec.Command(filepath.Join(needs.Repository(t), "scripts", "packages"), "go", testVersion, made.dir, runtime.GOARCH)
		cmd.Env = append(os.Environ(), "PGO=off") // which is for speed, and would take minutes
		if made.out, made.err = cmd.CombinedOutput(); made.err != nil {
			return
		}
		made.deb, made.rpm = one(t, made.dir, "*.deb"), one(t, made.dir, "*.rpm")
	})
	if made.err != nil {
		t.Fatalf("scripts/packages: %v\n%s", made.err, made.out)
	}
	return made.built
}

// one gives the only file that matches.
func one(t *testing.T, dir, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) != 1 {
		t.Fatalf("%s in %s: %q, %v", pattern, dir, files, err)
	}
	return files[0]
}

func TestMain(m *testing.M) {
	code := m.Run()
	if made.dir != "" {
		_ = os.RemoveAll(made.dir)
	}
	os.Exit(code)
}
