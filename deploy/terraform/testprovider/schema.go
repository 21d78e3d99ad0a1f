package main

import (
	"embed"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

// files are schemas as `terraform providers schema -json` prints them, one
// provider each, without descriptions.
//
//go:embed schemas/*.json
var files embed.FS

// provider is what one of the files says.
type provider struct {
	source      string // "hashicorp/aws"
	config      *tfprotov6.Schema
	resources   map[string]*tfprotov6.Schema
	dataSources map[string]*tfprotov6.Schema
}

// address is by what Terraform knows it.
func (p *provider) address() string { return "registry.terraform.io/" + p.source }

// The shape of a file.
type (
	document struct {
		Providers map[string]providerJSON `json:"provider_schemas"`
	}
	providerJSON struct {
		Provider    schemaJSON            `json:"provider"`
		Resources   map[string]schemaJSON `json:"resource_schemas"`
		DataSources map[string]schemaJSON `json:"data_source_schemas"`
	}
	schemaJSON struct {
		Version int64     `json:"version"`
		Block   blockJSON `json:"block"`
	}
	blockJSON struct {
		Attributes map[string]attributeJSON `json:"attributes"`
		Blocks     map[string]nestedJSON    `json:"block_types"`
	}
	attributeJSON struct {
		Type       json.RawMessage `json:"type"`
		NestedType *nestedTypeJSON `json:"nested_type"`
		Required   bool            `json:"required"`
		Optional   bool            `json:"optional"`
		Computed   bool            `json:"computed"`
		Sensitive  bool            `json:"sensitive"`
		Deprecated bool            `json:"deprecated"`
		WriteOnly  bool            `json:"write_only"`
	}
	nestedTypeJSON struct {
		Attributes  map[string]attributeJSON `json:"attributes"`
		NestingMode string                   `json:"nesting_mode"`
	}
	nestedJSON struct {
		Block       blockJSON `json:"block"`
		NestingMode string    `json:"nesting_mode"`
		MinItems    int64     `json:"min_items"`
		MaxItems    int64     `json:"max_items"`
	}
)

// load reads the schema of a provider by its type, as "aws" or "google-beta".
func load(name string) (*provider, error) {
	text, err := files.ReadFile("schemas/" + name + ".json")
	if err != nil {
		return nil, err // names the file
	}
	var doc document
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("schemas/%s.json: %w", name, err)
	}
	for source, in := range doc.Providers {
		p := &provider{source: source}
		if p.config, err = in.Provider.schema(); err != nil {
			return nil, fmt.Errorf("schemas/%s.json: provider: %w", name, err)
		}
		if p.resources, err = schemas(in.Resources); err == nil {
			p.dataSources, err = schemas(in.DataSources)
		}
		if err != nil {
			return nil, fmt.Errorf("schemas/%s.json: %w", name, err)
		}
		return p, nil
	}
	return nil, fmt.Errorf("schemas/%s.json: no provider in it", name)
}

func schemas(in map[string]schemaJSON) (map[string]*tfprotov6.Schema, error) {
	out := make(map[string]*tfprotov6.Schema, len(in))
	for name, s := range in {
		var err error
		if out[name], err = s.schema(); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return out, nil
}

func (s schemaJSON) schema() (*tfprotov6.Schema, error) {
	b, err := s.Block.block()
	return &tfprotov6.Schema{Version: s.Version, Block: b}, err
}

var blockNesting = map[string]tfprotov6.SchemaNestedBlockNestingMode{
	"single": tfprotov6.SchemaNestedBlockNestingModeSingle,
	"group":  tfprotov6.SchemaNestedBlockNestingModeGroup,
	"list":   tfprotov6.SchemaNestedBlockNestingModeList,
	"set":    tfprotov6.SchemaNestedBlockNestingModeSet,
	"map":    tfprotov6.SchemaNestedBlockNestingModeMap,
}

func (b blockJSON) block() (*tfprotov6.SchemaBlock, error) {
	attributes, err := attributes(b.Attributes)
	if err != nil {
		return nil, err
	}
	out := &tfprotov6.SchemaBlock{Attributes: attributes}
	for _, name := range slices.Sorted(maps.Keys(b.Blocks)) {
		n := b.Blocks[name]
		inner, err := n.Block.block()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		mode, ok := blockNesting[n.NestingMode]
		if !ok {
			return nil, fmt.Errorf("%s: unknown nesting mode %q", name, n.NestingMode)
		}
		out.BlockTypes = append(out.BlockTypes, &tfprotov6.SchemaNestedBlock{TypeName: name, Block: inner, Nesting: mode, MinItems: n.MinItems, MaxItems: n.MaxItems})
	}
	return out, nil
}

var objectNesting = map[string]tfprotov6.SchemaObjectNestingMode{
	"single": tfprotov6.SchemaObjectNestingModeSingle,
	"list":   tfprotov6.SchemaObjectNestingModeList,
	"set":    tfprotov6.SchemaObjectNestingModeSet,
	"map":    tfprotov6.SchemaObjectNestingModeMap,
}

func attributes(in map[string]attributeJSON) ([]*tfprotov6.SchemaAttribute, error) {
	var out []*tfprotov6.SchemaAttribute
	for _, name := range slices.Sorted(maps.Keys(in)) {
		a := in[name]
		s := &tfprotov6.SchemaAttribute{Name: name, Required: a.Required, Optional: a.Optional, Computed: a.Computed, Sensitive: a.Sensitive, Deprecated: a.Deprecated, WriteOnly: a.WriteOnly}
		if a.NestedType == nil {
			typ, err := tftypes.ParseJSONType(a.Type) //nolint:staticcheck // the only reader of these types there is
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			s.Type = typ
			out = append(out, s)
			continue
		}
		inner, err := attributes(a.NestedType.Attributes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		mode, ok := objectNesting[a.NestedType.NestingMode]
		if !ok {
			return nil, fmt.Errorf("%s: unknown nesting mode %q", name, a.NestedType.NestingMode)
		}
		s.NestedType = &tfprotov6.SchemaObject{Attributes: inner, Nesting: mode}
		out = append(out, s)
	}
	return out, nil
}
