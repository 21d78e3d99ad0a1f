// Package terraform_test tries the modules of this folder with Terraform itself
// and a stand-in for the providers (testprovider), without network or account.
// Everything runs on copies: lock files and .terraform stay out of the sources.
package terraform_test

import (
	"bufio"
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
// ones, for `terraform init`, which knows no other place to look; and the same
// running, for all other commands, as it saves each of them the start of it.
var stage struct {
	once   sync.Once
	dir    string
	attach string // for TF_REATTACH_PROVIDERS
	stop   func() error
	err    error
}

// slots bounds how many terraforms run at a time: each is a process of its own,
// with one more for each provider.
var slots = make(chan struct{}, max(1, runtime.NumCPU()))

func TestMain(m *testing.M) {
	code := m.Run()
	if stage.stop != nil {
		if err := stage.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "the test provider:", err)
			code = max(code, 1)
		}
	}
	if stage.dir != "" {
		_ = os.RemoveAll(stage.dir)
	}
	os.Exit(code)
}

// environment gives the variables by which Terraform finds the test provider,
// which is built first.
func environment(t *testing.T, command string) []string {
	t.Helper()
	stage.once.Do(func() { stage.err = build() })
	if stage.err != nil {
		t.Fatal(stage.err)
	}
	env := []string{"TF_CLI_CONFIG_FILE=" + filepath.Join(stage.dir, "terraform.rc"), "TF_IN_AUTOMATION=1", "TF_INPUT=0", "CHECKPOINT_DISABLE=1", "TF_LOG=", "TF_CLI_ARGS=", "TF_DATA_DIR=", "TF_WORKSPACE="}
	if command != "init" {
		env = append(env, "TF_REATTACH_PROVIDERS="+stage.attach)
	}
	return env
}

func build() (err error) {
	if stage.dir, err = os.MkdirTemp("", "mirrorscope-terraform-"); err != nil {
		return err
	}
	bin := filepath.Join(stage.dir, "testprovider")
	cmd := exec.Command("go", "build", "-C", "testprovider", "-buildvcs=false", "-o", bin, ".")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build the test provider: %w\n%s", err, out)
	}
	mirror := filepath.Join(stage.dir, "mirror")
	for source, version := range providers {
		at := filepath.Join(mirror, "registry.terraform.io", source, version, runtime.GOOS+"_"+runtime.GOARCH)
		if err := os.MkdirAll(at, 0o755); err != nil {
			return err
		}
		if err := os.Symlink(bin, filepath.Join(at, "terraform-provider-"+filepath.Base(source)+"_v"+version)); err != nil {
			return err
		}
	}
	rc := fmt.Sprintf("disable_checkpoint = true\nprovider_installation {\n  filesystem_mirror {\n    path = %q\n  }\n}\n", mirror)
	if err := os.WriteFile(filepath.Join(stage.dir, "terraform.rc"), []byte(rc), 0o644); err != nil {
		return err
	}
	return start(bin)
}

// start has the test provider run until it is stopped, or this process ends.
func start(bin string) error {
	cmd := exec.Command(bin, "attach")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	stage.attach, err = bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		_ = stdin.Close()
		return fmt.Errorf("start the test provider: %w, %w\n%s", err, cmd.Wait(), stderr.Bytes())
	}
	stage.stop = func() error {
		_ = stdin.Close() // ends it
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("%w\n%s", err, stderr.Bytes())
		}
		return nil
	}
	return nil
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
	env := environment(t, args[0])
	slots <- struct{}{}
	defer func() { <-slots }()
	cmd := exec.Command(terraform, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env...)
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
