package afpacket

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mirrorscope/capture"
	"mirrorscope/internal/needs"
)

// lab is a network namespace without a name, held by one locked thread, in
// which nothing sends but the test.
type lab struct {
	t     testing.TB
	calls chan func()
}

// patience is how long a test waits for what must come. No test passes by it.
const patience = 20 * time.Second

func newLab(t testing.TB) *lab {
	t.Helper()
	needs.Root(t)
	l := &lab{t: t, calls: make(chan func())}
	started := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: thread and namespace end with the goroutine
		err := unix.Unshare(unix.CLONE_NEWNET)
		started <- err
		if err != nil {
			return
		}
		for f := range l.calls {
			f()
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("new network namespace: %v", err)
	}
	t.Cleanup(func() { close(l.calls) })
	l.do(func() error {
		err := os.WriteFile("/proc/sys/net/ipv6/conf/default/disable_ipv6", []byte("1"), 0)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
	return l
}

// do runs f in the namespace and fails the test on its error.
func (l *lab) do(f func() error) {
	l.t.Helper()
	done := make(chan error)
	l.calls <- func() { done <- f() }
	if err := <-done; err != nil {
		l.t.Fatal(err)
	}
}

// pair makes a veth pair: what is sent into tx0 arrives at cap0.
func (l *lab) pair(change ...func(v *netlink.Veth)) {
	l.t.Helper()
	l.do(func() error {
		v := netlink.NewVeth(netlink.LinkAttrs{Name: "tx0", MTU: 9001, TxQLen: -1})
		v.PeerName = "cap0"
		for _, f := range change {
			f(v)
		}
		if err := netlink.LinkAdd(v); err != nil {
			return err
		}
		return errors.Join(set("tx0", true), set("cap0", true))
	})
	l.carrier()
}

// carrier waits until the pair has noticed that both ends are up, which the
// kernel does in the background. Until then what is sent is thrown away.
func (l *lab) carrier() {
	l.t.Helper()
	l.do(func() error {
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			links, err := netlink.LinkList()
			if err != nil {
				return err
			}
			up := 0
			for _, link := range links {
				if link.Type() == "veth" && link.Attrs().OperState == netlink.OperUp {
					up++
				}
			}
			if up == 2 {
				return nil
			}
			if time.Now().After(end) {
				return errors.New("the pair has no carrier")
			}
		}
	})
}

// set takes an interface up or down.
func set(name string, up bool) error {
	link, err := netlink.LinkByName(name)
	switch {
	case err != nil:
		return err
	case up:
		return netlink.LinkSetUp(link)
	}
	return netlink.LinkSetDown(link)
}

func (l *lab) set(name string, up bool) {
	l.t.Helper()
	l.do(func() error { return set(name, up) })
}

// remove deletes the pair.
func (l *lab) remove() {
	l.t.Helper()
	l.do(func() error {
		link, err := netlink.LinkByName("tx0")
		if err != nil {
			return err
		}
		return netlink.LinkDel(link)
	})
}

// small is a configuration for tests: little memory, and little latency. A test
// that sends before it reads has 256 ms for that, at least.
func small() Config {
	c := DefaultConfig()
	c.BlockBytes, c.Blocks, c.BlockTimeoutMS = minBlockBytes, 64, 4
	return c
}

// open captures on an interface of the lab until the test ends.
func (l *lab) open(name string, c Config, program int) *Capture {
	l.t.Helper()
	var got *Capture
	l.do(func() (err error) {
		got, err = Open(name, c, Programs{Fanout: program, Filter: -1})
		return err
	})
	l.t.Cleanup(func() {
		if err := got.Close(); err != nil {
			l.t.Error(err)
		}
	})
	return got
}

// sender sends frames into an interface.
type sender struct {
	t  testing.TB
	fd int
}

func (l *lab) sender(name string) *sender {
	l.t.Helper()
	s := &sender{t: l.t}
	l.do(func() error {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		return unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: 0, Ifindex: link.Attrs().Index})
	})
	l.t.Cleanup(func() { _ = unix.Close(s.fd) })
	return s
}

// send sends one frame. With the interface's queue full it tries again.
func (s *sender) send(frame []byte) {
	s.t.Helper()
	for {
		_, err := unix.SendmsgN(s.fd, frame, nil, nil, 0)
		if errors.Is(err, unix.ENOBUFS) {
			time.Sleep(time.Millisecond)
			continue
		}
		if err != nil {
			s.t.Fatalf("send %d octets: %v", len(frame), err)
		}
		return
	}
}

// got is a Frame whose octets were copied.
type got struct {
	capture.Frame
	ring int
}

// next reads one frame after another until read says that it has enough,
// waiting for them in poll(2), and calls Check as the live source does.
func next(t testing.TB, rings []capture.Ring, read func(ring int, f *capture.Frame) (more bool)) {
	t.Helper()
	end := time.Now().Add(patience)
	checked := time.Now()
	fds := make([]unix.PollFd, len(rings))
	var f capture.Frame
	for {
		any := false
		for i, r := range rings {
			for r.Next(&f) {
				any = true
				if !read(i, &f) {
					return
				}
			}
			fds[i] = unix.PollFd{Fd: int32(r.FD()), Events: unix.POLLIN}
		}
		now := time.Now()
		if now.After(end) {
			t.Fatalf("no end after %v; stats %+v", patience, stats(rings))
		}
		if now.Sub(checked) > 10*time.Millisecond {
			checked = now
			for _, r := range rings {
				if err := r.Check(now.UnixNano()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if any {
			continue
		}
		if _, err := unix.Poll(fds, 5); err != nil && !errors.Is(err, unix.EINTR) {
			t.Fatal(err)
		}
	}
}

// frames reads n frames.
func frames(t testing.TB, c *Capture, n int) []got {
	t.Helper()
	var all []got
	if n > 0 {
		next(t, c.Rings(), func(ring int, f *capture.Frame) bool {
			g := got{*f, ring}
			g.Data = append([]byte(nil), f.Data...)
			all = append(all, g)
			return len(all) < n
		})
	}
	for _, r := range c.rings {
		r.publish() // the last block may not be read to its end
	}
	return all
}

// rest reads whatever is still there, and counts it. It ends as Stop says.
func rest(t testing.TB, c *Capture) (n int) {
	t.Helper()
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now().UnixNano()
	end := time.Now().Add(patience)
	for _, r := range c.Rings() {
		var f capture.Frame
		for {
			for r.Next(&f) {
				n++
			}
			if r.Horizon(time.Now().UnixNano()) > stopped {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("the horizon does not pass the time of Stop")
			}
			time.Sleep(time.Millisecond)
		}
	}
	return n
}

func stats(rings []capture.Ring) []capture.Stats {
	var all []capture.Stats
	for _, r := range rings {
		all = append(all, r.Stats())
	}
	return all
}

// count sums a loss or an event over the rings. An unknown place fails the test.
func count(t testing.TB, c *Capture, place string) (n uint64) {
	t.Helper()
	known := false
	for _, s := range stats(c.Rings()) {
		for _, l := range append(s.Losses, s.Events...) {
			if l.Place == place {
				n += l.Frames
				known = true
			}
		}
	}
	if !known {
		t.Fatalf("no loss or event is called %q", place)
	}
	return n
}

// quiet fails the test for each loss or event that is not in except.
func quiet(t testing.TB, c *Capture, except ...string) {
	t.Helper()
	for i, s := range stats(c.Rings()) {
		for _, l := range append(s.Losses, s.Events...) {
			if l.Frames != 0 && !strings.Contains(strings.Join(except, " "), l.Place) {
				t.Errorf("ring %d: %s = %d, want 0", i, l.Place, l.Frames)
			}
		}
	}
}

// received sums what the kernel has had for all rings.
func received(c *Capture) (n uint64) {
	for _, r := range c.rings {
		n += r.Received()
	}
	return n
}
