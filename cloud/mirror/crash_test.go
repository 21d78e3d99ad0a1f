package mirror

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"mirrorscope/internal/fakeec2"
)

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
	if !r.Stopped || r.OK() || len(l.ours()) != 1 || r.Count(NotTried) != 9 || r.Count(Failed) != 0 {
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
	for lag := range 12 {
		l := newLab(t, 4)
		l.fake.With(func(s *fakeec2.State) { s.Lag = lag })
		r := l.apply()
		if !r.OK() {
			t.Fatalf("lag %d: %s", lag, reportText(r))
		}
		if len(l.ours()) != 4 {
			t.Errorf("lag %d: %d sessions", lag, len(l.ours()))
		}
		for range 12 { // as often as it takes
			if r := l.apply(); r.Count(Failed) != 0 {
				t.Fatalf("lag %d: %s", lag, reportText(r))
			}
		}
		l.settled(4)
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

// In the same process what was created and deleted before is known: one call each.
func TestCreatedBeforeByUs(t *testing.T) {
	l := newLab(t, 2)
	l.config(func(c *Config) { c.Guard.DeletePercent = 100 })
	l.apply()
	for range 5 {
		l.fake.With(func(s *fakeec2.State) { s.Instances[machine(0)].Tags["env"] = "dev" })
		l.apply()
		l.fake.With(func(s *fakeec2.State) { s.Instances[machine(0)].Tags["env"] = "prod" })
		l.fake.Forget()
		l.apply()
		if n := l.count("CreateTrafficMirrorSession"); n != 1 {
			t.Errorf("%d creates for one session", n)
		}
	}
	l.settled(2)
}
