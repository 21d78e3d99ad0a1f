package lines

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"mirrorscope/internal/needs"
)

// tmpfs makes a file system of its own of so many octets, mounted nowhere: it
// is reached through a descriptor, and gone when that is closed.
func tmpfs(t *testing.T, size string, attributes int) string {
	t.Helper()
	needs.Root(t)
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigSetString(fs, "size", size); err != nil {
		t.Fatal(err)
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attributes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fmt.Sprintf("/proc/self/fd/%d/", fd)
}

// A full disk: what was written stays whole, what comes waits and is then
// dropped and counted, the caller never waits, and when there is room again
// writing goes on by itself where it had stopped.
func TestFullDisk(t *testing.T) {
	dir := tmpfs(t, "256k", 0)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 180_001), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := config(filepath.Join(dir, "out"))
	cfg.Queue = minQueue
	f := openFile(t, cfg)
	var in Count
	number := 0
	write := func(lines int) {
		for range lines {
			b := fmt.Appendf(nil, `{"n":%d,"pad":"%s"}`+"\n", number, strings.Repeat("p", number*37%2000))
			number++
			in.add(b)
			f.Write(b)
		}
	}
	whole := func() int {
		lines, last := 0, -1
		for _, text := range sorted(contents(t, cfg.Directory)) {
			for line := range strings.Lines(text) {
				var r struct{ N int }
				if err := json.Unmarshal([]byte(line), &r); err != nil || r.N <= last {
					t.Fatalf("after %d: %.40q, %v", last, line, err)
				}
				last = r.N
				lines++
			}
		}
		return lines
	}
	write(110)
	eventually(t, "the disk is full", func() bool { return f.Stats().Failing != nil })
	s := f.Stats()
	if !errors.Is(s.Failing, syscall.ENOSPC) || s.Since.IsZero() || !strings.Contains(s.Failing.Error(), cfg.Name) {
		t.Errorf("failing: %v since %v", s.Failing, s.Since)
	}
	if got := whole(); uint64(got) != s.Written.Lines || got == 0 {
		t.Errorf("%d whole lines are in the file, %d written", got, s.Written.Lines)
	}
	write(2000)
	s = f.Stats()
	accounted(t, s, in)
	if s.Dropped[WriteError].Lines == 0 || s.Dropped[QueueFull].Lines != 0 || s.Dropped[Closed].Lines != 0 {
		t.Errorf("dropped %v, want write_error alone", s.Dropped)
	}
	queued := s.Queued.Lines

	// Room comes bit by bit.
	if err := os.Truncate(ballast, 100_000); err != nil {
		t.Fatal(err)
	}
	eventually(t, "some more is written", func() bool { return f.Stats().Written.Lines > s.Written.Lines })
	eventually(t, "it is full again", func() bool { return f.Stats().Failing != nil })
	if s = f.Stats(); s.Queued.Lines == 0 || s.Queued.Lines >= queued {
		t.Errorf("%d of %d lines still wait", s.Queued.Lines, queued)
	}
	os.Remove(ballast)
	os.Truncate(filepath.Join(cfg.Directory, cfg.Name), 0) // as an operator in need does
	f.Reopen()                                             // does not wait for the next try
	flush(t, f)
	eventually(t, "all is well", func() bool { return f.Stats().Failing == nil })
	before := f.Stats().Written.Lines
	write(10)
	closeNow(t, f)
	s = f.Stats()
	accounted(t, s, in)
	if s.Written.Lines != before+10 || !errors.Is(s.LastError, syscall.ENOSPC) {
		t.Errorf("stats %+v", s)
	}
	whole()
}

// Close on a disk that stays full gives up in time and counts.
func TestFullDiskAtClose(t *testing.T) {
	dir := tmpfs(t, "64k", 0)
	f := openFile(t, config(dir))
	line := []byte(strings.Repeat("c", 999) + "\n")
	var in Count
	for range 100 {
		f.Write(line)
		in.add(line)
	}
	eventually(t, "the disk is full", func() bool { return f.Stats().Failing != nil })
	ctx := soon(t)
	done := make(chan struct{})
	short, cancel := context.WithCancel(ctx)
	go func() { defer close(done); cancel() }()
	err := f.Close(short)
	<-done
	s := f.Stats()
	accounted(t, s, in)
	if !errors.Is(err, syscall.ENOSPC) || s.Dropped[WriteError].Lines == 0 || s.Queued != (Count{}) {
		t.Errorf("Close: %v; %+v", err, s)
	}
	if got := len(contents(t, dir)["records.jsonl"]); uint64(got) != s.Written.Bytes {
		t.Errorf("%d octets are in the file, %d written", got, s.Written.Bytes)
	}
	f.Close(soon(t))
}

// A directory that cannot be written is an error at the start. When it becomes
// so later, the lines wait.
func TestReadOnlyDirectory(t *testing.T) {
	dead := tmpfs(t, "64k", unix.MOUNT_ATTR_RDONLY)
	if _, err := OpenFile(config(dead)); !errors.Is(err, syscall.EROFS) {
		t.Errorf("OpenFile: %v", err)
	}
	good := t.TempDir()
	link := filepath.Join(t.TempDir(), "out")
	point := func(at string) {
		if err := os.Symlink(at, link+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+".new", link); err != nil {
			t.Fatal(err)
		}
	}
	point(good)
	f := openFile(t, config(link))
	f.Write([]byte("1\n"))
	flush(t, f)
	point(dead)
	f.Write([]byte("2\n"))
	eventually(t, "an error", func() bool { return errors.Is(f.Stats().Failing, syscall.EROFS) })
	f.Write([]byte("3\n"))
	if s := f.Stats(); s.Queued.Lines != 2 || s.Lost() != (Count{}) {
		t.Errorf("stats %+v", s)
	}
	point(good)
	closeNow(t, f)
	if got := contents(t, good)["records.jsonl"]; got != "1\n2\n3\n" {
		t.Errorf("got %q", got)
	}
}

// A file that cannot be renamed grows on.
func TestCannotRename(t *testing.T) {
	needs.Root(t)
	cfg := config(t.TempDir())
	cfg.RotateSize = 4 << 10
	f := openFile(t, cfg)
	f.Write([]byte(strings.Repeat("a", 3000) + "\n"))
	flush(t, f)
	// An append-only directory lets files be made, and none be renamed.
	d, err := os.Open(cfg.Directory)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	flags, err := unix.IoctlGetInt(int(d.Fd()), unix.FS_IOC_GETFLAGS)
	if err != nil {
		t.Fatal(err)
	}
	set := func(flags int) {
		if err := unix.IoctlSetPointerInt(int(d.Fd()), unix.FS_IOC_SETFLAGS, flags); err != nil {
			t.Fatal(err)
		}
	}
	set(flags | 0x20 /* FS_APPEND_FL */)
	t.Cleanup(func() { set(flags) })
	f.Write([]byte(strings.Repeat("b", 3000) + "\n"))
	f.Write([]byte(strings.Repeat("c", 3000) + "\n"))
	flush(t, f)
	s := f.Stats()
	if s.Failing != nil || !errors.Is(s.LastError, syscall.EPERM) || s.Files.Finished != 0 {
		t.Errorf("stats %+v", s)
	}
	closeNow(t, f)
	if got := contents(t, cfg.Directory); len(got) != 1 || len(got[cfg.Name]) != 9003 {
		t.Errorf("%d files, %d octets", len(got), len(got[cfg.Name]))
	}
}
