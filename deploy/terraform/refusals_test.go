package terraform_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// refusal is a value that a module must not take, and the sentence by which it
// says so. What is not given is as in the module's base.
type refusal struct {
	give map[string]any
	want string // begins the sentence
}

// refused is what a module does not take.
type refused struct {
	mocks []string       // providers that want a configuration, and are mocked
	base  map[string]any // taken
	cases []refusal
}

// message is a sentence of a module, up to the first value that is put into it.
var message = regexp.MustCompile(`(?m)^ +error_message += "((?:[^"\\]|\\.)*)"$`)

// TestRefusals gives each module what it must not take, a case for every
// validation and precondition there is, and looks for the module's own words.
func TestRefusals(t *testing.T) {
	for name, r := range refusals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(modules(t), name)
			for i, c := range append([]refusal{{}}, r.cases...) {
				values := maps.Clone(r.base)
				maps.Copy(values, c.give)
				file := map[string]any{"variables": values, "run": map[string]any{"refuse": map[string]any{"command": "plan"}}}
				if len(r.mocks) > 0 {
					mocks := map[string]any{}
					for _, name := range r.mocks {
						mocks[name] = map[string]any{}
					}
					file["mock_provider"] = mocks
				}
				text, err := json.MarshalIndent(file, "", "\t")
				if err != nil {
					t.Fatal(err)
				}
				if err := os.MkdirAll(filepath.Join(dir, "refusals"), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, "refusals", fmt.Sprintf("%03d.tftest.json", i)), text, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			tf(t, dir, "init", "-no-color", "-test-directory=refusals")
			out, err := try(t, dir, "test", "-json", "-test-directory=refusals")
			if err == nil {
				t.Error("nothing was refused")
			}
			said := sentences(t, out)
			if base := said["refusals/000.tftest.json"]; len(base) != 0 {
				t.Fatalf("the base is refused: %q", base)
			}
			for i, c := range r.cases {
				got := said[fmt.Sprintf("refusals/%03d.tftest.json", i+1)]
				if len(got) == 0 {
					t.Errorf("%v is taken, want %q", c.give, c.want)
					continue
				}
				for _, sentence := range got {
					if !strings.HasPrefix(sentence, c.want) {
						t.Errorf("%v: %q, want %q", c.give, sentence, c.want)
					}
				}
			}
			complete(t, name, r.cases)
		})
	}
}

// sentences gives what was wrong with each file.
func sentences(t *testing.T, out []byte) map[string][]string {
	t.Helper()
	said := map[string][]string{}
	for line := range bytes.Lines(out) {
		var event struct {
			File       string `json:"@testfile"`
			Diagnostic *struct {
				Severity string `json:"severity"`
				Summary  string `json:"summary"`
				Detail   string `json:"detail"`
			} `json:"diagnostic"`
		}
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if d := event.Diagnostic; d != nil && d.Severity == "error" {
			sentence := d.Detail
			switch d.Summary {
			case "Invalid value for variable", "Module output value precondition failed", "Resource precondition failed":
				sentence, _, _ = strings.Cut(sentence, "\n")
			default: // not the module's own words
				sentence = d.Summary + ": " + sentence
			}
			said[event.File] = append(said[event.File], sentence)
		}
	}
	return said
}

// complete checks that each sentence that a module can say is among the cases.
func complete(t *testing.T, name string, cases []refusal) {
	t.Helper()
	paths, err := filepath.Glob(name + "/*.tf")
	if err != nil || len(paths) == 0 {
		t.Fatalf("%s: %q, %v", name, paths, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := strings.Count(string(text), "error_message"), len(message.FindAll(text, -1)); a != b {
			t.Errorf("%s: %d of %d messages can be read", path, b, a)
		}
	search:
		for _, m := range message.FindAllStringSubmatch(string(text), -1) {
			own := strings.NewReplacer(`\"`, `"`, `$${`, `${`).Replace(m[1])
			fixed, _, _ := strings.Cut(own, "${")
			for _, c := range cases {
				if c.want != "" && (strings.HasPrefix(fixed, c.want) || strings.HasPrefix(c.want, fixed)) {
					continue search
				}
			}
			t.Errorf("%s: no case makes it say %q", path, own)
		}
	}
}

// with gives a map from pairs.
func with(pairs ...any) map[string]any {
	m := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i].(string)] = pairs[i+1]
	}
	return m
}

// TestRefusalsOfAll: every module with variables of its own is in the table.
func TestRefusalsOfAll(t *testing.T) {
	for _, path := range files(t, "variables.tf") {
		name := filepath.ToSlash(filepath.Dir(path))
		if _, ok := refusals[name]; !ok && !strings.Contains(name, "/examples/") {
			t.Errorf("%s is not in the table of refusals", name)
		}
	}
}
