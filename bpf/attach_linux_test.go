package bpf

import (
	"errors"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"mirrorscope/internal/needs"
)

// TestAttach attaches in each mode to a veth of a namespace of its own, small
// and of a cloud's MTU, and wants nothing left behind.
func TestAttach(t *testing.T) {
	needs.Root(t)
	runtime.LockOSThread() // never unlocked: the thread ends with the test, and the namespace with it
	home, err := netns.Get()
	check(t, err)
	defer home.Close()
	space, err := netns.New()
	check(t, err)
	defer space.Close()
	defer func() { check(t, netns.Set(home)) }()

	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "cap0", MTU: 1500}, PeerName: "far0"}
	check(t, netlink.LinkAdd(pair))
	near, err := netlink.LinkByName("cap0")
	check(t, err)
	far, err := netlink.LinkByName("far0")
	check(t, err)
	for _, c := range []struct {
		mtu  int
		mode AttachMode
		want uint32 // XDP_ATTACHED_
		err  error
	}{
		{1500, AttachNative, 1, nil},
		{1500, AttachGeneric, 2, nil},
		{1500, AttachFrags, 1, nil},
		{9001, AttachNative, 0, unix.ERANGE},
		{9001, AttachGeneric, 2, nil},
		{9001, AttachFrags, 1, nil},
	} {
		check(t, netlink.LinkSetMTU(near, c.mtu))
		check(t, netlink.LinkSetMTU(far, c.mtu))
		p, err := Load(DefaultConfig(), ToSocket, 1)
		check(t, err)
		err = p.Attach(near.Attrs().Index, c.mode)
		if c.mode == AttachFrags && errors.Is(err, errors.ErrUnsupported) {
			t.Logf("%v: %v", c.mode, err)
		} else if !errors.Is(err, c.err) {
			t.Errorf("%v, MTU %d: %v, want %v", c.mode, c.mtu, err, c.err)
		}
		l, lookErr := netlink.LinkByIndex(near.Attrs().Index)
		check(t, lookErr)
		if x := l.Attrs().Xdp; err == nil && (x == nil || x.AttachMode != c.want) {
			t.Errorf("%v, MTU %d: attached as %+v, want %d", c.mode, c.mtu, x, c.want)
		}
		check(t, p.Close())
		l, err = netlink.LinkByIndex(near.Attrs().Index)
		check(t, err)
		if x := l.Attrs().Xdp; x != nil && x.Attached {
			t.Errorf("%v, MTU %d: still attached as %+v", c.mode, c.mtu, x)
		}
	}
}
