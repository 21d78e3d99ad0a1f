package daemon_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"mirrorscope/internal/livelab"
)

// A flood of SYNs, each of another host, over the close of intervals and up to
// the end of the input stays within what the sensor was given.
func TestMemory(t *testing.T) {
	t.Run("budget", func(t *testing.T) {
		s := flooded(t, "--memory", "64MiB")
		if limit := (s.heap + s.rings) / 5 * 6; s.peak > limit {
			t.Errorf("%d MiB resident at most, want %d: heap_limit %d and rings %d, and a fifth of it", s.peak>>20, limit>>20, s.heap>>20, s.rings>>20)
		}
	})
	t.Run("control group", func(t *testing.T) {
		const limit = 512 << 20
		group := memoryGroup(t, limit)
		s := flooded(t, "--group", group)
		if s.heap+s.rings > limit {
			t.Errorf("a heap of %d MiB and rings of %d were planned, in a group of %d", s.heap>>20, s.rings>>20, limit>>20)
		}
	})
}

// load is what a flood made of a sensor, octets.
type load struct{ peak, heap, rings int64 }

// flooded sends 300,000 SYNs within at least two intervals to a sensor, and
// ends it. "--group" and a folder run it in that group.
func flooded(t *testing.T, args ...string) load {
	t.Helper()
	const syns = 300_000
	l := livelab.New(t, livelab.Config{})
	// Records go through a pipe: a disk that is busy has no part in this.
	c := livelab.Command{Path: livelab.Build(t, "mirrorscope/cmd/sensor"), Ready: ready, Stdout: io.Discard}
	if args[0] == "--group" {
		// The shell becomes the sensor.
		c.Args = []string{"-c", `echo $$ > "$0"/cgroup.procs && exec "$@"`, args[1], c.Path}
		c.Path, args = "/bin/sh", args[2:]
	}
	c.Args = append(append(c.Args, "run", "-i", livelab.CaptureName, "--stdout", "--config", file(t, "sensor.toml", "[measure]\ninterval = \"1s\"\n")), args...)
	p, err := l.Sensor.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`msg=memory .*rings=(\d+)MiB heap_limit=(\d+)MiB`).FindSubmatch(p.Stderr())
	if line == nil {
		t.Fatalf("the log says nothing of memory:\n%s", p.Stderr())
	}
	var s load
	for i, to := range []*int64{&s.rings, &s.heap} {
		n, _ := strconv.ParseInt(string(line[i+1]), 10, 64)
		*to = n << 20
	}
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		for ; p.Running(); time.Sleep(5 * time.Millisecond) {
			s.peak = max(s.peak, mostResident(p.PID()))
		}
	}()
	sent, err := l.Flood(context.Background(), livelab.Flood{Frames: syns, Flows: syns, Size: 120, VNI: 7007, Rate: 100_000, Stack: true})
	if err != nil {
		t.Fatal(err)
	}
	exit, err := p.Stop(syscall.SIGTERM, 60*time.Second)
	<-watched
	if err != nil || exit.Code != 0 {
		t.Fatalf("exit %+v, %v; %d MiB were resident at most\n%s", exit, err, s.peak>>20, p.Stderr())
	}
	sums := regexp.MustCompile(`msg=ended packets=(\d+) .*connections=(\d+)`).FindSubmatch(p.Stderr())
	if sums == nil {
		t.Fatalf("the log does not sum up:\n%s", p.Stderr())
	}
	if n, _ := strconv.Atoi(string(sums[2])); n < syns/3 || sent.Frames != syns {
		t.Fatalf("%d SYNs were sent and %d connections measured, which proves nothing", sent.Frames, n)
	}
	t.Logf("%s connections: %d MiB resident at most, of a heap of %d and rings of %d", sums[2], s.peak>>20, s.heap>>20, s.rings>>20)
	return s
}

// mostResident is what a process has had resident at most, or 0 when it has
// gone.
func mostResident(pid int) int64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(text), "\nVmHWM:")
	var kib int64
	_, _ = fmt.Sscan(rest, &kib) // a process that ends has none
	return kib << 10
}

// memoryGroup makes a control group with a limit that ends with the test. The
// test is skipped where none can be made.
func memoryGroup(t *testing.T, limit int64) string {
	t.Helper()
	name := fmt.Sprintf("mirrorscope-test-%d", os.Getpid())
	for _, version := range []struct{ root, limit string }{
		{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
		{"/sys/fs/cgroup", "memory.max"},
	} {
		dir := filepath.Join(version.root, name)
		if _, err := os.Stat(filepath.Join(version.root, "cgroup.procs")); err != nil {
			continue
		}
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Skipf("needs a control group of its own: %v", err)
		}
		t.Cleanup(func() {
			// Its last process may not have left yet.
			for limit := time.Now().Add(5 * time.Second); ; time.Sleep(10 * time.Millisecond) {
				err := os.Remove(dir)
				if err == nil || errors.Is(err, fs.ErrNotExist) {
					return
				}
				if time.Now().After(limit) {
					t.Error(err)
					return
				}
			}
		})
		if err := os.WriteFile(filepath.Join(dir, version.limit), []byte(strconv.FormatInt(limit, 10)), 0); err != nil {
			t.Skipf("needs a control group of memory: %v", err)
		}
		return dir
	}
	t.Skip("needs control groups at /sys/fs/cgroup, which are not there")
	return ""
}
