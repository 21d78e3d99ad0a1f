package nic

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mirrorscope/internal/needs"
)

// Devices of a lab: the sensor's, and the other end of its cable.
const (
	capName  = "cap0"
	peerName = "mirror0"
)

// lab is a cable between two network namespaces without names, which end with
// their threads.
type lab struct {
	t            *testing.T
	sensor, peer *space
}

// space is a network namespace held by a locked thread.
type space struct {
	calls chan func()
	fd    int
}

func newLab(t *testing.T) *lab {
	t.Helper()
	return newLabOf(t, 1)
}

func newLabOf(t *testing.T, queues int) *lab {
	t.Helper()
	needs.Root(t)
	l := &lab{t: t, sensor: newSpace(t), peer: newSpace(t)}
	l.cable(queues)
	return l
}

// cable joins the namespaces, both ends up and without IPv6.
func (l *lab) cable(queues int) {
	l.t.Helper()
	l.in(l.peer, func() error {
		veth := netlink.NewVeth(netlink.LinkAttrs{Name: peerName, TxQLen: -1, NumTxQueues: queues, NumRxQueues: queues})
		veth.PeerName, veth.PeerNamespace = capName, netlink.NsFd(l.sensor.fd)
		veth.PeerNumTxQueues, veth.PeerNumRxQueues = uint32(queues), uint32(queues)
		if err := netlink.LinkAdd(veth); err != nil {
			return err
		}
		return netlink.LinkSetUp(veth)
	})
	l.in(l.sensor, func() error {
		cap0, err := netlink.LinkByName(capName)
		if err != nil {
			return err
		}
		return netlink.LinkSetUp(cap0)
	})
}

func newSpace(t *testing.T) *space {
	t.Helper()
	s := &space{calls: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		ready <- s.enter()
		for call := range s.calls {
			call()
		}
	}()
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		close(s.calls)
		_ = unix.Close(s.fd)
	})
	return s
}

func (s *space) enter() (err error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	for _, which := range []string{"all", "default"} {
		if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+which+"/disable_ipv6", []byte("1"), 0); err != nil {
			return err
		}
	}
	s.fd, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	return err
}

// in runs f in a namespace. f must not call in itself, nor end the test.
func (l *lab) in(s *space, f func() error) {
	l.t.Helper()
	if err := s.do(f); err != nil {
		l.t.Fatal(err)
	}
}

func (s *space) do(f func() error) error {
	done := make(chan error, 1)
	s.calls <- func() { done <- f() }
	return <-done
}

// run runs a program in a namespace and gives its standard output.
func (l *lab) run(s *space, stdin string, name string, args ...string) string {
	l.t.Helper()
	needs.Tool(l.t, name)
	var out []byte
	l.in(s, func() error {
		cmd := exec.Command(name, args...)
		cmd.Stdin = strings.NewReader(stdin)
		var err error
		out, err = cmd.Output()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%s %q: %w: %s", name, args, err, exit.Stderr)
		}
		return err
	})
	return string(out)
}

// inspect gives the facts of cap0.
func (l *lab) inspect() *Facts {
	l.t.Helper()
	var f *Facts
	l.in(l.sensor, func() (err error) {
		f, err = Inspect(capName)
		return err
	})
	return f
}

// packetSocket opens an AF_PACKET socket on an interface of the namespace for
// all frames.
func (l *lab) packetSocket(s *space, ifname string) int {
	l.t.Helper()
	var fd int
	l.in(s, func() error {
		l, err := netlink.LinkByName(ifname)
		if err != nil {
			return err
		}
		all := uint16(unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8)
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err != nil {
			return err
		}
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20); err != nil {
			return err
		}
		return unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: l.Attrs().Index})
	})
	l.t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

// statistics are the link's, as the kernel tells.
func (l *lab) statistics(s *space, ifname string) netlink.LinkStatistics {
	l.t.Helper()
	var stats netlink.LinkStatistics
	l.in(s, func() error {
		link, err := netlink.LinkByName(ifname)
		if err == nil {
			stats = *link.Attrs().Statistics
		}
		return err
	})
	return stats
}

func (l *lab) mac(s *space, ifname string) net.HardwareAddr {
	l.t.Helper()
	var mac net.HardwareAddr
	l.in(s, func() error {
		link, err := netlink.LinkByName(ifname)
		if err == nil {
			mac = link.Attrs().HardwareAddr
		}
		return err
	})
	return mac
}

// attach puts an XDP program that gives one verdict on an interface, until the
// test ends.
func (l *lab) attach(s *space, ifname string, verdict int32, mode link.XDPAttachFlags) {
	l.t.Helper()
	prog := l.program(verdict)
	l.in(s, func() error {
		dev, err := netlink.LinkByName(ifname)
		if err != nil {
			return err
		}
		at, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: dev.Attrs().Index, Flags: mode})
		if err == nil {
			l.t.Cleanup(func() { _ = at.Close() })
		}
		return err
	})
}

func (l *lab) program(verdict int32) *ebpf.Program {
	l.t.Helper()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, verdict), asm.Return()},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = prog.Close() })
	return prog
}

// flood sends frames by XDP_TX out of mirror0 from two processors at once, n
// from each, which is too much for the 256 places of a veth's ring.
func (l *lab) flood(frame []byte, n uint32) {
	l.t.Helper()
	const xdpTX = 3
	prog := l.program(xdpTX)
	results := make(chan error, 2)
	for cpu := range cap(results) {
		go func() {
			runtime.LockOSThread() // never unlocked
			results <- func() error {
				var one unix.CPUSet
				one.Set(cpu)
				if err := unix.SchedSetaffinity(0, &one); err != nil {
					return err
				}
				if err := unix.Setns(l.peer.fd, unix.CLONE_NEWNET); err != nil {
					return err
				}
				dev, err := netlink.LinkByName(peerName)
				if err != nil {
					return err
				}
				ctx := struct{ Data, DataEnd, DataMeta, Ingress, RxQ, Egress uint32 }{DataEnd: uint32(len(frame)), Ingress: uint32(dev.Attrs().Index)}
				const live = 2 // BPF_F_TEST_XDP_LIVE_FRAMES
				_, err = prog.Run(&ebpf.RunOptions{Data: frame, Context: ctx, Repeat: n, Flags: live, BatchSize: 256})
				return err
			}()
		}()
	}
	for range cap(results) {
		if err := <-results; err != nil {
			l.t.Fatal(err)
		}
	}
}

// send sends frames out of an interface, one after the other.
func (l *lab) send(s *space, ifname string, frames ...[]byte) {
	l.t.Helper()
	l.in(s, func() error { return sendOn(ifname, frames...) })
}

func sendOn(ifname string, frames ...[]byte) error {
	dev, err := netlink.LinkByName(ifname)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	for _, f := range frames {
		if err := unix.Sendto(fd, f, 0, &unix.SockaddrLinklayer{Ifindex: dev.Attrs().Index}); err != nil {
			return err
		}
	}
	return nil
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if holds() {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// denyCalls makes the calling thread, and no other, get EACCES from some
// system calls.
func denyCalls(numbers ...uint32) error {
	const (
		load = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
		jeq  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		ret  = unix.BPF_RET | unix.BPF_K
	)
	filter := []unix.SockFilter{{Code: load, K: 0}} // seccomp_data.nr
	for i, n := range numbers {
		filter = append(filter, unix.SockFilter{Code: jeq, K: n, Jt: uint8(len(numbers) - i)})
	}
	filter = append(filter,
		unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EACCES)})
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	_, _, errno := unix.RawSyscall(unix.SYS_PRCTL, unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(filter)
	if errno != 0 {
		return errno
	}
	return nil
}
