package daemon_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mirrorscope/capture"
	"mirrorscope/internal/livelab"
	"mirrorscope/internal/pcapgen"
)

var modes = []string{"afpacket", "afxdp"}

// Whatever comes in, nothing goes out: not where the interface has an address,
// and not while a filter is changed.
func TestSilent(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			l := livelab.New(t, livelab.Config{Address: true})
			probes := probes(l)
			if !strings.Contains(mode, "unguarded") {
				s := start(t, l, "--mode", mode)
				sent, err := l.Replay(probes, livelab.Pace{Gap: time.Millisecond})
				if err != nil {
					t.Fatal(err)
				}
				out := s.end(t)
				if c := captureOf(t, out); c.Packets != sent.Frames {
					t.Errorf("%d of %d frames were captured: %+v", c.Packets, sent.Frames, c)
				}
			}
			c, err := l.Counters()
			if err != nil || c.Answered != 0 {
				t.Errorf("%d frames left the interface, %v", c.Answered, err)
			}
		})
	}
	t.Run("without the guard it answers", func(t *testing.T) {
		t.Parallel()
		l := livelab.New(t, livelab.Config{Address: true})
		s := start(t, l, "--config", file(t, "sensor.toml", "[capture]\nguard = false\n"))
		if _, err := l.Replay(probes(l), livelab.Pace{Gap: time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		s.end(t)
		if c, err := l.Counters(); err != nil || c.Answered < 20 {
			t.Errorf("%d frames left the interface, %v: these probes prove nothing", c.Answered, err)
		}
	})
}

// probes are frames to the address of cap0 that a host answers.
func probes(l *livelab.Lab) []capture.Frame {
	var mac [6]byte
	_ = l.Sensor.Do(func() error {
		link, err := netlink.LinkByName(livelab.CaptureName)
		if err == nil {
			copy(mac[:], link.Attrs().HardwareAddr)
		}
		return err
	})
	from, to := livelab.MirrorAddr, livelab.CaptureAddr
	ether := pcapgen.Ethernet{Dst: mac, Src: [6]byte{2, 0, 0, 0, 0, 9}}
	ip := pcapgen.IPv4{Src: from, Dst: to}
	var frames []capture.Frame
	for i := range uint16(20) {
		for _, b := range [][]byte{
			pcapgen.Build(pcapgen.Ethernet{Dst: [6]byte{255, 255, 255, 255, 255, 255}, Src: ether.Src}, pcapgen.ARP{Sender: from, Target: to}),
			pcapgen.Build(ether, ip, pcapgen.ICMP{Type: 8, ID: 7, Seq: i}, pcapgen.Payload("ping")),
			pcapgen.Build(ether, ip, pcapgen.TCP{SrcPort: 40000 + i, DstPort: 22, Seq: 1, Flags: 2, Window: 1000}),
			pcapgen.Build(ether, ip, pcapgen.UDP{SrcPort: 50000 + i, DstPort: 4789}, pcapgen.Payload("no tunnel")),
			pcapgen.Build(ether, ip, pcapgen.UDP{SrcPort: 50000 + i, DstPort: 9}, pcapgen.Payload("discard")),
		} {
			frames = append(frames, capture.Frame{Data: b, WireLen: len(b), Link: capture.LinkEthernet})
		}
	}
	return frames
}

// A filter changes while the sensor runs, and every frame is accounted for.
func TestReload(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			l := livelab.New(t, livelab.Config{})
			policy := func(port int) string {
				return fmt.Sprintf("[capture]\nfilter = \"socket\"\n[[filter.rules]]\naction = \"deny\"\nport = [\"%d\"]\n", port)
			}
			config := file(t, "sensor.toml", policy(9999))
			s := start(t, l, "--mode", mode, "--config", config)
			// Frames for AF_PACKET are made behind the driver: the filter is in
			// the sockets.
			change := func(text string) {
				if err := os.WriteFile(config+".new", []byte(text+noTop), 0o644); err != nil {
					t.Error(err)
				}
				if err := os.Rename(config+".new", config); err != nil {
					t.Error(err)
				}
				if err := s.Signal(syscall.SIGHUP); err != nil {
					t.Error(err)
				}
				time.Sleep(50 * time.Millisecond)
			}
			stop, stopped := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(stopped)
				for {
					for _, port := range []int{8080, 9999} {
						select {
						case <-stop:
							return
						default:
							change(policy(port))
						}
					}
				}
			}()
			sent, err := l.Flood(context.Background(), livelab.Flood{Frames: 30_000, Rate: 20_000, Stack: mode == "afpacket"})
			close(stop)
			<-stopped
			if err != nil {
				t.Fatal(err)
			}
			change("[filter]\nsample = \"many\"\n")
			out := s.end(t)
			c := captureOf(t, out)
			if c.sum() != sent.Frames {
				t.Errorf("%d frames were sent, %d are accounted for: %+v", sent.Frames, c.sum(), c)
			}
			if denied := c.Prefiltered["denied_by_rule"]; denied < 1000 || denied > 29_000 {
				t.Errorf("%d of %d frames were denied, half of the time", denied, sent.Frames)
			}
			log := string(s.Stderr())
			if n := strings.Count(log, "the configuration was read again"); n < 4 {
				t.Errorf("read again %d times:\n%s", n, log)
			}
			if !strings.Contains(log, "the configuration was not changed") {
				t.Errorf("nothing is said of a bad configuration:\n%s", log)
			}
		})
	}
}

// An interface that goes down and comes up, or is replaced by another of its
// name, is captured from again by AF_PACKET.
func TestInterfaceReturns(t *testing.T) {
	l := livelab.New(t, livelab.Config{})
	mirrored(t, l, "span")
	s := start(t, l)
	exchange := func(port uint16) {
		t.Helper()
		if _, err := l.Run(livelab.Exchange{Port: port}); err != nil {
			t.Fatal(err)
		}
	}
	exchange(8080)
	setLink(t, l, false)
	time.Sleep(300 * time.Millisecond)
	setLink(t, l, true)
	time.Sleep(300 * time.Millisecond)
	exchange(8081)
	out := s.end(t)
	for _, port := range []int{8080, 8081} {
		if !bytes.Contains(out, fmt.Appendf(nil, `"port":%d}`, port)) {
			t.Errorf("no connection to port %d", port)
		}
	}
	if c := captureOf(t, out); c.Events["link_down"] != 1 || c.Events["link_up"] != 1 {
		t.Errorf("events %v", c.Events)
	}
}

func setLink(t *testing.T, l *livelab.Lab, up bool) {
	t.Helper()
	if err := l.Sensor.Do(func() error {
		link, err := netlink.LinkByName(livelab.CaptureName)
		if err != nil {
			return err
		}
		if up {
			return netlink.LinkSetUp(link)
		}
		return netlink.LinkSetDown(link)
	}); err != nil {
		t.Fatal(err)
	}
}

// AF_XDP cannot go on without its interface: what it has is measured, and the
// service manager is asked for a new start.
func TestInterfaceGone(t *testing.T) {
	l := livelab.New(t, livelab.Config{})
	mirrored(t, l, "span")
	s := start(t, l, "--mode", "afxdp")
	if _, err := l.Run(livelab.Exchange{}); err != nil {
		t.Fatal(err)
	}
	if err := l.Sensor.Do(func() error {
		link, err := netlink.LinkByName(livelab.CaptureName)
		if err != nil {
			return err
		}
		return netlink.LinkDel(link)
	}); err != nil {
		t.Fatal(err)
	}
	exit, err := s.Wait(10 * time.Second)
	if err != nil || exit.Code != 75 {
		t.Errorf("exit %+v, %v; want status 75\n%s", exit, err, s.Stderr())
	}
	c := captureOf(t, s.Stdout())
	if c.Packets < 10 || c.Events["interface_gone"] != 1 || !bytes.Contains(s.Stdout(), []byte(`"type":"connection"`)) {
		t.Errorf("%+v", c)
	}
}

// After kill -9 nothing stays that could harm: no XDP program, a guard that
// keeps the interface silent, whole lines in the files; and the next run goes
// on.
func TestKilled(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			l := livelab.New(t, livelab.Config{Address: true})
			dir := t.TempDir()
			config := file(t, "sensor.toml", fmt.Sprintf("[capture]\nfilter = \"driver\"\n[filter]\ntrim_head = 1000\n[measure]\ninterval = \"1s\"\n[output.file]\ndirectory = %q\n", dir))
			s := start(t, l, "--mode", mode, "--config", config)
			if _, err := l.Flood(context.Background(), livelab.Flood{Frames: 20_000, Rate: 10_000, Stack: mode == "afpacket"}); err != nil {
				t.Fatal(err)
			}
			if xdp(t, l) == 0 {
				t.Fatal("no XDP program while it runs: the test proves nothing")
			}
			if exit, err := s.Stop(syscall.SIGKILL, 10*time.Second); err != nil || exit.Signal != syscall.SIGKILL {
				t.Fatalf("%+v, %v", exit, err)
			}
			if id := xdp(t, l); id != 0 {
				t.Errorf("XDP program %d is still there", id)
			}
			if _, err := l.Replay(probes(l), livelab.Pace{Gap: time.Millisecond}); err != nil {
				t.Fatal(err)
			}
			if c, err := l.Counters(); err != nil || c.Answered != 0 {
				t.Errorf("%d frames left the interface after the kill, %v", c.Answered, err)
			}

			s = start(t, l, "--mode", mode, "--config", config)
			s.end(t)
			text, err := os.ReadFile(filepath.Join(dir, "connections.jsonl"))
			if err != nil || len(text) == 0 {
				t.Fatalf("%d octets, %v", len(text), err)
			}
			for line := range bytes.Lines(text) {
				if !json.Valid(line) {
					t.Errorf("not a whole line: %.100q", line)
				}
			}
		})
	}
}

// xdp gives the number of the XDP program on cap0, 0 without one.
func xdp(t *testing.T, l *livelab.Lab) (id uint32) {
	t.Helper()
	if err := l.Sensor.Do(func() error {
		link, err := netlink.LinkByName(livelab.CaptureName)
		if err == nil && link.Attrs().Xdp != nil {
			id = link.Attrs().Xdp.ProgId
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return id
}

// A full disk costs lines, which are counted, and never a packet; when there is
// room again lines are written again.
func TestFullDisk(t *testing.T) {
	l := livelab.New(t, livelab.Config{})
	dir := t.TempDir()
	if err := l.Sensor.Do(func() error { return unix.Mount("tmpfs", dir, "tmpfs", 0, "size=256k") }); err != nil {
		t.Fatal(err)
	}
	config := file(t, "sensor.toml", fmt.Sprintf("[measure]\ninterval = \"1s\"\n[output.file]\ndirectory = %q\nqueue = \"256KiB\"\n", dir))
	s := start(t, l, "--config", config)
	sent, err := l.Flood(context.Background(), livelab.Flood{Frames: 60_000, Rate: 20_000, Packets: 8, Stack: true})
	if err != nil {
		t.Fatal(err)
	}
	says := func(text string) {
		t.Helper()
		for range 100 {
			if bytes.Contains(s.Stderr(), []byte(text)) {
				return
			}
			time.Sleep(100 * time.Millisecond)
		}
		t.Fatalf("the log does not say %q:\n%s", text, s.Stderr())
	}
	says("no space left on device")
	if err := l.Sensor.Do(func() error { return unix.Mount("tmpfs", dir, "tmpfs", unix.MS_REMOUNT, "size=256m") }); err != nil {
		t.Fatal(err)
	}
	says("output works again")
	out := s.end(t)
	c := captureOf(t, out)
	if c.Packets != sent.Frames || c.Events["lines_dropped"] == 0 {
		t.Errorf("%d of %d frames were captured: %+v", c.Packets, sent.Frames, c)
	}
	var text []byte
	if err := l.Sensor.Do(func() (err error) {
		text, err = os.ReadFile(filepath.Join(dir, "connections.jsonl"))
		return err
	}); err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(text) {
		if !json.Valid(line) {
			t.Errorf("not a whole line: %.100q", line)
		}
	}
	if last := captureOf(t, text); last.Packets != sent.Frames {
		t.Errorf("the last line in the file is of %d packets", last.Packets)
	}
}

// On an interface that carries the machine's own traffic as well, this is
// neither measured nor in the way.
func TestShared(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			l := livelab.New(t, livelab.Config{Address: true})
			mirrored(t, l, "vxlan")
			s := start(t, l, "--mode", mode, "--config", file(t, "sensor.toml", "[filter]\nshared = true\n"))
			if _, err := l.Replay(probes(l), livelab.Pace{Gap: time.Millisecond}); err != nil {
				t.Fatal(err)
			}
			c, err := l.Counters()
			if err != nil || c.Answered < 40 {
				t.Errorf("%d frames left the interface, %v: it does not answer what is its own", c.Answered, err)
			}
			if _, err := l.Run(livelab.Exchange{Connections: 3}); err != nil {
				t.Fatal(err)
			}
			out := s.end(t)
			connections := 0
			own := netip.MustParseAddr(livelab.CaptureAddr.String())
			for line := range bytes.Lines(out) {
				var r connectionLine
				if json.Unmarshal(line, &r) != nil || r.Type != "connection" {
					continue
				}
				if r.Server.Port == 4789 {
					continue // what comes to the mirror's port is the mirror's, whatever it is
				}
				if r.Client.IP == own || r.Server.IP == own {
					t.Errorf("own traffic is measured: %s", line)
				}
				connections++
			}
			if connections != 3 {
				t.Errorf("%d connections, want the 3 that are mirrored", connections)
			}
		})
	}
}
