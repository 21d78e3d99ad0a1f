//go:build linux

package afxdp

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mirrorscope/bpf"
	"mirrorscope/capture"
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

// Where a frame may have one buffer only, what is longer is counted, and the
// choice says so.
func TestTooLongForOneBuffer(t *testing.T) {
	l := newLab(t, 1, 9001)
	cfg := small()
	cfg.Attach = "generic"
	link, err := openNetif("m2")
	must(t, err)
	c := &Capture{prog: newBare(t, bare{}), link: link}
	t.Cleanup(func() { must(t, c.Close()) })
	must(t, c.attach(cfg))
	s, err := openSocket(link.index, 0, cfg, variant{})
	must(t, err)
	must(t, c.start(cfg, []*socket{s}))
	c.judge(cfg, 9001)
	if why := strings.Join(c.choice.Why, "\n"); c.choice.MaxFrame != 3824 || !strings.Contains(why, "more than 3824 octets are lost") {
		t.Errorf("choice: %s", c.choice.Explain())
	}
	for i, n := range []int{3824, 3825, 9000, 100} {
		l.send(frame(n, i))
	}
	frames := read(t, c, 2)
	if len(frames) != 2 || len(frames[0].Data) != 3824 || len(frames[1].Data) != 100 || count(t, c, "xsk_rx_dropped") != 2 {
		t.Errorf("%d frames; %+v", len(frames), c.Rings()[0].Stats())
	}
}

// Whatever is lost is counted: sent = given out + counted, to the frame.
func TestOverflow(t *testing.T) {
	const n = 20_000
	flood := func(l *lab) { l.newFlood().send(l.t, frame(64, 1), n) }
	one := func(l *lab) {
		for i := range n {
			l.send(frame(64, i))
		}
	}
	for _, tc := range []struct {
		name, attach string
		rxRing       int
		place        string // where the losses are
		send         func(*lab)
	}{
		{"no free buffer", "native", 0, "xsk_rx_dropped", flood},
		{"ring full", "native", 64, "xsk_rx_ring_full", flood},
		{"no free buffer, generic", "generic", 0, "xsk_rx_dropped", one},
		{"ring full, generic", "generic", 64, "xsk_rx_ring_full", one},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t, 1, 1500)
			cfg := small()
			cfg.Frames, cfg.RXRing, cfg.Attach = 256, tc.rxRing, tc.attach
			c := l.open(cfg, bare{})
			tc.send(l) // nobody reads meanwhile
			if fill := c.Rings()[0].Fill(); fill != 1 {
				t.Errorf("%v of the ring is full", fill)
			}
			missed := func() int { return int(counters(t, "m1").TxDropped) } // by the pair itself
			frames := readUntil(t, c, func(f []got) bool { return len(f)+lost(c)+missed() >= n })
			if len(frames)+lost(c)+missed() != n || lost(c) != int(count(t, c, tc.place)) || lost(c) == 0 {
				t.Errorf("%d sent, %d given out, %d missed by the device; %+v", n, len(frames), missed(), c.Rings()[0].Stats())
			}
			if fill := c.Rings()[0].Fill(); fill != 0 {
				t.Errorf("%v of the ring is full after all was read", fill)
			}
			if again := count(t, c, "xsk_rx_fill_ring_empty_descs"); tc.rxRing == 0 && again != count(t, c, "xsk_rx_dropped") {
				t.Errorf("%d times no buffer, for %d frames", again, lost(c))
			}
			// A native driver counts again what its socket did not take.
			if dropped := counters(t, "m2").RxDropped; tc.attach == "native" && int(dropped) != lost(c)+missed() {
				t.Errorf("the device says %d dropped, the socket %d", dropped, lost(c))
			}
		})
	}
}

// While it is read, a flood loses nothing uncounted either.
func TestFlood(t *testing.T) {
	l := newLab(t, 1, 1500)
	c := l.open(small(), bare{})
	f := l.newFlood()
	sent := make(chan int)
	const n = 100_000
	go func() {
		defer close(sent)
		l.enter(t) // this is another thread
		f.send(t, frame(64, 1), n)
	}()
	missed := func() int { return int(counters(t, "m1").TxDropped) }
	given := 0
	var fr capture.Frame
	for over := false; ; {
		select {
		case <-sent:
			over = true
		default:
		}
		before := given
		for c.Rings()[0].Next(&fr) {
			given++
		}
		if over && (given+lost(c)+missed() == n || given == before) {
			break
		}
		wait(t, c, 100)
	}
	if given+lost(c)+missed() != n || given == 0 {
		t.Errorf("%d sent, %d given out, %d missed by the device; %+v", n, given, missed(), c.Rings()[0].Stats())
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

// Stop ends the reception, and what came before is still given out.
func TestStop(t *testing.T) {
	for _, attach := range []string{"native", "generic"} {
		t.Run(attach, func(t *testing.T) {
			l := newLab(t, 4, 1500)
			cfg := small()
			cfg.Attach = attach
			c := l.open(cfg, bare{})
			for i := range 100 {
				l.send(frame(60, i))
			}
			arrived := func() (n int) {
				for _, r := range c.rings {
					n += int(r.rx.producer.Load())
				}
				return n
			}
			for deadline := time.Now().Add(time.Second); arrived() < 100 && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
			must(t, c.Stop())
			for i := range 100 {
				l.send(frame(60, 1000+i))
			}
			frames := read(t, c, 101)
			if len(frames) != 100 {
				t.Fatalf("%d frames of 100", len(frames))
			}
			for _, f := range frames {
				if number(f.Data) >= 100 {
					t.Fatalf("frame %d came after Stop", number(f.Data))
				}
			}
			if sent := counters(t, "m2").TxPackets; sent != 0 {
				t.Errorf("%d frames went back", sent)
			}
		})
	}
}

// When the interface is lost, what the ring holds is given out, and Check asks
// for a restart, however often it is called.
func TestRestart(t *testing.T) {
	for _, tc := range []struct {
		event, says string
		lose        func(*lab) error
	}{
		{"interface_gone", "vanished", func(l *lab) error { return netlink.LinkDel(l.m2) }},
		{"interface_down", "down", func(l *lab) error { return netlink.LinkSetDown(l.m2) }},
	} {
		t.Run(tc.event, func(t *testing.T) {
			l := newLab(t, 2, 1500)
			c := l.open(small(), bare{})
			for i := range 50 {
				l.send(frame(60, i))
			}
			first := read(t, c, 20) // all rings are up
			for _, r := range c.Rings() {
				must(t, r.Check(time.Now().UnixNano()))
			}
			for i := range 50 {
				l.send(frame(60, i))
			}
			time.Sleep(20 * time.Millisecond) // they arrive in a softirq
			must(t, tc.lose(l))
			for range 2 {
				for _, r := range c.Rings() {
					err := r.Check(time.Now().UnixNano())
					if !errors.Is(err, capture.ErrRestart) || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), "m2") {
						t.Errorf("Check: %v", err)
					}
				}
			}
			frames := append(first, read(t, c, 100-len(first))...)
			if len(frames) != 100 {
				t.Errorf("%d frames of 100", len(frames))
			}
			if n := count(t, c, tc.event); n != 1 {
				t.Errorf("%s was counted %d times", tc.event, n)
			}
			if n := lost(c); n != 0 {
				t.Errorf("%d losses", n)
			}
		})
	}
}

// Renaming the interface does not stop its capture.
func TestRenamed(t *testing.T) {
	l := newLab(t, 1, 1500)
	c := l.open(small(), bare{})
	must(t, netlink.LinkSetName(l.m2, "mirror"))
	must(t, c.Rings()[0].Check(time.Now().UnixNano()))
	l.send(frame(60, 1))
	if frames := read(t, c, 1); len(frames) != 1 {
		t.Error("no frame after the interface was renamed")
	}
}

// What Open chose is what the kernel took, and each refusal is named.
func TestChoice(t *testing.T) {
	for _, tc := range []struct {
		name    string
		ifname  string
		change  func(*Config)
		bare    bare
		attach  bpf.AttachMode
		because []string
	}{
		{"native in copy mode", "m2", nil, bare{}, bpf.AttachNative, []string{"zero copy", "the driver does not do it", "huge pages"}},
		{"native over several buffers", "m2", nil, bare{frags: true}, bpf.AttachFrags, []string{"native program refused: not supported"}},
		{"generic, because the driver has no XDP", "lo", nil, bare{}, bpf.AttachGeneric, []string{"native program refused", "native_frags program refused", "copy mode: zero copy needs a native program"}},
		{"generic, because the program has no native form", "m2", nil, bare{noNative: true}, bpf.AttachGeneric, []string{"native program refused: not supported"}},
		{"generic, as configured", "m2", func(c *Config) { c.Attach = "generic" }, bare{}, bpf.AttachGeneric, []string{`generic program: attach = "generic"`}},
		{"copy mode, as configured", "m2", func(c *Config) { c.ZeroCopy = "off" }, bare{}, bpf.AttachNative, []string{`copy mode: zero_copy = "off"`}},
		{"fewer queues", "m2", func(c *Config) { c.Queues = 1 }, bare{}, bpf.AttachNative, []string{"queues = 1 of the 2"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := newLab(t, 2, 1500)
			if tc.ifname == "lo" {
				must(t, netlink.LinkSetUp(device(t, "lo")))
			}
			cfg := small()
			if tc.change != nil {
				tc.change(&cfg)
			}
			c, err := Open(tc.ifname, cfg, newBare(t, tc.bare))
			must(t, err)
			defer c.Close()
			ch := c.Choice()
			if ch.Attach != tc.attach || ch.ZeroCopy || !ch.MultiBuffer || ch.Queues != len(c.Rings()) || ch.MaxFrame != maxFrame {
				t.Errorf("choice: %s", ch.Explain())
			}
			said := ch.Explain()
			for _, b := range tc.because {
				if !strings.Contains(said, b) {
					t.Errorf("no word of %q in: %s", b, said)
				}
			}
			if tc.ifname != "m2" {
				return
			}
			xdp := device(t, "m2").Attrs().Xdp
			if mode := map[bpf.AttachMode]uint32{bpf.AttachNative: 1, bpf.AttachFrags: 1, bpf.AttachGeneric: 2}[tc.attach]; xdp == nil || xdp.AttachMode != mode { // XDP_ATTACHED_DRV, _SKB
				t.Errorf("the kernel says %+v for %s", xdp, ch)
			}
			l.send(frame(60, 1))
			if tc.name != "fewer queues" && len(read(t, c, 1)) != 1 {
				t.Error("no frame came")
			}
		})
	}
}

// An Open that fails says why, and leaves nothing behind.
func TestOpenFails(t *testing.T) {
	l := newLab(t, 2, 1500)
	for _, tc := range []struct {
		name, ifname string
		change       func(*Config)
		want         error
		says         []string
	}{
		{"no such interface", "m3", nil, unix.ENODEV, []string{"interface m3"}},
		{"wrong configuration", "m2", func(c *Config) { c.Frames = 1000 }, nil, []string{"frames 1000"}},
		{"more queues than there are", "m2", func(c *Config) { c.Queues = 3 }, nil, []string{"queues = 3", "has 2"}},
		{"zero copy, which veth has not", "m2", func(c *Config) { c.ZeroCopy = "on" }, unix.EOPNOTSUPP, []string{"queue 0: bind: the driver does not do it"}},
		{"native, which lo has not", "lo", func(c *Config) { c.Attach = "native" }, nil, []string{"native program refused"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l.enter(t)
			cfg := small()
			if tc.change != nil {
				tc.change(&cfg)
			}
			prog := newBare(t, bare{})
			c, err := Open(tc.ifname, cfg, prog)
			if err == nil {
				c.Close()
				t.Fatal("it opened")
			}
			if tc.want != nil && !errors.Is(err, tc.want) {
				t.Errorf("%v: does not wrap %v", err, tc.want)
			}
			for _, s := range append(tc.says, "AF_XDP on "+tc.ifname) {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("%v: no word of %q", err, s)
				}
			}
			if _, err := prog.prog.Info(); err == nil {
				t.Error("the program is still open")
			}
		})
	}
	if xdp := device(t, "m2").Attrs().Xdp; xdp != nil && xdp.Attached {
		t.Errorf("a program is still attached: %+v", xdp)
	}
}

// Two captures cannot have one interface; the first is not hurt, and the
// interface is free when it closes.
func TestTwice(t *testing.T) {
	l := newLab(t, 1, 1500)
	first, err := Open("m2", small(), newBare(t, bare{}))
	must(t, err)
	if c, err := Open("m2", small(), newBare(t, bare{})); !errors.Is(err, unix.EBUSY) {
		t.Errorf("second Open: %v, %v", c, err)
	}
	l.send(frame(60, 1))
	if frames := read(t, first, 1); len(frames) != 1 {
		t.Error("the first capture got no frame")
	}
	before := first.Rings()[0].Stats()
	must(t, first.Close())
	must(t, first.Rings()[0].Close()) // again: nothing happens
	if after := first.Rings()[0].Stats(); after.Frames != before.Frames || after.Frames != 1 {
		t.Errorf("%d frames before Close, %d after", before.Frames, after.Frames)
	}
	second := l.open(small(), bare{})
	l.send(frame(60, 2))
	if frames := read(t, second, 1); len(frames) != 1 {
		t.Error("the second capture got no frame")
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
