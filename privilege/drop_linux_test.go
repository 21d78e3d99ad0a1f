package privilege

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"

	"mirrorscope/internal/needs"
)

// nobody has an entry everywhere.
const nobody = 65534

// orders tell the child what to do. It runs in a network of its own.
type orders struct {
	Config Config
	Dir    string // made by the test; holds etc/sensor.toml, outside/
	Shy    bool   // a kernel that asks for CAP_BPF at each look-up
	Poor   bool   // a process without CAP_BPF
	Loud   bool   // its packet socket is to send
}

func (o *orders) path(name string) string { return filepath.Join(o.Dir, name) }

// account is what the child found: the report, and what came of each attempt.
type account struct {
	Report Report
	Error  string
	Did    map[string]string // error text, "" where it worked
}

const ordersVariable = "PRIVILEGE_TEST_ORDERS"

// TestMain is also the process that drops its privileges.
func TestMain(m *testing.M) {
	if text := os.Getenv(ordersVariable); text != "" {
		child(text)
		return
	}
	os.Exit(m.Run())
}

// must ends the child.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// child drops its privileges, tells "dropped", waits until the test has looked
// at it from outside, and gives its account.
func child(text string) {
	var o orders
	must(json.Unmarshal([]byte(text), &o))
	lo, err := netlink.LinkByName("lo")
	must(err)
	must(netlink.LinkSetUp(lo))
	socket, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	must(err)
	table, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 4})
	must(err)
	var ports []uint16
	for range 2 {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		must(err)
		ports = append(ports, uint16(l.Addr().(*net.TCPAddr).Port))
	}
	stop := make(chan struct{})
	defer close(stop)
	var threads sync.WaitGroup
	for range 6 { // threads that must not be forgotten
		threads.Add(1)
		go func() { runtime.LockOSThread(); threads.Done(); <-stop }()
	}
	threads.Wait()

	a := account{Did: map[string]string{}}
	try := func(name string, err error) {
		if err != nil {
			a.Did[name] = err.Error()
		} else {
			a.Did[name] = ""
		}
	}
	look := func() error {
		var v uint64
		return table.Lookup(uint32(0), &v)
	}
	if o.Poor {
		set := cap.GetProc()
		must(errors.Join(set.SetFlag(cap.Effective, false, cap.BPF), set.SetFlag(cap.Permitted, false, cap.BPF), set.SetProc()))
	}
	probe := look
	if o.Shy {
		probe = func() error { return fmt.Errorf("look up: %w", syscall.EPERM) }
	}
	a.Report, err = Drop(o.Config, Needs{
		ReadWrite:  []string{o.path("out")},
		ReadOnly:   []string{o.path("etc/sensor.toml"), o.path("missing"), "/proc/self"},
		ConnectTCP: ports[:1],
		BPF:        probe,
		Silent:     !o.Loud,
	})
	if err != nil {
		a.Error = err.Error()
		must(json.NewEncoder(os.Stdout).Encode(a))
		return
	}
	fmt.Println("dropped")
	io.ReadAll(os.Stdin)

	_, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	try("open a packet socket", err)
	_, err = ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 4})
	try("make a map", err)
	try("write inside", os.WriteFile(o.path("out/a"), []byte("a"), 0o600))
	try("rename inside", os.Rename(o.path("out/a"), o.path("out/b")))
	try("make a directory inside", os.Mkdir(o.path("out/d"), 0o700))
	_, err = os.ReadDir(o.path("out"))
	try("list inside", err)
	try("truncate inside", os.Truncate(o.path("out/b"), 0))
	try("remove inside", errors.Join(os.Remove(o.path("out/b")), os.Remove(o.path("out/d"))))
	config, err := os.ReadFile(o.path("etc/sensor.toml"))
	if err == nil && string(config) != "new" {
		err = fmt.Errorf("read %q", config)
	}
	try("read the new configuration", err)
	try("write the configuration", os.WriteFile(o.path("etc/sensor.toml"), nil, 0o600))
	try("write outside", os.WriteFile(o.path("outside/a"), nil, 0o600))
	try("truncate outside", os.Truncate(o.path("outside/there"), 0))
	_, err = os.ReadFile("/etc/passwd")
	try("read outside", err)
	_, err = os.ReadFile("/proc/self/stat")
	try("read of itself", err)
	_, err = os.ReadFile("/proc/meminfo")
	try("read of the system", err)
	try("execute", exec.Command("/bin/true").Run())
	try("become root", syscall.Setresuid(0, 0, 0))
	for i, name := range []string{"connect to an allowed port", "connect to another port"} {
		c, err := net.Dial("tcp4", fmt.Sprintf("127.0.0.1:%d", ports[i]))
		if err == nil {
			c.Close()
		}
		try(name, err)
	}
	new := make(chan error)
	go func() { runtime.LockOSThread(); new <- os.WriteFile(o.path("outside/b"), nil, 0o600) }() // a thread that is made now
	try("write outside from a new thread", <-new)

	_, err = unix.GetsockoptTpacketStats(socket, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	try("read ring statistics", err)
	try("bind the ring again", unix.Bind(socket, &unix.SockaddrLinklayer{Protocol: 0x0300, Ifindex: lo.Attrs().Index}))
	c, err := net.Dial("udp4", "127.0.0.1:9")
	must(err)
	c.Write([]byte("seen?"))
	must(unix.SetsockoptTimeval(socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}))
	_, _, err = unix.Recvfrom(socket, make([]byte, 100), 0)
	try("capture", err)
	trySending(try, socket, lo.Attrs().Index)
	try("look up in a map", look())
	try("update a map", table.Update(uint32(1), uint64(7), ebpf.UpdateAny))
	dumpable, err := unix.PrctlRetInt(unix.PR_GET_DUMPABLE, 0, 0, 0, 0)
	try("dumpable", errors.Join(err, map[bool]error{true: fmt.Errorf("%d", dumpable)}[dumpable != 0]))
	must(json.NewEncoder(os.Stdout).Encode(a))
}

// drop runs the child. threads is what the kernel tells of its threads after
// the drop: the distinct values of each field of their status.
func drop(t *testing.T, o orders, attr *syscall.SysProcAttr) (a account, threads map[string]string) {
	t.Helper()
	o.Dir = t.TempDir()
	for dir := o.Dir; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"etc", "outside"} {
		if err := os.Mkdir(o.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(o.path("outside"), 0o777); err != nil { // so that not the mode protects it
		t.Fatal(err)
	}
	put := func(name, text string) {
		if err := os.WriteFile(o.path(name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(o.path(name), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	put("etc/sensor.toml", "old")
	put("outside/there", "there")
	if attr.Credential != nil { // what the service manager does: StateDirectory=
		if err := errors.Join(os.Mkdir(o.path("out"), 0o700), os.Chown(o.path("out"), nobody, nobody)); err != nil {
			t.Fatal(err)
		}
	}

	// The test's own binary may lie where another user does not get to, so it is
	// executed by its descriptor.
	binary, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	text, _ := json.Marshal(o)
	cmd := exec.Command("/proc/self/fd/3")
	cmd.ExtraFiles = []*os.File{binary}
	cmd.Env = []string{ordersVariable + "=" + string(text), "PATH=/bin", "HOME=/"}
	cmd.Dir = "/"
	cmd.SysProcAttr = attr
	attr.Cloneflags |= syscall.CLONE_NEWNET
	stdin, _ := cmd.StdinPipe()
	stdout, _ := cmd.StdoutPipe()
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { stdin.Close(); cmd.Wait() }()
	out := bufio.NewReader(stdout)
	line, err := out.ReadString('\n')
	if line == "dropped\n" {
		threads = status(t, cmd.Process.Pid)
		put("etc/sensor.toml.new", "new")
		if err := os.Rename(o.path("etc/sensor.toml.new"), o.path("etc/sensor.toml")); err != nil {
			t.Fatal(err)
		}
		stdin.Close()
		line, err = out.ReadString('\n')
	}
	if err != nil {
		rest, _ := io.ReadAll(out)
		t.Fatalf("the child says %q, %v", line+string(rest), err)
	}
	if err := json.Unmarshal([]byte(line), &a); err != nil {
		rest, _ := io.ReadAll(out)
		t.Fatalf("the child says %q", line+string(rest))
	}
	io.Copy(io.Discard, out)
	return a, threads
}

// status gives the fields that all threads of a process have in common; where
// they differ, all values.
func status(t *testing.T, pid int) map[string]string {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", pid))
	if err != nil || len(threads) < 7 {
		t.Fatalf("%d threads, %v: too few for a test", len(threads), err)
	}
	all := map[string]string{}
	for _, path := range threads {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			field, value, _ := strings.Cut(line, ":")
			value = strings.Join(strings.Fields(value), " ")
			if had, ok := all[field]; ok && had != value {
				value = had + " | " + value
			}
			all[field] = value
		}
	}
	return all
}

// expect compares what came of the attempts: "" is success, else part of the
// error.
func expect(t *testing.T, got map[string]string, want map[string]string) {
	t.Helper()
	for name, text := range want {
		if g, ok := got[name]; !ok || text == "" && g != "" || !strings.Contains(g, text) {
			t.Errorf("%s: %q, want %q", name, g, text)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("nothing is expected of %q", name)
		}
	}
}

// after is what a process may do once it has dropped all: nothing new, and all
// that it had opened.
func after() map[string]string {
	const no, denied = "operation not permitted", "permission denied"
	want := map[string]string{
		"open a packet socket": no, "make a map": no,
		"write inside": "", "rename inside": "", "make a directory inside": "", "list inside": "", "truncate inside": "", "remove inside": "",
		"read the new configuration": "", "write the configuration": denied,
		"write outside": denied, "truncate outside": denied, "read outside": denied, "write outside from a new thread": denied,
		"read of itself": "", "read of the system": denied,
		"execute": denied, "become root": no,
		"connect to an allowed port": "", "connect to another port": denied,
		"read ring statistics": "", "bind the ring again": "", "capture": "", "look up in a map": "", "update a map": "",
		"dumpable": "",
	}
	for _, way := range waysToSend {
		want[way] = no
	}
	for _, way := range waysThatStay {
		want[way] = ""
	}
	return want
}

const noCaps = "0000000000000000"

// Root, no other user: everything goes but what was opened.
func TestDropAsRoot(t *testing.T) {
	needs.Root(t)
	a, threads := drop(t, orders{Config: DefaultConfig()}, &syscall.SysProcAttr{})
	if a.Error != "" {
		t.Fatal(a.Error)
	}
	want := after()
	want["become root"] = "" // it is
	expect(t, a.Did, want)
	expect(t, pick(threads), map[string]string{
		"CapInh": noCaps, "CapPrm": noCaps, "CapEff": noCaps, "CapBnd": noCaps, "CapAmb": noCaps, "NoNewPrivs": "1", "Uid": "0 0 0 0", "Groups": threads["Groups"],
	})
	if missing := a.Report.Missing(); len(missing) != 0 {
		t.Errorf("missing: %+v", missing)
	}
	if s := a.Report.String(); !strings.Contains(s, "capabilities (none)") || strings.Contains(s, "not ") {
		t.Errorf("report %q", s)
	}
}

// Another user, on a kernel that asks for CAP_BPF: that alone stays, also beyond
// the change of user.
func TestDropToUser(t *testing.T) {
	needs.Root(t)
	for _, shy := range []bool{false, true} {
		t.Run(fmt.Sprintf("keeps CAP_BPF %v", shy), func(t *testing.T) {
			c := DefaultConfig()
			c.User = fmt.Sprint(nobody)
			a, threads := drop(t, orders{Config: c, Shy: shy}, &syscall.SysProcAttr{})
			if a.Error != "" {
				t.Fatal(a.Error)
			}
			want, caps := after(), noCaps
			if shy {
				want["make a map"], caps = "", "0000008000000000" // bit 39
			}
			expect(t, a.Did, want)
			expect(t, pick(threads), map[string]string{
				"CapInh": noCaps, "CapPrm": caps, "CapEff": caps, "CapBnd": noCaps, "CapAmb": noCaps, "NoNewPrivs": "1", "Uid": "65534 65534 65534 65534", "Groups": "",
			})
			step, _ := a.Report.Step(Capabilities)
			if step.Done == shy || strings.Contains(step.Detail, "5.19") != shy {
				t.Errorf("report %q", a.Report.String())
			}
		})
	}
}

// Started as the service manager does with User= and AmbientCapabilities=.
func TestDropAmbient(t *testing.T) {
	needs.Root(t)
	attr := &syscall.SysProcAttr{
		Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
		AmbientCaps: []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_BPF, unix.CAP_IPC_LOCK},
	}
	a, threads := drop(t, orders{Config: DefaultConfig()}, attr)
	if a.Error != "" {
		t.Fatal(a.Error)
	}
	expect(t, a.Did, after())
	expect(t, pick(threads), map[string]string{
		"CapInh": noCaps, "CapPrm": noCaps, "CapEff": noCaps, "CapBnd": threads["CapBnd"], "CapAmb": noCaps, "NoNewPrivs": "1", "Uid": "65534 65534 65534 65534", "Groups": "",
	})
	if missing := a.Report.Missing(); len(missing) != 1 || missing[0].Name != BoundingSet {
		t.Errorf("missing: %+v", missing)
	}
	if step, _ := a.Report.Step(User); step.Detail != "uid 65534, gid 65534, as started" {
		t.Errorf("user: %+v", step)
	}
}

func pick(threads map[string]string) map[string]string {
	some := map[string]string{}
	for _, field := range []string{"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Uid", "Groups"} {
		some[field] = threads[field]
	}
	return some
}

// Without Landlock the rest is dropped all the same, and the report says so.
func TestDropWithoutLandlock(t *testing.T) {
	needs.Root(t)
	a, _ := drop(t, orders{}, &syscall.SysProcAttr{})
	if a.Error != "" {
		t.Fatal(a.Error)
	}
	want := after()
	for name, text := range want {
		if text == "permission denied" {
			want[name] = ""
		}
	}
	want["become root"] = ""
	expect(t, a.Did, want)
	if missing := a.Report.Missing(); len(missing) != 1 || missing[0] != (Step{Landlock, false, "not wanted"}) {
		t.Errorf("missing: %+v", missing)
	}
}

// A packet socket that has to send is left as it is, by each way that is tried,
// and the report says so.
func TestDropLoud(t *testing.T) {
	needs.Root(t)
	c := DefaultConfig()
	c.User = fmt.Sprint(nobody)
	a, _ := drop(t, orders{Config: c, Loud: true}, &syscall.SysProcAttr{})
	if a.Error != "" {
		t.Fatal(a.Error)
	}
	want := after()
	for _, way := range waysToSend {
		want[way] = ""
	}
	expect(t, a.Did, want)
	if missing := a.Report.Missing(); len(missing) != 1 || missing[0] != (Step{PacketSockets, false, "1 of them can still send"}) {
		t.Errorf("missing: %+v", missing)
	}
}

// What cannot be done is an error, and told by what it is about.
func TestDropErrors(t *testing.T) {
	needs.Root(t)
	for _, test := range []struct {
		name   string
		orders orders
		attr   syscall.SysProcAttr
		want   string
	}{
		{"no such user", orders{Config: Config{User: "nobody-at-all"}}, syscall.SysProcAttr{}, `user "nobody-at-all"`},
		{"no such group", orders{Config: Config{User: "nobody", Group: "nobody-at-all"}}, syscall.SysProcAttr{}, `group "nobody-at-all"`},
		{"a group without a user", orders{Config: Config{Group: "nogroup"}}, syscall.SysProcAttr{}, "group: needs a user"},
		{"root", orders{Config: Config{User: "root"}}, syscall.SysProcAttr{}, "is root"},
		{"number out of range", orders{Config: Config{User: "4294967295", Group: "1"}}, syscall.SysProcAttr{}, "no such user"},
		{"not allowed to change", orders{Config: Config{User: "1", Group: "1"}}, syscall.SysProcAttr{
			Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
			AmbientCaps: []uintptr{unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_BPF},
		}, "out as user 1: set the supplementary groups of a thread: operation not permitted"},
		{"CAP_BPF is needed and not there", orders{Shy: true, Poor: true}, syscall.SysProcAttr{}, "asks for CAP_BPF"},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, _ := drop(t, test.orders, &test.attr)
			if a.Error == "" || !strings.Contains(a.Error, test.want) {
				t.Errorf("%q, want %q", a.Error, test.want)
			}
		})
	}
}

func TestKeepsBPF(t *testing.T) {
	for _, test := range []struct {
		release, disabled string
		want              bool
	}{
		{"5.15.0-91-generic", "2", true}, {"5.18.19", "1", true}, {"5.19.0", "2", false}, {"6.1.0-18-cloud-amd64", "2", false}, {"4.19.0", "1", true},
		{"5.15.0", "0", false}, {"5.15.0", "", false}, {"?", "2", false},
	} {
		if got := keepsBPF(test.release, test.disabled); got != test.want {
			t.Errorf("keepsBPF(%s, %s) = %v", test.release, test.disabled, got)
		}
	}
	if s := Supported(); s.LandlockABI != landlockABI() {
		t.Errorf("%+v", s)
	}
}

// What runs without capabilities has none, and leaves no thread behind that
// lacks them.
func TestBare(t *testing.T) {
	needs.Root(t)
	had := capsOf(t)
	for range 50 {
		if err := Bare(func() error {
			if now := capsOf(t); now != "0000000000000000" {
				t.Errorf("effective capabilities %s", now)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	threads, err := filepath.Glob("/proc/self/task/*/status")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range threads {
		if text, err := os.ReadFile(path); err == nil && !strings.Contains(string(text), "CapEff:\t"+had) {
			t.Errorf("%s lacks capabilities", path)
		}
	}
}

// capsOf gives the effective capabilities of the calling thread.
func capsOf(t *testing.T) string {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	text, err := os.ReadFile("/proc/thread-self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "CapEff:\t")
	caps, _, _ := strings.Cut(rest, "\n")
	return caps
}
