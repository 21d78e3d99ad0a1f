//go:build linux

package livelab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Namespace is a network namespace without a name, held by one locked thread.
// The thread has a mount namespace as well, in which /sys shows the devices of
// the network namespace, as `ip netns exec` does it.
type Namespace struct {
	name  string // for errors
	calls chan func()
	fd    int // of the network namespace
	once  sync.Once

	mu        sync.Mutex
	processes []*Process
}

// newNamespace makes a namespace with its loopback device up and IPv6 off.
func newNamespace(name string) (*Namespace, error) {
	n := &Namespace{name: name, calls: make(chan func()), fd: -1}
	started := make(chan error)
	onOwnThread(func() {
		err := n.enter()
		started <- err
		if err != nil {
			return
		}
		for call := range n.calls {
			call()
		}
	})
	if err := <-started; err != nil {
		return nil, fmt.Errorf("namespace of %s: %w", name, err)
	}
	if err := n.Do(prepare); err != nil {
		n.close()
		return nil, fmt.Errorf("namespace of %s: %w", name, err)
	}
	return n, nil
}

// enter gives the calling thread namespaces of its own.
func (n *Namespace) enter() error {
	if err := unix.Unshare(unix.CLONE_NEWNET | unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("unshare: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("keep mounts to ourselves: %w", err)
	}
	if err := mountSys(); err != nil {
		return err
	}
	fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the network namespace: %w", err)
	}
	n.fd = fd
	return nil
}

// mountSys mounts /sys anew: the class/net of a sysfs is that of the namespace
// that mounted it. What is mounted inside the old one comes along.
func mountSys() error {
	inside := []string{"/sys/fs/cgroup", "/sys/fs/bpf"}
	old := map[string]int{}
	for _, path := range inside {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			continue // not there
		}
		defer func() { _ = unix.Close(fd) }()
		old[path] = fd
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
		return fmt.Errorf("mount /sys: %w", err)
	}
	for path, fd := range old {
		from := fmt.Sprintf("/proc/thread-self/fd/%d", fd)
		if err := unix.Mount(from, path, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("mount %s: %w", path, err)
		}
	}
	return nil
}

func prepare() error {
	for _, which := range []string{"all", "default"} {
		path := "/proc/sys/net/ipv6/conf/" + which + "/disable_ipv6"
		if err := os.WriteFile(path, []byte("1"), 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("lo up: %w", err)
	}
	return nil
}

// Do runs f on the thread of the namespace, one call at a time. Sockets that f
// makes belong to the namespace, wherever they are used later. f must not wait
// for another Do.
func (n *Namespace) Do(f func() error) error {
	done := make(chan error)
	n.calls <- func() { done <- f() }
	return <-done
}

// Aside runs f on a thread of its own in the network namespace, for what takes
// long. Its /sys is that of the process.
func (n *Namespace) Aside(f func() error) error {
	done := make(chan error)
	onOwnThread(func() {
		if err := unix.Setns(n.fd, unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("enter the namespace of %s: %w", n.name, err)
			return
		}
		done <- f()
	})
	return <-done
}

// FD is the descriptor of the network namespace. It belongs to the Namespace.
func (n *Namespace) FD() int { return n.fd }

// Client gives an HTTP client whose connections are made in the namespace.
func (n *Namespace) Client() *http.Client {
	return &http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{
			DisableKeepAlives: true, // a socket left open would keep the namespace
			DialContext: func(ctx context.Context, network, addr string) (c net.Conn, err error) {
				err = n.Do(func() error {
					var d net.Dialer
					c, err = d.DialContext(ctx, network, addr)
					return err
				})
				return c, err
			},
		},
	}
}

// close ends the processes and the thread, and with them the namespace.
func (n *Namespace) close() { n.once.Do(n.end) }

func (n *Namespace) end() {
	n.mu.Lock()
	processes := n.processes
	n.processes = nil
	n.mu.Unlock()
	for _, p := range processes {
		p.kill()
	}
	close(n.calls)
	if n.fd >= 0 {
		_ = unix.Close(n.fd)
	}
}

// onOwnThread starts f on a thread that ends with it, for calls that leave a
// thread unfit for other goroutines.
func onOwnThread(f func()) {
	running := make(chan struct{})
	go func() {
		// Never unlocked: the thread ends with the goroutine.
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			// The main thread cannot end. It stays occupied until f has found
			// another.
			onOwnThread(f)
			runtime.UnlockOSThread()
			close(running)
			return
		}
		close(running)
		f()
	}()
	<-running
}
