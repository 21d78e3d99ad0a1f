package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mirrorscope/capture"
	"mirrorscope/capture/pcapfile"
	"mirrorscope/privilege"
	"mirrorscope/record"
)

// recordFrom runs `sensor record` on what open gives, and tells what it said, and
// its error.
func recordFrom(t *testing.T, open liveSource, args ...string) (said string, err error) {
	t.Helper()
	var errOut bytes.Buffer
	s := &streams{in: strings.NewReader(""), out: &bytes.Buffer{}, err: &errOut}
	cmd := newRecordOf(s, open, func(dir string) (privilege.Report, error) {
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("privileges are given up before the folder is there: %v", err)
		}
		return privilege.Report{}, nil
	})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	err = cmd.Execute()
	return errOut.String(), err
}

// What comes in is in the folder, and can be replayed from there.
func TestRecord(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ring")
	pcap := filepath.Join("..", "..", "testdata", "pcaps", "shop.pcap")
	asked := ""
	open := func(iface string) (capture.Source, error) {
		asked = iface
		return pcapfile.Open(pcapfile.Config{Points: map[string]string{pcap: iface}})
	}
	said, err := recordFrom(t, open, "-i", "eth7", "--dir", dir, "--filter", "tcp", "--last", "1h", "--max-size", "10MiB")
	if err != nil || asked != "eth7" || !strings.Contains(said, "recording on eth7 to "+dir) {
		t.Fatalf("%v, asked for %q: %s", err, asked, said)
	}
	volumes := func(arg string) string {
		t.Helper()
		var out, errOut bytes.Buffer
		if status := run([]string{"replay", "--view", "conversations", "--format", "json", "--filter", "tcp", "--point", arg}, strings.NewReader(""), &out, &errOut); status != 0 {
			t.Fatalf("replay: %d %s", status, &errOut)
		}
		var lines []string
		for line := range strings.Lines(out.String()) {
			var r struct {
				Type           string
				Client, Server struct {
					IP   string
					Port int
				}
				Connections int
				Outcomes    map[string]int
				ClientSent  map[string]int `json:"client_sent"`
				ServerSent  map[string]int `json:"server_sent"`
				Retransmits any
				RTT         any
				Handshake   any
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			if r.Type == "conversation" {
				lines = append(lines, fmt.Sprintf("%+v", r))
			}
		}
		return strings.Join(lines, "\n")
	}
	got, want := volumes("eth7="+dir), volumes("eth7="+pcap)
	if got != want || strings.Count(want, "\n") < 10 {
		t.Errorf("the ring gives\n%s\nthe capture\n%s", got, want)
	}
	n := 0
	if _, err := fmt.Sscanf(said[strings.Index(said, "\n")+1:], "sensor: %d packets recorded", &n); err != nil || n < 1000 {
		t.Errorf("%v: %s", err, said)
	}
}

// lossy is a live source: it has losses, is told to stop, and may vanish.
type lossy struct {
	capture.Source
	stopped chan struct{}
	end     error
}

func (s *lossy) Losses() []capture.Loss {
	return []capture.Loss{{Place: "ring", Frames: 7}, {Place: "device"}}
}
func (s *lossy) Stop()                     { close(s.stopped) }
func (s *lossy) Next(*capture.Frame) error { <-s.stopped; return s.end }
func (s *lossy) Interfaces() []string      { return nil }
func (s *lossy) Close() error              { return nil }

func TestRecordEnds(t *testing.T) {
	c := record.DefaultConfig()
	for _, tc := range []struct {
		end, want error
		says      string
	}{
		{errors.New("a fault"), errors.New("capture: a fault"), "7 packets lost before they were read: ring"},
		{fmt.Errorf("eth1: %w", capture.ErrRestart), errRestart, "must be opened anew"},
	} {
		c.Directory = filepath.Join(t.TempDir(), "ring")
		var errOut bytes.Buffer
		s := &streams{out: &bytes.Buffer{}, err: &errOut}
		ctx, cancel := context.WithCancel(context.Background())
		src := &lossy{stopped: make(chan struct{}), end: tc.end}
		cancel() // an interrupt stops the source, which then gives what it has
		_, decode, _ := (&recordFlags{iface: "eth1", dir: c.Directory}).config()
		err := runRecord(ctx, s, "eth1", c, decode, func(string) (capture.Source, error) { return src, nil },
			func(string) (privilege.Report, error) { return privilege.Report{}, nil })
		if err == nil || err.Error() != tc.want.Error() || !strings.Contains(errOut.String(), tc.says) || strings.Contains(errOut.String(), "device") {
			t.Errorf("%v, want %v: %s", err, tc.want, &errOut)
		}
	}
}

// What could not be given up is told, also where it is a reason to end.
func TestRecordTellsPrivileges(t *testing.T) {
	report := privilege.Report{Steps: []privilege.Step{
		{Name: privilege.NoNewPrivileges, Done: true}, {Name: privilege.BoundingSet, Detail: "it stays"}, {Name: privilege.Landlock, Detail: "this kernel has none"},
	}}
	for _, fails := range []error{nil, errors.New("a thread was left out")} {
		c := record.DefaultConfig()
		c.Directory = filepath.Join(t.TempDir(), "ring")
		var errOut bytes.Buffer
		s := &streams{out: &bytes.Buffer{}, err: &errOut}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		src := &lossy{stopped: make(chan struct{}), end: io.EOF}
		_, decode, _ := (&recordFlags{iface: "eth1", dir: c.Directory}).config()
		err := runRecord(ctx, s, "eth1", c, decode, func(string) (capture.Source, error) { return src, nil }, func(string) (privilege.Report, error) { return report, fails })
		if !errors.Is(err, fails) {
			t.Errorf("%v, want %v", err, fails)
		}
		if said := errOut.String(); strings.Count(said, "privileges: not ") != 1 || !strings.Contains(said, "sensor: privileges: not landlock: this kernel has none\n") {
			t.Errorf("it says %q", said)
		}
	}
}

func TestRecordFails(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	none := func(string) (capture.Source, error) { return nil, errors.New("no such device") }
	if _, err := recordFrom(t, none, "-i", "eth9", "--dir", dir); err == nil || err.Error() != "capture on eth9: no such device" {
		t.Errorf("no interface: %v", err)
	}
	empty := func(string) (capture.Source, error) { return &lossy{}, nil }
	if _, err := recordFrom(t, empty, "-i", "eth9", "--dir", filepath.Join(file, "ring")); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("no folder: %v", err)
	}
	for _, args := range [][]string{
		{"--dir", dir}, {"-i", "eth1"}, {"-i", "eth1", "--dir", dir, "--filter", "tcp prot"}, {"-i", "eth1", "--dir", dir, "--last", "1s"},
		{"-i", "eth1", "--dir", dir, "--max-size", "10KiB"}, {"-i", "eth1", "--dir", dir, "--vxlan-port", "0"}, {"-i", "eth1", "--dir", dir, "file.pcap"},
	} {
		_, err := recordFrom(t, empty, args...)
		if usage := (usageError{}); !errors.As(err, &usage) {
			t.Errorf("%v: %v is no fault of usage", args, err)
		}
	}
}
