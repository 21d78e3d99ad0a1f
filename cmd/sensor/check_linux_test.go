package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"

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
		if _, out, _ := sensor("check", "--interface", "cap0"); !strings.Contains(out, "10.99.0.2/24, and a default route leaves here") {
			t.Errorf("check:\n%s", out)
		}
		return nil
	})
}
