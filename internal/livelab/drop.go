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

// Place is where on its way a packet is lost.
type Place uint8

const (
	AtSender   Place = iota // before it comes to a mirror
	Between                 // behind the mirror on the sender's side, before that on the receiver's
	AtReceiver              // behind every mirror
)

// Drop says which TCP packets are lost.
type Drop struct {
	From  Side
	Place Place
	// Every n-th packet of at least MinLen octets is lost, with Ethernet's 14:
	// the n-th is the first.
	Every  int
	MinLen int // 0: 200, so that only packets with data count
}

// Loss is the fault that a Drop has made.
type Loss struct {
	counts *ebpf.Map
	hook   hook
}

// Drop has the network lose packets from now on.
func (l *Lab) Drop(d Drop) (*Loss, error) {
	if d.Every < 1 {
		return nil, fmt.Errorf("drop every %d. packet", d.Every)
	}
	if d.MinLen == 0 {
		d.MinLen = 200
	}
	counts, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 2})
	if err != nil {
		return nil, fmt.Errorf("map of a loss: %w", err)
	}
	loss := &Loss{counts: counts}
	loss.hook.closers = append(loss.hook.closers, counts.Close)

	to := 1 - d.From
	n, device, at := l.Switch, portNames[d.From], ebpf.AttachTCXIngress
	switch d.Place {
	case Between:
		device, at = portNames[to], ebpf.AttachTCXEgress
	case AtReceiver:
		n, device = l.Hosts[to], hostName
	}
	if err := loss.hook.attach(n, device, at, link.Head(), dropProgram(d, counts)); err != nil {
		return nil, errors.Join(fmt.Errorf("loss at %s: %w", device, err), loss.Close())
	}
	l.atClose(loss.Close)
	return loss, nil
}

// Counts gives the packets that could have been lost, and those that were.
func (l *Loss) Counts() (passed, lost uint64, err error) {
	var n [2]uint64
	for i := range n {
		if err := l.counts.Lookup(uint32(i), &n[i]); err != nil {
			return 0, 0, fmt.Errorf("counts of a loss: %w", err)
		}
	}
	return n[0], n[1], nil
}

// Close ends the loss.
func (l *Loss) Close() error { return l.hook.close() }

// nextProgram is TCX_NEXT (linux/bpf.h): go on with the next program.
const nextProgram = -1

// Offsets in a struct __sk_buff (linux/bpf.h).
const (
	skbLen      = 0
	skbProtocol = 16 // network byte order
)

const (
	ipv4InNetworkOrder = 0x0008 // EtherType 0x0800
	protocolAt         = 14 + 9 // in a frame with IPv4
	drop               = 2      // TCX_DROP (linux/bpf.h)
)

// dropProgram counts at index 0, and what it loses at index 1.
func dropProgram(d Drop, counts *ebpf.Map) asm.Instructions {
	element := func(i int32) asm.Instructions {
		return asm.Instructions{
			asm.StoreImm(asm.R10, -4, int64(i), asm.Word),
			asm.LoadMapPtr(asm.R1, counts.FD()),
			asm.Mov.Reg(asm.R2, asm.R10),
			asm.Add.Imm(asm.R2, -4),
			asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, "pass"),
			asm.Mov.Imm(asm.R7, 1),
		}
	}
	code := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R0, asm.R6, skbProtocol, asm.Word),
		asm.JNE.Imm(asm.R0, ipv4InNetworkOrder, "pass"),
		asm.LoadMem(asm.R0, asm.R6, skbLen, asm.Word),
		asm.JLT.Imm(asm.R0, int32(d.MinLen), "pass"),
		asm.LoadAbs(protocolAt, asm.Byte), // of the packet of R6
		asm.JNE.Imm(asm.R0, 6, "pass"),
	}
	next := asm.FetchAdd.Mem(asm.R0, asm.R7, asm.DWord, 0) // R7 = the count so far
	next.Constant = 1                                      // BPF_FETCH: cilium/ebpf 0.22 leaves it out, and R7 stayed 1
	code = append(code, element(0)...)
	code = append(code,
		next,
		asm.Mod.Imm(asm.R7, int32(d.Every)),
		asm.JNE.Imm(asm.R7, int32(d.Every-1), "pass"),
	)
	code = append(code, element(1)...)
	return append(code,
		asm.AddAtomic.Mem(asm.R0, asm.R7, asm.DWord, 0),
		asm.Mov.Imm(asm.R0, drop), asm.Return(),
		asm.Mov.Imm(asm.R0, nextProgram).WithSymbol("pass"), asm.Return(),
	)
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
