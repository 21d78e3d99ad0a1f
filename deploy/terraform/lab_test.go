// Package terraform_test tries the modules of this folder with Terraform itself
// and a stand-in for the providers (testprovider), without network or account.
// Everything runs on copies: lock files and .terraform stay out of the sources.
package terraform_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"mirrorscope/internal/needs"
)

// providers are those that the modules use, in the version whose schema the
// test provider has. azapi's is written by hand.
var providers = map[string]string{
	"hashicorp/aws":         "6.47.0",
	"hashicorp/google":      "7.46.0",
	"hashicorp/google-beta": "7.46.0",
	"hashicorp/azurerm":     "4.79.0",
	"azure/azapi":           "2.0.0",
}

// stage is what all tests share: the test provider under the names of the real
// ones, and the configuration of Terraform that knows no other.
var stage struct {
	once sync.Once
	dir  string
	err  error
}

// slots bounds how many terraforms run at a time: each is a process of its own,
// with one more for each provider.
var slots = make(chan struct{}, max(1, runtime.NumCPU()))

func TestMain(m *testing.M) {
	code := m.Run()
	if stage.dir != "" {
		_ = os.RemoveAll(stage.dir)
	}
	os.Exit(code)
}

// configuration gives the path of Terraform's configuration file, after it has
// built the test provider.
func configuration(t *testing.T) string {
	t.Helper()
	stage.once.Do(func() { stage.dir, stage.err = build() })
	if stage.err != nil {
		t.Fatal(stage.err)
	}
	return filepath.Join(stage.dir, "terraform.rc")
}

func build() (string, error) {
	dir, err := os.MkdirTemp("", "mirrorscope-terraform-")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "testprovider")
	cmd := exec.Command("go", "build", "-C", "testprovider", "-buildvcs=false", "-o", bin, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		return dir, fmt.Errorf("build the test provider: %w\n%s", err, out)
	}
	mirror := filepath.Join(dir, "mirror")
	for source, version := range providers {
		at := filepath.Join(mirror, "registry.terraform.io", source, version, runtime.GOOS+"_"+runtime.GOARCH)
		if err := os.MkdirAll(at, 0o755); err != nil {
			return dir, err
		}
		if err := os.Symlink(bin, filepath.Join(at, "terraform-provider-"+filepath.Base(source)+"_v"+version)); err != nil {
			return dir, err
		}
	}
	rc := fmt.Sprintf("disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror)
	return dir, os.WriteFile(filepath.Join(dir, "terraform.rc"), []byte(rc), 0o644)
}

// modules copies the modules, and gives the folder of the copy.
func modules(t *testing.T) string {
	t.Helper()
	to := t.TempDir()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testprovider" || d.Name() == ".terraform"):
			return fs.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(to, path), 0o755)
		}
		switch filepath.Ext(path) {
		case ".tf", ".hcl", ".tftpl":
		default:
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, path), text, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// try runs terraform in a folder. What it wrote to standard output comes back
// alone, and both outputs in the error.
func try(t *testing.T, dir string, args ...string) ([]byte, error) {
	t.Helper()
	terraform := needs.Tool(t, "terraform")
	rc := configuration(t)
	slots <- struct{}{}
	defer func() { <-slots }()
	cmd := exec.Command(terraform, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TF_CLI_CONFIG_FILE="+rc, "TF_IN_AUTOMATION=1", "TF_INPUT=0", "CHECKPOINT_DISABLE=1", "TF_LOG=", "TF_CLI_ARGS=", "TF_DATA_DIR=", "TF_WORKSPACE=")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.Bytes(), fmt.Errorf("terraform %v in %s: %w\n%s%s", args, filepath.Base(dir), err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes(), nil
}

// tf is try for what must not fail.
func tf(t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	out, err := try(t, dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// variables writes the variables of a run to where Terraform looks for them.
func variables(t *testing.T, dir string, values map[string]any) {
	t.Helper()
	text, err := json.Marshal(values)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "terraform.tfvars.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
}
