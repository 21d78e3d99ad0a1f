package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"mirrorscope/internal/needs"
)

// exposure is the most that `systemd-analyze security` may find, from 0 to 10
// (systemd.exec(5) tells what of). A change that makes it smaller makes this
// smaller as well.
var exposure = map[string]float64{
	"mirrorscope.service":        2.0,
	"mirrorscope-guard@.service": 1.7,
}

var overall = regexp.MustCompile(`Overall exposure level for \S+ ([0-9.]+) `)

// TestExposure: what a unit takes away from the sensor is not given back
// unnoticed.
func TestExposure(t *testing.T) {
	analyze := needs.Tool(t, "systemd-analyze")
	units, err := filepath.Glob(filepath.Join(needs.Repository(t), "deploy", "systemd", "*"))
	if err != nil || len(units) != len(exposure) {
		t.Fatalf("units %q, %v; %d are expected", units, err, len(exposure))
	}
	for _, unit := range units {
		figure, out, err := exposureOf(analyze, unit)
		if err != nil {
			t.Fatal(err)
		}
		if most := exposure[filepath.Base(unit)]; figure > most {
			t.Errorf("%s: %.1f, may be %.1f\n%s", unit, figure, most, out)
		}
	}

	// A unit that takes nothing away is found out.
	bare := filepath.Join(t.TempDir(), "bare.service")
	if err := os.WriteFile(bare, []byte("[Service]\nExecStart=/bin/true\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if figure, out, err := exposureOf(analyze, bare); err != nil || figure < 9 {
		t.Errorf("a bare unit has %.1f, %v\n%s", figure, err, out)
	}
}

func exposureOf(analyze, unit string) (figure float64, out []byte, err error) {
	if out, err = exec.Command(analyze, "security", "--offline=true", "--no-pager", unit).CombinedOutput(); err != nil {
		return 0, out, fmt.Errorf("%s: %w\n%s", unit, err, out)
	}
	m := overall.FindSubmatch(out)
	if m == nil {
		return 0, out, fmt.Errorf("%s: no figure in\n%s", unit, out)
	}
	figure, err = strconv.ParseFloat(string(m[1]), 64)
	return figure, out, err
}
