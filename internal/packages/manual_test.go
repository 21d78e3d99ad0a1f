package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"mirrorscope/internal/golden"
	"mirrorscope/internal/needs"
)

var testFooter = footer{version: "1.2.3", date: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)}

// TestManuals: there is a page for each command and one for the configuration;
// they say all that they should, and the readers of such pages have nothing to
// complain of.
func TestManuals(t *testing.T) {
	reference := filepath.Join(needs.Repository(t), "docs", "reference", "cli")
	pages, err := manuals(reference, testFooter)
	if err != nil {
		t.Fatal(err)
	}
	for name := range pages {
		if name == "sensor.toml.5" {
			continue
		}
		source, err := os.ReadFile(filepath.Join(reference, strings.ReplaceAll(strings.TrimSuffix(name, ".1"), "-", "_")+".md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("(?m)^\\| `(--[a-z-]+)").FindAllSubmatch(source, -1) {
			if !strings.Contains(string(pages[name]), "\n"+bold(string(m[1]))) {
				t.Errorf("%s does not have %s", name, m[1])
			}
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^\\fB(sensor\\-[a-z]+)\\fR\(1\)$`).FindAllSubmatch(pages["sensor.1"], -1) {
		if name := strings.ReplaceAll(string(m[1]), `\`, "") + ".1"; pages[name] == nil {
			t.Errorf("sensor.1 names %s, which is not there", name)
		}
	}
	var conf strings.Builder
	if err := installedConfig().Write(&conf); err != nil {
		t.Fatal(err)
	}
	keys := regexp.MustCompile(`(?m)^([a-z0-9_]+) = `).FindAllStringSubmatch(conf.String(), -1)
	for _, k := range keys {
		if !strings.Contains(string(pages["sensor.toml.5"]), "\n"+bold(k[1])+" = ") {
			t.Errorf("sensor.toml.5 does not have %s", k[1])
		}
	}
	if len(keys) < 30 {
		t.Errorf("only %d keys", len(keys))
	}

	dir := t.TempDir()
	lint, man := needs.Tool(t, "mandoc"), needs.Tool(t, "man")
	check := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
		out, _ := exec.Command(lint, "-Tlint", "-Wwarning", path).CombinedOutput() // its status is that of what it found
		cmd := exec.Command(man, "--warnings", "--encoding=UTF-8", "--local-file", "--troff-device=utf8", "--ditroff", path)
		cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
		cmd.Stdout = nil
		var stderr strings.Builder
		cmd.Stderr = &stderr
		if err := cmd.Run(); err != nil {
			return err.Error() + "\n" + stderr.String()
		}
		return string(out) + stderr.String()
	}
	for name, text := range pages {
		if found := check(name, text); found != "" {
			t.Errorf("%s:\n%s", name, found)
		}
	}
	if check("bad.1", []byte(".TH BAD 1\n.SH NAME\nbad \\- bad\n.nosuchmacro\n")) == "" {
		t.Error("a bad page passes")
	}
}

// TestCommandManual shows a page with everything that pages may have.
func TestCommandManual(t *testing.T) {
	text, err := os.ReadFile("testdata/command.md")
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseCommand(string(text))
	if err != nil {
		t.Fatal(err)
	}
	golden.Equal(t, "testdata/command.1", commandManual(c, []*command{c, {name: "sensor other"}}, testFooter))

	for name, bad := range map[string]string{
		"a section that is not known": "## Flags", "a row that is not known": "| `--count N`",
		"a list that is not known": "- [sensor", "an example without a fence": "## Examples\n\n```",
	} {
		changed := strings.Replace(string(text), bad, "## Something\n- else", 1)
		if _, err := parseCommand(changed); err == nil || changed == string(text) {
			t.Errorf("%s passes", name)
		}
	}
}

func TestConfigManual(t *testing.T) {
	tables, err := parseConfig("# The head.\n\n# What it\n# is for.\n[one]\n# A sentence.\n# Another that\n# goes on:\n#\n#   code = 1\n#\n# The end.\nkey = ''\nbare = -1\n\n[one.empty]\n# Next.\n[two]\na = []\n")
	if err != nil {
		t.Fatal(err)
	}
	golden.Equal(t, "testdata/config.5", configManual(tables, testFooter))
	for _, bad := range []string{"", "key = 1\n", "[one]\nno value\n"} {
		if _, err := parseConfig(bad); err == nil {
			t.Errorf("%q passes", bad)
		}
	}
}
