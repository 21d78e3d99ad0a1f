package nic

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// programFrags is BPF_F_XDP_HAS_FRAGS: the program takes frames of more than
// one buffer.
const programFrags = 1 << 5

// TryXDP finds out what the interface takes by attaching a program that passes
// every frame, and takes it off again. It needs CAP_NET_ADMIN and CAP_BPF.
//
// Many NICs set up their queues anew for it and lose frames meanwhile, so it is
// nothing to do beside a running capture. The error is of a try that says
// nothing, as when another program is attached already (unix.EBUSY).
func TryXDP(ifname string) (XDP, error) {
	l, err := findLink(ifname)
	if err != nil {
		return XDP{}, err
	}
	x := XDP{Source: "tried"}
	plain, err := tryXDP(l.Attrs().Index, 0, link.XDPDriverMode)
	if err != nil {
		return XDP{}, fmt.Errorf("try XDP on %s: %w", ifname, err)
	}
	frags, err := tryXDP(l.Attrs().Index, programFrags, link.XDPDriverMode)
	if err != nil {
		return XDP{}, fmt.Errorf("try XDP on %s: %w", ifname, err)
	}
	x.Native, x.MultiBuffer = answer(plain || frags), answer(frags)
	return x, nil
}

// tryXDP tells whether the driver takes the program. Errors are those that do
// not come from what the driver can.
func tryXDP(ifindex int, flags uint32, mode link.XDPAttachFlags) (bool, error) {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "pass", Type: ebpf.XDP, License: "GPL", Flags: flags,
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2 /* XDP_PASS */), asm.Return()},
	})
	if err != nil {
		if flags != 0 && errors.Is(err, unix.EINVAL) {
			return false, nil // a kernel before 5.18
		}
		return false, fmt.Errorf("load a program: %w", err)
	}
	defer func() { _ = prog.Close() }()
	l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: ifindex, Flags: mode})
	switch {
	case err == nil:
		return true, l.Close()
	case errors.Is(err, unix.EBUSY), errors.Is(err, unix.EPERM), errors.Is(err, unix.EEXIST):
		return false, err
	}
	return false, nil // EOPNOTSUPP, ERANGE, EINVAL, …: not as the interface is set
}
