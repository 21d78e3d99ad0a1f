package daemon

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"mirrorscope/internal/needs"
)

// The page of records tells every place where a frame can get lost, every
// verdict of the filter and every event, and no others. What the code has is
// read in its text, where all of these names stand as strings.
func TestReferencePlaces(t *testing.T) {
	root := needs.Repository(t)
	var losses, events, left []string
	for _, dir := range []string{"capture/afpacket", "capture/afxdp"} {
		l, e := ringNames(t, filepath.Join(root, dir))
		losses, events = append(losses, l...), append(events, e...)
	}
	for _, d := range cardNames(t, filepath.Join(root, "nic", "places.go")) {
		losses, events = append(losses, d.places...), append(events, d.hints...)
	}
	for _, v := range verdictNames(t, filepath.Join(root, "bpf", "counters_linux.go")) {
		switch {
		case lost[v]:
			losses = append(losses, "xdp_"+v)
		case !taken[v]:
			left = append(left, v)
		}
	}
	events = append(events, daemonNames(t, filepath.Join(root, "daemon"))...)
	events = append(events, daemonNames(t, filepath.Join(root, "edge", "group"))...)

	page := readPage(t, root)
	for _, s := range []struct {
		title string
		code  []string
	}{
		{"where frames are lost", losses}, {"what the filter leaves out", left}, {"what befalls a live capture", events},
	} {
		var told []string
		for _, row := range page.rows(t, s.title, 0) {
			told = append(told, row.names(0)...)
		}
		differ(t, s.title, s.code, told)
	}
}

// The page tells which places and hints each driver has.
func TestReferenceDrivers(t *testing.T) {
	root := needs.Repository(t)
	rows := map[string]row{}
	for _, r := range readPage(t, root).rows(t, "where frames are lost", 1) {
		name := r[0]
		if names := r.names(0); len(names) == 1 {
			name = names[0]
		}
		rows[name] = r
	}
	drivers := cardNames(t, filepath.Join(root, "nic", "places.go"))
	for _, d := range drivers {
		r, ok := rows[d.name]
		if !ok {
			t.Errorf("the page does not know the driver %s", d.name)
			continue
		}
		// Of what is in brackets, as a private flag, it may say more.
		differ(t, "places of "+d.name, d.places, row{brackets.ReplaceAllString(r[1], "")}.names(0))
		differ(t, "hints of "+d.name, d.hints, r.names(2))
	}
	if len(rows) != len(drivers) {
		t.Errorf("the page has %d drivers, the code %d", len(rows), len(drivers))
	}
}

var brackets = regexp.MustCompile(`\([^)]*\)`)

func differ(t *testing.T, what string, code, page []string) {
	t.Helper()
	for _, name := range code {
		if !slices.Contains(page, name) {
			t.Errorf("%s: the page does not have %s", what, name)
		}
	}
	for i, name := range page {
		if !slices.Contains(code, name) {
			t.Errorf("%s: the page has %s, which the code has not", what, name)
		}
		if slices.Contains(page[:i], name) {
			t.Errorf("%s: the page has %s twice", what, name)
		}
	}
}

// page is docs/reference/record.md by the titles of its sections.
type page map[string]string

func readPage(t *testing.T, root string) page {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "reference", "record.md"))
	if err != nil {
		t.Fatal(err)
	}
	p := page{}
	for _, section := range strings.Split(string(text), "\n##")[1:] {
		title, body, _ := strings.Cut(strings.TrimLeft(section, "#"), "\n")
		p[strings.TrimSpace(title)] = body
	}
	return p
}

// row is a row of a table, its cells.
type row []string

// rows gives those of the nth table of a section.
func (p page) rows(t *testing.T, title string, nth int) (rows []row) {
	t.Helper()
	tables := 0
	for part := range strings.SplitSeq(p[title], "\n\n") {
		if !strings.HasPrefix(part, "|") {
			continue
		}
		if tables++; tables <= nth {
			continue
		}
		for line := range strings.Lines(strings.TrimSpace(part)) {
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells)
		}
		return rows[2:] // behind the head
	}
	t.Fatalf("the page has no table %d in %q", nth, title)
	return nil
}

var quoted = regexp.MustCompile("`([a-z0-9_]+)`")

// names are those in a cell.
func (r row) names(cell int) (names []string) {
	if cell >= len(r) {
		return nil
	}
	for _, m := range quoted.FindAllStringSubmatch(r[cell], -1) {
		names = append(names, m[1])
	}
	return names
}

// parse gives the files of a folder that are no tests.
func parse(t *testing.T, dir string) (files []*ast.File) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	if files == nil {
		t.Fatalf("no code in %s", dir)
	}
	return files
}

// fields gives the texts of a field in all composite literals below a node.
// What is no plain text comes as an empty one.
func fields(n ast.Node, name string) (texts []string) {
	for _, v := range below(n, name) {
		texts = append(texts, text(v))
	}
	return texts
}

func isName(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

func text(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	s, err := strconv.Unquote(lit.Value)
	if err != nil {
		return ""
	}
	return s
}

// below gives the values of a field wherever it is set below a node.
func below(n ast.Node, name string) (values []ast.Expr) {
	ast.Inspect(n, func(n ast.Node) bool {
		if kv, ok := n.(*ast.KeyValueExpr); ok && isName(kv.Key, name) {
			values = append(values, kv.Value)
		}
		return true
	})
	return values
}

// ringNames are the places and events in the capture.Stats of a package.
func ringNames(t *testing.T, dir string) (losses, events []string) {
	t.Helper()
	all := 0
	for _, f := range parse(t, dir) {
		all += len(fields(f, "Place"))
		for _, v := range below(f, "Losses") {
			losses = append(losses, fields(v, "Place")...)
		}
		for _, v := range below(f, "Events") {
			events = append(events, fields(v, "Place")...)
		}
	}
	if slices.Contains(losses, "") || slices.Contains(events, "") || all != len(losses)+len(events) || len(losses) < 3 || len(events) < 3 {
		t.Fatalf("%s: of %d places these can be read: %q, %q", dir, all, losses, events)
	}
	return losses, events
}

// cards are the places of a driver.
type cards struct {
	name          string
	places, hints []string
}

// cardNames are those of nic: the list of schemes, and the one for all others.
func cardNames(t *testing.T, path string) (drivers []cards) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	scheme := func(n *ast.CompositeLit) {
		var d cards
		names := []string{"others"}
		for _, e := range n.Elts {
			kv := e.(*ast.KeyValueExpr)
			switch {
			case isName(kv.Key, "drivers"):
				names = nil
				for _, e := range kv.Value.(*ast.CompositeLit).Elts {
					names = append(names, text(e))
				}
			case isName(kv.Key, "losses"):
				d.places = fields(kv.Value, "name")
			case isName(kv.Key, "signs"):
				d.hints = fields(kv.Value, "name")
			}
		}
		told += len(d.places) + len(d.hints)
		for _, d.name = range names {
			drivers = append(drivers, d)
		}
	}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		switch spec.Names[0].Name {
		case "schemes":
			for _, e := range spec.Values[0].(*ast.CompositeLit).Elts {
				scheme(e.(*ast.CompositeLit))
			}
		case "generic":
			scheme(spec.Values[0].(*ast.CompositeLit))
		}
		return true
	})
	if all := len(fields(f, "name")); told != all || len(drivers) < 10 {
		t.Fatalf("%s: of %d places %d can be read, of %d drivers", path, all, told, len(drivers))
	}
	return drivers
}

// verdictNames are those of the filter.
func verdictNames(t *testing.T, path string) (names []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(f, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && spec.Names[0].Name == "verdictNames" {
			for _, e := range spec.Values[0].(*ast.CompositeLit).Elts {
				names = append(names, text(e))
			}
		}
		return true
	})
	if len(names) < 5 || slices.Contains(names, "") {
		t.Fatalf("%s: the verdicts cannot be read: %q", path, names)
	}
	return names
}

// daemonNames are the events that the daemon adds.
func daemonNames(t *testing.T, dir string) (names []string) {
	t.Helper()
	for _, f := range parse(t, dir) {
		for _, name := range fields(f, "Place") {
			if name != "" { // else it hands on what others have named
				names = append(names, name)
			}
		}
	}
	return names
}
