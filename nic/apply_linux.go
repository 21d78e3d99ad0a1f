package nic

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Applied are changes that were made.
type Applied struct {
	Done []Change // in this order
	// ipv6 are addresses that went with IPv6.
	ipv6 []netip.Prefix
}

// Apply makes changes of one interface, in their order. It needs
// CAP_NET_ADMIN. Those that fail are left out and told by the error, each with
// its command; those that were made are in Applied, even beside an error.
//
// NICs set up their queues anew for some of them and lose frames meanwhile.
func Apply(changes []Change) (*Applied, error) {
	a := &Applied{}
	var failed []error
	for _, c := range changes {
		if err := a.apply(c); err != nil {
			failed = append(failed, fmt.Errorf("%s: %s %s: %w", c.Command(), c.Setting, c.To, err))
			continue
		}
		a.Done = append(a.Done, c)
	}
	return a, errors.Join(failed...)
}

// Restore undoes the changes, the last one first. What cannot be undone is
// told, and the rest is undone all the same. A second call does nothing.
func (a *Applied) Restore() error {
	var failed []error
	for _, c := range slices.Backward(a.Done) {
		back := c.Reverse()
		if err := a.apply(back); err != nil {
			failed = append(failed, fmt.Errorf("%s: %s %s: %w", back.Command(), back.Setting, back.To, err))
		}
	}
	a.Done = nil
	return errors.Join(failed...)
}

func (a *Applied) apply(c Change) error {
	switch c.Setting {
	case SetIPv6:
		return a.setIPv6(c.Interface, c.To == "on")
	case SetForwarding:
		return writeSwitch("ipv4", c.Interface, "forwarding", c.To == "on")
	case SetLink, SetARP, SetPromiscuous, SetMTU, SetAddresses:
		return setLink(c)
	case SetUDPHash:
		return applyUDPHash(c)
	}
	return setByEthtool(c)
}

// setIPv6 switches IPv6. Off takes its addresses away and on makes a
// link-local one only, so the others are kept here.
func (a *Applied) setIPv6(ifname string, on bool) error {
	link, err := findLink(ifname)
	if err != nil {
		return err
	}
	if !on {
		list, err := netlink.AddrList(link, netlink.FAMILY_V6)
		if err != nil {
			return fmt.Errorf("addresses: %w", err)
		}
		for _, addr := range list {
			ip, ok := netip.AddrFromSlice(addr.IP)
			// Those of router advertisements come back by themselves.
			if bits, _ := addr.Mask.Size(); ok && !ip.IsLinkLocalUnicast() && addr.Flags&unix.IFA_F_PERMANENT != 0 {
				a.ipv6 = append(a.ipv6, netip.PrefixFrom(ip, bits))
			}
		}
		return writeSwitch("ipv6", ifname, "disable_ipv6", true)
	}
	if err := writeSwitch("ipv6", ifname, "disable_ipv6", false); err != nil {
		return err
	}
	err = addAddresses(link, a.ipv6)
	a.ipv6 = nil
	return err
}

// setLink changes what netlink sets.
func setLink(c Change) error {
	link, err := findLink(c.Interface)
	if err != nil {
		return err
	}
	switch c.Setting {
	case SetLink:
		if c.To == "up" {
			return netlink.LinkSetUp(link)
		}
		return netlink.LinkSetDown(link)
	case SetARP:
		if c.To == "on" {
			return netlink.LinkSetARPOn(link)
		}
		return netlink.LinkSetARPOff(link)
	case SetPromiscuous:
		if c.To == "on" {
			return netlink.SetPromiscOn(link)
		}
		return netlink.SetPromiscOff(link)
	case SetMTU:
		mtu, err := strconv.Atoi(c.To)
		if err != nil {
			return err
		}
		return netlink.LinkSetMTU(link, mtu)
	case SetAddresses:
		from, err := parsePrefixes(c.From)
		if err != nil {
			return err
		}
		to, err := parsePrefixes(c.To)
		if err != nil {
			return err
		}
		for _, p := range from {
			if !slices.Contains(to, p) {
				if err := netlink.AddrDel(link, address(p)); err != nil {
					return fmt.Errorf("delete %s: %w", p, err)
				}
			}
		}
		return addAddresses(link, to)
	}
	return errors.ErrUnsupported
}

func address(p netip.Prefix) *netlink.Addr {
	return &netlink.Addr{IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}}
}

func addAddresses(link netlink.Link, list []netip.Prefix) error {
	for _, p := range list {
		if err := netlink.AddrReplace(link, address(p)); err != nil {
			return fmt.Errorf("add %s: %w", p, err)
		}
	}
	return nil
}

func setByEthtool(c Change) error {
	tool, err := ethtool.NewEthtool()
	if err != nil {
		return err
	}
	defer tool.Close()
	for _, o := range offloads {
		if o.setting == c.Setting {
			return setFeature(tool, c.Interface, o.feature, c.To == "on")
		}
	}
	switch c.Setting {
	case SetRing:
		return setRing(tool, c)
	case SetQueues:
		return setQueues(tool, c)
	case SetReportStats:
		return tool.UpdatePrivFlags(c.Interface, map[string]bool{"report-stats": c.To == "on"})
	}
	return fmt.Errorf("setting %q: %w", c.Setting, errors.ErrUnsupported)
}

// setFeature looks afterwards, because a driver may ignore the wish.
func setFeature(tool *ethtool.Ethtool, ifname, feature string, on bool) error {
	if err := tool.Change(ifname, map[string]bool{feature: on}); err != nil {
		return err
	}
	now, err := tool.Features(ifname)
	if err != nil {
		return err
	}
	if now[feature] != on {
		return fmt.Errorf("%s stays %s", feature, onOff(!on))
	}
	return nil
}

func setRing(tool *ethtool.Ethtool, c Change) error {
	n, err := strconv.ParseUint(c.To, 10, 32)
	if err != nil {
		return err
	}
	ring, err := tool.GetRing(c.Interface)
	if err != nil {
		return err
	}
	ring.RxPending = uint32(n)
	_, err = tool.SetRing(c.Interface, ring)
	return err
}

func setQueues(tool *ethtool.Ethtool, c Change) error {
	channels, err := tool.GetChannels(c.Interface)
	if err != nil {
		return err
	}
	if _, err := fmt.Sscanf(c.To, "combined %d", &channels.CombinedCount); err != nil {
		if _, err := fmt.Sscanf(c.To, "rx %d tx %d", &channels.RxCount, &channels.TxCount); err != nil {
			return fmt.Errorf("queues %q: %w", c.To, err)
		}
	}
	_, err = tool.SetChannels(c.Interface, channels)
	return err
}

func applyUDPHash(c Change) error {
	fd, err := ioctlSocket()
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(fd) }()
	var bits uint64
	for _, letter := range c.To {
		switch letter {
		case 's':
			bits |= hashIPSource
		case 'd':
			bits |= hashIPDestination
		case 'f':
			bits |= hashL4Bytes01
		case 'n':
			bits |= hashL4Bytes23
		}
	}
	return setUDPHash(fd, c.Interface, bits)
}
