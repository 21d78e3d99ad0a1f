package mirror

import (
	"context"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

func (a *applier) target(ctx context.Context, s *Step, o *Outcome) error {
	if s.Action == Delete {
		_, err := a.Client.DeleteTrafficMirrorTarget(ctx, &ec2.DeleteTrafficMirrorTargetInput{TrafficMirrorTargetId: aws.String(s.ID), DryRun: a.dryRun()})
		return err
	}
	id, err := a.fresh(ctx, func(salt string) (string, error) {
		in := &ec2.CreateTrafficMirrorTargetInput{
			Description: a.Config.description(), TagSpecifications: a.Config.tagSpec(types.ResourceTypeTrafficMirrorTarget), DryRun: a.dryRun(),
			ClientToken: clientToken(a.tokenParts("target", s.On, salt)...),
		}
		switch t := s.Target; {
		case t.Interface != "":
			in.NetworkInterfaceId = aws.String(t.Interface)
		case t.LoadBalancer != "":
			in.NetworkLoadBalancerArn = aws.String(t.LoadBalancer)
		default:
			in.GatewayLoadBalancerEndpointId = aws.String(t.Endpoint)
		}
		out, err := a.Client.CreateTrafficMirrorTarget(ctx, in)
		if err != nil {
			return "", err
		}
		return aws.ToString(out.TrafficMirrorTarget.TrafficMirrorTargetId), nil
	}, func(id string) (bool, error) {
		_, err := a.Client.DescribeTrafficMirrorTargets(ctx, &ec2.DescribeTrafficMirrorTargetsInput{TrafficMirrorTargetIds: []string{id}})
		return there(err)
	})
	if err != nil {
		return err
	}
	o.ID, a.targets[s.On] = id, id
	return nil
}

// there reads the answer to a question for one id.
func there(err error) (bool, error) {
	if notFound(err, "") {
		return false, nil
	}
	return err == nil, err
}

// fresh creates a thing, and looks whether it is there: for the client token of
// one that was created with the same parameters and is deleted since, the API gives
// the id of that. Then another is created, told apart by that id (salt).
func (a *applier) fresh(ctx context.Context, create func(salt string) (string, error), listed func(id string) (bool, error)) (id string, err error) {
	for range generations {
		if id, err = create(id); err != nil {
			return "", err
		}
		for _, pause := range lookAgain {
			if pause > 0 {
				if err := a.Sleep(ctx, pause); err != nil {
					return id, nil // the next comparison tells
				}
			}
			if ok, err := listed(id); ok || err != nil {
				return id, nil
			}
		}
	}
	return "", fmt.Errorf("%s was created, and is not listed", id)
}

func (a *applier) filters(ctx context.Context, s *Step, o *Outcome) error {
	if s.Action == Delete {
		_, err := a.Client.DeleteTrafficMirrorFilter(ctx, &ec2.DeleteTrafficMirrorFilterInput{TrafficMirrorFilterId: aws.String(s.ID), DryRun: a.dryRun()})
		return err
	}
	id, err := a.fresh(ctx, func(salt string) (string, error) {
		out, err := a.Client.CreateTrafficMirrorFilter(ctx, &ec2.CreateTrafficMirrorFilterInput{
			Description: a.Config.description(), TagSpecifications: a.Config.tagSpec(types.ResourceTypeTrafficMirrorFilter), DryRun: a.dryRun(),
			ClientToken: clientToken(a.tokenParts("filter", salt)...),
		})
		if err != nil {
			return "", err
		}
		return aws.ToString(out.TrafficMirrorFilter.TrafficMirrorFilterId), nil
	}, func(id string) (bool, error) {
		_, err := a.Client.DescribeTrafficMirrorFilters(ctx, &ec2.DescribeTrafficMirrorFiltersInput{TrafficMirrorFilterIds: []string{id}})
		return there(err)
	})
	if err != nil {
		return err
	}
	o.ID, a.filter = id, id
	return nil
}

func (a *applier) services(ctx context.Context, s *Step) error {
	id, err := a.filterID(s.filter)
	if err != nil {
		return err
	}
	in := &ec2.ModifyTrafficMirrorFilterNetworkServicesInput{TrafficMirrorFilterId: aws.String(id), DryRun: a.dryRun()}
	services := []types.TrafficMirrorNetworkService{types.TrafficMirrorNetworkServiceAmazonDns}
	if s.Changes[0].To == "yes" {
		in.AddNetworkServices = services
	} else {
		in.RemoveNetworkServices = services
	}
	_, err = a.Client.ModifyTrafficMirrorFilterNetworkServices(ctx, in)
	return err
}

func (a *applier) rule(ctx context.Context, s *Step, o *Outcome) error {
	switch s.Action {
	case Delete:
		return a.deleteRule(ctx, s)
	case Modify:
		err := a.modifyRule(ctx, s)
		if notFound(err, "Rule") {
			return a.createRule(ctx, s, o)
		}
		return err
	case Replace:
		if err := a.deleteRule(ctx, s); err != nil && !notFound(err, "Rule") {
			return err
		}
	}
	return a.createRule(ctx, s, o)
}

func (a *applier) deleteRule(ctx context.Context, s *Step) error {
	_, err := a.Client.DeleteTrafficMirrorFilterRule(ctx, &ec2.DeleteTrafficMirrorFilterRuleInput{TrafficMirrorFilterRuleId: aws.String(s.ID), DryRun: a.dryRun()})
	return err
}

// ports gives a range for a request.
func (p *PortRange) ports() *types.TrafficMirrorPortRangeRequest {
	if p == nil {
		return nil
	}
	return &types.TrafficMirrorPortRangeRequest{FromPort: aws.Int32(int32(p.From)), ToPort: aws.Int32(int32(p.To))}
}

func (a *applier) createRule(ctx context.Context, s *Step, o *Outcome) error {
	id, err := a.filterID(s.filter)
	if err != nil {
		return err
	}
	r := s.Rule
	o.ID, err = a.fresh(ctx, func(salt string) (string, error) {
		in := &ec2.CreateTrafficMirrorFilterRuleInput{
			TrafficMirrorFilterId: aws.String(id), TrafficDirection: types.TrafficDirection(r.Direction), RuleNumber: aws.Int32(int32(r.Number)),
			RuleAction: types.TrafficMirrorRuleAction(r.Action), SourceCidrBlock: aws.String(r.Source), DestinationCidrBlock: aws.String(r.Destination),
			SourcePortRange: r.SourcePorts.ports(), DestinationPortRange: r.DestinationPorts.ports(), DryRun: a.dryRun(),
			ClientToken: clientToken(a.tokenParts("rule", id, r.place(), r.String(), salt)...),
		}
		if r.Protocol >= 0 {
			in.Protocol = aws.Int32(int32(r.Protocol))
		}
		out, err := a.Client.CreateTrafficMirrorFilterRule(ctx, in)
		if err != nil {
			return "", err
		}
		return aws.ToString(out.TrafficMirrorFilterRule.TrafficMirrorFilterRuleId), nil
	}, func(rule string) (bool, error) {
		out, err := a.Client.DescribeTrafficMirrorFilters(ctx, &ec2.DescribeTrafficMirrorFiltersInput{TrafficMirrorFilterIds: []string{id}})
		if err != nil {
			return false, err
		}
		for _, f := range out.TrafficMirrorFilters {
			for _, r := range slices.Concat(f.IngressFilterRules, f.EgressFilterRules) {
				if aws.ToString(r.TrafficMirrorFilterRuleId) == rule {
					return true, nil
				}
			}
		}
		return false, nil
	})
	return err
}

// modifyRule makes a rule be as it is to be. Ports go only together with the
// protocol, and what is not wanted any more is removed by name.
func (a *applier) modifyRule(ctx context.Context, s *Step) error {
	r := s.Rule
	in := &ec2.ModifyTrafficMirrorFilterRuleInput{
		TrafficMirrorFilterRuleId: aws.String(s.ID), RuleAction: types.TrafficMirrorRuleAction(r.Action),
		SourceCidrBlock: aws.String(r.Source), DestinationCidrBlock: aws.String(r.Destination),
		SourcePortRange: r.SourcePorts.ports(), DestinationPortRange: r.DestinationPorts.ports(), DryRun: a.dryRun(),
	}
	remove := func(field types.TrafficMirrorFilterRuleField, had, has bool) {
		if had && !has {
			in.RemoveFields = append(in.RemoveFields, field)
		}
	}
	old := s.old
	remove(types.TrafficMirrorFilterRuleFieldSourcePortRange, old.SourcePorts != nil, r.SourcePorts != nil)
	remove(types.TrafficMirrorFilterRuleFieldDestinationPortRange, old.DestinationPorts != nil, r.DestinationPorts != nil)
	remove(types.TrafficMirrorFilterRuleFieldProtocol, old.Protocol >= 0, r.Protocol >= 0)
	if r.Protocol >= 0 {
		in.Protocol = aws.Int32(int32(r.Protocol))
	}
	_, err := a.Client.ModifyTrafficMirrorFilterRule(ctx, in)
	return err
}
