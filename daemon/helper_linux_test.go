package daemon_test

import (
	"os"
	"path/filepath"
	"testing"
)

// noTop keeps sensors that run beside each other from one socket.
const noTop = "\n[top]\nsocket = \"\"\n"

// file writes a configuration for the test.
func file(t *testing.T, name, text string) string {
	t.Helper()
	text += noTop
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
