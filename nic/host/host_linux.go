package host

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"runtime"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
	"kernel.org/pub/linux/libs/security/libcap/cap"

	"mirrorscope/nic"
)

// Inspect finds out what it can.
func Inspect(k Known) *Facts {
	f := &Facts{
		CPUs: runtime.NumCPU(), Memory: k.Memory, KeepsBPF: k.KeepsBPF, LandlockABI: k.LandlockABI, XDPMemory: k.XDPMemory,
		Unknown: map[string]string{}, Capabilities: []Capability{}, LockLimit: -1,
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		f.Release = unix.ByteSliceToString(u.Release[:])
		f.Kernel, _ = nic.ParseVersion(f.Release) // a release that cannot be read is older than any
	}
	f.AFPacket = f.try("af_packet", func() error { return trySocket(unix.AF_PACKET) })
	f.AFXDP = f.try("af_xdp", func() error { return trySocket(unix.AF_XDP) })
	f.BPF = f.try("bpf", tryProgram)
	_, err := os.Stat("/sys/kernel/btf/vmlinux")
	f.BTF = err == nil
	f.jit()
	f.capabilities()
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit) == nil && limit.Cur != unix.RLIM_INFINITY {
		f.LockLimit = int64(min(limit.Cur, math.MaxInt64))
	}
	f.clock()
	return f
}

// try tells whether something works. Where this process has no right to it,
// nothing is known.
func (f *Facts) try(name string, do func() error) nic.Answer {
	err := do()
	switch {
	case err == nil:
		return nic.Yes
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		f.Unknown[name] = "this process may not"
		return nic.Unknown
	}
	f.Unknown[name] = err.Error()
	return nic.No
}

func trySocket(family int) error {
	fd, err := unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// tryProgram loads an XDP program that reads the clock, as each of ours does.
func tryProgram() error {
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "try", Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.FnKtimeGetNs.Call(), asm.Mov.Imm(asm.R0, 2 /* XDP_PASS */), asm.Return()},
	})
	if err != nil {
		return err
	}
	return prog.Close()
}

func (f *Facts) jit() {
	b, err := os.ReadFile("/proc/sys/net/core/bpf_jit_enable")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// Without the switch a kernel has the compiler always or never; those
		// with CONFIG_BPF_JIT_ALWAYS_ON still have it in the first namespace.
		f.Unknown["bpf_jit"] = "this network namespace has no switch for it"
	case errors.Is(err, fs.ErrPermission):
		f.Unknown["bpf_jit"] = "this process may not"
	case err != nil:
		f.Unknown["bpf_jit"] = err.Error()
	case strings.TrimSpace(string(b)) == "0":
		f.JIT = nic.No
	default:
		f.JIT = nic.Yes
	}
}

func (f *Facts) capabilities() {
	set := cap.GetProc()
	for _, c := range []struct {
		name   Capability
		values []cap.Value // any of them will do
	}{
		{NetRaw, []cap.Value{cap.NET_RAW}}, {NetAdmin, []cap.Value{cap.NET_ADMIN}},
		{BPF, []cap.Value{cap.BPF, cap.SYS_ADMIN}}, {Perfmon, []cap.Value{cap.PERFMON, cap.SYS_ADMIN}}, {IPCLock, []cap.Value{cap.IPC_LOCK}},
	} {
		for _, v := range c.values {
			if has, err := set.GetFlag(cap.Effective, v); err == nil && has {
				f.Capabilities = append(f.Capabilities, c.name)
				break
			}
		}
	}
}

// clock asks what adjtimex(2) says: a daemon for NTP or PTP clears STA_UNSYNC.
func (f *Facts) clock() {
	var t unix.Timex
	state, err := unix.Adjtimex(&t)
	if err != nil {
		f.Unknown["clock"] = fmt.Sprintf("adjtimex: %v", err)
		return
	}
	f.Synchronised = nic.Yes
	const unsynchronised = 0x40 // STA_UNSYNC
	if state == 5 /* TIME_ERROR */ || t.Status&unsynchronised != 0 {
		f.Synchronised = nic.No
	}
}
