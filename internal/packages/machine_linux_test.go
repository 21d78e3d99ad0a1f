package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mirrorscope/internal/needs"
)

// rootVariable names a folder with a Debian system in it, to be used by the
// tests in place of this machine's own: scripts/test-packages makes one.
const rootVariable = "SENSOR_TEST_ROOT"

// machine is a Debian system that has booted: its systemd is the first process
// of namespaces of its own, the network among them, above a copy of the files
// that ends with it.
type machine struct {
	t     *testing.T
	pid   int    // of its first process
	share string // the folder that it has as /share
	links int    // made
}

// boot starts a machine. It ends with the test.
func boot(t *testing.T, share string) *machine {
	t.Helper()
	root := os.Getenv(rootVariable)
	if root == "" {
		root = "/"
	}
	return bootFrom(t, root, share)
}

// bootFrom starts a machine with the system that is in the folder root.
func bootFrom(t *testing.T, root, share string) *machine {
	t.Helper()
	needs.Root(t)
	for _, tool := range []string{"unshare", "nsenter", "ip", "dpkg", "systemctl", "/lib/systemd/systemd", "/lib/systemd/systemd-udevd"} {
		needs.Tool(t, tool)
	}
	group := newCgroup(t)
	var out bytes.Buffer
	cmd := exec.Command("testdata/machine", group, root, share)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread() // Pdeathsig is about the thread, which has to stay
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it is killed
		}
	}()
	if err := <-started; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
	})

	m := &machine{t: t, share: share}
	m.until("the machine has booted", 30*time.Second, func() error {
		select {
		case <-ended:
			t.Fatalf("the machine has ended:\n%s", out.Bytes())
		default:
		}
		if m.pid = firstChild(cmd.Process.Pid); m.pid == 0 {
			return errors.New("no first process")
		}
		switch state, err := m.try("systemctl", "is-system-running"); strings.TrimSpace(state) {
		case "running":
			return nil
		case "degraded":
			t.Fatalf("the machine has booted with failures:\n%s", m.run("systemctl", "--failed", "--no-legend"))
			return nil
		default:
			return fmt.Errorf("%q, %w\n%s", state, err, out.Bytes())
		}
	})
	return m
}

// newCgroup makes a control group below that of the test.
func newCgroup(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	var base string
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == "cgroup2" {
			base = f[1]
		}
	}
	_, own, ok := strings.Cut("\n"+string(groups), "\n0::")
	if base == "" || !ok {
		t.Fatal("there are no control groups of version 2")
	}
	own, _, _ = strings.Cut(own, "\n")
	dir, err := os.MkdirTemp(filepath.Join(base, own), "mirrorscope-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// The processes were killed, and are gone before long.
		for range 100 {
			if err = removeCgroups(dir); err == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("left behind: %v", err)
	})
	return dir
}

func removeCgroups(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if e.IsDir() {
			if err := removeCgroups(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	if err != nil {
		return err
	}
	return os.Remove(dir)
}

// firstChild gives the first child of a process that runs as systemd, or 0.
func firstChild(pid int) int {
	list, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0
	}
	word, _, _ := strings.Cut(strings.TrimSpace(string(list)), " ")
	child, err := strconv.Atoi(word)
	if err != nil {
		return 0
	}
	if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", child)); err != nil || string(name) != "systemd\n" {
		return 0
	}
	return child
}

// command is a command to be run inside.
func (m *machine) command(args ...string) *exec.Cmd {
	cmd := exec.Command("nsenter", append([]string{"--all", "--target", strconv.Itoa(m.pid), "--"}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "SYSTEMD_COLORS=0", "SYSTEMD_PAGER="}
	return cmd
}

// try runs a command inside, and gives what it wrote to either output.
func (m *machine) try(args ...string) (string, error) {
	out, err := m.command(args...).CombinedOutput()
	return string(out), err
}

// run is try for what must not fail.
func (m *machine) run(args ...string) string {
	m.t.Helper()
	out, err := m.try(args...)
	if err != nil {
		m.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// sh runs a line of shell that must not fail.
func (m *machine) sh(line string) string {
	m.t.Helper()
	return m.run("sh", "-euc", line)
}

// property asks systemd about a unit.
func (m *machine) property(unit, name string) string {
	m.t.Helper()
	return strings.TrimSpace(m.run("systemctl", "show", "--value", "--property", name, unit))
}

// journal is what a unit has logged.
func (m *machine) journal(unit string) string {
	m.t.Helper()
	m.run("journalctl", "--sync")
	return m.run("journalctl", "--no-pager", "--output", "cat", "--unit", unit)
}

// until waits for something to be as it should.
func (m *machine) until(what string, limit time.Duration, check func() error) {
	m.t.Helper()
	var err error
	for deadline := time.Now().Add(limit); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if err = check(); err == nil {
			return
		}
	}
	m.t.Fatalf("waited for this in vain: %s: %v", what, err)
}

// link makes an interface for captures, with its other end. It is given an address,
// or udev would change it some time later.
func (m *machine) link(name, peer string) {
	m.t.Helper()
	m.links++
	m.run("ip", "link", "add", name, "address", fmt.Sprintf("06:00:00:00:01:%02x", m.links), "mtu", "9000", "type", "veth", "peer", "name", peer, "mtu", "9000")
	m.sh("echo 1 >/proc/sys/net/ipv6/conf/" + peer + "/disable_ipv6") // or it sends frames that no test asked for
	m.run("ip", "link", "set", peer, "up")
	m.run("ip", "link", "set", name, "up")
}

// send sends frames through an interface of the machine.
func (m *machine) send(name string, frames [][]byte) {
	m.t.Helper()
	if err := m.inside("", func() error { return sendFrames(name, frames) }); err != nil {
		m.t.Fatalf("send through %s: %v", name, err)
	}
}

// inside calls f in a network namespace of the machine: its first one, or one
// that it has made by name. What f opens stays there.
func (m *machine) inside(namespace string, f func() error) error {
	path := fmt.Sprintf("/proc/%d/ns/net", m.pid)
	if namespace != "" {
		path = fmt.Sprintf("/proc/%d/root/run/netns/%s", m.pid, namespace)
	}
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends, and its namespace with it
		done <- func() error {
			ns, err := os.Open(path)
			if err != nil {
				return err
			}
			defer ns.Close()
			if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("setns: %w", err)
			}
			return f()
		}()
	}()
	return <-done
}

func sendFrames(name string, frames [][]byte) error {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	index, err := interfaceIndex(fd, name)
	if err != nil {
		return err
	}
	for i, f := range frames {
		if err := unix.Sendto(fd, f, 0, &unix.SockaddrLinklayer{Ifindex: index}); err != nil {
			return fmt.Errorf("frame %d of %d octets: %w", i, len(f), err)
		}
	}
	return nil
}

func interfaceIndex(fd int, name string) (int, error) {
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	if err := unix.IoctlIfreq(fd, unix.SIOCGIFINDEX, ifr); err != nil {
		return 0, err
	}
	return int(ifr.Uint32()), nil
}
