// Package truth compares the sensor, as a user runs it, with what independent
// tools say about the same captures.
//
// The captures and their ground truth lie outside the repository (see
// needs.Captures); nothing in the ground truth was computed by this project.
// Every difference is either a failure or listed, one by one, in
// accepted_test.go with the reason.
package truth

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"mirrorscope/internal/needs"
)

var scratch string // holds the binary; removed at the end

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "truth")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	scratch = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// build makes the binary once, as it is delivered.
var build = sync.OnceValues(func() (string, error) {
	bin := filepath.Join(scratch, "sensor")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags=grpcnotrace", "-o", bin, "mirrorscope/cmd/sensor")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return bin, nil
})

// output is everything that one run of the sensor gave.
type output struct {
	raw         []byte // standard output
	stderr      string
	exit        int
	connections []connection
	intervals   [][]byte // one line each
	capture     captureRecord
}

// replay runs `sensor replay --format json` with further arguments. It fails
// the test on a crash, on an exit status that is not documented, and on output
// that breaks the record contract: one JSON object a line, the capture last.
func replay(t testing.TB, args ...string) output {
	t.Helper()
	bin, err := build()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, append([]string{"replay", "--format", "json"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	out := output{raw: stdout.Bytes(), stderr: stderr.String()}
	var status *exec.ExitError
	switch {
	case errors.As(err, &status):
		out.exit = status.ExitCode()
	case err != nil:
		t.Fatal(err)
	}
	if out.exit != 0 && out.exit != 1 || strings.Contains(out.stderr, "goroutine ") {
		t.Fatalf("sensor %s: exit status %d\n%s", strings.Join(args, " "), out.exit, out.stderr)
	}
	lines := bytes.Split(bytes.TrimSuffix(out.raw, []byte("\n")), []byte("\n"))
	for i, line := range lines {
		var kind struct{ Type string }
		if err := json.Unmarshal(line, &kind); err != nil {
			t.Fatalf("sensor %s: line %d: %v\n%s", strings.Join(args, " "), i+1, err, line)
		}
		switch kind.Type {
		case "connection":
			var c connection
			if err := json.Unmarshal(line, &c); err != nil {
				t.Fatalf("sensor %s: line %d: %v\n%s", strings.Join(args, " "), i+1, err, line)
			}
			c.line = line
			out.connections = append(out.connections, c)
		case "interval":
			out.intervals = append(out.intervals, line)
		case "capture":
			if i != len(lines)-1 {
				t.Fatalf("sensor %s: the capture record is line %d of %d, want the last", strings.Join(args, " "), i+1, len(lines))
			}
			if err := json.Unmarshal(line, &out.capture); err != nil {
				t.Fatalf("sensor %s: %v", strings.Join(args, " "), err)
			}
		}
	}
	if out.capture.Type == "" {
		t.Fatalf("sensor %s: no capture record\n%s", strings.Join(args, " "), out.stderr)
	}
	return out
}

// connection is what these tests read of a connection record.
type connection struct {
	ID               string
	Start, End       time.Time
	ObservationPoint struct {
		Name, Tunnel string
		TunnelID     *int `json:"tunnel_id"`
	} `json:"observation_point"`
	Tunnels        []string
	VLAN           []int
	Protocol       any // a name, or a number without one
	Client, Server endpoint
	Direction      struct{ Source, State string }
	Outcome        string
	ClientSent     volume `json:"client_sent"`
	ServerSent     volume `json:"server_sent"`
	Handshake      *struct {
		State         string
		Reasons       []string
		RTTus         *float64 `json:"rtt_us"`
		ClientUs      *float64 `json:"client_us"`
		ServerUs      *float64 `json:"server_us"`
		SetupUs       *float64 `json:"setup_us"`
		SYNPackets    int      `json:"syn_packets"`
		SYNACKPackets int      `json:"synack_packets"`
	}
	Capture struct {
		MirrorDuplicates int64 `json:"mirror_duplicates"`
	}

	line []byte
}

type endpoint struct {
	IP   netip.Addr
	Port int
}

func (e endpoint) String() string { return fmt.Sprintf("%s %d", e.IP, e.Port) }

type volume struct {
	Packets      int64
	Bytes        int64
	PayloadBytes int64 `json:"payload_bytes"`
}

func (v *volume) add(w volume) {
	v.Packets += w.Packets
	v.Bytes += w.Bytes
	v.PayloadBytes += w.PayloadBytes
}

// captureRecord is what these tests read of the capture record.
type captureRecord struct {
	Type             string
	Packets          int64
	Decoded          int64 `json:"decoded_packets"`
	Skipped          map[string]int64
	MirrorDuplicates int64 `json:"mirror_duplicates"`
	Connections      int64
	Errors           []string
}

// files lists the captures of a folder, as paths relative to it, in order.
func files(t testing.TB, dir string) []string {
	t.Helper()
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.Contains(d.Name(), ".pcap") {
			name, _ := filepath.Rel(dir, path)
			names = append(names, filepath.ToSlash(name))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

// each runs f as a subtest for every capture with ground truth.
func each(t *testing.T, f func(t *testing.T, name, path string)) {
	all(t, filepath.Join(needs.Captures(t), "dev"), f)
}

// everywhere runs f as a subtest for every capture of the repository and every
// capture with ground truth, where those are there: a law needs no truth.
func everywhere(t *testing.T, f func(t *testing.T, name, path string)) {
	t.Run("testdata", func(t *testing.T) {
		all(t, filepath.Join(needs.Repository(t), "testdata", "pcaps"), f)
	})
	t.Run("captures", func(t *testing.T) {
		each(t, f)
	})
}

// all runs f for every capture in dir, a few at a time: each runs a process of
// its own. It returns when all have ended.
func all(t *testing.T, dir string, f func(t *testing.T, name, path string)) {
	if _, err := build(); err != nil {
		t.Fatal(err)
	}
	limit := make(chan struct{}, runtime.GOMAXPROCS(0))
	t.Run("all", func(t *testing.T) {
		for _, name := range files(t, dir) {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				limit <- struct{}{}
				defer func() { <-limit }()
				f(t, name, filepath.Join(dir, name))
			})
		}
	})
}
