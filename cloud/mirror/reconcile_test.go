package mirror

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"mirrorscope/internal/fakeec2"
)

// From nothing to everything: a filter with its rules, and a session for each
// machine; then no call that changes anything.
func TestApply(t *testing.T) {
	l := newLab(t, 20)
	before := l.others()
	r := l.apply()
	if !r.OK() || r.Count(Done) != 20+1+1+8 {
		t.Fatalf("applied:\n%s", reportText(r))
	}
	l.settled(20)
	l.untouched(before)
	vnis, targets := map[int]bool{}, map[string]int{}
	for on, m := range l.ours() {
		if m.Number != 10 || m.PacketLength != 0 || vnis[m.VNI] || m.Description != "mirrorscope test" {
			t.Errorf("%s: %+v", on, m)
		}
		vnis[m.VNI] = true
		targets[m.Target]++
	}
	if len(targets) != 2 {
		t.Errorf("targets: %v", targets)
	}
	l.fake.With(func(s *fakeec2.State) {
		if len(s.Filters) != 1 {
			t.Fatalf("filters: %v", s.Filters)
		}
		for _, f := range s.Filters {
			if len(f.Services) != 1 || len(f.Rules) != 8 {
				t.Errorf("filter %+v", f)
			}
			for _, rule := range f.Rules {
				if rule.Number <= 20 && (rule.Action != "reject" || rule.Protocol != 17 || rule.DestinationPorts.From != 4789) {
					t.Errorf("what is mirrored already is not rejected first: %+v", rule)
				}
			}
		}
	})
	l.fake.Forget()
	l.restart()
	if r := l.apply(); len(r.Outcomes) != 0 || len(l.fake.Mutations()) != 0 {
		t.Errorf("nothing differs, and yet: %+v", l.fake.Mutations())
	}
}

// Two thousand interfaces over pages; every change a while after the one before.
func TestPages(t *testing.T) {
	const n = 2000
	l := newLab(t, n)
	l.config(func(c *Config) { c.Rate.ChangesPerSecond = 5 })
	l.restart()
	if r := l.apply(); !r.OK() {
		t.Fatal(reportText(r))
	}
	if pages := l.count("DescribeNetworkInterfaces"); pages != 3 {
		t.Errorf("%d pages of interfaces", pages)
	}
	var window []time.Time
	for _, c := range l.fake.Mutations() {
		for len(window) > 0 && !window[0].After(c.At.Add(-time.Second)) {
			window = window[1:]
		}
		if window = append(window, c.At); len(window) > 5 {
			t.Fatalf("%d changes in the second before %v", len(window), c.At)
		}
	}
	if least := (n - 1) * time.Second / 5; l.slow < least {
		t.Errorf("took %v, at 5 a second it is %v", l.slow, least)
	}
	l.settled(n)
}

// Without the list of bare metal AWS is asked by trying.
func TestBareMetalUnknown(t *testing.T) {
	l := newLab(t, 3)
	l.fake.With(func(s *fakeec2.State) {
		s.Types["m7i.metal-24xl"] = fakeec2.InstanceType{BareMetal: true, Refused: &fakeec2.Error{Status: 400, Code: "UnsupportedOperation", Message: "bare metal"}}
		s.Instances[machine(0)].Type = "m7i.metal-24xl"
	})
	l.fake.Allow = func(c *fakeec2.Call) bool { return c.Action != "DescribeInstanceTypes" }
	if text := planText(l.plan()); !strings.Contains(text, "DescribeInstanceTypes: is not allowed") {
		t.Error(text)
	}
	if r := l.apply(); r.Count(Failed) != 1 || len(l.ours()) != 2 {
		t.Error(reportText(r))
	}
	if s := blindStep(l.plan(), nic(0)); s == nil || s.Blind != BlindRefused {
		t.Error(planText(l.plan()))
	}
}

// Three sessions of others leave no room; two do, with their number stepped over.
func TestForeignSessions(t *testing.T) {
	l := newLab(t, 3)
	for n := range 3 {
		l.foreign(fmt.Sprint("tms-f000000", n), nic(0), "tmt-f0f0f0f0", 10+n)
		if n < 2 {
			l.foreign(fmt.Sprint("tms-f100000", n), nic(1), "tmt-f0f0f0f0", 10+n)
		}
	}
	before := l.others()
	p := l.plan()
	if i := blindStep(p, nic(0)); i == nil || i.Blind != BlindSessions || !strings.Contains(i.Reason, "tms-f0000002") {
		t.Errorf("three sessions of others: %s", planText(p))
	}
	l.apply()
	l.settled(2)
	l.untouched(before)
	if got := l.ours(); got[nic(1)].Number != 12 || got[nic(2)].Number != 10 {
		t.Errorf("numbers %d and %d, want 12 and 10", got[nic(1)].Number, got[nic(2)].Number)
	}
	if text := planText(l.plan()); !strings.Contains(text, "tms-f1000000 of somebody else has the lower number 10") {
		t.Errorf("no word of who is asked first:\n%s", text)
	}
	l.fake.With(func(s *fakeec2.State) { delete(s.Sessions, "tms-f1000000") })
	l.apply()
	if got := l.ours(); got[nic(1)].Number != 10 {
		t.Errorf("the number is free, and the session has %d", got[nic(1)].Number)
	}
}

func blindStep(p *Plan, on string) *Step {
	for i := range p.Steps {
		if p.Steps[i].Action == NoWay && p.Steps[i].On == on {
			return &p.Steps[i]
		}
	}
	return nil
}

// What somebody else mirrors to our target is not mirrored there twice.
func TestMirroredAlready(t *testing.T) {
	l := newLab(t, 2)
	l.foreign("tms-f2000000", nic(0), target(1), 1)
	p := l.plan()
	if i := blindStep(p, nic(0)); i == nil || i.Blind != BlindForeign {
		t.Errorf("mirrored by others: %s", planText(p))
	}
	l.apply()
	l.settled(1)
	c := coverageOf(l.plan(), nic(0))
	if c.Status != Elsewhere || c.Session != "tms-f2000000" {
		t.Errorf("coverage %+v", c)
	}
	l.foreign("tms-f3000000", nic(1), target(0), 99) // ours stays: AWS mirrors a packet once
	l.settled(1)
	if text := planText(l.plan()); !strings.Contains(text, "tms-f3000000 of somebody else sends to the target") {
		t.Error(text)
	}
}

func coverageOf(p *Plan, on string) Coverage {
	for _, c := range p.Coverage {
		if c.Interface == on {
			return c
		}
	}
	return Coverage{}
}

// What cannot be a source is known without asking, and told.
func TestUnfit(t *testing.T) {
	l := newLab(t, 9)
	l.config(func(c *Config) { c.Select.Instances = "*" })
	l.fake.With(func(s *fakeec2.State) {
		s.Interfaces[nic(0)].Type = "trunk"
		s.Interfaces[nic(1)].RequesterManaged, s.Interfaces[nic(1)].RequesterID = true, "amazon-elb"
		s.Interfaces[nic(2)].RequesterManaged, s.Interfaces[nic(2)].RequesterID = true, "amazon-rds"
		s.Instances[machine(3)].Type = "m7i.metal-24xl"
		s.Interfaces[nic(4)].IP, s.Interfaces[nic(4)].IPv6 = "", []string{"2001:db8::1"}
		s.AddTarget(fakeec2.Target{ID: "tmt-00000000f", Interface: nic(5)})
		s.AddInterface(fakeec2.Interface{ID: nic(100), Instance: machine(1 << 40), IP: "10.9.9.9"}) // of a sensor, for its management
		s.Instances[machine(6)].State = "stopped"
		s.AddInterface(fakeec2.Interface{ID: nic(101), IP: "10.9.9.10"}) // of no instance
	})
	p := l.plan()
	for on, want := range map[string]Blind{nic(0): BlindType, nic(1): BlindManaged, nic(3): BlindBareMetal, nic(4): BlindNoIPv4, nic(5): BlindTarget, sensor(0): BlindTarget, nic(100): BlindSensor} {
		if s := blindStep(p, on); s == nil || s.Blind != want || s.Reason == "" {
			t.Errorf("%s: %+v, want %s", on, s, want)
		}
	}
	for on, want := range map[string]string{nic(6): "its instance is stopped", nic(101): "it belongs to no instance"} {
		if c := coverageOf(p, on); c.Status != NotSelected || !strings.Contains(c.Reason, want) {
			t.Errorf("%s: %+v, want %q", on, c, want)
		}
	}
	r := l.apply()
	if !r.OK() {
		t.Error(reportText(r))
	}
	l.settled(3) // 2, 7, 8
}

// What another account has with our tags, on a target of ours, is not ours.
func TestOtherAccount(t *testing.T) {
	l := newLab(t, 2)
	l.apply()
	l.fake.With(func(s *fakeec2.State) {
		s.AddSession(fakeec2.Session{ID: "tms-f6000000", Interface: "eni-f6000000", Target: target(0), Filter: "tmf-f6000000", Number: 1, Owner: "210987654321",
			Tags: fakeec2.Tags{TagManagedBy: ManagedBy, TagState: "test"}})
	})
	for name, p := range map[string]*Plan{"plan": l.plan(), "destroy": mustDestroy(l)} {
		for _, s := range p.Steps {
			if s.ID == "tms-f6000000" {
				t.Errorf("%s: %+v", name, s)
			}
		}
	}
}

// What would delete most sessions at once is withheld, unless it is meant.
func TestGuard(t *testing.T) {
	l := newLab(t, 10)
	l.apply()
	l.fake.With(func(s *fakeec2.State) {
		for n := range 6 {
			s.Instances[machine(n)].Tags = nil
		}
		addMachine(s, 20, fakeec2.Tags{"env": "prod"})
	})
	r := l.apply()
	if r.OK() || r.Count(Withheld) != 6 || r.Count(Done) != 1 || len(l.ours()) != 11 {
		t.Fatal(reportText(r))
	}
	// What stays is mirrored as long as it does.
	if p := l.plan(); p.covered()[Mirrored] != 11 || coverageOf(p, nic(0)).Session == "" || !strings.Contains(coverageOf(p, nic(0)).Reason, "not selected any more") {
		t.Errorf("%d are mirrored, want 11; the first one: %+v", p.covered()[Mirrored], coverageOf(p, nic(0)))
	}
	p, err := l.r.Plan(t.Context(), true)
	if err != nil {
		t.Fatal(err)
	}
	if r := l.r.Apply(t.Context(), p, func(Outcome) {}); !r.OK() {
		t.Fatal(reportText(r))
	}
	l.settled(5)
	l.fake.With(func(s *fakeec2.State) { // gone with their interfaces: nothing is deleted by us
		for _, n := range []int{6, 7, 8, 9} {
			s.DeleteInstance(machine(n))
		}
	})
	l.settled(1)
}

// The bounds of the guard: the share itself is allowed, and some always are.
func TestGuardBounds(t *testing.T) {
	for _, tc := range []struct {
		guard         Guard
		have, deleted int
		withheld      bool
	}{
		{Guard{50, 0}, 4, 2, false},
		{Guard{50, 0}, 4, 3, true},
		{Guard{50, 1}, 1, 1, false},
		{Guard{50, 0}, 1, 1, true},
		{Guard{0, 3}, 8, 3, false},
		{Guard{0, 3}, 8, 4, true},
		{Guard{100, 0}, 3, 3, false},
	} {
		p := &Plan{owned: tc.have}
		for range tc.deleted {
			p.Steps = append(p.Steps, Step{Action: Delete, What: AboutSession})
		}
		if p.guard(tc.guard, false); (p.Withheld != "") != tc.withheld {
			t.Errorf("%d of %d with %+v: %q", tc.deleted, tc.have, tc.guard, p.Withheld)
		}
	}
}

// An instance that is not listed says nothing about its tags.
func TestInstanceNotListed(t *testing.T) {
	l := newLab(t, 4)
	l.apply()
	l.fake.With(func(s *fakeec2.State) { delete(s.Instances, machine(1)) })
	l.settled(4)
}

// A list of interfaces that is not whole deletes nothing.
func TestInterfaceNotListed(t *testing.T) {
	l := newLab(t, 4)
	l.apply()
	l.fake.With(func(s *fakeec2.State) {
		s.Interfaces[nic(1)].Managed = "somebody"
		delete(s.Interfaces, nic(2)) // and yet its session is there
	})
	l.settled(4)
	l.fake.With(func(s *fakeec2.State) { s.Interfaces = map[string]*fakeec2.Interface{} })
	l.settled(4)
	if r := l.r.Apply(t.Context(), mustDestroy(l), func(Outcome) {}); !r.OK() || len(l.ours()) != 0 {
		t.Error(reportText(r))
	}
}

// Schemes of VNIs, also from one to another.
func TestVNISchemes(t *testing.T) {
	l := newLab(t, 9)
	l.apply()
	l.config(func(c *Config) {
		c.VNI = VNI{Scheme: VNIVPC, First: 1000, Last: 1999, Networks: map[string]int{vpc(1): 7}}
	})
	l.apply()
	l.settled(9)
	of := map[string]int{}
	for on, m := range l.ours() {
		var v string
		l.fake.With(func(s *fakeec2.State) { v = s.Interfaces[on].VPC })
		if n, ok := of[v]; ok && n != m.VNI {
			t.Errorf("%s has %d and %d", v, n, m.VNI)
		}
		of[v] = m.VNI
	}
	if of[vpc(1)] != 7 || of[vpc(0)] < 1000 || of[vpc(0)] > 1999 || of[vpc(0)] == of[vpc(2)] {
		t.Errorf("VNIs of VPCs: %v", of)
	}
	l.config(func(c *Config) { c.VNI.Scheme, c.VNI.Fixed, c.VNI.Networks = VNIFixed, 42, nil })
	l.apply()
	l.settled(9)
	for _, m := range l.ours() {
		if m.VNI != 42 {
			t.Errorf("VNI %d", m.VNI)
		}
	}
}

// Two desired states beside each other leave each other alone.
func TestTwoStates(t *testing.T) {
	l := newLab(t, 5)
	l.apply()
	before := l.ours()
	other := *l.c
	other.Name = "other"
	other.Targets = []Target{{LoadBalancer: "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/net/ours/1"}}
	other.Session.PacketLength = 9001
	l.c = &other
	if err := other.Validate(); err != nil {
		t.Fatal(err)
	}
	l.restart()
	if r := l.apply(); !r.OK() {
		t.Fatal(reportText(r))
	}
	l.settled(5)
	for on, m := range l.ours() {
		if m.Number != 11 || m.PacketLength != 8500 {
			t.Errorf("%s: %+v", on, m)
		}
	}
	if r := l.r.Apply(t.Context(), mustDestroy(l), func(Outcome) {}); !r.OK() {
		t.Fatal(reportText(r))
	}
	l.c.Name = "test"
	if after := l.ours(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the other state changed ours: %v, %v", before, after)
	}
}

// Destroy deletes what is ours and nothing else.
func TestDestroy(t *testing.T) {
	l := newLab(t, 7)
	l.config(func(c *Config) { c.Targets = append(c.Targets, Target{Endpoint: "vpce-0123456789abcdef0"}) })
	l.foreign("tms-f2000000", nic(0), "tmt-f0f0f0f0", 1)
	before := l.others()
	l.apply()
	l.settled(7)
	r := l.r.Apply(t.Context(), mustDestroy(l), func(Outcome) {})
	if !r.OK() || len(l.ours()) != 0 {
		t.Fatal(reportText(r))
	}
	l.untouched(before)
	l.fake.With(func(s *fakeec2.State) {
		if len(s.Filters) != 1 || len(s.Targets) != 3 || len(s.Sessions) != 1 {
			t.Errorf("left: %d filters, %d targets, %d sessions", len(s.Filters), len(s.Targets), len(s.Sessions))
		}
	})
	if p := mustDestroy(l); p.Differences() != 0 {
		t.Error(planText(p))
	}
	// What others use is kept, and told.
	l.apply()
	l.fake.With(func(s *fakeec2.State) {
		for id, target := range s.Targets {
			if target.GWLBE != "" && l.c.owned(target.Tags) {
				s.Sessions["tms-f2000000"].Target = id
			}
		}
	})
	r = l.r.Apply(t.Context(), mustDestroy(l), func(Outcome) {})
	if !r.OK() || len(l.ours()) != 0 {
		t.Fatal(reportText(r))
	}
	if p := mustDestroy(l); p.Differences() != 0 || p.Count(Keep) != 1 || !strings.Contains(planText(p), "still used by tms-f2000000") {
		t.Error(planText(p))
	}
}

// A dry run asks for each kind of change once, changes nothing, and what is not
// allowed is named.
func TestCheck(t *testing.T) {
	l := newLab(t, 4)
	l.config(func(c *Config) { c.Targets = []Target{{Endpoint: "vpce-0123456789abcdef0"}} })
	l.fake.Allow = func(c *fakeec2.Call) bool { return c.Action != "CreateTrafficMirrorFilterRule" }
	p := l.plan()
	perms, err := l.r.Check(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, perm := range perms {
		got[perm.Action] = perm.Allowed
	}
	for action, want := range map[string]string{"create target": "yes", "create filter": "yes", "modify network services": "yes", "create rule": "no", "create session": "yes"} {
		if got[action] != want {
			t.Errorf("%s: %q, want %q", action, got[action], want)
		}
	}
	if err := Denied(perms); err == nil || !strings.Contains(err.Error(), "not allowed to create rule") || strings.Contains(err.Error(), "session") {
		t.Errorf("denied: %v", err)
	}
	if len(l.fake.Mutations()) != 0 {
		t.Errorf("a dry run changed something: %v", l.fake.Mutations())
	}
}
