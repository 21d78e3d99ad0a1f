package record

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mirrorscope/capture"
	"mirrorscope/capture/pcapfile"
	"mirrorscope/internal/needs"
	"mirrorscope/packet"

	"mirrorscope/unit"
)

// tmpfs makes a file system of its own of so many octets, mounted nowhere: it is
// reached through a descriptor, and gone when that is closed.
func tmpfs(t *testing.T, size string) string {
	t.Helper()
	needs.Root(t)
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fs)
	if err := errors.Join(unix.FsconfigSetString(fs, "size", size), unix.FsconfigCreate(fs)); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fmt.Sprintf("/proc/self/fd/%d/", fd)
}

// take gives a Ring the frames of a stream from one to another.
func take(t *testing.T, r *Ring, src *reel, from, to int) {
	t.Helper()
	part := &reel{frames: src.frames[from:to], names: src.names}
	if err := Capture(context.Background(), part, r); err != nil {
		t.Fatal(err)
	}
}

// A disk that is full before the ring is costs the oldest segments, as if the ring
// were smaller.
func TestFullDisk(t *testing.T) {
	dir := tmpfs(t, "1m")
	src := stream(40_000, 1000)
	r := ringOf(t, src, func(c *Config, o *Options) { c.Directory, c.MaxSize, o.Wait = filepath.Join(dir, "ring"), 4<<20, false })
	r.files.size = 100_000 // as if there were many of a large ring
	for i := 0; i < 40_000; i += 1000 {
		take(t, r, src, i, i+1000)
		r.write()
	}
	s := r.Stats()
	if s.Failing != nil || s.Unwritten != 0 || s.Dropped != 0 || s.Written != 40_000 || s.Segments < 5 {
		t.Errorf("%+v", s)
	}
	r.files.finish()
	got, _ := read(t, segmentsOf(t, r.cfg.Directory)...)
	if first := 40_000 - len(got); len(got) < 5000 || got[0].Time != src.frames[first].Time {
		t.Errorf("%d frames, from %v on", len(got), time.Duration(got[0].Time-begin))
	}
	r.files.close()
}

// A disk that others have filled costs packets, counted. What was written stays
// whole, and it goes on when there is room again.
func TestNoRoom(t *testing.T) {
	dir := tmpfs(t, "512k")
	src := stream(9000, 1000)
	r := ringOf(t, src, func(c *Config, o *Options) { c.Directory, o.Wait = filepath.Join(dir, "ring"), false })
	take(t, r, src, 0, 2000)
	r.write()
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 512<<10), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	take(t, r, src, 2000, 5000)
	r.write()
	s := r.Stats()
	if !errors.Is(s.Failing, syscall.ENOSPC) || s.Written != 2000 || s.Unwritten != 3000 || s.Segments != 1 {
		t.Errorf("on a full disk %+v", s)
	}
	take(t, r, src, 5000, 6000) // not tried again at once
	r.write()
	if s := r.Stats(); s.Unwritten != 4000 {
		t.Errorf("on a full disk %+v", s)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	r.files.retry = time.Now()
	take(t, r, src, 6000, 9000)
	r.write()
	if s = r.Stats(); s.Failing != nil || s.Written != 5000 || s.Unwritten != 4000 || s.Matched != 9000 {
		t.Errorf("with room again %+v", s)
	}
	r.files.finish()
	got, _ := read(t, segmentsOf(t, r.cfg.Directory)...)
	if len(got) != 5000 || got[1999].Time != src.frames[1999].Time || got[2000].Time != src.frames[6000].Time {
		t.Errorf("%d frames", len(got))
	}
	r.files.close()
}

// childDirectory is where a process that is to be killed records.
const childDirectory = "MIRRORSCOPE_RECORD_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDirectory); dir != "" {
		if err := record(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// record is the process that TestKilled kills.
func record(dir string) error {
	src := stream(2000, 1000)
	c := DefaultConfig()
	c.Directory, c.MaxSize = dir, 2<<20
	r, err := New(c, Options{Decode: packet.DefaultConfig(), Interfaces: src.Interfaces, Wait: true})
	if err != nil {
		return err
	}
	if err := r.Open(); err != nil {
		return err
	}
	start(r)
	for ; ; src.n = 0 {
		if err := Capture(context.Background(), src, r); err != nil {
			return err
		}
		for i := range src.frames {
			src.frames[i].Time += 2e9
		}
	}
}

// A process that is killed leaves whole segments; of the last one at most the last
// block is cut.
func TestKilled(t *testing.T) {
	for round := range 3 {
		dir := filepath.Join(t.TempDir(), "ring")
		child := exec.Command(os.Args[0], "-test.run=^$")
		child.Env = append(os.Environ(), childDirectory+"="+dir)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		written := 2 + round*2
		for range 2000 {
			if entries, err := os.ReadDir(dir); err == nil && len(entries) > written {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		if err := child.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := child.Wait(); err == nil {
			t.Fatal("it was not killed")
		}
		files := segmentsOf(t, dir)
		if len(files) < 2 {
			t.Fatalf("%d segments", len(files))
		}
		read(t, files[:len(files)-1]...) // finds fault with any
		src, err := pcapfile.Open(pcapfile.Config{Paths: files[len(files)-1:]})
		if err != nil {
			t.Fatal(err)
		}
		var f capture.Frame
		n := 0
		for src.Next(&f) == nil {
			n++
		}
		info, err := os.Stat(files[len(files)-1])
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range src.Errors() {
			var at *pcapfile.FileError
			if !errors.As(e, &at) || !errors.Is(e, pcapfile.ErrCut) || info.Size()-at.Offset > packetHead+maxHeaders {
				t.Errorf("the last segment, after %d frames of %d octets: %v", n, info.Size(), e)
			}
		}
		src.Close()
		// Another ring goes on with it.
		later := stream(10, 1000)
		for i := range later.frames {
			later.frames[i].Time += 3600e9
		}
		r := recorded(t, later, func(c *Config, _ *Options) { c.Directory, c.Last = dir, unit.Duration(24*time.Hour) })
		if s := r.Stats(); s.Segments != len(files)+1 || s.Written != 10 {
			t.Errorf("afterwards %+v", s)
		}
	}
}
