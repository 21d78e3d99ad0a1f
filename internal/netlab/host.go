package netlab

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

const (
	tunDevice = "/dev/net/tun"
	tapName   = "tap0"
	mtu       = 1500
)

// Addresses of the hosts, by Direction.
var (
	addr4 = [2]netip.Addr{netip.MustParseAddr("10.2.0.1"), netip.MustParseAddr("10.2.0.2")}
	addr6 = [2]netip.Addr{netip.MustParseAddr("fd02::1"), netip.MustParseAddr("fd02::2")}
	macs  = [2]net.HardwareAddr{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}}
)

// Host is a network namespace of its own, held by one locked thread, with one
// TAP device.
type Host struct {
	side  Direction
	calls chan func()
	tap   int // descriptor, non-blocking
}

// newHost makes the namespace of one side, its device, and the settings.
func newHost(side Direction, sysctl ...map[string]string) (*Host, error) {
	h := &Host{side: side, calls: make(chan func()), tap: -1}
	started := make(chan error)
	go func() {
		// Never unlocked: the thread is not clean any more and must end with
		// this goroutine, and the namespace with it.
		runtime.LockOSThread()
		err := unix.Unshare(unix.CLONE_NEWNET)
		if err != nil {
			err = fmt.Errorf("new network namespace: %w", err)
		}
		started <- err
		if err != nil {
			return
		}
		for call := range h.calls {
			call()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	if err := h.do(func() error { return h.setUp(sysctl) }); err != nil {
		h.close()
		return nil, fmt.Errorf("%s's host: %w", side, err)
	}
	return h, nil
}

// do runs f on the thread of the namespace. Sockets that f makes belong to it,
// wherever they are used later.
func (h *Host) do(f func() error) error {
	done := make(chan error)
	h.calls <- func() { done <- f() }
	return <-done
}

func (h *Host) close() {
	close(h.calls)
	if h.tap >= 0 {
		_ = unix.Close(h.tap)
	}
}

// setUp makes the device. Neighbours are static and IPv6 configures nothing by
// itself, so that the only packets are those of the load.
func (h *Host) setUp(sysctl []map[string]string) error {
	for name, value := range map[string]string{
		"ipv6/conf/default/accept_dad":           "0",
		"ipv6/conf/default/accept_ra":            "0",
		"ipv6/conf/default/router_solicitations": "0",
		"ipv6/conf/default/addr_gen_mode":        "1",
	} {
		if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0); err != nil {
			return err
		}
	}
	for _, settings := range sysctl {
		for name, value := range settings {
			path := "/proc/sys/net/ipv4/" + strings.ReplaceAll(name, ".", "/")
			if err := os.WriteFile(path, []byte(value), 0); err != nil {
				return fmt.Errorf("%s=%s: %w", name, value, err)
			}
		}
	}
	fd, err := unix.Open(tunDevice, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", tunDevice, err)
	}
	h.tap = fd
	ifr, err := unix.NewIfreq(tapName)
	if err != nil {
		return err
	}
	// Without IFF_VNET_HDR a TAP offers no checksum or segmentation offload:
	// every frame comes out as it would lie on a wire.
	ifr.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, ifr); err != nil {
		return fmt.Errorf("make %s: %w", tapName, err)
	}
	link, err := netlink.LinkByName(tapName)
	if err != nil {
		return err
	}
	peer := 1 - h.side
	steps := []func() error{
		func() error { return netlink.LinkSetHardwareAddr(link, macs[h.side]) },
		func() error { return netlink.LinkSetMTU(link, mtu) },
		// The forwarder may be kept from its core for a while; a queue that
		// overflows would lose what no plan asked for.
		func() error { return netlink.LinkSetTxQLen(link, 20000) },
		func() error { return netlink.LinkSetUp(link) },
		func() error { return addAddress(link, addr4, h.side, 24) },
		func() error { return addAddress(link, addr6, h.side, 64) },
		func() error { return addNeighbour(link, addr4[peer], macs[peer]) },
		func() error { return addNeighbour(link, addr6[peer], macs[peer]) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("configure %s: %w", tapName, err)
		}
	}
	return nil
}

func addAddress(link netlink.Link, addrs [2]netip.Addr, side Direction, bits int) error {
	a := addrs[side]
	ip := &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(bits, a.BitLen())}
	return netlink.AddrAdd(link, &netlink.Addr{IPNet: ip, Flags: unix.IFA_F_NODAD})
}

func addNeighbour(link netlink.Link, a netip.Addr, mac net.HardwareAddr) error {
	return netlink.NeighSet(&netlink.Neigh{
		LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: a.AsSlice(), HardwareAddr: mac,
	})
}

// deviceDrops is the counter of packets that the device threw away, in both
// directions.
const deviceDrops = "DeviceDrops"

// counters reads the counters of the namespace: TcpExt, Tcp and Ip, and what
// its device dropped.
func (h *Host) counters() (map[string]int64, error) {
	m := map[string]int64{}
	err := h.do(func() error {
		for _, file := range []string{"/proc/thread-self/net/netstat", "/proc/thread-self/net/snmp"} {
			text, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if err := parseCounters(string(text), m); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
		link, err := netlink.LinkByName(tapName)
		if err != nil {
			return err
		}
		drops := link.Attrs().Statistics
		m[deviceDrops] = int64(drops.RxDropped + drops.TxDropped)
		return nil
	})
	return m, err
}

// parseCounters adds the lines "TcpExt:", "Tcp:" and "Ip:" of a netstat or snmp file
// to m: a line of names, then one of values.
func parseCounters(text string, m map[string]int64) error {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		if len(names) != len(values) || names[0] != values[0] {
			return fmt.Errorf("line %d has other names than line %d", i+1, i+2)
		}
		if names[0] != "TcpExt:" && names[0] != "Tcp:" && names[0] != "Ip:" {
			continue
		}
		for j := 1; j < len(names); j++ {
			var v int64
			if _, err := fmt.Sscan(values[j], &v); err != nil {
				return fmt.Errorf("%s: %w", names[j], err)
			}
			m[names[j]] = v
		}
	}
	return nil
}

// onThread runs f on a thread that ends with it.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}
