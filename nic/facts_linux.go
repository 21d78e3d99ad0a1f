package nic

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Inspect finds out what it can about an interface. It changes nothing and
// needs no privileges. The error is of an interface that is not there, and
// then wraps unix.ENODEV; all else that fails is listed in Facts.Unknown.
func Inspect(ifname string) (*Facts, error) {
	if err := ValidName(ifname); err != nil {
		return nil, err
	}
	link, err := findLink(ifname)
	if err != nil {
		return nil, err
	}
	f := &Facts{
		Name: ifname, Index: link.Attrs().Index, Unknown: map[string]string{},
		Addresses: []netip.Prefix{}, Features: map[string]Feature{},
	}
	i := inspector{f: f}
	kernel, err := Kernel()
	i.note("kernel", err)
	i.link(link)
	i.note("max_mtu", i.maxMTU())
	i.note("addresses", i.addresses(link))
	i.reach()
	i.note("slaves", i.relatives(link))
	i.sysctl()
	tool, err := ethtool.NewEthtool()
	if err != nil {
		i.note("ethtool", err)
		return f, nil
	}
	defer tool.Close()
	i.ethtool(tool, link)
	i.udpHash()
	i.xdp(kernel)
	return f, nil
}

// Kernel is the version of the running kernel.
func Kernel() (Version, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return Version{}, fmt.Errorf("uname: %w", err)
	}
	return ParseVersion(unix.ByteSliceToString(u.Release[:]))
}

// findLink gives an error that wraps unix.ENODEV when there is no such
// interface.
func findLink(ifname string) (netlink.Link, error) {
	link, err := netlink.LinkByName(ifname)
	var missing netlink.LinkNotFoundError
	if errors.As(err, &missing) {
		return nil, fmt.Errorf("interface %s: %w", ifname, unix.ENODEV)
	} else if err != nil {
		return nil, fmt.Errorf("interface %s: %w", ifname, err)
	}
	return link, nil
}

// inspector fills in Facts, a subject at a time.
type inspector struct{ f *Facts }

// note keeps why a subject is unknown.
func (i inspector) note(subject string, err error) {
	if err != nil {
		i.f.Unknown[subject] = err.Error()
	}
}

func (i inspector) link(link netlink.Link) {
	a := link.Attrs()
	i.f.Kind = link.Type()
	if a.RawFlags&unix.IFF_LOOPBACK != 0 {
		i.f.Kind = loopback
	}
	i.f.MAC = a.HardwareAddr.String()
	i.f.Up = a.RawFlags&unix.IFF_UP != 0
	i.f.Carrier = a.RawFlags&unix.IFF_LOWER_UP != 0
	i.f.ARP = a.RawFlags&unix.IFF_NOARP == 0
	i.f.Promiscuous = a.Promisc > 0 || a.RawFlags&unix.IFF_PROMISC != 0
	i.f.MTU, i.f.QueueLen = a.MTU, a.TxQLen
	var err error
	i.f.XDP.XDPProgram, err = programOn(link)
	i.note("xdp_program", err)
}

// maxMTU reads IFLA_MAX_MTU, which the netlink library leaves out.
func (i inspector) maxMTU() error {
	const iflaMaxMTU = 51
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(i.f.Index)
	req.AddData(msg)
	answers, err := req.Execute(unix.NETLINK_ROUTE, 0)
	if err != nil {
		return err
	}
	for _, m := range answers {
		attrs, err := nl.ParseRouteAttr(m[unix.SizeofIfInfomsg:])
		if err != nil {
			return err
		}
		for _, a := range attrs {
			if a.Attr.Type == iflaMaxMTU {
				i.f.MaxMTU = int(uintValue(a.Value))
			}
		}
	}
	return nil
}

func (i inspector) addresses(link netlink.Link) error {
	list, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return err
	}
	for _, a := range list {
		addr, ok := netip.AddrFromSlice(a.IP)
		if !ok {
			continue
		}
		bits, _ := a.Mask.Size()
		i.f.Addresses = append(i.f.Addresses, netip.PrefixFrom(addr.Unmap(), bits))
	}
	return nil
}

// relatives finds the device above and those below.
func (i inspector) relatives(link netlink.Link) error {
	links, err := netlink.LinkList()
	if err != nil {
		return err
	}
	for _, l := range links {
		a := l.Attrs()
		if a.MasterIndex == i.f.Index {
			i.f.Slaves = append(i.f.Slaves, a.Name)
		}
		if m := link.Attrs().MasterIndex; m != 0 && a.Index == m {
			i.f.Master = a.Name
		}
	}
	slices.Sort(i.f.Slaves)
	return nil
}

// sysctl reads the switches of the interface below /proc/sys/net.
func (i inspector) sysctl() {
	off, err := readSwitch("ipv6", i.f.Name, "disable_ipv6")
	if errors.Is(err, fs.ErrNotExist) {
		off, err = true, nil // a kernel without IPv6
	}
	i.note("ipv6", err)
	i.f.IPv6 = err == nil && !off
	i.f.Forwarding4, err = readSwitch("ipv4", i.f.Name, "forwarding")
	i.note("forwarding_ipv4", err)
	if i.f.IPv6 {
		i.f.Forwarding6, err = readSwitch("ipv6", "all", "forwarding")
		i.note("forwarding_ipv6", err)
	}
}

// switchPath is a file below /proc/sys/net. It belongs to the network
// namespace of the thread that opens it.
func switchPath(family, ifname, name string) string {
	return filepath.Join("/proc/sys/net", family, "conf", ifname, name)
}

func readSwitch(family, ifname, name string) (bool, error) {
	b, err := os.ReadFile(switchPath(family, ifname, name))
	if err != nil {
		return false, err
	}
	return strings.TrimSpace(string(b)) != "0", nil
}

func writeSwitch(family, ifname, name string, on bool) error {
	value := "0"
	if on {
		value = "1"
	}
	return os.WriteFile(switchPath(family, ifname, name), []byte(value), 0)
}

func (i inspector) ethtool(tool *ethtool.Ethtool, link netlink.Link) {
	name := i.f.Name
	info, err := tool.DriverInfo(name)
	i.note("driver", err)
	i.f.Driver, i.f.DriverVersion, i.f.Firmware, i.f.Bus = info.Driver, info.Version, info.FwVersion, info.BusInfo

	channels, err := tool.GetChannels(name)
	if err != nil { // as a driver with one queue, or with queues that cannot be set
		i.note("queues", fmt.Errorf("channels: %w", err))
		i.f.Queues.RX, i.f.Queues.TX = link.Attrs().NumRxQueues, link.Attrs().NumTxQueues
		i.f.Queues.MaxRX, i.f.Queues.MaxTX = i.f.Queues.RX, i.f.Queues.TX
	} else {
		i.f.Queues = Queues{
			RX: int(channels.RxCount + channels.CombinedCount), MaxRX: int(channels.MaxRx + channels.MaxCombined),
			TX: int(channels.TxCount + channels.CombinedCount), MaxTX: int(channels.MaxTx + channels.MaxCombined),
			Combined: int(channels.CombinedCount), MaxCombined: int(channels.MaxCombined),
		}
	}
	ring, err := tool.GetRing(name)
	i.note("ring", err)
	if err == nil {
		i.f.Ring = &Ring{RX: int(ring.RxPending), MaxRX: int(ring.RxMaxPending)}
	}
	states, err := tool.FeaturesWithState(name)
	i.note("features", err)
	for _, feature := range features {
		if s, ok := states[feature]; ok {
			i.f.Features[feature] = Feature{On: s.Active, Fixed: !s.Available || s.NeverChanged}
		}
	}
	ts, err := tool.GetTimestampingInformation(name)
	i.note("timestamping", err)
	i.f.Time.Clock = -1
	if err == nil {
		i.f.Time = Timestamping{
			Software: ts.SoTimestamping&ethtool.SOF_TIMESTAMPING_RX_SOFTWARE != 0,
			Hardware: ts.SoTimestamping&ethtool.SOF_TIMESTAMPING_RX_HARDWARE != 0 && ts.RxFilters&(1<<ethtool.HWTSTAMP_FILTER_ALL) != 0,
			Clock:    int(ts.PhcIndex),
		}
	}
	if flags, err := tool.PrivFlags(name); err == nil { // most drivers have none, and say so by an error
		i.f.PrivateFlags = flags
	}
}

func (i inspector) udpHash() {
	fd, err := ioctlSocket()
	if err != nil {
		i.note("udp_hash", err)
		return
	}
	defer func() { _ = unix.Close(fd) }()
	bits, err := udpHash(fd, i.f.Name)
	i.note("udp_hash", err)
	if err == nil {
		i.f.UDPHash = hashFields(bits)
	}
}

// xdp asks the kernel, or else the table of drivers.
func (i inspector) xdp(kernel Version) {
	program := i.f.XDP.XDPProgram
	i.f.XDP = xdpOf(i.f.Driver, kernel)
	if n, err := openNetdev(); err == nil {
		bits, err := n.xdpFeatures(i.f.Index)
		n.close()
		if err == nil {
			i.f.XDP.told(bits, i.f.Driver)
		}
	}
	if i.f.XDP.Source == "" {
		i.note("xdp", fmt.Errorf("the kernel does not tell (it does from 6.3) and driver %q is not a known one", i.f.Driver))
	}
	i.f.XDP.XDPProgram = program
}
