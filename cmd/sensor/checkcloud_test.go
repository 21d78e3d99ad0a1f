package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mirrorscope/cloud"
	"mirrorscope/daemon"
	"mirrorscope/internal/fakeec2"
	"mirrorscope/nic"
)

// TestCheckClouds: each permission of a source, and how old what is known of it is;
// what is missing is a warning, as capture works without.
func TestCheckClouds(t *testing.T) {
	fake := fakeec2.New()
	fake.Services["sts"] = &fakeec2.STS{}
	fake.Allow = func(c *fakeec2.Call) bool { return c.Action != "DescribeInstances" }
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": fake.Start(t), "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_EC2_METADATA_DISABLED": "true", "AWS_CONFIG_FILE": filepath.Join(t.TempDir(), "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(t.TempDir(), "none"),
	} {
		t.Setenv(name, value)
	}
	c := daemon.DefaultConfig().Cloud
	if got := checkClouds(&c); len(got) != 0 {
		t.Errorf("without any cloud: %+v", got)
	}
	c.Directory = t.TempDir()
	c.AWS.Enabled, c.AWS.MirrorLoss, c.AWS.Regions = true, false, []string{"eu-central-1", "eu-west-1"}
	store := cloud.Store{Directory: c.Directory}
	if err := store.Save(&cloud.Snapshot{Source: "aws/own/eu-central-1", Taken: time.Now().Add(-time.Hour), Interfaces: make([]cloud.Interface, 3)}); err != nil {
		t.Fatal(err)
	}
	got := checkClouds(&c)
	if len(got) != 2 || got[0].Name != "aws/own/eu-central-1" || got[0].Level != nic.Warning {
		t.Fatalf("%+v", got)
	}
	var lines []string
	for _, f := range got[0].Findings {
		lines = append(lines, fmt.Sprintf("%v %s: %s", f.Level, f.About, f.Found))
		if f.Level != nic.OK && (f.Why == "" || f.Mend == "") {
			t.Errorf("no why or mend: %+v", f)
		}
	}
	text := strings.Join(lines, "\n")
	for _, want := range []string{
		"ok credentials: arn:aws:iam::123456789012:user/tester in eu-central-1", "ok ec2:DescribeNetworkInterfaces: allowed",
		"warning ec2:DescribeInstances: try it in eu-central-1 by ec2:DescribeInstances: UnauthorizedOperation", "ok ec2:DescribeVpcs: allowed",
		"note inventory: 3 interfaces and 0 machines, 1h0m0s old",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if last := got[1].Findings[len(got[1].Findings)-1]; last.Level != nic.OK || last.Found != "nothing is known yet" {
		t.Errorf("%+v", last)
	}
	if err := os.WriteFile(store.Path("aws/own/eu-west-1"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f := known(&c, "aws/own/eu-west-1", time.Now()); f.Level != nic.Warning || f.Mend != "remove the file" {
		t.Errorf("%+v", f)
	}
}
