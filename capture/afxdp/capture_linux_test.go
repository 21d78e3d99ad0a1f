package afxdp

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// All frames come, with their content, at the time they were sent, over all
// queues, and nothing is sent back.
func TestFrames(t *testing.T) {
	for _, tc := range []struct {
		name   string
		attach string
		queues int
		used   int // queues that veth spreads frames over
		change func(*Config)
	}{
		{"native, 1 queue", "native", 1, 1, nil},
		{"native, 4 queues", "native", 4, 4, nil},
		{"generic, 1 queue", "generic", 1, 1, nil},
		// Without NAPI veth gives two of the sender's queues to the first of the
		// receiver, and none to the last.
		{"generic, 4 queues", "generic", 4, 3, nil},
		{"small buffers", "auto", 1, 1, func(c *Config) { c.FrameBytes = 2048 }},
		{"large fill ring, ordinary pages", "auto", 1, 1, func(c *Config) { c.FillRing, c.HugePages = 4096, false }},
		{"without need_wakeup", "auto", 1, 1, func(c *Config) { c.NeedWakeup = false }},
		{"busy poll", "auto", 1, 1, func(c *Config) { c.BusyPollUS, c.BusyPollBudget = 20, 32 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t, tc.queues, 1500)
			cfg := small()
			cfg.Attach = tc.attach
			if tc.change != nil {
				tc.change(&cfg)
			}
			c := l.open(cfg, bare{})
			if ch := c.Choice(); ch.Queues != tc.queues || ch.NeedWakeup != cfg.NeedWakeup || ch.BusyPoll != (cfg.BusyPollUS > 0) || ch.ZeroCopy {
				t.Errorf("choice: %s", ch.Explain())
			}
			const n = 500
			start := time.Now().UnixNano()
			for i := range n {
				l.send(frame(60+i, i))
			}
			frames := read(t, c, n)
			end := time.Now().UnixNano()
			if len(frames) != n || lost(c) != 0 {
				t.Fatalf("%d frames of %d, %d lost; sender %+v", len(frames), n, lost(c), counters(t, "m1"))
			}
			var seen [n]bool
			perQueue := make([]int, tc.queues)
			for _, f := range frames {
				i := number(f.Data)
				if seen[i] || !bytes.Equal(f.Data, frame(60+i, i)) || f.WireLen != 60+i {
					t.Fatalf("frame %d: seen before %v, %d octets, %d on the wire", i, seen[i], len(f.Data), f.WireLen)
				}
				seen[i] = true
				perQueue[f.queue]++
				if f.Time < start-int64(time.Millisecond) || f.Time > end+int64(time.Millisecond) {
					t.Fatalf("frame %d at %d, not between %d and %d", i, f.Time, start, end)
				}
			}
			if used := tc.queues - len(slices.DeleteFunc(slices.Clone(perQueue), func(n int) bool { return n > 0 })); used < tc.used {
				t.Errorf("frames of the queues: %v", perQueue)
			}
			var octets uint64
			for _, r := range c.Rings() {
				octets += r.Stats().Bytes
			}
			if octets != 500*60+500*499/2 {
				t.Errorf("%d octets counted", octets)
			}
			if sent := counters(t, "m2").TxPackets; sent != 0 {
				t.Errorf("%d frames went back", sent)
			}
		})
	}
}

// A trimmed frame still says how long it was.
func TestTrimmed(t *testing.T) {
	for _, attach := range []string{"native", "generic"} {
		t.Run(attach, func(t *testing.T) {
			l := newLab(t, 1, 1500)
			cfg := small()
			cfg.Attach = attach
			c := l.open(cfg, bare{trim: 128})
			sizes := []int{60, 127, 128, 129, 1514}
			for i, n := range sizes {
				l.send(frame(n, i))
			}
			frames := read(t, c, len(sizes))
			if len(frames) != len(sizes) {
				t.Fatalf("%d frames of %d", len(frames), len(sizes))
			}
			for i, f := range frames {
				if n := sizes[i]; !bytes.Equal(f.Data, frame(n, i)[:min(n, 128)]) || f.WireLen != n {
					t.Errorf("frame of %d octets: %d, and %d on the wire", n, len(f.Data), f.WireLen)
				}
			}
		})
	}
}

// Frames of a large MTU come whole, over several buffers, in both modes.
func TestJumbo(t *testing.T) {
	severalBuffers(t)
	for _, tc := range []struct {
		attach string
		size   int
	}{{"native", 2048}, {"native", 4096}, {"generic", 2048}, {"generic", 4096}} {
		t.Run(tc.attach, func(t *testing.T) {
			l := newLab(t, 1, 9001)
			cfg := small()
			cfg.Attach, cfg.FrameBytes = tc.attach, tc.size
			c := l.open(cfg, bare{frags: true})
			if ch := c.Choice(); !ch.MultiBuffer || ch.MaxFrame < 9001+linkOverhead {
				t.Fatalf("choice: %s", ch.Explain())
			}
			room := cfg.room()
			sizes := []int{60, room - 1, room, room + 1, 2*room + 15, 2*room + 16, 2*room + 17, 3500, 3600, 9001, 9015}
			for range 3 { // so that buffers come around
				for i, n := range sizes {
					l.send(frame(n, i))
				}
				frames := read(t, c, len(sizes))
				if len(frames) != len(sizes) {
					t.Fatalf("%d frames of %d; %+v", len(frames), len(sizes), c.Rings()[0].Stats())
				}
				for i, f := range frames {
					if n := sizes[i]; !bytes.Equal(f.Data, frame(n, i)) || f.WireLen != n {
						t.Errorf("frame of %d octets: %d, and %d on the wire", n, len(f.Data), f.WireLen)
					}
				}
			}
		})
	}
}

// Native and generic programs give the same frames.
func TestSameInBothModes(t *testing.T) {
	var all [2][]got
	for i, attach := range []string{"native", "generic"} {
		t.Run(attach, func(t *testing.T) {
			l := newLab(t, 1, 3000)
			cfg := small()
			cfg.Attach = attach
			c := l.open(cfg, bare{trim: 1000})
			if mode := c.Choice().Attach.String(); mode != attach {
				t.Fatalf("attached %s", mode)
			}
			for i := range 100 {
				l.send(frame(60+i*29, i))
			}
			all[i] = read(t, c, 100)
		})
	}
	for i := range 100 {
		if len(all[0]) <= i || len(all[1]) <= i {
			t.Fatalf("%d frames native, %d generic", len(all[0]), len(all[1]))
		}
		if a, b := all[0][i], all[1][i]; !bytes.Equal(a.Data, b.Data) || a.WireLen != b.WireLen || a.Link != b.Link {
			t.Errorf("frame %d: %d octets of %d native, %d of %d generic", i, len(a.Data), a.WireLen, len(b.Data), b.WireLen)
		}
	}
}

// The kernel has the options of busy polling as they were set.
func TestBusyPollOptions(t *testing.T) {
	l := newLab(t, 1, 1500)
	cfg := small()
	cfg.BusyPollUS, cfg.BusyPollBudget = 30, 16
	c := l.open(cfg, bare{})
	for opt, want := range map[int]int{unix.SO_PREFER_BUSY_POLL: 1, unix.SO_BUSY_POLL: 30} {
		if got, err := unix.GetsockoptInt(c.Rings()[0].FD(), unix.SOL_SOCKET, opt); err != nil || got != want {
			t.Errorf("option %d is %d, %v; want %d", opt, got, err, want)
		}
	}
}
