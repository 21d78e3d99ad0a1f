//go:build linux

package livelab

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// Build gives the path of the command in a package of the module, as
// "mirrorscope/cmd/sensor", built as it is delivered. Every test binary builds
// a command once. Nothing is left behind: the path leads through a descriptor
// of this process to a file that has no name any more.
func Build(t testing.TB, pkg string) string {
	t.Helper()
	path, err := BuildCommand(pkg)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var built struct {
	sync.Mutex
	paths map[string]string
}

// BuildCommand is Build outside of tests.
func BuildCommand(pkg string) (string, error) {
	built.Lock()
	defer built.Unlock()
	if path, ok := built.paths[pkg]; ok {
		return path, nil
	}
	dir, err := os.MkdirTemp("", "livelab")
	if err != nil {
		return "", err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	bin := filepath.Join(dir, filepath.Base(pkg))
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags=grpcnotrace", "-o", bin, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	fd, err := unix.Open(bin, unix.O_PATH|unix.O_CLOEXEC, 0) // it ends with the process
	if err != nil {
		return "", fmt.Errorf("open %s: %w", bin, err)
	}
	path := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd)
	if built.paths == nil {
		built.paths = map[string]string{}
	}
	built.paths[pkg] = path
	return path, nil
}
