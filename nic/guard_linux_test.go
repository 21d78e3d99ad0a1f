package nic

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mirrorscope/internal/needs"
	"mirrorscope/internal/pcapgen"
)

// guard installs one in the sensor's namespace, until the test ends.
func (l *lab) guard(c GuardConfig) *Guard {
	l.t.Helper()
	needs.Root(l.t)
	var g *Guard
	l.in(l.sensor, func() (err error) {
		g, err = InstallGuard(capName, c)
		return err
	})
	return g
}

func (l *lab) drops() (GuardDrops, bool) {
	l.t.Helper()
	var d GuardDrops
	var there bool
	l.in(l.sensor, func() (err error) {
		d, there, err = ReadGuard(capName)
		return err
	})
	return d, there
}

// TestGuardClose: what was there before is there again, and the guard tells
// what it dropped.
func TestGuardClose(t *testing.T) {
	l := newLab(t)
	l.addressed()
	before := l.inspect()
	g := l.guard(DefaultGuardConfig())
	if during := l.inspect(); during.IPv6 || len(during.Addresses) != 1 {
		t.Errorf("IPv6 %v, addresses %v", during.IPv6, during.Addresses)
	}
	if _, there := l.drops(); !there || !g.Egress() {
		t.Errorf("guard there: %v, egress %v", there, g.Egress())
	}
	l.provoke(-1)
	// A program of this machine wants to send, and is told that it cannot.
	frame := l.strange()
	err := l.sensor.do(func() error { return sendOn(capName, frame) })
	if !errors.Is(err, unix.ENOBUFS) {
		t.Errorf("a program can send: %v", err)
	}
	d, _ := l.drops()
	if d.In < 6*each || d.Out != 1 {
		t.Errorf("dropped %+v, want all of %d in and 1 out", d, 6*each)
	}
	l.in(l.sensor, g.Close)
	if _, there := l.drops(); there {
		t.Error("the guard is still there")
	}
	after := l.inspect()
	local := func(p netip.Prefix) bool { return p.Addr().IsLinkLocalUnicast() }
	a, b := slices.DeleteFunc(after.Addresses, local), slices.DeleteFunc(before.Addresses, local)
	if !after.IPv6 || fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("after: IPv6 %v, addresses %v; before %v", after.IPv6, a, b)
	}
	if counted, _, _ := l.provoke(-1); counted == 0 {
		t.Error("silent without a guard")
	}
	l.in(l.sensor, func() error { return RemoveGuard(capName) }) // there is none
}

// TestGuardKept: a guard that was there before stays.
func TestGuardKept(t *testing.T) {
	l := newLab(t)
	l.run(l.sensor, GuardScript(capName, DefaultGuardConfig(), true), "nft", "-f", "-")
	g := l.guard(DefaultGuardConfig())
	l.in(l.sensor, g.Close)
	if _, there := l.drops(); !there {
		t.Error("Close took a guard away that it did not install")
	}
	l.run(l.sensor, UnguardScript(capName), "nft", "-f", "-")
	if _, there := l.drops(); there {
		t.Error("the script did not take it away")
	}
	l.run(l.sensor, UnguardScript(capName), "nft", "-f", "-") // no error without one
}

// TestGuardShared: mirror traffic gets no answer, everything else does.
func TestGuardShared(t *testing.T) {
	l := newLab(t)
	l.addressed()
	c := DefaultGuardConfig()
	c.Shared = true
	g := l.guard(c)
	if !l.inspect().IPv6 {
		t.Error("a shared interface lost IPv6")
	}
	dst, src := pcapgen.MAC(l.mac(l.sensor, capName)), pcapgen.MAC(l.mac(l.peer, peerName))
	ether := pcapgen.Ethernet{Dst: dst, Src: src}
	v4 := pcapgen.IPv4{Src: pcapgen.IP(peerAddr4), Dst: pcapgen.IP(capAddr4)}
	v6 := pcapgen.IPv6{Src: pcapgen.IP(peerAddr6), Dst: pcapgen.IP(capAddr6)}
	inner := pcapgen.Payload(make([]byte, 60))
	gre := func(protocol uint16) []byte {
		return pcapgen.Build(ether, v4withProtocol(v4, unix.IPPROTO_GRE), pcapgen.Payload(append([]byte{0, 0, byte(protocol >> 8), byte(protocol)}, inner...)))
	}
	for _, tc := range []struct {
		name  string
		frame []byte
		want  int // answers to one frame
	}{
		{"VXLAN", pcapgen.Build(ether, v4, pcapgen.UDP{SrcPort: 1, DstPort: 4789}, inner), 0},
		{"VXLAN over IPv6", pcapgen.Build(ether, v6, pcapgen.UDP{SrcPort: 1, DstPort: 4789}, inner), 0},
		{"GENEVE", pcapgen.Build(ether, v4, pcapgen.UDP{SrcPort: 1, DstPort: 6081}, inner), 0},
		{"VXLAN of Linux", pcapgen.Build(ether, v4, pcapgen.UDP{SrcPort: 1, DstPort: 8472}, inner), 0},
		{"VXLAN-GPE", pcapgen.Build(ether, v4, pcapgen.UDP{SrcPort: 1, DstPort: 4790}, inner), 0},
		{"TZSP", pcapgen.Build(ether, v4, pcapgen.UDP{SrcPort: 1, DstPort: 37008}, inner), 0},
		{"TZSP over IPv6", pcapgen.Build(ether, v6, pcapgen.UDP{SrcPort: 1, DstPort: 37008}, inner), 0},
		{"ERSPAN I and II", gre(0x88be), 0},
		{"ERSPAN III", gre(0x22eb), 0},
		{"other GRE", gre(0x0800), 1},
		{"other UDP", pcapgen.Build(ether, v4, pcapgen.UDP{SrcPort: 1, DstPort: 4791}, inner), 1},
		{"other UDP over IPv6", pcapgen.Build(ether, v6, pcapgen.UDP{SrcPort: 1, DstPort: 4791}, inner), 1},
		{"from a mirror's port", pcapgen.Build(ether, v4, pcapgen.UDP{SrcPort: 4789, DstPort: 9}, inner), 1},
		{"echo", pcapgen.Build(ether, v4, pcapgen.ICMP{Type: pcapgen.EchoRequest}, inner), 1},
		{"echo over IPv6", pcapgen.Build(ether, v6, pcapgen.ICMPv6{Type: pcapgen.EchoRequest6}, inner), 1},
		{"SYN", pcapgen.Build(ether, v4, pcapgen.TCP{SrcPort: 1, DstPort: 2, Flags: pcapgen.SYN}), 1},
	} {
		if got := l.answers(tc.frame); got != tc.want {
			t.Errorf("%s: %d answers, want %d", tc.name, got, tc.want)
		}
	}
	l.in(l.sensor, g.Close)
	if got := l.answers(pcapgen.Build(ether, v4, pcapgen.UDP{SrcPort: 1, DstPort: 4789}, inner)); got != 1 {
		t.Errorf("without the guard: %d answers, want a port unreachable", got)
	}
}

func v4withProtocol(v4 pcapgen.IPv4, protocol uint8) pcapgen.IPv4 {
	v4.Protocol = protocol
	return v4
}

// answers sends a frame ten times and counts the frames that come back, for
// each. MLD and its like at other times do not count.
func (l *lab) answers(frame []byte) int {
	l.t.Helper()
	const times = 10
	back := l.packetSocket(l.peer, peerName)
	l.send(l.peer, peerName, slices.Repeat([][]byte{frame}, times)...)
	// Everything is done when send returns, but for what a busy kernel thread
	// has in hand.
	time.Sleep(20 * time.Millisecond)
	buf := make([]byte, 2048)
	n := 0
	for {
		size, from, err := unix.Recvfrom(back, buf, 0)
		if err != nil {
			break
		}
		multicast := size > 0 && buf[0]&1 != 0
		if from.(*unix.SockaddrLinklayer).Pkttype != unix.PACKET_OUTGOING && !multicast {
			n++
		}
	}
	_ = unix.Close(back)
	if n%times != 0 {
		l.t.Errorf("%d answers to %d frames", n, times)
	}
	return n / times
}

// TestGuardScriptSame: the script makes what InstallGuard makes, as nft tells.
func TestGuardScriptSame(t *testing.T) {
	handles := regexp.MustCompile(`packets \d+ bytes \d+`)
	for _, c := range []GuardConfig{DefaultGuardConfig(), {Shared: true, Ports: []uint16{4789, 37008}}} {
		l := newLab(t)
		list := func() string {
			return handles.ReplaceAllString(l.run(l.sensor, "", "nft", "list", "table", "netdev", tableName(capName)), "…")
		}
		g := l.guard(c)
		installed := list()
		l.in(l.sensor, g.Close)
		l.run(l.sensor, GuardScript(capName, c, true), "nft", "-f", "-")
		if script := list(); script != installed {
			t.Errorf("shared %v: by script\n%s\nby InstallGuard\n%s", c.Shared, script, installed)
		}
		// Again, over itself.
		l.run(l.sensor, GuardScript(capName, c, true), "nft", "-f", "-")
		if script := list(); script != installed {
			t.Errorf("shared %v: a second time\n%s", c.Shared, script)
		}
	}
}

// TestGuardOutlives: a process installs the guard and is killed. Nothing comes
// back all the same.
func TestGuardOutlives(t *testing.T) {
	l := newLab(t)
	l.addressed()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	l.in(l.sensor, func() error {
		cmd := exec.Command(self, "-test.run", "^TestGuardThenKill$")
		cmd.Env = append(os.Environ(), killAfterGuard+"="+capName)
		var err error
		out, err = cmd.CombinedOutput()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.Sys().(interface{ Signaled() bool }).Signaled() {
			return nil
		}
		return fmt.Errorf("the process was not killed: %w\n%s", err, out)
	})
	reader := l.packetSocket(l.sensor, capName)
	l.promiscuous(reader)
	counted, seen, got := l.provoke(reader)
	if counted != 0 || seen != 0 {
		t.Errorf("%d frames sent, %d seen", counted, seen)
	}
	l.wantAll(got)
	l.in(l.sensor, func() error { return RemoveGuard(capName) })
	if _, there := l.drops(); there {
		t.Error("another process cannot take it away")
	}
}

// killAfterGuard names the interface for the process of TestGuardOutlives.
const killAfterGuard = "NIC_TEST_KILL_AFTER_GUARD"

// TestGuardThenKill is the process of TestGuardOutlives.
func TestGuardThenKill(t *testing.T) {
	ifname := os.Getenv(killAfterGuard)
	if ifname == "" {
		return
	}
	if _, err := InstallGuard(ifname, DefaultGuardConfig()); err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(os.Getpid(), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {}
}

// TestGuardRefuses to cut the machine off, and changes nothing then.
func TestGuardRefuses(t *testing.T) {
	l := newLab(t)
	l.addressed()
	l.run(l.sensor, "", "ip", "route", "add", "default", "via", peerAddr4)
	err := l.sensor.do(func() error { _, err := InstallGuard(capName, DefaultGuardConfig()); return err })
	if !errors.Is(err, ErrReachable) || !strings.Contains(err.Error(), capName) {
		t.Errorf("error %v", err)
	}
	if _, there := l.drops(); there || !l.inspect().IPv6 {
		t.Errorf("there: %v; IPv6 %v", there, l.inspect().IPv6)
	}
	c := DefaultGuardConfig()
	c.Shared = true
	l.guard(c)

	for name, want := range map[string]error{"gone0": unix.ENODEV, "a/b": nil} {
		err := l.sensor.do(func() error { _, err := InstallGuard(name, DefaultGuardConfig()); return err })
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	err = l.sensor.do(func() error { _, err := InstallGuard(capName, GuardConfig{Shared: true}); return err })
	if err == nil || !strings.Contains(err.Error(), "ports") {
		t.Errorf("no ports: %v", err)
	}
}

// TestGuardVanish: an interface that goes takes the chains with it, and the
// guard can be installed anew.
func TestGuardVanish(t *testing.T) {
	l := newLab(t)
	g := l.guard(DefaultGuardConfig())
	l.in(l.sensor, func() error {
		dev, err := netlink.LinkByName(capName)
		if err != nil {
			return err
		}
		return netlink.LinkDel(dev)
	})
	l.in(l.sensor, g.Close)
	l.cable(1)
	l.addressed()
	l.guard(DefaultGuardConfig())
	if counted, _, _ := l.provoke(-1); counted != 0 {
		t.Errorf("%d frames sent", counted)
	}
}
