package record

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorscope/capture"
	gen "mirrorscope/internal/pcapgen"
	"mirrorscope/packet"

	"mirrorscope/unit"
)

const begin = int64(1_800_000_000e9)

// stream is a Source of segments of one connection, so many a second.
func stream(n int, perSecond int64) *reel {
	src := &reel{names: []string{"eth1", "eth2"}}
	for i := range n {
		data := gen.Build(ether, ip4, gen.TCP{SrcPort: uint16(1000 + i%2), DstPort: 443, Seq: uint32(i), Flags: gen.ACK}, payloadOf(200))
		src.frames = append(src.frames, capture.Frame{Data: data, Time: begin + int64(i)*1e9/perSecond, Link: capture.LinkEthernet, Interface: uint32(i % 2)})
	}
	return src
}

// sizeOf is what a folder holds.
func sizeOf(t *testing.T, dir string) (n int64) {
	t.Helper()
	for _, f := range segmentsOf(t, dir) {
		info, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		n += info.Size()
	}
	return n
}

// A ring holds at most the time it may, and at least eleven twelfths of it.
func TestTime(t *testing.T) {
	src := stream(3000, 10) // 300 s
	r := ringOf(t, src, func(c *Config, _ *Options) { c.Last = unit.Duration(time.Minute) })
	var f capture.Frame
	var p packet.Packet
	d := packet.NewDecoder(packet.DefaultConfig(), new(packet.Names))
	for i := 0; src.Next(&f) == nil; i++ {
		if d.Decode(f.Data, uint16(f.Link), f.Interface, f.WireLen, f.Time, &p) != packet.OK {
			t.Fatal("no packet")
		}
		r.Take(&f, &p)
		if i%37 != 0 {
			continue
		}
		r.write()
		files := segmentsOf(t, r.cfg.Directory)
		got, _ := read(t, files...)
		oldest := time.Duration(f.Time - got[0].Time)
		if all := time.Duration(f.Time - begin); oldest > time.Minute || oldest < min(all, 55*time.Second) {
			t.Fatalf("after %v: the oldest packet is of %v ago", all, oldest)
		}
		if got[len(got)-1].Time != f.Time {
			t.Fatalf("the latest packet is of %v ago", time.Duration(f.Time-got[len(got)-1].Time))
		}
		if s := r.Stats(); s.Segments != len(files) || s.Oldest != got[0].Time || s.Bytes != sizeOf(t, r.cfg.Directory) || s.Written != uint64(i+1) {
			t.Fatalf("%+v, want %d segments", s, len(files))
		}
	}
	// Packets that do not match, or none at all, make the time pass as well.
	for _, after := range []time.Duration{50 * time.Second, 61 * time.Second} {
		r.Clock(f.Time + int64(after))
		r.write()
		if files := segmentsOf(t, r.cfg.Directory); (len(files) > 0) != (after < time.Minute) {
			t.Errorf("%v after the last packet: %v", after, files)
		}
	}
	if s := r.Stats(); s.Segments != 0 || s.Bytes != 0 || s.Oldest != 0 {
		t.Errorf("%+v", s)
	}
	r.files.close()
}

// A ring never holds more octets than it may.
func TestSize(t *testing.T) {
	src := stream(30_000, 10_000)
	r := ringOf(t, src, func(c *Config, _ *Options) { c.MaxSize, c.Queue = minSize, 256<<10 })
	var f capture.Frame
	var p packet.Packet
	d := packet.NewDecoder(packet.DefaultConfig(), new(packet.Names))
	for i := 0; src.Next(&f) == nil; i++ {
		d.Decode(f.Data, uint16(f.Link), f.Interface, f.WireLen, f.Time, &p)
		r.Take(&f, &p)
		if i%1000 != 999 {
			continue
		}
		r.write()
		if n := sizeOf(t, r.cfg.Directory); n > minSize || i > 15_000 && n < minSize*10/12 {
			t.Fatalf("%d octets", n)
		}
	}
	r.files.finish()
	got, names := read(t, segmentsOf(t, r.cfg.Directory)...)
	if first := 30_000 - len(got); got[0].Time != begin+int64(first)*1e5 || !slices.Equal(names, []string{"eth1", "eth2"}) && !slices.Equal(names, []string{"eth2", "eth1"}) {
		t.Errorf("%d frames from %d on, of %v: not the latest", len(got), got[0].Time, names)
	}
	for i := 1; i < len(got); i++ {
		if got[i].Time-got[i-1].Time != 1e5 || names[got[i].Interface] != []string{"eth1", "eth2"}[(30_000-len(got)+i)%2] {
			t.Fatalf("frame %d: %+v", i, got[i])
		}
	}
	r.files.close()
}

// A ring goes on with what an earlier one has left, and leaves other files alone.
func TestTakesOver(t *testing.T) {
	src := stream(600, 10)
	r := recorded(t, src, func(c *Config, _ *Options) { c.Last = unit.Duration(time.Minute) })
	dir := r.cfg.Directory
	before := segmentsOf(t, dir)
	other := filepath.Join(dir, "headers-notes.pcapng")
	if err := os.WriteFile(other, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(before[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
	later := stream(300, 10)
	for i := range later.frames {
		later.frames[i].Time += 60e9
	}
	recorded(t, later, func(c *Config, _ *Options) { c.Last, c.Directory = unit.Duration(time.Minute), dir })
	got, _ := read(t, segmentsOf(t, dir)...)
	if first, last := got[0].Time, got[len(got)-1].Time; last != begin+899e8 || first < begin+299e8 || first > begin+36e9 {
		t.Errorf("from %d to %d", (first-begin)/1e9, (last-begin)/1e9)
	}
	if _, err := os.Stat(other); err != nil {
		t.Error(err)
	}
}

// One folder is of one ring.
func TestOneRingAFolder(t *testing.T) {
	r := ringOf(t, nil, nil)
	second, err := New(r.cfg, r.o)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Open(); err == nil || !strings.Contains(err.Error(), "another sensor records there") {
		t.Errorf("a second one: %v", err)
	}
	r.files.close()
	if err := second.Open(); err != nil {
		t.Errorf("after the first: %v", err)
	}
	second.files.close()
	blocked := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := r.cfg
	c.Directory = filepath.Join(blocked, "ring")
	third, _ := New(c, r.o)
	if err := third.Open(); err == nil || !strings.Contains(err.Error(), blocked) {
		t.Errorf("a folder that cannot be: %v", err)
	}
}

// What the filter does not match is not there.
func TestFilter(t *testing.T) {
	src := stream(1000, 100)
	r := recorded(t, src, func(c *Config, _ *Options) { c.Filter = "tcp src port 1001" })
	got, names := read(t, segmentsOf(t, r.cfg.Directory)...)
	if len(got) != 500 || !slices.Equal(names, []string{"eth2"}) || r.Stats().Matched != 500 {
		t.Errorf("%d frames of %v, %+v", len(got), names, r.Stats())
	}
}

// The reader never waits: what finds no room is counted, in the segment as well.
func TestQueueFull(t *testing.T) {
	src := stream(3000, 1000)
	r := ringOf(t, src, func(c *Config, o *Options) { c.Queue, o.Wait = minQueue, false })
	if err := Capture(context.Background(), src, r); err != nil { // nobody writes
		t.Fatal(err)
	}
	s := r.Stats()
	if s.Matched != 3000 || s.Dropped == 0 || s.Dropped == 3000 || s.Written != 0 {
		t.Fatalf("%+v", s)
	}
	r.write()
	src.n = 0
	if err := Capture(context.Background(), src, r); err != nil {
		t.Fatal(err)
	}
	start(r)()
	s = r.Stats()
	if s.Matched != 6000 || s.Written+s.Dropped != 6000 || s.Unwritten != 0 {
		t.Fatalf("%+v", s)
	}
	delivered, dropped := uint64(0), uint64(0)
	for _, file := range segmentsOf(t, r.cfg.Directory) {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d, n := told3(t, b)
		delivered, dropped = delivered+d, dropped+n
	}
	if delivered != s.Written || dropped == 0 || dropped > s.Dropped {
		t.Errorf("segments tell of %d and %d dropped, %+v", delivered, dropped, s)
	}
	// After the end nothing is taken.
	src.n = 0
	if err := Capture(context.Background(), src, r); err != nil {
		t.Fatal(err)
	}
	if after := r.Stats(); after.Dropped != s.Dropped+3000 {
		t.Errorf("after the end %+v", after)
	}
}

// told3 sums up the statistics blocks of a segment.
func told3(t *testing.T, b []byte) (delivered, dropped uint64) {
	t.Helper()
	le := func(b []byte, n int) (v uint64) {
		for i := n - 1; i >= 0; i-- {
			v = v<<8 | uint64(b[i])
		}
		return v
	}
	blocks := 0
	for len(b) > 0 {
		n := le(b[4:], 4)
		if le(b, 4) == blockStatistics {
			blocks++
			for opts := b[20 : n-4]; len(opts) >= 4; {
				code, size := le(opts, 2), le(opts[2:], 2)
				switch code {
				case statisticsDelivered:
					delivered += le(opts[4:], 8)
				case statisticsDropped:
					dropped += le(opts[4:], 8)
				}
				opts = opts[4+(size+3)&^3:]
			}
		}
		b = b[n:]
	}
	if blocks == 0 {
		t.Error("a segment without statistics")
	}
	return delivered, dropped
}

// Capture ends with its context, also while nothing comes.
func TestCaptureEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	src := &reel{frames: make([]capture.Frame, 10)} // idle
	for i := range src.frames {
		src.frames[i].Time = begin + int64(i)*1e9
	}
	r := ringOf(t, src, nil)
	if err := Capture(ctx, src, r); err != nil || r.clock.Load() != begin+9e9 {
		t.Errorf("%v, the clock is at %d", err, r.clock.Load()-begin)
	}
	cancel()
	src.n = 0
	if err := Capture(ctx, src, r); err != nil || src.n != 0 {
		t.Errorf("%v, %d frames read", err, src.n)
	}
	if err := Capture(context.Background(), failing{src}, r); !errors.Is(err, capture.ErrRestart) {
		t.Errorf("a source that fails: %v", err)
	}
	r.files.close()
}

type failing struct{ capture.Source }

func (failing) Next(*capture.Frame) error { return fmt.Errorf("eth1: %w", capture.ErrRestart) }

func TestConfig(t *testing.T) {
	for _, tc := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Directory = "ring" }, `directory: "ring" is not an absolute path`},
		{func(c *Config) { c.Filter = "tcp prot 5" }, "filter"},
		{func(c *Config) { c.Last = unit.Duration(time.Second) }, "last: 1s is not between 12s and 744h"},
		{func(c *Config) { c.MaxSize = 1000 }, "max_size: 1000 is less than 1MiB"},
		{func(c *Config) { c.Queue = 1 << 31 }, "queue: 2GiB is not between 64KiB and 1GiB"},
		{func(c *Config) { c.Queue, c.MaxSize = 0, 0 }, "max_size: 0 is less than 1MiB\nqueue: 0"},
	} {
		c := DefaultConfig()
		tc.change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%v, want %q", err, tc.want)
		}
	}
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}
