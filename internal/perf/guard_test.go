package perf

import (
	"context"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"testing"
	"time"

	"mirrorscope/capture/pcapfile"
	"mirrorscope/flow"
	"mirrorscope/internal/needs"
	"mirrorscope/internal/pcapgen/workload"
	"mirrorscope/internal/perf/floor"
	"mirrorscope/packet"
	"mirrorscope/pipeline"
	"mirrorscope/sink/table"
)

// file generates a workload.
func file(t testing.TB, c workload.Config) File {
	t.Helper()
	path := filepath.Join(t.TempDir(), c.Workload+".pcap")
	if err := generate(c, path); err != nil {
		t.Fatal(err)
	}
	f, err := open(path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// sink is an output of a run.
type sink interface {
	Write([]*flow.Record) error
	Close(*flow.Capture) error
}

// replay runs a file through the pipeline, as `sensor replay --shards 1` does.
func replay(t testing.TB, f File, memory int64, output func(*packet.Names) sink) flow.Capture {
	t.Helper()
	source, err := pcapfile.Open(pcapfile.Config{Paths: []string{f.Path}})
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	cfg := pipeline.Config{Shards: 1, Decode: packet.DefaultConfig(), Flow: flow.DefaultConfig(), Names: new(packet.Names)}
	if memory > 0 {
		cfg.Flow.Memory = memory
	}
	out := output(cfg.Names)
	c, err := pipeline.Run(context.Background(), source, cfg, out.Write)
	if err == nil {
		err = out.Close(&c)
	}
	if err != nil || len(c.Errors) > 0 {
		t.Fatal(err, c.Errors)
	}
	return c
}

// discarded is the table, for nobody.
func discarded(names *packet.Names) sink {
	return table.New(io.Discard, names, table.Config{Limit: 20})
}

func (b *bound) both(t *testing.T) (short, long File) {
	t.Helper()
	longer := b.config
	b.longer(&longer)
	return file(t, b.config), file(t, longer)
}

// TestGuardFloor compares the CPU time of a replay with that of the floor, in the
// same process and in turns. Wall time is not looked at.
func TestGuardFloor(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const rounds, floorRuns = 3, 5
	for _, b := range bounds {
		t.Run(b.config.Workload, func(t *testing.T) {
			_, f := b.both(t)
			ours, least := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
			for range rounds {
				ours = min(ours, cpu(t, func() { replay(t, f, 0, discarded) }))
				least = min(least, cpu(t, func() {
					for range floorRuns {
						leastWork(t, f)
					}
				})/floorRuns)
			}
			ratio := float64(ours) / float64(least)
			t.Logf("%d ns a packet, the floor %d: %.1f times as much", int64(ours)/f.Packets, int64(least)/f.Packets, ratio)
			if ratio > b.floor {
				t.Errorf("%.1f times the CPU time of the floor, at most %.1f", ratio, b.floor)
			}
		})
	}
}

// leastWork has the floor read a file.
func leastWork(t testing.TB, f File) {
	t.Helper()
	in, err := os.Open(f.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if _, err := floor.Read(in, int(f.Truth.Flows)); err != nil {
		t.Fatal(err)
	}
}

// cpu is the CPU time of this process during do.
func cpu(t *testing.T, do func()) time.Duration {
	t.Helper()
	runtime.GC() // what others left behind is not do's
	before := processTime(t)
	do()
	return processTime(t) - before
}

// processTime is the CPU time that this process has taken.
func processTime(t testing.TB) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestGuardAllocations: what a packet allocates once everything has grown. Two
// runs differ in length alone; what begins and ends is the same in both.
func TestGuardAllocations(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	for _, b := range bounds {
		t.Run(b.config.Workload, func(t *testing.T) {
			allocations := func(f File) float64 {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				replay(t, f, 0, nowhere)
				runtime.ReadMemStats(&after)
				return float64(after.Mallocs - before.Mallocs)
			}
			short, long := b.both(t)
			each := (allocations(long) - allocations(short)) / float64(long.Packets-short.Packets)
			t.Logf("%.4f allocations a packet", each)
			if each > b.allocations {
				t.Errorf("%.4f allocations a packet, at most %v", each, b.allocations)
			}
		})
	}
}

// nowhere is no output: what the table keeps of a connection is not counted.
func nowhere(*packet.Names) sink { return dropped{} }

type dropped struct{}

func (dropped) Write([]*flow.Record) error { return nil }
func (dropped) Close(*flow.Capture) error  { return nil }

var collected = regexp.MustCompile(`(?m)Collected : (\d+)`)

// TestGuardInstructions counts the instructions of a packet under valgrind, which
// no other program disturbs: again by two runs that differ in length.
func TestGuardInstructions(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute")
	}
	valgrind := needs.Tool(t, "valgrind")
	sensor := buildSensor(t)
	for _, b := range bounds {
		t.Run(b.config.Workload, func(t *testing.T) {
			instructions := func(f File) float64 {
				cmd := exec.Command(valgrind, "--tool=callgrind", "--callgrind-out-file=/dev/null", sensor, "replay", "--no-progress", "--shards", "1", f.Path)
				// Valgrind loses the signals by which the runtime takes a thread off a
				// goroutine. One thread at a time makes counts repeat.
				cmd.Env = append(os.Environ(), "GODEBUG=asyncpreemptoff=1,cpu.rdtscp=off", "GOMAXPROCS=1")
				out, err := cmd.CombinedOutput()
				m := collected.FindSubmatch(out)
				if err != nil || m == nil {
					t.Fatalf("%v\n%s", err, tailOf(out))
				}
				n, err := strconv.ParseFloat(string(m[1]), 64)
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			short, long := b.smaller().both(t)
			each := (instructions(long) - instructions(short)) / float64(long.Packets-short.Packets)
			t.Logf("%.0f instructions a packet", each)
			if each > b.instructions {
				t.Errorf("%.0f instructions a packet, at most %.0f", each, b.instructions)
			}
		})
	}
}

func buildSensor(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "sensor")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-tags=grpcnotrace", "-o", bin, "mirrorscope/cmd/sensor")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

func tailOf(b []byte) string { return fmt.Sprintf("…%s", b[max(0, len(b)-2000):]) }
