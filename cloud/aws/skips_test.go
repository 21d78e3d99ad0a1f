package aws

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorscope/cloud"
	"mirrorscope/internal/fakeec2"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// TestSkips: 300 machines over several requests and pages; every period has the sum
// of both directions.
func TestSkips(t *testing.T) {
	_, _, metrics := serve(t)
	metrics.Points = 700
	metrics.Value = func(metric, instance string, at time.Time) (float64, bool) {
		var n int
		_, _ = fmt.Sscanf(instance, "i-%d", &n)
		period := int(at.Sub(noon) / cloud.SkipPeriod)
		switch metric {
		case "NetworkPacketsSkipMirrorIn":
			return float64(n), true
		case "NetworkPacketsSkipMirrorOut":
			return float64(1000 * period), true
		case "NetworkSkipMirrorIn":
			return float64(n * 100), n%2 == 0 // of the others it is not told
		}
		return 0, false
	}
	var ids []string
	for i := range 300 {
		ids = append(ids, fmt.Sprintf("i-%d", i))
	}
	m := quick(inRegion())[0].(cloud.Meter)
	list, err := m.Skips(t.Context(), ids, noon, noon.Add(15*time.Minute))
	if err != nil || len(list) != 900 {
		t.Fatalf("%d, %v", len(list), err)
	}
	seen := map[string]bool{}
	for _, s := range list {
		var n int
		_, _ = fmt.Sscanf(s.Instance, "i-%d", &n)
		period := int(s.From.Sub(noon) / cloud.SkipPeriod)
		seen[fmt.Sprint(s.Instance, period)] = true
		want := cloud.Skip{Instance: s.Instance, From: noon.Add(time.Duration(period) * cloud.SkipPeriod), Packets: cloud.Count{N: uint64(n + 1000*period), Known: true}}
		if n%2 == 0 {
			want.Bytes = cloud.Count{N: uint64(n * 100), Known: true}
		}
		if s != want {
			t.Fatalf("got %+v, want %+v", s, want)
		}
	}
	if len(seen) != 900 {
		t.Errorf("%d different ones", len(seen))
	}
	requests := map[int]int{}
	for _, q := range metrics.Asked() {
		requests[len(q)]++
		if one := q[0]; one.Namespace != "AWS/EC2" || one.Period != cloud.SkipPeriod || one.Stat != "Sum" {
			t.Errorf("%+v", one)
		}
	}
	// 125 machines make 500 questions, which is the most.
	if len(requests) != 2 || requests[500] < 4 || requests[200] < 1 {
		t.Errorf("requests by questions: %v", requests)
	}
}

func TestSkipsRefused(t *testing.T) {
	_, _, metrics := serve(t)
	m := quick(inRegion())[0].(cloud.Meter)
	ask := func() error {
		_, err := m.Skips(t.Context(), []string{"i-1"}, noon, noon.Add(time.Hour))
		return err
	}
	metrics.Refuse = func() *fakeec2.Error {
		return &fakeec2.Error{Status: 403, Code: "AccessDenied", Message: "User: arn:x is not authorized to perform: cloudwatch:GetMetricData"}
	}
	if err := ask(); err == nil || !strings.Contains(err.Error(), "cloudwatch:GetMetricData: AccessDenied") || !strings.Contains(cloud.Mend(err), "allow cloudwatch:GetMetricData") {
		t.Errorf("denied: %v; mend %q", err, cloud.Mend(err))
	}
	n := 0
	metrics.Refuse = func() *fakeec2.Error {
		if n++; n < 3 {
			return &fakeec2.Error{Status: 400, Code: "Throttling", Message: "Rate exceeded"}
		}
		return nil
	}
	if err := ask(); err != nil || n != 3 {
		t.Errorf("throttled for a while: %v after %d", err, n)
	}
	metrics.Refuse = nil
	for status, want := range map[string]string{"Forbidden": "forbidden", "InternalError": "internal error"} {
		metrics.Status = func(string, string) string { return status }
		if err := ask(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", status, err)
		}
	}
	metrics.Status = nil
	metrics.Value = func(string, string, time.Time) (float64, bool) { return -1, true }
	if list, err := m.Skips(t.Context(), []string{"i-1"}, noon, noon.Add(time.Hour)); err != nil || len(list) != 0 {
		t.Errorf("negative sums: %+v, %v", list, err)
	}
}

// TestCheck: who it is, and what may be done; of what may not, the mend.
func TestCheck(t *testing.T) {
	fake, _, metrics := serve(t)
	c := inRegion()
	c.OwnAccount, c.Accounts = false, []Account{{RoleARN: otherRole, ExternalID: externalID}}
	tell := func(s cloud.Source) (lines []string) {
		for _, f := range s.(cloud.Checker).Check(t.Context()) {
			lines = append(lines, fmt.Sprintf("%v %s: %s", f.OK, f.About, f.Found))
			if !f.OK && (f.Mend == "" || f.Why == "") {
				t.Errorf("no mend or why: %+v", f)
			}
		}
		return lines
	}
	good := []string{
		"true credentials: arn:aws:sts::222222222222:assumed-role/mirrorscope-read/mirrorscope in eu-central-1",
		"true ec2:DescribeNetworkInterfaces: allowed", "true ec2:DescribeInstances: allowed", "true ec2:DescribeSubnets: allowed", "true ec2:DescribeVpcs: allowed",
		"true cloudwatch:GetMetricData: allowed",
	}
	if got := tell(quick(c)[0]); !slices.Equal(got, good) {
		t.Errorf("got %q", got)
	}
	for _, call := range fake.Calls() {
		if !call.DryRun() {
			t.Errorf("%s was more than a dry run", call.Action)
		}
	}
	fake.Allow = func(c *fakeec2.Call) bool { return c.Action != "DescribeSubnets" }
	metrics.Refuse = func() *fakeec2.Error { return &fakeec2.Error{Status: 403, Code: "AccessDenied", Message: "no"} }
	got := tell(quick(c)[0])
	if len(got) != 6 || !strings.HasPrefix(got[3], "false ec2:DescribeSubnets: try it in eu-central-1 by ec2:DescribeSubnets: UnauthorizedOperation") || got[4] != good[4] || !strings.HasPrefix(got[5], "false cloudwatch") {
		t.Errorf("got %q", got)
	}
	c.Accounts[0].ExternalID = "wrong"
	if got := tell(quick(c)[0]); len(got) != 1 || !strings.HasPrefix(got[0], "false credentials: assume the role by sts:AssumeRole: AccessDenied") {
		t.Errorf("got %q", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if f := quick(c)[0].(cloud.Checker).Check(ctx); f[0].OK {
		t.Errorf("%+v", f)
	}
}
