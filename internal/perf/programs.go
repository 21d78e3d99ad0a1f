package perf

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strconv"

	"mirrorscope/internal/perf/floor"
)

// Program is what is measured.
type Program struct {
	Name    string
	Package string // of Debian, of programs that are not ours
	Slow    bool   // runs once
	Part    int64  // packets that it is given at most at full size, 0: all
	New     bool   // runs with memory that nobody has held of late
	Note    string

	// args gives the command line for a file, from a directory that is empty.
	args func(File) []string
	// check tells from the output whether a run did what it should, nil: no look.
	check func(out string, f File) error
}

// Names of the programs that others are compared with.
const (
	sensorName  = "sensor"
	newName     = "sensor with new memory"
	floorName   = "floor"
	tcpdumpName = "tcpdump"
)

// Programs lists what can be measured, by the paths of our own two.
func Programs(sensor, least string) []Program {
	replay := func(f File) []string { return []string{sensor, "replay", "--no-progress", "--shards", "1", f.Path} }
	isTrue := func(out string, f File) error { return summary(out, f.Truth) }
	return []Program{
		{
			Name: sensorName, Note: "`replay --shards 1`, the table; built as the packages are, optimised by a profile of these workloads",
			args: replay, check: isTrue,
		},
		{
			Name: newName, Slow: true, New: true, Note: "the same, see *memory* below",
			args: replay, check: isTrue,
		},
		{
			Name: tcpdumpName, Package: "tcpdump", Note: "`-r FILE -w /dev/null`: reads and copies",
			args: func(f File) []string {
				return []string{"tcpdump", "-r", f.Path, "-w", "/dev/null", "-Z", "root"}
			},
		},
		{
			Name: floorName, Note: "the least that keeps connections apart: hand parser, a table of 128 octets a connection, made large enough beforehand",
			args:  func(f File) []string { return []string{least, "-flows", strconv.FormatInt(f.Truth.Flows, 10), f.Path} },
			check: checkFloor,
		},
		{
			Name: "softflowd", Package: "softflowd", Slow: true, Note: "`-r FILE`, nothing exported, room for as many flows as there are",
			args: func(f File) []string {
				return []string{"softflowd", "-r", f.Path, "-m", strconv.FormatInt(2*f.Truth.Flows+1000, 10), "-p", "pid", "-c", "control"}
			},
		},
		{
			Name: "nfpcapd", Package: "nfdump", Slow: true, Note: "`-r FILE -w DIRECTORY`",
			args: func(f File) []string { return []string{"nfpcapd", "-r", f.Path, "-w", "."} },
		},
		{
			Name: "argus", Package: "argus-server", Slow: true, Note: "`-X -r FILE -w /dev/null`",
			args: func(f File) []string { return []string{"argus", "-X", "-r", f.Path, "-w", "/dev/null"} },
		},
		{
			Name: "tcptrace", Package: "tcptrace", Slow: true, Part: 500_000, Note: "`-n -q FILE`",
			args: func(f File) []string { return []string{"tcptrace", "-n", "-q", f.Path} },
		},
		{
			Name: "tshark", Package: "tshark", Slow: true, Part: 500_000, Note: "`-n -q -z conv,tcp -r FILE`",
			args: func(f File) []string { return []string{"tshark", "-n", "-q", "-z", "conv,tcp", "-r", f.Path} },
		},
	}
}

// Missing tells why a program cannot be run here, "" if it can.
func (p *Program) Missing() string {
	if p.Package == "" {
		return ""
	}
	if _, err := exec.LookPath(p.Name); err != nil {
		return fmt.Sprintf("%s is not installed: apt-get install %s", p.Name, p.Package)
	}
	return ""
}

func checkFloor(out string, f File) error {
	var c floor.Counts
	if err := json.Unmarshal([]byte(out), &c); err != nil {
		return err
	}
	t := f.Truth
	if want := (floor.Counts{Packets: t.Packets, Flows: t.Flows, ClientSent: floor.Volume(t.ClientSent), ServerSent: floor.Volume(t.ServerSent)}); c != want {
		return errors.New("its counts are not the truth")
	}
	return nil
}
