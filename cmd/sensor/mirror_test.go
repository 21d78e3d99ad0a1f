package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"mirrorscope/cloud/aws"
	"mirrorscope/cloud/mirror"
	"mirrorscope/internal/fakeec2"
	"mirrorscope/internal/golden"
)

// ID of a thing in scripts, as eni-0000000000000000a.
func cloudID(prefix string, n int) string { return fmt.Sprintf("%s-%017x", prefix, n) }

// account is what each script finds: four machines, of which the third is of the
// database and the fourth is stopped, and a sensor, which is the target tmt-…99.
//
//	i-…1 web-1, i-…2 web-2, i-…3 db-1, i-…4 web-4   eni-…1 to eni-…4   env = prod
//	i-…99 sensor                                    eni-…99
func account() *fakeec2.Server {
	fake := fakeec2.New()
	fake.With(func(s *fakeec2.State) {
		for n, name := range []string{"web-1", "web-2", "db-1", "web-4"} {
			role, _, _ := strings.Cut(name, "-")
			s.AddInstance(fakeec2.Instance{ID: cloudID("i", n+1), Type: "m7g.large", Tags: fakeec2.Tags{"Name": name, "env": "prod", "role": role}})
			s.AddInterface(fakeec2.Interface{ID: cloudID("eni", n+1), Instance: cloudID("i", n+1), VPC: cloudID("vpc", 1), Subnet: cloudID("subnet", 1), IP: fmt.Sprint("10.0.0.", n+1)})
		}
		s.Instances[cloudID("i", 4)].State = "stopped"
		s.AddInstance(fakeec2.Instance{ID: cloudID("i", 0x99), Type: "c7gn.large", Tags: fakeec2.Tags{"Name": "sensor"}})
		s.AddInterface(fakeec2.Interface{ID: cloudID("eni", 0x99), Instance: cloudID("i", 0x99), IP: "10.0.0.99"})
		s.AddTarget(fakeec2.Target{ID: cloudID("tmt", 0x99), Interface: cloudID("eni", 0x99)})
	})
	return fake
}

// skipped has CloudWatch tell that packets of i-…1 were not copied.
func skipped(metric, instance string, _ time.Time) (float64, bool) {
	switch {
	case instance != cloudID("i", 1):
		return 0, false
	case metric == "NetworkPacketsSkipMirrorIn":
		return 7, true
	}
	return 0, true
}

// TestMirrorScript runs every script of testdata/mirror, each beside an account of
// its own. "cloud" changes that.
func TestMirrorScript(t *testing.T) {
	type key struct{}
	fakeOf := func(ts *testscript.TestScript) *fakeec2.Server { return ts.Value(key{}).(*fakeec2.Server) }
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "mirror"),
		UpdateScripts:       flag.Lookup("update").Value.String() == "true",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			fake := account()
			fake.Services["monitoring"] = &fakeec2.Monitoring{Value: skipped}
			server := httptest.NewServer(fake)
			env.Defer(server.Close)
			env.Values[key{}] = fake
			for name, value := range map[string]string{
				"AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": fakeec2.Region,
				"AWS_CONFIG_FILE": filepath.Join(env.WorkDir, "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(env.WorkDir, "none"), "AWS_EC2_METADATA_DISABLED": "true",
			} {
				env.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"status": status,
			"cloud":  func(ts *testscript.TestScript, neg bool, args []string) { changeCloud(ts, fakeOf(ts), neg, args) },
		},
	})
}

// changeCloud is the command of scripts:
//
//	cloud tag ID KEY=VALUE        an instance gets a tag
//	cloud foreign ENI TMT N       a session of somebody else
//	cloud deny ACTION             is not allowed from now on
//	cloud allow                   everything is
//	cloud refuse TYPE             is not mirrored, as AWS says
//	cloud sessions N              fails unless there are so many sessions
//	cloud wait N                  waits for so many
//	! cloud changed               fails if anything was changed since the last time
func changeCloud(ts *testscript.TestScript, fake *fakeec2.Server, neg bool, args []string) {
	what, args := strings.Join(args[:1], ""), args[1:]
	if what == "changed" {
		n := len(fake.Mutations())
		fake.Forget()
		if neg == (n > 0) {
			ts.Fatalf("%d changes", n)
		}
		return
	}
	if what == "wait" {
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
			n := 0
			if fake.With(func(s *fakeec2.State) { n = len(s.Sessions) }); fmt.Sprint(n) == args[0] {
				return
			}
			if time.Now().After(deadline) {
				ts.Fatalf("%d sessions after a minute", n)
			}
		}
	}
	fake.With(func(s *fakeec2.State) {
		switch {
		case what == "tag" && len(args) == 2:
			key, value, _ := strings.Cut(args[1], "=")
			s.Instances[args[0]].Tags[key] = value
		case what == "foreign" && len(args) == 3:
			var n int
			_, err := fmt.Sscan(args[2], &n)
			ts.Check(err)
			s.AddFilter(fakeec2.Filter{ID: "tmf-f0f0f0f0"})
			s.AddTarget(fakeec2.Target{ID: "tmt-f0f0f0f0", GWLBE: "vpce-f0f0f0f0"})
			s.AddSession(fakeec2.Session{ID: fmt.Sprintf("tms-f%07d", n), Interface: args[0], Target: args[1], Filter: "tmf-f0f0f0f0", Number: n, VNI: n})
		case what == "refuse" && len(args) == 1:
			s.Types[args[0]] = fakeec2.InstanceType{Refused: &fakeec2.Error{Status: 400, Code: "UnsupportedOperation", Message: args[0] + " is not supported"}}
		case what == "sessions" && len(args) == 1:
			if n := fmt.Sprint(len(s.Sessions)); n != args[0] {
				ts.Fatalf("%s sessions, want %s", n, args[0])
			}
		case what == "deny" && len(args) == 1:
			fake.Allow = func(c *fakeec2.Call) bool { return c.Action != args[0] }
		case what == "allow":
			fake.Allow = nil
		default:
			ts.Fatalf("cloud %s %q: see changeCloud", what, args)
		}
	})
}

// The policy of the sensor has what its inventory calls, and nothing else.
func TestSensorPolicy(t *testing.T) {
	fake := account()
	fake.Services["monitoring"] = &fakeec2.Monitoring{Value: skipped}
	fake.Services["sts"] = &fakeec2.STS{}
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": fake.Start(t), "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_CONFIG_FILE": filepath.Join(t.TempDir(), "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(t.TempDir(), "none"), "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	c := aws.DefaultConfig()
	c.Enabled, c.Regions, c.RequestsPerSecond = true, []string{fakeec2.Region}, 20
	for _, source := range aws.Sources(c) {
		if _, err := source.Fetch(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	called := map[string]bool{"cloudwatch:GetMetricData": true} // see cloud/aws, which has no other question for CloudWatch
	for _, call := range fake.Calls() {
		called["ec2:"+call.Action] = true
	}
	if got := slices.Sorted(maps.Keys(called)); !slices.Equal(got, sensorActions) {
		t.Errorf("called %q, and the policy has %q", got, sensorActions)
	}
}

// The how-to shows the policies, and the reference the desired state.
func TestReferenceMirror(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("<!-- Generated from the defaults by go test ./cmd/sensor -update. -->\n\n# Desired state of mirror sessions\n\n" +
		"`sensor mirror` reads a TOML file. It is strict: a key that is not here is an error. What a file leaves out is as below;\n" +
		"`sensor mirror config` prints this page. [Mirror sessions by tag](../how-to/mirror-sessions.md) shows how it is used.\n\n```toml\n")
	if err := mirror.DefaultConfig().Write(&b); err != nil {
		t.Fatal(err)
	}
	b.WriteString("```\n\n## Policies\n\nWhat an identity must be allowed, as `sensor mirror policy` prints it.\n")
	for _, p := range []struct{ of, text string }{
		{policyMirror, "For `apply`, `watch` and `destroy`. Whatever is changed, deleted or created must carry the tag of the sensor; with `--config` also that of\nthe desired state, and only its region, targets and filter are in reach."},
		{policyPlan, "For `plan` and `status`, which only read."},
		{policySensor, "For `sensor run` with `[cloud.aws]`, and for what `status` shows as skipped."},
	} {
		fmt.Fprintf(&b, "\n### sensor mirror policy --for %s\n\n%s\n\n```json\n", p.of, p.text)
		if err := policyOf(p.of, nil).Write(&b); err != nil {
			t.Fatal(err)
		}
		b.WriteString("```\n")
	}
	golden.Equal(t, filepath.Join("..", "..", "docs", "reference", "mirror.md"), b.Bytes())
}
