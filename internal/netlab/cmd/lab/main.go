// Command lab runs the scenarios of the lab, lets our sensor, tshark and
// tcptrace measure the captures, and writes how they compare with the truth.
//
//	lab [-o PAGE] [-keep DIR] [-misses] [-ours] [-sensor FILE] [-record] [SCENARIO…]
//
// It needs root and /dev/net/tun; tools that are not installed are left out.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"mirrorscope/internal/netlab"
	"mirrorscope/internal/netlab/accuracy"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
}

func run() error {
	page := flag.String("o", "", "write the page with the table to this file")
	keep := flag.String("keep", "", "keep captures, truth and logs in this folder")
	misses := flag.Bool("misses", false, "list what our sensor gets wrong or withholds")
	ours := flag.Bool("ours", false, "measure with our sensor alone")
	binary := flag.String("sensor", "", "measure with this sensor; built from the source where it is empty")
	record := flag.Bool("record", false, "run the scenarios and measure nothing")
	flag.Parse()

	dir := *keep
	if dir == "" {
		var err error
		if dir, err = os.MkdirTemp("", "lab"); err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
	}
	var tools []accuracy.Tool
	if !*record {
		var err error
		if tools, err = findTools(dir, *binary, *ours); err != nil {
			return err
		}
	}
	table := accuracy.NewTable(tools...)
	for _, s := range netlab.Scenarios {
		if flag.NArg() > 0 && !slices.Contains(flag.Args(), s.Name) {
			continue
		}
		if err := one(table, s, filepath.Join(dir, s.Name)); err != nil {
			return fmt.Errorf("%s: %w", s.Name, err)
		}
		if *keep == "" {
			_ = os.RemoveAll(filepath.Join(dir, s.Name)) // saves space; what is left goes at the end
		}
	}
	if *record {
		return nil
	}
	if *misses {
		table.Misses(os.Stdout, 0)
	}
	var b bytes.Buffer
	if err := writePage(&b, table, versions(tools)); err != nil {
		return err
	}
	if *page == "" {
		_, err := os.Stdout.Write(b.Bytes())
		return err
	}
	return os.WriteFile(*page, b.Bytes(), 0o644)
}

// findTools builds the sensor where no binary is given, and looks for the other tools.
func findTools(dir, bin string, ours bool) ([]accuracy.Tool, error) {
	if bin == "" {
		bin = filepath.Join(dir, "sensor")
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags=grpcnotrace", "-o", bin, "mirrorscope/cmd/sensor")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build the sensor: %w\n%s", err, out)
		}
	}
	tools := []accuracy.Tool{accuracy.Sensor{Path: bin}}
	if ours {
		return tools, nil
	}
	if path, err := exec.LookPath("tshark"); err == nil {
		tools = append(tools, accuracy.Tshark{Path: path})
	}
	if path, err := exec.LookPath("tcptrace"); err == nil {
		tools = append(tools, accuracy.Tcptrace{Path: path})
	}
	return tools, nil
}

// versions names the kernel and the other tools.
func versions(tools []accuracy.Tool) []string {
	var out []string
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		number, _, _ := strings.Cut(string(release), "-")
		out = append(out, "Linux "+strings.TrimSpace(number)+", cubic, a TAP device without offloads in each of two network namespaces")
	}
	out = append(out, "crypto/tls and net/http of "+runtime.Version())
	if version, err := exec.Command("openssl", "version").Output(); err == nil {
		out = append(out, strings.TrimSpace(string(version)))
	}
	for _, tool := range tools {
		if v := tool.Version(); v != "" {
			out = append(out, v)
		}
	}
	return out
}

// attempts is how often a run is tried that does not show what it should: a
// machine under load can add timeouts of its own.
const attempts = 10

// one runs a scenario and adds it to the table.
func one(table *accuracy.Table, s netlab.Scenario, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for i := 1; ; i++ {
		began := time.Now()
		r, err := netlab.Record(dir, s)
		if errors.Is(err, netlab.ErrUnsupported) {
			fmt.Fprintf(os.Stderr, "%s: left out: %v\n", s.Name, err)
			return nil
		}
		if err != nil {
			return err
		}
		if unmet := s.Unmet(&r); len(unmet) > 0 {
			if i < attempts {
				continue
			}
			return fmt.Errorf("the run does not show what it should: %q", unmet)
		}
		ran := time.Since(began)
		err = table.Add(s, &r)
		fmt.Fprintf(os.Stderr, "%-20s %5d packets, %5d captures, ran %4d ms, measured %5d ms\n",
			s.Name, len(r.Sent), len(r.Taps), ran.Milliseconds(), (time.Since(began) - ran).Milliseconds())
		return err
	}
}
