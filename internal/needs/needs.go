// Package needs lets a test say what it needs beyond the Go toolchain: another
// program, root, or captures that are kept outside the repository.
//
// Where a program or root is missing the test is skipped, with the reason, so
// that `go test ./...` works on any machine. With SENSOR_TEST_PRIVILEGED=1, as
// in continuous integration, such a skip is a failure: there everything is
// installed, and a test that no longer runs would go unnoticed. Captures are
// not part of the repository and are only ever skipped.
package needs

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Privileged is the environment variable that turns a skip for a missing
// program or missing privileges into a failure.
const Privileged = "SENSOR_TEST_PRIVILEGED"

// Tool gives the path of the named program.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, "needs the program "+name+", which is not installed")
	}
	return path
}

// Root lets the test go on only as root.
func Root(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		missing(t, "needs root")
	}
}

func missing(t testing.TB, why string) {
	t.Helper()
	if os.Getenv(Privileged) == "1" {
		t.Fatalf("%s, and %s=1 allows no skip", why, Privileged)
	}
	t.Skip(why)
}

// Captures gives the absolute path of the captures with ground truth: the
// folder shared/pcaps beside the repository, with dev/ (captures) and truth/
// (one JSON file per capture) in it.
func Captures(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(Repository(t), "..", "shared", "pcaps")
	if _, err := os.Stat(filepath.Join(dir, "truth")); err != nil {
		t.Skip("needs the captures with ground truth in ../shared/pcaps, which are not there")
	}
	return dir
}

// Repository gives the absolute path of the repository's root, the nearest
// folder above the test's that holds go.mod.
func Repository(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test's folder")
		}
		dir = up
	}
}
