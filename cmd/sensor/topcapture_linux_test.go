package main

import (
	"bytes"
	"encoding/json"
	"net"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mirrorscope/edge/live"
	"mirrorscope/internal/livelab"
	"mirrorscope/internal/needs"
)

// `sensor top --interface` captures by itself, leaves the interface as it is,
// and shows what goes on there. It runs as a process of its own, in a namespace
// that has nothing but a loopback interface.
func TestTopCapturesByItself(t *testing.T) {
	needs.Root(t)
	binary := livelab.Build(t, "mirrorscope/cmd/sensor")
	runtime.LockOSThread() // never unlocked: the thread ends with its namespace
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	lo, err := netlink.LinkByName("lo")
	if err == nil {
		err = netlink.LinkSetUp(lo)
	}
	if err != nil {
		t.Fatal(err)
	}
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()

	cmd := exec.Command(binary, "top", "--interface", "lo", "--format", "json")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	lines := json.NewDecoder(out)
	for range 10 {
		c, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = c.Close()
		var top live.Top
		if err := lines.Decode(&top); err != nil {
			t.Fatalf("%v: %s", err, stderr.String())
		}
		for _, r := range top.Rows {
			if r.Server.Port != nil && strings.HasSuffix(server.Addr().String(), ":"+strconv.Itoa(int(*r.Server.Port))) && r.Connections > 0 {
				return
			}
		}
	}
	t.Error("the connections to the listener did not come up")
}
