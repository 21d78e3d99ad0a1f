//go:build linux

package livelab

import (
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Addresses of the lab.
var (
	// HostAddrs are the hosts' addresses, by Side.
	HostAddrs = [2]netip.Addr{netip.MustParseAddr("10.2.0.1"), netip.MustParseAddr("10.2.0.2")}
	// MirrorAddr sends VXLAN, CaptureAddr is where to.
	MirrorAddr  = netip.MustParseAddr("10.99.0.1")
	CaptureAddr = netip.MustParseAddr("10.99.0.2")

	hostMACs   = [2]net.HardwareAddr{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}} // by Side
	mirrorMAC  = net.HardwareAddr{2, 0, 0, 0, 0, 3}
	captureMAC = net.HardwareAddr{2, 0, 0, 0, 0, 4}
)

// wire makes the devices, from the switch.
func (l *Lab) wire(c Config) error {
	err := l.Switch.Do(func() error {
		// Snooping makes the bridge itself speak IGMP.
		bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName, MTU: c.MTU}, MulticastSnooping: new(bool)}
		if err := netlink.LinkAdd(bridge); err != nil {
			return fmt.Errorf("add %s: %w", bridgeName, err)
		}
		for side, name := range portNames {
			veth := netlink.NewVeth(netlink.LinkAttrs{Name: name, MTU: c.MTU, TxQLen: -1, MasterIndex: bridge.Index})
			veth.PeerName, veth.PeerHardwareAddr = hostName, hostMACs[side]
			veth.PeerNamespace = netlink.NsFd(l.Hosts[side].fd)
			if err := addUp(veth, c.Offloads); err != nil {
				return err
			}
			if err := oneAfterTheOther(name); err != nil {
				return err
			}
		}
		if err := netlink.LinkSetUp(bridge); err != nil {
			return fmt.Errorf("%s up: %w", bridgeName, err)
		}
		veth := netlink.NewVeth(netlink.LinkAttrs{
			Name: mirrorName, MTU: c.MTU + MirrorRoom, TxQLen: -1, HardwareAddr: mirrorMAC,
			NumTxQueues: c.Queues, NumRxQueues: c.Queues,
		})
		veth.PeerName, veth.PeerHardwareAddr = CaptureName, captureMAC
		veth.PeerNamespace = netlink.NsFd(l.Sensor.fd)
		veth.PeerNumTxQueues, veth.PeerNumRxQueues = uint32(c.Queues), uint32(c.Queues)
		if err := addUp(veth, c.Offloads); err != nil {
			return err
		}
		l.mirrorIndex = veth.Index
		return setQueues(mirrorName, c.Queues)
	})
	if err != nil {
		return err
	}
	for side, host := range l.Hosts {
		if err := host.Do(func() error { return setUpHost(Side(side), c.Offloads) }); err != nil {
			return err
		}
	}
	return l.Sensor.Do(func() error { return l.setUpCapture(c) })
}

// oneAfterTheOther has one core handle all that a port of the switch receives,
// so that what is mirrored has one order: with several, a frame may overtake
// another between the recorder at rs and cap0.
func oneAfterTheOther(port string) error {
	path := "/sys/class/net/" + port + "/queues/rx-0/rps_cpus"
	if err := os.WriteFile(path, []byte("1"), 0); err != nil {
		return fmt.Errorf("handle %s on one core: %w", port, err)
	}
	return nil
}

// addUp makes a device and takes it up.
func addUp(link netlink.Link, offloads bool) error {
	name := link.Attrs().Name
	if err := netlink.LinkAdd(link); err != nil {
		return fmt.Errorf("add %s: %w", name, err)
	}
	if !offloads {
		if err := offloadsOff(name); err != nil {
			return err
		}
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("%s up: %w", name, err)
	}
	return nil
}

func setUpHost(side Side, offloads bool) error {
	link, err := netlink.LinkByName(hostName)
	if err != nil {
		return fmt.Errorf("find %s: %w", hostName, err)
	}
	if !offloads {
		if err := offloadsOff(hostName); err != nil {
			return err
		}
	}
	peer := 1 - side
	ip := &net.IPNet{IP: HostAddrs[side].AsSlice(), Mask: net.CIDRMask(24, 32)}
	for _, step := range []func() error{
		func() error { return netlink.LinkSetUp(link) },
		func() error { return netlink.AddrAdd(link, &netlink.Addr{IPNet: ip}) },
		func() error { return addNeighbour(link, HostAddrs[peer], hostMACs[peer]) },
	} {
		if err := step(); err != nil {
			return fmt.Errorf("configure %s of host %s: %w", hostName, side, err)
		}
	}
	return nil
}

// addNeighbour spares ARP.
func addNeighbour(link netlink.Link, a netip.Addr, mac net.HardwareAddr) error {
	return netlink.NeighSet(&netlink.Neigh{
		LinkIndex: link.Attrs().Index, State: netlink.NUD_PERMANENT, IP: a.AsSlice(), HardwareAddr: mac,
	})
}

func (l *Lab) setUpCapture(c Config) error {
	link, err := netlink.LinkByName(CaptureName)
	if err != nil {
		return fmt.Errorf("find %s: %w", CaptureName, err)
	}
	l.captureIndex = link.Attrs().Index
	steps := []func() error{
		func() error { return setQueues(CaptureName, c.Queues) },
		func() error {
			if c.Address {
				ip := &net.IPNet{IP: CaptureAddr.AsSlice(), Mask: net.CIDRMask(24, 32)}
				return netlink.AddrAdd(link, &netlink.Addr{IPNet: ip})
			}
			return netlink.LinkSetARPOff(link)
		},
		func() error { return netlink.LinkSetUp(link) },
	}
	if !c.Offloads {
		steps = append(steps, func() error { return offloadsOff(CaptureName) })
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return fmt.Errorf("configure %s: %w", CaptureName, err)
		}
	}
	return nil
}

// setQueues sets the queues in use: a veth is made with as many as it may have
// and uses one.
func setQueues(name string, queues int) error {
	tool, err := ethtool.NewEthtool()
	if err != nil {
		return err
	}
	defer tool.Close()
	c, err := tool.GetChannels(name)
	if err != nil {
		return fmt.Errorf("channels of %s: %w", name, err)
	}
	c.RxCount, c.TxCount = uint32(queues), uint32(queues)
	if _, err := tool.SetChannels(name, c); err != nil {
		return fmt.Errorf("set %d channels of %s: %w", queues, name, err)
	}
	return nil
}

// offloads are what makes packets look otherwise than on a wire, by the
// kernel's names.
var offloads = []string{
	"tx-checksum-ip-generic", "tx-checksum-sctp", "tx-generic-segmentation", "rx-gro", "rx-gro-list", "rx-udp-gro-forwarding",
	"tx-tcp-segmentation", "tx-tcp-ecn-segmentation", "tx-tcp-mangleid-segmentation", "tx-tcp6-segmentation", "tx-udp-segmentation",
	"tx-scatter-gather-fraglist",
}

// offloadsOff is `ethtool -K NAME tx off tso off gso off gro off`.
func offloadsOff(name string) error {
	tool, err := ethtool.NewEthtool()
	if err != nil {
		return err
	}
	defer tool.Close()
	known, err := tool.FeatureNames(name)
	if err != nil {
		return fmt.Errorf("features of %s: %w", name, err)
	}
	off := map[string]bool{}
	for _, o := range offloads {
		if _, ok := known[o]; ok {
			off[o] = false
		}
	}
	if err := tool.Change(name, off); err != nil {
		return fmt.Errorf("offloads of %s off: %w", name, err)
	}
	now, err := tool.Features(name)
	if err != nil {
		return fmt.Errorf("features of %s: %w", name, err)
	}
	for o := range off {
		if now[o] {
			return fmt.Errorf("offload %s of %s stays on: %w", o, name, unix.EOPNOTSUPP)
		}
	}
	return nil
}

// Counters are what the devices at both ends of the mirror's link have counted
// since the Lab was made, in frames.
type Counters struct {
	Sent     uint64 // by rs
	Dropped  uint64 // by rs or cap0: sent, and no room in cap0's queue
	Received uint64 // by cap0, what XDP dropped there included
	Answered uint64 // sent by cap0, which must be silent
}

// Counters reads the devices' counters.
func (l *Lab) Counters() (Counters, error) {
	var c Counters
	read := func(n *Namespace, name string, do func(s *netlink.LinkStatistics)) error {
		return n.Do(func() error {
			link, err := netlink.LinkByName(name)
			if err != nil {
				return fmt.Errorf("counters of %s: %w", name, err)
			}
			do(link.Attrs().Statistics)
			return nil
		})
	}
	if err := read(l.Switch, mirrorName, func(s *netlink.LinkStatistics) {
		c.Sent, c.Dropped = s.TxPackets, s.TxDropped
	}); err != nil {
		return c, err
	}
	return c, read(l.Sensor, CaptureName, func(s *netlink.LinkStatistics) {
		c.Received, c.Answered = s.RxPackets, s.TxPackets+s.TxDropped
	})
}
