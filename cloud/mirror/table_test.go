package mirror

import (
	"bytes"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"mirrorscope/internal/fakeec2"
)

// What programs read of a plan, a run and a status.
func TestJSON(t *testing.T) {
	l := newLab(t, 2)
	l.fake.With(func(s *fakeec2.State) { s.Interfaces[nic(1)].Type = "trunk" })
	p := l.plan()
	var plan struct {
		State, Region, Account string
		Taken                  time.Time
		Differences            int
		Counts                 map[string]int
		Warnings               []struct{ About, Text string }
		Steps                  []struct {
			Action, What, On, Blind, Reason string
			Session                         struct {
				Target        string
				SessionNumber int `json:"session_number"`
				VNI           int
			}
		}
	}
	decode(t, p.WriteJSON, &plan)
	if plan.State != "test" || plan.Region != fakeec2.Region || plan.Account != fakeec2.Account || !plan.Taken.Equal(l.now) || plan.Differences != 11 ||
		plan.Counts["create"] != 10 || plan.Counts["blind"] != 1 || len(plan.Warnings) != 1 {
		t.Errorf("plan %+v", plan)
	}
	if s := plan.Steps[10]; s.Action != "create" || s.What != "session" || s.On != nic(0) || s.Session.SessionNumber != 10 || s.Session.VNI == 0 || s.Session.Target == "" {
		t.Errorf("session %+v", s)
	}
	if s := plan.Steps[11]; s.Action != "blind" || s.Blind != "interface_type" || s.On != nic(1) || s.Reason == "" {
		t.Errorf("blind %+v", s)
	}

	r := l.r.Apply(t.Context(), p, func(Outcome) {})
	var report struct {
		Outcomes []struct{ Result, Action, What, ID, On string }
		Counts   map[string]int
		Stopped  bool
	}
	decode(t, r.WriteJSON, &report)
	if o := report.Outcomes[10]; report.Counts["done"] != 11 || report.Stopped || o.Result != "done" || !strings.HasPrefix(o.ID, "tms-") || o.On != nic(0) {
		t.Errorf("report %+v", report)
	}

	p = l.plan()
	n := uint64(5)
	p.AddSkips(map[string]Skips{machine(0): {Packets: &n}, machine(1): {Packets: &n}})
	var status struct {
		Counts     map[string]int
		Interfaces []struct {
			Interface, Status, Blind, Session string
			Skipped                           *struct{ Packets uint64 } `json:"mirror_skipped"`
		}
	}
	decode(t, func(b io.Writer) error { return p.WriteStatusJSON(b, ShowAll) }, &status)
	if status.Counts["mirrored"] != 1 || status.Counts["blind"] != 1 || status.Counts["not_selected"] != 2 || len(status.Interfaces) != 4 {
		t.Errorf("status %+v", status)
	}
	if c := status.Interfaces[0]; c.Status != "mirrored" || c.Session == "" || c.Skipped == nil || c.Skipped.Packets != 5 {
		t.Errorf("mirrored %+v", c)
	}
	if c := status.Interfaces[1]; c.Status != "blind" || c.Skipped != nil { // of packets that are not to be copied none are skipped
		t.Errorf("blind %+v", c)
	}
	decode(t, func(b io.Writer) error { return p.WriteStatusJSON(b, ShowBlind) }, &status)
	if len(status.Interfaces) != 1 {
		t.Errorf("blind ones: %+v", status.Interfaces)
	}
}

func decode(t *testing.T, write func(io.Writer) error, v any) {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b.Bytes(), v); err != nil {
		t.Fatalf("%v\n%s", err, b.Bytes())
	}
}

// Names come from whoever may tag an instance: they are no commands to a terminal.
func TestTableIsSafe(t *testing.T) {
	l := newLab(t, 1)
	l.fake.With(func(s *fakeec2.State) { s.Instances[machine(0)].Tags["Name"] = "evil\x1b]0;x\x07\nnext\u202e" })
	p := l.plan()
	var b bytes.Buffer
	if err := p.WriteTable(&b, true); err != nil {
		t.Fatal(err)
	}
	if err := p.WriteStatus(&b, ShowAll); err != nil {
		t.Fatal(err)
	}
	for _, s := range p.Steps {
		b.WriteString((&Outcome{Step: &s, Result: Done}).Line())
	}
	if text := b.String(); strings.ContainsAny(text, "\x1b\x07\u202e") || strings.Contains(text, "\nnext") || !strings.Contains(text, "evil") {
		t.Errorf("%q", text)
	}
}

// The default is complete but for what only the user knows, and reads as it was
// written.
func TestDefaultConfig(t *testing.T) {
	var b bytes.Buffer
	if err := DefaultConfig().Write(&b); err != nil {
		t.Fatal(err)
	}
	_, err := Read(bytes.NewReader(b.Bytes()))
	want := []string{"name: is missing", "select: instances: a condition is needed", "targets: there is none"}
	if err == nil || len(split(err)) != len(want) {
		t.Fatalf("%v", err)
	}
	for _, w := range want {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("no %q in %v", w, err)
		}
	}
	text := strings.NewReplacer("name = ''", "name = 'x'", "instances = ''", "instances = 'env = prod'", "targets = []", "targets = [{id = 'tmt-0123456789abcdef0'}]").Replace(b.String())
	c, err := Read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	b.Reset()
	if err := c.Write(&b); err != nil {
		t.Fatal(err)
	}
	again, err := Read(bytes.NewReader(b.Bytes()))
	if err != nil || again.Select.Instances != "env = prod" || again.Targets[0].ID != c.Targets[0].ID {
		t.Errorf("%+v, %v", again, err)
	}
}
