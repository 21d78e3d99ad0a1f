package nic

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
)

// xdpModes names IFLA_XDP_ATTACHED (XDP_ATTACHED_* of linux/if_link.h).
var xdpModes = map[uint32]string{
	nl.XDP_ATTACHED_DRV: "native", nl.XDP_ATTACHED_SKB: "generic", nl.XDP_ATTACHED_HW: "offload", 4: "several",
}

// ReadXDP tells which XDP program is on an interface, and as root who has it
// there.
func ReadXDP(ifname string) (XDPProgram, error) {
	l, err := findLink(ifname)
	if err != nil {
		return XDPProgram{}, err
	}
	p, _ := programOn(l) // what else there is to tell, it tells
	return p, nil
}

// programOn gives the program on an interface. The error says why its name and
// its link are not known.
func programOn(l netlink.Link) (XDPProgram, error) {
	a := l.Attrs()
	if a.Xdp == nil || !a.Xdp.Attached {
		return XDPProgram{}, nil
	}
	p := XDPProgram{Attached: xdpModes[a.Xdp.AttachMode], Program: int(a.Xdp.ProgId)}
	var errs []error
	var err error
	if p.Name, err = programName(ebpf.ProgramID(a.Xdp.ProgId)); err != nil {
		errs = append(errs, err)
	}
	if p.Link, err = linkOf(a.Index, ebpf.ProgramID(a.Xdp.ProgId)); err != nil {
		errs = append(errs, err)
	}
	if len(errs) == 0 {
		p.Holders = holders(p.Link, p.Program)
	}
	return p, errors.Join(errs...)
}

func programName(id ebpf.ProgramID) (string, error) {
	prog, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return "", fmt.Errorf("ask for program %d: %w", id, err)
	}
	defer func() { _ = prog.Close() }()
	info, err := prog.Info()
	if err != nil {
		return "", fmt.Errorf("ask for program %d: %w", id, err)
	}
	return info.Name, nil
}

// linkOf gives the number of the bpf_link that has a program on an interface,
// or 0 where it was put there by netlink.
func linkOf(ifindex int, id ebpf.ProgramID) (int, error) {
	all := new(link.Iterator)
	defer all.Close()
	for all.Next() {
		info, err := all.Link.Info()
		if err != nil || info.Program != id {
			continue // it may have gone meanwhile
		}
		if x := info.XDP(); x != nil && int(x.Ifindex) == ifindex {
			return int(info.ID), nil
		}
	}
	if err := all.Err(); err != nil {
		return 0, fmt.Errorf("list the links of programs: %w", err)
	}
	return 0, nil
}

// holders lists the processes that have the link open, or the program where it
// has none. Those that end meanwhile or may not be looked at are left out.
func holders(link, program int) []Process {
	what, field := "anon_inode:bpf_link", fmt.Sprintf("link_id:\t%d\n", link)
	if link == 0 {
		what, field = "anon_inode:bpf-prog", fmt.Sprintf("prog_id:\t%d\n", program)
	}
	descriptors, _ := filepath.Glob("/proc/[0-9]*/fd/*") // the pattern is good
	var list []Process
	for _, fd := range descriptors {
		// The kernel writes both with and without brackets around the kind.
		target, err := os.Readlink(fd)
		if err != nil || strings.NewReplacer("[", "", "]", "").Replace(target) != what {
			continue
		}
		dir := filepath.Dir(filepath.Dir(fd))
		text, err := os.ReadFile(filepath.Join(dir, "fdinfo", filepath.Base(fd)))
		if err != nil || !strings.Contains(string(text), field) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || slices.ContainsFunc(list, func(p Process) bool { return p.PID == pid }) {
			continue
		}
		name, _ := os.ReadFile(filepath.Join(dir, "comm"))
		list = append(list, Process{PID: pid, Name: strings.TrimSpace(string(name))})
	}
	return list
}
