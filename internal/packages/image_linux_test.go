package main

import (
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"mirrorscope/internal/livelab"
	"mirrorscope/internal/needs"
)

// containerfile is what deploy/container/Containerfile says: its instructions,
// and the capabilities of the command line that it recommends.
type containerfile struct {
	entrypoint, cmd []string
	capabilities    []string
	copies          []string
}

func readContainerfile(t *testing.T, path string) (c containerfile) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "ENTRYPOINT", "CMD":
			into := &c.entrypoint
			if word == "CMD" {
				into = &c.cmd
			}
			if err := json.Unmarshal([]byte(rest), into); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		case "COPY":
			c.copies = append(c.copies, rest)
		case "FROM":
			if rest != "scratch" {
				t.Errorf("the image is built on %s", rest)
			}
		case "", "#", "STOPSIGNAL":
		default:
			t.Errorf("the test does not know %s, and leaves it out", word)
		}
	}
	m := regexp.MustCompile(`--cap-add (\S+)`).FindSubmatch(text)
	if m == nil {
		t.Fatal("the capabilities are not told")
	}
	for name := range strings.SplitSeq(string(m[1]), ",") {
		c.capabilities = append(c.capabilities, "CAP_"+name)
	}
	return c
}

// TestImage runs the image as an engine does, by the runtime below podman and
// with no more than the capabilities that its Containerfile names, beside the
// capture interface of a network of its own.
func TestImage(t *testing.T) {
	t.Parallel()
	needs.Root(t)
	crun := needs.Tool(t, "crun")
	context := filepath.Join(t.TempDir(), "image")
	cmd := exec.Command(filepath.Join(needs.Repository(t), "scripts", "image"), "go", testVersion, context)
	cmd.Env = append(os.Environ(), "PGO=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("scripts/image: %v\n%s", err, out)
	}
	c := readContainerfile(t, filepath.Join(context, "Containerfile"))
	if !slices.Equal(c.copies, []string{"root/ /"}) {
		t.Errorf("the image is not the folder root alone: %q", c.copies)
	}
	checkStatic(t, filepath.Join(context, "root", c.entrypoint[0]), runtime.GOARCH)

	l := livelab.New(t, livelab.Config{})
	const user = 65532 // mirrorscope, in the image
	records := filepath.Join(t.TempDir(), "records")
	if err := errors.Join(os.Mkdir(records, 0o750), os.Chown(records, user, user)); err != nil {
		t.Fatal(err)
	}
	bundle(t, context, c, records, "--interface", livelab.CaptureName, "--memory", "64MiB")
	name := fmt.Sprintf("mirrorscope-test-%d", os.Getpid())
	p, err := l.Sensor.Start(livelab.Command{
		// crun wants control groups of version 2 alone, and uses none.
		Path: needs.Tool(t, "unshare"), Args: []string{"--mount", "sh", "-euc", `mount -t cgroup2 cgroup2 /sys/fs/cgroup; exec "$@"`, "crun",
			crun, "--root", filepath.Join(context, "state"), "--cgroup-manager", "disabled", "run", "--bundle", context, name},
		Ready: regexp.MustCompile("msg=ready"),
	})
	if err != nil {
		t.Fatal(err)
	}
	frames, err := livelab.Frames(filepath.Join(needs.Repository(t), "testdata/pcaps/shop.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	sent, err := l.Replay(frames, livelab.Pace{})
	if err != nil {
		t.Fatal(err)
	}
	exit, err := p.Stop(syscall.SIGTERM, 20*time.Second)
	if err != nil || exit.Code != 0 {
		t.Fatalf("%+v, %v\n%s", exit, err, p.Stderr())
	}
	path := filepath.Join(records, "connections.jsonl")
	out, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Sys().(*syscall.Stat_t).Uid != user {
		t.Errorf("%s is not of user %d: %+v, %v", path, user, info, err)
	}
	if n := strings.Count(string(out), `{"type":"connection"`); n < 100 {
		t.Errorf("%d connections of %+v sent\n%s", n, sent, p.Stderr())
	}
	if log := string(p.Stderr()); !strings.Contains(log, "capabilities (none)") || !strings.Contains(log, "uid 65532") || !strings.Contains(log, "packet_sockets (1, which can only receive)") {
		t.Errorf("it has not given up what it could:\n%s", log)
	}
}

// bundle writes config.json of the OCI runtime specification for `run
// --network host --read-only --cap-drop all --cap-add …`, with what engines add:
// /proc and /sys, of which what matters is read-only.
func bundle(t *testing.T, dir string, c containerfile, records string, args ...string) {
	t.Helper()
	type object = map[string]any
	mount := func(at, kind, from string, options ...string) object {
		return object{"destination": at, "type": kind, "source": from, "options": options}
	}
	config := object{
		"ociVersion": "1.0.2",
		"root":       object{"path": "root", "readonly": true},
		"process": object{
			"cwd": "/", "args": slices.Concat(c.entrypoint, c.cmd, args), "user": object{"uid": 0, "gid": 0},
			"env":             []string{"PATH=/usr/bin"},
			"noNewPrivileges": true,
			"capabilities":    object{"bounding": c.capabilities, "effective": c.capabilities, "permitted": c.capabilities},
		},
		"mounts": []object{
			mount("/proc", "proc", "proc", "nosuid", "noexec", "nodev"),
			mount("/dev", "tmpfs", "tmpfs", "nosuid", "mode=755", "size=65536k"),
			mount("/sys", "bind", "/sys", "rbind", "nosuid", "noexec", "nodev", "ro"),
			mount("/tmp", "tmpfs", "tmpfs", "nosuid", "nodev", "mode=1777"),
			mount("/run/mirrorscope", "tmpfs", "tmpfs", "nosuid", "nodev"),
			mount(recordsDirectory, "bind", records, "rbind", "rw"),
		},
		"linux": object{
			"namespaces":    []object{{"type": "pid"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}},
			"maskedPaths":   []string{"/proc/kcore", "/proc/keys", "/proc/timer_list"},
			"readonlyPaths": []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// checkStatic: the binary is for that architecture, and needs nothing beside it.
func checkStatic(t *testing.T, path, arch string) {
	t.Helper()
	f, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]; f.Machine != want {
		t.Errorf("%s is for %v, want %v", path, f.Machine, want)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Errorf("%s asks for a dynamic loader", path)
		}
	}
}
