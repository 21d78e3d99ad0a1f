// Command testreport runs `go test` and reports as it does, but ends with the
// tests that were skipped and why. A skip is silent in go test's own report,
// and a test that nobody runs is no test.
//
//	testreport GO ARGUMENT…
//
// GO is the go command, the arguments are those of go test.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: testreport GO ARGUMENT…")
		os.Exit(2)
	}
	cmd := exec.Command(os.Args[1], append([]string{"test", "-json"}, os.Args[2:]...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
	failed := report(out, os.Stdout)
	if err := cmd.Wait(); err != nil || failed {
		os.Exit(1)
	}
}

// event is one line of `go test -json` (go doc test2json).
type event struct {
	Action, Package, Test, Output string
}

// report copies to w what go test without -v would print, then names the
// skipped tests. It tells whether any test or build failed.
func report(r io.Reader, w io.Writer) (failed bool) {
	var (
		output         = map[[2]string]*strings.Builder{} // by package and test, of those that still run
		skipped        = map[string][]string{}            // names by reason
		passed, skips  int
		failures, pkgs int
	)
	lines := bufio.NewReader(r)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			break
		}
		var e event
		if json.Unmarshal(line, &e) != nil {
			fmt.Fprintf(w, "%s", line) // not an event: the go command itself has something to say
			continue
		}
		key := [2]string{e.Package, e.Test}
		switch e.Action {
		case "build-output":
			io.WriteString(w, e.Output)
			continue
		case "output":
			if output[key] == nil {
				output[key] = new(strings.Builder)
			}
			output[key].WriteString(e.Output)
			continue
		case "pass", "fail", "skip":
		default:
			continue
		}

		text := ""
		if b := output[key]; b != nil {
			text = b.String()
		}
		delete(output, key)
		if e.Test == "" {
			pkgs++
			failed = failed || e.Action == "fail"
			io.WriteString(w, packageLines(text, e.Action))
			continue
		}
		switch e.Action {
		case "pass":
			passed++
		case "fail":
			failures++
			io.WriteString(w, text)
		case "skip":
			skips++
			_, pkg, _ := strings.Cut(e.Package, "/")
			why := reason(text)
			skipped[why] = append(skipped[why], pkg+"."+e.Test)
		}
	}

	if skips > 0 {
		fmt.Fprintf(w, "\nskipped %d of %d tests:\n", skips, passed+failures+skips)
		var reasons []string
		for why := range skipped {
			reasons = append(reasons, why)
		}
		slices.Sort(reasons)
		for _, why := range reasons {
			slices.Sort(skipped[why])
			fmt.Fprintf(w, "  %s: %s\n", why, strings.Join(skipped[why], ", "))
		}
	}
	verdict := "ok"
	if failed {
		verdict = "FAIL"
	}
	fmt.Fprintf(w, "%s\t%d packages, %d tests passed, %d failed, %d skipped\n", verdict, pkgs, passed, failures, skips)
	return failed
}

// packageLines picks from a package's own output what go test prints without
// -v: its verdict, and where it failed everything.
func packageLines(text, action string) string {
	if action == "fail" {
		return text
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "ok ") || strings.HasPrefix(line, "? ") {
			b.WriteString(line)
		}
	}
	return b.String()
}

// reason takes from a skipped test's output what it gave to Skip: the text
// behind "file.go:12: ".
func reason(text string) string {
	why := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		if _, after, ok := strings.Cut(line, ".go:"); ok {
			if _, said, ok := strings.Cut(after, ": "); ok {
				line = said
			}
		}
		why = line
	}
	if why == "" {
		return "no reason given"
	}
	return why
}
