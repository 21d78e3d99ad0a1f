package bpf

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"mirrorscope/internal/needs"
	gen "mirrorscope/internal/pcapgen"
	"mirrorscope/packet"
)

// TestSharedFragments sends fragments of packets to the machine's own address:
// all of a packet have the fate that it would have in one piece, once the first
// one has come, and are handed on before.
func TestSharedFragments(t *testing.T) {
	needs.Root(t)
	cfg := DefaultConfig()
	cfg.Shared, cfg.UDPPorts = true, []uint16{5555}
	cfg.Tunnels.VXLAN = []uint16{9999}
	me, me6 := gen.IP("192.0.2.9"), gen.IP("fd00::9")
	long := gen.Payload(make([]byte, 1000))
	inner := []gen.Layer{ether, ip4, gen.TCP{SrcPort: 1, DstPort: 2, Flags: packet.ACK}, long}
	to := gen.IPv4{Src: gen.IP("192.0.2.1"), Dst: me}
	to6 := gen.IPv6{Src: gen.IP("fd00::1"), Dst: me6}
	around := func(layers ...gen.Layer) []gen.Layer { return append(layers, inner...) }
	port := func(port uint16) []gen.Layer { return []gen.Layer{gen.UDP{SrcPort: 5, DstPort: port}, long} }
	cases := []struct {
		name string
		own  bool
		in   []gen.Layer
	}{
		{"vxlan", false, around(gen.UDP{SrcPort: 5}, gen.VXLAN{VNI: 1})},
		{"vxlan, port of the configuration", false, around(gen.UDP{SrcPort: 5, DstPort: 9999}, gen.VXLAN{VNI: 1})},
		{"vxlan-gpe", false, around(gen.UDP{SrcPort: 5}, gen.VXLANGPE{VNI: 1})},
		{"geneve", false, around(gen.UDP{SrcPort: 5}, gen.Geneve{VNI: 1})},
		{"tzsp", false, around(gen.UDP{SrcPort: 5}, gen.TZSP{})},
		{"erspan 1", false, around(gen.ERSPAN1{})},
		{"erspan 2", false, around(gen.ERSPAN2{Session: 1})},
		{"erspan 3", false, around(gen.ERSPAN3{Session: 1})},
		{"gre", false, around(gen.GRE{})},
		{"port of the filter", false, port(5555)},
		{"answer of a name server", true, port(40000)},
		{"tcp", true, []gen.Layer{gen.TCP{SrcPort: 1, DstPort: 2}, long}},
	}
	type program struct {
		name string
		judge
		run   func([]byte) (uint32, error)
		close func() error
	}
	load := func() []program {
		p, err := Load(cfg, ToStack, 1)
		check(t, err)
		f, err := LoadFilter(cfg, 0)
		check(t, err)
		programs := []program{
			{"xdp", p, func(b []byte) (uint32, error) { return p.objects.Prefilter.Run(&ebpf.RunOptions{Data: b}) }, p.Close},
			{"socket", f, func(b []byte) (uint32, error) { return f.objects.Filter.Run(&ebpf.RunOptions{Data: b}) }, f.Close},
		}
		for _, p := range programs {
			check(t, p.SetOwn([]netip.Addr{me, me6}))
		}
		return programs
	}
	for _, p := range load() {
		defer func() { check(t, p.close()) }()
		for i, c := range cases {
			four, six := to, to6
			four.ID = uint16(i + 1)
			for version, frame := range map[string][]byte{
				"ipv4":                   gen.Build(append([]gen.Layer{ether, four}, c.in...)...),
				"ipv6":                   gen.Build(append([]gen.Layer{ether, six}, c.in...)...),
				"ipv6 with an extension": gen.Build(append([]gen.Layer{ether, six, gen.DestinationOptions{}}, c.in...)...),
			} {
				name := p.name + ", " + c.name + ", " + version
				var parts [][]byte
				if version == "ipv4" {
					parts = gen.Fragment4(frame[14:], 400)
				} else {
					parts = gen.Fragment6(frame[14:], 400, uint32(i+1)<<8|uint32(len(version)))
				}
				for n := range parts {
					parts[n] = append(slices.Clone(frame[:14]), parts[n]...)
				}
				isOwn := func(b []byte) bool {
					t.Helper()
					before, err := p.Counters()
					check(t, err)
					_, err = p.run(b)
					check(t, err)
					now, err := p.Counters()
					check(t, err)
					v := changed(before.Verdicts, now.Verdicts)
					if len(v) != 1 || !slices.Contains([]string{"own", "stack", "socket"}, v[0]) {
						t.Fatalf("%s: verdicts %v", name, v)
					}
					return v[0] == "own"
				}
				if len(parts) < 3 {
					t.Fatalf("%s: %d fragments", name, len(parts))
				}
				if isOwn(parts[1]) {
					t.Errorf("%s: own before the first fragment came", name)
				}
				for n, part := range parts {
					if isOwn(part) != c.own {
						t.Errorf("%s: fragment %d: own %v, want %v", name, n, !c.own, c.own)
					}
				}
			}
		}
	}
}
