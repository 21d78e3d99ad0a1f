package daemon_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"mirrorscope/internal/livelab"
)

// A sensor that was started as root and becomes another user makes all that it
// needs for that user: who asks for conversations as that user is answered, and
// nothing that the user could not write is left behind.
func TestBecomesUser(t *testing.T) {
	const user = 65534 // nobody
	l := livelab.New(t, livelab.Config{})
	mirrored(t, l, "vxlan")
	dir := openFolder(t)
	socket := filepath.Join(dir, "run", "sensor", "top.sock")
	config := filepath.Join(dir, "sensor.toml")
	writeFile(t, config, fmt.Sprintf("[privilege]\nuser = \"nobody\"\n[measure]\ninterval = \"1s\"\n[top]\nsocket = %q\n[output.file]\ndirectory = %q\n[record]\ndirectory = %q\n",
		socket, filepath.Join(dir, "state", "records"), filepath.Join(dir, "state", "headers", "ring")))
	s := start(t, l, "--config", config)
	if _, err := l.Run(livelab.Exchange{Connections: 3}); err != nil {
		t.Fatal(err)
	}
	checkOwner(t, dir, user, "run", "run/sensor", "run/sensor/top.sock", "state", "state/records", "state/records/connections.jsonl", "state/headers", "state/headers/ring")
	if info, err := os.Lstat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v", info, err)
	}

	// The sensor is executed by its descriptor, as the user does not get to it.
	binary, err := os.Open(s.binary)
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	top := exec.Command("/proc/self/fd/3", "top", "--once", "--socket", socket)
	top.ExtraFiles = []*os.File{binary}
	top.Dir = "/"
	top.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	if out, err := top.CombinedOutput(); err != nil || !strings.Contains(string(out), ":8080") {
		t.Errorf("top as the user: %v\n%s", err, out)
	}

	s.end(t)
	for _, done := range []string{"uid 65534", "capabilities (none)", "packet_sockets (1, which can only receive)"} {
		if log := s.Stderr(); !bytes.Contains(log, []byte(done)) {
			t.Errorf("the log has no word of %q:\n%s", done, log)
		}
	}
	if _, err := os.Lstat(socket); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket stays behind: %v", err)
	}
	if segments, err := filepath.Glob(filepath.Join(dir, "state/headers/ring/*.pcapng")); err != nil || len(segments) == 0 {
		t.Errorf("no headers: %v", err)
	} else {
		checkOwner(t, "/", user, segments...)
	}
}

// A socket that the user could not make is no socket of another's: the sensor
// says so, and does not start.
func TestUserWithoutRights(t *testing.T) {
	l := livelab.New(t, livelab.Config{})
	dir := openFolder(t)
	config := filepath.Join(dir, "sensor.toml")
	writeFile(t, config, fmt.Sprintf("[privilege]\nuser = \"65534\"\n[top]\nsocket = %q\n", filepath.Join(dir, "top.sock")))
	p, err := l.Sensor.Start(livelab.Command{
		Path: livelab.Build(t, "mirrorscope/cmd/sensor"), Args: []string{"run", "-i", livelab.CaptureName, "--memory", "64MiB", "--config", config}, Ready: ready,
	})
	if err == nil {
		_, _ = p.Stop(syscall.SIGKILL, 10*time.Second)
		t.Fatal("it has started")
	}
	if !strings.Contains(err.Error(), "top.socket: ") || !strings.Contains(err.Error(), "permission denied") {
		t.Errorf("it says: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*top*")); err != nil || len(left) > 0 {
		t.Errorf("it leaves %q, %v", left, err)
	}
}

// openFolder gives a folder that everybody gets to, and root alone can change.
func openFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for up := dir; up != os.TempDir() && up != "/"; up = filepath.Dir(up) {
		if err := os.Chmod(up, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func checkOwner(t *testing.T, dir string, user uint32, names ...string) {
	t.Helper()
	for _, name := range names {
		info, err := os.Lstat(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		if st := info.Sys().(*syscall.Stat_t); st.Uid != user || st.Gid != user {
			t.Errorf("%s is of user %d, group %d", name, st.Uid, st.Gid)
		}
	}
}
