//go:build linux

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"

	"mirrorscope/internal/livelab"
)

// reader is a program that reads cap0.
type reader struct {
	name  string
	ring  string // readers of one kind of ring are compared
	bare  bool   // only counts
	stack bool   // it reads behind the network stack's entrance
	path  string
	args  []string
	ready *regexp.Regexp
	// account reads what the program says in the end: frames taken, and lost by
	// place.
	account func(stdout, stderr []byte) (uint64, map[string]uint64, error)
}

const (
	afpacket = "AF_PACKET"
	afxdp    = "AF_XDP"
)

// readers are all programs that are compared. Files that they need go into dir.
func readers(dir, sensor string) ([]reader, error) {
	bare, err := livelab.BuildCommand("mirrorscope/internal/livelab/cmd/bare")
	if err != nil {
		return nil, err
	}
	if sensor == "" {
		if sensor, err = livelab.BuildCommand("mirrorscope/cmd/sensor"); err != nil {
			return nil, err
		}
	}
	ready := regexp.MustCompile(`ready`)
	ours := func(name, ring, more string) (reader, error) { return sensorReader(dir, sensor, name, ring, more) }
	all := []reader{
		{name: "bare AF_PACKET", ring: afpacket, bare: true, stack: true, path: bare, args: []string{"-mode", "afpacket"}, ready: ready, account: bareAccount},
	}
	if tcpdump, err := exec.LookPath("tcpdump"); err == nil {
		all = append(all, reader{
			name: "tcpdump -w /dev/null", ring: afpacket, stack: true, path: tcpdump,
			args:  []string{"-i", livelab.CaptureName, "-w", "/dev/null", "-B", "65536", "-Z", "root"},
			ready: regexp.MustCompile(`listening`), account: tcpdumpAccount,
		})
	}
	all = append(all,
		reader{name: "bare AF_XDP", ring: afxdp, bare: true, path: bare, args: []string{"-mode", "afxdp"}, ready: ready, account: bareAccount},
		reader{name: "bare AF_XDP, trimmed", ring: afxdp, path: bare, args: []string{"-mode", "afxdp", "-trim", "64"}, ready: ready, account: bareAccount},
	)
	for _, x := range []struct{ name, ring, filter string }{
		{"sensor AF_PACKET", afpacket, stdout},
		{"sensor AF_XDP", afxdp, stdout},
		{"sensor AF_XDP, trimmed", afxdp, stdout + "[filter]\ntrim = 64\ntrim_head = 0\n"},
		{"sensor AF_XDP, all filtered", afxdp, stdout + "[filter]\ndefault = \"deny\"\n"},
	} {
		r, err := ours(x.name, x.ring, x.filter)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

// stdout has records written to where they are counted.
const stdout = "[output]\nstdout = true\n"

// sensorReader is a sensor with something more in its configuration.
func sensorReader(dir, sensor, name, ring, more string) (reader, error) {
	mode := map[string]string{afpacket: "afpacket", afxdp: "afxdp"}[ring]
	config := filepath.Join(dir, name+".toml")
	// Nothing is left out by plan: what is not taken is lost, and seen.
	text := fmt.Sprintf("[capture]\ninterfaces = [%q]\nmode = %q\n[overload]\nsteps = 0\n%s", livelab.CaptureName, mode, more)
	return reader{
		name: name, ring: ring, stack: ring == afpacket, path: sensor, args: []string{"run", "--config", config},
		ready: regexp.MustCompile(`msg=ready`), account: sensorAccount,
	}, os.WriteFile(config, []byte(text), 0o600)
}

func bareAccount(text, _ []byte) (uint64, map[string]uint64, error) {
	var r struct {
		Frames uint64
		Losses map[string]uint64
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return 0, nil, fmt.Errorf("account of bare: %w", err)
	}
	return r.Frames, r.Losses, nil
}

// sensorAccount reads the last line, the capture record. What the filter was
// told to leave out was taken.
func sensorAccount(text, _ []byte) (uint64, map[string]uint64, error) {
	text = bytes.TrimSpace(text)
	var r struct {
		Type        string
		Packets     uint64
		Prefiltered map[string]uint64
		Losses      map[string]uint64
	}
	if err := json.Unmarshal(text[bytes.LastIndexByte(text, '\n')+1:], &r); err != nil || r.Type != "capture" {
		return 0, nil, fmt.Errorf("the last line is no capture record (%w)", err)
	}
	for _, n := range r.Prefiltered {
		r.Packets += n
	}
	return r.Packets, r.Losses, nil
}

var tcpdumpCounts = regexp.MustCompile(`(?s)(\d+) packets? captured.*?(\d+) packets? received by filter.*?(\d+) packets? dropped by kernel`)

// tcpdumpAccount reads the three counts. "Received" are those of the kernel,
// dropped ones included; tcpdump does not read to the end what is in the ring.
func tcpdumpAccount(_, stderr []byte) (uint64, map[string]uint64, error) {
	m := tcpdumpCounts.FindSubmatch(stderr)
	if m == nil {
		return 0, nil, fmt.Errorf("tcpdump tells no counts:\n%s", stderr)
	}
	var n [3]uint64
	for i := range n {
		if _, err := fmt.Sscan(string(m[i+1]), &n[i]); err != nil {
			return 0, nil, err
		}
	}
	return n[0], map[string]uint64{"kernel": n[2], "left_in_ring": n[1] - n[2] - min(n[0], n[1]-n[2])}, nil
}
