package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mirrorscope/internal/needs"
	"mirrorscope/nic"
)

// inNamespace runs f in a network namespace of its own that holds a cable with
// the ends cap0 and mirror0, IPv6 on, forwarding on, and cap0 down.
func inNamespace(t *testing.T, f func() error) {
	t.Helper()
	needs.Root(t)
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return err
			}
			veth := netlink.NewVeth(netlink.LinkAttrs{Name: "mirror0", TxQLen: -1})
			veth.PeerName = "cap0"
			if err := netlink.LinkAdd(veth); err != nil {
				return err
			}
			if err := netlink.LinkSetUp(veth); err != nil {
				return err
			}
			return f()
		}()
	}()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// sensor runs the command in this process, on the calling thread.
func sensor(args ...string) (status int, out, errOut string) {
	var stdout, stderr bytes.Buffer
	status = run(args, strings.NewReader(""), &stdout, &stderr)
	return status, stdout.String(), stderr.String()
}

// TestCheckFix: an interface that is down prevents capture; --fix sets what can
// be set, shows it, and then capture works.
func TestCheckFix(t *testing.T) {
	inNamespace(t, func() error {
		args := []string{"check", "--interface", "cap0", "--mirror", "port", "--mode", "afxdp"}
		status, out, errOut := sensor(args...)
		for _, want := range []string{"error    link ", "mend: ip link set cap0 up", "mend: sysctl -w net.ipv6.conf.cap0.disable_ipv6=1"} {
			if !strings.Contains(out, want) {
				t.Errorf("%q is not in\n%s", want, out)
			}
		}
		if status != exitRuntime || errOut != "" || strings.Contains(out, "promisc on") { // the capture does that itself
			t.Errorf("status %d, stderr %q\n%s", status, errOut, out)
		}

		status, out, errOut = sensor(append(args, "--fix")...)
		for _, want := range []string{
			"cap0: 5 to set\n", "link          down → up: nothing arrives while it is down\n", "to undo:      ip link set cap0 down\n",
			"ethtool -K cap0 rxvlan off\n", "cap0: 5 of 5 set\n",
		} {
			if !strings.Contains(errOut, want) {
				t.Errorf("%q is not in\n%s", want, errOut)
			}
		}
		if status != exitDone || strings.Contains(out, "error ") {
			t.Errorf("status %d after --fix:\n%s", status, out)
		}
		status, _, errOut = sensor(append(args, "--fix")...)
		if status != exitDone || errOut != "" {
			t.Errorf("a second --fix: status %d, stderr %q", status, errOut)
		}
		facts, err := nic.Inspect("cap0")
		if err != nil {
			return err
		}
		if !facts.Up || facts.IPv6 || facts.Promiscuous || facts.ARP {
			return fmt.Errorf("facts after --fix: %+v", facts)
		}
		return nil
	})
}

// TestCheckTryXDP tells what the try said.
func TestCheckTryXDP(t *testing.T) {
	inNamespace(t, func() error {
		_, out, errOut := sensor("check", "--interface", "cap0", "--try-xdp", "--format", "json")
		var got struct {
			Interfaces []struct {
				Facts struct {
					XDP struct{ Native, Source string }
				}
			}
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil {
			return fmt.Errorf("%w\n%s%s", err, out, errOut)
		}
		if x := got.Interfaces[0].Facts.XDP; x.Native != "yes" || x.Source != "tried" {
			return fmt.Errorf("%+v", x)
		}
		return nil
	})
}

// TestGuardOfDefaultRoute is refused, and is a warning of check.
func TestGuardOfDefaultRoute(t *testing.T) {
	inNamespace(t, func() error {
		cap0, err := netlink.LinkByName("cap0")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(cap0); err != nil {
			return err
		}
		addr, err := netlink.ParseAddr("10.99.0.2/24")
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(cap0, addr); err != nil {
			return err
		}
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: cap0.Attrs().Index, Gw: net.IPv4(10, 99, 0, 1)}); err != nil {
			return err
		}
		status, out, errOut := sensor("guard", "cap0")
		if status != exitRuntime || out != "" || !strings.Contains(errOut, "cap0: this machine is reached by it: a default route leaves there; take --shared, or --force") {
			t.Errorf("status %d, %q, %q", status, out, errOut)
		}
		if status, out, _ := sensor("guard", "--shared", "cap0"); status != exitDone || !strings.Contains(out, "udp dport 4789") {
			t.Errorf("shared: status %d, %q", status, out)
		}
		if _, out, _ := sensor("check", "--interface", "cap0"); !strings.Contains(out, "10.99.0.2/24, and a default route leaves there") {
			t.Errorf("check:\n%s", out)
		}
		return nil
	})
}

// TestCheckConnection: an interface that a connection goes over gets no guard,
// and check advises none; all the same it can be had.
func TestCheckConnection(t *testing.T) {
	inNamespace(t, func() error {
		listener, err := onCap0("10.99.0.2")
		if err != nil {
			return err
		}
		defer listener.Close()
		what := "a program listens on its address " + listener.Addr().String()
		status, out, errOut := sensor("guard", "cap0")
		if status != exitRuntime || out != "" || !strings.Contains(errOut, what) {
			t.Errorf("guard: status %d, %q, %q", status, out, errOut)
		}
		if status, out, _ := sensor("guard", "--force", "cap0"); status != exitDone || !strings.Contains(out, "counter drop") {
			t.Errorf("--force: status %d, %q", status, out)
		}
		for _, mirror := range []string{"tunnel", "port", "unknown"} {
			_, out, _ := sensor("check", "--interface", "cap0", "--mirror", mirror)
			if !strings.Contains(out, what) || strings.Contains(out, "sensor guard cap0 | nft") || strings.Contains(out, "ip addr del") || strings.Contains(out, "disable_ipv6=1") {
				t.Errorf("mirror %s:\n%s", mirror, out)
			}
		}
		config := filepath.Join(t.TempDir(), "sensor.toml")
		if err := os.WriteFile(config, []byte("[capture]\ninterfaces = [\"cap0\"]\n"), 0o600); err != nil {
			return err
		}
		status, out, _ = sensor("check", "--config", config)
		out = strings.Join(strings.Fields(out), " ")
		if status != exitRuntime || !strings.Contains(out, "cannot be installed: "+what) || !strings.Contains(out, "sensor guard --force cap0") {
			t.Errorf("with a configuration: status %d\n%s", status, out)
		}
		return nil
	})
}

// onCap0 sets cap0 up with an address, and listens there.
func onCap0(address string) (net.Listener, error) {
	cap0, err := netlink.LinkByName("cap0")
	if err != nil {
		return nil, err
	}
	if err := netlink.LinkSetUp(cap0); err != nil {
		return nil, err
	}
	addr, err := netlink.ParseAddr(address + "/24")
	if err != nil {
		return nil, err
	}
	if err := netlink.AddrAdd(cap0, addr); err != nil {
		return nil, err
	}
	return net.Listen("tcp", address+":0")
}

// TestCheckOtherProgram: beside another XDP program AF_XDP does not start, and
// check says so, names it, and what AF_PACKET may miss.
func TestCheckOtherProgram(t *testing.T) {
	inNamespace(t, func() error {
		cap0, err := netlink.LinkByName("cap0")
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(cap0); err != nil {
			return err
		}
		prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Name: "foreign", Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()},
		})
		if err != nil {
			return err
		}
		defer prog.Close()
		at, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: cap0.Attrs().Index})
		if err != nil {
			return err
		}
		defer at.Close()
		for _, tc := range []struct {
			args   []string
			status int
			want   []string
		}{
			{[]string{"--mode", "afxdp"}, exitRuntime, []string{"error xdp_program", "the sensor does not start", fmt.Sprintf("end process %d", os.Getpid())}},
			{[]string{"--mode", "afpacket"}, exitDone, []string{"warning xdp_program", " foreign (", "does not arrive"}},
			{[]string{"--mode", "auto"}, exitDone, []string{"warning xdp_program"}},
			{[]string{"--mode", "afpacket", "--try-xdp"}, exitRuntime, []string{"error try_xdp", "another program has the place"}},
		} {
			status, out, _ := sensor(append([]string{"check", "--interface", "cap0"}, tc.args...)...)
			out = strings.Join(strings.Fields(out), " ")
			for _, want := range tc.want {
				if status != tc.status || !strings.Contains(out, want) {
					t.Errorf("%q: status %d, want %q in\n%s", tc.args, status, want, out)
				}
			}
		}
		return nil
	})
}
