package afpacket

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mirrorscope/capture"
	"mirrorscope/internal/pcapgen"
)

// flow is a frame of one of 256 flows, in one of its directions.
func flow(n int, back bool, number uint32) []byte {
	ip := pcapgen.IPv4{Src: pcapgen.IP(fmt.Sprintf("10.1.0.%d", n%256)), Dst: pcapgen.IP("10.2.0.1")}
	if back {
		ip.Src, ip.Dst = ip.Dst, ip.Src
	}
	return pcapgen.Build(ether, ip, pcapgen.UDP{SrcPort: 4000, DstPort: 4001},
		pcapgen.Payload{byte(number >> 24), byte(number >> 16), byte(number >> 8), byte(number), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
}

// until reads and calls Check until ok, as a live source does, and gives what it
// has read.
func until(t testing.TB, c *Capture, ok func() bool) (n int) {
	t.Helper()
	end := time.Now().Add(patience)
	for {
		var f capture.Frame
		for _, r := range c.Rings() {
			for r.Next(&f) {
				n++
			}
			if err := r.Check(time.Now().UnixNano()); err != nil {
				t.Fatal(err)
			}
		}
		if ok() {
			return n
		}
		if time.Now().After(end) {
			t.Fatalf("does not come about; stats %+v", stats(c.Rings()))
		}
		time.Sleep(time.Millisecond)
	}
}

// withoutRights runs f on a thread without any capability.
func withoutRights(t *testing.T, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&hdr, &none[0]); err != nil {
			t.Error(err)
			return
		}
		if _, err := newSocket(capture.LinkEthernet); !errors.Is(err, unix.EPERM) {
			t.Errorf("a packet socket without rights: %v, want EPERM", err)
			return
		}
		f()
	}()
	<-done
	if t.Failed() {
		t.FailNow()
	}
}

func TestDownAndUp(t *testing.T) {
	for _, rings := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d rings", rings), func(t *testing.T) {
			l := newLab(t)
			l.pair()
			cfg := small()
			cfg.Rings = rings
			c := l.open("cap0", cfg, fanoutProgram(t))
			tx := l.sender("tx0")
			send := func() {
				for i := range 50 {
					tx.send(flow(i, i%2 == 0, uint32(i)))
				}
			}
			withoutRights(t, func() {
				send()
				l.set("cap0", false)
				n := until(t, c, func() bool { return count(t, c, "link_down") == uint64(rings) })
				l.set("cap0", true)
				n += until(t, c, func() bool { return count(t, c, "link_up") == uint64(rings) })
				l.carrier()
				send()
				if n += rest(t, c); n != 100 {
					t.Errorf("%d frames, want 100", n)
				}
			})
			quiet(t, c, "link_down", "link_up")
		})
	}
}

// The interface is deleted and made anew, again and again. Whatever it received
// before and after is given out by the same rings.
func TestRecreated(t *testing.T) {
	for _, tc := range []struct{ rings, group, times int }{{1, 0, 10}, {3, 0, spareSets}, {2, 77, 3}} {
		t.Run(fmt.Sprintf("%d rings, group %d", tc.rings, tc.group), func(t *testing.T) {
			l := newLab(t)
			l.pair()
			cfg := small()
			cfg.Rings, cfg.FanoutGroup = tc.rings, tc.group
			c := l.open("cap0", cfg, fanoutProgram(t))
			fds := fdsOf(c)
			indexes := map[int]bool{c.rings[0].index: true}
			events := func(place string, n int) func() bool {
				return func() bool { return count(t, c, place) == uint64(n*tc.rings) }
			}
			read := 0
			withoutRights(t, func() {
				for i := range tc.times {
					tx := l.sender("tx0")
					for k := range 50 {
						tx.send(flow(k, k%2 == 0, uint32(k)))
					}
					l.remove()
					for range 3 { // nothing has been read yet: it must not be thrown away
						for _, r := range c.Rings() {
							if err := r.Check(0); err != nil {
								t.Error(err)
							}
						}
					}
					read += until(t, c, events("interface_gone", i+1))
					read += until(t, c, func() bool { return c.rings[0].state == waiting })
					l.pair()
					read += until(t, c, events("interface_back", i+1))
					indexes[c.rings[0].index] = true
				}
				tx := l.sender("tx0")
				for k := range 50 {
					tx.send(flow(k, k%2 == 0, uint32(k)))
				}
				read += rest(t, c)
			})
			if want := 50 * (tc.times + 1); read != want || received(c) != uint64(want) {
				t.Errorf("%d frames given out of %d received, want %d", read, received(c), want)
			}
			if len(indexes) != tc.times+1 {
				t.Errorf("%d interfaces, want %d: the test did not make them anew", len(indexes), tc.times+1)
			}
			if now := fdsOf(c); fmt.Sprint(now) != fmt.Sprint(fds) {
				t.Errorf("descriptors %v, before %v", now, fds)
			}
			l.do(func() error {
				link, err := linkOf("cap0")
				if err == nil && link.Attrs().Promisc == 0 {
					t.Error("the new interface is not in promiscuous mode")
				}
				return err
			})
			quiet(t, c, "link_down", "interface_gone", "interface_back")
		})
	}
}

func fdsOf(c *Capture) (fds []int) {
	for _, r := range c.Rings() {
		fds = append(fds, r.FD())
	}
	return fds
}

// Once the spares are used up that is the end for several rings: what they held comes out, and
// then the error.
func TestNoMoreSpares(t *testing.T) {
	l := newLab(t)
	l.pair()
	cfg := small()
	cfg.Rings = 2
	c := l.open("cap0", cfg, fanoutProgram(t))
	for _, fd := range c.spares {
		unix.Close(fd)
	}
	c.spares = nil
	tx := l.sender("tx0")
	for k := range 50 {
		tx.send(flow(k, false, uint32(k)))
	}
	l.remove()
	n, failed := 0, 0
	for end := time.Now().Add(patience); failed < 2; {
		failed = 0
		for _, r := range c.Rings() {
			var f capture.Frame
			for r.Next(&f) {
				n++
			}
			err := r.Check(0)
			if errors.Is(err, capture.ErrRestart) {
				failed++
			} else if err != nil {
				t.Fatal(err)
			}
		}
		if time.Now().After(end) {
			t.Fatal("no error comes")
		}
		time.Sleep(time.Millisecond)
	}
	if n != 50 {
		t.Errorf("%d frames before the error, want 50", n)
	}
}

// A capture can be opened on an interface that is down.
func TestOpenDown(t *testing.T) {
	for _, rings := range []int{1, 2} {
		l := newLab(t)
		l.pair()
		l.set("cap0", false)
		cfg := small()
		cfg.Rings = rings
		c := l.open("cap0", cfg, fanoutProgram(t))
		l.set("cap0", true)
		until(t, c, func() bool { return count(t, c, "link_up") == uint64(rings) })
		l.carrier()
		tx := l.sender("tx0")
		for k := range 50 {
			tx.send(flow(k, false, uint32(k)))
		}
		if n := rest(t, c); n != 50 {
			t.Errorf("%d rings: %d frames, want 50", rings, n)
		}
		quiet(t, c, "link_up")
	}
}

// Before kernel 6.14 a fan-out cannot be joined while the interface is down.
// Here the rings are left unattached as if that had happened.
func TestAttachLater(t *testing.T) {
	l := newLab(t)
	l.pair()
	cfg := small()
	cfg.Rings = 3
	c := l.open("cap0", cfg, fanoutProgram(t))
	l.remove()
	until(t, c, func() bool {
		return c.rings[0].state == waiting && c.rings[1].state == waiting && c.rings[2].state == waiting
	})
	l.pair()
	tx := l.sender("tx0")
	rings := c.Rings()
	for i, r := range rings {
		// Before the last ring has joined, the gates are shut.
		for k := range 30 {
			tx.send(flow(k, false, uint32(k)))
		}
		if got := received(c); got != 0 {
			t.Fatalf("%d frames received with %d of 3 rings attached", got, i)
		}
		if err := r.Check(0); err != nil {
			t.Fatal(err)
		}
	}
	for k := range 30 {
		tx.send(flow(k, false, uint32(k)))
	}
	if n := rest(t, c); n != 30 {
		t.Errorf("%d frames, want 30", n)
	}
}

// What comes back under the name may be quite another interface.
func TestOtherKind(t *testing.T) {
	l := newLab(t)
	l.pair()
	c := l.open("cap0", small(), -1)
	l.remove()
	until(t, c, func() bool { return c.rings[0].state == waiting })
	tun := l.tun("cap0")
	defer unix.Close(tun)
	if err := c.Rings()[0].Check(0); !errors.Is(err, capture.ErrRestart) {
		t.Errorf("error %v, want ErrRestart", err)
	}
}

// An interface that is given another name has lost its guard: what came is given
// out, and that is the end, told once for all rings.
func TestRenamed(t *testing.T) {
	for _, rings := range []int{1, 3} {
		l := newLab(t)
		l.pair()
		cfg := small()
		cfg.Rings = rings
		c := l.open("cap0", cfg, fanoutProgram(t))
		tx := l.sender("tx0")
		for k := range 50 {
			tx.send(flow(k, false, uint32(k)))
		}
		withoutRights(t, func() {
			for _, r := range c.Rings() {
				if err := r.Check(0); err != nil {
					t.Error(err)
				}
			}
		})
		l.do(func() error {
			link, err := linkOf("cap0")
			if err != nil {
				return err
			}
			return errors.Join(set("cap0", false), netlink.LinkSetName(link, "cap1"), set("cap1", true))
		})
		withoutRights(t, func() {
			for range 2 {
				for _, r := range c.Rings() {
					if err := r.Check(0); !errors.Is(err, capture.ErrRestart) || !strings.Contains(err.Error(), "cap0: the interface is called cap1 now") {
						t.Errorf("%d rings: %v", rings, err)
					}
				}
			}
		})
		if n := count(t, c, "interface_renamed"); n != 1 {
			t.Errorf("%d rings: it was counted %d times", rings, n)
		}
		n, end := 0, time.Now().Add(patience)
		for n < 50 && time.Now().Before(end) {
			var f capture.Frame
			for _, r := range c.Rings() {
				for r.Next(&f) {
					n++
				}
			}
			time.Sleep(time.Millisecond)
		}
		if n != 50 {
			t.Errorf("%d rings: %d frames given out, want 50", rings, n)
		}
	}
}

// An interface can be had by an alternative name, which is no renaming.
func TestAlternativeName(t *testing.T) {
	l := newLab(t)
	l.pair()
	l.do(func() error {
		link, err := linkOf("cap0")
		if err != nil {
			return err
		}
		return netlink.LinkAddAltName(link, "mirror-port")
	})
	c := l.open("mirror-port", small(), -1)
	l.sender("tx0").send(numbered(60, 9))
	if n := rest(t, c); n != 1 {
		t.Errorf("%d frames, want 1", n)
	}
	for _, r := range c.Rings() {
		if err := r.Check(0); err != nil {
			t.Error(err)
		}
	}
	quiet(t, c)
}

// A capture that was stopped stays so when the interface comes back.
func TestStoppedAndRecreated(t *testing.T) {
	for _, rings := range []int{1, 2} {
		l := newLab(t)
		l.pair()
		cfg := small()
		cfg.Rings = rings
		c := l.open("cap0", cfg, fanoutProgram(t))
		if err := c.Stop(); err != nil {
			t.Fatal(err)
		}
		l.remove()
		until(t, c, func() bool { return count(t, c, "interface_gone") == uint64(rings) })
		l.pair()
		until(t, c, func() bool { return count(t, c, "interface_back") == uint64(rings) })
		tx := l.sender("tx0")
		for k := range 20 {
			tx.send(flow(k, false, uint32(k)))
		}
		if n := rest(t, c); n != 0 {
			t.Errorf("%d rings: %d frames came in after Stop", rings, n)
		}
	}
}

// Rings that are read by different goroutines call Check at their own pace. The
// number of the group is free only when the last has let go of the old one.
func TestRingsWaitForEachOther(t *testing.T) {
	l := newLab(t)
	l.pair()
	cfg := small()
	cfg.Rings, cfg.FanoutGroup = 2, 4711
	c := l.open("cap0", cfg, fanoutProgram(t))
	l.remove()
	l.pair()
	rings := c.Rings()
	for range 3 * maxAttempts {
		if err := rings[0].Check(0); err != nil {
			t.Fatal(err)
		}
	}
	if c.rings[0].state != waiting {
		t.Errorf("ring 0 is in state %d while ring 1 has the old interface", c.rings[0].state)
	}
	until(t, c, func() bool { return count(t, c, "interface_back") == 2 })
	tx := l.sender("tx0")
	for k := range 20 {
		tx.send(flow(k, false, uint32(k)))
	}
	if n := rest(t, c); n != 20 {
		t.Errorf("%d frames, want 20", n)
	}
}
