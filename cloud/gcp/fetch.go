package gcp

import (
	"context"
	"slices"

	"google.golang.org/api/compute/v1"

	"mirrorscope/cloud"
)

// lists are what a look has read.
type lists struct {
	instances []*compute.Instance
	rules     []*compute.ForwardingRule
	addresses []*compute.Address
	subnets   []*compute.Subnetwork
	routers   []*compute.Router
}

// Fetch implements cloud.Source.
func (p *project) Fetch(ctx context.Context) (*cloud.Snapshot, error) {
	_, id, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	var l lists
	missing := map[string]bool{}
	for _, read := range []func() error{
		func() (err error) { l.instances, err = list(ctx, p, instancesList, missing, p.instances); return err },
		func() (err error) { l.rules, err = list(ctx, p, rulesList, missing, p.rules); return err },
		func() (err error) { l.addresses, err = list(ctx, p, addressesList, missing, p.addresses); return err },
		func() (err error) { l.subnets, err = list(ctx, p, subnetsList, missing, p.subnets); return err },
		func() (err error) { l.routers, err = list(ctx, p, routersList, missing, p.routers); return err },
	} {
		if err := read(); err != nil {
			return nil, err
		}
	}
	s := snapshot(id, &l)
	for scope := range missing {
		s.Partial = append(s.Partial, scope)
	}
	slices.Sort(s.Partial)
	return s, nil
}

// The permissions that the lists take.
const (
	instancesList = "compute.instances.list"
	rulesList     = "compute.forwardingRules.list"
	addressesList = "compute.addresses.list"
	subnetsList   = "compute.subnetworks.list"
	routersList   = "compute.routers.list"
)

func (p *project) instances(ctx context.Context, token string) (*page[*compute.Instance], error) {
	r, err := p.service.Instances.AggregatedList(p.real).MaxResults(pageSize).PageToken(token).Context(ctx).Do(partial())
	if err != nil {
		return nil, err
	}
	g := new(page[*compute.Instance])
	for scope, s := range r.Items {
		warning := ""
		if s.Warning != nil {
			warning = s.Warning.Code
		}
		g.add(scope, s.Instances, warning)
	}
	warning := ""
	if r.Warning != nil {
		warning = r.Warning.Code
	}
	return g.end(r.NextPageToken, r.Unreachables, warning)
}

func (p *project) rules(ctx context.Context, token string) (*page[*compute.ForwardingRule], error) {
	r, err := p.service.ForwardingRules.AggregatedList(p.real).MaxResults(pageSize).PageToken(token).Context(ctx).Do(partial())
	if err != nil {
		return nil, err
	}
	g := new(page[*compute.ForwardingRule])
	for scope, s := range r.Items {
		warning := ""
		if s.Warning != nil {
			warning = s.Warning.Code
		}
		g.add(scope, s.ForwardingRules, warning)
	}
	warning := ""
	if r.Warning != nil {
		warning = r.Warning.Code
	}
	return g.end(r.NextPageToken, r.Unreachables, warning)
}

func (p *project) addresses(ctx context.Context, token string) (*page[*compute.Address], error) {
	r, err := p.service.Addresses.AggregatedList(p.real).MaxResults(pageSize).PageToken(token).Context(ctx).Do(partial())
	if err != nil {
		return nil, err
	}
	g := new(page[*compute.Address])
	for scope, s := range r.Items {
		warning := ""
		if s.Warning != nil {
			warning = s.Warning.Code
		}
		g.add(scope, s.Addresses, warning)
	}
	warning := ""
	if r.Warning != nil {
		warning = r.Warning.Code
	}
	return g.end(r.NextPageToken, r.Unreachables, warning)
}

func (p *project) subnets(ctx context.Context, token string) (*page[*compute.Subnetwork], error) {
	r, err := p.service.Subnetworks.AggregatedList(p.real).MaxResults(pageSize).PageToken(token).Context(ctx).Do(partial())
	if err != nil {
		return nil, err
	}
	g := new(page[*compute.Subnetwork])
	for scope, s := range r.Items {
		warning := ""
		if s.Warning != nil {
			warning = s.Warning.Code
		}
		g.add(scope, s.Subnetworks, warning)
	}
	warning := ""
	if r.Warning != nil {
		warning = r.Warning.Code
	}
	return g.end(r.NextPageToken, r.Unreachables, warning)
}

func (p *project) routers(ctx context.Context, token string) (*page[*compute.Router], error) {
	r, err := p.service.Routers.AggregatedList(p.real).MaxResults(pageSize).PageToken(token).Context(ctx).Do(partial())
	if err != nil {
		return nil, err
	}
	g := new(page[*compute.Router])
	for scope, s := range r.Items {
		warning := ""
		if s.Warning != nil {
			warning = s.Warning.Code
		}
		g.add(scope, s.Routers, warning)
	}
	warning := ""
	if r.Warning != nil {
		warning = r.Warning.Code
	}
	return g.end(r.NextPageToken, r.Unreachables, warning)
}

// Check implements cloud.Checker: credentials, and each list by its first entry.
func (p *project) Check(ctx context.Context) []cloud.Finding {
	service, id, err := p.open(ctx)
	if err != nil {
		return []cloud.Finding{bad("credentials", err)}
	}
	found := []cloud.Finding{{About: "credentials", OK: true, Found: "found, for project " + id}}
	for _, t := range []struct {
		permission string
		try        func() error
	}{
		{instancesList, func() error {
			_, err := service.Instances.AggregatedList(id).MaxResults(1).Context(ctx).Do(partial())
			return err
		}},
		{rulesList, func() error {
			_, err := service.ForwardingRules.AggregatedList(id).MaxResults(1).Context(ctx).Do(partial())
			return err
		}},
		{addressesList, func() error {
			_, err := service.Addresses.AggregatedList(id).MaxResults(1).Context(ctx).Do(partial())
			return err
		}},
		{subnetsList, func() error {
			_, err := service.Subnetworks.AggregatedList(id).MaxResults(1).Context(ctx).Do(partial())
			return err
		}},
		{routersList, func() error {
			_, err := service.Routers.AggregatedList(id).MaxResults(1).Context(ctx).Do(partial())
			return err
		}},
	} {
		if err := p.again(ctx, t.try); err != nil {
			found = append(found, bad(t.permission, trouble("list in "+id, t.permission, err)))
		} else {
			found = append(found, cloud.Finding{About: t.permission, OK: true, Found: "allowed"})
		}
	}
	return found
}

func bad(about string, err error) cloud.Finding {
	return cloud.Finding{About: about, Found: err.Error(), Why: "addresses of this project have no names", Mend: cloud.Mend(err)}
}
