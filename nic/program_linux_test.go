package nic

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// foreign loads a program with a name.
func (l *lab) foreign(name string) *ebpf.Program {
	l.t.Helper()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: name, Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()},
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = prog.Close() })
	return prog
}

// onCap0 attaches it with a link.
func (l *lab) onCap0(prog *ebpf.Program, mode link.XDPAttachFlags) link.Link {
	l.t.Helper()
	var at link.Link
	l.in(l.sensor, func() error {
		dev, err := netlink.LinkByName(capName)
		if err != nil {
			return err
		}
		at, err = link.AttachXDP(link.XDPOptions{Program: prog, Interface: dev.Attrs().Index, Flags: mode})
		return err
	})
	l.t.Cleanup(func() { _ = at.Close() })
	return at
}

// xdpFinding is what Examine says of the program.
func (l *lab) xdpFinding(u Use) Finding {
	l.t.Helper()
	list := Examine(l.inspect(), u)
	i := slices.IndexFunc(list, func(f Finding) bool { return f.About == "xdp_program" })
	if i < 0 {
		l.t.Fatal("nothing is said of the program")
	}
	return list[i]
}

// TestReadXDP: a program that is held by a process is named with it.
func TestReadXDP(t *testing.T) {
	l := newLab(t)
	if p := l.inspect().XDP.XDPProgram; p.Attached != "" || p.Program != 0 {
		t.Errorf("without a program: %+v", p)
	}
	at := l.onCap0(l.foreign("foreign"), link.XDPDriverMode)
	info, err := at.Info()
	if err != nil {
		t.Fatal(err)
	}
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	self := Process{PID: os.Getpid(), Name: strings.TrimSpace(string(comm))}
	p := l.inspect().XDP.XDPProgram
	if p.Name != "foreign" || p.Attached != "native" || p.Program != int(info.Program) || p.Link != int(info.ID) || !slices.Equal(p.Holders, []Process{self}) {
		t.Errorf("%+v, want link %d, held by %+v", p, info.ID, self)
	}
	if want := fmt.Sprintf("XDP program %d foreign (native), held by process %d (%s)", info.Program, self.PID, self.Name); p.String() != want {
		t.Errorf("%s, want %s", p, want)
	}
	x := l.xdpFinding(Use{AFXDP: true})
	if want := fmt.Sprintf("end process %d (%s)", self.PID, self.Name); x.Level != Error || x.Mend != want || !strings.Contains(x.Found, "foreign") {
		t.Errorf("%+v, want %s", x, want)
	}
	if x := l.xdpFinding(Use{}); x.Level != Warning {
		t.Errorf("before AF_PACKET: %+v", x)
	}
	at.Close()
	if p := l.inspect().XDP.XDPProgram; p.Attached != "" {
		t.Errorf("when it has gone: %+v", p)
	}
}

// TestXDPMend: what is named as a mend takes the program off.
func TestXDPMend(t *testing.T) {
	for _, mode := range []struct {
		name  string
		flags int
	}{{"native", nlXDPDriver}, {"generic", nlXDPGeneric}} {
		t.Run(mode.name, func(t *testing.T) {
			l := newLab(t)
			prog := l.foreign("stays")
			l.in(l.sensor, func() error {
				dev, err := netlink.LinkByName(capName)
				if err != nil {
					return err
				}
				return netlink.LinkSetXdpFdWithFlags(dev, prog.FD(), mode.flags)
			})
			x := l.xdpFinding(Use{AFXDP: true})
			if !strings.Contains(x.Found, "stays ("+mode.name+")") {
				t.Errorf("%+v", x)
			}
			words := strings.Fields(x.Mend)
			l.run(l.sensor, "", words[0], words[1:]...)
			if p := l.inspect().XDP.XDPProgram; p.Attached != "" {
				t.Errorf("%s does not help: %+v", x.Mend, p)
			}
		})
	}
	t.Run("pinned", func(t *testing.T) {
		l := newLab(t)
		at := l.onCap0(l.foreign("pinned"), link.XDPDriverMode)
		info, err := at.Info()
		if err != nil {
			t.Fatal(err)
		}
		bpffs := t.TempDir()
		if err := unix.Mount("bpf", bpffs, "bpf", 0, ""); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := unix.Unmount(bpffs, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		}()
		if err := at.Pin(filepath.Join(bpffs, "link")); err != nil {
			t.Fatal(err)
		}
		at.Close()
		if x := l.xdpFinding(Use{AFXDP: true}); x.Mend != fmt.Sprintf("bpftool link detach id %d", info.ID) {
			t.Errorf("%+v", x)
		}
	})
}

// Flags of IFLA_XDP_FLAGS.
const (
	nlXDPGeneric = 1 << 1
	nlXDPDriver  = 1 << 2
)
