package perf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// Config says what to measure.
type Config struct {
	Scale     float64 // of the workloads' size
	Runs      int     // of each program that is not slow
	Pairs     int     // of one shard and two, 0: none
	Time      time.Duration
	Limit     time.Duration // of one run of a program that is not ours
	Targets   []Target
	Programs  []Program
	Sensor    string // path of the binary
	Cache     Cache
	JSONNanos func(context.Context) (float64, error) // of encoding a record, nil: not asked
}

// Row is what was found of a workload.
type Row struct {
	Target  Target
	File    File
	Wrong   []string // what the sensor's records say and the truth does not; a figure counts only if there is nothing
	Checked bool     // the records were looked at
	Results []Result // by program
	Pairs   []Pair
}

// Result is what a program took.
type Result struct {
	Program Program
	Packets int64
	Usage   []Usage // of each run
	Why     string  // why there is none, or no more
}

// Pair is a run of the sensor with one shard and one with two, one after the
// other: wall time. Behind them two run at once with one shard each, which share nothing:
// until both have ended, it takes Both.
type Pair struct{ One, Two, Both time.Duration }

// Report is all that was found.
type Report struct {
	Config    Config
	Rows      []Row
	JSONNanos float64 // 0: not measured
	Notes     []string
	Began     time.Time
	Took      time.Duration
}

// Run measures. Workloads come one after the other; on each, all programs take
// turns, so that what else the machine does meets all of them. When c.Time is
// over it ends with what it has, and says so.
func Run(ctx context.Context, c Config) (*Report, error) {
	b := bench{Config: c, report: &Report{Config: c, Began: time.Now()}}
	b.end = b.report.Began.Add(c.Time)
	for i := range c.Programs {
		if why := c.Programs[i].Missing(); why != "" {
			b.report.Notes = append(b.report.Notes, why)
			c.Cache.Log("%s", why)
		}
	}
	for _, t := range c.Targets {
		row, err := b.row(ctx, t)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", t.Name, err)
		}
		b.report.Rows = append(b.report.Rows, row)
	}
	if c.JSONNanos != nil {
		c.Cache.Log("JSON: a record")
		var err error
		if b.report.JSONNanos, err = c.JSONNanos(ctx); err != nil {
			return nil, err
		}
	}
	b.report.Took = time.Since(b.report.Began)
	return b.report, nil
}

type bench struct {
	Config
	report *Report
	end    time.Time
}

func (b *bench) late() bool { return time.Now().After(b.end) }

func (b *bench) row(ctx context.Context, t Target) (row Row, err error) {
	row = Row{Target: t}
	if row.File, err = b.Cache.File(t.scaled(b.Scale)); err != nil {
		return row, err
	}
	if err := warm(row.File.Path); err != nil {
		return row, err
	}
	for _, p := range b.Programs {
		r := Result{Program: p}
		if p.Missing() != "" {
			r.Why = "not installed"
		}
		row.Results = append(row.Results, r)
	}
	parts, err := os.MkdirTemp(b.Cache.Dir, "part")
	if err != nil {
		return row, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(parts)) }()
	for n := range b.Runs {
		for i := range row.Results {
			r := &row.Results[i]
			if r.Why != "" || n > 0 && r.Program.Slow {
				continue
			}
			if n > 0 && b.late() {
				r.Why = "time was over"
				continue
			}
			if err := b.once(ctx, &row, r, parts); err != nil {
				return row, err
			}
		}
	}
	if t.Shards {
		for range b.Pairs {
			if b.late() && len(row.Pairs) > 0 {
				break
			}
			p, err := b.pair(ctx, row.File)
			if err != nil {
				return row, err
			}
			row.Pairs = append(row.Pairs, p)
		}
	}
	for _, r := range row.Results {
		if r.Program.Name == sensorName {
			b.Cache.Log("%s: are the records true?", t.Name)
			row.Checked = true
			row.Wrong, err = b.compare(ctx, row.File)
		}
	}
	return row, err
}

// once runs a program.
func (b *bench) once(ctx context.Context, row *Row, r *Result, parts string) error {
	f := row.File
	if r.Program.Part > 0 {
		// At a smaller scale a smaller part, so that it takes its share of the time.
		packets := max(20_000, int64(float64(r.Program.Part)*b.Scale))
		var err error
		if f, err = cut(f, packets, filepath.Join(parts, "part.pcap")); err != nil {
			return err
		}
	}
	r.Packets = f.Packets
	b.Cache.Log("%s: %s, %d packets, run %d", row.Target.Name, r.Program.Name, r.Packets, len(r.Usage)+1)
	if err := r.holdFor(); err != nil {
		return err
	}
	limited := ctx
	if r.Program.Package != "" {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, b.Limit)
		defer cancel()
	}
	u, out, err := measure(limited, r.Program.args(f))
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case limited.Err() != nil:
		r.Why = fmt.Sprintf("not done after %v", b.Limit)
		return nil
	case err != nil && r.Program.Package != "":
		r.Why = "it failed"
		b.report.Notes = append(b.report.Notes, fmt.Sprintf("%s on %s: %s", r.Program.Name, row.Target.Name, firstLine(err)))
		return nil
	case err != nil:
		return err
	}
	if r.Program.check != nil {
		if err := r.Program.check(out, f); err != nil {
			r.Why = fmt.Sprintf("not counted: %v", err)
			return nil
		}
	}
	r.Usage = append(r.Usage, u)
	return nil
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// pair times one shard and two, and twice one.
func (b *bench) pair(ctx context.Context, f File) (p Pair, err error) {
	for _, x := range []struct {
		shards string
		runs   int
		wall   *time.Duration
	}{{"1", 1, &p.One}, {"2", 1, &p.Two}, {"1", 2, &p.Both}} {
		b.Cache.Log("%s: %d × --shards %s", filepath.Base(f.Path), x.runs, x.shards)
		if err := hold(firstHeld); err != nil {
			return p, err
		}
		walls := make([]time.Duration, x.runs)
		group, ctx := errgroup.WithContext(ctx)
		for i := range walls {
			group.Go(func() error {
				u, out, err := measure(ctx, []string{b.Sensor, "replay", "--no-progress", "--shards", x.shards, f.Path})
				if err == nil {
					err = summary(out, f.Truth)
				}
				walls[i] = u.Wall
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return p, err
		}
		*x.wall = slices.Max(walls)
	}
	return p, nil
}

// compare reads all records of a run, and gives what is not so.
func (b *bench) compare(ctx context.Context, f File) ([]string, error) {
	cmd := exec.CommandContext(ctx, b.Sensor, "replay", "--no-progress", "--shards", "1", "--format", "json", f.Path)
	var stderr tail
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	sum, reading := Records(out)
	if reading != nil {
		_ = cmd.Process.Kill() // nobody reads the rest
	}
	if err := cmd.Wait(); reading == nil && err != nil {
		return nil, fmt.Errorf("sensor replay --format json %s: %w\n%s", f.Path, err, stderr.String())
	}
	if reading != nil {
		return []string{reading.Error()}, ctx.Err()
	}
	return sum.Wrong(f.Truth), nil
}
