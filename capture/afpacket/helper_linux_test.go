package afpacket

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func linkOf(name string) (netlink.Link, error) { return netlink.LinkByName(name) }

// kernel tells whether the kernel is of that release or a later one.
func kernel(t *testing.T, major, minor int) bool {
	t.Helper()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		t.Fatal(err)
	}
	var a, b int
	if _, err := fmt.Sscanf(unix.ByteSliceToString(u.Release[:]), "%d.%d", &a, &b); err != nil {
		t.Fatal(err)
	}
	return a > major || a == major && b >= minor
}

// descriptors counts the process's open files.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// fanoutProgram gives a program that picks the ring by the two addresses of an
// IPv4 packet, the same for both directions.
func fanoutProgram(t testing.TB) int {
	t.Helper()
	load := func(offset int32) asm.Instructions {
		return asm.Instructions{
			asm.Mov.Reg(asm.R1, asm.R6),
			asm.Mov.Imm(asm.R2, offset),
			asm.Mov.Reg(asm.R3, asm.RFP),
			asm.Add.Imm(asm.R3, -8),
			asm.Mov.Imm(asm.R4, 4),
			asm.Mov.Imm(asm.R5, 1), // BPF_HDR_START_NET
			asm.FnSkbLoadBytesRelative.Call(),
			asm.LoadMem(asm.R0, asm.RFP, -8, asm.Word),
		}
	}
	ins := asm.Instructions{asm.Mov.Reg(asm.R6, asm.R1), asm.StoreImm(asm.RFP, -8, 0, asm.Word)}
	ins = append(ins, load(12)...)
	ins = append(ins, asm.Mov.Reg(asm.R7, asm.R0))
	ins = append(ins, load(16)...)
	ins = append(ins,
		asm.Xor.Reg(asm.R0, asm.R7),
		asm.HostTo(asm.BE, asm.R0, asm.Word),
		asm.Return(),
	)
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SocketFilter, License: "Dual BSD/GPL", Instructions: ins})
	if err != nil {
		t.Fatalf("load the fan-out program: %v", err)
	}
	t.Cleanup(func() { p.Close() })
	return p.FD()
}

// quantiles tells of times in ns.
func quantiles(ns []int64) string {
	slices.Sort(ns)
	at := func(q float64) time.Duration { return time.Duration(ns[int(q*float64(len(ns)-1))]) }
	return fmt.Sprintf("p50 %v, p90 %v, p99 %v, p99.9 %v, most %v", at(.5), at(.9), at(.99), at(.999), at(1))
}
