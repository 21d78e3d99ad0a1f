package terraform_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mirrorscope/internal/golden"
)

var (
	declared = regexp.MustCompile(`(?m)^(variable|output) "([a-z0-9_]+)" \{\n((?:  .*\n|\n)*)\}`)
	argument = regexp.MustCompile(`(?m)^  ([a-z_]+) += (.*)\n((?:    .*\n|  [\])}].*\n)*)`)
	fenced   = regexp.MustCompile(`(?s)(<!-- (inputs|outputs) -->\n).*?(<!-- end -->\n)`)
	braces   = regexp.MustCompile(`object\(\{[^{}]*\}\)`)
)

// inWords are defaults that are too long for a table.
var inWords = map[string]string{"rules": "everything", "image": "Debian 12"}

// TestReadmes: the tables of inputs and outputs in each module's README are what
// the module declares. With -update they are written.
func TestReadmes(t *testing.T) {
	for _, path := range files(t, "variables.tf") {
		dir := filepath.Dir(path)
		if strings.Contains(dir, "examples") {
			continue
		}
		t.Run(filepath.ToSlash(dir), func(t *testing.T) {
			readme := filepath.Join(dir, "README.md")
			text, err := os.ReadFile(readme)
			if err != nil {
				t.Fatal(err)
			}
			tables := map[string]string{"inputs": inputs(t, dir), "outputs": outputs(t, dir)}
			found := 0
			fresh := fenced.ReplaceAllFunc(text, func(b []byte) []byte {
				found++
				m := fenced.FindSubmatch(b)
				return bytes.Join([][]byte{m[1], []byte(tables[string(m[2])]), m[3]}, nil)
			})
			if found != 2 {
				t.Fatalf("%s has %d tables, want inputs and outputs", readme, found)
			}
			golden.Equal(t, readme, fresh)
		})
	}
}

// declarations gives the variables or outputs of a file: name and arguments.
func declarations(t *testing.T, path, kind string) (names []string, arguments []map[string]string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
		if m[1] != kind {
			continue
		}
		args := map[string]string{}
		for _, a := range argument.FindAllStringSubmatch(m[3], -1) {
			args[a[1]] = strings.Join(strings.Fields(a[2]+" "+strings.ReplaceAll(a[3], "\n", " ")), " ")
		}
		names, arguments = append(names, m[2]), append(arguments, args)
	}
	if want := strings.Count("\n"+string(text), "\n"+kind+" "); len(names) != want || want == 0 {
		t.Fatalf("%s: %d of %d read", path, len(names), want)
	}
	return names, arguments
}

// description gives the sentence of a declaration as Markdown.
func description(t *testing.T, name string, args map[string]string) string {
	t.Helper()
	s := strings.Trim(args["description"], `"`)
	if s == "" {
		t.Errorf("%s has no description", name)
	}
	return strings.NewReplacer(`\"`, `"`, "|", `\|`).Replace(s)
}

func inputs(t *testing.T, dir string) string {
	var b strings.Builder
	fmt.Fprint(&b, "| name | meaning | type | default |\n|---|---|---|---|\n")
	names, arguments := declarations(t, filepath.Join(dir, "variables.tf"), "variable")
	for i, name := range names {
		def, ok := arguments[i]["default"]
		switch {
		case !ok:
			def = "(needed)"
		case len(def) > 30:
			if def = inWords[name]; def == "" {
				t.Errorf("%s: the default is too long for a table: %s", name, arguments[i]["default"])
			}
		default:
			def = "`" + def + "`"
		}
		typ := arguments[i]["type"]
		for braces.MatchString(typ) {
			typ = braces.ReplaceAllString(typ, "object")
		}
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s |\n", name, description(t, name, arguments[i]), typ, def)
	}
	return b.String()
}

func outputs(t *testing.T, dir string) string {
	var b strings.Builder
	fmt.Fprint(&b, "| name | meaning |\n|---|---|\n")
	names, arguments := declarations(t, filepath.Join(dir, "outputs.tf"), "output")
	for i, name := range names {
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, description(t, name, arguments[i]))
	}
	return b.String()
}
