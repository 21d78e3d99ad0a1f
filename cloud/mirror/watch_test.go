package mirror

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
	"time"

	"mirrorscope/internal/fakeec2"
	"mirrorscope/unit"
)

// watchLab runs a watcher: before each pass but the first, one of the steps happens.
// It gives what was logged in each pass, and the pauses.
func watchLab(t *testing.T, l *lab, steps ...func()) (passes []string, pauses []time.Duration) {
	t.Helper()
	var log bytes.Buffer
	w := NewWatcher(l.r, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})))
	ctx, stop := context.WithCancel(t.Context())
	inner := l.r.Sleep
	l.r.Sleep = func(ctx context.Context, d time.Duration) error {
		if d < time.Duration(l.c.Watch.Period)/2 {
			return inner(ctx, d) // within a pass
		}
		passes, pauses = append(passes, log.String()), append(pauses, d)
		log.Reset()
		l.now = l.now.Add(d)
		if len(passes) > len(steps) {
			stop()
			return ctx.Err()
		}
		steps[len(passes)-1]()
		return nil
	}
	w.Run(ctx)
	if !strings.Contains(log.String(), "stopped watching") {
		t.Errorf("the end is not told: %s", log.String())
	}
	return passes, pauses
}

func TestWatch(t *testing.T) {
	l := newLab(t, 4)
	l.config(func(c *Config) { c.MTU.Sources = 1500; c.Watch = Watch{unit.Duration(10 * time.Minute), 20} })
	passes, pauses := watchLab(t, l,
		func() {},
		func() {
			l.fake.With(func(s *fakeec2.State) { addMachine(s, 9, fakeec2.Tags{"env": "prod", "Name": "new"}) })
		},
		func() { l.fake.Fail(fakeec2.Fault{Action: "DescribeInstances"}) },
		func() {},
		func() {
			l.fake.Heal()
			l.fake.With(func(s *fakeec2.State) { s.Interfaces[nic(1)].Type = "trunk"; s.DeleteInstance(machine(0)) })
		},
		func() {},
		func() { l.fake.With(func(s *fakeec2.State) { s.Instances = map[string]*fakeec2.Instance{} }) }, // an answer that is empty
		func() {},
	)
	for i, want := range []string{
		"msg=done action=create what=session on=" + nic(0), // at once
		"",
		"name=new",
		"cannot compare; sessions stay as they are",
		"", // the same is not told twice
		"compares again",
		"",
		"",
		"",
	} {
		if want == "" && passes[i] != "" || !strings.Contains(passes[i], want) {
			t.Errorf("pass %d: want %q in:\n%s", i, want, passes[i])
		}
	}
	if !strings.Contains(passes[5], "selected, and not mirrored") || !strings.Contains(passes[5], "why=interface_type") {
		t.Errorf("an interface that became blind:\n%s", passes[5])
	}
	if n := len(l.ours()); n != 3 {
		t.Errorf("%d sessions are left after an empty answer, want 3", n)
	}
	different := map[time.Duration]bool{}
	for _, d := range pauses {
		different[d] = true
		if d < 8*time.Minute || d > 12*time.Minute {
			t.Errorf("a pause of %v", d)
		}
	}
	if len(different) < 3 {
		t.Errorf("the period has no jitter: %v", pauses)
	}
}

// A guard that trips in a pass leaves sessions as they are, and the rest goes on.
func TestWatchGuard(t *testing.T) {
	l := newLab(t, 6)
	passes, _ := watchLab(t, l, func() {
		l.fake.With(func(s *fakeec2.State) {
			for _, i := range s.Instances {
				i.Tags = nil
			}
		})
	}, func() {})
	if passes[2] != "" {
		t.Errorf("the same is told twice:\n%s", passes[2])
	}
	if !strings.Contains(passes[1], "6 of 6 sessions would be deleted") || len(l.ours()) != 6 {
		t.Errorf("%d sessions:\n%s", len(l.ours()), passes[1])
	}
}

// What is not allowed is told once, and nothing is changed until it is.
func TestWatchDenied(t *testing.T) {
	l := newLab(t, 2)
	l.fake.Allow = func(c *fakeec2.Call) bool { return c.Action != "CreateTrafficMirrorSession" }
	passes, _ := watchLab(t, l, func() {
		if n := len(l.fake.Mutations()); n != 0 {
			t.Errorf("%d changes", n)
		}
	}, func() { l.fake.Allow = nil })
	if !strings.Contains(passes[0], "not allowed to create session") || strings.Contains(passes[1], "not allowed") || len(l.ours()) != 2 {
		t.Errorf("passes %q", passes)
	}
}
