package mirror

import (
	"fmt"
	"strings"
	"testing"

	"mirrorscope/internal/fakeec2"
)

// A target that takes ten: the rest goes to the other one, and all stay there.
func TestTargetLimit(t *testing.T) {
	l := newLab(t, 30)
	l.fake.With(func(s *fakeec2.State) { s.Instances[machine(1<<40)].Type = "c7gn.large" })
	r := l.apply()
	if !r.OK() {
		t.Fatal(reportText(r))
	}
	l.settled(30)
	l.restart() // which knows nothing of the limit
	l.settled(30)
	count := map[string]int{}
	for _, m := range l.ours() {
		count[m.Target]++
	}
	if count[target(0)] != 10 || count[target(1)] != 20 {
		t.Errorf("targets %v", count)
	}
	// Both full: what finds no room is reported.
	l.fake.With(func(s *fakeec2.State) {
		s.Types["c7gn.16xlarge"] = fakeec2.InstanceType{Sources: 20}
		addMachine(s, 50, fakeec2.Tags{"env": "prod"})
	})
	l.restart()
	r = l.apply()
	if r.OK() || r.Count(Failed) != 1 || !strings.Contains(reportText(r), "LimitExceeded") {
		t.Errorf("no room:\n%s", reportText(r))
	}
	if s := blindStep(l.plan(), nic(50)); s == nil || s.Blind != BlindTargetsFull && s.Blind != BlindRefused {
		t.Errorf("no room, and the next plan: %s", planText(l.plan()))
	}
}

// The bound in the file is kept without asking, and nobody moves for it.
func TestMaxSources(t *testing.T) {
	l := newLab(t, 12)
	l.config(func(c *Config) { c.Targets[0].MaxSources = 2; c.Targets[1].MaxSources = 6 })
	if r := l.apply(); !r.OK() {
		t.Fatal(reportText(r))
	}
	l.settled(8)
	p := l.plan()
	if p.Count(NoWay) != 4 {
		t.Error(planText(p))
	}
	l.config(func(c *Config) {
		c.Targets[0].MaxSources, c.Targets[1].MaxSources, c.Select.MaxSources = 0, 0, 5
		c.Guard.DeletePercent = 100
	})
	old := l.ours()
	l.apply()
	l.settled(5)
	for on := range l.ours() {
		if _, ok := old[on]; !ok {
			t.Errorf("%s was not mirrored, and took the place of one that was", on)
		}
	}
}

// Seats that others have taken are not there.
func TestMaxSourcesOfOthers(t *testing.T) {
	l := newLab(t, 8)
	l.fake.With(func(s *fakeec2.State) { // of instances that are not selected
		for n := range 3 {
			addMachine(s, 20+n, nil)
		}
	})
	for n := range 3 {
		l.foreign(fmt.Sprint("tms-f400000", n), nic(20+n), target(0), 1)
	}
	l.config(func(c *Config) { c.Targets = []Target{{ID: target(0), MaxSources: 5}} })
	l.apply()
	l.settled(2)
}

// Sessions that others make between the list and the create are no limit of the
// target.
func TestInterfaceLimit(t *testing.T) {
	l := newLab(t, 5)
	p := l.plan()
	for n := range 3 {
		l.foreign(fmt.Sprint("tms-f500000", n), nic(0), "tmt-f0f0f0f0", n+1)
	}
	r := l.r.Apply(t.Context(), p, func(Outcome) {})
	if r.Count(Failed) != 1 || len(l.ours()) != 4 || len(l.r.memory.full) != 0 {
		t.Errorf("%v\n%s", l.r.memory.full, reportText(r))
	}
	l.settled(4)
}

// The interface of a sensor that is the source of somebody's session cannot be a
// target; what is there already as one is not created again.
func TestTargetResource(t *testing.T) {
	l := newLab(t, 2)
	l.config(func(c *Config) {
		c.Targets = []Target{{Interface: nic(7)}, {Interface: nic(6)}, {Interface: sensor(0)}}
	})
	l.fake.With(func(s *fakeec2.State) { s.AddInterface(fakeec2.Interface{ID: nic(7), IP: "10.7.7.7"}) })
	l.foreign("tms-f7000000", nic(7), "tmt-f0f0f0f0", 1)
	text := planText(l.plan())
	for _, want := range []string{nic(7) + ": cannot be a target: it is the source", nic(6) + ": cannot be a target: there is no such interface"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if r := l.apply(); !r.OK() || l.count("CreateTrafficMirrorTarget") != 0 {
		t.Error(reportText(r))
	}
	l.settled(2)
	l.fake.With(func(s *fakeec2.State) { s.Interfaces[nic(7)].Instance = ""; delete(s.Sessions, "tms-f7000000") })
	if text := planText(l.plan()); !strings.Contains(text, nic(7)+": the target is attached to no instance") {
		t.Error(text)
	}
}

// An interface that was mirrored becomes a target in one go, and a limit that was
// learnt is not believed for ever.
func TestSourceBecomesTarget(t *testing.T) {
	l := newLab(t, 6)
	l.apply()
	l.config(func(c *Config) { c.Targets = []Target{{Interface: nic(3)}}; c.Guard.DeletePercent = 100 })
	if r := l.apply(); !r.OK() {
		t.Fatal(reportText(r))
	}
	l.settled(5)
	l.fake.With(func(s *fakeec2.State) {
		s.Types["m7g.large"] = fakeec2.InstanceType{Sources: 5}
		addMachine(s, 20, fakeec2.Tags{"env": "prod"})
	})
	if r := l.apply(); r.OK() {
		t.Fatal(reportText(r))
	}
	l.fake.With(func(s *fakeec2.State) { s.Types["m7g.large"] = fakeec2.InstanceType{Sources: 100} })
	if p := l.plan(); p.Differences() != 0 {
		t.Error(planText(p))
	}
	l.now = l.now.Add(2 * maxPatience)
	if r := l.apply(); !r.OK() {
		t.Fatal(reportText(r))
	}
	l.settled(6)
}

// Warnings of a kind are counted when there are many.
func TestManyWarnings(t *testing.T) {
	l := newLab(t, 30)
	for n := range 30 {
		l.foreign(fmt.Sprintf("tms-f8%06d", n), nic(n), "tmt-f0f0f0f0", 1)
	}
	if text := planText(l.plan()); strings.Count(text, "has the lower number") != fewWarnings || !strings.Contains(text, "25 more like this: a session of somebody else has a lower number") {
		t.Error(text)
	}
}

// A target that is gone: its sources go to the other one. A new target takes its
// share, and nothing else moves.
func TestTargetGone(t *testing.T) {
	l := newLab(t, 40)
	l.apply()
	before := l.ours()
	l.fake.With(func(s *fakeec2.State) { s.DeleteInterface(sensor(0)) })
	for on, m := range before {
		if c := coverageOf(l.plan(), on); (c.Blind == BlindTargetGone) != (m.Target == target(0)) {
			t.Errorf("%s at %s: %+v", on, m.Target, c)
		}
	}
	l.apply()
	l.settled(40)
	for on, m := range l.ours() {
		if m.Target != target(1) || m.ID != before[on].ID {
			t.Errorf("%s is at %s", on, m.Target)
		}
	}
	l.fake.With(func(s *fakeec2.State) {
		s.AddInstance(fakeec2.Instance{ID: machine(1<<40 + 2), Type: "c7gn.16xlarge"})
		s.AddInterface(fakeec2.Interface{ID: sensor(2), Instance: machine(1<<40 + 2), IP: "10.0.0.1"})
	})
	l.config(func(c *Config) { c.Targets = append(c.Targets, Target{Interface: sensor(2)}) })
	p := l.plan()
	if p.Count(Modify) == 0 || p.Count(Modify) == 40 || p.Count(Create) != 1 {
		t.Fatal(planText(p))
	}
	if r := l.apply(); !r.OK() {
		t.Fatal(reportText(r))
	}
	l.settled(40)
	l.config(func(c *Config) { c.Targets = c.Targets[:2] })
	l.apply()
	l.settled(40)
	l.fake.With(func(s *fakeec2.State) {
		if len(s.Targets) != 2 {
			t.Errorf("a target of ours that nobody uses is left: %d", len(s.Targets))
		}
	})
}

// All targets gone: sessions stay as they are.
func TestNoTarget(t *testing.T) {
	l := newLab(t, 3)
	l.apply()
	l.fake.With(func(s *fakeec2.State) {
		s.DeleteInterface(sensor(0))
		s.DeleteInterface(sensor(1))
		addMachine(s, 9, fakeec2.Tags{"env": "prod"})
	})
	l.settled(3)
	if s := blindStep(l.plan(), nic(9)); s == nil || s.Blind != BlindNoTarget {
		t.Error(planText(l.plan()))
	}
}

// To a load balancer: AWS sets the length that was not given, which is no
// difference, and to an interface it is one.
func TestBalancer(t *testing.T) {
	l := newLab(t, 3)
	l.config(func(c *Config) {
		c.Targets = []Target{{LoadBalancer: "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/net/ours/1"}}
	})
	if r := l.apply(); !r.OK() {
		t.Fatal(reportText(r))
	}
	l.settled(3)
	if text := planText(l.plan()); !strings.Contains(text, "8500 octets of a packet at most") {
		t.Error(text)
	}
	l.config(func(c *Config) { c.Session.PacketLength = 9001 })
	l.settled(3)
	l.config(func(c *Config) { c.Session.PacketLength = 0; c.Targets = []Target{{ID: target(0)}} })
	if r := l.apply(); !r.OK() {
		t.Fatal(reportText(r))
	}
	l.settled(3)
	for on, m := range l.ours() {
		if m.PacketLength != 0 || m.Target != target(0) {
			t.Errorf("%s: %+v", on, m)
		}
	}
}

// A target of another account is used without being looked for; one that is given
// and not there is told.
func TestSharedTarget(t *testing.T) {
	l := newLab(t, 2)
	l.config(func(c *Config) { c.Targets = []Target{{ID: "tmt-0000000a"}} })
	if text := planText(l.plan()); !strings.Contains(text, "there is no such target; if it is another account's, say shared = true") || l.plan().Count(Create) != 1+8 {
		t.Error(text)
	}
	l.config(func(c *Config) { c.Targets[0].Shared = true })
	l.fake.With(func(s *fakeec2.State) {
		s.AddTarget(fakeec2.Target{ID: "tmt-0000000a", Owner: "210987654321", Interface: "eni-0000000b"})
	})
	if r := l.apply(); !r.OK() {
		t.Fatal(reportText(r))
	}
	l.settled(2)
}

// What AWS cuts is told.
func TestMTUWarnings(t *testing.T) {
	l := newLab(t, 1)
	if text := planText(l.plan()); !strings.Contains(text, "8947 octets of a mirrored packet arrive over IPv4 and 8927 over IPv6") {
		t.Errorf("9001 to 9001:\n%s", text)
	}
	l.config(func(c *Config) { c.MTU.Sources = 1500 })
	if text := planText(l.plan()); strings.Contains(text, "mtu.sources") {
		t.Errorf("1500 to 9001:\n%s", text)
	}
	l.config(func(c *Config) { c.MTU = MTU{9001, 9001}; c.Targets = []Target{{Endpoint: "vpce-0123456789abcdef0"}} })
	if text := planText(l.plan()); !strings.Contains(text, "8446 octets") {
		t.Errorf("to an endpoint:\n%s", text)
	}
	l.config(func(c *Config) { c.Session.PacketLength = 128 })
	if text := planText(l.plan()); strings.Contains(text, "mtu.sources") {
		t.Errorf("128 octets of each packet:\n%s", text)
	}
	l.config(func(c *Config) { c.Session.PacketLength = 40 })
	if text := planText(l.plan()); !strings.Contains(text, "below 55") {
		t.Errorf("40 octets of each packet:\n%s", text)
	}
}

// A session that would rather be elsewhere stays where it is when there is no room,
// and its other changes are made all the same.
func TestStays(t *testing.T) {
	l := newLab(t, 9)
	l.config(func(c *Config) { c.Targets = c.Targets[1:] })
	l.apply()
	l.config(func(c *Config) { c.Targets = []Target{{ID: target(0)}, {ID: target(1)}} })
	l.fake.With(func(s *fakeec2.State) {
		s.Types["small"] = fakeec2.InstanceType{Sources: 2}
		s.Instances[machine(1<<40)].Type = "small"
	})
	r := l.apply()
	moved, stay := r.Count(Done), r.Count(Stays)
	if !r.OK() || moved != 2 || stay == 0 {
		t.Fatal(reportText(r))
	}
	l.settled(9) // the limit is known now
	l.restart()  // and now it is not
	if r := l.apply(); !r.OK() || r.Count(Stays) != stay || r.Count(Done) != 0 {
		t.Error(reportText(r))
	}
	l.restart()
	l.config(func(c *Config) { c.Session.PacketLength = 100 })
	if r := l.apply(); !r.OK() || r.Count(Done) != 9 {
		t.Error(reportText(r))
	}
	l.settled(9)
	for on, m := range l.ours() {
		if m.PacketLength != 100 {
			t.Errorf("%s has length %d", on, m.PacketLength)
		}
	}
}
