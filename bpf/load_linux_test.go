package bpf

import (
	"testing"

	"github.com/cilium/ebpf"

	"mirrorscope/internal/needs"
)

// TestLoad wants the verifier's work to stay far below its limit of a million
// instructions: older kernels forget more of what they know, and look longer.
func TestLoad(t *testing.T) {
	needs.Root(t)
	p, err := Load(DefaultConfig(), ToSocket, 4)
	check(t, err)
	f, err := LoadFanout(4, Ports{})
	check(t, err)
	s, err := LoadFilter(DefaultConfig(), 14)
	check(t, err)
	for name, program := range map[string]*ebpf.Program{"prefilter": p.objects.Prefilter, "prefilter_frags": p.frags, "fanout": f.objects.Fanout, "filter": s.objects.Filter} {
		if program == nil {
			t.Logf("%s: %v", name, p.noFrags)
			continue
		}
		info, err := program.Info()
		check(t, err)
		// Sockets take filters up to net.core.optmem_max, which was 20480 octets.
		if n, err := info.TranslatedSize(); err != nil || name == "filter" && n > 20480-512 {
			t.Errorf("%s: %d octets, %v", name, n, err)
		} else {
			t.Logf("%s: %d octets", name, n)
		}
		if n, ok := info.VerifiedInstructions(); ok {
			t.Logf("%s: the verifier looked at %d instructions", name, n)
			if n > 100_000 {
				t.Errorf("%s: the verifier looked at %d instructions", name, n)
			}
		}
	}
	check(t, p.Close())
	check(t, f.Close())
	check(t, s.Close())
}
