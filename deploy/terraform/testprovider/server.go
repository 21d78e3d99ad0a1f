package main

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// server answers Terraform. What Terraform asks of no provider in these tests
// (functions, ephemeral resources, import) is left to the embedded interface,
// which is nil: asking for it ends the program, and the test with it.
type server struct {
	tfprotov6.ProviderServer
	*provider
}

func (s *server) GetMetadata(context.Context, *tfprotov6.GetMetadataRequest) (*tfprotov6.GetMetadataResponse, error) {
	resp := &tfprotov6.GetMetadataResponse{ServerCapabilities: &tfprotov6.ServerCapabilities{GetProviderSchemaOptional: true}}
	for _, name := range slices.Sorted(maps.Keys(s.resources)) {
		resp.Resources = append(resp.Resources, tfprotov6.ResourceMetadata{TypeName: name})
	}
	for _, name := range slices.Sorted(maps.Keys(s.dataSources)) {
		resp.DataSources = append(resp.DataSources, tfprotov6.DataSourceMetadata{TypeName: name})
	}
	return resp, nil
}

func (s *server) GetProviderSchema(context.Context, *tfprotov6.GetProviderSchemaRequest) (*tfprotov6.GetProviderSchemaResponse, error) {
	return &tfprotov6.GetProviderSchemaResponse{
		ServerCapabilities: &tfprotov6.ServerCapabilities{GetProviderSchemaOptional: true},
		Provider:           s.config,
		ResourceSchemas:    s.resources,
		DataSourceSchemas:  s.dataSources,
	}, nil
}

func (s *server) GetResourceIdentitySchemas(context.Context, *tfprotov6.GetResourceIdentitySchemasRequest) (*tfprotov6.GetResourceIdentitySchemasResponse, error) {
	return &tfprotov6.GetResourceIdentitySchemasResponse{}, nil
}

func (s *server) ValidateProviderConfig(_ context.Context, req *tfprotov6.ValidateProviderConfigRequest) (*tfprotov6.ValidateProviderConfigResponse, error) {
	return &tfprotov6.ValidateProviderConfigResponse{PreparedConfig: req.Config}, nil
}

func (s *server) ConfigureProvider(context.Context, *tfprotov6.ConfigureProviderRequest) (*tfprotov6.ConfigureProviderResponse, error) {
	return &tfprotov6.ConfigureProviderResponse{}, nil
}

func (s *server) StopProvider(context.Context, *tfprotov6.StopProviderRequest) (*tfprotov6.StopProviderResponse, error) {
	return &tfprotov6.StopProviderResponse{}, nil
}

func (s *server) ValidateDataResourceConfig(context.Context, *tfprotov6.ValidateDataResourceConfigRequest) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	return &tfprotov6.ValidateDataResourceConfigResponse{}, nil
}

func (s *server) ValidateResourceConfig(_ context.Context, req *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	config, err := req.Config.Unmarshal(s.resources[req.TypeName].ValueType())
	if err != nil {
		return nil, err
	}
	resp := &tfprotov6.ValidateResourceConfigResponse{}
	for _, problem := range check(req.TypeName, config) {
		resp.Diagnostics = append(resp.Diagnostics, &tfprotov6.Diagnostic{Severity: tfprotov6.DiagnosticSeverityError, Summary: problem, Detail: "The provider of " + req.TypeName + " would refuse this."})
	}
	return resp, nil
}

func (s *server) UpgradeResourceState(_ context.Context, req *tfprotov6.UpgradeResourceStateRequest) (*tfprotov6.UpgradeResourceStateResponse, error) {
	typ := s.resources[req.TypeName].ValueType()
	v, err := req.RawState.Unmarshal(typ)
	if err != nil {
		return nil, err
	}
	state, err := pack(typ, v)
	return &tfprotov6.UpgradeResourceStateResponse{UpgradedState: state}, err
}

// ReadResource finds everything as it was left.
func (s *server) ReadResource(_ context.Context, req *tfprotov6.ReadResourceRequest) (*tfprotov6.ReadResourceResponse, error) {
	return &tfprotov6.ReadResourceResponse{NewState: req.CurrentState, Private: req.Private}, nil
}

// PlanResourceChange leaves to be known after the apply what the configuration
// does not say and the provider computes. What cannot be changed in place is
// replaced.
func (s *server) PlanResourceChange(_ context.Context, req *tfprotov6.PlanResourceChangeRequest) (*tfprotov6.PlanResourceChangeResponse, error) {
	schema := s.resources[req.TypeName]
	typ := schema.ValueType()
	proposed, err := req.ProposedNewState.Unmarshal(typ)
	if err != nil {
		return nil, err
	}
	prior, err := req.PriorState.Unmarshal(typ)
	if err != nil {
		return nil, err
	}
	if proposed.IsNull() || proposed.Equal(prior) {
		return &tfprotov6.PlanResourceChangeResponse{PlannedState: req.ProposedNewState}, nil
	}
	planned, err := overBlock(schema.Block, proposed, func(a *tfprotov6.SchemaAttribute, v tftypes.Value) tftypes.Value {
		if a.Computed && v.IsNull() {
			return tftypes.NewValue(v.Type(), tftypes.UnknownValue)
		}
		return v
	})
	if err != nil {
		return nil, err
	}
	resp := &tfprotov6.PlanResourceChangeResponse{}
	if resp.PlannedState, err = pack(typ, planned); err != nil {
		return nil, err
	}
	if prior.IsNull() {
		return resp, nil
	}
	was, is := object(prior), object(planned)
	for _, name := range replaced[req.TypeName] {
		if !was[name].Equal(is[name]) {
			resp.RequiresReplace = append(resp.RequiresReplace, tftypes.NewAttributePath().WithAttributeName(name))
		}
	}
	return resp, nil
}

// ApplyResourceChange makes up what was to be known after the apply.
func (s *server) ApplyResourceChange(_ context.Context, req *tfprotov6.ApplyResourceChangeRequest) (*tfprotov6.ApplyResourceChangeResponse, error) {
	schema := s.resources[req.TypeName]
	typ := schema.ValueType()
	planned, err := req.PlannedState.Unmarshal(typ)
	if err != nil {
		return nil, err
	}
	if planned.IsNull() {
		return &tfprotov6.ApplyResourceChangeResponse{NewState: req.PlannedState}, nil
	}
	made, err := overBlock(schema.Block, planned, func(a *tfprotov6.SchemaAttribute, v tftypes.Value) tftypes.Value {
		return answer(req.TypeName, a.Name, v, object(planned))
	})
	if err != nil {
		return nil, err
	}
	state, err := pack(typ, made)
	return &tfprotov6.ApplyResourceChangeResponse{NewState: state}, err
}

// ReadDataSource makes up all that was not asked for.
func (s *server) ReadDataSource(_ context.Context, req *tfprotov6.ReadDataSourceRequest) (*tfprotov6.ReadDataSourceResponse, error) {
	schema := s.dataSources[req.TypeName]
	typ := schema.ValueType()
	config, err := req.Config.Unmarshal(typ)
	if err != nil {
		return nil, err
	}
	read, err := overBlock(schema.Block, config, func(a *tfprotov6.SchemaAttribute, v tftypes.Value) tftypes.Value {
		if a.Computed && v.IsNull() {
			v = tftypes.NewValue(v.Type(), tftypes.UnknownValue)
		}
		return answer(req.TypeName, a.Name, v, object(config))
	})
	if err != nil {
		return nil, err
	}
	state, err := pack(typ, read)
	return &tfprotov6.ReadDataSourceResponse{State: state}, err
}

func (s *server) GetFunctions(context.Context, *tfprotov6.GetFunctionsRequest) (*tfprotov6.GetFunctionsResponse, error) {
	return &tfprotov6.GetFunctionsResponse{}, nil
}

func pack(typ tftypes.Type, v tftypes.Value) (*tfprotov6.DynamicValue, error) {
	d, err := tfprotov6.NewDynamicValue(typ, v)
	return &d, err
}

// object gives the attributes and blocks of a value, none of one that is null
// or not known.
func object(v tftypes.Value) map[string]tftypes.Value {
	var m map[string]tftypes.Value
	if v.IsKnown() && !v.IsNull() {
		_ = v.As(&m) // a value that is no object has none
	}
	return m
}

// overBlock gives the value with each attribute as f has it, inside nested
// blocks as well.
func overBlock(b *tfprotov6.SchemaBlock, v tftypes.Value, f func(*tfprotov6.SchemaAttribute, tftypes.Value) tftypes.Value) (tftypes.Value, error) {
	in := object(v)
	if in == nil {
		return v, nil
	}
	out := make(map[string]tftypes.Value, len(in))
	for _, a := range b.Attributes {
		out[a.Name] = f(a, in[a.Name])
	}
	for _, n := range b.BlockTypes {
		inner := in[n.TypeName]
		switch n.Nesting {
		case tfprotov6.SchemaNestedBlockNestingModeSingle, tfprotov6.SchemaNestedBlockNestingModeGroup:
			var err error
			if out[n.TypeName], err = overBlock(n.Block, inner, f); err != nil {
				return v, err
			}
			continue
		case tfprotov6.SchemaNestedBlockNestingModeMap:
			return v, fmt.Errorf("%s: blocks with labels are not supported", n.TypeName)
		}
		var items []tftypes.Value
		if !inner.IsKnown() || inner.IsNull() {
			out[n.TypeName] = inner
			continue
		}
		if err := inner.As(&items); err != nil {
			return v, fmt.Errorf("%s: %w", n.TypeName, err)
		}
		for i := range items {
			var err error
			if items[i], err = overBlock(n.Block, items[i], f); err != nil {
				return v, err
			}
		}
		out[n.TypeName] = tftypes.NewValue(inner.Type(), items)
	}
	return tftypes.NewValue(v.Type(), out), nil
}
