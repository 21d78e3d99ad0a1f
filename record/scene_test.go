package record

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"mirrorscope/capture"
	"mirrorscope/capture/pcapfile"
	"mirrorscope/packet"
)

// reel is a Source of frames made by hand.
type reel struct {
	frames []capture.Frame
	names  []string
	n      int
}

func (s *reel) Next(f *capture.Frame) error {
	if s.n == len(s.frames) {
		return io.EOF
	}
	*f = s.frames[s.n]
	if f.WireLen == 0 {
		f.WireLen = len(f.Data)
	}
	s.n++
	if f.Data == nil {
		return capture.ErrIdle
	}
	return nil
}

func (s *reel) Interfaces() []string { return s.names }
func (s *reel) Errors() []error      { return nil }
func (s *reel) Close() error         { return nil }

// ringOf makes a Ring in a folder of its own, whose Take waits for room.
func ringOf(t testing.TB, src capture.Source, change func(*Config, *Options)) *Ring {
	t.Helper()
	c := DefaultConfig()
	c.Directory = filepath.Join(t.TempDir(), "ring")
	o := Options{Decode: packet.DefaultConfig(), Sensor: "mirrorscope sensor 1.2.3", Wait: true}
	if src != nil {
		o.Interfaces = src.Interfaces
	}
	if change != nil {
		change(&c, &o)
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	r, err := New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Open(); err != nil {
		t.Fatal(err)
	}
	return r
}

// recorded runs a source through a Ring to its end, and gives the Ring.
func recorded(t testing.TB, src capture.Source, change func(*Config, *Options)) *Ring {
	t.Helper()
	r := ringOf(t, src, change)
	finish := start(r)
	if err := Capture(context.Background(), src, r); err != nil {
		t.Fatal(err)
	}
	finish()
	return r
}

// start runs the writer until the function it gives is called.
func start(r *Ring) (finish func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); r.Run(ctx) }()
	return func() { cancel(); <-done }
}

// segmentsOf lists the files of a ring, in order.
func segmentsOf(t testing.TB, dir string) (files []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, ok := firstOf(e.Name()); ok {
			files = append(files, filepath.Join(dir, e.Name()))
		}
	}
	slices.Sort(files)
	return files
}

// read gives the frames of files, as our own reader reads them, which must find
// no fault.
func read(t testing.TB, files ...string) (all []capture.Frame, names []string) {
	t.Helper()
	if len(files) == 0 {
		return nil, nil
	}
	src, err := pcapfile.Open(pcapfile.Config{Paths: files})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	var f capture.Frame
	for src.Next(&f) == nil {
		x := f
		x.Data = slices.Clone(f.Data)
		all = append(all, x)
	}
	for _, err := range src.Errors() {
		t.Error(err)
	}
	return all, slices.Clone(src.Interfaces())
}
