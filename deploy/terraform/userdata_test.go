package terraform_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"mirrorscope/daemon"
)

// userData checks the script that an example gives its sensors: a shell can
// read it, and the sensor the configuration in it.
func userData(t *testing.T, s *state) {
	t.Helper()
	var script string
	s.output(t, "user_data", &script)
	readable(t, script)
	conf := config(t, script)
	if len(conf.Capture.Interfaces) != 1 || conf.Capture.Interfaces[0] != "eth7" {
		t.Errorf("interfaces: %q", conf.Capture.Interfaces)
	}
	if conf.Output.File.Directory != "/var/lib/mirrorscope" {
		t.Errorf("records go to %q", conf.Output.File.Directory)
	}
}

// readable checks that a shell can read a script, and that nothing of the template
// is left in it.
func readable(t *testing.T, script string) {
	t.Helper()
	cmd := exec.Command("sh", "-n")
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("user data: %v\n%s", err, out)
	}
	rest := strings.NewReplacer("${device##*/}", "", "${url%%\\?*}", "").Replace(script)
	if !strings.HasPrefix(script, "#!/bin/sh\n") || strings.Contains(rest, "%{") || strings.Contains(rest, "${") {
		t.Errorf("user data is not fully rendered:\n%s", script)
	}
}

// config reads the configuration that a script writes, as the sensor would.
func config(t *testing.T, script string) daemon.Config {
	t.Helper()
	_, rest, ok := strings.Cut(script, "<<'END OF CONFIGURATION'\n")
	text, _, end := strings.Cut(rest, "\nEND OF CONFIGURATION\n")
	if !ok || !end {
		t.Fatalf("the script writes no configuration:\n%s", script)
	}
	path := filepath.Join(t.TempDir(), "sensor.toml")
	if err := os.WriteFile(path, bytes.ReplaceAll([]byte(text+"\n"), []byte("@CAPTURE@"), []byte("eth7")), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := daemon.Load(path)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return c
}

// exampleConfig is the configuration in the user data of an example.
func exampleConfig(t *testing.T, s *state) daemon.Config {
	t.Helper()
	var script string
	s.output(t, "user_data", &script)
	return config(t, script)
}

func decimal(n int) string { return strconv.Itoa(n) }
