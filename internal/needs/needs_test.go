package needs

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// fake records what a helper does to its test. Skip and Fatalf end the calling
// goroutine, as they do in a real one.
type fake struct {
	testing.TB
	skipped, failed string
}

func (f *fake) Helper() {}

func (f *fake) Skip(args ...any) {
	f.skipped = fmt.Sprint(args...)
	runtime.Goexit()
}

func (f *fake) Fatalf(format string, args ...any) {
	f.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestMissingTool(t *testing.T) {
	const tool = "no-such-program-anywhere"
	for _, tc := range []struct {
		privileged string
		skip, fail bool
	}{
		{privileged: "", skip: true},
		{privileged: "0", skip: true},
		{privileged: "1", fail: true},
	} {
		t.Run("privileged="+tc.privileged, func(t *testing.T) {
			t.Setenv(Privileged, tc.privileged)
			var f fake
			done := make(chan struct{})
			go func() {
				defer close(done)
				Tool(&f, tool)
			}()
			<-done
			if (f.skipped != "") != tc.skip || (f.failed != "") != tc.fail {
				t.Fatalf("skipped %q, failed %q", f.skipped, f.failed)
			}
			if !strings.Contains(f.skipped+f.failed, tool) {
				t.Errorf("the reason %q does not name the program", f.skipped+f.failed)
			}
		})
	}
}

func TestToolFound(t *testing.T) {
	dir := t.TempDir()
	want := filepath.Join(dir, "probe")
	if err := os.WriteFile(want, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if got := Tool(t, "probe"); got != want {
		t.Errorf("Tool = %q, want %q", got, want)
	}
}

func TestRepository(t *testing.T) {
	if _, err := os.Stat(filepath.Join(Repository(t), "internal", "needs", "needs.go")); err != nil {
		t.Error(err)
	}
}
