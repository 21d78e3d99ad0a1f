package daemon

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"mirrorscope/internal/golden"
	"mirrorscope/internal/needs"
)

// Every *.good.toml is read; every *.bad.toml gives an error with the texts
// that its "# error:" lines name.
func TestConfigFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := Load(file)
			if strings.HasSuffix(file, ".good.toml") {
				if err != nil {
					t.Error(err)
				}
				return
			}
			text, readErr := os.ReadFile(file)
			if readErr != nil {
				t.Fatal(readErr)
			}
			wanted := 0
			for line := range strings.Lines(string(text)) {
				want, ok := strings.CutPrefix(strings.TrimRight(line, "\n"), "# error: ")
				if !ok {
					continue
				}
				wanted++
				if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), file+": ") {
					t.Errorf("error %q, want the file's name and %q", err, want)
				}
			}
			if wanted == 0 {
				t.Error("the file does not say which error it wants")
			}
		})
	}
}

// What `sensor config` prints is read as the defaults, whole, and is the
// reference.
func TestDefaultConfig(t *testing.T) {
	var b bytes.Buffer
	if err := DefaultConfig().Write(&b); err != nil {
		t.Fatal(err)
	}
	got, err := Read(bytes.NewReader(b.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	if want := DefaultConfig(); !equal(got, want) {
		t.Errorf("read back as\n%+v\nwritten\n%+v", got, want)
	}
	page := "<!-- Generated from the defaults by go test ./daemon -update. -->\n\n# Configuration\n\n" +
		"`sensor run --config FILE` reads a TOML file. It is strict: a key that is not here is an error. What a file leaves out is as below;\n" +
		"`sensor config` prints this page.\n\n```toml\n" + b.String() + "```\n"
	golden.Equal(t, filepath.Join(needs.Repository(t), "docs", "reference", "config.md"), []byte(page))

	// Every key tells what it means.
	for line := range strings.Lines(b.String()) {
		line = strings.TrimSpace(line)
		key, _, isKey := strings.Cut(line, " = ")
		if isKey && !strings.HasPrefix(line, "#") && !commented(b.String(), line) {
			t.Errorf("%s has no comment", key)
		}
	}
}

// commented tells whether the line before a line is a comment.
func commented(text, line string) bool {
	lines := strings.Split(text, "\n")
	at := slices.IndexFunc(lines, func(l string) bool { return strings.TrimSpace(l) == line })
	return at > 0 && strings.HasPrefix(strings.TrimSpace(lines[at-1]), "#")
}

func TestNeedsRestart(t *testing.T) {
	a, b := DefaultConfig(), DefaultConfig()
	b.Filter.Sample = 4
	b.Filter.Trim = 64
	if got := needsRestart(a, b); got != nil {
		t.Errorf("the filter needs a restart: %v", got)
	}
	b.Measure.Interval *= 2
	b.Output.Stdout = true
	b.Capture.Interfaces = []string{"eth1"}
	if got := needsRestart(a, b); !slices.Equal(got, []string{"capture", "measure", "output"}) {
		t.Errorf("needs a restart: %v", got)
	}
}

func TestConfigParts(t *testing.T) {
	c, err := Load("testdata/aws.good.toml")
	if err != nil {
		t.Fatal(err)
	}
	d, err := c.decode()
	if err != nil || d.Networks[7] != "blue" || d.Networks[8] != "green" {
		t.Errorf("networks %v, %v", d.Networks, err)
	}
	f := c.flow(int64(c.Measure.Memory))
	if f.Interval != 30*time.Second || f.Memory != 2<<30 {
		t.Errorf("interval %v, memory %d", f.Interval, f.Memory)
	}
	if len(c.Filter.Rules) != 1 || c.Filter.Rules[0].Port[1].Last != 8999 || len(c.Filter.Sources) != 2 {
		t.Errorf("filter %+v", c.Filter)
	}
}
