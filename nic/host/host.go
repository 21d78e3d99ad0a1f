// Package host knows what a machine offers a live capture: its kernel, what this
// process may do on it, memory and clock. It changes nothing.
package host

import (
	"fmt"
	"slices"
	"strings"

	"mirrorscope/nic"
)

// Facts are what is known of the machine and of this process on it.
type Facts struct {
	Release string      `json:"release"` // of the kernel, as uname -r
	Kernel  nic.Version `json:"-"`
	CPUs    int         `json:"cpus"`

	// AFPacket, AFXDP and BPF say whether the kernel has them; why they could
	// not be tried is in Unknown.
	AFPacket nic.Answer `json:"af_packet"`
	AFXDP    nic.Answer `json:"af_xdp"`
	BPF      nic.Answer `json:"bpf"` // an XDP program that reads the clock loads
	BTF      bool       `json:"btf"`
	JIT      nic.Answer `json:"jit"`

	// Capabilities are the effective ones of this process, of those that
	// capture needs.
	Capabilities []Capability `json:"capabilities"`
	// KeepsBPF says that the process must keep CAP_BPF to read its maps.
	KeepsBPF bool `json:"keeps_bpf"`
	// LockLimit is RLIMIT_MEMLOCK, octets; -1: none.
	LockLimit int64 `json:"lock_limit_bytes"`
	// Memory is what the process may use, octets.
	Memory int64 `json:"memory_bytes"`
	// XDPMemory is what AF_XDP registers for one queue, octets.
	XDPMemory int64 `json:"xdp_memory_bytes"`
	// LandlockABI is the version of Landlock; 0: none.
	LandlockABI int `json:"landlock_abi"`
	// Synchronised says that something keeps the clock right.
	Synchronised nic.Answer `json:"clock_synchronised"`

	Unknown map[string]string `json:"unknown,omitempty"`
}

// Capability is one of capabilities(7), in capitals without CAP_.
type Capability string

// Capabilities that capture needs.
const (
	NetRaw   Capability = "NET_RAW"   // packet sockets
	NetAdmin Capability = "NET_ADMIN" // XDP programs, the guard
	BPF      Capability = "BPF"       // BPF programs and maps
	Perfmon  Capability = "PERFMON"   // BPF programs that compare and subtract pointers
	IPCLock  Capability = "IPC_LOCK"  // memory of AF_XDP beyond the limit
)

// Known is what the caller has found out already.
type Known struct {
	Memory      int64 // octets that the process may use
	KeepsBPF    bool
	LandlockABI int
	XDPMemory   int64 // octets that AF_XDP registers for one queue
}

// oldest is the oldest kernel that captures are tested on, or meant for.
var oldest = nic.Version{Major: 5, Minor: 15}

// Examine judges the machine for capture; of u it is AFXDP and Native that
// matter.
func Examine(f *Facts, u nic.Use) []nic.Finding {
	e := examiner{f: f, u: u}
	e.kernel()
	e.sockets()
	e.bpf()
	e.capabilities()
	e.memory()
	e.confinement()
	e.clock()
	return e.findings
}

type examiner struct {
	f        *Facts
	u        nic.Use
	findings []nic.Finding
}

func (e *examiner) add(l nic.Level, about, found, why, mend string) {
	e.findings = append(e.findings, nic.Finding{Level: l, About: about, Found: found, Why: why, Mend: mend})
}

// xdpLevel is how bad it is that AF_XDP lacks something.
func (e *examiner) xdpLevel() nic.Level {
	if e.u.AFXDP {
		return nic.Error
	}
	return nic.Note
}

func (e *examiner) kernel() {
	k := e.f.Kernel
	if !k.AtLeast(oldest.Major, oldest.Minor) {
		e.add(nic.Warning, "kernel", e.f.Release, "it is older than any that this was made for ("+oldest.String()+")", "install a newer kernel")
		return
	}
	var has, lacks []string
	for _, feature := range []struct {
		name         string
		major, minor int
	}{
		{"what is sent can be dropped", 5, 16}, {"XDP for frames of several buffers", 5, 18}, {"counters without CAP_BPF", 5, 19},
		{"XDP features told", 6, 3}, {"AF_XDP for frames of several buffers", 6, 6}, {"tcx", 6, 6},
	} {
		if k.AtLeast(feature.major, feature.minor) {
			has = append(has, feature.name)
		} else {
			lacks = append(lacks, fmt.Sprintf("%s (%d.%d)", feature.name, feature.major, feature.minor))
		}
	}
	if len(lacks) == 0 {
		e.add(nic.OK, "kernel", e.f.Release+": "+strings.Join(has, ", "), "", "")
		return
	}
	e.add(nic.Note, "kernel", e.f.Release+" lacks: "+strings.Join(lacks, ", "), "the sensor does without, see the other findings", "")
}

func (e *examiner) sockets() {
	switch e.f.AFPacket {
	case nic.Yes:
		e.add(nic.OK, "af_packet", "works", "", "")
	case nic.No:
		e.add(nic.Error, "af_packet", "is not in this kernel", "nothing can be captured", "a kernel with CONFIG_PACKET")
	default:
		e.add(nic.Note, "af_packet", "could not be tried: "+e.f.Unknown["af_packet"], "", "run sensor check as root")
	}
	switch e.f.AFXDP {
	case nic.Yes:
		e.add(nic.OK, "af_xdp", "works", "", "")
	case nic.No:
		e.add(e.xdpLevel(), "af_xdp", "is not in this kernel", "mode afxdp does not work; afpacket does", "a kernel with CONFIG_XDP_SOCKETS, or mode afpacket")
	default:
		e.add(nic.Note, "af_xdp", "could not be tried: "+e.f.Unknown["af_xdp"], "", "run sensor check as root")
	}
}

func (e *examiner) bpf() {
	switch e.f.BPF {
	case nic.Yes:
		e.add(nic.OK, "bpf", "XDP programs load", "", "")
	case nic.No:
		e.add(e.xdpLevel(), "bpf", "an XDP program does not load: "+e.f.Unknown["bpf"], "neither filters nor AF_XDP nor several rings work", "a kernel with CONFIG_BPF_SYSCALL")
	default:
		e.add(nic.Note, "bpf", "could not be tried: "+e.f.Unknown["bpf"], "", "run sensor check as root")
	}
	if e.f.BTF {
		e.add(nic.OK, "btf", "the kernel describes its types", "", "")
	} else {
		e.add(nic.Note, "btf", "the kernel does not describe its types", "nothing here needs it; tools that look at BPF programs do", "")
	}
	switch e.f.JIT {
	case nic.No:
		e.add(nic.Warning, "bpf_jit", "off", "programs that look at each packet are interpreted and several times slower", "sysctl -w net.core.bpf_jit_enable=1")
	case nic.Yes:
		e.add(nic.OK, "bpf_jit", "on", "", "")
	default:
		e.add(nic.Note, "bpf_jit", "not told: "+e.f.Unknown["bpf_jit"], "", "")
	}
}

func (e *examiner) capabilities() {
	const mend = "run as root, or in a unit with AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN CAP_BPF CAP_PERFMON CAP_IPC_LOCK"
	var missing []string
	level, why := nic.OK, []string{}
	lacks := func(c Capability, l nic.Level, reason string) {
		if !slices.Contains(e.f.Capabilities, c) {
			missing = append(missing, "CAP_"+string(c))
			level, why = max(level, l), append(why, reason)
		}
	}
	optional := nic.Warning
	if e.u.AFXDP {
		optional = nic.Error
	}
	lacks(NetRaw, nic.Error, "without NET_RAW nothing can be captured")
	lacks(NetAdmin, optional, "NET_ADMIN is for the guard and XDP")
	lacks(BPF, nic.Error, "without BPF the filter does not load, which is there in every mode")
	lacks(Perfmon, nic.Error, "without PERFMON the kernel refuses the filter's program")
	if e.u.AFXDP && e.f.LockLimit >= 0 && e.f.LockLimit < e.f.XDPMemory {
		lacks(IPCLock, nic.Error, fmt.Sprintf("without IPC_LOCK no more than %d KiB can be registered for AF_XDP (ENOBUFS)", e.f.LockLimit>>10))
	} else {
		lacks(IPCLock, nic.Note, "IPC_LOCK is for AF_XDP beyond the limit of locked memory")
	}
	if len(missing) == 0 {
		e.add(nic.OK, "capabilities", "all that capture needs", "", "")
	} else {
		e.add(level, "capabilities", "this process lacks "+strings.Join(missing, ", "), strings.Join(why, "; "), mend)
	}
	if e.f.KeepsBPF {
		e.add(nic.Note, "cap_bpf", "kernel.unprivileged_bpf_disabled is set, and the kernel is older than 5.19",
			"the sensor must keep CAP_BPF for its life, to read its counters", "a kernel from 5.19 on, or sysctl -w kernel.unprivileged_bpf_disabled=0 (2 and 0 can be set at any time, 1 lasts until the next boot)")
	}
}

func (e *examiner) memory() {
	const least = 512 << 20
	text := fmt.Sprintf("%d MiB for this process", e.f.Memory>>20)
	if e.f.Memory < least {
		e.add(nic.Warning, "memory", text, "connections end early when their tables are full", "a larger machine, or MemoryMax= of the unit; at least 512M")
	} else {
		e.add(nic.OK, "memory", text, "", "")
	}
	if e.u.AFXDP && e.f.LockLimit >= 0 && e.f.LockLimit < e.f.XDPMemory && slices.Contains(e.f.Capabilities, IPCLock) {
		e.add(nic.OK, "locked_memory", fmt.Sprintf("limited to %d KiB, which CAP_IPC_LOCK lifts", e.f.LockLimit>>10), "", "")
	}
}

func (e *examiner) confinement() {
	if e.f.LandlockABI > 0 {
		e.add(nic.OK, "landlock", fmt.Sprintf("version %d", e.f.LandlockABI), "", "")
	} else {
		e.add(nic.Note, "landlock", "is not in this kernel, or not switched on", "the sensor cannot give up files and ports that it does not need", "lsm=landlock,… on the kernel's command line, from 5.13 on")
	}
}

func (e *examiner) clock() {
	switch e.f.Synchronised {
	case nic.Yes:
		e.add(nic.OK, "clock", "synchronised", "", "")
	case nic.No:
		e.add(nic.Warning, "clock", "nothing keeps it right", "times of records cannot be compared with those of other machines; durations are not touched", "timedatectl set-ntp true, or install chrony")
	default:
		e.add(nic.Note, "clock", "not told: "+e.f.Unknown["clock"], "", "")
	}
}
