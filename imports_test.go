package mirrorscope_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "mirrorscope"

// arrows lists, for each noun (top-level folder), which other nouns its
// non-test code may import. ARCHITECTURE.md draws the same picture. A noun that
// is missing here is an error: whoever adds a folder decides where it stands.
var arrows = map[string]string{
	"packet":    "",
	"histogram": "",
	"pool":      "",
	"unit":      "",
	"cloud":     "unit",
	"ui":        "",
	"bpf":       "",
	"index":     "pool",

	"tcp":      "packet histogram pool",
	"stream":   "pool",
	"tlsmeta":  "packet histogram pool",
	"dnsmeta":  "packet histogram pool",
	"httpmeta": "packet histogram pool",
	"session":  "packet tcp stream tlsmeta dnsmeta httpmeta histogram pool",

	"capture":   "bpf",
	"nic":       "",
	"privilege": "",
	"health":    "",
	"filter":    "packet",
	"record":    "packet filter capture unit",

	"flow":   "packet tcp session tlsmeta dnsmeta httpmeta histogram pool",
	"path":   "packet tcp flow histogram pool",
	"enrich": "packet tcp session tlsmeta dnsmeta httpmeta flow path histogram cloud",
	"edge":   "packet tcp session tlsmeta dnsmeta httpmeta flow path histogram pool index enrich",
	"sink":   "unit packet tcp session tlsmeta dnsmeta httpmeta flow path histogram enrich edge",
	"store":  "packet tcp session tlsmeta dnsmeta httpmeta flow path histogram enrich edge",
	"api":    "packet tcp session tlsmeta dnsmeta httpmeta flow path histogram enrich edge store ui",

	"pipeline": "*",
	"daemon":   "*",
	"cmd":      "*",
	"internal": "*", // for tests and for making test data; see onlyTests
	"deploy":   "*", // tests of the Terraform modules alone
}

// light are the nouns of the domain: their code is the product's own, and
// nothing but the standard library stands under it. Weight stays at the
// leaves: of cloud and enrich only the root package is light.
var light = []string{"packet", "pool", "index", "unit", "filter", "tcp", "stream", "session", "tlsmeta", "dnsmeta", "httpmeta", "histogram", "flow", "path", "enrich", "edge", "cloud"}

// leaves are light nouns with packages below that need not be.
var leaves = []string{"cloud", "enrich"}

// readers are packages that a light noun may stand on: they read messages or
// look up prefixes, and bring nothing but the standard library.
var readers = []string{"github.com/gaissmai/bart", "golang.org/x/crypto/cryptobyte", "golang.org/x/crypto/cryptobyte/asn1", "golang.org/x/net/dns/dnsmessage", "golang.org/x/net/http2/hpack"}

// onlyTests are modules and folders that non-test code of the product never
// reaches: the decoder that ours is compared with, and the test helpers.
var onlyTests = []string{"github.com/google/gopacket", "github.com/rogpeppe/go-internal", module + "/internal/"}

// pkg is the part of `go list -json` that the rules look at. Imports are those
// of non-test files.
type pkg struct {
	ImportPath string
	Standard   bool
	Imports    []string
}

// TestImports fails on an arrow between packages that turns back, joins
// siblings, or brings third-party weight into the domain.
func TestImports(t *testing.T) {
	pkgs, err := list()
	if err != nil {
		t.Fatal(err)
	}
	if pkgs[module+"/packet"].ImportPath == "" {
		t.Fatal("go list does not know packet: the test looks at the wrong module")
	}
	for _, v := range check(pkgs) {
		t.Error(v)
	}
}

// list gives every package of the module and all they import, by path.
func list() (map[string]pkg, error) {
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Imports", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, stderr.Bytes())
	}
	pkgs := map[string]pkg{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			return pkgs, nil
		} else if err != nil {
			return nil, err
		}
		pkgs[p.ImportPath] = p
	}
}

// check gives one sentence for each broken rule, sorted.
func check(pkgs map[string]pkg) []string {
	var broken []string
	for path, p := range pkgs {
		from, ours := noun(path)
		if !ours {
			continue
		}
		allowed, known := arrows[from]
		if !known {
			broken = append(broken, fmt.Sprintf("%s: the folder %q has no line in arrows (imports_test.go): say what it may import", path, from))
			continue
		}
		for _, imp := range p.Imports {
			if why := forbidden(path, from, allowed, pkgs[imp], imp); why != "" {
				broken = append(broken, fmt.Sprintf("%s imports %s: %s", path, imp, why))
			}
		}
		if from == "cmd" {
			broken = append(broken, onlyInTests(pkgs, path)...)
		}
	}
	slices.Sort(broken)
	return broken
}

// forbidden says why a package of the noun from must not import imp, or gives
// an empty string.
func forbidden(path, from, allowed string, p pkg, imp string) string {
	to, ours := noun(imp)
	switch {
	case p.Standard, slices.Contains(readers, imp):
		return ""
	case !ours:
		if slices.Contains(light, from) && (!slices.Contains(leaves, from) || path == module+"/"+from) {
			return from + " stands on the standard library alone; third-party weight stays at the leaves"
		}
		return ""
	case to == from:
		if sibling(path, imp) {
			return "siblings do not know each other; what they share belongs into " + from
		}
		return ""
	case allowed == "*" || slices.Contains(strings.Fields(allowed), to):
		return ""
	case allowed == "":
		return from + " imports no other package of ours"
	}
	return from + " may import only " + allowed
}

// sibling tells whether two packages of one noun lie beside each other, as
// sink/jsonl and sink/csv. A noun's root does not know its leaves either.
// cmd and internal are only folders, not nouns.
func sibling(path, imp string) bool {
	n, _ := noun(path)
	root := module + "/" + n
	folder := n == "internal" || n == "cmd"
	return imp != root && (path == root || !folder && !strings.HasPrefix(imp, path+"/"))
}

// onlyInTests follows the arrows from a command to code that is for tests.
func onlyInTests(pkgs map[string]pkg, command string) []string {
	var broken []string
	from := map[string]string{command: ""} // by whom a package is imported
	for queue := []string{command}; len(queue) > 0; queue = queue[1:] {
		for _, imp := range pkgs[queue[0]].Imports {
			if _, seen := from[imp]; seen {
				continue
			}
			from[imp] = queue[0]
			queue = append(queue, imp)
			if slices.ContainsFunc(onlyTests, func(p string) bool { return strings.HasPrefix(imp, p) }) {
				chain := imp
				for at := queue[0]; at != ""; at = from[at] {
					chain = at + " → " + chain
				}
				broken = append(broken, fmt.Sprintf("%s reaches %s, which is for tests: %s", command, imp, chain))
			}
		}
	}
	return broken
}

// noun gives the top-level folder of a package, and whether it is ours.
func noun(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, module+"/")
	if !ok {
		return "", false
	}
	n, _, _ := strings.Cut(rest, "/")
	return n, true
}

// TestImportsCheck shows that each rule can fail, on graphs made by hand.
func TestImportsCheck(t *testing.T) {
	for _, tc := range []struct{ name, graph, want string }{
		{"as drawn", `
			cmd/sensor: pipeline github.com/spf13/cobra
			pipeline: capture capture/pcapfile flow golang.org/x/sync
			capture/pcapfile: capture github.com/klauspost/compress
			flow: packet tcp fmt
			tcp: packet
			packet: fmt
			cloud/aws: cloud github.com/aws/sdk
			enrich/static: enrich github.com/pelletier/go-toml/v2`, ""},
		{"packet knows nobody", `packet: tcp`, "packet imports no other package of ours"},
		{"packet has no weight", `packet: github.com/google/gopacket`, "third-party weight stays at the leaves"},
		{"arrows do not turn back", `tcp: flow`, "tcp may import only packet"},
		{"flow does not reach capture", `flow: packet capture`, "flow may import only packet"},
		{"flow does not reach cloud", `flow: cloud`, "mirrorscope/flow imports mirrorscope/cloud"},
		{"flow does not reach sinks", `flow: sink/jsonl`, "mirrorscope/flow imports mirrorscope/sink/jsonl"},
		{"capture does not reach packet", `capture/pcapfile: packet`, "capture may import only bpf"},
		{"siblings", `sink/csv: sink/jsonl`, "siblings do not know each other"},
		{"root and leaf", `capture: capture/pcapfile`, "siblings do not know each other"},
		{"cloud is light", `cloud: github.com/aws/sdk`, "cloud stands on the standard library alone"},
		{"enrich is light", `enrich: github.com/pelletier/go-toml/v2`, "enrich stands on the standard library alone"},
		{"unknown folder", `gadget: fmt`, `"gadget" has no line in arrows`},
		{"gopacket in the command", `
			cmd/sensor: pipeline
			pipeline: github.com/google/gopacket/layers`,
			"mirrorscope/cmd/sensor → mirrorscope/pipeline → github.com/google/gopacket/layers"},
		{"test helper in the command", `
			cmd/sensor: internal/pcapgen`, "mirrorscope/internal/pcapgen, which is for tests"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := check(graph(tc.graph))
			switch {
			case tc.want == "" && len(got) != 0:
				t.Errorf("a good graph breaks rules: %q", got)
			case tc.want != "" && (len(got) != 1 || !strings.Contains(got[0], tc.want)):
				t.Errorf("check = %q, want one sentence with %q", got, tc.want)
			}
		})
	}
}

// graph reads lines of the form "package: import import…". Names with a dot in
// the first part are third-party, names that no line and no noun owns are the
// standard library's.
func graph(text string) map[string]pkg {
	pkgs := map[string]pkg{}
	full := func(name string) string {
		first, _, _ := strings.Cut(name, "/")
		_, ours := arrows[first]
		switch {
		case strings.Contains(first, "."):
			pkgs[name] = pkg{ImportPath: name}
		case ours:
			name = module + "/" + name
		default:
			pkgs[name] = pkg{ImportPath: name, Standard: true}
		}
		return name
	}
	for line := range strings.Lines(strings.TrimSpace(text)) {
		name, imports, _ := strings.Cut(strings.TrimSpace(line), ":")
		p := pkg{ImportPath: module + "/" + name}
		for _, imp := range strings.Fields(imports) {
			p.Imports = append(p.Imports, full(imp))
		}
		pkgs[p.ImportPath] = p
	}
	return pkgs
}
