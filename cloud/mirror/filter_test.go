package mirror

import (
	"strings"
	"testing"

	"mirrorscope/internal/fakeec2"
)

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
	// What rejects comes first, so that for a moment less is mirrored, not more.
	l.config(func(c *Config) { c.Filter.Rules = []Rule{{Source: "10.0.0.0/8"}, {Action: "reject", Protocol: "tcp"}} })
	accepted := false
	for _, s := range l.plan().Steps {
		if s.What != AboutRule {
			continue
		}
		if s.Rule != nil && s.Rule.Action == "reject" && accepted {
			t.Errorf("%s comes after what accepts:\n%s", s.Rule, planText(l.plan()))
		}
		accepted = accepted || s.Rule != nil && s.Rule.Action == "accept"
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

// What a rule may say, and how it is told.
func TestParseRules(t *testing.T) {
	for _, tc := range []struct {
		rule Rule
		want string // of ingress, or a part of the error
	}{
		{Rule{}, "accept all from 0.0.0.0/0 to 0.0.0.0/0"},
		{Rule{Action: "reject", Protocol: "icmpv6", Source: "::/0", Destination: "2001:db8::/32"}, "reject icmpv6 from ::/0 to 2001:db8::/32"},
		{Rule{Protocol: "6", SourcePorts: "443", DestinationPorts: "1024 - 65535"}, "accept tcp from 0.0.0.0/0 port 443 to 0.0.0.0/0 ports 1024-65535"},
		{Rule{Protocol: "47"}, "accept protocol 47 from 0.0.0.0/0 to 0.0.0.0/0"},
		{Rule{Protocol: "256"}, "protocol: \"256\""},
		{Rule{Source: "10.0.0.0"}, "source: netip.ParsePrefix"},
		{Rule{Source: "::/0"}, "another version of IP"},
		{Rule{Protocol: "tcp", SourcePorts: "9-1"}, "source_ports: \"9-1\""},
		{Rule{Protocol: "tcp", DestinationPorts: "65536"}, "destination_ports: \"65536\""},
		{Rule{Direction: "in"}, "direction: \"in\""},
	} {
		f := Filter{Rules: []Rule{tc.rule}}
		rules, err := f.rules()
		if err != nil {
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%+v: %v, want %q", tc.rule, err, tc.want)
			}
			continue
		}
		if got := rules[0].String(); got != tc.want || len(rules) != 2 {
			t.Errorf("%+v: %d rules, %q, want %q", tc.rule, len(rules), got, tc.want)
		}
	}
	f := Filter{NoLoops: true, Rules: []Rule{{}, {Source: "::/0", Destination: "::/0"}, {Protocol: "tcp"}, {Direction: "ingress"}}}
	if _, err := f.rules(); err == nil || !strings.Contains(err.Error(), "they make 11 for AWS") {
		t.Errorf("11 rules: %v", err)
	}
}
