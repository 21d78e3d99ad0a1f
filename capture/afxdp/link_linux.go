package afxdp

import (
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/safchain/ethtool"
	"golang.org/x/sys/unix"

	"mirrorscope/capture"
)

// netif is the interface of a capture, asked by ioctl on a socket of its
// network namespace.
type netif struct {
	fd     int
	index  int
	name   string
	called string // by the kernel; name may be an alternative one

	up         atomic.Bool   // it was up at some time
	told       atomic.Bool   // one of the events happened
	down, gone atomic.Uint64 // events
	renamed    atomic.Uint64
}

// openNetif finds an interface of the calling thread's network namespace.
func openNetif(name string) (*netif, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open a control socket: %w", err)
	}
	n := &netif{fd: fd, name: name}
	r, err := n.ask(name, unix.SIOCGIFINDEX)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("interface %s: %w", name, err), n.close())
	}
	n.index = int(r.Uint32())
	if err := unix.IoctlIfreq(n.fd, unix.SIOCGIFNAME, r); err != nil {
		return nil, errors.Join(fmt.Errorf("interface %s: ask for its name: %w", name, err), n.close())
	}
	n.called = r.Name()
	return n, nil
}

// ask makes one ioctl about the interface called name.
func (n *netif) ask(name string, request uint) (*unix.Ifreq, error) {
	r, err := unix.NewIfreq(name)
	if err != nil {
		return nil, err
	}
	return r, unix.IoctlIfreq(n.fd, request, r)
}

// ethernet is an error unless the frames of the interface begin with an
// Ethernet header.
func (n *netif) ethernet() error {
	r, err := n.ask(n.name, unix.SIOCGIFHWADDR)
	if err != nil {
		return fmt.Errorf("interface %s: ask for its type: %w", n.name, err)
	}
	if t := r.Uint16(); t != unix.ARPHRD_ETHER && t != unix.ARPHRD_LOOPBACK {
		return fmt.Errorf("interface %s: link type %d is not Ethernet: %w", n.name, t, errors.ErrUnsupported)
	}
	return nil
}

// mtu is in octets, without the link header.
func (n *netif) mtu() (int, error) {
	r, err := n.ask(n.name, unix.SIOCGIFMTU)
	if err != nil {
		return 0, fmt.Errorf("interface %s: ask for its MTU: %w", n.name, err)
	}
	return int(r.Uint32()), nil
}

// check is an error that wraps capture.ErrRestart once the interface has gone
// down or away, or has another name: with its name it has lost the guard that
// keeps it silent (package nic). One that was never up is waited for.
func (n *netif) check() error {
	r, err := unix.NewIfreq("")
	if err != nil {
		return err
	}
	r.SetUint32(uint32(n.index))
	if err := unix.IoctlIfreq(n.fd, unix.SIOCGIFNAME, r); err != nil {
		return n.lost(&n.gone, "has vanished", err)
	}
	if name := r.Name(); name != n.called {
		return n.lost(&n.renamed, "is called "+name+" now, and its guard was by name", nil)
	}
	if err := unix.IoctlIfreq(n.fd, unix.SIOCGIFFLAGS, r); err != nil {
		return n.lost(&n.gone, "has vanished", err)
	}
	switch up := r.Uint16()&unix.IFF_UP != 0; {
	case up:
		n.up.Store(true)
	case n.up.Load():
		return n.lost(&n.down, "is down", unix.ENETDOWN)
	}
	return nil
}

// lost counts an event once for all rings.
func (n *netif) lost(event *atomic.Uint64, what string, err error) error {
	if n.told.CompareAndSwap(false, true) {
		event.Add(1)
	}
	if err == nil {
		return fmt.Errorf("interface %s %s: %w", n.name, what, capture.ErrRestart)
	}
	return fmt.Errorf("interface %s %s: %w (%w)", n.name, what, capture.ErrRestart, err)
}

func (n *netif) close() error { return unix.Close(n.fd) }

// Queues is the number of receive queues of an interface of the calling
// thread's network namespace. A driver that does not tell has one.
func Queues(name string) (int, error) {
	e, err := ethtool.NewEthtool()
	if err != nil {
		return 0, fmt.Errorf("open ethtool: %w", err)
	}
	defer e.Close()
	ch, err := e.GetChannels(name)
	switch {
	case errors.Is(err, unix.EOPNOTSUPP):
		return 1, nil
	case err != nil:
		return 0, fmt.Errorf("interface %s: ask for its queues: %w", name, err)
	}
	return max(1, int(ch.RxCount+ch.CombinedCount)), nil
}
