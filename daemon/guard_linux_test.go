package daemon_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"mirrorscope/capture"
	"mirrorscope/internal/livelab"
	"mirrorscope/nic"
)

// fails has the sensor start in vain, and gives what it says.
func fails(t *testing.T, l *livelab.Lab, args ...string) string {
	t.Helper()
	p, err := l.Sensor.Start(livelab.Command{
		Path: livelab.Build(t, "mirrorscope/cmd/sensor"), Args: append([]string{"run", "-i", livelab.CaptureName, "--memory", "64MiB"}, args...), Ready: ready,
	})
	if err == nil {
		_, _ = p.Stop(syscall.SIGKILL, 10*time.Second)
		t.Fatal("it has started")
	}
	return err.Error()
}

// guarded tells whether cap0 has a guard, and whether IPv6 is on.
func guarded(t *testing.T, l *livelab.Lab) (there, ipv6 bool) {
	t.Helper()
	if err := l.Sensor.Do(func() (err error) {
		if _, there, err = nic.ReadGuard(livelab.CaptureName); err != nil {
			return err
		}
		f, err := nic.Inspect(livelab.CaptureName)
		ipv6 = err == nil && f.IPv6
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return there, ipv6
}

// session opens a TCP connection to the address of cap0.
func session(t *testing.T, l *livelab.Lab) (server, client net.Conn) {
	t.Helper()
	if err := l.Switch.Do(func() error {
		rs, err := netlink.LinkByName("rs")
		if err != nil {
			return err
		}
		addr, err := netlink.ParseAddr(livelab.MirrorAddr.String() + "/24")
		if err != nil {
			return err
		}
		return netlink.AddrAdd(rs, addr)
	}); err != nil {
		t.Fatal(err)
	}
	var listener net.Listener
	if err := l.Sensor.Do(func() (err error) {
		listener, err = net.Listen("tcp", "0.0.0.0:0")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).Port
	if err := l.Switch.Do(func() (err error) {
		client, err = net.DialTimeout("tcp", fmt.Sprintf("%s:%d", livelab.CaptureAddr, port), 5*time.Second)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server, client
}

// Who works on the machine over the interface is not cut off: the sensor does not
// start, names the connection, and what can be done.
func TestGuardSparesConnection(t *testing.T) {
	l := livelab.New(t, livelab.Config{Address: true})
	server, client := session(t, l)
	said := fails(t, l)
	for _, want := range []string{
		"this machine is reached by it: the TCP connection of " + server.LocalAddr().String() + " with " + client.LocalAddr().String() + " goes over it",
		"filter.shared = true", "capture.guard = false", "sensor guard --force cap0",
	} {
		if !strings.Contains(said, want) {
			t.Errorf("no word of %q in %s", want, said)
		}
	}
	deadline := time.Now().Add(5 * time.Second)
	if err := errors.Join(client.SetDeadline(deadline), server.SetDeadline(deadline)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if _, err := server.Read(make([]byte, 1)); err != nil {
		t.Errorf("the connection is dead: %v", err)
	}
	// What is said to help does.
	start(t, l, "--config", file(t, "sensor.toml", "[filter]\nshared = true\n")).end(t)
}

// A start that fails leaves no guard behind, but one that was there before.
func TestGuardOfFailedStart(t *testing.T) {
	l := livelab.New(t, livelab.Config{})
	if err := l.Sensor.Do(func() error {
		return os.WriteFile("/proc/sys/net/ipv6/conf/"+livelab.CaptureName+"/disable_ipv6", []byte("0"), 0)
	}); err != nil {
		t.Fatal(err)
	}
	var taken net.Listener
	if err := l.Sensor.Do(func() (err error) {
		taken, err = net.Listen("tcp", "0.0.0.0:9478")
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := openFolder(t)
	locked := filepath.Join(dir, "locked")
	if err := os.Mkdir(locked, 0o700); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(filepath.Join(locked, "connections.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	others := filepath.Join(dir, "others")
	if err := os.Mkdir(others, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(others, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	const quiet = "[health]\nlisten = \"\"\n"
	cases := []struct{ name, config, says string }{
		{"port in use", "", "address already in use"},
		{"no such user", quiet + "[privilege]\nuser = \"nobody-of-that-name\"\n", "nobody-of-that-name"},
		{"no token", "[health]\nlisten = \"127.0.0.1:9479\"\ntoken_file = \"/nonexistent\"\n", "token_file"},
		{"a folder of root", quiet + "[privilege]\nuser = \"nobody\"\n[output.file]\ndirectory = \"" + dir + "\"\n", "permission denied"},
		{"a folder of another", quiet + "[output.file]\ndirectory = \"" + others + "\"\n", "permission denied"},
		{"a folder for headers", quiet + "[privilege]\nuser = \"nobody\"\n[record]\ndirectory = \"" + dir + "\"\n", "permission denied"},
		{"a file in use", quiet + "[output.file]\ndirectory = \"" + locked + "\"\n", "another process writes to it"},
		{"too many queues", quiet + "[capture]\nmode = \"afxdp\"\n[capture.afxdp]\nqueues = 9\n", "queues = 9"},
		{"no zero copy", quiet + "[capture]\nmode = \"afxdp\"\n[capture.afxdp]\nzero_copy = \"on\"\n", "zero copy"},
	}
	try := func(want bool) {
		for _, tc := range cases {
			said := fails(t, l, "--config", file(t, "sensor.toml", tc.config))
			if !strings.Contains(said, tc.says) || strings.Contains(said, "level=WARN") {
				t.Errorf("%s: %s", tc.name, said)
			}
			there, ipv6 := guarded(t, l)
			if there != want || ipv6 != !want {
				t.Errorf("%s: guard there %v, want %v; IPv6 %v", tc.name, there, want, ipv6)
			}
		}
	}
	try(false)
	if err := l.Sensor.Do(func() error { _, err := nic.InstallGuard(livelab.CaptureName, nic.DefaultGuardConfig()); return err }); err != nil {
		t.Fatal(err)
	}
	cases = cases[:1]
	try(true)
}

// On a shared interface the ports that the filter takes are kept from the kernel,
// too: it would say that nobody listens there.
func TestGuardFilterPorts(t *testing.T) {
	l := livelab.New(t, livelab.Config{Address: true})
	s := start(t, l, "--config", file(t, "sensor.toml", "[filter]\nshared = true\nudp_ports = [5555]\n"))
	var frames []capture.Frame
	for _, f := range probes(l) {
		if bytes.Contains(f.Data, []byte("no tunnel")) {
			udp := 14 + 20
			f.Data[udp+2], f.Data[udp+3] = 5555>>8, 5555&0xff
			f.Data[udp+6], f.Data[udp+7] = 0, 0 // no checksum
			frames = append(frames, f)
		}
	}
	if sent, err := l.Replay(frames, livelab.Pace{Gap: time.Millisecond}); err != nil || sent.Frames < 20 {
		t.Fatalf("%+v, %v", sent, err)
	}
	if c, err := l.Counters(); err != nil || c.Answered != 0 {
		t.Errorf("%d frames were answered, %v", c.Answered, err)
	}
	s.end(t)
}

// An interface that is renamed has no guard any more, so that the run ends, and
// asks for another.
func TestRenamed(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			l := livelab.New(t, livelab.Config{Queues: 4})
			mirrored(t, l, "span")
			s := start(t, l, "--mode", mode)
			if _, err := l.Run(livelab.Exchange{}); err != nil {
				t.Fatal(err)
			}
			if err := l.Sensor.Do(func() error {
				cap0, err := netlink.LinkByName(livelab.CaptureName)
				if err != nil {
					return err
				}
				return netlink.LinkSetName(cap0, "cap7")
			}); err != nil {
				t.Fatal(err)
			}
			exit, err := s.Wait(10 * time.Second)
			if err != nil || exit.Code != 75 || bytes.Count(s.Stderr(), []byte("is called cap7 now")) != 1 {
				t.Errorf("exit %+v, %v; want status 75, and why, once\n%s", exit, err, s.Stderr())
			}
			c := captureOf(t, s.Stdout())
			if c.Packets < 10 || c.Events["interface_renamed"] != 1 || !bytes.Contains(s.Stdout(), []byte(`"type":"connection"`)) {
				t.Errorf("%+v", c)
			}
		})
	}
}

// An interface with several queues that goes down is told once.
func TestDownOnce(t *testing.T) {
	l := livelab.New(t, livelab.Config{Queues: 4})
	s := start(t, l, "--mode", "afxdp")
	setLink(t, l, false)
	exit, err := s.Wait(10 * time.Second)
	if err != nil || exit.Code != 75 || bytes.Count(s.Stderr(), []byte("interface cap0 is down")) != 1 {
		t.Errorf("exit %+v, %v\n%s", exit, err, s.Stderr())
	}
}

// A name that no interface has is called just that.
func TestNoInterface(t *testing.T) {
	l := livelab.New(t, livelab.Config{})
	said := fails(t, l, "-i", "cap9")
	if !strings.Contains(said, "capture on cap9: no such network interface; 'ip link' lists the interfaces") || strings.Contains(said, "ip+net") {
		t.Error(said)
	}
}

// Where another XDP program is, AF_XDP says whose, and AF_PACKET warns.
func TestOtherProgram(t *testing.T) {
	l := livelab.New(t, livelab.Config{})
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "foreign", Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer prog.Close()
	if err := l.Sensor.Do(func() error {
		cap0, err := netlink.LinkByName(livelab.CaptureName)
		if err != nil {
			return err
		}
		at, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: cap0.Attrs().Index, Flags: link.XDPDriverMode})
		if err == nil {
			t.Cleanup(func() { at.Close() })
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	whose := fmt.Sprintf("foreign (native), held by process %d", os.Getpid())
	driver := file(t, "sensor.toml", "[capture]\nfilter = \"driver\"\n[[filter.rules]]\naction = \"deny\"\nport = [\"1\"]\n")
	for _, args := range [][]string{{"--mode", "afxdp"}, {"--config", driver}} {
		if said := fails(t, l, args...); !strings.Contains(said, whose) {
			t.Errorf("%q: no word of %s: %s", args, whose, said)
		}
	}
	for _, mode := range []string{"afpacket", "auto"} {
		s := start(t, l, "--mode", mode)
		s.end(t)
		if log := string(s.Stderr()); !strings.Contains(log, "level=WARN msg=\"another program is in front of the capture") || !strings.Contains(log, whose) {
			t.Errorf("mode %s: %s", mode, log)
		}
	}
}
