package mirror

import (
	"context"
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

// Throttled calls are tried again, and do not come faster for it.
func TestThrottled(t *testing.T) {
	l := newLab(t, 5)
	l.fake.Fail(
		fakeec2.Fault{Action: "DescribeInstances", Nth: 1, Times: 3, Error: fakeec2.Throttled()},
		fakeec2.Fault{Action: "CreateTrafficMirrorSession", Nth: 2, Times: 4, Error: fakeec2.Throttled()})
	if r := l.apply(); !r.OK() {
		t.Fatal(reportText(r))
	}
	if n := l.count("CreateTrafficMirrorSession"); n != 9 {
		t.Errorf("%d creates for 5 sessions, 4 of them throttled", n)
	}
	if least := time.Duration(len(l.fake.Mutations())-1) * time.Second / 4; l.slow < least {
		t.Errorf("attempts are not counted as changes: %v, want %v", l.slow, least)
	}
	l.settled(5)
}

// A list that cannot be had is no empty list.
func TestReadFails(t *testing.T) {
	for _, action := range []string{"DescribeTrafficMirrorSessions", "DescribeTrafficMirrorTargets", "DescribeTrafficMirrorFilters", "DescribeNetworkInterfaces", "DescribeInstances"} {
		l := newLab(t, 3)
		l.fake.Fail(fakeec2.Fault{Action: action, Error: &fakeec2.Error{Status: 403, Code: "UnauthorizedOperation", Message: "no"}})
		if p, err := l.r.Plan(t.Context(), false); err == nil || !strings.Contains(err.Error(), "UnauthorizedOperation") {
			t.Errorf("%s: %v, %v", action, p, err)
		}
		if n := len(l.fake.Mutations()); n != 0 {
			t.Errorf("%s: %d changes", action, n)
		}
	}
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

// What is deleted between the list and the call: a session that was to be deleted
// is; one that was to be modified is created.
func TestSessionGone(t *testing.T) {
	l := newLab(t, 10)
	l.apply()
	l.config(func(c *Config) { c.Session.PacketLength = 200; c.Guard.DeletePercent = 100 })
	l.fake.With(func(s *fakeec2.State) { s.Instances[machine(3)].Tags["env"] = "dev" })
	p := l.plan()
	if p.Count(Delete) != 1 || p.Count(Modify) != 9 {
		t.Fatal(planText(p))
	}
	l.fake.With(func(s *fakeec2.State) {
		for _, n := range []int{3, 4} {
			delete(s.Sessions, s.SessionsOf(nic(n))[0].ID)
		}
	})
	r := l.r.Apply(t.Context(), p, func(Outcome) {})
	if !r.OK() || r.Count(Gone) != 1 || r.Count(Done) != 9 {
		t.Fatal(reportText(r))
	}
	l.settled(9)
}

// An interface that is gone is noted, and the rest is done.
func TestInterfaceGone(t *testing.T) {
	l := newLab(t, 4)
	p := l.plan()
	l.fake.With(func(s *fakeec2.State) { s.DeleteInstance(machine(2)) })
	r := l.r.Apply(t.Context(), p, func(Outcome) {})
	if !r.OK() || r.Count(Gone) != 1 || r.Count(Failed) != 0 {
		t.Fatal(reportText(r))
	}
	l.settled(3)
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

// One interface that AWS refuses does not hold up the others, and is left alone
// for a while.
func TestPartialFailure(t *testing.T) {
	l := newLab(t, 6)
	l.fake.With(func(s *fakeec2.State) {
		s.Types["t2.micro"] = fakeec2.InstanceType{Refused: &fakeec2.Error{Status: 400, Code: "UnsupportedOperation", Message: "t2.micro is not supported"}}
		s.Instances[machine(1)].Type = "t2.micro"
	})
	r := l.apply()
	if r.OK() || r.Count(Failed) != 1 || len(l.ours()) != 5 {
		t.Fatal(reportText(r))
	}
	p := l.plan()
	if i := blindStep(p, nic(1)); i == nil || i.Blind != BlindRefused || !strings.Contains(i.Reason, "t2.micro is not supported") {
		t.Error(planText(p))
	}
	l.now = l.now.Add(patience + time.Second)
	if l.plan().Count(Create) != 1 {
		t.Error("it is never tried again")
	}
	l.apply()
	l.now = l.now.Add(patience + time.Second)
	if l.plan().Count(Create) != 0 {
		t.Error("the second time it is left alone for no longer")
	}
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

// A crash at each call in turn, before it and after it was done: the next run finds
// what is there, adds the rest, and doubles nothing.
func TestCrash(t *testing.T) {
	full := newLab(t, 6)
	full.apply()
	calls := len(full.fake.Mutations())
	for nth := 1; nth <= calls; nth++ {
		for _, f := range []fakeec2.Fault{{Lost: true}, {Lost: true, Committed: true}} {
			t.Run(fmt.Sprint(nth, f.Committed), func(t *testing.T) {
				l := newLab(t, 6)
				before := l.others()
				ctx, crash := context.WithCancel(t.Context())
				seen := 0
				f.Nth, f.Times = 1, 1<<30
				f.When = func(c *fakeec2.Call) bool {
					if !c.Mutates() {
						return false
					}
					seen++
					return seen >= nth
				}
				l.fake.Fail(f)
				l.fake.Hook = func(*fakeec2.Call) {
					if seen >= nth {
						crash()
					}
				}
				p := l.plan()
				r := l.r.Apply(ctx, p, func(Outcome) {})
				if r.OK() {
					t.Fatalf("the crash was not noticed:\n%s", reportText(r))
				}
				l.fake.Heal()
				l.fake.Hook = nil
				l.restart()
				if r := l.apply(); !r.OK() {
					t.Fatal(reportText(r))
				}
				l.settled(6)
				l.untouched(before)
				l.fake.With(func(s *fakeec2.State) {
					if len(s.Filters) != 1 {
						t.Errorf("%d filters", len(s.Filters))
					}
				})
			})
		}
	}
}

// A plan that is stopped ends after the call that is under way.
func TestStop(t *testing.T) {
	l := newLab(t, 10)
	ctx, stop := context.WithCancel(t.Context())
	l.fake.Hook = func(c *fakeec2.Call) {
		if c.Action == "CreateTrafficMirrorSession" {
			stop()
		}
	}
	r := l.r.Apply(ctx, l.plan(), func(Outcome) {})
	if !r.Stopped || r.OK() || len(l.ours()) != 1 || r.Count(NotTried) != 9 {
		t.Errorf("%d sessions:\n%s", len(l.ours()), reportText(r))
	}
}

// The same create as that of a session that is deleted since: the API gives the old
// id for the token, and the session is created all the same.
func TestCreatedBefore(t *testing.T) {
	l := newLab(t, 2)
	l.config(func(c *Config) { c.Guard.DeletePercent = 100 })
	for range 4 {
		l.apply()
		l.settled(2)
		l.fake.With(func(s *fakeec2.State) { s.Instances[machine(0)].Tags["env"] = "dev" })
		l.apply()
		l.settled(1)
		l.fake.With(func(s *fakeec2.State) { s.Instances[machine(0)].Tags["env"] = "prod" })
		l.restart()
	}
	l.apply()
	l.settled(2)
	r := l.r.Apply(t.Context(), mustDestroy(l), func(Outcome) {})
	if !r.OK() {
		t.Fatal(reportText(r))
	}
	l.restart()
	if r := l.apply(); !r.OK() { // the filter and its rules were there before too
		t.Fatal(reportText(r))
	}
	l.settled(2)
}

func mustDestroy(l *lab) *Plan {
	l.t.Helper()
	p, err := l.r.PlanDestroy(context.Background())
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}

// A session that is listed late is not created twice.
func TestListedLate(t *testing.T) {
	for lag := range 8 {
		l := newLab(t, 4)
		l.fake.With(func(s *fakeec2.State) { s.Lag = lag })
		r := l.apply()
		if !r.OK() {
			t.Fatalf("lag %d: %s", lag, reportText(r))
		}
		if len(l.ours()) != 4 {
			t.Errorf("lag %d: %d sessions", lag, len(l.ours()))
		}
		l.fake.With(func(s *fakeec2.State) {
			if len(s.Sessions) != 4 {
				t.Errorf("lag %d: %d sessions", lag, len(s.Sessions))
			}
		})
	}
}

// Who asks again before the first session is listed gets that one: the token of a
// create is the same in every run.
func TestToken(t *testing.T) {
	l := newLab(t, 3)
	l.fake.With(func(s *fakeec2.State) { s.Lag = 100 })
	first, second := l.plan(), l.plan()
	l.r.Apply(t.Context(), first, func(Outcome) {})
	l.restart()
	if r := l.r.Apply(t.Context(), second, func(Outcome) {}); r.Count(Failed) != 0 {
		t.Error(reportText(r))
	}
	l.fake.With(func(s *fakeec2.State) {
		if len(s.Sessions) != 3 || len(s.Filters) != 1 {
			t.Errorf("%d sessions, %d filters", len(s.Sessions), len(s.Filters))
		}
		for _, f := range s.Filters {
			if len(f.Rules) != 8 {
				t.Errorf("%d rules", len(f.Rules))
			}
		}
	})
}

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

// Filter rules are changed where they are; what AWS cannot change is replaced.
func TestRules(t *testing.T) {
	l := newLab(t, 1)
	steps := [][]Rule{
		{{Protocol: "tcp", DestinationPorts: "443"}, {Protocol: "udp", SourcePorts: "53", Direction: "ingress"}},
		{{Protocol: "tcp", DestinationPorts: "8000-8999"}, {Action: "reject", Source: "10.0.0.0/8"}},
		{{Source: "::/0", Destination: "2001:db8::/32"}, {Protocol: "47"}},
		{{Direction: "egress"}},
		{},
	}
	replaced := 0
	for i, rules := range steps {
		l.config(func(c *Config) { c.Filter.Rules = rules; c.Filter.AmazonDNS = i%2 == 0 })
		l.fake.Forget()
		p := l.plan()
		replaced += p.Count(Replace)
		if r := l.r.Apply(t.Context(), p, func(Outcome) {}); !r.OK() {
			t.Fatalf("%d: %s", i, reportText(r))
		}
		l.settled(1)
		if i > 0 && l.count("CreateTrafficMirrorFilter") != 0 {
			t.Errorf("%d: another filter", i)
		}
		want, err := l.c.Filter.rules()
		if err != nil {
			t.Fatal(err)
		}
		l.fake.With(func(s *fakeec2.State) {
			for _, f := range s.Filters {
				if len(f.Rules) != len(want) {
					t.Errorf("%d: %d rules, want %d", i, len(f.Rules), len(want))
				}
			}
		})
	}
	if l.count("DeleteTrafficMirrorFilterRule") == 0 && l.count("ModifyTrafficMirrorFilterRule") == 0 {
		t.Error("rules are neither modified nor deleted")
	}
	if replaced == 0 {
		t.Error("no rule changes from one version of IP to the other")
	}
}

// A filter that is given is used as it is; one of ours goes when nobody uses it.
func TestGivenFilter(t *testing.T) {
	l := newLab(t, 3)
	l.apply()
	l.fake.With(func(s *fakeec2.State) { s.AddFilter(fakeec2.Filter{ID: "tmf-0000000a"}) })
	before := l.others()
	l.config(func(c *Config) { c.Filter = Filter{ID: "tmf-0000000a"} })
	if r := l.apply(); !r.OK() {
		t.Fatal(reportText(r))
	}
	l.settled(3)
	l.untouched(before)
	l.fake.With(func(s *fakeec2.State) {
		if len(s.Filters) != 1 {
			t.Errorf("%d filters", len(s.Filters))
		}
	})
	if text := planText(l.plan()); !strings.Contains(text, "has no rules") {
		t.Errorf("no word of a filter that takes nothing:\n%s", text)
	}
	l.fake.With(func(s *fakeec2.State) { delete(s.Filters, "tmf-0000000a") })
	l.settled(3) // kept, and told
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
