//go:build !linux

package host

import "mirrorscope/nic"

// Inspect knows only what it is told: captures need Linux.
func Inspect(k Known) *Facts {
	return &Facts{
		Release: "not Linux", Memory: k.Memory, LockLimit: -1, AFPacket: nic.No, AFXDP: nic.No, BPF: nic.No,
		Capabilities: []Capability{}, Unknown: map[string]string{"bpf": "not Linux", "bpf_jit": "not Linux", "clock": "not Linux"},
	}
}
