package terraform_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"mirrorscope/internal/golden"
	"mirrorscope/internal/needs"
)

// schemas is where the test provider has its schemas: one file for each
// provider, NAME.json.
const schemas = "testprovider/schemas"

// document is a file of schemas, as `terraform providers schema -json` prints it.
type document struct {
	FormatVersion string `json:"format_version"`
	Providers     map[string]struct {
		Provider    json.RawMessage            `json:"provider"`
		Resources   map[string]json.RawMessage `json:"resource_schemas"`
		DataSources map[string]json.RawMessage `json:"data_source_schemas"`
	} `json:"provider_schemas"`
}

// types are the resources and data sources that a provider's schema holds or the
// modules use.
type types struct{ resources, dataSources map[string]bool }

var (
	block = regexp.MustCompile(`(?m)^(resource|data) "([a-z0-9]+)(_[a-z0-9_]+)" "[^"]+" \{(?:\}|\n((?:  .*\n|\n)*))`)
	beta  = regexp.MustCompile(`(?m)^  provider += google-beta\b`)
)

// used gives what the modules use of each provider. A resource of google whose
// block names google-beta is of that one.
func used(t *testing.T) map[string]types {
	t.Helper()
	all := map[string]types{}
	for _, path := range files(t, ".tf") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range block.FindAllStringSubmatch(string(text), -1) {
			provider := m[2]
			if provider == "terraform" {
				continue // built in
			}
			if beta.MatchString(m[4]) {
				provider = "google-beta"
			}
			if all[provider].resources == nil {
				all[provider] = types{map[string]bool{}, map[string]bool{}}
			}
			if m[1] == "resource" {
				all[provider].resources[m[2]+m[3]] = true
			} else {
				all[provider].dataSources[m[2]+m[3]] = true
			}
		}
	}
	return all
}

// files lists the modules' files of a kind.
func files(t *testing.T, suffix string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && (d.Name() == "testprovider" || d.Name() == ".terraform") {
			return fs.SkipDir
		}
		if err == nil && strings.HasSuffix(path, suffix) {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestSchemas: the test provider has exactly what the modules use, and what it
// says of that is what the real providers say. With -update the files are made
// anew.
func TestSchemas(t *testing.T) {
	for provider, want := range used(t) {
		t.Run(provider, func(t *testing.T) {
			path := filepath.Join(schemas, provider+".json")
			if provider == "azapi" {
				holds(t, path, want) // written by hand: nobody recorded this provider's
				return
			}
			recorded := filepath.Join(needs.Repository(t), "..", "shared", "terraform", "schema-"+provider+".json")
			text, err := os.ReadFile(recorded)
			if errors.Is(err, fs.ErrNotExist) {
				holds(t, path, want)
				t.Skip("needs the recorded schemas of the providers in ../shared/terraform, which are not there: that the cut-down ones equal them was not checked")
			}
			if err != nil {
				t.Fatal(err)
			}
			golden.Equal(t, path, cut(t, text, want))
			holds(t, path, want)
		})
	}
}

// cut keeps of a document what is wanted, a schema a line.
func cut(t *testing.T, text []byte, want types) []byte {
	t.Helper()
	var doc document
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for source, p := range doc.Providers {
		fmt.Fprintf(&b, `{"format_version":%q,"provider_schemas":{%q:{`+"\n"+`"provider":%s,`+"\n"+`"resource_schemas":{`, doc.FormatVersion, source, compact(t, p.Provider))
		keep(t, &b, p.Resources, want.resources)
		fmt.Fprint(&b, "\n},\n"+`"data_source_schemas":{`)
		keep(t, &b, p.DataSources, want.dataSources)
		fmt.Fprint(&b, "\n}}}}\n")
	}
	return b.Bytes()
}

func keep(t *testing.T, b *bytes.Buffer, from map[string]json.RawMessage, want map[string]bool) {
	t.Helper()
	separator := "\n"
	for _, name := range slices.Sorted(maps.Keys(want)) {
		schema, ok := from[name]
		if !ok {
			t.Errorf("the provider has no %s", name)
			continue
		}
		fmt.Fprintf(b, "%s%q:%s", separator, name, compact(t, schema))
		separator = ",\n"
	}
}

func compact(t *testing.T, text json.RawMessage) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// holds checks that a file of schemas has what is wanted and nothing else.
func holds(t *testing.T, path string, want types) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var doc document
	if err := json.Unmarshal(text, &doc); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	for _, p := range doc.Providers {
		if got, want := slices.Sorted(maps.Keys(p.Resources)), slices.Sorted(maps.Keys(want.resources)); !slices.Equal(got, want) {
			t.Errorf("%s has resources %q, the modules use %q", path, got, want)
		}
		if got, want := slices.Sorted(maps.Keys(p.DataSources)), slices.Sorted(maps.Keys(want.dataSources)); !slices.Equal(got, want) {
			t.Errorf("%s has data sources %q, the modules use %q", path, got, want)
		}
	}
}
