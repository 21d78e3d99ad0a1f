package afpacket

import (
	"bytes"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"mirrorscope/capture"
	"mirrorscope/internal/pcapgen"
)

// tun makes a TUN interface, which is up. What is written into the descriptor
// is received by the interface.
func (l *lab) tun(name string) (fd int) {
	l.t.Helper()
	l.do(func() (err error) {
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		ifr, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		ifr.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
			return err
		}
		return set(name, true)
	})
	return fd
}

func TestTun(t *testing.T) {
	l := newLab(t)
	fd := l.tun("tun0")
	defer unix.Close(fd)
	c := l.open("tun0", small(), -1)
	if c.Facts().Link != capture.LinkRaw {
		t.Errorf("link %s, want raw", c.Facts().Link)
	}
	want := [][]byte{
		pcapgen.Build(ip4, pcapgen.UDP{SrcPort: 1, DstPort: 2}, pcapgen.Payload("four")),
		pcapgen.Build(ip6, pcapgen.UDP{SrcPort: 1, DstPort: 2}, pcapgen.Payload("six")),
	}
	for _, p := range want {
		if _, err := unix.Write(fd, p); err != nil {
			t.Fatal(err)
		}
	}
	for i, g := range frames(t, c, 2) {
		if !bytes.Equal(g.Data, want[i]) || g.Link != capture.LinkRaw || g.WireLen != len(want[i]) {
			t.Errorf("%s frame %x of %d octets, want %x", g.Link, g.Data, g.WireLen, want[i])
		}
	}
}

func TestLoopback(t *testing.T) {
	l := newLab(t)
	l.set("lo", true)
	c := l.open("lo", small(), -1)
	want := numbered(100, 1)
	l.sender("lo").send(want)
	// It is sent and received; only the latter is wanted.
	g := frames(t, c, 1)[0]
	if !bytes.Equal(g.Data, want) || g.Link != capture.LinkEthernet {
		t.Errorf("%s frame %x, want %x", g.Link, g.Data, want)
	}
	if n := rest(t, c); n != 0 {
		t.Errorf("%d frames more", n)
	}
}

// TestMacvlan is for an interface that has its frames from another one.
func TestMacvlan(t *testing.T) {
	l := newLab(t)
	l.pair()
	l.do(func() error {
		parent, err := linkOf("cap0")
		if err != nil {
			return err
		}
		err = netlink.LinkAdd(&netlink.Macvlan{
			LinkAttrs: netlink.LinkAttrs{Name: "mv0", ParentIndex: parent.Attrs().Index, HardwareAddr: ether.Dst[:], TxQLen: -1},
			Mode:      netlink.MACVLAN_MODE_BRIDGE,
		})
		if err != nil {
			return err
		}
		return set("mv0", true)
	})
	c := l.open("mv0", small(), -1)
	want := pcapgen.Build(ether, pcapgen.VLAN{ID: 12}, ip4, pcapgen.UDP{SrcPort: 1, DstPort: 2}, pcapgen.Payload("x"))
	l.sender("tx0").send(want)
	if g := frames(t, c, 1)[0]; !bytes.Equal(g.Data, want) {
		t.Errorf("frame %x, want %x", g.Data, want)
	}
}
