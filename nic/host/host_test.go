package host

import (
	"fmt"
	"strings"
	"testing"

	"mirrorscope/nic"
)

// good is a machine with all that capture needs.
func good() *Facts {
	return &Facts{
		Release: "6.18.4", Kernel: nic.Version{Major: 6, Minor: 18}, CPUs: 2, AFPacket: nic.Yes, AFXDP: nic.Yes, BPF: nic.Yes, BTF: true, JIT: nic.Yes,
		Capabilities: []Capability{NetRaw, NetAdmin, BPF, Perfmon, IPCLock}, LockLimit: 8 << 20, Memory: 4 << 30, XDPMemory: 32 << 20, LandlockABI: 7,
		Synchronised: nic.Yes, Unknown: map[string]string{},
	}
}

func TestExamine(t *testing.T) {
	xdp := nic.Use{AFXDP: true}
	for _, tc := range []struct {
		name  string
		spoil func(*Facts)
		use   nic.Use
		want  string // level about: part of the rest, of all that is not OK
	}{
		{"all is well", func(*Facts) {}, nic.Use{}, ""},
		{"all is well for AF_XDP", func(*Facts) {}, xdp, ""},
		{"5.15", func(f *Facts) { f.Release, f.Kernel = "5.15.0", nic.Version{Major: 5, Minor: 15} }, nic.Use{}, "note kernel: 5.15.0 lacks: what is sent can be dropped (5.16), XDP for frames of several buffers (5.18)"},
		{"too old", func(f *Facts) { f.Release, f.Kernel = "4.19.0", nic.Version{Major: 4, Minor: 19} }, nic.Use{}, "warning kernel: 4.19.0"},
		{"no packet sockets", func(f *Facts) { f.AFPacket = nic.No }, nic.Use{}, "error af_packet: is not in this kernel"},
		{"no AF_XDP, not needed", func(f *Facts) { f.AFXDP = nic.No }, nic.Use{}, "note af_xdp: is not in this kernel"},
		{"no AF_XDP, needed", func(f *Facts) { f.AFXDP = nic.No }, xdp, "error af_xdp: is not in this kernel"},
		{"no BPF, needed", func(f *Facts) { f.BPF, f.Unknown["bpf"] = nic.No, "function not implemented" }, xdp, "error bpf: an XDP program does not load: function not implemented"},
		{"no JIT", func(f *Facts) { f.JIT = nic.No }, nic.Use{}, "warning bpf_jit: off [sysctl -w net.core.bpf_jit_enable=1]"},
		{"no BTF", func(f *Facts) { f.BTF = false }, nic.Use{}, "note btf"},
		{"no rights", func(f *Facts) { f.Capabilities = nil }, nic.Use{}, "error capabilities: this process lacks CAP_NET_RAW, CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON, CAP_IPC_LOCK"},
		{"a raw socket alone", func(f *Facts) { f.Capabilities = []Capability{NetRaw} }, nic.Use{}, "error capabilities: this process lacks CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON, CAP_IPC_LOCK"},
		{"rights for AF_PACKET alone", func(f *Facts) { f.Capabilities = []Capability{NetRaw, BPF, Perfmon} }, nic.Use{}, "warning capabilities: this process lacks CAP_NET_ADMIN, CAP_IPC_LOCK"},
		{"without the right to programs", func(f *Facts) { f.Capabilities = []Capability{NetRaw, NetAdmin, Perfmon, IPCLock} }, nic.Use{}, "error capabilities: this process lacks CAP_BPF"},
		{"without the right to pointers", func(f *Facts) { f.Capabilities = []Capability{NetRaw, NetAdmin, BPF, IPCLock} }, nic.Use{}, "error capabilities: this process lacks CAP_PERFMON"},
		{"the same for AF_XDP", func(f *Facts) { f.Capabilities = []Capability{NetRaw} }, xdp, "error capabilities: this process lacks CAP_NET_ADMIN, CAP_BPF, CAP_PERFMON, CAP_IPC_LOCK"},
		{"locked memory", func(f *Facts) { f.Capabilities = f.Capabilities[:4] }, xdp, "error capabilities: this process lacks CAP_IPC_LOCK"},
		{"locked memory, enough", func(f *Facts) { f.Capabilities, f.LockLimit = f.Capabilities[:4], 64<<20 }, xdp, "note capabilities: this process lacks CAP_IPC_LOCK"},
		{"locked memory, no limit", func(f *Facts) { f.Capabilities, f.LockLimit = f.Capabilities[:4], -1 }, xdp, "note capabilities: this process lacks CAP_IPC_LOCK"},
		{"keeps BPF", func(f *Facts) { f.KeepsBPF = true }, nic.Use{}, "note cap_bpf"},
		{"little memory", func(f *Facts) { f.Memory = 200 << 20 }, nic.Use{}, "warning memory: 200 MiB for this process"},
		{"no Landlock", func(f *Facts) { f.LandlockABI = 0 }, nic.Use{}, "note landlock"},
		{"wrong clock", func(f *Facts) { f.Synchronised = nic.No }, nic.Use{}, "warning clock: nothing keeps it right"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := good()
			tc.spoil(f)
			var got []string
			for _, x := range Examine(f, tc.use) {
				if x.Level == nic.OK {
					continue
				}
				got = append(got, fmt.Sprintf("%s %s: %s [%s]", x.Level, x.About, x.Found, x.Mend))
				if x.Level > nic.Note && (x.Why == "" || x.Mend == "") {
					t.Errorf("%+v lacks a reason or a mend", x)
				}
			}
			text := strings.Join(got, "\n")
			if !strings.HasPrefix(text, tc.want) || tc.want == "" && text != "" || len(got) > 1 {
				t.Errorf("got\n%s\nwant\n%s", text, tc.want)
			}
		})
	}
}

// TestUnknown: what could not be tried is not said to be missing.
func TestUnknown(t *testing.T) {
	f := good()
	f.AFPacket, f.AFXDP, f.BPF, f.JIT, f.Synchronised = nic.Unknown, nic.Unknown, nic.Unknown, nic.Unknown, nic.Unknown
	for _, x := range Examine(f, nic.Use{AFXDP: true}) {
		if x.Level > nic.Note {
			t.Errorf("%+v", x)
		}
	}
}
