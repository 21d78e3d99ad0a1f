package mirror

import (
	"bytes"
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"mirrorscope/internal/fakeec2"
)

// Every action that is called is in the policy, and every one that is in the policy
// is called, over a life with everything in it.
func TestPolicyActions(t *testing.T) {
	calls := map[string]bool{}
	l := newLab(t, 4)
	l.config(func(c *Config) {
		c.Targets = []Target{{Interface: sensor(0)}, {Endpoint: "vpce-0123456789abcdef0"}}
		c.Guard.DeletePercent = 100
	})
	l.apply()
	l.fake.With(func(s *fakeec2.State) { s.Instances[machine(0)].Tags = nil })
	for _, rules := range [][]Rule{{{Protocol: "tcp"}}, {{Protocol: "udp"}, {Action: "reject"}}, {{Protocol: "udp"}}} {
		l.config(func(c *Config) { c.Filter.Rules = rules; c.Session.PacketLength += 100 })
		l.apply()
	}
	l.settled(3)
	l.r.Apply(t.Context(), mustDestroy(l), func(Outcome) {})
	for _, c := range l.fake.Calls() {
		calls["ec2:"+c.Action] = true
		if c.Params.Get("TagSpecification.1.ResourceType") != "" {
			calls["ec2:CreateTags"] = true
		}
	}
	policy := map[string]bool{}
	for _, s := range WritePolicy(nil).Statement {
		for _, a := range s.Action {
			policy[a] = true
		}
	}
	if got, want := slices.Sorted(maps.Keys(policy)), slices.Sorted(maps.Keys(calls)); !slices.Equal(got, want) {
		t.Errorf("the policy has %q\nand %q were called", got, want)
	}
	// What only reads is enough for a plan.
	reads := map[string]bool{}
	l.fake.Forget()
	l.plan()
	for _, c := range l.fake.Calls() {
		reads["ec2:"+c.Action] = true
	}
	if got := ReadPolicy().Statement[0].Action; len(ReadPolicy().Statement) != 1 || !slices.Contains(got, "ec2:DescribeInstanceTypes") {
		t.Errorf("reading: %+v", got)
	}
	for a := range reads {
		if !slices.Contains(ReadPolicy().Statement[0].Action, a) {
			t.Errorf("a plan calls %s, which the policy for it has not", a)
		}
	}
}

// allows evaluates a policy for one call as IAM does: for each resource of the call
// there is a statement with its action, its ARN and its conditions.
func allows(p Policy, action, arn string, keys map[string]string) bool {
	for _, s := range p.Statement {
		if !slices.Contains(s.Action, action) || !slices.ContainsFunc(s.Resource, func(r string) bool {
			ok, err := path.Match(strings.ReplaceAll(r, "/", "|"), strings.ReplaceAll(arn, "/", "|"))
			return ok && err == nil
		}) {
			continue
		}
		good := true
		for key, values := range s.Condition["StringEquals"] {
			good = good && slices.Contains(values, keys[key])
		}
		if good {
			return true
		}
	}
	return false
}

// The policy holds for what is ours and for nothing else.
func TestPolicyConditions(t *testing.T) {
	l := newLab(t, 0)
	l.config(func(c *Config) { c.AWS.Region = "eu-central-1"; c.Filter = Filter{ID: "tmf-0123456789abcdef0"} })
	narrow, wide := WritePolicy(l.c), WritePolicy(nil)
	const in = "arn:aws:ec2:eu-central-1:123456789012:"
	ours := map[string]string{"aws:ResourceTag/managed-by": ManagedBy, "aws:ResourceTag/mirrorscope-state": "test"}
	others := map[string]string{"aws:ResourceTag/managed-by": ManagedBy, "aws:ResourceTag/mirrorscope-state": "another"}
	theirs := map[string]string{"aws:ResourceTag/managed-by": "terraform"}
	create := map[string]string{"aws:RequestTag/managed-by": ManagedBy, "aws:RequestTag/mirrorscope-state": "test"}
	for _, tc := range []struct {
		policy      Policy
		action, arn string
		keys        map[string]string
		want        bool
	}{
		{wide, "ec2:DeleteTrafficMirrorSession", in + "traffic-mirror-session/tms-1", ours, true},
		{wide, "ec2:DeleteTrafficMirrorSession", in + "traffic-mirror-session/tms-1", others, true},
		{wide, "ec2:DeleteTrafficMirrorSession", in + "traffic-mirror-session/tms-1", theirs, false},
		{narrow, "ec2:DeleteTrafficMirrorSession", in + "traffic-mirror-session/tms-1", ours, true},
		{narrow, "ec2:DeleteTrafficMirrorSession", in + "traffic-mirror-session/tms-1", others, false},
		{narrow, "ec2:DeleteTrafficMirrorSession", "arn:aws:ec2:us-east-1:123456789012:traffic-mirror-session/tms-1", ours, false},
		{narrow, "ec2:CreateTrafficMirrorSession", in + "traffic-mirror-session/tms-1", create, true},
		{narrow, "ec2:CreateTrafficMirrorSession", in + "traffic-mirror-session/tms-1", nil, false},
		{narrow, "ec2:CreateTrafficMirrorSession", in + "network-interface/eni-1", nil, true},
		{narrow, "ec2:CreateTrafficMirrorSession", in + "traffic-mirror-filter/tmf-0123456789abcdef0", nil, true},
		{narrow, "ec2:CreateTrafficMirrorSession", in + "traffic-mirror-filter/tmf-1", nil, false},
		{narrow, "ec2:CreateTrafficMirrorSession", in + "traffic-mirror-target/" + target(1), nil, true},
		{narrow, "ec2:CreateTrafficMirrorSession", in + "traffic-mirror-target/tmt-1", nil, false},
		{narrow, "ec2:CreateTrafficMirrorFilter", in + "traffic-mirror-filter/tmf-1", create, false},
		{wide, "ec2:CreateTrafficMirrorFilter", in + "traffic-mirror-filter/tmf-1", create, true},
		{wide, "ec2:CreateTrafficMirrorFilterRule", in + "traffic-mirror-filter/tmf-1", ours, true},
		{wide, "ec2:CreateTrafficMirrorFilterRule", in + "traffic-mirror-filter/tmf-1", theirs, false},
		{wide, "ec2:CreateTags", in + "traffic-mirror-session/tms-1", map[string]string{"ec2:CreateAction": "CreateTrafficMirrorSession"}, true},
		{wide, "ec2:CreateTags", in + "traffic-mirror-session/tms-1", nil, false},
		{wide, "ec2:CreateTags", in + "instance/i-1", map[string]string{"ec2:CreateAction": "CreateTrafficMirrorSession"}, false},
		{wide, "ec2:RunInstances", in + "instance/i-1", nil, false},
		{ReadPolicy(), "ec2:DescribeInstances", "*", nil, true},
		{ReadPolicy(), "ec2:DeleteTrafficMirrorSession", in + "traffic-mirror-session/tms-1", ours, false},
	} {
		if got := allows(tc.policy, tc.action, tc.arn, tc.keys); got != tc.want {
			t.Errorf("%s on %s with %v: allowed %v, want %v", tc.action, tc.arn, tc.keys, got, tc.want)
		}
	}
	var b bytes.Buffer
	if err := narrow.Write(&b); err != nil || !json.Valid(b.Bytes()) {
		t.Errorf("%v: %s", err, b.Bytes())
	}
}

// A run with nothing but what the policy of its state allows comes to its end.
func TestPolicyIsEnough(t *testing.T) {
	l := newLab(t, 3)
	l.config(func(c *Config) { c.Filter = Filter{ID: "tmf-0123456789abcdef0"} })
	l.fake.With(func(s *fakeec2.State) { s.AddFilter(fakeec2.Filter{ID: "tmf-0123456789abcdef0"}) })
	var actions []string
	for _, s := range WritePolicy(l.c).Statement {
		actions = append(actions, s.Action...)
	}
	l.fake.Allow = func(c *fakeec2.Call) bool { return slices.Contains(actions, "ec2:"+c.Action) }
	if r := l.apply(); !r.OK() {
		t.Error(reportText(r))
	}
	l.settled(3)
}
