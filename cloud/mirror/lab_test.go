package mirror

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"mirrorscope/internal/fakeec2"
)

// lab is an account with machines, and a desired state for it, which selects what
// has env = prod and sends it to two interface targets. Nothing in it waits.
type lab struct {
	t    testing.TB
	fake *fakeec2.Server
	c    *Config
	r    *Reconciler
	now  time.Time // of the Reconciler and of Limit
	slow time.Duration
}

const idFormat = "%s-%017x"

func nic(n int) string     { return fmt.Sprintf(idFormat, "eni", n) }
func machine(n int) string { return fmt.Sprintf(idFormat, "i", n) }
func sensor(n int) string  { return nic(1<<40 + n) } // interface of a sensor
func target(n int) string  { return fmt.Sprintf(idFormat, "tmt", 1<<40+n) }

// newLab has n machines with one interface each, and two sensors.
func newLab(t testing.TB, n int) *lab {
	l := &lab{t: t, fake: fakeec2.New(), now: time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)}
	l.fake.Now = func() time.Time { return l.now }
	l.fake.With(func(s *fakeec2.State) {
		for i := range n {
			addMachine(s, i, fakeec2.Tags{"env": "prod", "Name": fmt.Sprint("web-", i)})
		}
		for i := range 2 {
			s.AddInstance(fakeec2.Instance{ID: machine(1<<40 + i), Type: "c7gn.16xlarge"})
			s.AddInterface(fakeec2.Interface{ID: sensor(i), Instance: machine(1<<40 + i), VPC: vpc(0), IP: "10.0.255.1"})
			s.AddTarget(fakeec2.Target{ID: target(i), Interface: sensor(i)})
		}
		s.Types["c7gn.16xlarge"] = fakeec2.InstanceType{Sources: 100_000}
		s.Types["m7i.metal-24xl"] = fakeec2.InstanceType{BareMetal: true}
	})
	c := DefaultConfig()
	c.Name = "test"
	c.Select.Instances = "env = prod"
	c.Targets = []Target{{ID: target(0)}, {ID: target(1)}}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	l.c = &c
	l.restart()
	return l
}

func vpc(n int) string { return fmt.Sprintf(idFormat, "vpc", n) }

func addMachine(s *fakeec2.State, n int, tags fakeec2.Tags) {
	s.AddInstance(fakeec2.Instance{ID: machine(n), Type: "m7g.large", Tags: tags})
	s.AddInterface(fakeec2.Interface{ID: nic(n), Instance: machine(n), VPC: vpc(n % 3), Subnet: fmt.Sprintf(idFormat, "subnet", n%3), IP: fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255)})
}

// restart gives a Reconciler that remembers nothing, as after a crash.
func (l *lab) restart() {
	limit := NewLimit(l.c.Rate.ChangesPerSecond)
	wait := func(ctx context.Context, d time.Duration) error {
		l.now = l.now.Add(d)
		l.slow += d
		return ctx.Err()
	}
	limit.Now, limit.Sleep = func() time.Time { return l.now }, wait
	l.r = New(l.c, ec2.New(ec2.Options{
		Region: fakeec2.Region, BaseEndpoint: aws.String(fakeec2.Endpoint), HTTPClient: l.fake,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}, nil
		}),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = attempts
			o.RateLimiter = ratelimit.None
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		}),
	}, limit.Apply))
	l.r.Now, l.r.Sleep = func() time.Time { return l.now }, wait
}

// config changes the desired state and checks it.
func (l *lab) config(change func(*Config)) {
	l.t.Helper()
	change(l.c)
	if err := l.c.Validate(); err != nil {
		l.t.Fatal(err)
	}
}

// plan reads and compares.
func (l *lab) plan() *Plan {
	l.t.Helper()
	p, err := l.r.Plan(context.Background(), false)
	if err != nil {
		l.t.Fatal(err)
	}
	return p
}

// apply plans and applies.
func (l *lab) apply() *Report {
	l.t.Helper()
	return l.r.Apply(context.Background(), l.plan(), func(Outcome) {})
}

// settled fails unless the state is as desired, with so many sessions of ours.
func (l *lab) settled(sessions int) {
	l.t.Helper()
	p := l.plan()
	if n := p.Differences(); n != 0 {
		l.t.Fatalf("%d differences are left:\n%s", n, planText(p))
	}
	if n := len(l.ours()); n != sessions {
		l.t.Fatalf("%d sessions, want %d:\n%s", n, sessions, planText(p))
	}
}

func planText(p *Plan) string {
	var b strings.Builder
	for _, s := range p.Steps {
		fmt.Fprintf(&b, "%s %s %s %s: %s %v\n", s.Action, s.What, s.ID, s.On, s.Reason, s.Changes)
	}
	for _, w := range p.Warnings {
		fmt.Fprintf(&b, "%s: %s\n", w.About, w.Text)
	}
	return b.String()
}

func reportText(r *Report) string {
	var b strings.Builder
	for _, o := range r.Outcomes {
		fmt.Fprintf(&b, "%s: %s %s %s %s: %s\n", o.Result, o.Step.Action, o.Step.What, o.Step.On, o.ID, o.Note)
	}
	return b.String()
}

// ours gives copies of the sessions with the tags of the state, by interface.
func (l *lab) ours() map[string]fakeec2.Session {
	all := map[string]fakeec2.Session{}
	l.fake.With(func(s *fakeec2.State) {
		for _, m := range s.Sessions {
			if l.c.owned(m.Tags) {
				if twin, ok := all[m.Interface]; ok {
					l.t.Fatalf("%s has two sessions of ours: %s, %s", m.Interface, twin.ID, m.ID)
				}
				all[m.Interface] = *m
			}
		}
	})
	return all
}

// others gives copies of all other sessions, targets and filters.
func (l *lab) others() map[string]string {
	all := map[string]string{}
	l.fake.With(func(s *fakeec2.State) {
		for id, m := range s.Sessions {
			if !l.c.owned(m.Tags) {
				all[id] = fmt.Sprintf("%+v", *m)
			}
		}
		for id, m := range s.Targets {
			if !l.c.owned(m.Tags) {
				all[id] = fmt.Sprintf("%+v", *m)
			}
		}
		for id, m := range s.Filters {
			if !l.c.owned(m.Tags) {
				all[id] = fmt.Sprintf("%+v", *m)
			}
		}
	})
	return all
}

// untouched fails if anything of somebody else is not as it was.
func (l *lab) untouched(before map[string]string) {
	l.t.Helper()
	if after := l.others(); !maps.Equal(before, after) {
		l.t.Fatalf("what others have was changed:\n%v\n%v", before, after)
	}
}

// foreign adds a session of somebody else.
func (l *lab) foreign(id, on, to string, number int) {
	l.fake.With(func(s *fakeec2.State) {
		if s.Filters["tmf-f0f0f0f0"] == nil {
			s.AddFilter(fakeec2.Filter{ID: "tmf-f0f0f0f0"})
			s.AddTarget(fakeec2.Target{ID: "tmt-f0f0f0f0", Balancer: "arn:aws:elasticloadbalancing:eu-central-1:123456789012:loadbalancer/net/theirs/1"})
		}
		s.AddSession(fakeec2.Session{ID: id, Interface: on, Target: to, Filter: "tmf-f0f0f0f0", Number: number, VNI: 5, Tags: fakeec2.Tags{"managed-by": "terraform"}})
	})
}

// count tells how often an action came that was not a dry run.
func (l *lab) count(action string) int {
	return len(slices.DeleteFunc(l.fake.Calls(), func(c fakeec2.Call) bool { return c.Action != action || c.DryRun() }))
}
