package bpf

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"

	"github.com/cilium/ebpf"

	"mirrorscope/internal/needs"
	gen "mirrorscope/internal/pcapgen"
	"mirrorscope/packet"
)

// traffic is what a frame of the model is made of.
type traffic struct {
	tunnel       string // none, vxlan, geneve, gateway, erspan, gre, tzsp, gpe, arp
	from, to     netip.Addr
	outerPort    uint16 // UDP destination port, 0: that of the tunnel
	id           uint32
	src, dst     netip.Addr
	proto        uint8
	sport, dport uint16
	fragment     bool
	innerARP     bool
}

// frame builds it.
func (f *traffic) frame() []byte {
	layers := []gen.Layer{ether}
	outer := func() gen.Layer {
		if f.from.Is4() {
			return gen.IPv4{Src: f.from, Dst: f.to}
		}
		return gen.IPv6{Src: f.from, Dst: f.to}
	}
	arp := gen.ARP{Sender: gen.IP("10.0.0.1"), Target: gen.IP("10.0.0.2")}
	switch f.tunnel {
	case "arp":
		return gen.Build(ether, arp)
	case "vxlan":
		layers = append(layers, outer(), gen.UDP{SrcPort: 50000, DstPort: f.outerPort}, gen.VXLAN{VNI: f.id}, ether)
	case "geneve":
		layers = append(layers, outer(), gen.UDP{SrcPort: 50000, DstPort: f.outerPort}, gen.Geneve{VNI: f.id}, ether)
	case "gateway":
		layers = append(layers, gen.IPv4{Src: gen.IP("192.0.2.1"), Dst: f.to}, gen.UDP{SrcPort: 50000, DstPort: f.outerPort},
			gen.Geneve{Options: gen.AWSOptions(1, 2, 3)}, outer(), gen.UDP{SrcPort: 50000}, gen.VXLAN{VNI: f.id}, ether)
	case "erspan":
		layers = append(layers, outer(), gen.ERSPAN2{Session: uint16(f.id)}, ether)
	case "tzsp":
		layers = append(layers, outer(), gen.UDP{SrcPort: 50000, DstPort: f.outerPort}, gen.TZSP{}, ether)
	case "gpe":
		layers = append(layers, outer(), gen.UDP{SrcPort: 50000, DstPort: f.outerPort}, gen.VXLANGPE{VNI: f.id}, ether)
	case "gre":
		layers = append(layers, outer(), gen.GRE{}, ether)
	}
	if f.innerARP {
		return gen.Build(append(layers, arp)...)
	}
	var transport gen.Layer
	switch f.proto {
	case packet.ProtoTCP:
		transport = gen.TCP{SrcPort: f.sport, DstPort: f.dport}
	case packet.ProtoUDP:
		transport = gen.UDP{SrcPort: f.sport, DstPort: f.dport}
	case packet.ProtoICMP:
		transport = gen.ICMP{Type: 8, ID: f.sport}
	case packet.ProtoICMPv6:
		transport = gen.ICMPv6{Type: 128, ID: f.sport}
	case packet.ProtoSCTP:
		transport = gen.SCTP{SrcPort: f.sport, DstPort: f.dport}
	default:
		transport = gen.Payload("sixteen octets, whatever")
	}
	if f.src.Is4() {
		return gen.Build(append(layers, gen.IPv4{Src: f.src, Dst: f.dst, Protocol: f.proto, MF: f.fragment}, transport)...)
	}
	return gen.Build(append(layers, gen.IPv6{Src: f.src, Dst: f.dst, Next: &f.proto}, transport)...)
}

// hasPorts tells the protocols whose ports a rule can ask for.
func (f *traffic) hasPorts() bool {
	return f.proto == packet.ProtoTCP || f.proto == packet.ProtoUDP || f.proto == packet.ProtoSCTP
}

// verdict is the model: what becomes of the frame, and the rule that decided
// or -1. It reads the policy as its documentation says it, and no frame.
func (f *traffic) verdict(c *Config, own []netip.Addr) (string, int) {
	bare := f.tunnel == "none" || f.tunnel == "arp"
	outermost := f.dst
	source := f.src
	if !bare {
		outermost, source = f.to, f.from
	}
	unread := f.tunnel == "tzsp" || f.tunnel == "gpe"
	udpPort, isUDP := f.outerPort, f.tunnel == "vxlan" || f.tunnel == "geneve" || f.tunnel == "gateway" || unread
	known := true // whether the outermost UDP port is
	if f.tunnel == "none" {
		udpPort, isUDP, known = f.dport, f.proto == packet.ProtoUDP, !f.fragment
	}
	toMirror := isUDP && known && slices.Contains(c.UDPPorts, udpPort)
	if c.Shared {
		switch {
		case f.tunnel == "arp":
			return "own", -1
		case f.tunnel == "none" && !(isUDP && (udpPort == 9999 || slices.Contains(c.UDPPorts, udpPort))) && (slices.Contains(own, outermost) || slices.Contains(own, f.src)):
			return "own", -1
		}
	}
	if len(c.UDPPorts) > 0 && known && !toMirror {
		return "not_udp_port", -1
	}
	within := func(list []Prefix, a netip.Addr) bool {
		return slices.ContainsFunc(list, func(p Prefix) bool { return p.Contains(a) })
	}
	if len(c.Sources) > 0 && (f.tunnel == "arp" || !within(c.Sources, source)) {
		return "not_source", -1
	}
	if len(c.VNIs) > 0 {
		switch {
		case f.tunnel == "vxlan" || f.tunnel == "geneve" || f.tunnel == "gateway" || f.tunnel == "erspan":
			if !slices.Contains(c.VNIs, f.id) {
				return "not_vni", -1
			}
		case !f.fragment && !unread:
			return "not_vni", -1
		}
	}
	if f.fragment || f.innerARP || f.tunnel == "arp" || unread {
		return "stack", -1
	}
	action, decided := c.Default, -1
	for i := range c.Rules {
		if f.matches(&c.Rules[i], within) {
			action, decided = c.Rules[i].Action, i
			break
		}
	}
	if action == Deny {
		if decided < 0 {
			return "denied_by_default", -1
		}
		return "denied_by_rule", decided
	}
	var kind uint8
	sport, dport := f.sport, f.dport
	if f.proto == packet.ProtoICMP || f.proto == packet.ProtoICMPv6 {
		kind, dport = packet.ICMPEcho, sport
	} else if !f.hasPorts() {
		sport, dport = 0, 0
	}
	a, b := packet.AddrFrom(f.src), packet.AddrFrom(f.dst)
	if !packet.Sampled(packet.SymmetricHash(&a, &b, sport, dport, f.proto, kind), c.Sample) {
		return "not_sampled", decided
	}
	return "stack", decided
}

func (f *traffic) matches(r *Rule, within func([]Prefix, netip.Addr) bool) bool {
	any := func(list []Prefix, a netip.Addr) bool { return len(list) == 0 || within(list, a) }
	port := func(p uint16) bool {
		return slices.ContainsFunc(r.Port, func(x PortRange) bool { return x.First <= p && p <= x.Last })
	}
	switch {
	case len(r.Proto) > 0 && !slices.Contains(r.Proto, Proto(f.proto)):
	case len(r.Net) > 0 && !within(r.Net, f.src) && !within(r.Net, f.dst):
	case !(any(r.Src, f.src) && any(r.Dst, f.dst)) && !(any(r.Src, f.dst) && any(r.Dst, f.src)):
	case len(r.Port) > 0 && (!f.hasPorts() || !port(f.sport) && !port(f.dport)):
	default:
		return true
	}
	return false
}

// dice draws configurations and traffic from few values, so that they meet.
type dice struct{ *rand.Rand }

func (d dice) one(n int) bool { return d.IntN(n) == 0 }

func pick[T any](d dice, values ...T) T { return values[d.IntN(len(values))] }

func (d dice) some(n int) int { return max(0, d.IntN(2*n)-n) }

func (d dice) prefix() (p Prefix) {
	check := p.UnmarshalText([]byte(pick(d, "0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.0/24", "10.1.2.3", "10.1.2.128/25", "10.2.0.0/15",
		"172.16.0.0/12", "::/0", "fd00::/8", "fd00:1::/32", "fd00:1:2::/48", "fd00:1::5", "2001:db8::/32")))
	if check != nil {
		panic(check)
	}
	return p
}

func (d dice) addrs() (a, b netip.Addr) {
	if d.one(3) {
		six := func() netip.Addr { return gen.IP(pick(d, "fd00:1::5", "fd00:1:2::9", "fd00:2::1", "2001:db8::1")) }
		return six(), six()
	}
	four := func() netip.Addr {
		return gen.IP(pick(d, "10.1.2.3", "10.1.2.200", "10.1.9.9", "10.2.0.1", "10.3.3.3", "172.16.0.1", "8.8.8.8"))
	}
	return four(), four()
}

func (d dice) port() uint16 { return pick[uint16](d, 80, 443, 8080, 50000, 0, 65535) }

func (d dice) config() Config {
	c := DefaultConfig()
	c.Default = pick(d, Allow, Deny)
	c.Sample = pick[uint32](d, 1, 1, 1, 2, 3, 100)
	c.Shared = d.one(3)
	if d.one(3) {
		c.UDPPorts = []uint16{4789, pick[uint16](d, 6081, 443, 9999, 37008)}
	}
	for range d.some(2) {
		c.Sources = append(c.Sources, d.prefix())
	}
	for range d.some(3) {
		c.VNIs = append(c.VNIs, d.Uint32N(5))
	}
	for range pick(d, 0, 1, 3, 10, maxRules) {
		r := Rule{Name: string(rune('a' + len(c.Rules))), Action: pick(d, Allow, Deny)}
		for _, list := range []*[]Prefix{&r.Net, &r.Src, &r.Dst} {
			for range d.some(2) {
				*list = append(*list, d.prefix())
			}
		}
		for range d.some(2) {
			p := d.port()
			r.Port = append(r.Port, pick(d, PortRange{p, p}, PortRange{p / 2, p}))
		}
		for range d.some(2) {
			r.Proto = append(r.Proto, pick[Proto](d, 1, 6, 17, 58, 132, 50))
		}
		c.Rules = append(c.Rules, r)
	}
	return c
}

func (d dice) traffic() traffic {
	f := traffic{tunnel: pick(d, "none", "none", "vxlan", "vxlan", "geneve", "gateway", "erspan", "gre", "tzsp", "gpe", "arp"), id: d.Uint32N(5)}
	f.from, f.to = d.addrs()
	f.src, f.dst = d.addrs()
	f.sport, f.dport = d.port(), d.port()
	f.proto = pick[uint8](d, packet.ProtoTCP, packet.ProtoTCP, packet.ProtoUDP, packet.ProtoSCTP, 50, packet.ProtoICMP)
	if f.proto == packet.ProtoICMP && f.src.Is6() {
		f.proto = packet.ProtoICMPv6
	}
	if f.proto == packet.ProtoUDP && f.tunnel == "none" && d.one(4) {
		f.dport = 9999
	}
	switch f.tunnel {
	case "vxlan":
		f.outerPort = pick[uint16](d, 4789, 4789, 8472, 9999)
	case "geneve", "gateway":
		f.outerPort = 6081
	case "tzsp":
		f.outerPort = 37008
	case "gpe":
		f.outerPort = 4790
	}
	if f.tunnel == "gateway" && f.from.Is6() {
		f.to = gen.IP("172.16.0.1")
		f.from = gen.IP("10.1.2.3")
	}
	switch {
	case d.one(10) && f.src.Is4() && f.tunnel != "arp":
		f.fragment = true
	case d.one(20) && f.tunnel != "none" && f.tunnel != "arp":
		f.innerARP = true
	}
	return f
}

// judge is a program of either kind.
type judge interface {
	Update(Config) error
	SetOwn([]netip.Addr) error
	Counters() (Counters, error)
}

// TestModel compares the programs' verdicts with those of the model.
func TestModel(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	cfg := DefaultConfig()
	cfg.Tunnels.VXLAN = []uint16{9999}
	p, err := Load(cfg, ToStack, 1)
	check(t, err)
	defer p.Close()
	f, err := LoadFilter(cfg, 0) // test runs give a socket's program no link header
	check(t, err)
	defer f.Close()
	seen := map[string]int{}
	for seed := range uint64(32) {
		testModel(t, seed, p, func(frame []byte) (uint32, error) { return p.objects.Prefilter.Run(&ebpf.RunOptions{Data: frame}) },
			func(verdict string) (string, uint32) {
				switch verdict {
				case "stack", "own":
					return verdict, xdpPass
				}
				return verdict, xdpDrop
			}, seen)
		testModel(t, seed, f, func(frame []byte) (uint32, error) { return f.objects.Filter.Run(&ebpf.RunOptions{Data: frame}) },
			func(verdict string) (string, uint32) {
				if verdict == "stack" {
					return "socket", 1<<32 - 1
				}
				return verdict, 0
			}, seen)
	}
	t.Log(seen)
	for _, name := range []string{"stack", "own", "not_udp_port", "not_source", "not_vni", "denied_by_rule", "denied_by_default", "not_sampled"} {
		if seen[name] == 0 {
			t.Errorf("no frame was %s: the dice are too narrow", name)
		}
	}
}

// testModel judges some traffic under one policy. told gives the counter and
// the return value that a verdict of the model comes out as.
func testModel(t *testing.T, seed uint64, p judge, run func([]byte) (uint32, error), told func(string) (string, uint32), seen map[string]int) {
	t.Helper()
	d := dice{rand.New(rand.NewPCG(seed, 1))}
	c := d.config()
	check(t, c.Validate())
	check(t, p.Update(c))
	own := []netip.Addr{gen.IP("10.1.2.3"), gen.IP("fd00:1::5")}[:d.IntN(3)]
	check(t, p.SetOwn(own))
	before, err := p.Counters()
	check(t, err)
	for range 50 {
		f := d.traffic()
		frame := f.frame()
		model, rule := f.verdict(&c, own)
		want, action := told(model)
		got, err := run(frame)
		check(t, err)
		now, err := p.Counters()
		check(t, err)
		if v := changed(before.Verdicts, now.Verdicts); len(v) != 1 || v[0] != want || got != action {
			t.Fatalf("%T, seed %d: %v, action %d, want %s, %d\nframe  %x\nof     %+v\nunder  %+v", p, seed, v, got, want, action, frame, f, c)
		}
		decided := changed(before.Rules, now.Rules)
		if rule < 0 && len(decided) != 0 || rule >= 0 && (len(decided) != 1 || decided[0] != c.Rules[rule].Name) {
			t.Fatalf("%T, seed %d: rules %v counted, want rule %d of\n%+v\nof %+v", p, seed, decided, rule, c, f)
		}
		seen[model]++
		before = now
	}
}

// changed names the counters that went up by one frame.
func changed(before, now []Counter) (names []string) {
	for i := range now {
		if now[i].Packets == before[i].Packets+1 {
			names = append(names, now[i].Name)
		}
	}
	return names
}
