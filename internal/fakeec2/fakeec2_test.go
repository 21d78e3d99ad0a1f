package fakeec2

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"
)

// client is the real one, with keys that are not checked and without waiting.
func client(endpoint string, h aws.HTTPClient) *ec2.Client {
	return ec2.New(ec2.Options{
		Region: Region, BaseEndpoint: aws.String(endpoint), HTTPClient: h,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "secret"}, nil
		}),
		Retryer: retry.NewStandard(func(o *retry.StandardOptions) {
			o.RateLimiter = ratelimit.None
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		}),
	})
}

func code(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return fmt.Sprint(err)
}

// world has an instance with an interface, a target and a filter.
func world() *Server {
	s := New()
	s.With(func(st *State) {
		st.AddVPC(VPC{ID: "vpc-1", CIDR: "10.0.0.0/16", Tags: Tags{"Name": "blue"}})
		st.AddSubnet(Subnet{ID: "subnet-1", VPC: "vpc-1", CIDR: "10.0.1.0/24", Zone: "eu-central-1a", ZoneID: "euc1-az2"})
		st.AddInstance(Instance{ID: "i-1", Type: "m7g.large", VPC: "vpc-1", Subnet: "subnet-1", Zone: "eu-central-1a", Tags: Tags{"Name": "a & b", "env": "prod"}})
		st.AddInterface(Interface{ID: "eni-1", VPC: "vpc-1", Subnet: "subnet-1", IP: "10.0.1.5", Secondary: []string{"10.0.1.6"}, IPv6: []string{"2001:db8::5"},
			Prefixes: []string{"10.0.1.16/28", "2001:db8:1::/80", "10.0.1.32/28"}, Instance: "i-1", PublicIP: "203.0.113.5", Groups: []Group{{"sg-1", "web"}}, Tags: Tags{"role": ""}})
		st.AddInterface(Interface{ID: "eni-9", VPC: "vpc-1", Subnet: "subnet-1", IP: "10.0.1.9"})
		st.AddTarget(Target{ID: "tmt-1", Interface: "eni-9"})
		st.AddFilter(Filter{ID: "tmf-1"})
	})
	return s
}

func newSession(number int32) *ec2.CreateTrafficMirrorSessionInput {
	return &ec2.CreateTrafficMirrorSessionInput{
		NetworkInterfaceId: aws.String("eni-1"), TrafficMirrorTargetId: aws.String("tmt-1"), TrafficMirrorFilterId: aws.String("tmf-1"), SessionNumber: aws.Int32(number),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeTrafficMirrorSession, Tags: []types.Tag{{Key: aws.String("k"), Value: aws.String("v")}}}},
	}
}

// What the state holds is what the client reads, over a socket and without.
func TestRead(t *testing.T) {
	s := world()
	for name, c := range map[string]*ec2.Client{"socket": client(s.Start(t), http.DefaultClient), "direct": client(Endpoint, s)} {
		t.Run(name, func(t *testing.T) {
			nics, err := c.DescribeNetworkInterfaces(t.Context(), &ec2.DescribeNetworkInterfacesInput{NetworkInterfaceIds: []string{"eni-1"}})
			if err != nil {
				t.Fatal(err)
			}
			n := nics.NetworkInterfaces[0]
			got := fmt.Sprint(aws.ToString(n.PrivateIpAddress), len(n.PrivateIpAddresses), aws.ToString(n.Ipv6Addresses[0].Ipv6Address), len(n.Ipv4Prefixes), len(n.Ipv6Prefixes),
				aws.ToString(n.Attachment.InstanceId), aws.ToString(n.Association.PublicIp), aws.ToString(n.Groups[0].GroupName), n.InterfaceType, n.Status, aws.ToString(n.TagSet[0].Key))
			if want := fmt.Sprint("10.0.1.5", 2, "2001:db8::5", 2, 1, "i-1", "203.0.113.5", "web", "interface", "in-use", "role"); got != want {
				t.Errorf("interface %s, want %s", got, want)
			}
			is, err := c.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{Filters: []types.Filter{{Name: aws.String("tag:Name"), Values: []string{"a*"}}}})
			if err != nil {
				t.Fatal(err)
			}
			if i := is.Reservations[0].Instances[0]; i.State.Name != "running" || i.InstanceType != "m7g.large" || aws.ToString(i.Tags[0].Value) != "a & b" {
				t.Errorf("instance %+v", i)
			}
			ts, err := c.DescribeInstanceTypes(t.Context(), &ec2.DescribeInstanceTypesInput{})
			if err != nil || len(ts.InstanceTypes) != 1 || aws.ToBool(ts.InstanceTypes[0].BareMetal) {
				t.Errorf("types %+v, %v", ts, err)
			}
			vs, err := c.DescribeVpcs(t.Context(), &ec2.DescribeVpcsInput{})
			if err != nil || aws.ToString(vs.Vpcs[0].CidrBlock) != "10.0.0.0/16" {
				t.Errorf("VPCs %+v, %v", vs, err)
			}
			ns, err := c.DescribeSubnets(t.Context(), &ec2.DescribeSubnetsInput{})
			if err != nil || aws.ToString(ns.Subnets[0].AvailabilityZoneId) != "euc1-az2" {
				t.Errorf("subnets %+v, %v", ns, err)
			}
		})
	}
	if calls := s.Calls(); len(calls) != 10 || calls[0].Region != Region || len(s.Mutations()) != 0 {
		t.Errorf("%d calls: %+v", len(calls), calls)
	}
}

// Pages have everything once, also when something goes between two of them.
func TestPages(t *testing.T) {
	s := New()
	s.With(func(st *State) {
		for n := range 23 {
			st.AddInterface(Interface{ID: fmt.Sprintf("eni-%02d", n)})
		}
	})
	s.Hook = func(c *Call) {
		if c.Params.Get("NextToken") != "" {
			s.With(func(st *State) { st.DeleteInterface("eni-03") }) // was on the first page
		}
	}
	p := ec2.NewDescribeNetworkInterfacesPaginator(client(Endpoint, s), &ec2.DescribeNetworkInterfacesInput{MaxResults: aws.Int32(10)})
	var ids []string
	for p.HasMorePages() {
		page, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range page.NetworkInterfaces {
			ids = append(ids, aws.ToString(n.NetworkInterfaceId))
		}
	}
	if len(ids) != 23 || len(s.Calls()) != 3 || ids[22] != "eni-22" {
		t.Errorf("%d of 23 in %d pages: %v", len(ids), len(s.Calls()), ids)
	}
}

// The life of a session, with everything that is refused on the way.
func TestSessions(t *testing.T) {
	s := world()
	c := client(Endpoint, s)
	refused := func(want string, err error) {
		t.Helper()
		if got := code(err); got != want {
			t.Errorf("refused with %s, want %s", got, want)
		}
	}
	in := newSession(1)
	in.ClientToken = aws.String("once")
	first, err := c.CreateTrafficMirrorSession(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	again, err := c.CreateTrafficMirrorSession(t.Context(), in)
	if err != nil || *again.TrafficMirrorSession.TrafficMirrorSessionId != *first.TrafficMirrorSession.TrafficMirrorSessionId {
		t.Errorf("the same token gave %+v, %v", again, err)
	}
	in.VirtualNetworkId = aws.Int32(7)
	_, err = c.CreateTrafficMirrorSession(t.Context(), in)
	refused("IdempotentParameterMismatch", err)
	_, err = c.CreateTrafficMirrorSession(t.Context(), newSession(1))
	refused("InvalidParameterValue", err)
	for _, n := range []int32{2, 3} {
		if _, err := c.CreateTrafficMirrorSession(t.Context(), newSession(n)); err != nil {
			t.Fatal(err)
		}
	}
	_, err = c.CreateTrafficMirrorSession(t.Context(), newSession(4))
	refused("TrafficMirrorSessionsPerInterfaceLimitExceeded", err)
	gone := newSession(1)
	gone.NetworkInterfaceId = aws.String("eni-0")
	_, err = c.CreateTrafficMirrorSession(t.Context(), gone)
	refused("InvalidNetworkInterfaceID.NotFound", err)
	target := newSession(1)
	target.NetworkInterfaceId = aws.String("eni-9")
	_, err = c.CreateTrafficMirrorSession(t.Context(), target)
	refused("InvalidParameterValue", err)

	id := first.TrafficMirrorSession.TrafficMirrorSessionId
	m, err := c.ModifyTrafficMirrorSession(t.Context(), &ec2.ModifyTrafficMirrorSessionInput{TrafficMirrorSessionId: id, SessionNumber: aws.Int32(9), PacketLength: aws.Int32(100)})
	if err != nil || *m.TrafficMirrorSession.SessionNumber != 9 || *m.TrafficMirrorSession.PacketLength != 100 || len(m.TrafficMirrorSession.Tags) != 1 {
		t.Errorf("modified: %+v, %v", m, err)
	}
	m, err = c.ModifyTrafficMirrorSession(t.Context(), &ec2.ModifyTrafficMirrorSessionInput{TrafficMirrorSessionId: id, RemoveFields: []types.TrafficMirrorSessionField{"packet-length"}})
	if err != nil || m.TrafficMirrorSession.PacketLength != nil {
		t.Errorf("without length: %+v, %v", m, err)
	}
	_, err = c.DeleteTrafficMirrorTarget(t.Context(), &ec2.DeleteTrafficMirrorTargetInput{TrafficMirrorTargetId: aws.String("tmt-1")})
	refused("TrafficMirrorTargetInUse", err)
	if _, err := c.DeleteTrafficMirrorSession(t.Context(), &ec2.DeleteTrafficMirrorSessionInput{TrafficMirrorSessionId: id}); err != nil {
		t.Fatal(err)
	}
	_, err = c.DeleteTrafficMirrorSession(t.Context(), &ec2.DeleteTrafficMirrorSessionInput{TrafficMirrorSessionId: id})
	refused("InvalidTrafficMirrorSessionId.NotFound", err)
	_, err = c.DeleteTrafficMirrorSession(t.Context(), &ec2.DeleteTrafficMirrorSessionInput{TrafficMirrorSessionId: id, DryRun: aws.Bool(true)})
	refused("DryRunOperation", err)
	s.Allow = func(c *Call) bool { return !strings.HasPrefix(c.Action, "Delete") }
	_, err = c.DeleteTrafficMirrorSession(t.Context(), &ec2.DeleteTrafficMirrorSessionInput{TrafficMirrorSessionId: id, DryRun: aws.Bool(true)})
	refused("UnauthorizedOperation", err)
	s.With(func(st *State) {
		if st.DeleteInterface("eni-1"); len(st.Sessions) != 0 {
			t.Errorf("%d sessions are left of an interface that is gone", len(st.Sessions))
		}
	})
}

// An interface target takes ten sources, or what its machine can.
func TestSources(t *testing.T) {
	for _, limit := range []int{10, 100} {
		s := world()
		s.With(func(st *State) {
			st.AddInstance(Instance{ID: "i-9", Type: "big"})
			st.Interfaces["eni-9"].Instance = "i-9"
			if limit != 10 {
				st.Types["big"] = InstanceType{Sources: limit}
			}
			for n := range limit {
				st.AddInterface(Interface{ID: fmt.Sprint("eni-a", n)})
				st.AddSession(Session{ID: fmt.Sprint("tms-a", n), Interface: fmt.Sprint("eni-a", n), Target: "tmt-1", Filter: "tmf-1", Number: 1})
			}
		})
		if _, err := client(Endpoint, s).CreateTrafficMirrorSession(t.Context(), newSession(1)); code(err) != "TrafficMirrorSourcesPerTargetLimitExceeded" {
			t.Errorf("source %d: %v", limit+1, err)
		}
	}
}

func TestFilters(t *testing.T) {
	s := world()
	c := client(Endpoint, s)
	f, err := c.CreateTrafficMirrorFilter(t.Context(), &ec2.CreateTrafficMirrorFilterInput{Description: aws.String("ours")})
	if err != nil {
		t.Fatal(err)
	}
	id := f.TrafficMirrorFilter.TrafficMirrorFilterId
	rule := func(n int32) *ec2.CreateTrafficMirrorFilterRuleInput {
		return &ec2.CreateTrafficMirrorFilterRuleInput{TrafficMirrorFilterId: id, RuleNumber: aws.Int32(n), RuleAction: "accept", TrafficDirection: "ingress", Protocol: aws.Int32(17),
			SourceCidrBlock: aws.String("0.0.0.0/0"), DestinationCidrBlock: aws.String("10.0.0.0/8"), DestinationPortRange: &types.TrafficMirrorPortRangeRequest{FromPort: aws.Int32(1), ToPort: aws.Int32(99)}}
	}
	for n := range int32(10) {
		if _, err := c.CreateTrafficMirrorFilterRule(t.Context(), rule(n+1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.CreateTrafficMirrorFilterRule(t.Context(), rule(11)); !strings.HasSuffix(code(err), "LimitExceeded") {
		t.Errorf("rule 11: %v", err)
	}
	if _, err := c.ModifyTrafficMirrorFilterNetworkServices(t.Context(), &ec2.ModifyTrafficMirrorFilterNetworkServicesInput{TrafficMirrorFilterId: id, AddNetworkServices: []types.TrafficMirrorNetworkService{"amazon-dns"}}); err != nil {
		t.Fatal(err)
	}
	read, err := c.DescribeTrafficMirrorFilters(t.Context(), &ec2.DescribeTrafficMirrorFiltersInput{TrafficMirrorFilterIds: []string{*id}})
	if err != nil {
		t.Fatal(err)
	}
	got := read.TrafficMirrorFilters[0]
	if len(got.IngressFilterRules) != 10 || len(got.EgressFilterRules) != 0 || got.NetworkServices[0] != "amazon-dns" || *got.IngressFilterRules[9].DestinationPortRange.ToPort != 99 {
		t.Errorf("filter %+v", got)
	}
	first := got.IngressFilterRules[0].TrafficMirrorFilterRuleId
	_, err = c.ModifyTrafficMirrorFilterRule(t.Context(), &ec2.ModifyTrafficMirrorFilterRuleInput{TrafficMirrorFilterRuleId: first, DestinationPortRange: &types.TrafficMirrorPortRangeRequest{FromPort: aws.Int32(1), ToPort: aws.Int32(2)}})
	if code(err) != "InvalidParameterCombination" {
		t.Errorf("ports without protocol: %v", err)
	}
	if _, err := c.DeleteTrafficMirrorFilterRule(t.Context(), &ec2.DeleteTrafficMirrorFilterRuleInput{TrafficMirrorFilterRuleId: first}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.DeleteTrafficMirrorFilter(t.Context(), &ec2.DeleteTrafficMirrorFilterInput{TrafficMirrorFilterId: id}); err != nil {
		t.Fatal(err)
	}
}

// What goes wrong does so at the call that was meant; what was committed is there.
func TestFaults(t *testing.T) {
	s := world()
	c := client(Endpoint, s)
	s.Fail(Fault{Action: "DescribeVpcs", Nth: 1, Times: 2, Error: Throttled()})
	if _, err := c.DescribeVpcs(t.Context(), &ec2.DescribeVpcsInput{}); err != nil || len(s.Calls()) != 3 {
		t.Errorf("throttled twice: %d calls, %v", len(s.Calls()), err)
	}
	for name, f := range map[string]Fault{"answered": {Committed: true}, "lost": {Committed: true, Lost: true}} {
		s := world()
		f.Action, f.Nth = "CreateTrafficMirrorSession", 1
		s.Fail(f)
		if _, err := client(Endpoint, s).CreateTrafficMirrorSession(t.Context(), newSession(1)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		s.With(func(st *State) {
			if len(st.Sessions) != 1 || len(s.calls) != 2 {
				t.Errorf("%s: %d sessions after %d calls", name, len(st.Sessions), len(s.calls))
			}
		})
	}
}

// A request that is not signed for EC2 is none.
func TestSignature(t *testing.T) {
	url := world().Start(t)
	r, err := http.Post(url, "application/x-www-form-urlencoded", strings.NewReader("Action=DescribeVpcs&Version=2016-11-15"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Body.Close() }()
	if r.StatusCode != http.StatusForbidden {
		t.Errorf("without a signature: %s", r.Status)
	}
}

// Accounts and regions are apart.
func TestScopes(t *testing.T) {
	s := world()
	s.Accounts["AKIDOTHER"] = "210987654321"
	o := client(Endpoint, s).Options()
	for _, other := range []func(*ec2.Options){
		func(o *ec2.Options) { o.Region = "us-east-1" },
		func(o *ec2.Options) {
			o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "AKIDOTHER", SecretAccessKey: "secret"}, nil
			})
		},
	} {
		vs, err := ec2.New(o, other).DescribeVpcs(t.Context(), &ec2.DescribeVpcsInput{})
		if err != nil || len(vs.Vpcs) != 0 {
			t.Errorf("of another account or region: %+v, %v", vs, err)
		}
	}
}
