package main

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"mirrorscope/daemon"
	"mirrorscope/internal/needs"
)

// output runs a program that must not fail.
func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(needs.Tool(t, name), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, stderr.Bytes())
	}
	return string(out)
}

// TestContent: both packages hold the same files, all of them root's, and the
// configuration is marked as the operator's.
func TestContent(t *testing.T) {
	b := build(t)

	var deb []string
	for line := range strings.Lines(output(t, "dpkg-deb", "--contents", b.deb)) {
		f := strings.Fields(line) // mode owner/group size date time name
		if f[1] != "root/root" || strings.HasSuffix(f[5], "/") && f[0] != "drwxr-xr-x" {
			t.Errorf("deb: %s", line)
		}
		if !strings.HasSuffix(f[5], "/") {
			deb = append(deb, f[0]+" "+strings.TrimPrefix(f[5], "."))
		}
	}
	var rpm []string
	for line := range strings.Lines(output(t, "rpm", "-qp", "--queryformat", "[%{FILEMODES:perms} %{FILEUSERNAME}/%{FILEGROUPNAME} %{FILENAMES}\n]", b.rpm)) {
		f := strings.Fields(line)
		if f[1] != "root/root" {
			t.Errorf("rpm: %s", line)
		}
		if !strings.HasPrefix(f[0], "d") {
			rpm = append(rpm, f[0]+" "+f[2])
		}
	}
	want := files(t)
	compare(t, "deb", deb, append(want, "-rw-r--r-- /usr/share/doc/mirrorscope/copyright", "-rw-r--r-- /usr/share/zsh/vendor-completions/_sensor"))
	compare(t, "rpm", rpm, append(want, "-rw-r--r-- /usr/share/licenses/mirrorscope/LICENSE", "-rw-r--r-- /usr/share/zsh/site-functions/_sensor"))

	for name, got := range map[string]string{
		"deb": output(t, "dpkg-deb", "--info", b.deb, "conffiles"),
		"rpm": output(t, "rpm", "-qp", "--queryformat", "[%{FILENAMES} %{FILEFLAGS:fflags}\n]", b.rpm),
	} {
		if !regexp.MustCompile(`(?m)^/etc/mirrorscope/sensor\.toml( cn)?$`).MatchString(got) {
			t.Errorf("%s: the configuration is not kept at an upgrade: %s", name, got)
		}
	}
	arch := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[runtime.GOARCH]
	if got := output(t, "dpkg-deb", "--field", b.deb, "Package", "Version", "Architecture", "Depends"); got != "Package: mirrorscope\nVersion: "+testVersion+"\nArchitecture: "+runtime.GOARCH+"\nDepends: passwd\n" {
		t.Errorf("deb: %s", got)
	}
	if got := output(t, "rpm", "-qp", "--queryformat", "%{NAME} %{VERSION} %{ARCH} %{LICENSE}", b.rpm); got != "mirrorscope "+testVersion+" "+arch+" Apache-2.0" {
		t.Errorf("rpm: %s", got)
	}
}

// files are those that both packages have, with their modes.
func files(t *testing.T) []string {
	t.Helper()
	list := []string{
		"-rwxr-xr-x /usr/bin/sensor",
		"-rw-r--r-- /etc/mirrorscope/sensor.toml",
		"-rw-r--r-- /usr/lib/systemd/system/mirrorscope.service",
		"-rw-r--r-- /usr/lib/systemd/system/mirrorscope-guard@.service",
		"-rw-r--r-- /usr/share/bash-completion/completions/sensor",
		"-rw-r--r-- /usr/share/fish/vendor_completions.d/sensor.fish",
		"-rw-r--r-- /usr/share/doc/mirrorscope/changelog.gz",
		"-rw-r--r-- /usr/share/man/man5/sensor.toml.5.gz",
	}
	commands, err := filepath.Glob(filepath.Join(needs.Repository(t), "docs", "reference", "cli", "*.md"))
	if err != nil || len(commands) < 5 {
		t.Fatalf("pages of commands: %q, %v", commands, err)
	}
	for _, path := range commands {
		name := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(path), ".md"), "_", "-")
		list = append(list, "-rw-r--r-- /usr/share/man/man1/"+name+".1.gz")
	}
	return list[:len(list):len(list)]
}

// compare tells what one list has and the other has not.
func compare(t *testing.T, name string, got, want []string) {
	t.Helper()
	for _, f := range got {
		if !slices.Contains(want, f) {
			t.Errorf("%s: unexpected %s", name, f)
		}
	}
	for _, f := range want {
		if !slices.Contains(got, f) {
			t.Errorf("%s: without %s", name, f)
		}
	}
}

// TestContentWorks looks into the files.
func TestContentWorks(t *testing.T) {
	b := build(t)
	dir := t.TempDir()
	output(t, "dpkg-deb", "--extract", b.deb, dir)

	sensor := filepath.Join(dir, "usr/bin/sensor")
	checkStatic(t, sensor, runtime.GOARCH)
	if out := output(t, sensor, "version"); !strings.HasPrefix(out, "sensor "+testVersion+" ") {
		t.Errorf("it says %q", out)
	}
	binary, err := os.ReadFile(sensor)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(binary, []byte(needs.Repository(t)+"/")) {
		t.Error("the binary tells where it was built")
	}

	// The configuration is complete but for the interfaces, and is what the unit
	// expects.
	conf, err := daemon.Load(filepath.Join(dir, "etc/mirrorscope/sensor.toml"))
	if err != nil {
		t.Fatal(err)
	}
	if len(conf.Capture.Interfaces) != 0 || conf.Output.File.Directory != recordsDirectory {
		t.Errorf("interfaces %q, records in %q", conf.Capture.Interfaces, conf.Output.File.Directory)
	}
	unit, err := os.ReadFile(filepath.Join(dir, "usr/lib/systemd/system/mirrorscope.service"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"StateDirectory=" + filepath.Base(recordsDirectory), "RuntimeDirectory=" + filepath.Base(filepath.Dir(conf.Top.Socket))} {
		if !strings.Contains(string(unit), "\n"+want+"\n") {
			t.Errorf("the unit does not have %s", want)
		}
	}

	// Units name manual pages that are there.
	for _, m := range regexp.MustCompile(`man:([^( \n]+)\((\d)\)`).FindAllSubmatch(unit, -1) {
		if _, err := os.Stat(filepath.Join(dir, "usr/share/man", "man"+string(m[2]), string(m[1])+"."+string(m[2])+".gz")); err != nil {
			t.Error(err)
		}
	}

	// Each shell reads its completion, and bash completes with it.
	output(t, "bash", "-c", `PATH=$2:$PATH; . "$1"; COMP_WORDS=(sensor run --inter) COMP_CWORD=2 COMP_LINE="sensor run --inter" COMP_POINT=18
		words() { cur=--inter; words=(sensor run --inter); cword=2; }; _init_completion() { words; }
		__start_sensor; [[ " ${COMPREPLY[*]} " = *--interface* ]]`, "test",
		filepath.Join(dir, "usr/share/bash-completion/completions/sensor"), filepath.Dir(sensor))
	for _, f := range []string{"zsh/vendor-completions/_sensor", "fish/vendor_completions.d/sensor.fish"} {
		text, err := os.ReadFile(filepath.Join(dir, "usr/share", f))
		if err != nil || !bytes.Contains(text, []byte("__complete")) {
			t.Errorf("%s: %v\n%s", f, err, text)
		}
	}
	for _, f := range []string{"man/man1/sensor.1.gz", "man/man5/sensor.toml.5.gz", "doc/mirrorscope/changelog.gz"} {
		if text := unzip(t, filepath.Join(dir, "usr/share", f)); len(text) < 100 {
			t.Errorf("%s: %q", f, text)
		}
	}
}

func unzip(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return text
}
