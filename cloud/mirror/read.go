package mirror

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// pageSize is the most that one answer has; without one, calls are charged more.
const pageSize = 1000

// read asks for everything that a plan needs. One list that cannot be had is an
// error: what is missing in it would be taken for gone.
func read(ctx context.Context, c api, w *World) error {
	for _, list := range []struct {
		what string
		read func(context.Context, api, *World) error
	}{
		// Sessions first: one that is made while the others are read is not taken
		// for one without an interface.
		{"mirror sessions", readSessions}, {"mirror targets", readTargets}, {"mirror filters", readFilters},
		{"network interfaces", readInterfaces}, {"instances", readInstances}, {"instance types", readBareMetal},
	} {
		if err := list.read(ctx, c, w); err != nil {
			return fmt.Errorf("list %s: %w", list.what, err)
		}
	}
	return nil
}

func tagMap(tags []types.Tag) map[string]string {
	m := make(map[string]string, len(tags))
	for _, t := range tags {
		m[aws.ToString(t.Key)] = aws.ToString(t.Value)
	}
	return m
}

func readSessions(ctx context.Context, c api, w *World) error {
	p := ec2.NewDescribeTrafficMirrorSessionsPaginator(c, &ec2.DescribeTrafficMirrorSessionsInput{MaxResults: aws.Int32(pageSize)})
	for p.HasMorePages() {
		page, err := p.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, s := range page.TrafficMirrorSessions {
			w.Sessions = append(w.Sessions, Session{
				ID: aws.ToString(s.TrafficMirrorSessionId), Interface: aws.ToString(s.NetworkInterfaceId),
				Target: aws.ToString(s.TrafficMirrorTargetId), Filter: aws.ToString(s.TrafficMirrorFilterId),
				Number: int(aws.ToInt32(s.SessionNumber)), VNI: int(aws.ToInt32(s.VirtualNetworkId)), PacketLength: int(aws.ToInt32(s.PacketLength)),
				Owner: aws.ToString(s.OwnerId), Tags: tagMap(s.Tags),
			})
		}
	}
	return nil
}

func readTargets(ctx context.Context, c api, w *World) error {
	w.Targets = map[string]*MirrorTarget{}
	p := ec2.NewDescribeTrafficMirrorTargetsPaginator(c, &ec2.DescribeTrafficMirrorTargetsInput{MaxResults: aws.Int32(pageSize)})
	for p.HasMorePages() {
		page, err := p.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, t := range page.TrafficMirrorTargets {
			m := &MirrorTarget{ID: aws.ToString(t.TrafficMirrorTargetId), Owner: aws.ToString(t.OwnerId), Tags: tagMap(t.Tags)}
			switch {
			case t.NetworkInterfaceId != nil:
				m.Kind, m.Resource = KindInterface, *t.NetworkInterfaceId
			case t.NetworkLoadBalancerArn != nil:
				m.Kind, m.Resource = KindBalancer, *t.NetworkLoadBalancerArn
			case t.GatewayLoadBalancerEndpointId != nil:
				m.Kind, m.Resource = KindEndpoint, *t.GatewayLoadBalancerEndpointId
			default:
				m.Kind, m.Resource = KindUnknown, m.ID
			}
			w.Targets[m.ID] = m
		}
	}
	return nil
}

func readFilters(ctx context.Context, c api, w *World) error {
	w.Filters = map[string]*MirrorFilter{}
	p := ec2.NewDescribeTrafficMirrorFiltersPaginator(c, &ec2.DescribeTrafficMirrorFiltersInput{MaxResults: aws.Int32(pageSize)})
	for p.HasMorePages() {
		page, err := p.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, f := range page.TrafficMirrorFilters {
			m := &MirrorFilter{ID: aws.ToString(f.TrafficMirrorFilterId), Tags: tagMap(f.Tags)}
			for _, s := range f.NetworkServices {
				m.Services = append(m.Services, string(s))
			}
			for _, rules := range [][]types.TrafficMirrorFilterRule{f.IngressFilterRules, f.EgressFilterRules} {
				for i := range rules {
					m.Rules = append(m.Rules, ruleOf(&rules[i]))
				}
			}
			w.Filters[m.ID] = m
		}
	}
	return nil
}

func ruleOf(r *types.TrafficMirrorFilterRule) FilterRule {
	f := FilterRule{
		ID: aws.ToString(r.TrafficMirrorFilterRuleId), Direction: string(r.TrafficDirection), Number: int(aws.ToInt32(r.RuleNumber)), Action: string(r.RuleAction),
		Protocol: -1, Source: aws.ToString(r.SourceCidrBlock), Destination: aws.ToString(r.DestinationCidrBlock),
	}
	if r.Protocol != nil {
		f.Protocol = int(*r.Protocol)
	}
	ports := func(p *types.TrafficMirrorPortRange) *PortRange {
		if p == nil {
			return nil
		}
		return &PortRange{int(aws.ToInt32(p.FromPort)), int(aws.ToInt32(p.ToPort))}
	}
	f.SourcePorts, f.DestinationPorts = ports(r.SourcePortRange), ports(r.DestinationPortRange)
	return f
}

func readInterfaces(ctx context.Context, c api, w *World) error {
	p := ec2.NewDescribeNetworkInterfacesPaginator(c, &ec2.DescribeNetworkInterfacesInput{MaxResults: aws.Int32(pageSize), IncludeManagedResources: aws.Bool(true)})
	for p.HasMorePages() {
		page, err := p.NextPage(ctx)
		if err != nil {
			return err
		}
		for i := range page.NetworkInterfaces {
			n := &page.NetworkInterfaces[i]
			m := Interface{
				ID: aws.ToString(n.NetworkInterfaceId), VPC: aws.ToString(n.VpcId), Subnet: aws.ToString(n.SubnetId), Address: aws.ToString(n.PrivateIpAddress),
				IPv6: len(n.Ipv6Addresses) > 0 || len(n.Ipv6Prefixes) > 0, Type: string(n.InterfaceType), Description: aws.ToString(n.Description),
				Managed: aws.ToBool(n.RequesterManaged), Requester: aws.ToString(n.RequesterId), Tags: tagMap(n.TagSet),
			}
			if n.Attachment != nil {
				m.Attached, m.Instance = true, aws.ToString(n.Attachment.InstanceId)
			}
			w.Interfaces = append(w.Interfaces, m)
		}
	}
	return nil
}

func readInstances(ctx context.Context, c api, w *World) error {
	w.Instances = map[string]*Instance{}
	p := ec2.NewDescribeInstancesPaginator(c, &ec2.DescribeInstancesInput{MaxResults: aws.Int32(pageSize), IncludeManagedResources: aws.Bool(true)})
	for p.HasMorePages() {
		page, err := p.NextPage(ctx)
		if err != nil {
			return err
		}
		for _, r := range page.Reservations {
			w.Account = orElse(w.Account, aws.ToString(r.OwnerId))
			for i := range r.Instances {
				n := &r.Instances[i]
				m := &Instance{ID: aws.ToString(n.InstanceId), Type: string(n.InstanceType), Tags: tagMap(n.Tags)}
				if n.State != nil {
					m.State = string(n.State.Name)
				}
				w.Instances[m.ID] = m
			}
		}
	}
	return nil
}

// readBareMetal asks which instance types are bare metal, once for a process. Who
// may not ask is told of each such instance when its session is refused.
func readBareMetal(ctx context.Context, c api, w *World) error {
	if w.BareMetal != nil {
		return nil
	}
	metal := map[string]bool{}
	p := ec2.NewDescribeInstanceTypesPaginator(c, &ec2.DescribeInstanceTypesInput{
		MaxResults: aws.Int32(100), Filters: []types.Filter{{Name: aws.String("bare-metal"), Values: []string{"true"}}},
	})
	for p.HasMorePages() {
		page, err := p.NextPage(ctx)
		if code(err) == codeUnauthorized {
			return nil
		}
		if err != nil {
			return err
		}
		for _, t := range page.InstanceTypes {
			metal[string(t.InstanceType)] = true
		}
	}
	w.BareMetal = metal
	return nil
}
