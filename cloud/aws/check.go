package aws

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/smithy-go"

	"mirrorscope/cloud"
)

// Check implements cloud.Checker: who the credentials are of, and each permission by
// a dry run. Nothing is listed. That CloudWatch would answer is seen by a real
// question, as it has no dry run.
func (p *place) Check(ctx context.Context) []cloud.Finding {
	c, err := p.clients(ctx)
	if err != nil {
		return []cloud.Finding{bad("credentials", err, noNames)}
	}
	who, err := c.sts.GetCallerIdentity(ctx, nil)
	if err != nil {
		return []cloud.Finding{bad("credentials", trouble("ask who the credentials are of", "", err), noNames)}
	}
	found := []cloud.Finding{{About: "credentials", OK: true, Found: fmt.Sprintf("%s in %s", aws.ToString(who.Arn), c.region)}}
	for _, t := range []struct {
		action string
		try    func(dry *bool) error
	}{
		{"ec2:DescribeNetworkInterfaces", func(dry *bool) error {
			_, err := c.ec2.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{DryRun: dry, MaxResults: aws.Int32(5)})
			return err
		}},
		{"ec2:DescribeInstances", func(dry *bool) error {
			_, err := c.ec2.DescribeInstances(ctx, &ec2.DescribeInstancesInput{DryRun: dry, MaxResults: aws.Int32(5)})
			return err
		}},
		{"ec2:DescribeSubnets", func(dry *bool) error {
			_, err := c.ec2.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{DryRun: dry, MaxResults: aws.Int32(5)})
			return err
		}},
		{"ec2:DescribeVpcs", func(dry *bool) error {
			_, err := c.ec2.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{DryRun: dry, MaxResults: aws.Int32(5)})
			return err
		}},
	} {
		var api smithy.APIError
		if err := t.try(aws.Bool(true)); err != nil && (!errors.As(err, &api) || api.ErrorCode() != "DryRunOperation") {
			found = append(found, bad(t.action, trouble("try it in "+c.region, t.action, err), noNames))
		} else {
			found = append(found, cloud.Finding{About: t.action, OK: true, Found: "allowed"})
		}
	}
	return found
}

// Check implements cloud.Checker.
func (m *metered) Check(ctx context.Context) []cloud.Finding {
	found := m.place.Check(ctx)
	if !found[0].OK {
		return found
	}
	now := time.Now().UTC().Truncate(cloud.SkipPeriod)
	if _, err := m.Skips(ctx, []string{"i-00000000000000000"}, now.Add(-cloud.SkipPeriod), now); err != nil {
		f := bad(readMetrics, err, "what Traffic Mirroring could not copy is not told")
		f.Mend += "; or set cloud.aws.mirror_loss = false"
		return append(found, f)
	}
	return append(found, cloud.Finding{About: readMetrics, OK: true, Found: "allowed"})
}

// noNames is what is missing where EC2 cannot be read.
const noNames = "addresses of this account and region have no names"

func bad(about string, err error, why string) cloud.Finding {
	return cloud.Finding{About: about, Found: err.Error(), Why: why, Mend: cloud.Mend(err)}
}
