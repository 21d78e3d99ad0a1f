package bpf

import (
	"testing"

	"mirrorscope/internal/needs"
	gen "mirrorscope/internal/pcapgen"
	"mirrorscope/packet"
)

// BenchmarkPrefilter tells what a frame costs in the kernel, without the driver
// and the redirection.
func BenchmarkPrefilter(b *testing.B) {
	needs.Root(b)
	prefix := func(s string) (p Prefix) {
		check(b, p.UnmarshalText([]byte(s)))
		return p
	}
	segment := gen.TCP{SrcPort: 51234, DstPort: 443, Seq: 1, Flags: packet.ACK, Options: gen.TCPOptions{Timestamps: &gen.Timestamps{Val: 1, Ecr: 2}}}
	full := gen.Payload(make([]byte, 1380))
	vxlan := []gen.Layer{ether, outer4, udp, gen.VXLAN{VNI: 7}, ether, ip4, segment}
	frames := map[string][]byte{
		"bare":    gen.Build(ether, ip4, segment),
		"vxlan":   gen.Build(vxlan...),
		"full":    gen.Build(append(vxlan, full)...),
		"gateway": gen.Build(ether, outer4, udp, gen.Geneve{Options: gen.AWSOptions(1, 2, 3)}, outer4, udp, gen.VXLAN{VNI: 7}, ether, ip4, segment),
		"ipv6":    gen.Build(ether, outer6, udp, gen.VXLAN{VNI: 7}, ether, ip6, segment),
	}
	ten := func(last Action) (rules []Rule) {
		for i, p := range []string{"192.168.0.0/16", "100.64.0.0/10", "fd01::/16", "203.0.113.0/24", "198.51.100.7"} {
			rules = append(rules, Rule{Action: Deny, Net: []Prefix{prefix(p)}}, Rule{Action: Deny, Port: []PortRange{{uint16(9000 + i), uint16(9100 + i)}}, Proto: []Proto{17}})
		}
		rules[9] = Rule{Action: last, Src: []Prefix{prefix("10.1.0.0/24")}, Dst: []Prefix{prefix("10.0.0.0/8")}, Port: []PortRange{{443, 443}}}
		return rules
	}
	with := func(change func(*Config)) Config {
		c := DefaultConfig()
		change(&c)
		return c
	}
	for _, bench := range []struct {
		name, frame string
		cfg         Config
	}{
		{"accept bare", "bare", DefaultConfig()},
		{"accept vxlan", "vxlan", DefaultConfig()},
		{"accept vxlan in ipv6", "ipv6", DefaultConfig()},
		{"accept gateway", "gateway", DefaultConfig()},
		{"10 rules", "vxlan", with(func(c *Config) { c.Rules = ten(Allow) })},
		{"10 rules, port, source, vni", "vxlan", with(func(c *Config) {
			c.Rules, c.UDPPorts, c.Sources, c.VNIs = ten(Allow), []uint16{4789}, []Prefix{prefix("172.16.0.0/12")}, []uint32{7}
		})},
		{"sample", "vxlan", with(func(c *Config) { c.Sample = 2 })},
		{"trim", "full", with(func(c *Config) { c.Trim = 64 })},
		{"trim, head", "full", with(func(c *Config) { c.Trim, c.TrimHead = 64, maxTrimHead })},
		{"untrimmed", "full", DefaultConfig()},
		{"drop by port", "vxlan", with(func(c *Config) { c.UDPPorts = []uint16{6081} })},
		{"drop by rule", "vxlan", with(func(c *Config) { c.Rules = ten(Deny) })},
	} {
		b.Run(bench.name, func(b *testing.B) {
			p, err := Load(bench.cfg, ToStack, 1)
			check(b, err)
			defer p.Close()
			b.ResetTimer()
			_, d, err := p.objects.Prefilter.Benchmark(frames[bench.frame], b.N, b.ResetTimer)
			check(b, err)
			b.ReportMetric(float64(d.Nanoseconds()), "ns/op")
		})
	}
}

// BenchmarkFilter is the same for the filter of a socket.
func BenchmarkFilter(b *testing.B) {
	needs.Root(b)
	frame := gen.Build(ether, outer4, udp, gen.VXLAN{VNI: 7}, ether, ip4, gen.TCP{SrcPort: 51234, DstPort: 443})
	rule := DefaultConfig()
	rule.Rules = []Rule{{Action: Deny, Proto: []Proto{17}}}
	for name, cfg := range map[string]Config{"takes all": DefaultConfig(), "judges": rule} {
		b.Run(name, func(b *testing.B) {
			f, err := LoadFilter(cfg, 0)
			check(b, err)
			defer f.Close()
			_, d, err := f.objects.Filter.Benchmark(frame, b.N, b.ResetTimer)
			check(b, err)
			b.ReportMetric(float64(d.Nanoseconds()), "ns/op")
		})
	}
}

// BenchmarkFanout is the same for the fanout program.
func BenchmarkFanout(b *testing.B) {
	needs.Root(b)
	f, err := LoadFanout(4, Ports{})
	check(b, err)
	defer f.Close()
	frame := gen.Build(ether, outer4, udp, gen.VXLAN{VNI: 7}, ether, ip4, gen.TCP{SrcPort: 51234, DstPort: 443})
	_, d, err := f.objects.Fanout.Benchmark(frame, max(b.N, 1), b.ResetTimer)
	check(b, err)
	b.ReportMetric(float64(d.Nanoseconds()), "ns/op")
}
