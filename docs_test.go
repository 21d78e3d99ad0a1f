package mirrorscope_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mirrorscope/internal/golden"
)

// demoBlock is the sample output in README.md, between its markers.
var demoBlock = regexp.MustCompile("(?s)(<!-- make demo -->\n```\n).*?(```\n<!-- end -->)")

// TestDocsReadme: the picture in README.md is what `make demo` prints.
func TestDocsReadme(t *testing.T) {
	out, err := exec.Command("go", "run", "-buildvcs=false", "./cmd/sensor", "replay", filepath.Join("testdata", "pcaps", "shop.pcap")).Output()
	if err != nil {
		t.Fatal(err)
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	m := demoBlock.FindSubmatch(readme)
	if m == nil {
		t.Fatal("README.md has no place for the sample output")
	}
	var lines []string
	for line := range strings.Lines(string(out)) {
		lines = append(lines, strings.TrimRight(line, " \n"))
	}
	sample := strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n"
	golden.Equal(t, "README.md", []byte(strings.Replace(string(readme), string(m[0]), string(m[1])+sample+string(m[2]), 1)))
}

// link is a link or picture in a page.
var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestDocsLinks: every link from one page to another file leads somewhere.
func TestDocsLinks(t *testing.T) {
	pages, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md", "testdata/pcaps/*.md"} {
		more, _ := filepath.Glob(pattern)
		pages = append(pages, more...)
	}
	for _, page := range pages {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, "://") || strings.HasPrefix(target, "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), target)); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", page, m[1])
			}
		}
	}
}
