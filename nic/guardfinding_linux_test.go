package nic

import (
	"fmt"
	"strings"
	"testing"
)

// TestExamineGuard tells whether there is a guard, and what it kept back.
func TestExamineGuard(t *testing.T) {
	l := newLab(t)
	examine := func(u Use, installs bool) string {
		f := l.inspect()
		var x Finding
		l.in(l.sensor, func() error { x = ExamineGuard(f, u, installs); return nil })
		return fmt.Sprintf("%s: %s [%s]", x.Level, x.Found, x.Mend)
	}
	for _, step := range []struct {
		what     string
		do       func()
		use      Use
		installs bool
		want     string
	}{
		{"without one", func() {}, Use{}, false, "warning: not in place [sensor guard cap0 | nft -f -]"},
		{"shared, without one", func() {}, Use{Shared: true}, false, "warning: not in place [sensor guard --shared cap0 | nft -f -]"},
		{"one that will be", func() {}, Use{}, true, "ok: not in place; the sensor installs it"},
		{"one that is", func() { l.guard(DefaultGuardConfig()) }, Use{}, true, "ok: in place []"},
		{"one that kept a frame back", func() {
			frame := l.strange()
			_ = l.sensor.do(func() error { return sendOn(capName, frame) }) // ENOBUFS
		}, Use{}, false, "note: in place; it has kept 1 frames of this machine from being sent"},
		{"a default route", func() {
			l.in(l.sensor, func() error { return RemoveGuard(capName) })
			l.run(l.sensor, "", "ip", "addr", "add", "10.99.0.2/24", "dev", capName)
			l.run(l.sensor, "", "ip", "route", "add", "default", "via", "10.99.0.1")
		}, Use{}, true, "error: cannot be installed: a default route leaves there"},
		{"a default route, shared", func() {}, Use{Shared: true}, true, "ok: not in place; the sensor installs it"},
	} {
		step.do()
		if got := examine(step.use, step.installs); !strings.HasPrefix(got, step.want) {
			t.Errorf("%s: %s, want %s", step.what, got, step.want)
		}
	}
}

// TestExamineCounters names the places.
func TestExamineCounters(t *testing.T) {
	l := newLab(t)
	l.in(l.sensor, func() error {
		list := ExamineCounters(capName)
		if len(list) != 1 || list[0].Level != OK || list[0].Found != "counted as nic_dropped" {
			t.Errorf("%+v", list)
		}
		if list := ExamineCounters("gone0"); len(list) != 1 || list[0].Level != Warning {
			t.Errorf("%+v", list)
		}
		return nil
	})
}
