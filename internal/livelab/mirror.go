//go:build linux

package livelab

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// Mirror copies what passes a port of the switch, in both directions.
type Mirror struct {
	counts *ebpf.Map
	hook   hook
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

// mirror attaches the program that copies, behind all that lose packets.
func (l *Lab) mirror(side Side, to int) (*Mirror, error) {
	counts, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 4})
	if err != nil {
		return nil, fmt.Errorf("map of mirror %s: %w", portNames[side], err)
	}
	m := &Mirror{counts: counts}
	m.hook.closers = append(m.hook.closers, counts.Close)
	for i, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		if err := m.hook.attach(l.Switch, portNames[side], at, link.Tail(), cloneProgram(to, counts, i)); err != nil {
			return nil, errors.Join(fmt.Errorf("mirror at %s: %w", portNames[side], err), m.Close())
		}
	}
	l.atClose(m.Close)
	return m, nil
}

// Copies are the frames that a Mirror has seen.
type Copies struct {
	FromHost uint64 // that the host of this port sent, copied
	ToHost   uint64 // that went to it, copied
	Failed   uint64 // not copied, or thrown away by the device they were copied to
}

// Copies reads the counts.
func (m *Mirror) Copies() (Copies, error) {
	var n [4]uint64 // by direction and failure
	for i := range n {
		if err := m.counts.Lookup(uint32(i), &n[i]); err != nil {
			return Copies{}, fmt.Errorf("counts of a mirror: %w", err)
		}
	}
	return Copies{FromHost: n[0], ToHost: n[2], Failed: n[1] + n[3]}, nil
}

// Close ends the mirror.
func (m *Mirror) Close() error { return m.hook.close() }

// nextProgram is TCX_NEXT (linux/bpf.h): go on with the next program.
const nextProgram = -1

// cloneProgram copies each frame to a device and counts at index 2·direction,
// or behind it if that failed.
func cloneProgram(to int, counts *ebpf.Map, direction int) asm.Instructions {
	return append(asm.Instructions{
		asm.Mov.Imm(asm.R2, int32(to)),
		asm.Mov.Imm(asm.R3, 0), // send
		asm.FnCloneRedirect.Call(),
		asm.Mov.Imm(asm.R6, int32(2*direction)),
		asm.JEq.Imm(asm.R0, 0, "count"),
		asm.Add.Imm(asm.R6, 1),
		asm.StoreMem(asm.R10, -4, asm.R6, asm.Word).WithSymbol("count"),
		asm.LoadMapPtr(asm.R1, counts.FD()),
		asm.Mov.Reg(asm.R2, asm.R10),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "end"),
		asm.Mov.Imm(asm.R1, 1),
		asm.AddAtomic.Mem(asm.R0, asm.R1, asm.DWord, 0),
	}, asm.Mov.Imm(asm.R0, nextProgram).WithSymbol("end"), asm.Return())
}

// hook is programs attached to devices, and all that goes with them.
type hook struct {
	once    sync.Once
	closers []func() error
}

// attach loads a program and attaches it to a device of a namespace.
func (h *hook) attach(n *Namespace, device string, at ebpf.AttachType, where link.Anchor, code asm.Instructions) error {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, Instructions: code, License: "Dual BSD/GPL"})
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	h.closers = append(h.closers, program.Close)
	return n.Do(func() error {
		l, err := netlink.LinkByName(device)
		if err != nil {
			return fmt.Errorf("find %s: %w", device, err)
		}
		attached, err := link.AttachTCX(link.TCXOptions{Interface: l.Attrs().Index, Program: program, Attach: at, Anchor: where})
		if err != nil {
			return fmt.Errorf("attach to %s: %w", device, err)
		}
		h.closers = append(h.closers, attached.Close)
		return nil
	})
}

func (h *hook) close() (err error) {
	h.once.Do(func() {
		for i := len(h.closers) - 1; i >= 0; i-- {
			err = errors.Join(err, h.closers[i]())
		}
	})
	return err
}
