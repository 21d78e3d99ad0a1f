package afxdp

import (
	"encoding/binary"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mirrorscope/capture"
	"mirrorscope/internal/needs"
)

// lab is a network namespace without a name, entered by the thread of the
// test, with a veth pair in it: frames sent into m1 arrive at m2.
type lab struct {
	t      testing.TB
	ns     int // the namespace
	m1, m2 netlink.Link
	tx     int // AF_PACKET socket on m1
}

// newLab makes the pair with n queues on both ends. The thread is the test's
// until both end, and the namespace ends with them.
func newLab(t testing.TB, queues, mtu int) *lab {
	t.Helper()
	needs.Root(t)
	runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
	must(t, unix.Unshare(unix.CLONE_NEWNET))
	ns, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	must(t, err)
	t.Cleanup(func() { unix.Close(ns) })
	for _, name := range []string{"all", "default"} {
		must(t, os.WriteFile("/proc/sys/net/ipv6/conf/"+name+"/disable_ipv6", []byte("1"), 0))
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = "m1", mtu
	attrs.NumRxQueues, attrs.NumTxQueues = queues, queues
	must(t, netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "m2", PeerNumRxQueues: uint32(queues), PeerNumTxQueues: uint32(queues), PeerMTU: uint32(mtu)}))
	l := &lab{t: t, ns: ns, m1: device(t, "m1"), m2: device(t, "m2")}
	for _, m := range []netlink.Link{l.m1, l.m2} {
		must(t, netlink.LinkSetARPOff(m))
		must(t, netlink.LinkSetUp(m))
	}
	if queues > 1 {
		l.setQueues(queues)
	}
	l.ready()
	return l
}

// ready waits until both ends may send. The kernel works off a link that comes
// up a little later, and until then drops what is sent, without an error.
func (l *lab) ready() {
	for _, name := range []string{"m1", "m2"} {
		for device(l.t, name).Attrs().OperState != netlink.OperUp {
			time.Sleep(time.Millisecond)
		}
	}
}

func (l *lab) socket() int {
	if l.tx == 0 {
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
		must(l.t, err)
		must(l.t, unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: l.m1.Attrs().Index}))
		l.tx = fd
		l.t.Cleanup(func() { unix.Close(fd) })
	}
	return l.tx
}

// send sends one frame, again while the device has no room.
func (l *lab) send(frame []byte) {
	l.t.Helper()
	fd := l.socket()
	for {
		_, err := unix.Write(fd, frame)
		if err == unix.ENOBUFS {
			continue
		}
		must(l.t, err)
		return
	}
}

// counters of an end of the pair.
func counters(t testing.TB, name string) netlink.LinkStatistics {
	t.Helper()
	return *device(t, name).Attrs().Statistics
}

func device(t testing.TB, name string) netlink.Link {
	t.Helper()
	l, err := netlink.LinkByName(name)
	must(t, err)
	return l
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// frame is an Ethernet frame of n octets, IPv4 and UDP, with its number in it.
// The number is in the source port too, so that frames spread over queues.
func frame(n, number int) []byte {
	b := make([]byte, n)
	copy(b, []byte{2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0})
	ip := b[14:]
	ip[0], ip[8], ip[9] = 0x45, 64, 17
	binary.BigEndian.PutUint16(ip[2:], uint16(n-14))
	copy(ip[12:], []byte{10, 0, 0, 1, 10, 0, 0, 2})
	udp := ip[20:]
	binary.BigEndian.PutUint16(udp, uint16(1024+number%30000))
	binary.BigEndian.PutUint16(udp[2:], 4789)
	binary.BigEndian.PutUint16(udp[4:], uint16(n-34))
	binary.BigEndian.PutUint32(udp[8:], uint32(number))
	for i := 46; i < n; i++ {
		b[i] = byte(i * (number + 7))
	}
	return b
}

// number reads the number of a frame.
func number(b []byte) int { return int(binary.BigEndian.Uint32(b[42:])) }

// got is a frame with octets of its own.
type got struct {
	capture.Frame
	queue int
}

// read takes what is in the rings, until it has want frames, or none comes for
// a second.
func read(t testing.TB, c *Capture, want int) []got {
	t.Helper()
	return readUntil(t, c, func(frames []got) bool { return len(frames) >= want })
}

// readUntil takes frames from all rings until done, or none comes for a second.
func readUntil(t testing.TB, c *Capture, done func([]got) bool) []got {
	t.Helper()
	var frames []got
	var f capture.Frame
	for idle := 0; idle < 10; idle++ {
		before := len(frames)
		for q, r := range c.Rings() {
			for r.Next(&f) {
				g := got{f, q}
				g.Data = append([]byte(nil), f.Data...)
				frames = append(frames, g)
			}
		}
		switch {
		case done(frames):
			return frames
		case len(frames) > before:
			idle = 0
		default:
			wait(t, c, 100)
		}
	}
	return frames
}

// arrived waits until the kernel has put n descriptors into the rings: what is
// sent arrives in a softirq, some time later.
func arrived(t testing.TB, c *Capture, n int) {
	t.Helper()
	sum := func() (n int) {
		for _, r := range c.rings {
			n += int(r.rx.producer.Load())
		}
		return n
	}
	for deadline := time.Now().Add(5 * time.Second); sum() < n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d descriptors arrived of %d", sum(), n)
		}
	}
}

// wait waits for a frame in any ring, at most ms.
func wait(t testing.TB, c *Capture, ms int) {
	t.Helper()
	var fds []unix.PollFd
	for _, r := range c.Rings() {
		r.Wake()
		fds = append(fds, unix.PollFd{Fd: int32(r.FD()), Events: unix.POLLIN})
	}
	if _, err := unix.Poll(fds, ms); err != nil && err != unix.EINTR {
		t.Fatal(err)
	}
}

// open opens m2 with a bare program.
func (l *lab) open(cfg Config, b bare) *Capture {
	l.t.Helper()
	prog := newBare(l.t, b)
	c, err := Open("m2", cfg, prog)
	must(l.t, err)
	l.t.Cleanup(func() { must(l.t, c.Close()) })
	return c
}

// lost sums the losses of all rings.
func lost(c *Capture) int {
	var n uint64
	for _, r := range c.Rings() {
		for _, l := range r.Stats().Losses {
			n += l.Frames
		}
	}
	return int(n)
}

// count is the loss or event called place, over all rings.
func count(t testing.TB, c *Capture, place string) uint64 {
	t.Helper()
	var n uint64
	found := false
	for _, r := range c.Rings() {
		s := r.Stats()
		for _, l := range append(s.Losses, s.Events...) {
			if l.Place == place {
				n += l.Frames
				found = true
			}
		}
	}
	if !found {
		t.Fatalf("Stats have no %q", place)
	}
	return n
}

// small is a configuration that costs a test little.
func small() Config {
	c := DefaultConfig()
	c.Frames = 1024
	return c
}

// enter moves the thread of a subtest into the namespace.
func (l *lab) enter(t testing.TB) {
	t.Helper()
	runtime.LockOSThread()
	must(t, unix.Setns(l.ns, unix.CLONE_NEWNET))
}

// setQueues uses n queues in both directions of both ends.
func (l *lab) setQueues(n int) {
	e, err := ethtool.NewEthtool()
	must(l.t, err)
	defer e.Close()
	for _, name := range []string{"m1", "m2"} {
		ch, err := e.GetChannels(name)
		must(l.t, err)
		ch.RxCount, ch.TxCount = uint32(n), uint32(n)
		_, err = e.SetChannels(name, ch)
		must(l.t, err)
	}
}
