package aws

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorscope/cloud"
	"mirrorscope/internal/fakeec2"
)

// Accounts of the tests, and the access keys by which the fake tells them.
const (
	ownKey, otherKey, thirdKey = "AKIDOWN", "ASIAOTHER", "ASIATHIRD"
	otherAccount, thirdAccount = "222222222222", "333333333333"
	otherRole, thirdRole       = "arn:aws:iam::222222222222:role/mirrorscope-read", "arn:aws:iam::333333333333:role/path/mirrorscope-read"
	externalID                 = "an id of ours"
	region, otherRegion        = fakeec2.Region, "us-east-1"
	ownSource                  = "aws/own/" + region
)

// serve starts EC2, STS and CloudWatch at one address, to which the environment
// points, as that of a sensor would.
func serve(t *testing.T) (*fakeec2.Server, *fakeec2.STS, *fakeec2.Monitoring) {
	t.Helper()
	fake := fakeec2.New()
	fake.Accounts = map[string]string{ownKey: fakeec2.Account, otherKey: otherAccount, thirdKey: thirdAccount}
	tokens := &fakeec2.STS{
		Roles:      map[string]fakeec2.Role{otherRole: {ExternalID: externalID, AccessKey: otherKey}, thirdRole: {AccessKey: thirdKey}},
		Identities: map[string]string{otherKey: "arn:aws:sts::222222222222:assumed-role/mirrorscope-read/mirrorscope"},
	}
	metrics := &fakeec2.Monitoring{Value: func(string, string, time.Time) (float64, bool) { return 0, false }}
	fake.Services["sts"], fake.Services["monitoring"] = tokens, metrics
	environment(t, fake.Start(t))
	t.Setenv("AWS_ACCESS_KEY_ID", ownKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	return fake, tokens, metrics
}

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
	t.Setenv("AWS_ENDPOINT_URL", endpoint)
}

// quick is a configuration whose sources wait for nothing.
func quick(c Config) []cloud.Source {
	c.RequestsPerSecond = 10_000
	sources := Sources(c)
	for _, s := range sources {
		at(s).backoff, at(s).attempts = time.Millisecond, 4
	}
	return sources
}

func at(s cloud.Source) *place {
	if m, ok := s.(*metered); ok {
		return m.place
	}
	return s.(*place)
}

func inRegion() Config {
	c := DefaultConfig()
	c.Enabled, c.Regions = true, []string{region}
	return c
}

func fetch(t *testing.T, s cloud.Source) (*cloud.Snapshot, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return s.Fetch(ctx)
}

// many puts n machines with an interface each into a state.
func many(s *fakeec2.State, n int) {
	s.AddVPC(fakeec2.VPC{ID: "vpc-1", CIDR: "10.0.0.0/8", Tags: fakeec2.Tags{"Name": "shop"}})
	s.AddSubnet(fakeec2.Subnet{ID: "subnet-1", VPC: "vpc-1", CIDR: "10.0.0.0/8", Zone: "eu-central-1a", Tags: fakeec2.Tags{"Name": "private"}})
	for i := range n {
		id := fmt.Sprintf("%017x", i+1)
		s.AddInstance(fakeec2.Instance{ID: "i-" + id, Type: "m7i.large", VPC: "vpc-1", Subnet: "subnet-1", Zone: "eu-central-1a", Tags: fakeec2.Tags{"Name": fmt.Sprint("machine-", i)}})
		s.AddInterface(fakeec2.Interface{ID: "eni-" + id, VPC: "vpc-1", Subnet: "subnet-1", Zone: "eu-central-1a", IP: fmt.Sprintf("10.1.%d.%d", i/256, i%256), Instance: "i-" + id})
	}
}

// TestFetchPages: 2,000 interfaces and machines over pages, each once; every list
// has a size, and managed interfaces are asked for.
func TestFetchPages(t *testing.T) {
	fake, _, _ := serve(t)
	fake.With(func(s *fakeec2.State) { many(s, 2500) })
	snap, err := fetch(t, quick(inRegion())[0])
	if err != nil {
		t.Fatal(err)
	}
	if len(snap.Interfaces) != 2500 || len(snap.Instances) != 2500 || snap.Unread != 0 {
		t.Fatalf("%d interfaces, %d instances, %d unread", len(snap.Interfaces), len(snap.Instances), snap.Unread)
	}
	seen := map[netip.Addr]bool{}
	for _, n := range snap.Interfaces {
		if len(n.Addresses) != 1 || seen[n.Addresses[0]] || n.Network != (cloud.Named{ID: "vpc-1", Name: "shop"}) || n.Subnet.Name != "private" || n.Account != fakeec2.Account || n.Region != region || n.Kind != cloud.KindInstance {
			t.Fatalf("%+v", n)
		}
		seen[n.Addresses[0]] = true
	}
	count := map[string]int{}
	for _, c := range fake.Calls() {
		count[c.Action]++
		if c.Params.Get("MaxResults") != "1000" {
			t.Errorf("%s without pages: %v", c.Action, c.Params)
		}
		if strings.HasPrefix(c.Action, "DescribeN") && c.Params.Get("IncludeManagedResources") != "true" {
			t.Errorf("%s without managed ones", c.Action)
		}
	}
	if fmt.Sprint(count) != "map[DescribeInstances:3 DescribeNetworkInterfaces:3 DescribeSubnets:1 DescribeVpcs:1]" {
		t.Errorf("calls: %v", count)
	}
}

// TestFetchEverything: all that a snapshot can hold.
func TestFetchEverything(t *testing.T) {
	fake, _, _ := serve(t)
	attached := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	fake.With(func(s *fakeec2.State) {
		s.AddVPC(fakeec2.VPC{ID: "vpc-1", Tags: fakeec2.Tags{"Name": "shop"}})
		s.AddSubnet(fakeec2.Subnet{ID: "subnet-1", VPC: "vpc-1"})
		s.AddInterface(fakeec2.Interface{
			ID: "eni-1", VPC: "vpc-1", Subnet: "subnet-1", Zone: "eu-central-1b", IP: "10.0.0.5", Secondary: []string{"10.0.0.6"}, IPv6: []string{"2001:db8::5"},
			Prefixes: []string{"10.0.1.0/28", "2001:db8:1::/80", "bad"}, PublicIP: "198.51.100.7", MAC: "02:00:00:00:00:01",
			Groups: []fakeec2.Group{{ID: "sg-1", Name: "web"}, {ID: "sg-2", Name: "ssh"}}, Instance: "i-1", Attached: attached, Tags: fakeec2.Tags{"Name": "front", "team": "shop"},
		})
		s.AddInterface(fakeec2.Interface{ID: "eni-2", VPC: "vpc-1", Subnet: "subnet-9", IP: "10.0.0.300"})
		s.AddInstance(fakeec2.Instance{ID: "i-1", Type: "m7i.large", Launched: attached, Tags: fakeec2.Tags{
			"Name": "web-1", "service": "web", "aws:autoscaling:groupName": "web-asg", "eks:cluster-name": "prod",
		}})
		s.AddInstance(fakeec2.Instance{ID: "i-2", State: "stopped", Tags: fakeec2.Tags{"kubernetes.io/cluster/blue": "owned"}})
		s.AddInstance(fakeec2.Instance{ID: "i-3", State: "terminated"})
		s.AddInstance(fakeec2.Instance{ID: "i-4", Tags: fakeec2.Tags{"kubernetes.io/cluster/blue": "owned", "kubernetes.io/cluster/red": "shared"}})
	})
	snap, err := fetch(t, quick(inRegion())[0])
	if err != nil {
		t.Fatal(err)
	}
	want := cloud.Interface{
		ID: "eni-1", Name: "front", Provider: "aws", Account: fakeec2.Account, Region: region, Zone: "eu-central-1b",
		Network: cloud.Named{ID: "vpc-1", Name: "shop"}, Subnet: cloud.Named{ID: "subnet-1"},
		Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.5"), netip.MustParseAddr("10.0.0.6"), netip.MustParseAddr("2001:db8::5")},
		Prefixes:  []netip.Prefix{netip.MustParsePrefix("10.0.1.0/28"), netip.MustParsePrefix("2001:db8:1::/80")},
		Public:    []netip.Addr{netip.MustParseAddr("198.51.100.7")}, MAC: "02:00:00:00:00:01",
		Groups: []cloud.Named{{ID: "sg-1", Name: "web"}, {ID: "sg-2", Name: "ssh"}}, Kind: cloud.KindInstance, Instance: "i-1", Attached: attached,
		Tags: cloud.Tags{"Name": "front", "team": "shop"},
	}
	if got := snap.Interfaces[0]; fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if snap.Unread != 2 || len(snap.Interfaces) != 2 { // "bad" and 10.0.0.300
		t.Errorf("%d addresses unread of %d interfaces", snap.Unread, len(snap.Interfaces))
	}
	var machines []string
	for _, i := range snap.Instances {
		machines = append(machines, strings.Join([]string{i.ID, i.Name, i.Type, i.State, i.Group, i.Cluster}, " "))
		if i.ID == "i-1" && (!i.Launched.Equal(attached) || i.Tags["service"] != "web") {
			t.Errorf("%+v", i)
		}
	}
	if got := strings.Join(machines, ", "); got != "i-1 web-1 m7i.large running web-asg prod, i-2   stopped  blue, i-4   running  " {
		t.Errorf("instances: %s", got)
	}
}

// TestFetchThrottled: what EC2 refuses for a while is asked for again, what it
// refuses for long is an error that says what to do; neither gives half a list.
func TestFetchThrottled(t *testing.T) {
	fake, _, _ := serve(t)
	fake.With(func(s *fakeec2.State) { many(s, 1200) })
	source := quick(inRegion())[0]
	fake.Fail(fakeec2.Fault{Action: "DescribeNetworkInterfaces", Nth: 2, Times: 2, Error: fakeec2.Throttled()}, fakeec2.Fault{Action: "DescribeInstances", Nth: 1, Lost: true})
	snap, err := fetch(t, source)
	if err != nil || len(snap.Interfaces) != 1200 || len(snap.Instances) != 1200 {
		t.Fatalf("throttled for a while: %v", err)
	}
	fake.Heal()
	fake.Fail(fakeec2.Fault{Action: "DescribeNetworkInterfaces", Nth: 2, Times: 99, Error: fakeec2.Throttled()})
	snap, err = fetch(t, source)
	if snap != nil || err == nil || !strings.Contains(err.Error(), "list in eu-central-1 by ec2:DescribeNetworkInterfaces: RequestLimitExceeded") || !strings.Contains(cloud.Mend(err), "requests_per_second") {
		t.Errorf("throttled for long: %v, %v; mend %q", snap, err, cloud.Mend(err))
	}
}

// TestKeeperLastGood: a failure in the third page keeps what was known before, whole;
// a restart without the API has it from disk.
func TestKeeperLastGood(t *testing.T) {
	fake, _, _ := serve(t)
	fake.With(func(s *fakeec2.State) { many(s, 2500) })
	source := quick(inRegion())[0]
	c := cloud.DefaultConfig()
	c.Directory = t.TempDir()
	good, handed := look(t, c, source)
	if len(handed) != 1 || good.Err != nil || good.Interfaces != 2500 {
		t.Fatalf("%+v", good)
	}
	fake.Fail(fakeec2.Fault{Action: "DescribeNetworkInterfaces", Nth: 3, Times: 99, Error: fakeec2.Broken()})
	state, handed := look(t, c, quick(inRegion())[0]) // a restart
	if len(handed) != 1 || len(handed[0].Interfaces) != 2500 || state.Err == nil || !state.FromDisk || state.Interfaces != 2500 || !state.Taken.Equal(good.Taken) {
		t.Errorf("a failure in the third page: %+v, %d handed on", state, len(handed))
	}
	if age, ok := state.Age(state.Taken.Add(time.Hour)); !ok || age != time.Hour {
		t.Errorf("age %v, %v", age, ok)
	}
}

// look runs a Keeper until its source was asked once.
func look(t *testing.T, c cloud.Config, s cloud.Source) (cloud.State, []*cloud.Snapshot) {
	t.Helper()
	var handed []*cloud.Snapshot
	k, err := cloud.NewKeeper(c, []cloud.Source{s}, func(s *cloud.Snapshot) { handed = append(handed, s) }, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	k.Load()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { k.Run(ctx); close(ended) }()
	for k.States()[0].Next.IsZero() {
		time.Sleep(5 * time.Millisecond)
	}
	cancel()
	<-ended
	return k.States()[0], handed
}

// TestAccounts: several accounts and regions, each by its own role with its external
// id, and one without permission spoils nothing.
func TestAccounts(t *testing.T) {
	fake, tokens, _ := serve(t)
	fake.With(func(s *fakeec2.State) { many(s, 1) })
	fake.In(otherAccount, region, func(s *fakeec2.State) { many(s, 2) })
	fake.In(otherAccount, otherRegion, func(s *fakeec2.State) { many(s, 3) })
	fake.In(thirdAccount, region, func(s *fakeec2.State) { many(s, 4) })
	fake.Allow = func(c *fakeec2.Call) bool { return c.Account != thirdAccount || c.Action != "DescribeInstances" }
	c := inRegion()
	c.Accounts = []Account{
		{RoleARN: otherRole, ExternalID: externalID, Regions: []string{region, otherRegion}},
		{RoleARN: thirdRole},
		{RoleARN: "arn:aws:iam::222222222222:role/nobody", ExternalID: "x"},
	}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{
		ownSource: 1, "aws/" + otherRole + "/" + region: 2, "aws/" + otherRole + "/" + otherRegion: 3,
		"aws/" + thirdAccount + "/" + region: -1, "aws/arn:aws:iam::222222222222:role/nobody/" + region: -2,
	}
	for _, s := range quick(c) {
		n, known := want[s.Name()]
		delete(want, s.Name())
		snap, err := fetch(t, s)
		switch {
		case !known:
			t.Errorf("a source %s", s.Name())
		case n == -1:
			if err == nil || !strings.Contains(err.Error(), "ec2:DescribeInstances: UnauthorizedOperation") || !strings.Contains(cloud.Mend(err), "allow ec2:DescribeInstances") {
				t.Errorf("%s: %v; mend %q", s.Name(), err, cloud.Mend(err))
			}
		case n == -2:
			if err == nil || !strings.Contains(err.Error(), "assume the role by sts:AssumeRole: AccessDenied") || !strings.Contains(cloud.Mend(err), "external id") {
				t.Errorf("%s: %v; mend %q", s.Name(), err, cloud.Mend(err))
			}
		case err != nil || len(snap.Interfaces) != n:
			t.Errorf("%s: %v", s.Name(), err)
		}
	}
	if len(want) != 0 {
		t.Errorf("no source for %v", want)
	}
	// One token of a role is good for all of its regions.
	var assumed []string
	for _, p := range tokens.Assumed() {
		if arn := p.Get("RoleArn"); !strings.HasSuffix(arn, "nobody") {
			assumed = append(assumed, arn+" "+p.Get("ExternalId")+" "+p.Get("RoleSessionName"))
		}
	}
	if fmt.Sprint(assumed) != fmt.Sprint([]string{otherRole + " " + externalID + " mirrorscope", thirdRole + "  mirrorscope"}) {
		t.Errorf("assumed: %q", assumed)
	}
}

// TestTroubles: what an operator reads is the same each time, and says what to do.
func TestTroubles(t *testing.T) {
	fake, _, _ := serve(t)
	refused := httptest.NewServer(http.NotFoundHandler())
	refused.Close()
	for _, tc := range []struct {
		name       string
		prepare    func(t *testing.T)
		want, mend string
	}{
		{"denied", func(*testing.T) {
			fake.Fail(fakeec2.Fault{Action: "DescribeVpcs", Error: &fakeec2.Error{Status: 403, Code: "UnauthorizedOperation", Message: "You are not authorized. User: arn:x is not authorized. Encoded authorization failure message: " + fmt.Sprint(time.Now().UnixNano())}})
		}, "list in eu-central-1 by ec2:DescribeVpcs: UnauthorizedOperation: You are not authorized. User: arn:x is not authorized.", "allow ec2:DescribeVpcs in the policy"},
		{"region not enabled", func(*testing.T) {
			fake.Fail(fakeec2.Fault{Error: &fakeec2.Error{Status: 401, Code: "AuthFailure", Message: "AWS was not able to validate the provided access credentials"}})
		}, "list in eu-central-1 by ec2:DescribeVpcs: AuthFailure: AWS was not able to validate the provided access credentials", "the region is enabled"},
		{"nobody there", func(t *testing.T) { t.Setenv("AWS_ENDPOINT_URL", refused.URL) },
			"list in eu-central-1 by ec2:DescribeVpcs: dial " + strings.TrimPrefix(refused.URL, "http://") + ": connection refused", "connect to the API by HTTPS"},
		{"no such host", func(t *testing.T) { t.Setenv("AWS_ENDPOINT_URL", "http://ec2.fake.invalid") },
			"list in eu-central-1 by ec2:DescribeVpcs: look up ec2.fake.invalid: ", "resolve names"},
		{"no credentials", func(t *testing.T) { t.Setenv("AWS_ACCESS_KEY_ID", ""); t.Setenv("AWS_SECRET_ACCESS_KEY", "") },
			"list in eu-central-1 by ec2:DescribeVpcs: there are no credentials", "give this machine a role"},
		{"a program", func(t *testing.T) {
			t.Setenv("AWS_ACCESS_KEY_ID", "")
			t.Setenv("AWS_SECRET_ACCESS_KEY", "")
			if err := os.WriteFile(os.Getenv("AWS_CONFIG_FILE"), []byte("[default]\ncredential_process = /bin/false\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = os.Remove(os.Getenv("AWS_CONFIG_FILE")) })
		}, "the profile's credentials come from a program (/bin/false)", "give this machine a role"},
		{"no such profile", func(t *testing.T) { t.Setenv("AWS_PROFILE", "nobody") },
			"read the configuration of AWS: ", ""},
		{"no region", func(t *testing.T) { t.Setenv("TEST_NO_REGION", "1") }, "no region is known, and", "set cloud.aws.regions"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fake.Heal()
			texts := map[string]bool{}
			for range 2 {
				fake.Heal()
				tc.prepare(t)
				c := inRegion()
				if os.Getenv("TEST_NO_REGION") != "" {
					c.Regions = nil
				}
				snap, err := fetch(t, quick(c)[0])
				if snap != nil || err == nil || !strings.HasPrefix(err.Error(), tc.want) || !strings.Contains(cloud.Mend(err), tc.mend) {
					t.Fatalf("got  %v\nwant %s…; mend %q", err, tc.want, cloud.Mend(err))
				}
				texts[err.Error()] = true
			}
			if len(texts) != 1 {
				t.Errorf("differs each time: %v", texts)
			}
		})
	}
}

// TestRate: however much there is to ask, no more than the rate leaves.
func TestRate(t *testing.T) {
	fake, _, _ := serve(t)
	fake.With(func(s *fakeec2.State) { many(s, 1) })
	fake.Fail(fakeec2.Fault{Action: "DescribeVpcs", Times: 3, Error: fakeec2.Throttled()})
	c := inRegion()
	c.RequestsPerSecond = 20
	s := Sources(c)[0]
	at(s).backoff = time.Nanosecond
	at(s).limit.SetBurst(1)
	began := time.Now()
	if _, err := fetch(t, s); err != nil {
		t.Fatal(err)
	}
	// Seven attempts: four lists, one of them three times in vain. Never sooner,
	// however slow the machine is.
	if n, took := len(fake.Calls()), time.Since(began); n != 7 || took < 6*time.Second/20 {
		t.Errorf("%d requests in %v at 20/s", n, took)
	}
}

func TestContext(t *testing.T) {
	serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := quick(inRegion())[0].Fetch(ctx); err == nil {
		t.Error("a look goes on though nobody wants it")
	}
}

func TestNames(t *testing.T) {
	c := DefaultConfig()
	c.Accounts = []Account{{RoleARN: otherRole}}
	var names []string
	for _, s := range Sources(c) {
		names = append(names, s.Name())
		if _, ok := s.(cloud.Meter); !ok {
			t.Errorf("%s tells nothing of mirrors", s.Name())
		}
	}
	c.MirrorLoss = false
	if _, ok := Sources(c)[0].(cloud.Meter); ok {
		t.Error("CloudWatch is asked though it is not to be")
	}
	if !slices.Equal(names, []string{"aws/own/here", "aws/222222222222/here"}) {
		t.Errorf("%q", names)
	}
}

func TestConfig(t *testing.T) {
	c := Config{
		Enabled: true, Regions: []string{"eu-central-1", "mars", "eu-central-1"}, RequestsPerSecond: 21,
		Accounts: []Account{{RoleARN: "x"}, {RoleARN: otherRole, Regions: []string{"b"}}, {RoleARN: otherRole}},
	}
	err := c.Validate()
	for _, want := range []string{`regions: "mars"`, "regions: eu-central-1 is there twice", `accounts[0].role_arn: "x"`, `accounts[1].regions: "b"`, "accounts[2].role_arn: " + otherRole + " is there twice", "requests_per_second: 21"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Validate lacks %q: %v", want, err)
		}
	}
	c = Config{Enabled: true, RequestsPerSecond: 1}
	if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "own_account") {
		t.Errorf("nothing to read: %v", err)
	}
	c = DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

func TestReach(t *testing.T) {
	environment(t, "http://127.0.0.1:4566")
	t.Setenv("HTTPS_PROXY", "http://proxy.example:3128")
	t.Setenv("AWS_CA_BUNDLE", "/opt/ca/bundle.pem")
	r := Reach(DefaultConfig())
	for _, port := range []uint16{53, 80, 443, 3128, 4566} {
		if !slices.Contains(r.Ports, port) {
			t.Errorf("port %d is not in %v", port, r.Ports)
		}
	}
	for _, file := range []string{"/etc", "/opt/ca/bundle.pem", os.Getenv("AWS_CONFIG_FILE")} {
		if !slices.Contains(r.Files, file) {
			t.Errorf("%s is not in %v", file, r.Files)
		}
	}
}
