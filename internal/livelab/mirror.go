//go:build linux

package livelab

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Mirror copies what passes a port of the switch, in both directions.
type Mirror struct {
	lab    *Lab
	device string
	index  int       // of it
	own    [2]uint16 // priorities of its filters, by direction
}

// SPAN copies the frames that pass the port of a side to the mirror's link, as
// they are.
func (l *Lab) SPAN(side Side) (*Mirror, error) {
	return l.mirror(side, l.mirrorIndex)
}

// VXLAN copies the frames that pass the port of a side into a VXLAN tunnel
// (RFC 7348) with the given VNI, from MirrorAddr to CaptureAddr over the
// mirror's link. The kernel takes the outer source port from a hash of the
// inner flow, the same for both directions, and leaves the outer UDP checksum
// 0. With one mirror on each side, a packet comes twice, under two VNIs.
func (l *Lab) VXLAN(side Side, vni int) (*Mirror, error) {
	l.mu.Lock()
	l.tunnels++
	name := fmt.Sprintf("vx%d", l.tunnels)
	first := l.tunnels == 1
	l.mu.Unlock()
	var index int
	err := l.Switch.Do(func() error {
		if first {
			if err := l.setUpTunnelEnd(); err != nil {
				return err
			}
		}
		tunnel := &netlink.Vxlan{
			LinkAttrs: netlink.LinkAttrs{Name: name, TxQLen: -1, MTU: l.MTU},
			VxlanId:   vni, VtepDevIndex: l.mirrorIndex, SrcAddr: MirrorAddr.AsSlice(), Group: CaptureAddr.AsSlice(),
			Port: 4789, PortLow: 49152, PortHigh: 65535, // RFC 7348 sections 5 and 8
		}
		if err := netlink.LinkAdd(tunnel); err != nil {
			return fmt.Errorf("add %s: %w", name, err)
		}
		if err := netlink.LinkSetUp(tunnel); err != nil {
			return fmt.Errorf("%s up: %w", name, err)
		}
		index = tunnel.Index
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("VXLAN tunnel %d: %w", vni, err)
	}
	return l.mirror(side, index)
}

// setUpTunnelEnd gives rs an address, and the other one a fixed neighbour: the
// sender waits for no ARP, and the sensor needs no address.
func (l *Lab) setUpTunnelEnd() error {
	rs, err := netlink.LinkByName(mirrorName)
	if err != nil {
		return fmt.Errorf("find %s: %w", mirrorName, err)
	}
	addr, err := netlink.ParseAddr(MirrorAddr.String() + "/24")
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(rs, addr); err != nil {
		return fmt.Errorf("address of %s: %w", mirrorName, err)
	}
	if err := addNeighbour(rs, CaptureAddr, captureMAC); err != nil {
		return fmt.Errorf("neighbour of %s: %w", mirrorName, err)
	}
	return nil
}

// mirror has tc copy what the port receives and sends. Losses of Drop come
// before it, wherever they are at this port: tcx programs run before tc filters.
//
// A tcx program with bpf_clone_redirect would do as well, but for one thing:
// the kernel takes its copies for redirected ones, and generic XDP at cap0 never
// gets them.
func (l *Lab) mirror(side Side, to int) (*Mirror, error) {
	m := &Mirror{lab: l, device: portNames[side]}
	l.mu.Lock()
	for i := range m.own {
		l.filters++
		m.own[i] = l.filters
	}
	l.mu.Unlock()
	err := l.Switch.Do(func() error {
		port, err := netlink.LinkByName(m.device)
		if err != nil {
			return err
		}
		m.index = port.Attrs().Index
		queue := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: m.index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
		}}
		if err := netlink.QdiscAdd(queue); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("add clsact: %w", err)
		}
		for i, direction := range directions {
			filter := &netlink.U32{ // without a selector: every frame
				FilterAttrs: netlink.FilterAttrs{LinkIndex: m.index, Parent: direction, Priority: m.own[i], Protocol: unix.ETH_P_ALL},
				Actions: []netlink.Action{&netlink.MirredAction{
					// On to the filter of another mirror.
					ActionAttrs: netlink.ActionAttrs{Action: netlink.TC_ACT_UNSPEC}, MirredAction: netlink.TCA_EGRESS_MIRROR, Ifindex: to,
				}},
			}
			if err := netlink.FilterAdd(filter); err != nil {
				return fmt.Errorf("add filter: %w", err)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("mirror at %s: %w", m.device, err)
	}
	return m, nil
}

// directions of what passes a port: from its host, and to it.
var directions = [2]uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS}

// Copies are the frames that a Mirror has seen.
type Copies struct {
	FromHost uint64 // that the host of this port sent
	ToHost   uint64 // that went to it
	Failed   uint64 // of those, not copied, or thrown away by the device they were copied to
}

// Copies reads the counts.
func (m *Mirror) Copies() (c Copies, err error) {
	err = m.each(func(i int, f *netlink.U32) error {
		for _, a := range f.Actions {
			s := a.Attrs().Statistics
			*[]*uint64{&c.FromHost, &c.ToHost}[i] += uint64(s.Basic.Packets)
			c.Failed += uint64(s.Queue.Overlimits)
		}
		return nil
	})
	return c, err
}

// Close ends the mirror.
func (m *Mirror) Close() error {
	return m.each(func(_ int, f *netlink.U32) error { return netlink.FilterDel(f) })
}

// each calls do with the mirror's filter of each direction.
func (m *Mirror) each(do func(i int, f *netlink.U32) error) error {
	err := m.lab.Switch.Do(func() error {
		port, err := netlink.LinkByIndex(m.index)
		if err != nil {
			return err
		}
		for i, direction := range directions {
			filters, err := netlink.FilterList(port, direction)
			if err != nil {
				return err
			}
			for _, f := range filters {
				// The list has the hash table of the filter as well, without actions.
				u, ok := f.(*netlink.U32)
				if !ok || f.Attrs().Priority != m.own[i] || len(u.Actions) == 0 {
					continue
				}
				if err := do(i, u); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("mirror at %s: %w", m.device, err)
	}
	return nil
}
