package terraform_test

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestFormat: all files are as `terraform fmt` writes them.
func TestFormat(t *testing.T) {
	t.Parallel()
	if out, err := try(t, ".", "fmt", "-check", "-recursive", "-diff"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestModules: each module is valid by itself, without a warning, and passes the
// tests beside it, which mock the provider.
func TestModules(t *testing.T) {
	for _, path := range files(t, "variables.tf") {
		name := filepath.ToSlash(filepath.Dir(path))
		if strings.Contains(name, "/examples/") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tests, err := filepath.Glob(name + "/tests/*.tftest.hcl")
			if err != nil || len(tests) == 0 {
				t.Fatalf("no tests beside the module: %v", err)
			}
			dir := filepath.Join(modules(t), name)
			tf(t, dir, "init", "-no-color")
			if out := tf(t, dir, "validate", "-no-color"); !strings.HasPrefix(string(out), "Success! The configuration is valid.\n") {
				t.Errorf("validate warns:\n%s", out)
			}
			out := tf(t, dir, "test", "-no-color")
			if !regexp.MustCompile(`Success! [1-9][0-9]* passed, 0 failed\.`).Match(out) {
				t.Errorf("tests:\n%s", out)
			}
		})
	}
}
