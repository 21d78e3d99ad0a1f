package bpf

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cilium/ebpf"

	"mirrorscope/internal/needs"
	gen "mirrorscope/internal/pcapgen"
)

// TestUpdateUnderTraffic switches between two policies that both let a frame
// through, each for a reason of its own, while frames come without a pause: a
// frame that is judged by part of one and part of the other would be denied.
func TestUpdateUnderTraffic(t *testing.T) {
	needs.Root(t)
	policy := func(text string, r Rule) Config {
		c := DefaultConfig()
		c.Default = Deny
		r.Name, r.Action = text, Allow
		c.Rules = []Rule{{Name: "never", Action: Deny, Proto: []Proto{99}}, r}
		return c
	}
	var net Prefix
	check(t, net.UnmarshalText([]byte("10.1.0.0/24")))
	byNet := policy("by net", Rule{Net: []Prefix{net}, Port: []PortRange{{443, 443}}})
	byPort := policy("by port", Rule{Port: []PortRange{{51234, 51234}}, Proto: []Proto{6}})
	p, err := Load(byNet, ToStack, 1)
	check(t, err)
	defer p.Close()

	frame := gen.Build(ether, outer4, udp, gen.VXLAN{VNI: 1}, ether, ip4, gen.TCP{SrcPort: 51234, DstPort: 443})
	var sent atomic.Uint64
	var stop atomic.Bool
	var senders sync.WaitGroup
	for range 2 {
		senders.Go(func() {
			for !stop.Load() {
				const n = 20000
				if _, err := p.objects.Prefilter.Run(&ebpf.RunOptions{Data: frame, Repeat: n}); err != nil {
					t.Error(err)
					return
				}
				sent.Add(n)
			}
		})
	}
	updates := 0
	for sent.Load() < 1e6 || updates < 20 {
		check(t, p.Update(byPort))
		check(t, p.Update(byNet))
		updates += 2
	}
	stop.Store(true)
	senders.Wait()
	c, err := p.Counters()
	check(t, err)
	// A signal makes a test run begin anew, so there may be a few more.
	got := named(t, c.Verdicts, "stack")
	if got.Packets < sent.Load() || got.Octets != got.Packets*uint64(len(frame)) {
		t.Errorf("%+v of %d frames of %d octets", got, sent.Load(), len(frame))
	}
	for _, list := range [][]Counter{c.Verdicts, c.Outcomes} {
		all := Counter{}
		for _, v := range list {
			all.Packets += v.Packets
		}
		if all.Packets != got.Packets {
			t.Errorf("%+v: not all are %d", list, got.Packets)
		}
	}
	t.Logf("%d updates under %d frames", updates, sent.Load())
}

// TestUpdateKeepsCounts wants a rule's counter to go on over updates while its
// name stays.
func TestUpdateKeepsCounts(t *testing.T) {
	needs.Root(t)
	cfg := DefaultConfig()
	rule := func(name string) Rule { return Rule{Name: name, Action: Allow, Proto: []Proto{6}} }
	cfg.Rules = []Rule{rule("web")}
	p, err := Load(cfg, ToStack, 1)
	check(t, err)
	defer p.Close()
	frame := gen.Build(ether, ip4, gen.TCP{})
	send := func(n uint32) {
		_, err := p.objects.Prefilter.Run(&ebpf.RunOptions{Data: frame, Repeat: n})
		check(t, err)
	}
	send(3)
	cfg.Rules = []Rule{{Name: "first", Action: Deny, Proto: []Proto{17}}, rule("web")}
	check(t, p.Update(cfg))
	send(4)
	cfg.Rules = []Rule{rule("other")}
	check(t, p.Update(cfg))
	send(5)
	cfg.Rules = []Rule{rule("web")}
	check(t, p.Update(cfg))
	c, err := p.Counters()
	check(t, err)
	if len(c.Rules) != 1 || c.Rules[0].Packets != 0 {
		t.Errorf("rules %+v: a name that was gone counts anew", c.Rules)
	}
	cfg.Rules = []Rule{{Name: "first", Action: Deny, Proto: []Proto{17}}, rule("web")}
	send(6)
	check(t, p.Update(cfg))
	send(1)
	c, err = p.Counters()
	check(t, err)
	want := []Counter{{Name: "first"}, {Name: "web", Packets: 7, Octets: 7 * uint64(len(frame))}}
	if len(c.Rules) != 2 || c.Rules[0] != want[0] || c.Rules[1] != want[1] {
		t.Errorf("rules %+v, want %+v", c.Rules, want)
	}
}

// TestUpdateRefused leaves the old policy in place.
func TestUpdateRefused(t *testing.T) {
	needs.Root(t)
	cfg := DefaultConfig()
	cfg.Default = Deny
	p, err := Load(cfg, ToStack, 1)
	check(t, err)
	defer p.Close()
	bad := DefaultConfig()
	bad.Sample = 0
	if err := p.Update(bad); err == nil {
		t.Error("a bad policy was taken")
	}
	if action, err := p.objects.Prefilter.Run(&ebpf.RunOptions{Data: gen.Build(ether, ip4, gen.TCP{})}); err != nil || action != 1 {
		t.Errorf("action %d, %v: the old policy does not hold", action, err)
	}
}

// TestUpdateTurnsBack has an update fail after the switch: the old policy holds
// again, its rules go on counting under their names, and the next update works.
func TestUpdateTurnsBack(t *testing.T) {
	needs.Root(t)
	other := func(spec ebpf.MapSpec) *ebpf.Map {
		m, err := ebpf.NewMap(&spec)
		check(t, err)
		t.Cleanup(func() { m.Close() })
		return m
	}
	for _, c := range []struct {
		what, want string
		spoil      func(p *Prefilter) (mend func())
	}{
		{"no waiting", "wait for the programs", func(p *Prefilter) func() {
			was := p.grace
			p.grace = other(ebpf.MapSpec{Type: ebpf.Hash, KeySize: 4, ValueSize: 8, MaxEntries: 1})
			return func() { p.grace = was }
		}},
		{"no counts", "counter of rule dns", func(p *Prefilter) func() {
			was := p.maps.RuleCounts
			// It takes what is written, and has nothing of the old policy.
			p.maps.RuleCounts = other(ebpf.MapSpec{Type: ebpf.PerCPUHash, KeySize: 4, ValueSize: 16, MaxEntries: 2 * maxRules})
			return func() { p.maps.RuleCounts = was }
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			old := DefaultConfig()
			old.Rules = []Rule{{Name: "dns", Action: Allow, Proto: []Proto{17}}, {Name: "web", Action: Allow, Proto: []Proto{6}}}
			p, err := Load(old, ToStack, 1)
			check(t, err)
			defer p.Close()
			frame := gen.Build(ether, ip4, gen.TCP{})
			send := func(n, want uint32) {
				t.Helper()
				action, err := p.objects.Prefilter.Run(&ebpf.RunOptions{Data: frame, Repeat: n})
				check(t, err)
				if action != want {
					t.Errorf("action %d, want %d", action, want)
				}
			}
			counted := func(want ...Counter) {
				t.Helper()
				now, err := p.Counters()
				check(t, err)
				for i := range want {
					want[i].Octets = want[i].Packets * uint64(len(frame))
				}
				if !slices.Equal(now.Rules, want) {
					t.Errorf("rules %+v, want %+v", now.Rules, want)
				}
			}
			send(3, xdpPass)
			next := DefaultConfig()
			next.Rules = []Rule{{Name: "web", Action: Deny, Proto: []Proto{6}}}
			mend := c.spoil(p)
			for range 2 {
				if err := p.Update(next); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("error %v, want %q", err, c.want)
				}
			}
			mend()
			if got := p.Config(); !reflect.DeepEqual(got, old) {
				t.Errorf("%+v holds, want %+v", got, old)
			}
			send(4, xdpPass)
			counted(Counter{Name: "dns"}, Counter{Name: "web", Packets: 7})
			check(t, p.Update(next))
			send(5, xdpDrop)
			counted(Counter{Name: "web", Packets: 12})
		})
	}
}

// named finds a counter.
func named(t testing.TB, list []Counter, name string) Counter {
	t.Helper()
	for _, c := range list {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no counter %s in %+v", name, list)
	return Counter{}
}
