package mirror

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mirrorscope/internal/fakeec2"
)

// environment has the SDK find nothing of the machine that the test runs on.
func environment(t *testing.T, endpoint string) {
	t.Helper()
	for _, e := range os.Environ() {
		if name, _, _ := strings.Cut(e, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
			_ = os.Unsetenv(name)
		}
	}
	nowhere := t.TempDir()
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(nowhere, "config"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(nowhere, "credentials"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_ENDPOINT_URL", endpoint)
}

// With a role everything is done in the account of the role.
func TestClientRole(t *testing.T) {
	const other, role, key = "222222222222", "arn:aws:iam::222222222222:role/mirror", "ASIAOTHER"
	fake := fakeec2.New()
	fake.Accounts[key] = other
	fake.Services["sts"] = &fakeec2.STS{Roles: map[string]fakeec2.Role{role: {ExternalID: "ours", AccessKey: key}}}
	environment(t, fake.Start(t))
	c := DefaultConfig()
	c.Name, c.Select.Instances, c.Targets = "test", "*", []Target{{ID: target(0)}}
	c.AWS = AWS{Region: "us-east-1", Role: role, ExternalID: "ours"}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	client, err := NewClient(t.Context(), &c)
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(&c, client).Plan(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	if p.Region != "us-east-1" {
		t.Errorf("region %q", p.Region)
	}
	for _, call := range fake.Calls() {
		if call.Account != other || call.Region != "us-east-1" {
			t.Errorf("%s in %s, %s", call.Action, call.Account, call.Region)
		}
	}
	if len(fake.Calls()) < 6 {
		t.Errorf("%d calls", len(fake.Calls()))
	}
	c.AWS.ExternalID = "theirs"
	if client, err = NewClient(t.Context(), &c); err == nil {
		_, err = New(&c, client).Plan(t.Context(), false)
	}
	if err == nil || !strings.Contains(err.Error(), "AssumeRole") {
		t.Errorf("with another external id: %v", err)
	}
}

func TestClientErrors(t *testing.T) {
	environment(t, "http://127.0.0.1:1")
	c := DefaultConfig()
	if _, err := NewClient(t.Context(), &c); err == nil || !strings.Contains(err.Error(), "give aws.region") {
		t.Errorf("no region: %v", err)
	}
	c.AWS = AWS{Region: "eu-central-1", Profile: "nobody"}
	if _, err := NewClient(t.Context(), &c); err == nil || !strings.Contains(err.Error(), "settings of AWS") || !strings.Contains(err.Error(), "nobody") {
		t.Errorf("no such profile: %v", err)
	}
}
