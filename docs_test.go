package mirrorscope_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"mirrorscope/daemon"
	"mirrorscope/internal/golden"
)

// sample is a block of output in a page, under a comment with the command that
// gave it: a line like
//
//	<!-- $ sensor replay testdata/pcaps/shop.pcap -->
var sample = regexp.MustCompile("(?s)(<!-- \\$ sensor ([^\n]*) -->\n```\n)(.*?)(```\n)")

// TestDocsSamples: what pages show as output is what the command prints.
func TestDocsSamples(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "sensor")
	if out, err := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags=grpcnotrace", "-o", bin, "./cmd/sensor").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	samples := 0
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		fresh := sample.ReplaceAllStringFunc(string(text), func(block string) string {
			samples++
			m := sample.FindStringSubmatch(block)
			out, err := exec.Command(bin, strings.Fields(m[2])...).Output()
			if err != nil {
				t.Fatalf("%s: sensor %s: %v", page, m[2], err)
			}
			var body strings.Builder
			for line := range strings.Lines(strings.TrimRight(string(out), "\n")) {
				body.WriteString(strings.TrimRight(line, " \n") + "\n")
			}
			return m[1] + body.String() + m[4]
		})
		if fresh != string(text) {
			golden.Equal(t, page, []byte(fresh))
		}
	}
	if samples == 0 {
		t.Error("no page shows any output")
	}
}

// configuration is a block in a page that is a whole configuration of the sensor,
// under a comment that says so.
var configuration = regexp.MustCompile("(?s)<!-- sensor\\.toml -->\n```toml\n(.*?)```\n")

// TestDocsConfigurations: the sensor takes what pages show as its configuration.
func TestDocsConfigurations(t *testing.T) {
	found := 0
	for _, page := range pages(t) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range configuration.FindAllStringSubmatch(string(text), -1) {
			found++
			if _, err := daemon.Read(strings.NewReader(m[1])); err != nil {
				t.Errorf("%s: %v\n%s", page, err, m[1])
			}
		}
	}
	if found == 0 {
		t.Error("no page shows a configuration")
	}
}

// pages lists every page for people, from the root.
func pages(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "docs/*/*/*.md", "testdata/pcaps/*.md", "deploy/terraform/*.md", "deploy/terraform/*/*.md", "deploy/terraform/*/*/*.md"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, more...)
	}
	return all
}

// link is a link or picture in a page.
var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// TestDocsLinks: every link from one page to another file leads somewhere.
func TestDocsLinks(t *testing.T) {
	for _, page := range pages(t) {
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
