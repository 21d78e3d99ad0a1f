package nic

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Commands and attributes of the generic netlink family "netdev"
// (linux/netdev.h, Documentation/netlink/specs/netdev.yaml). They need no
// capability.
const (
	netdevDevGet    = 1  // NETDEV_CMD_DEV_GET, from 6.3
	netdevQStatsGet = 12 // NETDEV_CMD_QSTATS_GET, from 6.9

	devIfindex     = 1 // NETDEV_A_DEV_IFINDEX
	devXDPFeatures = 3 // NETDEV_A_DEV_XDP_FEATURES

	qstatsIfindex = 1  // NETDEV_A_QSTATS_IFINDEX
	qstatsHWDrops = 13 // NETDEV_A_QSTATS_RX_HW_DROPS
)

// netdev asks the kernel about a device over a socket that stays open.
type netdev struct {
	family uint16
	socket *nl.SocketHandle
}

// openNetdev gives an error that wraps unix.ENOENT on kernels before 6.3.
func openNetdev() (*netdev, error) {
	f, err := netlink.GenlFamilyGet("netdev")
	if err != nil {
		return nil, fmt.Errorf("generic netlink family netdev: %w", err)
	}
	s, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_GENERIC)
	if err != nil {
		return nil, fmt.Errorf("generic netlink socket: %w", err)
	}
	if err := s.SetReceiveTimeout(&unix.Timeval{Sec: 5}); err != nil {
		s.Close()
		return nil, fmt.Errorf("generic netlink socket: %w", err)
	}
	return &netdev{family: f.ID, socket: &nl.SocketHandle{Socket: s}}, nil
}

func (n *netdev) close() { n.socket.Close() }

// get asks for one thing about one device. The device is named by the attribute
// idAttr; found is called with each attribute of the answers.
func (n *netdev) get(command uint8, flags int, idAttr uint16, ifindex int, found func(attr uint16, value []byte)) error {
	req := nl.NewNetlinkRequest(int(n.family), flags)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_GENERIC: n.socket}
	req.AddData(&nl.Genlmsg{Command: command, Version: 1})
	req.AddData(nl.NewRtAttr(int(idAttr), binary.NativeEndian.AppendUint32(nil, uint32(ifindex))))
	msgs, err := req.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return err
	}
	for _, m := range msgs {
		attrs, err := nl.ParseRouteAttr(m[nl.SizeofGenlmsg:])
		if err != nil {
			return err
		}
		for _, a := range attrs {
			found(a.Attr.Type&nl.NLA_TYPE_MASK, a.Value)
		}
	}
	return nil
}

// xdpFeatures gives the bits of enum netdev_xdp_act, xdpFeatureBasic and so on.
func (n *netdev) xdpFeatures(ifindex int) (uint64, error) {
	var bits uint64
	var told bool
	err := n.get(netdevDevGet, 0, devIfindex, ifindex, func(attr uint16, value []byte) {
		if attr == devXDPFeatures && len(value) == 8 {
			bits, told = binary.NativeEndian.Uint64(value), true
		}
	})
	if err == nil && !told {
		err = errors.New("the answer lacks them")
	}
	if err != nil {
		return 0, fmt.Errorf("XDP features: %w", err)
	}
	return bits, nil
}

// hwDrops gives rx-hw-drops: frames that entered the device and never left it,
// for whatever reason. told is false where the driver does not count them.
func (n *netdev) hwDrops(ifindex int) (drops uint64, told bool, err error) {
	err = n.get(netdevQStatsGet, unix.NLM_F_DUMP, qstatsIfindex, ifindex, func(attr uint16, value []byte) {
		if attr == qstatsHWDrops {
			drops, told = drops+uintValue(value), true
		}
	})
	if err != nil {
		return 0, false, fmt.Errorf("queue statistics: %w", err)
	}
	return drops, told, nil
}

// uintValue reads a netlink "uint", of 4 or 8 octets.
func uintValue(b []byte) uint64 {
	switch len(b) {
	case 4:
		return uint64(binary.NativeEndian.Uint32(b))
	case 8:
		return binary.NativeEndian.Uint64(b)
	}
	return 0
}
