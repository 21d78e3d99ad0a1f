//go:build linux

// Command perf measures what `sensor replay` costs, beside other programs, and
// writes docs/reference/performance.md; see package perf.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"mirrorscope/internal/perf"
)

func main() {
	if len(os.Args) > 2 && os.Args[1] == perf.ChildArgument {
		exit(perf.Child(os.Args[2:]))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	exit(run(ctx))
}

func exit(err error) {
	var usage usageError
	switch {
	case err == nil:
		os.Exit(0)
	case errors.As(err, &usage):
		fmt.Fprintf(os.Stderr, "perf: %v\nTry perf -h.\n", err)
		os.Exit(2)
	}
	fmt.Fprintln(os.Stderr, "perf:", err)
	os.Exit(1)
}

// usageError is a command line that makes no sense: exit status 2.
type usageError struct{ error }

// cacheVariable names the directory of the workloads.
const (
	cacheVariable = "MIRRORSCOPE_BENCH"
	defaultCache  = "/var/tmp/mirrorscope-bench"
)

func run(ctx context.Context) error {
	cache := os.Getenv(cacheVariable)
	if cache == "" {
		cache = defaultCache
	}
	var c perf.Config
	flag.Float64Var(&c.Scale, "scale", 1, "`SHARE` of the workloads' size, e.g. 0.1")
	flag.IntVar(&c.Runs, "runs", 5, "runs of each program; of the slow ones there is one")
	flag.IntVar(&c.Pairs, "pairs", 5, "runs with one shard, with two, and of two with one each, 0 for none")
	flag.DurationVar(&c.Time, "time", 20*time.Minute, "after this no further round begins; each program has run once then")
	flag.DurationVar(&c.Limit, "limit", 2*time.Minute, "other programs are ended after this")
	flag.StringVar(&c.Cache.Dir, "dir", cache, "`DIRECTORY` of the workloads, kept; default $"+cacheVariable+" or "+defaultCache)
	flag.Uint64Var(&c.Cache.Seed, "seed", 1, "of the workloads")
	only := flag.String("only", "", "only workloads that match `REGEXP`, e.g. 'W[13]'")
	tools := flag.String("tools", "", "only these programs, e.g. sensor,floor,tcpdump (default all)")
	output := flag.String("o", "-", "`FILE` for the page")
	sensor := flag.String("sensor", "", "binary to measure (default: built from the sources)")
	quiet := flag.Bool("quiet", false, "say nothing while it runs")
	flag.Parse()
	switch {
	case flag.NArg() > 0:
		return usageError{fmt.Errorf("unexpected argument %q", flag.Arg(0))}
	case !(c.Scale > 0) || c.Scale > 10 || c.Runs < 1 || c.Pairs < 0:
		return usageError{errors.New("-scale must be above 0 and at most 10, -runs at least 1, and -pairs not negative")}
	}
	began, load := time.Now(), busy()
	c.Cache.Log = func(format string, args ...any) {
		if !*quiet {
			fmt.Fprintf(os.Stderr, "%5.0f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
		}
	}
	bin, err := os.MkdirTemp("", "perf")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(bin) }()
	if c.Sensor = *sensor; c.Sensor == "" {
		c.Cache.Log("building")
		if c.Sensor, err = release(ctx, bin); err != nil {
			return err
		}
	} else if c.Sensor, err = filepath.Abs(c.Sensor); err != nil {
		return err
	}
	least, err := build(ctx, bin, "mirrorscope/internal/perf/cmd/floor")
	if err != nil {
		return err
	}
	if c.Targets, err = targets(*only); err != nil {
		return usageError{err}
	}
	if c.Programs, err = programs(perf.Programs(c.Sensor, least), *tools); err != nil {
		return usageError{err}
	}
	if *only == "" && *tools == "" {
		c.JSONNanos = jsonNanos
	}
	if err := os.MkdirAll(c.Cache.Dir, 0o755); err != nil {
		return err
	}
	report, err := perf.Run(ctx, c)
	if err != nil {
		return err
	}
	var page bytes.Buffer
	report.Page(&page, machine(load), versions(ctx, c.Programs))
	if *output == "-" {
		_, err = os.Stdout.Write(page.Bytes())
		return err
	}
	return os.WriteFile(*output, page.Bytes(), 0o644)
}

// release builds the sensor as packages have it, optimised by a profile; that takes some
// minutes the first time.
func release(ctx context.Context, dir string) (string, error) {
	mod, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("go env GOMOD: %w", err)
	}
	profile := filepath.Join(filepath.Dir(strings.TrimSpace(string(mod))), "cmd", "sensor", "release.pgo")
	return build(ctx, dir, "mirrorscope/cmd/sensor", "-pgo="+profile, "-ldflags=-s -w")
}

func build(ctx context.Context, dir, pkg string, flags ...string) (string, error) {
	bin := filepath.Join(dir, filepath.Base(pkg))
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-tags=grpcnotrace", "-o", bin}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, pkg)...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return bin, nil
}

func targets(only string) ([]perf.Target, error) {
	wanted, err := regexp.Compile("(?i)" + only)
	if err != nil {
		return nil, fmt.Errorf("-only: %w", err)
	}
	all := slices.DeleteFunc(slices.Clone(perf.Targets), func(t perf.Target) bool { return !wanted.MatchString(t.Name) })
	if len(all) == 0 {
		return nil, fmt.Errorf("-only: no workload matches %q; there are W1 to W%d", only, len(perf.Targets))
	}
	return all, nil
}

func programs(all []perf.Program, tools string) ([]perf.Program, error) {
	if tools == "" {
		return all, nil
	}
	var some []perf.Program
	for name := range strings.SplitSeq(tools, ",") {
		i := slices.IndexFunc(all, func(p perf.Program) bool { return p.Name == name })
		if i < 0 {
			var names []string
			for _, p := range all {
				names = append(names, p.Name)
			}
			return nil, fmt.Errorf("-tools: no program %q; there are %s", name, strings.Join(names, ", "))
		}
		some = append(some, all[i])
	}
	return some, nil
}

var perRecord = regexp.MustCompile(`(?m)^BenchmarkAppendRecord/plain\S*\s+\d+\s+([\d.]+) ns/op`)

// jsonNanos is what encoding a plain record takes, by the benchmark: the lowest
// of some runs.
func jsonNanos(ctx context.Context) (float64, error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^BenchmarkAppendRecord$/^plain$", "-benchtime", "500ms", "-count", "6", "mirrorscope/sink/jsonl")
	out, err := cmd.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	least := math.Inf(1)
	for _, m := range perRecord.FindAllSubmatch(out, -1) {
		ns, err := strconv.ParseFloat(string(m[1]), 64)
		if err != nil {
			return 0, err
		}
		least = min(least, ns)
	}
	if math.IsInf(least, 1) {
		return 0, fmt.Errorf("%s: no figure in\n%s", cmd, out)
	}
	return least, nil
}

// busy says how many programs wanted a processor in the last minutes. More than
// one when nothing is measured yet means that the figures are of a machine that
// others use.
func busy() string {
	text, _ := os.ReadFile("/proc/loadavg") // without it the page says less
	first, _, _ := strings.Cut(string(text), " ")
	return "load " + first + " before"
}

// machine says on what it was measured.
func machine(load string) string {
	release := "?"
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		release = unix.ByteSliceToString(u.Release[:])
	}
	field := func(file, name string) string {
		text, _ := os.ReadFile(file) // without it the page says less
		for line := range strings.Lines(string(text)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
				return strings.TrimSpace(value)
			}
		}
		return "?"
	}
	memory := strings.TrimSuffix(field("/proc/meminfo", "MemTotal"), " kB")
	if kib, err := strconv.ParseFloat(memory, 64); err == nil {
		memory = fmt.Sprintf("%.0f GiB", kib/(1<<20))
	}
	return fmt.Sprintf("%d × %s, cache %s, memory %s, Linux %s, %s; %s", runtime.NumCPU(),
		field("/proc/cpuinfo", "model name"), field("/proc/cpuinfo", "cache size"), memory, release, runtime.Version(), load)
}

// versions asks dpkg for those of the other programs.
func versions(ctx context.Context, programs []perf.Program) (all []string) {
	for _, p := range programs {
		if p.Package == "" || p.Missing() != "" {
			continue
		}
		out, err := exec.CommandContext(ctx, "dpkg-query", "-W", "-f", "${Version}", p.Package).Output()
		if err != nil {
			out = []byte("of a version that dpkg does not know")
		}
		all = append(all, p.Name+" "+string(out))
	}
	return all
}
