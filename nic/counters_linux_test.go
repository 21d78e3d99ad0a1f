package nic

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mirrorscope/internal/needs"
)

// strange is a frame of a protocol that no kernel knows.
func (l *lab) strange() []byte {
	frame := make([]byte, 64)
	copy(frame, l.mac(l.sensor, capName))
	copy(frame[6:], l.mac(l.peer, peerName))
	frame[12], frame[13] = 0x88, 0xb5 // IEEE 802 local experimental
	return frame
}

func (l *lab) counters() *Counters {
	l.t.Helper()
	var c *Counters
	l.in(l.sensor, func() (err error) {
		c, err = OpenCounters(capName)
		return err
	})
	l.t.Cleanup(func() {
		if err := c.Close(); err != nil {
			l.t.Error(err)
		}
	})
	return c
}

// lost gives the losses at a place.
func lost(t *testing.T, c *Counters, place string) uint64 {
	t.Helper()
	counts, err := c.Read()
	if err != nil {
		t.Fatal(err)
	}
	return frames(t, counts, place)
}

func frames(t *testing.T, counts Counts, place string) uint64 {
	t.Helper()
	for _, l := range counts.Losses {
		if l.Place == place {
			return l.Frames
		}
	}
	t.Fatalf("no place %q in %v", place, counts.Losses)
	return 0
}

// TestCountersOverflow loses frames in the ring of a veth, and finds them in
// the counters: sent = received + lost.
//
// Two processors that send at once add to one counter of the veth without a
// lock, and now and then the kernel forgets some 16 frames. So the counters
// must agree with the sender's tx_dropped exactly, and with what is missing
// nearly.
func TestCountersOverflow(t *testing.T) {
	if runtime.NumCPU() < 2 {
		t.Skip("one processor alone does not overflow the ring of a veth")
	}
	l := newLab(t)
	l.attach(l.sensor, capName, xdpDrop, link.XDPDriverMode)
	frame := l.strange()
	l.flood(frame, 20_000) // before: not counted
	c := l.counters()
	received := l.statistics(l.sensor, capName).RxPackets
	dropped := l.statistics(l.peer, peerName).TxDropped
	const n = 100_000
	sent := uint64(0)
	for round := 0; lost(t, c, "nic_dropped") == 0 && round < 20; round++ {
		l.flood(frame, n)
		sent += 2 * n
	}
	got := lost(t, c, "nic_dropped")
	received = l.statistics(l.sensor, capName).RxPackets - received
	dropped = l.statistics(l.peer, peerName).TxDropped - dropped
	t.Logf("sent %d, received %d, lost %d", sent, received, got)
	switch {
	case got == 0:
		t.Error("nothing was lost: the test does not test")
	case got != dropped:
		t.Errorf("lost %d, the sender says %d", got, dropped)
	case received+got > sent || received+got < sent-sent/100:
		t.Errorf("sent %d, received %d, lost %d: %d unaccounted for", sent, received, got, int64(sent)-int64(received+got))
	}
}

const (
	xdpDrop = 1
	xdpPass = 2
)

// TestCountersNoLoss: neither what XDP drops nor what a reader gets is a loss;
// what nobody takes is.
func TestCountersNoLoss(t *testing.T) {
	l := newLab(t)
	many := make([][]byte, 100)
	for i := range many {
		many[i] = l.strange()
	}
	c := l.counters()
	l.send(l.peer, peerName, many...)
	eventually(t, "frames that nobody takes are dropped", func() bool { return lost(t, c, "nic_dropped") == 100 })

	fd := l.packetSocket(l.sensor, capName)
	l.send(l.peer, peerName, many...)
	l.drain(fd, 100)
	if got := lost(t, c, "nic_dropped"); got != 100 {
		t.Errorf("with a reader %d frames were lost, want none beside the 100 of before", got)
	}

	l.attach(l.sensor, capName, xdpDrop, link.XDPDriverMode)
	before := l.statistics(l.sensor, capName).RxPackets
	l.send(l.peer, peerName, many...)
	eventually(t, "XDP gets the frames", func() bool { return l.statistics(l.sensor, capName).RxPackets-before == 100 })
	if got := lost(t, c, "nic_dropped"); got != 100 {
		t.Errorf("with XDP %d frames were lost, want none beside the 100 of before", got)
	}
}

// drain reads n frames.
func (l *lab) drain(fd, n int) {
	l.t.Helper()
	buf := make([]byte, 2048)
	got := 0
	eventually(l.t, fmt.Sprintf("%d frames arrive", n), func() bool {
		for {
			if _, _, err := unix.Recvfrom(fd, buf, 0); err != nil {
				return got >= n
			}
			got++
		}
	})
}

// TestCountersUnprivileged: they go on on a thread that has no capability, is
// nobody, and may neither open a file nor make a socket.
func TestCountersUnprivileged(t *testing.T) {
	l := newLab(t)
	c := l.counters()
	l.send(l.peer, peerName, l.strange(), l.strange(), l.strange())
	eventually(t, "frames are dropped", func() bool { return lost(t, c, "nic_dropped") == 3 })

	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked
		done <- func() error {
			if err := confine(); err != nil {
				return err
			}
			if _, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0); !errors.Is(err, unix.EACCES) {
				return fmt.Errorf("a socket can still be made: %w", err)
			}
			counts, err := c.Read()
			if err == nil && frames(t, counts, "nic_dropped") != 3 {
				err = fmt.Errorf("counts %v", counts)
			}
			return err
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// confine takes all rights from the calling thread alone.
func confine() error {
	const nobody = 65534
	if _, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
		return errno
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var nothing [2]unix.CapUserData
	if err := unix.Capset(&header, &nothing[0]); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	return denyCalls(unix.SYS_OPENAT, unix.SYS_OPENAT2, unix.SYS_SOCKET)
}

// TestCountersVanish: an interface that goes takes no count with it, and one
// that comes under its name goes on.
func TestCountersVanish(t *testing.T) {
	l := newLab(t)
	c := l.counters()
	l.send(l.peer, peerName, l.strange(), l.strange())
	eventually(t, "frames are dropped", func() bool { return lost(t, c, "nic_dropped") == 2 })
	l.in(l.sensor, func() error {
		cap0, err := netlink.LinkByName(capName)
		if err != nil {
			return err
		}
		return netlink.LinkDel(cap0)
	})
	counts, err := c.Read()
	if !errors.Is(err, unix.ENODEV) || !strings.Contains(fmt.Sprint(err), capName) {
		t.Errorf("error %v, want one of %s being gone", err, capName)
	}
	if got := frames(t, counts, "nic_dropped"); got != 2 {
		t.Errorf("%d frames lost after it had gone, want 2", got)
	}
	l.cable(1)
	l.send(l.peer, peerName, l.strange())
	eventually(t, "the new one counts on", func() bool { return lost(t, c, "nic_dropped") == 3 })
}

// TestCountersDown: an interface that was down starts when it comes up.
func TestCountersDown(t *testing.T) {
	l := newLab(t)
	l.send(l.peer, peerName, l.strange())
	eventually(t, "a frame is dropped", func() bool { return l.statistics(l.sensor, capName).RxDropped == 1 })
	l.up(false)
	c := l.counters()
	if got := lost(t, c, "nic_dropped"); got != 0 {
		t.Errorf("%d frames lost while down", got)
	}
	l.up(true)
	if got := lost(t, c, "nic_dropped"); got != 0 {
		t.Errorf("%d frames lost, and that was before", got)
	}
	time.Sleep(10 * time.Millisecond) // the carrier comes
	l.send(l.peer, peerName, l.strange())
	eventually(t, "a frame is dropped", func() bool { return lost(t, c, "nic_dropped") == 1 })
}

func (l *lab) up(up bool) {
	l.t.Helper()
	l.in(l.sensor, func() error {
		to := "down"
		if up {
			to = "up"
		}
		_, err := Apply([]Change{{Setting: SetLink, To: to, Interface: capName}})
		return err
	})
}

func TestCountersErrors(t *testing.T) {
	if _, err := OpenCounters("no-such-if"); !errors.Is(err, unix.ENODEV) || !strings.Contains(err.Error(), "no-such-if") {
		t.Errorf("an interface that is not there: %v", err)
	}
	if _, err := OpenCounters("a/b"); err == nil {
		t.Error("a name that no interface can have is taken")
	}
}

// TestCountersLoopback: a device without a driver's statistics has those of
// the link.
func TestCountersLoopback(t *testing.T) {
	c, err := OpenCounters("lo")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	counts, err := c.Read()
	if err != nil || len(counts.Losses) != 3 || len(counts.Unknown) != 0 {
		t.Errorf("%+v, %v: want the three places of every link", counts, err)
	}
}

// TestStatReader compares with ethtool.
func TestStatReader(t *testing.T) {
	l := newLab(t)
	needs.Tool(t, "ethtool")
	l.attach(l.sensor, capName, xdpDrop, link.XDPDriverMode)
	l.send(l.peer, peerName, l.strange(), l.strange())
	var got []string
	eventually(t, "XDP drops frames", func() bool {
		got = nil
		l.in(l.sensor, func() error {
			fd, err := ioctlSocket()
			if err != nil {
				return err
			}
			defer func() { _ = unix.Close(fd) }()
			r := statReader{fd: fd, ifname: capName}
			stats, err := r.read()
			for _, s := range stats {
				got = append(got, fmt.Sprintf("%s: %d", s.name, s.value))
			}
			return err
		})
		return strings.Contains(strings.Join(got, "\n"), "xdp_drops: 2")
	})
	var want []string
	for line := range strings.Lines(l.run(l.sensor, "", "ethtool", "-S", capName)) {
		if line = strings.TrimSpace(line); line != "NIC statistics:" {
			want = append(want, line)
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nethtool -S:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
