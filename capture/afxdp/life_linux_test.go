package afxdp

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mirrorscope/bpf"
	"mirrorscope/capture"
)

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
			arrived(t, c, 100)
			must(t, c.Stop())
			for i := range 100 {
				l.send(frame(60, 1000+i))
			}
			frames := read(t, c, 100)
			wait(t, c, 50)
			if frames = append(frames, read(t, c, 0)...); len(frames) != 100 {
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
		{"interface_renamed", "is called mirror now", func(l *lab) error { return netlink.LinkSetName(l.m2, "mirror") }},
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
			arrived(t, c, 100)
			err := tc.lose(l)
			if errors.Is(err, unix.EBUSY) && tc.event == "interface_renamed" {
				t.Skip("this kernel renames no interface that is up")
			}
			must(t, err)
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

// An interface that is down at first is waited for.
func TestDownAtFirst(t *testing.T) {
	for _, attach := range []string{"native", "generic"} {
		t.Run(attach, func(t *testing.T) {
			l := newLab(t, 1, 1500)
			must(t, netlink.LinkSetDown(l.m2))
			cfg := small()
			cfg.Attach = attach
			c := l.open(cfg, bare{})
			if said := c.Choice().Explain(); !strings.Contains(said, "the interface is down") {
				t.Errorf("choice: %s", said)
			}
			r := c.Rings()[0]
			must(t, r.Check(time.Now().UnixNano()))
			must(t, netlink.LinkSetUp(l.m2))
			l.ready()
			must(t, r.Check(time.Now().UnixNano()))
			l.send(frame(60, 1))
			if frames := read(t, c, 1); len(frames) != 1 {
				t.Error("no frame after the interface came up")
			}
			must(t, netlink.LinkSetDown(l.m2))
			if err := r.Check(time.Now().UnixNano()); !errors.Is(err, capture.ErrRestart) {
				t.Errorf("Check of an interface that went down: %v", err)
			}
		})
	}
}

// Once it is open, a capture needs no privileges any more, up to its end.
func TestWithoutCapabilities(t *testing.T) {
	l := newLab(t, 1, 1500)
	p, err := bpf.Load(bpf.DefaultConfig(), bpf.ToSocket, 1)
	must(t, err)
	c, err := Open("m2", small(), p)
	must(t, err)
	l.socket()
	// Of this thread alone, which ends with the test.
	var none [2]unix.CapUserData
	must(t, unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]))
	if _, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW, 0); !errors.Is(err, unix.EPERM) {
		t.Fatalf("a new socket: %v", err)
	}
	for i := range 300 {
		l.send(frame(60, i))
	}
	if frames := read(t, c, 300); len(frames) != 300 || lost(c) != 0 {
		t.Errorf("%d frames of 300, %d lost", len(frames), lost(c))
	}
	must(t, c.Rings()[0].Check(time.Now().UnixNano()))
	must(t, c.Stop())
	must(t, c.Close())
}

// An interface can be had by an alternative name, which is no renaming.
func TestAlternativeName(t *testing.T) {
	l := newLab(t, 1, 1500)
	must(t, netlink.LinkAddAltName(l.m2, "mirror-port"))
	c, err := Open("mirror-port", small(), newBare(t, bare{}))
	must(t, err)
	defer c.Close()
	must(t, c.Rings()[0].Check(time.Now().UnixNano()))
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
